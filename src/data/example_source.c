/* example_source.c: micro-batches of examples.

   The order of an epoch is a keyed permutation. It is cut into windows of some batches; inside a window examples are sorted by length,
   so that rows of a batch are about equally long and little is padding, and the batches of the window are shuffled again. All of it
   depends on (seed, epoch) alone. The last batch of an epoch may be smaller. */
#include "data/examples.h"
#include "frugal/operators.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 32 }; /* batches */

typedef struct ordered {
    int64_t example, length;
} ordered;

typedef struct example_source {
    const fr_examples *examples;
    int64_t rows; /* examples of a micro-batch */
    uint64_t seed;
    bool scoring;
    int64_t epoch;    /* whose order is in `order`, -1: none */
    ordered *order;   /* (count) */
    int64_t *batches; /* (per_epoch): which batch of the order stands there */
    int64_t *last;    /* examples of the micro-batch that was read last */
    int64_t last_count;
} example_source;

/* ---- the order of an epoch ---- */

static int64_t length_of(const fr_examples *e, int64_t i)
{
    int64_t longest = 0;
    for (int64_t k = 0; k < e->rows_each && e->rows.count; k++) {
        int64_t length = id_lists_length(&e->rows, i * e->rows_each + k);
        longest = length > longest ? length : longest;
    }
    return longest;
}

static int by_length(const void *a, const void *b)
{
    const ordered *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return x->example < y->example ? -1 : x->example > y->example;
}

static void sort_windows(example_source *s, int64_t count, int64_t epoch)
{
    int64_t window = WINDOW * s->rows, whole = count / s->rows;
    for (int64_t begin = 0; begin < count; begin += window) {
        int64_t size = count - begin < window ? count - begin : window;
        qsort(s->order + begin, (size_t)size, sizeof *s->order, by_length);
    }
    /* The incomplete batch stays the last one. */
    for (int64_t begin = 0; begin < whole; begin += WINDOW) {
        int64_t size = whole - begin < WINDOW ? whole - begin : WINDOW;
        for (int64_t k = 0; k < size; k++)
            s->batches[begin + k] =
                begin + (int64_t)fr_random_permute((uint64_t)k, (uint64_t)size, s->seed,
                                                   FR_RANDOM_SHUFFLE,
                                                   (uint64_t)(epoch * (whole + 1) + begin + 1));
    }
    if (whole * s->rows < count)
        s->batches[whole] = whole;
}

static void enter(example_source *s, int64_t epoch)
{
    const fr_examples *e = s->examples;
    int64_t count = e->records.count;
    if (s->epoch == epoch || (s->scoring && s->epoch >= 0))
        return;
    for (int64_t i = 0; i < count; i++) {
        int64_t example = s->scoring
                              ? i
                              : (int64_t)fr_random_permute((uint64_t)i, (uint64_t)count, s->seed,
                                                           FR_RANDOM_SHUFFLE, (uint64_t)epoch);
        s->order[i] = (ordered){example, length_of(e, example)};
        s->batches[i / s->rows] = i / s->rows;
    }
    if (s->scoring)
        qsort(s->order, (size_t)count, sizeof *s->order, by_length);
    else
        sort_windows(s, count, epoch);
    s->epoch = epoch;
}

/* ---- one micro-batch ---- */

typedef struct filling {
    const fr_examples *e;
    const ordered *chosen; /* (count) */
    int64_t count;
    fr_micro_batch *micro;
} filling;

/* Lists `each` of every chosen example as a table (count * each, longest), filled up with `padding`. */
static bool fill_table(const filling *f, fr_field field, const id_lists *lists, int64_t each,
                       int32_t padding)
{
    int64_t longest = 1;
    for (int64_t i = 0; i < f->count * each; i++) {
        int64_t length = id_lists_length(lists, f->chosen[i / each].example * each + i % each);
        longest = length > longest ? length : longest;
    }
    int32_t *out =
        fr_micro_batch_set(f->micro, field, FR_I32, 2, (const int64_t[]){f->count * each, longest});
    for (int64_t i = 0; out && i < f->count * each; i++, out += longest) {
        int64_t list = f->chosen[i / each].example * each + i % each;
        int64_t length = id_lists_length(lists, list);
        if (length)
            memcpy(out, lists->ids + lists->begin[list], (size_t)length * sizeof *out);
        for (int64_t t = length; t < longest; t++)
            out[t] = padding;
    }
    return fr_micro_batch_get(f->micro, field) != NULL;
}

static bool fill_lengths(const filling *f)
{
    int64_t each = f->e->rows_each, rows = f->count * each;
    int32_t *out = fr_micro_batch_set(f->micro, FR_FIELD_LENGTHS, FR_I32, 1, &rows);
    for (int64_t i = 0; out && i < rows; i++)
        out[i] =
            (int32_t)id_lists_length(&f->e->rows, f->chosen[i / each].example * each + i % each);
    return out != NULL;
}

static bool fill_text(const filling *f)
{
    const fr_examples *e = f->e;
    const fr_model *model = e->encoding.model;
    int32_t pad = model->pad >= 0 ? (int32_t)model->pad : 0;
    bool whole = fill_table(f, FR_FIELD_IDS, &e->rows, e->rows_each, pad) && fill_lengths(f);
    if (whole && e->typed && model->token_types > 1)
        whole = fill_table(f, FR_FIELD_TYPES, &e->types, e->rows_each, 0);
    if (whole && e->tags.count)
        whole = fill_table(f, FR_FIELD_TARGETS, &e->tags, 1, FR_IGNORE);
    return whole;
}

/* The decoder reads its start and then the target, one step behind what it is to say. */
static bool fill_targets(const filling *f)
{
    const fr_model *model = f->e->encoding.model;
    int32_t pad = model->pad >= 0 ? (int32_t)model->pad : 0;
    if (!fill_table(f, FR_FIELD_TARGETS, &f->e->targets, 1, FR_IGNORE))
        return false;
    const int64_t *shape = f->micro->fields[FR_FIELD_TARGETS].shape;
    const int32_t *targets = fr_micro_batch_get(f->micro, FR_FIELD_TARGETS);
    int32_t *ids = fr_micro_batch_set(f->micro, FR_FIELD_DECODER_IDS, FR_I32, 2, shape);
    for (int64_t i = 0; ids && i < shape[0] * shape[1]; i++)
        ids[i] = i % shape[1] == 0             ? (int32_t)model->decoder_start
                 : targets[i - 1] == FR_IGNORE ? pad
                                               : targets[i - 1];
    return ids != NULL;
}

static bool fill_labels(const filling *f)
{
    const fr_examples *e = f->e;
    if (e->values) {
        float *out = fr_micro_batch_set(f->micro, FR_FIELD_LABELS, FR_F32, 2,
                                        (const int64_t[]){f->count, e->value_width});
        for (int64_t i = 0; out && i < f->count; i++)
            memcpy(out + i * e->value_width, e->values + f->chosen[i].example * e->value_width,
                   (size_t)e->value_width * sizeof *out);
        return out != NULL;
    }
    int32_t *out = fr_micro_batch_set(f->micro, FR_FIELD_LABELS, FR_I32, 1, &f->count);
    for (int64_t i = 0; out && i < f->count; i++)
        out[i] = e->classes[f->chosen[i].example];
    return out != NULL;
}

/* The file of a picture stands beside the file of examples. */
static char *image_path(const fr_examples *e, int64_t example)
{
    const char *name = json_string_value(
        json_object_get(e->records.items[example], examples_field(e, FIELD_IMAGE)));
    const char *slash = strrchr(e->records.path, '/');
    if (!slash || name[0] == '/')
        return fr_string_copy(name);
    return fr_format("%.*s/%s", (int)(slash - e->records.path), e->records.path, name);
}

static fr_status fill_image(const filling *f, int64_t i, fr_error *error)
{
    const fr_examples *e = f->e;
    int64_t shape[3];
    float *pixels = NULL;
    char *path = image_path(e, f->chosen[i].example);
    fr_status status = path ? fr_image_read(e->encoding.images, path, &pixels, shape, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    fr_free(path);
    FR_TRY(status);
    const int64_t *wanted = e->encoding.model->image;
    size_t size = (size_t)(shape[0] * shape[1] * shape[2]);
    float *out = fr_micro_batch_get(f->micro, FR_FIELD_PIXELS);
    if (memcmp(shape, wanted, sizeof shape) != 0)
        status = RECORD_BAD(&e->records, f->chosen[i].example, error,
                            "the picture becomes %lld x %lld, the model reads %lld x %lld",
                            (long long)shape[2], (long long)shape[1], (long long)wanted[2],
                            (long long)wanted[1]);
    else
        memcpy(out + (size_t)i * size, pixels, size * sizeof *out);
    fr_free(pixels);
    return status;
}

static fr_status fill_images(const filling *f, fr_error *error)
{
    const int64_t *image = f->e->encoding.model->image;
    const int64_t shape[] = {f->count, image[0], image[1], image[2]};
    if (!fr_micro_batch_set(f->micro, FR_FIELD_PIXELS, FR_F32, 4, shape))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the pictures of a batch");
    for (int64_t i = 0; i < f->count; i++)
        FR_TRY(fill_image(f, i, error));
    return FR_OK;
}

static void count(const filling *f)
{
    fr_micro_batch *micro = f->micro;
    static const fr_field read[] = {FR_FIELD_IDS, FR_FIELD_DECODER_IDS};
    for (int i = 0; i < 2; i++) {
        const fr_host_array *array = &micro->fields[read[i]];
        micro->tokens += array->rank ? array->shape[0] * array->shape[1] : 0;
    }
    if (f->e->encoding.images)
        micro->tokens += f->count; /* a picture counts as one, for want of a better unit */
    micro->targets =
        f->e->tags.count || f->e->targets.count ? fr_micro_batch_count_targets(micro) : f->count;
}

static fr_status get(fr_batch_source *source, int64_t number, fr_micro_batch *micro,
                     fr_error *error)
{
    example_source *s = source->own;
    const fr_examples *e = s->examples;
    enter(s, number / source->per_epoch);
    int64_t begin = s->batches[number % source->per_epoch] * s->rows,
            left = e->records.count - begin;
    filling f = {e, s->order + begin, left < s->rows ? left : s->rows, micro};
    bool whole = e->rows.count == 0 || fill_text(&f);
    if (whole && e->targets.count)
        whole = fill_targets(&f);
    if (whole && (e->values || e->classes))
        whole = fill_labels(&f);
    if (!whole)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a micro-batch");
    if (e->encoding.images)
        FR_TRY(fill_images(&f, error));
    count(&f);
    s->last_count = f.count;
    for (int64_t i = 0; i < f.count; i++)
        s->last[i] = f.chosen[i].example;
    return FR_OK;
}

/* ---- the largest one ---- */

void fr_examples_shape(const fr_examples *e, const fr_model *model, int64_t rows, int64_t length,
                       fr_micro_batch *micro)
{
    int64_t all = rows * examples_rows_each(e), width = model->head.labels,
            target = e->options->target_length ? e->options->target_length : length;
    const int64_t text[] = {all, length}, said[] = {rows, target}, numbers[] = {rows, width},
                  score[] = {rows, 1};
    bool labelled = e->form == FR_EXAMPLES_CLASSES || e->form == FR_EXAMPLES_IMAGES ||
                    e->form == FR_EXAMPLES_CHOICES;
    const int64_t pixels[] = {rows, model->image[0], model->image[1], model->image[2]};
    if (e->form == FR_EXAMPLES_IMAGES || e->form == FR_EXAMPLES_IMAGE_TEXTS)
        fr_micro_batch_shape(micro, FR_FIELD_PIXELS, FR_F32, 4, pixels);
    if (e->form != FR_EXAMPLES_IMAGES) {
        fr_micro_batch_shape(micro, FR_FIELD_IDS, FR_I32, 2, text);
        fr_micro_batch_shape(micro, FR_FIELD_LENGTHS, FR_I32, 1, &all);
    }
    if (e->form == FR_EXAMPLES_TAGS)
        fr_micro_batch_shape(micro, FR_FIELD_TARGETS, FR_I32, 2, text);
    if (e->form == FR_EXAMPLES_TARGETS) {
        fr_micro_batch_shape(micro, FR_FIELD_TARGETS, FR_I32, 2, said);
        fr_micro_batch_shape(micro, FR_FIELD_DECODER_IDS, FR_I32, 2, said);
    }
    if (examples_scored(e))
        fr_micro_batch_shape(micro, FR_FIELD_LABELS, FR_F32, 2, score);
    else if (labelled && model->head.problem != FR_PROBLEM_SINGLE_LABEL)
        fr_micro_batch_shape(micro, FR_FIELD_LABELS, FR_F32, 2, numbers);
    else if (labelled)
        fr_micro_batch_shape(micro, FR_FIELD_LABELS, FR_I32, 1, &rows);
}

/* ---- the source ---- */

static void destroy(fr_batch_source *source)
{
    example_source *s = source->own;
    if (!s)
        return;
    fr_free(s->order);
    fr_free(s->batches);
    fr_free(s->last);
    fr_free(s);
}

static const fr_batch_source_kind example_kind = {get, destroy};

fr_status fr_examples_source_create(fr_batch_source **out, const fr_examples *examples,
                                    int64_t rows, uint64_t seed, bool scoring, fr_error *error)
{
    int64_t examples_there = fr_examples_count(examples),
            per_epoch = (examples_there + rows - 1) / rows;
    *out = NULL;
    fr_batch_source *source = fr_alloc(sizeof *source, FR_MEMORY_DATA);
    example_source *s = source ? fr_alloc(sizeof *s, FR_MEMORY_DATA) : NULL;
    if (!s) {
        fr_free(source);
        return fr_fail(error, FR_NO_MEMORY, "no memory for a source of batches");
    }
    *s = (example_source){
        .examples = examples, .rows = rows, .seed = seed, .scoring = scoring, .epoch = -1};
    s->order = fr_alloc_array((size_t)examples_there, sizeof *s->order, FR_MEMORY_DATA);
    s->batches = fr_alloc_array((size_t)per_epoch, sizeof *s->batches, FR_MEMORY_DATA);
    s->last = fr_alloc_array((size_t)rows, sizeof *s->last, FR_MEMORY_DATA);
    *source = (fr_batch_source){.kind = &example_kind, .per_epoch = per_epoch, .own = s};
    source->identity = fr_format(
        "%lld examples, %lld tokens", (long long)examples_there,
        (long long)(examples->rows.count ? examples->rows.begin[examples->rows.count] : 0));
    if (s->order && s->batches && s->last && source->identity) {
        *out = source;
        return FR_OK;
    }
    fr_batch_source_destroy(source);
    return fr_fail(error, FR_NO_MEMORY, "no memory for the order of %lld examples",
                   (long long)examples_there);
}

const int64_t *fr_examples_last(const fr_batch_source *source, int64_t *count_out)
{
    const example_source *s = source->own;
    *count_out = s->last_count;
    return s->last;
}
