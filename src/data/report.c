/* report.c: what went in, what was dropped and why, what came out; as a table for people and as
   JSON. */
#include "data/report.h"
#include "data/filters.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t report_exact_line(void)
{
    return filter_count();
}

size_t report_near_line(void)
{
    return filter_count() + 1;
}

void report_begin(fr_data_report *report, const fr_data_options *options)
{
    *report = (fr_data_report){0};
    for (size_t i = 0; i < filter_count(); i++) {
        const filter *f = filter_at(i);
        fr_data_drop *drop = &report->drops[report->drop_count++];
        snprintf(drop->reason, sizeof drop->reason, "%s", f->base.name);
        if (options->filter || f->always)
            f->rule(options, drop->rule, sizeof drop->rule);
        else
            snprintf(drop->rule, sizeof drop->rule, "off");
    }
    fr_data_drop *exact = &report->drops[report_exact_line()],
                 *near = &report->drops[report_near_line()];
    snprintf(exact->reason, sizeof exact->reason, "exact_duplicate");
    snprintf(exact->rule, sizeof exact->rule,
             options->exact ? "the same text as an earlier document" : "off");
    snprintf(near->reason, sizeof near->reason, "near_duplicate");
    if (options->near)
        snprintf(near->rule, sizeof near->rule,
                 "Jaccard of runs of %d words >= %.3g with an earlier document", SHINGLE,
                 options->similarity);
    else
        snprintf(near->rule, sizeof near->rule, "off");
    report->drop_count += 2;
}

void report_drop(fr_data_report *report, size_t index, size_t bytes)
{
    report->drops[index].documents++;
    report->drops[index].bytes += (int64_t)bytes;
}

void report_drops_text(const fr_data_report *report, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < report->drop_count && used < size; i++)
        if (report->drops[i].documents)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%lld %s", used ? ", " : "",
                                 (long long)report->drops[i].documents, report->drops[i].reason);
}

/* ---- for people ---- */

/* "1.23 MB" */
static const char *bytes_text(int64_t bytes, char text[32])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;
    while (value >= 1000 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 32, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
    return text;
}

static void write_skips(const fr_source_counts *c, fr_buffer *out)
{
    const struct {
        int64_t count;
        const char *name;
    } skips[] = {{c->binary, "binary"},
                 {c->empty, "empty"},
                 {c->hidden, "hidden"},
                 {c->unreadable, "unreadable"}};
    const char *between = "left out in folders: ";
    for (size_t i = 0; i < 4; i++)
        if (skips[i].count) {
            fr_buffer_printf(out, "%s%lld %s", between, (long long)skips[i].count, skips[i].name);
            between = ", ";
        }
    if (between[0] == ',')
        fr_buffer_text(out, "\n");
}

static void write_text(const fr_data_report *r, fr_buffer *out)
{
    char text[32];
    fr_buffer_printf(out, "read         %10lld documents  %10s  from %lld file%s\n",
                     (long long)r->source.documents, bytes_text(r->source.bytes, text),
                     (long long)r->source.files, r->source.files == 1 ? "" : "s");
    for (size_t i = 0; i < r->drop_count; i++) {
        const fr_data_drop *d = &r->drops[i];
        if (d->documents)
            fr_buffer_printf(out, "dropped      %10lld documents  %10s  %s: %s\n",
                             (long long)d->documents, bytes_text(d->bytes, text), d->reason,
                             d->rule);
    }
    fr_buffer_printf(out, "training     %10lld documents  %10s  %lld tokens\n",
                     (long long)r->train_documents, bytes_text(r->train_bytes, text),
                     (long long)r->train_tokens);
    fr_buffer_printf(out, "held out     %10lld documents  %10s  %lld tokens\n",
                     (long long)r->held_out_documents, bytes_text(r->held_out_bytes, text),
                     (long long)r->held_out_tokens);
    int64_t tokens = r->train_tokens + r->held_out_tokens;
    fr_buffer_printf(out, "vocabulary   %10lld entries, %.2f bytes per token\n",
                     (long long)r->vocabulary,
                     tokens ? (double)(r->train_bytes + r->held_out_bytes) / (double)tokens : 0.0);
    write_skips(&r->source, out);
    fr_buffer_printf(out, "in %.1f s (%.1f MB/s)\n", r->seconds,
                     r->seconds > 0 ? (double)r->source.bytes / r->seconds / 1e6 : 0.0);
}

/* ---- as JSON ---- */

/* Where each whole number of the report is in the JSON. */
#define AT(field) offsetof(fr_data_report, field)
static const struct {
    const char *group, *name;
    size_t offset;
} numbers[] = {{"read", "files", AT(source.files)},
               {"read", "documents", AT(source.documents)},
               {"read", "bytes", AT(source.bytes)},
               {"read", "max_document", AT(max_document)},
               {"left_out_files", "binary", AT(source.binary)},
               {"left_out_files", "empty", AT(source.empty)},
               {"left_out_files", "hidden", AT(source.hidden)},
               {"left_out_files", "unreadable", AT(source.unreadable)},
               {"train", "documents", AT(train_documents)},
               {"train", "bytes", AT(train_bytes)},
               {"train", "tokens", AT(train_tokens)},
               {"held_out", "documents", AT(held_out_documents)},
               {"held_out", "bytes", AT(held_out_bytes)},
               {"held_out", "tokens", AT(held_out_tokens)},
               {"tokenizer", "vocabulary", AT(vocabulary)}};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static void write_json(const fr_data_report *r, fr_buffer *out)
{
    json_t *root = json_object(), *drops = json_array();
    for (int i = 0; i < NUMBERS; i++) {
        int64_t value;
        memcpy(&value, (const char *)r + numbers[i].offset, sizeof value);
        if (!json_object_get(root, numbers[i].group))
            json_object_set_new(root, numbers[i].group, json_object());
        json_object_set_new(json_object_get(root, numbers[i].group), numbers[i].name,
                            json_integer(value));
    }
    for (size_t i = 0; i < r->drop_count; i++) {
        const fr_data_drop *d = &r->drops[i];
        json_array_append_new(drops, json_pack("{s:s, s:s, s:I, s:I}", "reason", d->reason, "rule",
                                               d->rule, "documents", (json_int_t)d->documents,
                                               "bytes", (json_int_t)d->bytes));
    }
    json_object_set_new(root, "dropped", drops);
    json_object_set_new(root, "seconds", json_real(r->seconds));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (text)
        fr_buffer_text(out, text);
    else
        out->failed = true;
    fr_buffer_text(out, "\n");
    free(text);
}

void fr_data_report_write(const fr_data_report *report, bool json, fr_buffer *out)
{
    if (json)
        write_json(report, out);
    else
        write_text(report, out);
}

static fr_status read_drops(const json_t *drops, const char *path, fr_data_report *report,
                            fr_error *error)
{
    size_t i;
    json_t *item;
    if (!json_is_array(drops) || json_array_size(drops) > FR_DATA_DROPS)
        return fr_fail(error, FR_BAD_INPUT, "%s: \"dropped\" is not a list of at most %d rules",
                       path, FR_DATA_DROPS);
    json_array_foreach(drops, i, item)
    {
        fr_data_drop *d = &report->drops[i];
        const char *reason, *rule;
        json_int_t documents, bytes;
        if (json_unpack(item, "{s:s, s:s, s:I, s:I}", "reason", &reason, "rule", &rule, "documents",
                        &documents, "bytes", &bytes) != 0)
            return fr_fail(error, FR_BAD_INPUT,
                           "%s: entry %zu of \"dropped\" lacks reason, rule, documents or bytes",
                           path, i);
        snprintf(d->reason, sizeof d->reason, "%s", reason);
        snprintf(d->rule, sizeof d->rule, "%s", rule);
        d->documents = documents;
        d->bytes = bytes;
    }
    report->drop_count = json_array_size(drops);
    return FR_OK;
}

fr_status fr_data_report_read(const char *path, fr_data_report *report, fr_error *error)
{
    enum { LIMIT = 1 << 20 };
    char *text = NULL;
    size_t size;
    json_error_t problem;
    *report = (fr_data_report){0};
    FR_TRY(fr_file_read(path, LIMIT, &text, &size, error));
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    fr_free(text);
    if (!root)
        return fr_fail_at(error, FR_BAD_INPUT, path, problem.line, "not JSON: %s", problem.text);
    fr_status status = FR_OK;
    for (int i = 0; i < NUMBERS && status == FR_OK; i++) {
        const json_t *value =
            json_object_get(json_object_get(root, numbers[i].group), numbers[i].name);
        int64_t number = json_integer_value(value);
        if (!json_is_integer(value))
            status = fr_fail(error, FR_BAD_INPUT, "%s: no whole number \"%s\" in \"%s\"", path,
                             numbers[i].name, numbers[i].group);
        memcpy((char *)report + numbers[i].offset, &number, sizeof number);
    }
    if (status == FR_OK)
        status = read_drops(json_object_get(root, "dropped"), path, report, error);
    report->seconds = json_number_value(json_object_get(root, "seconds"));
    json_decref(root);
    return status;
}
