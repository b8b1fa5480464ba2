/* metrics.c: from one line per step to at most MOST points, in one pass and constant memory.

   Steps are collected in buckets of equally many lines. When all buckets are full, neighbours are
   merged and buckets hold twice as many. A bucket keeps what its lines say at their end (position),
   on average (loss, rates), at most (memory), and the range of the loss, so that a spike stays
   visible in a run of any length.

   A run that was killed goes on from its last checkpoint and writes some steps again: a step that
   is not beyond the last one takes the place of what was there. */
#include "report/metrics.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { MOST = 2000, MOST_EVALUATIONS = 500, LONGEST_LINE = 1 << 20 };

typedef enum combine { LAST, MEAN } combine;

static const struct {
    const char *name;
    combine how;
} columns[] = {
    {"step", LAST},        {"tokens", LAST},     {"seconds", LAST},           {"flops", LAST},
    {"loss_smooth", LAST}, {"loss", MEAN},       {"tokens_per_second", MEAN}, {"lr", MEAN},
    {"grad_norm", MEAN},   {"peak_share", MEAN},
};
enum { STEP = 0, LOSS = 5, COLUMNS = sizeof columns / sizeof *columns };

typedef struct bucket {
    int64_t lines, first_step;
    double value[COLUMNS]; /* the last one, or the sum */
    int64_t count[COLUMNS];
    double lowest, highest; /* loss */
    double memory[FR_MEMORY_KINDS];
} bucket;

typedef struct metrics {
    bucket *buckets; /* (MOST) */
    size_t count;
    int64_t lines_per_bucket, lines;
    json_t *evaluations, *phases;
} metrics;

/* ---- lines of JSON --------------------------------------------------------------------------- */

fr_status report_lines(const char *path, report_line *line, void *context, int64_t *skipped,
                       fr_error *error)
{
    if (!fr_path_exists(path))
        return FR_OK;
    fr_map map;
    FR_TRY(fr_map_open(&map, path, error));
    const char *at = (const char *)map.data, *end = at + map.size;
    for (bool more = true; more && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        json_t *object = size > 0 && size <= LONGEST_LINE ? json_loadb(at, size, 0, NULL) : NULL;
        if (json_is_object(object))
            more = line(context, object);
        else
            *skipped += size > 0;
        json_decref(object);
        at += size + 1;
    }
    fr_map_close(&map);
    return FR_OK;
}

void report_json(const json_t *value, fr_buffer *out)
{
    char *text =
        value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(7)) : NULL;
    if (!text && value)
        out->failed = true;
    fr_buffer_text(out, text ? text : "null");
    free(text);
}

/* ---- buckets --------------------------------------------------------------------------------- */

static void clear(bucket *b)
{
    *b = (bucket){.lowest = INFINITY, .highest = -INFINITY};
    for (int k = 0; k < FR_MEMORY_KINDS; k++)
        b->memory[k] = NAN;
}

/* `later` follows `b`. */
static void merge(bucket *b, const bucket *later)
{
    b->lines += later->lines;
    for (int c = 0; c < COLUMNS; c++) {
        if (later->count[c] == 0)
            continue;
        b->value[c] = columns[c].how == LAST ? later->value[c] : b->value[c] + later->value[c];
        b->count[c] += later->count[c];
    }
    b->lowest = fmin(b->lowest, later->lowest);
    b->highest = fmax(b->highest, later->highest);
    for (int k = 0; k < FR_MEMORY_KINDS; k++)
        b->memory[k] = fmax(b->memory[k], later->memory[k]);
}

/* Half as many buckets, each twice as long. */
static void halve(metrics *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i += 2) {
        m->buckets[kept] = m->buckets[i];
        if (i + 1 < m->count)
            merge(&m->buckets[kept], &m->buckets[i + 1]);
        kept++;
    }
    m->count = kept;
    m->lines_per_bucket *= 2;
}

static void read_step(const json_t *line, bucket *b)
{
    clear(b);
    b->lines = 1;
    for (int c = 0; c < COLUMNS; c++) {
        const json_t *value = json_object_get(line, columns[c].name);
        if (json_is_number(value)) {
            b->value[c] = json_number_value(value);
            b->count[c] = 1;
        }
    }
    b->first_step = (int64_t)b->value[STEP];
    if (b->count[LOSS])
        b->lowest = b->highest = b->value[LOSS];
    const json_t *memory = json_object_get(line, "memory");
    for (int k = 0; k < FR_MEMORY_KINDS; k++) {
        const json_t *value = json_object_get(memory, fr_memory_kind_name((fr_memory_kind)k));
        if (json_is_number(value))
            b->memory[k] = json_number_value(value);
    }
}

static void add_step(metrics *m, const json_t *line)
{
    bucket b;
    read_step(line, &b);
    while (m->count > 0 && m->buckets[m->count - 1].first_step >= b.first_step)
        m->count--;
    m->lines++;
    if (m->count > 0 && m->buckets[m->count - 1].lines < m->lines_per_bucket) {
        merge(&m->buckets[m->count - 1], &b);
        return;
    }
    if (m->count == MOST)
        halve(m);
    m->buckets[m->count++] = b;
}

/* ---- evaluations and phases ------------------------------------------------------------------ */

static int64_t step_of(const json_t *object)
{
    return (int64_t)json_number_value(json_object_get(object, "step"));
}

/* Keep an evaluation; when there are too many, every second one goes. */
static void add_evaluation(metrics *m, json_t *line)
{
    json_t *list = m->evaluations;
    while (json_array_size(list) > 0 &&
           step_of(json_array_get(list, json_array_size(list) - 1)) >= step_of(line))
        json_array_remove(list, json_array_size(list) - 1);
    if (json_array_size(list) == MOST_EVALUATIONS)
        for (size_t i = 1; i < json_array_size(list); i++)
            json_array_remove(list, i);
    json_array_append(list, line);
}

static void add_phase(metrics *m, const json_t *line)
{
    json_t *name = json_object_get(line, "phase");
    size_t count = json_array_size(m->phases);
    const json_t *last =
        count ? json_object_get(json_array_get(m->phases, count - 1), "name") : NULL;
    if (name && !json_is_null(name) && count < 100 && !json_equal(name, (json_t *)last))
        json_array_append_new(
            m->phases, json_pack("{s:O, s:I}", "name", name, "step", (json_int_t)step_of(line)));
}

static bool add_line(void *context, json_t *line)
{
    metrics *m = context;
    if (!json_is_number(json_object_get(line, "step")))
        return true;
    if (json_object_get(line, "held_out") || json_object_get(line, "held_out_loss"))
        add_evaluation(m, line);
    if (json_object_get(line, "loss"))
        add_step(m, line);
    add_phase(m, line);
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_number(double value, fr_buffer *out)
{
    if (isfinite(value))
        fr_buffer_printf(out, "%.6g", value);
    else
        fr_buffer_text(out, "null");
}

/* Positions are exact. */
static void write_value(const bucket *b, int column, fr_buffer *out)
{
    double value = b->count[column] == 0 ? NAN : b->value[column];
    if (columns[column].how == MEAN)
        write_number(value / (double)b->count[column], out);
    else if (isfinite(value) && column < 2)
        fr_buffer_printf(out, "%.0f", value);
    else
        write_number(value, out);
}

static void write_steps(const metrics *m, fr_buffer *out)
{
    fr_buffer_text(out, "{");
    for (int c = 0; c < COLUMNS; c++) {
        fr_buffer_printf(out, "\"%s\":[", columns[c].name);
        for (size_t i = 0; i < m->count; i++) {
            fr_buffer_text(out, i ? "," : "");
            write_value(&m->buckets[i], c, out);
        }
        fr_buffer_text(out, "],");
    }
    for (int high = 0; high < 2; high++) {
        fr_buffer_text(out, high ? "\"loss_high\":[" : "\"loss_low\":[");
        for (size_t i = 0; i < m->count; i++) {
            fr_buffer_text(out, i ? "," : "");
            write_number(high ? m->buckets[i].highest : m->buckets[i].lowest, out);
        }
        fr_buffer_text(out, "],");
    }
    fr_buffer_text(out, "\"memory\":{");
    for (int k = 0; k < FR_MEMORY_KINDS; k++) {
        fr_buffer_printf(out, "%s\"%s\":[", k ? "," : "", fr_memory_kind_name((fr_memory_kind)k));
        for (size_t i = 0; i < m->count; i++) {
            fr_buffer_text(out, i ? "," : "");
            write_number(m->buckets[i].memory[k], out);
        }
        fr_buffer_text(out, "]");
    }
    fr_buffer_text(out, "}}");
}

fr_status report_metrics(const char *path, fr_buffer *out, fr_error *error)
{
    metrics m = {.lines_per_bucket = 1,
                 .buckets = fr_alloc_array(MOST, sizeof *m.buckets, FR_MEMORY_OTHER),
                 .evaluations = json_array(),
                 .phases = json_array()};
    int64_t skipped = 0;
    fr_status status = m.buckets && m.evaluations && m.phases
                           ? report_lines(path, add_line, &m, &skipped, error)
                           : fr_fail(error, FR_NO_MEMORY, "%s: no memory", path);
    if (status == FR_OK) {
        fr_buffer_text(out, "{\"steps\":");
        write_steps(&m, out);
        fr_buffer_text(out, ",\"evaluations\":");
        report_json(m.evaluations, out);
        fr_buffer_text(out, ",\"phases\":");
        report_json(m.phases, out);
        fr_buffer_printf(out, ",\"lines\":%lld,\"skipped\":%lld}", (long long)m.lines,
                         (long long)skipped);
    }
    json_decref(m.evaluations);
    json_decref(m.phases);
    fr_free(m.buckets);
    return status;
}
