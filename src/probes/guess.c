/* guess.c: how well a masked language model guesses hidden tokens of a text. docs/evaluation.md says the same for users.

   A document's tokens are cut into windows that fill the model's context, each between the special tokens that the tokenizer puts
   around a text. Windows are the rows of micro-batches, from which the objective masked_lm hides tokens just as in training; the seed
   is fixed, so that the figures of a text are the same in every run. The longest window gives a micro-batch its columns, and numbers
   of (seed, micro-batch, place) choose: nothing depends on the number of threads. */
#include "frugal/operators.h"
#include "frugal/probes.h"
#include "objectives/objectives.h"

#include <math.h>
#include <string.h>

enum { BATCH_TOKENS = 2048, MOST_ROWS = 64 };

struct fr_guesser {
    fr_model *model;
    const fr_tokenizer *tokenizer;
    fr_objective *objective;
    uint64_t seed, batches;
    fr_tape *tape;
    fr_micro_batch micro;
    fr_encoded frame;          /* a short text with its special tokens */
    int64_t before, after;     /* how many of those stand before and behind it */
    int64_t length, rows, row; /* L, B, windows in the batch */
    fr_ids ids;                /* of the document being added */
    int32_t *windows;          /* (B, L) */
    int64_t *lengths, *groups; /* (B) */
    fr_guesses *sums;          /* per group; loss is a sum, accuracy a count */
    size_t sum_count;
};

/* ---- making ---- */

/* What the tokenizer puts around a text. */
static fr_status find_frame(fr_guesser *g, fr_error *error)
{
    const fr_encode_options options = {.flags = FR_ENCODE_ADD_SPECIAL};
    fr_encoded *frame = &g->frame;
    FR_TRY(fr_tokenizer_encode_pair(g->tokenizer, "a", 1, NULL, 0, &options, frame, error));
    int64_t count = (int64_t)frame->count;
    while (g->before < count && frame->special[g->before])
        g->before++;
    while (g->after < count - g->before && frame->special[count - 1 - g->after])
        g->after++;
    return g->length > g->before + g->after
               ? FR_OK
               : fr_fail(error, FR_BAD_INPUT, "windows of %lld tokens have no room for a text",
                         (long long)g->length);
}

static fr_status prepare(fr_guesser *g, fr_error *error)
{
    const fr_option_table *table = &fr_masked_lm.base.options;
    void *options = fr_alloc(table->size, FR_MEMORY_OTHER);
    if (!options)
        return fr_fail(error, FR_NO_MEMORY, "no memory to judge a model");
    table->defaults(options);
    FR_TRY(
        fr_objective_create(&g->objective, &fr_masked_lm, options, g->model, g->tokenizer, error));
    FR_TRY(find_frame(g, error));
    size_t rows = (size_t)g->rows;
    g->windows = fr_alloc_array(rows * (size_t)g->length, sizeof *g->windows, FR_MEMORY_OTHER);
    g->lengths = fr_alloc_array(rows, sizeof *g->lengths, FR_MEMORY_OTHER);
    g->groups = fr_alloc_array(rows, sizeof *g->groups, FR_MEMORY_OTHER);
    if (!g->windows || !g->lengths || !g->groups)
        return fr_fail(error, FR_NO_MEMORY, "no memory to judge a model");
    g->tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, error);
    return g->tape ? FR_OK : FR_NO_MEMORY;
}

fr_status fr_guesser_create(fr_guesser **out, fr_model *model, const fr_tokenizer *tokenizer,
                            int64_t length, uint64_t seed, fr_error *error)
{
    *out = NULL;
    if (length == 0)
        length = model->max_positions;
    if (length < 1 || length > model->max_positions)
        return fr_fail(error, FR_BAD_INPUT,
                       "evaluation in windows of %lld tokens: expected 1 to %lld, the model's "
                       "context",
                       (long long)length, (long long)model->max_positions);
    fr_guesser *g = fr_alloc(sizeof *g, FR_MEMORY_OTHER);
    if (!g)
        return fr_fail(error, FR_NO_MEMORY, "no memory to judge a model");
    int64_t rows = BATCH_TOKENS / length;
    *g = (fr_guesser){.model = model,
                      .tokenizer = tokenizer,
                      .seed = seed,
                      .length = length,
                      .rows = rows < 1           ? 1
                              : rows > MOST_ROWS ? MOST_ROWS
                                                 : rows};
    fr_status status = prepare(g, error);
    if (status == FR_OK)
        *out = g;
    else
        fr_guesser_destroy(g);
    return status;
}

void fr_guesser_destroy(fr_guesser *g)
{
    if (!g)
        return;
    fr_objective_destroy(g->objective);
    fr_tape_destroy(g->tape);
    fr_micro_batch_free(&g->micro);
    fr_encoded_free(&g->frame);
    fr_ids_free(&g->ids);
    fr_free(g->windows);
    fr_free(g->lengths);
    fr_free(g->groups);
    fr_free(g->sums);
    fr_free(g);
}

/* ---- guessing ---- */

/* The windows as a micro-batch with hidden tokens; columns: of the longest. */
static fr_status hide_batch(fr_guesser *g, int64_t *columns, fr_error *error)
{
    fr_micro_batch_clear(&g->micro);
    *columns = 0;
    for (int64_t b = 0; b < g->row; b++)
        *columns = g->lengths[b] > *columns ? g->lengths[b] : *columns;
    int32_t *ids =
        fr_micro_batch_set(&g->micro, FR_FIELD_IDS, FR_I32, 2, (const int64_t[]){g->row, *columns});
    int32_t *lengths = fr_micro_batch_set(&g->micro, FR_FIELD_LENGTHS, FR_I32, 1, &g->row);
    if (!ids || !lengths)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a micro-batch");
    for (int64_t b = 0; b < g->row; b++) {
        lengths[b] = (int32_t)g->lengths[b];
        for (int64_t t = 0; t < *columns; t++)
            ids[b * *columns + t] = t < g->lengths[b]    ? g->windows[b * g->length + t]
                                    : g->model->pad >= 0 ? (int32_t)g->model->pad
                                                         : 0;
    }
    return fr_masked_lm.prepare(g->objective, &g->micro, g->seed, g->batches++, error);
}

/* Hidden tokens' places in the batch: (M). */
static fr_tensor *hidden_places(fr_guesser *g, int64_t cells)
{
    const int32_t *targets = fr_micro_batch_get(&g->micro, FR_FIELD_TARGETS);
    fr_tensor *places = fr_tape_tensor(g->tape, FR_I32, 1, &g->micro.targets);
    int32_t *place = places ? fr_tensor_host(places) : NULL;
    for (int64_t i = 0, at = 0; place && i < cells; i++)
        if (targets[i] != FR_IGNORE)
            place[at++] = (int32_t)i;
    return places;
}

/* One guess: logits (V) of the place's token. */
static void take(fr_guesses *sum, const float *logits, int64_t vocabulary, int32_t right)
{
    int64_t best = 0;
    double all = 0;
    for (int64_t v = 1; v < vocabulary; v++)
        if (logits[v] > logits[best])
            best = v;
    for (int64_t v = 0; v < vocabulary; v++)
        all += exp((double)logits[v] - logits[best]);
    sum->loss += log(all) + logits[best] - logits[right];
    sum->accuracy += best == right;
    sum->guesses++;
}

static fr_status guess_batch(fr_guesser *g, fr_error *error)
{
    int64_t columns = 1;
    if (!g->row)
        return FR_OK;
    double start = fr_seconds();
    FR_TRY(hide_batch(g, &columns, error));
    if (g->micro.targets && columns > 0) {
        fr_tape_reset(g->tape, 0);
        fr_batch batch = fr_micro_batch_put(&g->micro, g->tape);
        fr_tensor *hidden = fr_model_hidden(g->model, g->tape, &batch, NULL),
                  *places = hidden_places(g, g->row * columns);
        FR_TRY(fr_tape_check(g->tape, error));
        fr_tensor *rows = fr_reshape(g->tape, hidden, 2, (const int64_t[]){-1, hidden->shape[2]});
        fr_tensor *logits = fr_model_output(g->model, g->tape, fr_gather(g->tape, rows, places));
        FR_TRY(fr_tape_check(g->tape, error));
        const int32_t *targets = fr_micro_batch_get(&g->micro, FR_FIELD_TARGETS),
                      *place = fr_tensor_host(places);
        const float *numbers = fr_tensor_host(logits);
        int64_t vocabulary = logits->shape[1];
        for (int64_t m = 0; m < g->micro.targets; m++)
            take(&g->sums[g->groups[place[m] / columns]], numbers + m * vocabulary, vocabulary,
                 targets[place[m]]);
    }
    g->sums[g->groups[0]].seconds += fr_seconds() - start;
    g->row = 0;
    return FR_OK;
}

/* ---- documents ---- */

static fr_status need_group(fr_guesser *g, int64_t number, fr_error *error)
{
    if (number < 0)
        return fr_fail(error, FR_WRONG_CALL, "evaluation: group %lld", (long long)number);
    if ((size_t)number < g->sum_count)
        return FR_OK;
    size_t count = (size_t)number + 1 + g->sum_count;
    fr_guesses *sums = count < SIZE_MAX / sizeof *sums
                           ? fr_realloc(g->sums, count * sizeof *sums, FR_MEMORY_OTHER)
                           : NULL;
    if (!sums)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu groups of documents", count);
    memset(sums + g->sum_count, 0, (count - g->sum_count) * sizeof *sums);
    g->sums = sums;
    g->sum_count = count;
    return FR_OK;
}

/* ids (count) between the special tokens as the batch's next row. */
static void add_window(fr_guesser *g, int64_t group, const int32_t *ids, int64_t count)
{
    int32_t *row = g->windows + g->row * g->length;
    size_t before = (size_t)g->before, after = (size_t)g->after;
    memcpy(row, g->frame.ids, before * sizeof *row);
    memcpy(row + before, ids, (size_t)count * sizeof *row);
    memcpy(row + before + count, g->frame.ids + g->frame.count - after, after * sizeof *row);
    g->lengths[g->row] = g->before + count + g->after;
    g->groups[g->row++] = group;
}

fr_status fr_guesser_add(fr_guesser *g, int64_t number, const char *text, size_t size,
                         fr_error *error)
{
    FR_TRY(need_group(g, number, error));
    fr_ids_clear(&g->ids);
    FR_TRY(
        fr_tokenizer_encode(g->tokenizer, text, size, FR_ENCODE_SPECIAL_AS_TEXT, &g->ids, error));
    int64_t count = (int64_t)g->ids.count, room = g->length - g->before - g->after;
    for (int64_t i = 0; i < count; i++)
        if (g->ids.ids[i] >= g->model->vocabulary)
            return fr_fail(error, FR_BAD_INPUT,
                           "evaluation: the text has id %d, the model knows %lld ids",
                           (int)g->ids.ids[i], (long long)g->model->vocabulary);
    for (int64_t at = 0; at < count; at += room) {
        if (fr_interrupted())
            return fr_fail(error, FR_INTERRUPTED, "evaluation was interrupted");
        if (g->row == g->rows)
            FR_TRY(guess_batch(g, error));
        add_window(g, number, g->ids.ids + at, count - at < room ? count - at : room);
    }
    g->sums[number].tokens += count;
    g->sums[number].bytes += (int64_t)size;
    g->sums[number].documents++;
    return FR_OK;
}

fr_status fr_guesser_result(fr_guesser *g, int64_t number, fr_guesses *result, fr_error *error)
{
    *result = (fr_guesses){0};
    FR_TRY(guess_batch(g, error));
    for (size_t i = 0; i < g->sum_count; i++) {
        if (number >= 0 && (size_t)number != i)
            continue;
        const fr_guesses *sum = &g->sums[i];
        result->loss += sum->loss;
        result->accuracy += sum->accuracy;
        result->guesses += sum->guesses;
        result->tokens += sum->tokens;
        result->bytes += sum->bytes;
        result->documents += sum->documents;
        result->seconds += sum->seconds;
    }
    if (!isfinite(result->loss))
        return fr_fail(error, FR_NUMERIC, "evaluation: the model's loss is not finite");
    if (result->guesses) {
        result->loss /= (double)result->guesses;
        result->accuracy /= (double)result->guesses;
    }
    return FR_OK;
}
