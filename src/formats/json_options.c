/* json_options.c: options of a table from JSON, and as JSON. A name's dots lead into objects: what
   "text_config.hidden_size" names is the field hidden_size of the object text_config.

   Every value goes through the text that fr_options_set reads, so that types and ranges are checked in
   one place. */
#include "frugal/formats.h"
#include "frugal/options.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MOST_SECTION = 192 };

/* ---- reading ---- */

const json_t *fr_json_lookup(const json_t *json, const char *name)
{
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
        char section[MOST_SECTION];
        snprintf(section, sizeof section, "%.*s", (int)(dot - name), name);
        json = json_object_get(json, section);
    }
    return json_object_get(json, name);
}

/* A JSON value as the text that fr_options_set reads; false: not of the option's type. */
static bool value_text(const fr_option *option, const json_t *value, fr_buffer *text)
{
    if ((option->type == FR_OPTION_STRING || option->type == FR_OPTION_CHOICE) &&
        json_is_string(value))
        fr_buffer_text(text, json_string_value(value));
    else if (option->type == FR_OPTION_BOOL && json_is_boolean(value))
        fr_buffer_text(text, json_is_true(value) ? "true" : "false");
    else if (option->type == FR_OPTION_INT && json_is_integer(value))
        fr_buffer_printf(text, "%lld", (long long)json_integer_value(value));
    else if (option->type == FR_OPTION_FLOAT && json_is_number(value))
        fr_buffer_printf(text, "%.17g", json_number_value(value));
    else
        return false;
    return true;
}

/* One of a list: a number, or a string without characters that YAML would read otherwise. */
static bool item_text(const json_t *value, bool number, fr_buffer *text)
{
    const char *item = json_string_value(value);
    if (number && json_is_number(value))
        fr_buffer_printf(text, "%.17g", json_number_value(value));
    else if (!number && item &&
             strspn(item, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(item))
        fr_buffer_text(text, item);
    else
        return false;
    return true;
}

/* A list; a number alone is a list of one. */
static bool list_text(const json_t *value, bool numbers, fr_buffer *text)
{
    bool list = json_is_array(value);
    size_t count = list ? json_array_size(value) : 1;
    if (!list && !numbers)
        return false;
    fr_buffer_text(text, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            fr_buffer_text(text, ", ");
        if (!item_text(list ? json_array_get(value, i) : value, numbers, text))
            return false;
    }
    fr_buffer_text(text, "]");
    return true;
}

fr_status fr_json_option_read(const fr_option_table *table, const fr_option *option, void *options,
                              const json_t *value, const char *path, fr_error *error)
{
    fr_buffer text = {0};
    bool numbers = option->type == FR_OPTION_FLOATS;
    bool fits = numbers || option->type == FR_OPTION_STRINGS ? list_text(value, numbers, &text)
                                                             : value_text(option, value, &text);
    fr_status status;
    if (text.failed)
        status = fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    else if (!fits)
        status =
            fr_fail_at(error, FR_BAD_INPUT, path, 0, "field '%s' has the wrong type", option->name);
    else if ((status = fr_options_set(table, options, option->name, text.data, error)) != FR_OK)
        fr_error_prefix(error, "%s", path);
    fr_buffer_free(&text);
    return status;
}

/* ---- writing ---- */

static json_t *list_json(const fr_strings *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    return array;
}

/* A whole number without a point. */
static json_t *number_json(double number)
{
    bool whole = number < 1e15 && number > -1e15 && number == (double)(int64_t)number;
    return whole ? json_integer((json_int_t)number) : json_real(number);
}

/* A list of one is written as a number. */
static json_t *numbers_json(const fr_floats *list)
{
    if (list->count <= 1)
        return list->count ? number_json(list->items[0]) : json_null();
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, number_json(list->items[i]));
    return array;
}

static json_t *field_json(const fr_option *option, const void *field)
{
    switch (option->type) {
    case FR_OPTION_INT: {
        int64_t number = *(const int64_t *)field;
        return number == -1 ? json_null() : json_integer(number);
    }
    case FR_OPTION_FLOAT:
        return json_real(*(const double *)field);
    case FR_OPTION_BOOL:
        return json_boolean(*(const bool *)field);
    case FR_OPTION_STRING: {
        const char *text = *(char *const *)field;
        return text ? json_string(text) : json_null();
    }
    case FR_OPTION_CHOICE:
        return json_string(option->choices[*(const int *)field]);
    case FR_OPTION_STRINGS:
        return ((const fr_strings *)field)->count ? list_json(field) : json_null();
    case FR_OPTION_FLOATS:
        return numbers_json(field);
    default:
        return NULL; /* no configuration has such a field */
    }
}

/* Put a value under a name, whose dots lead into objects, which are made. Takes the value. */
static bool put(json_t *json, const char *name, json_t *value)
{
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
        char section[MOST_SECTION];
        snprintf(section, sizeof section, "%.*s", (int)(dot - name), name);
        json_t *inner = json_object_get(json, section);
        if (!inner) {
            inner = json_object();
            json_object_set_new(json, section, inner);
        }
        json = inner;
    }
    return json_object_set_new(json, name, value) == 0;
}

fr_status fr_json_option_write(const fr_option *option, const void *options, json_t *json,
                               fr_error *error)
{
    const void *field = (const char *)options + option->offset;
    return put(json, option->name, field_json(option, field))
               ? FR_OK
               : fr_fail(error, FR_NO_MEMORY, "cannot write field '%s' of a configuration",
                         option->name);
}
