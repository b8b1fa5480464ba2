/* jsonl.c: JSON lines: each line is an object, its "text" (data.text_key names another) is a document. A line that is not that is
   an error with its number, in a folder too: a record format with broken records should not lose them silently. */
#include "data/format.h"

#include <jansson.h>
#include <string.h>

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    return names[json_typeof(value)];
}

static fr_status record(const char *line, size_t size, const fr_source_options *options,
                        const char *path, int64_t line_number, fr_buffer *text, fr_error *error)
{
    json_error_t problem;
    json_t *root = json_loadb(line, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, &problem);
    fr_status status = FR_OK;
    const char *key = options->text_key;
    json_t *value = json_is_object(root) ? json_object_get(root, key) : NULL;
    fr_buffer_clear(text);
    if (!root)
        status = fr_fail_at(error, FR_BAD_INPUT, path, (long)line_number,
                            "not JSON: %s (column %d)", problem.text, problem.column);
    else if (!json_is_object(root))
        status = fr_fail_at(error, FR_BAD_INPUT, path, (long)line_number,
                            "found %s, expected an object with \"%s\"", type_name(root), key);
    else if (!value)
        status = fr_fail_at(error, FR_BAD_INPUT, path, (long)line_number,
                            "no \"%s\" in this record (data.text_key names another key)", key);
    else if (!json_is_string(value))
        status = fr_fail_at(error, FR_BAD_INPUT, path, (long)line_number,
                            "\"%s\" is %s, expected a string", key, type_name(value));
    else
        fr_buffer_append(text, json_string_value(value), json_string_length(value));
    json_decref(root);
    return status;
}

static const char *const endings[] = {".jsonl", ".ndjson", ".jsonlines", NULL};

const format format_jsonl = {
    .base = {.name = "jsonl",
             .summary = "JSON lines: the \"text\" of each record (.jsonl, .ndjson, .jsonlines)"},
    .endings = endings,
    .record = record,
};
