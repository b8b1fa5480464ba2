/* jsonl.c: JSON lines: each line is an object, its "text" (data.text_key names another) is a
   document. A line that is not that is an error with its number, in a folder too: a record format
   with broken records should not lose them silently.

   JSON holds Unicode only. Bytes that are not valid UTF-8 may be written as lone surrogates, byte b
   as \udcXX with XX = b in hexadecimal (Python's "surrogateescape", PEP 383), and are given back as
   those bytes; held_out.jsonl is written so. The JSON library refuses lone surrogates, so they are
   put through it as a mark that no honest line holds: the characters 1, 2 and the byte. */
#include "data/format.h"

#include <jansson.h>
#include <string.h>

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "a number",
                                        "a number",  "true",     "false",    "null"};
    return names[json_typeof(value)];
}

/* ---- bytes as lone surrogates ---- */

/* The code of the escape "\uXXXX" at `at`, -1: there is none. */
static int escape_at(const char *line, size_t size, size_t at)
{
    int code = 0;
    if (at + 6 > size || line[at] != '\\' || line[at + 1] != 'u')
        return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        char c = line[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* Copy the line with each escaped byte as a mark. false: it has none, nothing was copied. */
static bool mark_bytes(const char *line, size_t size, fr_buffer *marked)
{
    size_t copied = 0;
    if (!memmem(line, size, "\\ud", 3) && !memmem(line, size, "\\uD", 3))
        return false;
    for (size_t at = 0; at < size;) {
        int code = escape_at(line, size, at);
        if (code >= 0xD800 && code < 0xDC00 && escape_at(line, size, at + 6) >= 0xDC00) {
            at += 12; /* a pair */
        } else if (code >= 0xDC80 && code <= 0xDCFF) {
            fr_buffer_append(marked, line + copied, at - copied);
            fr_buffer_printf(marked, "\\u0001\\u0002\\u%04x", code - 0xDC00);
            copied = at += 6;
        } else {
            at += line[at] == '\\' ? 2 : 1;
        }
    }
    if (copied)
        fr_buffer_append(marked, line + copied, size - copied);
    return copied > 0;
}

/* Turn the marks of a decoded text into their bytes. */
static void unmark_bytes(fr_buffer *text)
{
    size_t out = 0;
    unsigned char *t = (unsigned char *)text->data;
    for (size_t at = 0; at < text->size; out++) {
        bool mark =
            at + 4 <= text->size && t[at] == 1 && t[at + 1] == 2 && (t[at + 2] & 0xFE) == 0xC2;
        unsigned byte = mark ? (t[at + 2] & 1U) << 6 | (t[at + 3] & 0x3FU) | 0x80U : t[at];
        t[out] = (unsigned char)byte;
        at += mark ? 4 : 1;
    }
    text->size = out;
    t[out] = 0;
}

/* ---- records ---- */

static fr_status read_record(const char *line, size_t size, const fr_source_options *options,
                             const char *path, int64_t line_number, fr_buffer *text,
                             fr_error *error)
{
    json_error_t problem;
    /* as reals, because other keys may hold integers beyond 63 bits: hashes and ids do */
    const size_t how = JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL;
    json_t *root = json_loadb(line, size, how, &problem);
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

static fr_status record(const char *line, size_t size, const fr_source_options *options,
                        const char *path, int64_t line_number, fr_buffer *text, fr_error *error)
{
    fr_buffer marked = {0};
    if (!mark_bytes(line, size, &marked))
        return read_record(line, size, options, path, line_number, text, error);
    fr_status status = marked.failed ? fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path)
                                     : read_record(marked.data, marked.size, options, path,
                                                   line_number, text, error);
    if (status == FR_OK && !text->failed)
        unmark_bytes(text);
    fr_buffer_free(&marked);
    return status;
}

static const char *const endings[] = {".jsonl", ".ndjson", ".jsonlines", NULL};

const format format_jsonl = {
    .base = {.name = "jsonl",
             .summary = "JSON lines: the \"text\" of each record (.jsonl, .ndjson, .jsonlines)"},
    .endings = endings,
    .record = record,
};
