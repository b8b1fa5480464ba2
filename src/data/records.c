/* records.c: lines of a text file as JSON objects. */
#include "data/records.h"
#include "data/stream.h"
#include "frugal/options.h"

#include <string.h>

enum { PIECE = 1 << 16 };

typedef struct reading {
    records *out;
    bool tabs;
    char **names; /* of the columns, from the first line */
    size_t name_count;
    long line;
    fr_error *error;
} reading;

static fr_status no_memory(const reading *r)
{
    return fr_fail(r->error, FR_NO_MEMORY, "no memory to read %s", r->out->path);
}

/* ---- one line ---- */

static fr_status keep(reading *r, json_t *object)
{
    records *out = r->out;
    if (out->count == out->room) {
        int64_t room = out->room ? 2 * out->room : 256;
        json_t **items = fr_realloc(out->items, (size_t)room * sizeof *items, FR_MEMORY_DATA);
        if (items)
            out->items = items;
        long *lines =
            items ? fr_realloc(out->lines, (size_t)room * sizeof *lines, FR_MEMORY_DATA) : NULL;
        if (lines)
            out->lines = lines;
        if (!items || !lines) {
            json_decref(object);
            return no_memory(r);
        }
        out->room = room;
    }
    out->items[out->count] = object;
    out->lines[out->count++] = r->line;
    return FR_OK;
}

static fr_status json_line(reading *r, const char *line, size_t size)
{
    json_error_t problem;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &problem);
    if (!object)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->out->path, r->line, "not JSON: %s (column %d)",
                          problem.text, problem.column);
    if (json_is_object(object))
        return keep(r, object);
    json_decref(object);
    return fr_fail_at(r->error, FR_BAD_INPUT, r->out->path, r->line,
                      "expected an object with named fields");
}

static size_t count_columns(const char *line, size_t size)
{
    size_t count = 1;
    for (size_t i = 0; i < size; i++)
        count += line[i] == '\t';
    return count;
}

/* Two columns of one name would be one field. */
static fr_status check_names(const reading *r)
{
    for (size_t i = 0; i < r->name_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(r->names[i], r->names[k]) == 0)
                return fr_fail_at(r->error, FR_BAD_INPUT, r->out->path, r->line,
                                  "two columns are called '%s'", r->names[i]);
    return FR_OK;
}

static fr_status read_names(reading *r, const char *line, size_t size)
{
    size_t count = count_columns(line, size);
    r->names = fr_alloc_array(count, sizeof *r->names, FR_MEMORY_DATA);
    if (!r->names)
        return no_memory(r);
    for (const char *end = line + size; r->name_count < count; r->name_count++) {
        size_t width = strcspn(line, "\t");
        width = width < (size_t)(end - line) ? width : (size_t)(end - line);
        if (!(r->names[r->name_count] = fr_string_copy_n(line, width)))
            return no_memory(r);
        line += width + 1;
    }
    return check_names(r);
}

static fr_status tab_line(reading *r, const char *line, size_t size)
{
    if (!r->names)
        return read_names(r, line, size);
    size_t count = count_columns(line, size);
    if (count != r->name_count)
        return fr_fail_at(r->error, FR_BAD_INPUT, r->out->path, r->line,
                          "found %zu columns, the first line names %zu", count, r->name_count);
    json_t *object = json_object();
    const char *end = line + size;
    bool whole = object != NULL;
    for (size_t i = 0; i < count && whole; i++) {
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        size_t width = (size_t)((tab ? tab : end) - line);
        whole = !json_object_set_new(object, r->names[i], json_stringn(line, width));
        line += width + 1;
    }
    if (whole)
        return keep(r, object);
    json_decref(object);
    return fr_fail_at(r->error, FR_BAD_INPUT, r->out->path, r->line, "the line is not UTF-8 text");
}

static fr_status take_line(reading *r, const char *line, size_t size)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    if (r->line++ == 0 && strncmp(line, byte_order_mark, 3) == 0) {
        line += 3;
        size -= 3;
    }
    if (size && line[size - 1] == '\r')
        size--;
    if (strspn(line, " \t\r") >= size)
        return FR_OK;
    return r->tabs ? tab_line(r, line, size) : json_line(r, line, size);
}

/* ---- the file ---- */

/* Take the whole lines off the buffer's front; at the end of the file what is left is a line. */
static fr_status take_lines(reading *r, fr_buffer *text, bool last)
{
    size_t begin = 0;
    for (;;) {
        char *at = text->data + begin, *end = memchr(at, '\n', text->size - begin);
        if (!end)
            break;
        *end = 0;
        FR_TRY(take_line(r, at, (size_t)(end - at)));
        begin = (size_t)(end - text->data) + 1;
    }
    if (last && begin < text->size)
        return take_line(r, text->data + begin, text->size - begin);
    text->size -= begin;
    memmove(text->data, text->data + begin, text->size + 1);
    return FR_OK;
}

static fr_status read_stream(reading *r, text_stream *stream, fr_buffer *text)
{
    for (size_t got = 1; got;) {
        if (!fr_buffer_reserve(text, PIECE))
            return no_memory(r);
        FR_TRY(text_stream_read(stream, text->data + text->size, PIECE, &got, r->error));
        text->size += got;
        text->data[text->size] = 0;
        FR_TRY(take_lines(r, text, got == 0));
    }
    return FR_OK;
}

static bool ends_with(const char *name, size_t size, const char *ending)
{
    size_t length = strlen(ending);
    return size >= length && memcmp(name + size - length, ending, length) == 0;
}

/* By the name's ending, behind which there may be that of a packed file. */
static fr_status choose_format(reading *r)
{
    static const char *const lines[] = {".jsonl", ".ndjson", ".jsonlines", ".json"};
    size_t stem;
    packing_of(r->out->path, &stem);
    r->tabs = ends_with(r->out->path, stem, ".tsv");
    for (size_t i = 0; i < sizeof lines / sizeof *lines && !r->tabs; i++)
        if (ends_with(r->out->path, stem, lines[i]))
            return FR_OK;
    return r->tabs ? FR_OK
                   : fr_fail_at(r->error, FR_BAD_INPUT, r->out->path, 0,
                                "examples are JSON lines (.jsonl) or tab-separated values (.tsv)");
}

fr_status records_read(records *out, const char *path, fr_error *error)
{
    *out = (records){.path = fr_string_copy(path)};
    reading r = {.out = out, .error = error};
    text_stream *stream = NULL;
    fr_buffer text = {0};
    fr_status status = out->path ? choose_format(&r) : fr_fail(error, FR_NO_MEMORY, "no memory");
    if (status == FR_OK)
        status = text_stream_open(&stream, path, error);
    if (status == FR_OK)
        status = read_stream(&r, stream, &text);
    if (status == FR_OK && !out->count)
        status = fr_fail_at(error, FR_BAD_INPUT, path, 0, "there is no record");
    if (stream)
        text_stream_close(stream);
    fr_buffer_free(&text);
    for (size_t i = 0; i < r.name_count; i++)
        fr_free(r.names[i]);
    fr_free(r.names);
    if (status != FR_OK)
        records_free(out);
    return status;
}

void records_free(records *records_)
{
    for (int64_t i = 0; i < records_->count; i++)
        json_decref(records_->items[i]);
    fr_free((void *)records_->items);
    fr_free(records_->lines);
    fr_free(records_->path);
    *records_ = (records){.count = 0};
}

/* "there is no field 'txt'; did you mean 'text'? (the record has: ...)" */
fr_status records_missing(const records *records_, int64_t i, const char *field, fr_error *error)
{
    enum { MOST = 64 };
    const char *names[MOST], *name;
    size_t count = 0;
    json_t *value;
    fr_buffer text = {0};
    json_object_foreach(records_->items[i], name, value)
    {
        fr_buffer_printf(&text, "%s%s", count ? ", " : "", name);
        if (count < MOST)
            names[count++] = name;
    }
    const char *nearest = fr_nearest_name(field, names, count);
    RECORD_BAD(records_, i, error, "there is no field '%s'%s%s%s (the record has: %.200s)", field,
               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
               text.data && text.size ? text.data : "none");
    fr_buffer_free(&text);
    return FR_BAD_INPUT;
}

fr_status records_text(const records *records_, int64_t i, const char *field, const char **text,
                       size_t *size, fr_error *error)
{
    const json_t *value = json_object_get(records_->items[i], field);
    if (!value)
        return records_missing(records_, i, field, error);
    if (!json_is_string(value))
        return RECORD_BAD(records_, i, error, "field '%s' is no text", field);
    *text = json_string_value(value);
    if (size)
        *size = json_string_length(value);
    return FR_OK;
}
