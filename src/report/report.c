/* report.c: gathers what a run folder holds into one JSON object and puts it into the page.

   The page is page.html with page.css and page.js inside (embed.py turns them into strings when
   frugal is built) and the data in a script element of type application/json. In there only "<"
   could do harm (it could end the element or open a comment), so it is written as \u003c; the
   page's own code sets texts, never markup. */
#include "frugal/report.h"

#include "report/metrics.h"
#include "report/page.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_SAMPLES = 64, LONGEST_SAMPLE = 4000, LARGEST_FILE = 4 << 20, MOST_RECIPE = 256 << 10 };

/* Files of a run that are one JSON object each, and the key under which the page finds them. */
static const struct {
    const char *key, *file;
} parts[] = {
    {"summary", "summary.json"}, {"machine", "machine.json"},  {"make", "make.json"},
    {"result", "result.json"},   {"data", "data/report.json"},
};

/* ---- pieces ---------------------------------------------------------------------------------- */

/* A string of characters from any bytes: what is not UTF-8 becomes '?'. */
static json_t *text_value(const char *text, size_t size)
{
    json_t *value = json_stringn(text, size);
    if (value)
        return value;
    char *copy = fr_string_copy_n(text, size);
    for (size_t i = 0; copy && i < size; i++)
        copy[i] = (unsigned char)copy[i] < 0x80 ? copy[i] : '?';
    value = copy ? json_stringn(copy, size) : NULL;
    fr_free(copy);
    return value;
}

/* A file's JSON object, or null when it is missing or broken: a report of what is there is better
   than none. */
static json_t *read_object(const char *folder, const char *file)
{
    char *path = fr_path_join(folder, file), *text = NULL;
    size_t size = 0;
    json_t *value = NULL;
    if (path && fr_path_exists(path)) {
        if (fr_file_read(path, LARGEST_FILE, &text, &size, NULL) == FR_OK)
            value = json_loadb(text, size, 0, NULL);
        if (!value)
            fr_log(FR_LOG_WARNING, "%s: cannot be read as JSON, the report leaves it out", path);
    }
    fr_free(text);
    fr_free(path);
    return value ? value : json_null();
}

static json_t *read_recipe(const char *folder)
{
    char *path = fr_path_join(folder, "recipe.yaml"), *text = NULL;
    size_t size = 0;
    json_t *value = NULL;
    if (path && fr_path_exists(path) &&
        fr_file_read(path, MOST_RECIPE, &text, &size, NULL) == FR_OK)
        value = text_value(text, size);
    fr_free(text);
    fr_free(path);
    return value ? value : json_null();
}

/* The last two names of the folder's path say which run it is. */
static json_t *title_of(const char *folder)
{
    char *full = realpath(folder, NULL);
    const char *name = full ? full : folder, *begin = name + strlen(name);
    for (int slashes = 0; begin > name; begin--)
        if (begin[-1] == '/' && ++slashes == 2)
            break;
    json_t *value = text_value(begin, strlen(begin));
    free(full);
    return value;
}

/* ---- samples --------------------------------------------------------------------------------- */

static double step_of(const json_t *list, size_t index)
{
    return json_number_value(json_object_get(json_array_get(list, index), "step"));
}

/* Long texts are cut at a character. */
static void shorten(json_t *sample, const char *key)
{
    const char *text = json_string_value(json_object_get(sample, key));
    if (!text || strlen(text) <= LONGEST_SAMPLE)
        return;
    size_t size = LONGEST_SAMPLE;
    while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80)
        size--;
    char *copy = fr_format("%.*s\xE2\x80\xA6", (int)size, text);
    json_object_set_new(sample, key, json_string(copy ? copy : ""));
    fr_free(copy);
}

/* report_line: keep samples of steps all over the run; when there are too many, those of every
   second step go. */
static bool add_sample(void *context, json_t *sample)
{
    json_t *list = context;
    while (json_array_size(list) > 0 && step_of(list, json_array_size(list) - 1) >
                                            json_number_value(json_object_get(sample, "step")))
        json_array_remove(list, json_array_size(list) - 1);
    shorten(sample, "text");
    shorten(sample, "prompt");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), sample)) /* written again after a resume */
            return true;
    json_array_append(list, sample);
    if (json_array_size(list) <= MOST_SAMPLES)
        return true;
    bool drop = false;
    double step = step_of(list, 0), newest = step_of(list, json_array_size(list) - 1);
    for (size_t i = 0; i < json_array_size(list);) {
        if (step_of(list, i) != step) {
            step = step_of(list, i);
            drop = !drop && step != newest;
        }
        if (drop)
            json_array_remove(list, i);
        else
            i++;
    }
    if (json_array_size(list) > MOST_SAMPLES) /* all of few steps */
        json_array_remove(list, 0);
    return true;
}

/* ---- the page -------------------------------------------------------------------------------- */

static fr_status gather(const char *folder, fr_buffer *data, fr_error *error)
{
    json_t *head = json_object(), *samples = json_array();
    char *metrics = fr_path_join(folder, "metrics.jsonl"),
         *sample_path = fr_path_join(folder, "samples.jsonl");
    int64_t skipped = 0;
    fr_status status = head && samples && metrics && sample_path
                           ? FR_OK
                           : fr_fail(error, FR_NO_MEMORY, "%s: no memory", folder);
    if (status == FR_OK) {
        json_object_set_new(head, "title", title_of(folder));
        json_object_set_new(head, "version", json_string(fr_version()));
        json_object_set_new(head, "written", json_integer((json_int_t)time(NULL)));
        json_object_set_new(head, "recipe", read_recipe(folder));
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            json_object_set_new(head, parts[i].key, read_object(folder, parts[i].file));
        status = report_lines(sample_path, add_sample, samples, &skipped, error);
    }
    if (status == FR_OK) {
        fr_buffer_text(data, "{\"run\":");
        report_json(head, data);
        fr_buffer_text(data, ",\"samples\":");
        report_json(samples, data);
        fr_buffer_text(data, ",\"metrics\":");
        status = report_metrics(metrics, data, error);
        fr_buffer_text(data, "}");
    }
    json_decref(head);
    json_decref(samples);
    fr_free(metrics);
    fr_free(sample_path);
    return status;
}

/* The data as it may stand in a script element. */
static void write_data(fr_writer *writer, const fr_buffer *data)
{
    for (size_t done = 0; done < data->size;) {
        const char *from = data->data + done, *harm = memchr(from, '<', data->size - done);
        size_t plain = harm ? (size_t)(harm - from) : data->size - done;
        fr_writer_write(writer, from, plain);
        if (harm)
            fr_writer_write(writer, "\\u003c", 6);
        done += plain + (harm != NULL);
    }
}

fr_status fr_report_write(const char *folder, fr_error *error)
{
    if (!fr_path_is_folder(folder))
        return fr_fail(error, FR_BAD_INPUT, "%s: no such folder; expected the folder of a run",
                       folder);
    fr_buffer data = {0};
    fr_writer *writer = NULL;
    char *path = fr_path_join(folder, "report.html");
    fr_status status =
        path ? gather(folder, &data, error) : fr_fail(error, FR_NO_MEMORY, "%s: no memory", folder);
    if (status == FR_OK && data.failed)
        status = fr_fail(error, FR_NO_MEMORY, "%s: no memory for the report", folder);
    if (status == FR_OK)
        status = fr_writer_open(&writer, path, error);
    if (status == FR_OK) {
        fr_writer_write(writer, report_page_before, report_page_before_size);
        write_data(writer, &data);
        fr_writer_write(writer, report_page_after, report_page_after_size);
        status = fr_writer_commit(writer, error);
    }
    fr_buffer_free(&data);
    fr_free(path);
    return status;
}
