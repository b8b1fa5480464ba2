/* recipe.c: recipes: the tree, its sections, and what the command line sets in it. */
#include "base/recipe.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char command_line[] = "<command line>";

struct fr_recipe {
    char *file;
    fr_section *root; /* a mapping */
};

/* ---- nodes ---- */

fr_section *fr_node_create(fr_node_type type, const char *file, long line)
{
    fr_section *node = fr_alloc(sizeof *node, FR_MEMORY_OTHER);
    if (node) {
        node->type = type;
        node->file = file;
        node->line = line;
    }
    return node;
}

void fr_node_free(fr_section *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->count; i++) {
        fr_free(node->items[i].key);
        fr_node_free(node->items[i].value);
    }
    fr_free(node->items);
    fr_free(node->text);
    fr_free(node);
}

bool fr_node_add(fr_section *node, const char *key, long line, fr_section *value)
{
    if (node->count == node->capacity) {
        size_t capacity = node->capacity ? node->capacity * 2 : 8;
        fr_section_item *items = fr_realloc(node->items, capacity * sizeof *items, FR_MEMORY_OTHER);
        if (!items) {
            fr_node_free(value);
            return false;
        }
        node->items = items;
        node->capacity = capacity;
    }
    char *copy = fr_string_copy(key);
    if (key && !copy) {
        fr_node_free(value);
        return false;
    }
    node->items[node->count++] = (fr_section_item){copy, line, value->file, value};
    return true;
}

fr_section_item *fr_node_find(const fr_section *mapping, const char *key)
{
    for (size_t i = 0; i < mapping->count; i++)
        if (mapping->items[i].key && strcmp(mapping->items[i].key, key) == 0)
            return &mapping->items[i];
    return NULL;
}

bool fr_node_is_null(const fr_section *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (node->type != FR_NODE_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp(node->text, nulls[i]) == 0)
            return true;
    return false;
}

const char *fr_node_describe(const fr_section *node, char text[96])
{
    if (node->type == FR_NODE_SEQUENCE)
        return "a list";
    if (node->type == FR_NODE_MAPPING)
        return "a mapping";
    if (fr_node_is_null(node))
        return "nothing";
    snprintf(text, 96, "'%.80s%s'", node->text, strlen(node->text) > 80 ? "..." : "");
    return text;
}

/* ---- recipes ---- */

void fr_recipe_free(fr_recipe *recipe)
{
    if (!recipe)
        return;
    fr_node_free(recipe->root);
    fr_free(recipe->file);
    fr_free(recipe);
}

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory for a recipe");
}

static fr_status create(fr_recipe **result, const char *file, fr_error *error)
{
    fr_recipe *recipe = fr_alloc(sizeof *recipe, FR_MEMORY_OTHER);
    *result = NULL;
    if (!recipe || !(recipe->file = fr_string_copy(file))) {
        fr_recipe_free(recipe);
        return no_memory(error);
    }
    *result = recipe;
    return FR_OK;
}

static fr_status finish(fr_recipe **recipe, fr_status status)
{
    if (status != FR_OK) {
        fr_recipe_free(*recipe);
        *recipe = NULL;
    }
    return status;
}

fr_status fr_recipe_create(fr_recipe **recipe, fr_error *error)
{
    FR_TRY(create(recipe, command_line, error));
    (*recipe)->root = fr_node_create(FR_NODE_MAPPING, command_line, 0);
    return finish(recipe, (*recipe)->root ? FR_OK : no_memory(error));
}

static fr_status parse(fr_recipe *recipe, const char *text, size_t size, fr_error *error)
{
    if (size > FR_RECIPE_BYTES)
        return fr_fail_at(error, FR_BAD_INPUT, recipe->file, 0,
                          "%zu bytes, expected a recipe of at most 4 MB", size);
    FR_TRY(fr_yaml_parse(&recipe->root, text, size, recipe->file, error));
    if (!recipe->root || fr_node_is_null(recipe->root))
        return fr_fail_at(error, FR_BAD_INPUT, recipe->file, 0,
                          "empty, expected sections such as model, data, train");
    char found[96];
    if (recipe->root->type != FR_NODE_MAPPING)
        return fr_fail_at(error, FR_BAD_INPUT, recipe->file, recipe->root->line,
                          "found %s, expected sections such as model, data, train",
                          fr_node_describe(recipe->root, found));
    return FR_OK;
}

fr_status fr_recipe_parse(fr_recipe **recipe, const char *text, size_t size, const char *name,
                          fr_error *error)
{
    FR_TRY(create(recipe, name, error));
    return finish(recipe, parse(*recipe, text, size, error));
}

fr_status fr_recipe_load(fr_recipe **recipe, const char *path, fr_error *error)
{
    char *text;
    size_t size;
    *recipe = NULL;
    FR_TRY(fr_file_read(path, FR_RECIPE_BYTES, &text, &size, error));
    fr_status status = fr_recipe_parse(recipe, text, size, path, error);
    fr_free(text);
    return status;
}

/* ---- the command line ---- */

static fr_status bad_key(fr_error *error, const char *key, const char *why)
{
    return fr_fail_at(error, FR_BAD_INPUT, command_line, 0, "%s: %s", key, why);
}

/* The next part of a dotted key into part; *key moves behind it. */
static bool next_part(const char **key, char part[128])
{
    size_t length = strcspn(*key, ".");
    if (length == 0 || length >= 128)
        return false;
    memcpy(part, *key, length);
    part[length] = 0;
    *key += length;
    if (**key == '.')
        return *++*key != 0;
    return true;
}

/* The slot that `part` names inside `node`, made when absent; NULL with an error when it cannot be. */
static fr_section_item *descend(fr_section *node, const char *part, const char *whole,
                                fr_error *error)
{
    if (node->type == FR_NODE_SEQUENCE) {
        char *end;
        unsigned long index = strtoul(part, &end, 10);
        if (isdigit((unsigned char)*part) && *end == 0 && index < node->count)
            return &node->items[index];
        fr_fail_at(error, FR_BAD_INPUT, command_line, 0,
                   "%s: found '%s', expected the number of an entry, 0 to %zu", whole, part,
                   node->count ? node->count - 1 : 0);
        return NULL;
    }
    fr_section_item *item = fr_node_find(node, part);
    if (item)
        return item;
    fr_section *value = fr_node_create(FR_NODE_MAPPING, command_line, 0);
    if (node->count >= FR_RECIPE_KEYS || !value) {
        fr_node_free(value);
        no_memory(error);
        return NULL;
    }
    if (!fr_node_add(node, part, 0, value)) {
        no_memory(error);
        return NULL;
    }
    return &node->items[node->count - 1];
}

/* Text between brackets, braces or quotes is YAML, anything else is taken as it stands. */
static fr_status read_value(fr_section **node, const char *key, const char *value, fr_error *error)
{
    size_t length = strlen(value);
    char last = length > 1 ? value[length - 1] : 0;
    bool yaml = (*value == '[' && last == ']') || (*value == '{' && last == '}') ||
                (*value == '"' && last == '"') || (*value == '\'' && last == '\'');
    if (yaml) {
        fr_status status = fr_yaml_parse(node, value, length, command_line, error);
        return status == FR_OK ? FR_OK : fr_error_prefix(error, "%s", key);
    }
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)value[i] < 0x20 && !strchr("\t\n\r", value[i]))
            return bad_key(error, key, "found a control character in the value");
    *node = fr_node_create(FR_NODE_SCALAR, command_line, 0);
    if (!*node || !((*node)->text = fr_string_copy(value))) {
        fr_node_free(*node);
        *node = NULL;
        return no_memory(error);
    }
    return FR_OK;
}

/* What came from the command line has no lines. */
static void forget_lines(fr_section *node)
{
    node->line = 0;
    for (size_t i = 0; i < node->count; i++) {
        node->items[i].line = 0;
        forget_lines(node->items[i].value);
    }
}

fr_status fr_recipe_set(fr_recipe *recipe, const char *dotted_key, const char *value,
                        fr_error *error)
{
    fr_section *node;
    FR_TRY(read_value(&node, dotted_key, value, error));
    forget_lines(node);
    fr_section *parent = recipe->root;
    const char *rest = dotted_key;
    fr_section_item *item = NULL;
    for (int depth = 0;; depth++) {
        char part[128];
        if (depth >= FR_RECIPE_DEPTH || !next_part(&rest, part)) {
            fr_node_free(node);
            return bad_key(error, dotted_key, "not a key such as optimizer.lr");
        }
        if (parent->type ==
            FR_NODE_SCALAR) { /* `optimizer:` without keys, or a value where a section is wanted */
            if (!fr_node_is_null(parent)) {
                fr_node_free(node);
                return bad_key(error, dotted_key, "a value stands where its section would be");
            }
            parent->type = FR_NODE_MAPPING;
        }
        item = descend(parent, part, dotted_key, error);
        if (!item) {
            fr_node_free(node);
            return error ? error->status : FR_BAD_INPUT;
        }
        if (!*rest)
            break;
        parent = item->value;
    }
    fr_node_free(item->value);
    item->value = node;
    item->file = command_line;
    item->line = 0;
    return FR_OK;
}

fr_status fr_recipe_set_word(fr_recipe *recipe, const char *word, fr_error *error)
{
    const char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return bad_key(error, word, "expected key=value, such as optimizer.lr=1e-3");
    char *key = fr_string_copy_n(word, (size_t)(equals - word));
    if (!key)
        return no_memory(error);
    fr_status status = fr_recipe_set(recipe, key, equals + 1, error);
    fr_free(key);
    return status;
}

/* ---- sections ---- */

static const fr_section *find_path(const fr_section *node, const char *name)
{
    while (*name) {
        char part[128];
        if (node->type != FR_NODE_MAPPING || !next_part(&name, part))
            return NULL;
        const fr_section_item *item = fr_node_find(node, part);
        if (!item)
            return NULL;
        node = item->value;
    }
    return fr_node_is_null(node) ? NULL : node;
}

const fr_section *fr_recipe_section(const fr_recipe *recipe, const char *name)
{
    return find_path(recipe->root, name);
}

const fr_section *fr_section_child(const fr_section *section, const char *name)
{
    return section ? find_path(section, name) : NULL;
}

size_t fr_recipe_section_count(const fr_recipe *recipe, const char *name)
{
    const fr_section *node = find_path(recipe->root, name);
    return !node ? 0 : node->type == FR_NODE_SEQUENCE ? node->count : 1;
}

const fr_section *fr_recipe_section_at(const fr_recipe *recipe, const char *name, size_t index)
{
    const fr_section *node = find_path(recipe->root, name);
    if (node && node->type == FR_NODE_SEQUENCE)
        return index < node->count ? node->items[index].value : NULL;
    return index == 0 ? node : NULL;
}

fr_status fr_recipe_check_sections(const fr_recipe *recipe, const char *const *known,
                                   fr_error *error)
{
    size_t count = 0;
    while (known[count])
        count++;
    for (size_t i = 0; i < recipe->root->count; i++) {
        const fr_section_item *item = &recipe->root->items[i];
        bool found = false;
        for (size_t k = 0; k < count && !found; k++)
            found = strcmp(known[k], item->key) == 0;
        if (found)
            continue;
        fr_buffer list = {0};
        for (size_t k = 0; k < count; k++)
            fr_buffer_printf(&list, "%s%s", k ? ", " : "", known[k]);
        const char *nearest = fr_nearest_name(item->key, known, count);
        fr_fail_at(error, FR_BAD_INPUT, item->file, item->line,
                   "unknown section '%s'%s%s%s (known: %s)", item->key,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
                   list.data ? list.data : "none");
        fr_buffer_free(&list);
        return FR_BAD_INPUT;
    }
    return FR_OK;
}
