/* option.c: options structs filled from their tables: defaults, values with type and range checks, sections, clean-up. */
#include "base/number.h"
#include "base/recipe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void *field(const fr_option *option, void *options)
{
    return (char *)options + option->offset;
}

const fr_option *fr_option_find(const fr_option_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->options[i].name, name) == 0)
            return &table->options[i];
    return NULL;
}

bool fr_option_is_section(const fr_option_table *table, const char *section)
{
    for (size_t i = 0; i < table->count; i++)
        if (strncmp(table->options[i].name, section, strlen(section)) == 0)
            return true;
    return false;
}

/* ---- clean-up ---- */

void fr_strings_free(fr_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        fr_free(strings->items[i]);
    fr_free(strings->items);
    *strings = (fr_strings){0};
}

bool fr_strings_copy(fr_strings *to, const fr_strings *from)
{
    *to = (fr_strings){0};
    if (!from->count)
        return true;
    to->items = fr_alloc_array(from->count, sizeof *to->items, FR_MEMORY_OTHER);
    for (size_t i = 0; i < from->count && to->items; i++) {
        if (!(to->items[i] = fr_string_copy(from->items[i]))) {
            fr_strings_free(to);
            return false;
        }
        to->count++;
    }
    return to->items != NULL;
}

bool fr_floats_copy(fr_floats *to, const fr_floats *from)
{
    *to = (fr_floats){0};
    if (!from->count)
        return true;
    to->items = fr_alloc_array(from->count, sizeof *to->items, FR_MEMORY_OTHER);
    if (!to->items)
        return false;
    memcpy(to->items, from->items, from->count * sizeof *to->items);
    to->count = from->count;
    return true;
}

static void free_field(const fr_option *option, void *options)
{
    void *at = field(option, options);
    if (option->type == FR_OPTION_STRINGS)
        fr_strings_free(at);
    else if (option->type == FR_OPTION_FLOATS) {
        fr_free(((fr_floats *)at)->items);
        *(fr_floats *)at = (fr_floats){0};
    } else if (option->type == FR_OPTION_STRING) {
        fr_free(*(char **)at);
        *(char **)at = NULL;
    }
}

void fr_options_free(const fr_option_table *table, void *options)
{
    for (size_t i = 0; i < table->count; i++)
        free_field(&table->options[i], options);
}

/* ---- ranges ---- */

static bool has_range(const fr_option *option)
{
    return option->minimum != 0 || option->maximum != 0;
}

/* The field of a struct of defaults as a number; NaN when the table has none. */
static double default_number(const fr_option_table *table, const fr_option *option)
{
    void *defaults = table->defaults ? fr_alloc(table->size, FR_MEMORY_OTHER) : NULL;
    if (!defaults)
        return NAN;
    table->defaults(defaults);
    const void *at = field(option, defaults);
    bool whole = option->type == FR_OPTION_INT || option->type == FR_OPTION_BYTES;
    double value = whole ? (double)*(const int64_t *)at : *(const double *)at;
    fr_options_free(table, defaults);
    fr_free(defaults);
    return value;
}

static bool in_range(const fr_option_table *table, const fr_option *option, double value)
{
    if (has_range(option) ? value >= option->minimum && value <= option->maximum : !isnan(value))
        return true;
    if (option->type == FR_OPTION_FLOATS)
        return false;
    double usual = table->defaults ? default_number(table, option) : 0;
    return value == usual || (isnan(value) && isnan(usual) && table->defaults);
}

/* ---- messages ---- */

static void write_range(const fr_option *option, fr_buffer *out)
{
    char low[FR_FLOAT_TEXT], high[FR_FLOAT_TEXT];
    fr_float_short(option->minimum, low);
    fr_float_short(option->maximum, high);
    bool open_below = option->minimum == -INFINITY, open_above = option->maximum == INFINITY;
    if (!has_range(option) || (open_below && open_above))
        return;
    if (open_above)
        fr_buffer_printf(out, ", at least %s", low);
    else if (open_below)
        fr_buffer_printf(out, ", at most %s", high);
    else
        fr_buffer_printf(out, ", %s to %s", low, high);
}

static void write_type(const fr_option *option, fr_buffer *out)
{
    static const char *const names[] = {[FR_OPTION_INT] = "whole number",
                                        [FR_OPTION_FLOAT] = "number",
                                        [FR_OPTION_BOOL] = "true or false",
                                        [FR_OPTION_STRING] = "text",
                                        [FR_OPTION_CHOICE] = "one of",
                                        [FR_OPTION_STRINGS] = "list of texts",
                                        [FR_OPTION_FLOATS] = "list of numbers",
                                        [FR_OPTION_SECONDS] = "time (90s, 5m, 1.5h)",
                                        [FR_OPTION_BYTES] = "size (512K, 64M, 2G)"};
    fr_buffer_text(out, names[option->type]);
    for (size_t i = 0; option->type == FR_OPTION_CHOICE && option->choices[i]; i++)
        fr_buffer_printf(out, "%s%s", i ? ", " : " ", option->choices[i]);
    write_range(option, out);
    bool obvious = option->type == FR_OPTION_SECONDS || option->type == FR_OPTION_BYTES;
    if (option->unit && *option->unit && !obvious)
        fr_buffer_printf(out, ", in %s", option->unit);
}

static fr_status wrong(const fr_option *option, const fr_section *node, const char *subject,
                       const char *why, fr_error *error)
{
    fr_buffer expected = {0};
    char found[96];
    write_type(option, &expected);
    const char *nearest = NULL;
    if (option->type == FR_OPTION_CHOICE && node->type == FR_NODE_SCALAR) {
        size_t count = 0;
        while (option->choices[count])
            count++;
        nearest = fr_nearest_name(node->text, option->choices, count);
    }
    fr_fail(error, FR_BAD_INPUT, "%s: found %s%s%s%s, expected %s%s%s%s%s", subject,
            fr_node_describe(node, found), why ? " (" : "", why ? why : "", why ? ")" : "",
            option->type == FR_OPTION_BOOL || option->type == FR_OPTION_CHOICE ? "" : "a ",
            expected.data ? expected.data : "something else", nearest ? "; did you mean '" : "",
            nearest ? nearest : "", nearest ? "'?" : "");
    fr_buffer_free(&expected);
    return FR_BAD_INPUT;
}

/* ---- values ---- */

static fr_status read_string(void *at, const fr_section *node, fr_error *error)
{
    char *text = NULL;
    if (!fr_node_is_null(node) && !(text = fr_string_copy(node->text)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for an option");
    fr_free(*(char **)at);
    *(char **)at = text;
    return FR_OK;
}

static fr_status read_scalar(const fr_option_table *table, const fr_option *option, void *at,
                             const fr_section *node, const char *subject, fr_error *error)
{
    const char *why = NULL;
    int64_t whole;
    double number;
    bool truth;
    switch (option->type) {
    case FR_OPTION_INT:
    case FR_OPTION_BYTES:
        if (!(option->type == FR_OPTION_INT ? fr_number_count : fr_number_bytes)(node->text, &whole,
                                                                                 &why) ||
            !in_range(table, option, (double)whole))
            return wrong(option, node, subject, why, error);
        *(int64_t *)at = whole;
        return FR_OK;
    case FR_OPTION_FLOAT:
    case FR_OPTION_SECONDS:
        if (!(option->type == FR_OPTION_FLOAT ? fr_number_float : fr_number_seconds)(node->text,
                                                                                     &number) ||
            !in_range(table, option, number))
            return wrong(option, node, subject, NULL, error);
        *(double *)at = number;
        return FR_OK;
    case FR_OPTION_BOOL:
        if (!fr_number_bool(node->text, &truth))
            return wrong(option, node, subject, NULL, error);
        *(bool *)at = truth;
        return FR_OK;
    case FR_OPTION_CHOICE:
        for (int i = 0; option->choices[i]; i++)
            if (strcmp(option->choices[i], node->text) == 0) {
                *(int *)at = i;
                return FR_OK;
            }
        return wrong(option, node, subject, NULL, error);
    default:
        return read_string(at, node, error);
    }
}

/* ---- lists ---- */

static bool is_list(const fr_option *option)
{
    return option->type == FR_OPTION_STRINGS || option->type == FR_OPTION_FLOATS;
}

static fr_status add_item(const fr_option_table *table, const fr_option *option, void *at,
                          const fr_section *node, const char *subject, fr_error *error)
{
    double number = 0;
    bool good = node->type == FR_NODE_SCALAR && !fr_node_is_null(node);
    if (good && option->type == FR_OPTION_FLOATS)
        good = fr_number_float(node->text, &number) && in_range(table, option, number);
    if (!good)
        return wrong(option, node, subject, NULL, error);
    if (option->type == FR_OPTION_FLOATS) {
        fr_floats *list = at;
        double *items = fr_realloc(list->items, (list->count + 1) * sizeof *items, FR_MEMORY_OTHER);
        if (!items)
            return fr_fail(error, FR_NO_MEMORY, "no memory for an option");
        list->items = items;
        items[list->count++] = number;
        return FR_OK;
    }
    fr_strings *list = at;
    char **items = fr_realloc(list->items, (list->count + 1) * sizeof *items, FR_MEMORY_OTHER);
    if (!items)
        return fr_fail(error, FR_NO_MEMORY, "no memory for an option");
    list->items = items;
    if (!(items[list->count] = fr_string_copy(node->text)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for an option");
    list->count++;
    return FR_OK;
}

static fr_status read_list(const fr_option_table *table, const fr_option *option, void *options,
                           const fr_section *node, const char *subject, fr_error *error)
{
    void *at = field(option, options);
    free_field(option, options);
    if (fr_node_is_null(node))
        return FR_OK;
    if (node->type == FR_NODE_SCALAR)
        return add_item(table, option, at, node, subject, error);
    for (size_t i = 0; i < node->count; i++)
        FR_TRY(add_item(table, option, at, node->items[i].value, subject, error));
    return FR_OK;
}

fr_status fr_option_read(const fr_option_table *table, const fr_option *option, void *options,
                         const fr_section *node, const char *subject, fr_error *error)
{
    if (node->type == FR_NODE_MAPPING || (node->type == FR_NODE_SEQUENCE && !is_list(option)))
        return wrong(option, node, subject, NULL, error);
    if (is_list(option))
        return read_list(table, option, options, node, subject, error);
    return read_scalar(table, option, field(option, options), node, subject, error);
}

/* ---- whole structs ---- */

fr_status fr_option_unknown(const fr_option_table *table, const char *what, const char *name,
                            const char *file, long line, fr_error *error)
{
    enum { MOST = 256 };
    const char *names[MOST] = {0};
    size_t count = 0;
    for (; count < table->count && count < MOST; count++)
        names[count] = table->options[count].name;
    const char *nearest = fr_nearest_name(name, names, count);
    fr_error local;
    fr_fail(&local, FR_BAD_INPUT, "unknown %s '%s' in section %s%s%s%s", what, name, table->name,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return file ? fr_fail_at(error, FR_BAD_INPUT, file, line, "%s", local.message)
                : fr_fail(error, FR_BAD_INPUT, "%s", local.message);
}

static bool is_among(const char *name, const char *const *names)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* `prefix` is "", or of a section inside the table's: "text_config.". */
static fr_status read_section(const fr_option_table *table, void *options,
                              const fr_section *section, const char *prefix, bool has_kind,
                              const char *const *nested, fr_error *error)
{
    char found[96], key[160], inner[168], subject[256];
    if (section->type != FR_NODE_MAPPING)
        return fr_fail_at(error, FR_BAD_INPUT, section->file, section->line,
                          "found %s, expected the keys of section %s%s%.*s",
                          fr_node_describe(section, found), table->name, *prefix ? "." : "",
                          (int)strlen(prefix) - (*prefix != 0), prefix);
    for (size_t i = 0; i < section->count; i++) {
        const fr_section_item *item = &section->items[i];
        if ((has_kind && strcmp(item->key, "kind") == 0) || is_among(item->key, nested))
            continue;
        snprintf(key, sizeof key, "%s%s", prefix, item->key);
        snprintf(inner, sizeof inner, "%s.", key);
        const fr_option *option = fr_option_find(table, key);
        if (!option && fr_option_is_section(table, inner)) {
            if (!fr_node_is_null(item->value))
                FR_TRY(read_section(table, options, item->value, inner, false, NULL, error));
            continue;
        }
        if (!option)
            return fr_option_unknown(table, "key", key, item->file, item->line, error);
        fr_error local;
        snprintf(subject, sizeof subject, "%s.%s", table->name, key);
        fr_status status = fr_option_read(table, option, options, item->value, subject, &local);
        if (status != FR_OK)
            return fr_fail_at(error, status, item->file, item->line, "%s", local.message);
    }
    return FR_OK;
}

fr_status fr_options_read(const fr_option_table *table, void *options, const fr_section *section,
                          bool has_kind, const char *const *nested, fr_error *error)
{
    if (table->defaults)
        table->defaults(options);
    if (!section)
        return FR_OK;
    fr_status status = read_section(table, options, section, "", has_kind, nested, error);
    if (status != FR_OK) {
        fr_options_free(table, options);
        memset(options, 0, table->size);
    }
    return status;
}

fr_status fr_options_update(const fr_option_table *table, void *options, const fr_section *section,
                            fr_error *error)
{
    return section ? read_section(table, options, section, "", false, NULL, error) : FR_OK;
}

fr_status fr_options_set(const fr_option_table *table, void *options, const char *name,
                         const char *value, fr_error *error)
{
    const fr_option *option = fr_option_find(table, name);
    if (!option)
        return fr_option_unknown(table, "option", name, NULL, 0, error);
    size_t length = strlen(value);
    if (is_list(option) && length > 1 && value[0] == '[' && value[length - 1] == ']') {
        fr_section *node;
        fr_status status = fr_yaml_parse(&node, value, length, name, error);
        if (status == FR_OK)
            status = fr_option_read(table, option, options, node, name, error);
        fr_node_free(node);
        return status;
    }
    char *text = fr_string_copy(value);
    if (!text)
        return fr_fail(error, FR_NO_MEMORY, "no memory for an option");
    fr_section node = {.type = FR_NODE_SCALAR, .text = text, .quoted = true};
    fr_status status = is_list(option)
                           ? add_item(table, option, field(option, options), &node, name, error)
                           : fr_option_read(table, option, options, &node, name, error);
    fr_free(text);
    return status;
}

const fr_kind *fr_section_kind(const fr_section *section, const fr_registry *registry,
                               const char *fallback, fr_error *error)
{
    char found[96];
    const fr_section_item *item = NULL;
    if (section && section->type != FR_NODE_MAPPING) {
        fr_fail_at(error, FR_BAD_INPUT, section->file, section->line,
                   "found %s, expected {kind: %s, ...}", fr_node_describe(section, found),
                   registry->entries[0] ? registry->entries[0]->name : "...");
        return NULL;
    }
    if (section)
        item = fr_node_find(section, "kind");
    if (item && (item->value->type != FR_NODE_SCALAR || fr_node_is_null(item->value))) {
        fr_fail_at(error, FR_BAD_INPUT, item->file, item->line,
                   "kind: found %s, expected the name of a %s",
                   fr_node_describe(item->value, found), registry->point);
        return NULL;
    }
    if (item)
        return fr_registry_require(registry, item->value->text, item->file, item->line, error);
    if (fallback)
        return fr_registry_require(registry, fallback, NULL, 0, error);
    fr_fail_at(error, FR_BAD_INPUT, section ? section->file : "recipe", section ? section->line : 0,
               "no kind of %s is named, expected {kind: %s, ...}", registry->point,
               registry->entries[0] ? registry->entries[0]->name : "...");
    return NULL;
}

void fr_option_describe(const fr_option_table *table, const fr_option *option, fr_buffer *out)
{
    write_type(option, out);
    void *defaults = fr_alloc(table->size, FR_MEMORY_OTHER);
    if (!defaults)
        return;
    if (table->defaults)
        table->defaults(defaults);
    fr_buffer_text(out, "; default ");
    if (option->type == FR_OPTION_STRING && !*(char **)field(option, defaults))
        fr_buffer_text(out, "none");
    else if (option->type == FR_OPTION_FLOAT) {
        char number[FR_FLOAT_TEXT];
        fr_buffer_text(out, fr_float_short(*(const double *)field(option, defaults), number));
    } else
        fr_option_write_value(option, defaults, out);
    fr_options_free(table, defaults);
    fr_free(defaults);
}
