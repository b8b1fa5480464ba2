/* options.h: options described by tables, recipes that fill them, and the registries that name what plugs in.

   An options struct has a `defaults` function and a table of fr_option. From the table come parsing (of recipes and of
   key=value words), range checks, `frugal help`, the resolved recipe in a run folder, and the reference in docs/.
   Nothing parses a key by hand. */
#ifndef FRUGAL_OPTIONS_H
#define FRUGAL_OPTIONS_H

#include "frugal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fr_option_type {
    FR_OPTION_INT,     /* int64_t; accepts 1k, 1M, 2_000 */
    FR_OPTION_FLOAT,   /* double */
    FR_OPTION_BOOL,    /* bool: true/false, yes/no, on/off */
    FR_OPTION_STRING,  /* char *, owned by the struct, may be NULL */
    FR_OPTION_CHOICE,  /* int, index into `choices` */
    FR_OPTION_STRINGS, /* fr_strings: a list of strings; one string is a list of one */
    FR_OPTION_FLOATS,  /* fr_floats: a list of numbers; one number is a list of one */
    FR_OPTION_SECONDS, /* double, in seconds; accepts 90s, 5m, 2h */
    FR_OPTION_BYTES    /* int64_t; accepts 512K, 64M, 2G (powers of 1024) */
} fr_option_type;

typedef struct fr_strings {
    char **items;
    size_t count;
} fr_strings;
void fr_strings_free(fr_strings *strings); /* the items and the list; leaves it empty */
bool fr_strings_copy(fr_strings *to, const fr_strings *from); /* false: no memory, `to` empty */

typedef struct fr_floats {
    double *items;
    size_t count;
} fr_floats;
bool fr_floats_copy(fr_floats *to, const fr_floats *from); /* false: no memory, `to` empty */

typedef struct fr_option {
    const char *
        name; /* "text_config.hidden_size": the option hidden_size of the section text_config inside this one; the
                         options of a section stand together in a table */
    fr_option_type type;
    size_t offset;    /* offsetof the field in the options struct */
    const char *unit; /* "steps", "tokens", "1/step"; NULL for none */
    double minimum,
        maximum; /* both included; both 0: no range. The default is allowed even outside (-1 or NaN: "chosen") */
    const char *const *choices; /* for FR_OPTION_CHOICE, NULL-terminated */
    const char *help;           /* one sentence */
} fr_option;

/* A set of options: what a section of a recipe may hold. */
typedef struct fr_option_table {
    const char *name; /* "optimizer.adamw", "train" */
    const fr_option *options;
    size_t count;
    size_t size; /* sizeof the options struct */
    void (*defaults)(
        void
            *options); /* fills a zeroed struct, NULL: zeros will do; strings with fr_string_copy */
} fr_option_table;

/* ---- registries: extension points and their implementations ------------------------------------------------------ */

/* What every implementation of an extension point starts with: the first member of its descriptor. */
typedef struct fr_kind {
    const char *name;    /* in a recipe, on the command line, of the page in docs/ */
    const char *summary; /* one line */
    const char *source;  /* paper and equation, or NULL */
    fr_option_table options;
} fr_kind;

typedef struct fr_registry {
    const char *point;             /* "optimizer" */
    const char *summary;           /* one line about the point */
    const fr_kind *const *entries; /* NULL-terminated */
} fr_registry;

/* The entry of that name, or NULL. */
const fr_kind *fr_registry_find(const fr_registry *registry, const char *name);
/* The same, but a miss fills the error: "unknown optimizer 'adamv'; did you mean 'adamw'? (known: ...)". */
const fr_kind *fr_registry_require(const fr_registry *registry, const char *name, const char *file,
                                   long line, fr_error *error);
/* Nearest of `count` names by edit distance (insert, delete, replace, swap of neighbours; case and '-' against '_' do not count),
   NULL when none is near. */
const char *fr_nearest_name(const char *name, const char *const *names, size_t count);

/* ---- recipes ------------------------------------------------------------------------------------------------------ */

/* A recipe is a YAML mapping of sections; a section is a mapping of keys. Where a section chooses from a registry, its key
   `kind` names the entry and the other keys are that entry's options:
       optimizer: {kind: adamw, lr: 1e-3}
   Anchors, aliases, merge keys, tags, duplicate keys, a second document, more than 16 levels and files over 4 MB are refused;
   every error names file and line. */
typedef struct fr_recipe fr_recipe;
typedef struct fr_section fr_section; /* a mapping inside a recipe; lives as long as the recipe */

fr_status fr_recipe_load(fr_recipe **recipe, const char *path, fr_error *error);
fr_status fr_recipe_parse(fr_recipe **recipe, const char *text, size_t size, const char *name,
                          fr_error *error);
fr_status fr_recipe_create(fr_recipe **recipe, fr_error *error); /* an empty one */
void fr_recipe_free(fr_recipe *recipe);
/* Set "section.key" = value as from the command line, creating sections on the way; a number in the key picks from a list
   ("phases.0.steps"). The value is taken literally, except that [...] and "..." are read as YAML. */
fr_status fr_recipe_set(fr_recipe *recipe, const char *dotted_key, const char *value,
                        fr_error *error);
/* A word "a.b=c" of the command line. */
fr_status fr_recipe_set_word(fr_recipe *recipe, const char *word, fr_error *error);

/* The section called `name` (dots descend), NULL when absent or empty. */
const fr_section *fr_recipe_section(const fr_recipe *recipe, const char *name);
/* A list of sections (phases: [ {...}, {...} ]); count 0 when absent; a single mapping is a list of one. */
size_t fr_recipe_section_count(const fr_recipe *recipe, const char *name);
const fr_section *fr_recipe_section_at(const fr_recipe *recipe, const char *name, size_t index);
/* Fill a zeroed struct: defaults first, then the section (NULL: defaults only). Unknown key, wrong type, out of range: an
   error with file, line, what was found, what was expected and the nearest key. The key `kind` is skipped when
   `has_kind`; keys that are nested mappings are refused unless listed in `nested` (NULL-terminated, may be NULL), which are left
   to fr_section_child. On failure the struct is empty again: nothing to free. */
fr_status fr_options_read(const fr_option_table *table, void *options, const fr_section *section,
                          bool has_kind, const char *const *nested, fr_error *error);
/* Set what the section gives (NULL: nothing) in a struct that has values already. After an error some may be set. */
fr_status fr_options_update(const fr_option_table *table, void *options, const fr_section *section,
                            fr_error *error);
/* Set one option from text, with the same checks ("--max-tokens 5" of the command line). For a list, [a, b] replaces it and
   anything else is added to it. */
fr_status fr_options_set(const fr_option_table *table, void *options, const char *name,
                         const char *value, fr_error *error);
/* Free the strings and lists in a struct. */
void fr_options_free(const fr_option_table *table, void *options);
/* The section's `kind`, looked up in `registry`; `fallback` when the section or the key is absent. NULL on error. */
const fr_kind *fr_section_kind(const fr_section *section, const fr_registry *registry,
                               const char *fallback, fr_error *error);
/* A nested section: model.attention; NULL when absent. */
const fr_section *fr_section_child(const fr_section *section, const char *name);
/* Error if a top-level section of the recipe is not in `known` (NULL-terminated): names the nearest. */
fr_status fr_recipe_check_sections(const fr_recipe *recipe, const char *const *known,
                                   fr_error *error);

/* Append a struct as YAML under `indent` spaces, every key with its value: the resolved recipe. Reading it gives the same
   struct, bit for bit. */
void fr_options_write_yaml(const fr_option_table *table, const void *options, int indent,
                           fr_buffer *out);
/* Append the value of one option, as it stands in YAML. */
void fr_option_write_value(const fr_option *option, const void *options, fr_buffer *out);
/* Append "number, 0 to 1, in steps; default 0.5": type, range, unit and default in words. */
void fr_option_describe(const fr_option_table *table, const fr_option *option, fr_buffer *out);
/* Append all options (or `only` one of them, when it is not NULL) with their descriptions and help as text for the terminal, or as a
   Markdown table. */
void fr_options_write_help(const fr_option_table *table, const fr_option *only, bool markdown,
                           fr_buffer *out);
/* The option of that name, or NULL. */
const fr_option *fr_option_find(const fr_option_table *table, const char *name);
/* Does any option's name begin with `section`, which ends in a dot ("text_config.")? */
bool fr_option_is_section(const fr_option_table *table, const char *section);

/* Text to number with units, shared with the command line: "5m", "1.5h", "90" -> seconds. */
fr_status fr_parse_seconds(const char *text, double *seconds, fr_error *error);
/* "2M", "1_000", "3e6" -> count; "64M" -> bytes with fr_parse_bytes. */
fr_status fr_parse_count(const char *text, int64_t *count, fr_error *error);
fr_status fr_parse_bytes(const char *text, int64_t *bytes, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
