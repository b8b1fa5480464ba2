/* recipe.h: the tree that a recipe is read into. Every node knows where it stood, so that whoever reads it later can say so. */
#ifndef FRUGAL_BASE_RECIPE_H
#define FRUGAL_BASE_RECIPE_H

#include "frugal/options.h"

typedef enum fr_node_type { FR_NODE_SCALAR, FR_NODE_SEQUENCE, FR_NODE_MAPPING } fr_node_type;

typedef struct fr_section_item {
    char *key; /* NULL in a sequence */
    long line; /* of the key; 0: the command line */
    const char *file;
    struct fr_section *value;
} fr_section_item;

/* A node of the tree; a section is a mapping, but a reader may also meet something else in its place. */
struct fr_section {
    fr_node_type type;
    bool quoted; /* a scalar that stood in quotes: never null */
    long line;
    const char *file; /* owned by the recipe */
    char *text;       /* of a scalar */
    fr_section_item *items;
    size_t count, capacity;
};

enum {
    FR_RECIPE_DEPTH = 16,
    FR_RECIPE_KEYS = 4096,
    FR_RECIPE_NODES = 100000,
    FR_RECIPE_BYTES = 4 << 20
};

fr_section *fr_node_create(fr_node_type type, const char *file, long line);
void fr_node_free(fr_section *node);
/* Append; takes `value`, copies `key`. False when out of memory (value is freed). */
bool fr_node_add(fr_section *node, const char *key, long line, fr_section *value);
fr_section_item *fr_node_find(const fr_section *mapping, const char *key);
/* An empty scalar, ~ or null, not in quotes. */
bool fr_node_is_null(const fr_section *node);
/* "the value 'x'", "a list", "a mapping": what was found, into text. */
const char *fr_node_describe(const fr_section *node, char text[96]);

/* yaml.c: text -> tree. *root is NULL for an empty document. `file` must outlive the tree. */
fr_status fr_yaml_parse(fr_section **root, const char *text, size_t size, const char *file,
                        fr_error *error);

/* option.c: one field from one node, with type and range checks. The message is "SUBJECT: found ..., expected ...". */
fr_status fr_option_read(const fr_option_table *table, const fr_option *option, void *options,
                         const fr_section *node, const char *subject, fr_error *error);
/* "did you mean": fails with "unknown KIND 'NAME'...; did you mean ...?" for a key that the table lacks. */
fr_status fr_option_unknown(const fr_option_table *table, const char *what, const char *name,
                            const char *file, long line, fr_error *error);

#endif
