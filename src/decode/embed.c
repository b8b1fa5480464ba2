/* embed.c: a vector for each of many texts. Texts of like length go through the model together, so
   that little is padding; the order of the results is that of the texts. */
#include "frugal/decode.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS = 1 << 13, BATCH_TEXTS = 256 };

/* A text that waits for its turn. */
typedef struct job {
    int32_t *ids;
    size_t count, number; /* of tokens; of the text */
} job;

typedef struct embedding {
    fr_model *model;
    const fr_tokenizer *tokenizer;
    const fr_sentence *sentence;
    fr_tape *tape;
    job *jobs;
    size_t count, made;
    float *out;
} embedding;

/* ---- texts to ids ---- */

static int64_t most_tokens(const embedding *e)
{
    int64_t most = e->sentence->max_tokens, model = e->model->max_positions;
    return most == 0 || (model > 0 && model < most) ? model : most;
}

static fr_status encode(embedding *e, const char *text, fr_encoded *encoded, fr_error *error)
{
    fr_buffer prompted = {0};
    const char *prompt = e->sentence->prompt;
    fr_encode_options options = {.flags = FR_ENCODE_ADD_SPECIAL, .max_length = most_tokens(e)};
    fr_buffer_printf(&prompted, "%s%s", prompt ? prompt : "", text);
    fr_status status = prompted.failed
                           ? fr_fail(error, FR_NO_MEMORY, "no memory for text %zu", e->made + 1)
                           : fr_tokenizer_encode_pair(e->tokenizer, prompted.data, prompted.size,
                                                      NULL, 0, &options, encoded, error);
    fr_buffer_free(&prompted);
    if (status == FR_OK && !encoded->count)
        status = fr_fail(error, FR_BAD_INPUT, "text %zu has no tokens", e->made + 1);
    for (size_t i = 0; i < encoded->count && status == FR_OK; i++)
        if (encoded->ids[i] >= e->model->vocabulary)
            status = fr_fail(error, FR_BAD_INPUT,
                             "the tokenizer gives id %d, but the model has %lld entries",
                             encoded->ids[i], (long long)e->model->vocabulary);
    return status;
}

static fr_status encode_all(embedding *e, const char *const *texts, fr_error *error)
{
    fr_encoded encoded = {0};
    fr_status status = FR_OK;
    for (; e->made < e->count && status == FR_OK; e->made++) {
        job *j = &e->jobs[e->made];
        status = encode(e, texts[e->made], &encoded, error);
        if (status != FR_OK)
            break;
        *j = (job){fr_alloc_array(encoded.count, sizeof *j->ids, FR_MEMORY_DATA), encoded.count,
                   e->made};
        if (j->ids)
            memcpy(j->ids, encoded.ids, encoded.count * sizeof *j->ids);
        else
            status = fr_fail(error, FR_NO_MEMORY, "no memory for text %zu", e->made + 1);
    }
    fr_encoded_free(&encoded);
    return status;
}

/* ---- ids to vectors ---- */

/* Long texts first; equal ones in their order. */
static int by_length(const void *a, const void *b)
{
    const job *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Rows of jobs [begin, end), whose first is the longest. */
static fr_batch make_batch(const embedding *e, size_t begin, size_t end)
{
    int64_t rows = (int64_t)(end - begin), columns = (int64_t)e->jobs[begin].count;
    fr_batch batch = {.ids = fr_tape_tensor(e->tape, FR_I32, 2, (const int64_t[]){rows, columns}),
                      .lengths = fr_tape_tensor(e->tape, FR_I32, 1, &rows)};
    int32_t *ids = batch.ids ? fr_tensor_host(batch.ids) : NULL,
            *lengths = batch.lengths ? fr_tensor_host(batch.lengths) : NULL;
    int32_t padding = e->model->pad < 0 ? 0 : (int32_t)e->model->pad;
    for (int64_t b = 0; b < rows && ids && lengths; b++) {
        const job *j = &e->jobs[begin + (size_t)b];
        lengths[b] = (int32_t)j->count;
        for (int64_t t = 0; t < columns; t++)
            ids[b * columns + t] = t < lengths[b] ? j->ids[t] : padding;
    }
    if (end - begin == 1)
        batch.lengths = NULL; /* nothing is padding */
    return batch;
}

static fr_status run_batch(const embedding *e, size_t begin, size_t end, fr_error *error)
{
    fr_tape_reset(e->tape, 0);
    fr_batch batch = make_batch(e, begin, end);
    fr_tensor *hidden = fr_model_hidden(e->model, e->tape, &batch, NULL);
    fr_tensor *vectors = fr_sentence_pool(e->sentence, e->tape, hidden, batch.lengths);
    FR_TRY(fr_tape_check(e->tape, error));
    size_t width = (size_t)vectors->shape[1];
    for (size_t i = begin; i < end; i++)
        memcpy(e->out + e->jobs[i].number * width,
               (const float *)fr_tensor_host(vectors) + (i - begin) * width, width * sizeof(float));
    return FR_OK;
}

static fr_status run(embedding *e, fr_error *error)
{
    qsort(e->jobs, e->count, sizeof *e->jobs, by_length);
    for (size_t begin = 0, end; begin < e->count; begin = end) {
        size_t texts = BATCH_TOKENS / e->jobs[begin].count;
        texts = texts < 1 ? 1 : texts > BATCH_TEXTS ? BATCH_TEXTS : texts;
        end = begin + texts < e->count ? begin + texts : e->count;
        if (fr_interrupted())
            return fr_fail(error, FR_INTERRUPTED, "interrupted after %zu of %zu texts", begin,
                           e->count);
        FR_TRY(run_batch(e, begin, end, error));
    }
    return FR_OK;
}

fr_status fr_embed(fr_model *model, const fr_tokenizer *tokenizer, const fr_sentence *sentence,
                   const char *const *texts, size_t count, float *out, fr_error *error)
{
    embedding e = {
        .model = model, .tokenizer = tokenizer, .sentence = sentence, .count = count, .out = out};
    e.tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, error);
    if (!e.tape)
        return FR_NO_MEMORY;
    e.jobs = fr_alloc_array(count ? count : 1, sizeof *e.jobs, FR_MEMORY_DATA);
    fr_status status = e.jobs ? encode_all(&e, texts, error)
                              : fr_fail(error, FR_NO_MEMORY, "no memory for %zu texts", count);
    if (status == FR_OK)
        status = run(&e, error);
    for (size_t i = 0; i < count && e.jobs; i++)
        fr_free(e.jobs[i].ids);
    fr_free(e.jobs);
    fr_tape_destroy(e.tape);
    return status;
}
