/* evaluate.c: how well a model predicts text. docs/evaluation.md says the same for users.

   A document of tokens t1 .. tn is read as s = (beginning, t1, .., tn). Every ti is scored once,
   given what stands before it: the beginning token is given, not scored, and the document's end is
   not scored either, so that the nats are those of the text alone and may be divided by its bytes.

   A model reads at most L tokens, so longer documents are read in windows. Window k ends before
   s[e_k] with

       e_k = min(n, L + k * max(1, L / 2)),

   reads s[max(0, e_k - L) .. e_k) and scores the targets s[e_(k-1) + 1 .. e_k].

   Only the first window holds tokens with less than L / 2 tokens before them (beyond the document's
   own beginning).

   Windows are short where documents are, so several are packed into a row of L positions, each a
   segment of its own with positions from 0, and rows are batched. Nobody's loss depends on its
   neighbours, up to the order in which products are summed; windows that a model reads otherwise
   because they are long (fr_model.reread) get batches of their own. Losses of tokens are f32, sums are
   double, in the order of the text. */
#include "frugal/decode.h"

#include <math.h>
#include <string.h>

enum { BATCH_TOKENS = 2048 }; /* what one pass reads, about */

/* A window in the batch: `count` scored targets from column `first` of a row on. */
typedef struct window {
    int64_t row, first, count, group;
} window;

typedef struct group {
    double nats;
    int64_t tokens, bytes, documents;
} group;

struct fr_evaluator {
    fr_model *model;
    const fr_tokenizer *tokenizer;
    int32_t beginning;
    fr_tape *tape;
    fr_ids ids;                                       /* of the document being added */
    int64_t length, rows;                             /* L, B */
    int32_t *inputs, *positions, *segments, *targets; /* (B, L) */
    int64_t row, column;                              /* where the next window goes */
    bool placed;                                      /* positions are not 0.. in every row */
    bool packed;                                      /* some row holds more than one window */
    bool reread;                                      /* the batch's texts are read otherwise */
    window *windows;                                  /* (B * L): a row has at most L */
    size_t window_count;
    group *groups;
    size_t group_count;
    double seconds;
};

/* ---- making ---------------------------------------------------------------------------------- */

static fr_status allocate(fr_evaluator *e, fr_error *error)
{
    size_t cells = (size_t)(e->rows * e->length);
    e->inputs = fr_alloc_array(cells, sizeof *e->inputs, FR_MEMORY_OTHER);
    e->positions = fr_alloc_array(cells, sizeof *e->positions, FR_MEMORY_OTHER);
    e->segments = fr_alloc_array(cells, sizeof *e->segments, FR_MEMORY_OTHER);
    e->targets = fr_alloc_array(cells, sizeof *e->targets, FR_MEMORY_OTHER);
    e->windows = fr_alloc_array(cells, sizeof *e->windows, FR_MEMORY_OTHER);
    if (!e->inputs || !e->positions || !e->segments || !e->targets || !e->windows)
        return fr_fail(error, FR_NO_MEMORY, "no memory to evaluate %zu tokens together", cells);
    fr_tape_options options = {.mode = FR_TAPE_NO_GRAD};
    e->tape = fr_tape_create(&options, error);
    return e->tape ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a tape");
}

static void clear_batch(fr_evaluator *e)
{
    e->row = e->column = 0;
    e->window_count = 0;
    e->packed = false;
    e->placed = e->model->reread > 0; /* the batch's width says nothing of its texts' lengths */
    for (int64_t i = 0; i < e->rows * e->length; i++) {
        e->inputs[i] = e->positions[i] = 0;
        e->segments[i] = -1;
        e->targets[i] = FR_IGNORE;
    }
}

fr_status fr_evaluator_create(fr_evaluator **result, fr_model *model, const fr_tokenizer *tokenizer,
                              int64_t length, fr_error *error)
{
    *result = NULL;
    if (length == 0)
        length = model->max_positions;
    if (length < 1 || length > model->max_positions)
        return fr_fail(
            error, FR_BAD_INPUT,
            "evaluation in windows of %lld tokens: expected 1 to %lld, the model's context",
            (long long)length, (long long)model->max_positions);
    int32_t end_of_text = fr_tokenizer_end_of_text(tokenizer);
    int64_t beginning = model->bos >= 0 ? model->bos : end_of_text >= 0 ? end_of_text : model->eos;
    if (beginning < 0 || beginning >= model->vocabulary)
        return fr_fail(
            error, FR_UNSUPPORTED,
            "the model has no token to begin a text with, so its first token cannot be scored");
    fr_evaluator *e = fr_alloc(sizeof *e, FR_MEMORY_OTHER);
    if (!e)
        return fr_fail(error, FR_NO_MEMORY, "no memory for an evaluation");
    *e = (fr_evaluator){
        .model = model, .tokenizer = tokenizer, .beginning = (int32_t)beginning, .length = length};
    e->rows = BATCH_TOKENS / length > 1 ? BATCH_TOKENS / length : 1;
    fr_status status = allocate(e, error);
    if (status != FR_OK) {
        fr_evaluator_destroy(e);
        return status;
    }
    clear_batch(e);
    *result = e;
    return FR_OK;
}

void fr_evaluator_destroy(fr_evaluator *e)
{
    if (!e)
        return;
    fr_tape_destroy(e->tape);
    fr_ids_free(&e->ids);
    fr_free(e->inputs);
    fr_free(e->positions);
    fr_free(e->segments);
    fr_free(e->targets);
    fr_free(e->windows);
    fr_free(e->groups);
    fr_free(e);
}

/* ---- scoring --------------------------------------------------------------------------------- */

/* Copy the columns in use of an array (B, L) to the tape as (rows, columns). */
static fr_tensor *columns_of(fr_evaluator *e, const int32_t *array, int64_t rows, int64_t columns)
{
    fr_tensor *tensor = fr_tape_tensor(e->tape, FR_I32, 2, (int64_t[]){rows, columns});
    int32_t *out = tensor ? fr_tensor_host(tensor) : NULL;
    for (int64_t b = 0; tensor && b < rows; b++)
        memcpy(out + b * columns, array + b * e->length, (size_t)columns * sizeof *out);
    return tensor;
}

/* Run the model over the batch and add every window's losses to its group. */
static fr_status score_batch(fr_evaluator *e, fr_error *error)
{
    if (e->window_count == 0)
        return FR_OK;
    double start = fr_seconds();
    int64_t rows = e->row + 1, columns = rows > 1 ? e->length : e->column;
    fr_tape_reset(e->tape, 0);
    fr_batch batch = {.ids = columns_of(e, e->inputs, rows, columns),
                      .positions = e->placed ? columns_of(e, e->positions, rows, columns) : NULL,
                      .segments = e->packed ? columns_of(e, e->segments, rows, columns) : NULL,
                      .targets = columns_of(e, e->targets, rows, columns)};
    fr_tensor *losses = NULL, *hidden = fr_model_hidden(e->model, e->tape, &batch, NULL);
    fr_model_cross_entropy(e->model, e->tape, hidden, batch.targets, NULL, 1, &losses);
    FR_TRY(fr_tape_check(e->tape, error));
    const float *loss = fr_tensor_host(losses);
    for (size_t i = 0; i < e->window_count; i++) {
        const window *w = &e->windows[i];
        for (int64_t t = 0; t < w->count; t++)
            e->groups[w->group].nats += (double)loss[w->row * columns + w->first + t];
        if (!isfinite(e->groups[w->group].nats))
            return fr_fail(error, FR_NUMERIC, "evaluation: the model's loss is not finite");
    }
    e->seconds += fr_seconds() - start;
    clear_batch(e);
    return FR_OK;
}

/* Put s[begin .. end) into the batch, of whose targets s[begin + 1 .. end] those after s[scored]
   count. */
static fr_status add_window(fr_evaluator *e, int64_t group_number, const int32_t *s, int64_t begin,
                            int64_t end, int64_t scored, fr_error *error)
{
    int64_t count = end - begin;
    bool otherwise = e->model->reread && count > e->model->reread;
    if (otherwise != e->reread) /* one rule holds for a whole batch */
        FR_TRY(score_batch(e, error));
    e->reread = otherwise;
    if (e->column + count > e->length) {
        if (e->row + 1 == e->rows)
            FR_TRY(score_batch(e, error));
        else {
            e->row++;
            e->column = 0;
        }
    }
    e->packed |= e->column > 0;
    e->placed |= e->packed;
    int64_t cell = e->row * e->length + e->column, skip = scored - begin;
    for (int64_t t = 0; t < count; t++) {
        e->inputs[cell + t] = s[begin + t];
        e->positions[cell + t] = (int32_t)t;
        e->segments[cell + t] = (int32_t)e->window_count;
        e->targets[cell + t] = t < skip ? FR_IGNORE : s[begin + t + 1];
    }
    e->windows[e->window_count++] = (window){e->row, e->column + skip, count - skip, group_number};
    e->column += count;
    return FR_OK;
}

static fr_status need_group(fr_evaluator *e, int64_t number, fr_error *error)
{
    if (number < 0)
        return fr_fail(error, FR_WRONG_CALL, "evaluation: group %lld", (long long)number);
    if ((size_t)number < e->group_count)
        return FR_OK;
    size_t count = (size_t)number + 1 + e->group_count;
    group *groups = count < SIZE_MAX / sizeof *groups
                        ? fr_realloc(e->groups, count * sizeof *groups, FR_MEMORY_OTHER)
                        : NULL;
    if (!groups)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu groups of documents", count);
    e->groups = groups;
    e->group_count = count;
    return FR_OK;
}

/* s (count + 1): the beginning, then the document. */
static fr_status add_document(fr_evaluator *e, int64_t number, const int32_t *s, int64_t count,
                              int64_t bytes, fr_error *error)
{
    FR_TRY(need_group(e, number, error));
    for (int64_t i = 0; i <= count; i++)
        if (s[i] < 0 || s[i] >= e->model->vocabulary)
            return fr_fail(error, FR_BAD_INPUT,
                           "evaluation: the text has id %d, the model knows %lld ids", (int)s[i],
                           (long long)e->model->vocabulary);
    int64_t stride = e->length > 1 ? e->length / 2 : 1;
    for (int64_t end = count < e->length ? count : e->length, scored = 0; scored < count;) {
        if (fr_interrupted())
            return fr_fail(error, FR_INTERRUPTED, "evaluation was interrupted");
        FR_TRY(add_window(e, number, s, end > e->length ? end - e->length : 0, end, scored, error));
        scored = end;
        end = count - end < stride ? count : end + stride;
    }
    group *g = &e->groups[number];
    g->tokens += count;
    g->bytes += bytes;
    g->documents++;
    return FR_OK;
}

/* ---- documents ------------------------------------------------------------------------------- */

/* Start e->ids with the beginning token: encoding appends to it. */
static fr_status begin_ids(fr_evaluator *e, size_t room, fr_error *error)
{
    fr_ids *ids = &e->ids;
    fr_ids_clear(ids);
    if (ids->capacity < room + 1) {
        int32_t *grown = fr_realloc(ids->ids, (room + 1) * sizeof *grown, FR_MEMORY_OTHER);
        if (!grown)
            return fr_fail(error, FR_NO_MEMORY, "no memory for a document of %zu tokens", room);
        ids->ids = grown;
        ids->capacity = room + 1;
    }
    ids->ids[ids->count++] = e->beginning;
    return FR_OK;
}

fr_status fr_evaluator_add(fr_evaluator *e, int64_t number, const char *text, size_t size,
                           fr_error *error)
{
    FR_TRY(begin_ids(e, 0, error));
    FR_TRY(
        fr_tokenizer_encode(e->tokenizer, text, size, FR_ENCODE_SPECIAL_AS_TEXT, &e->ids, error));
    return add_document(e, number, e->ids.ids, (int64_t)e->ids.count - 1, (int64_t)size, error);
}

fr_status fr_evaluator_add_ids(fr_evaluator *e, int64_t number, const int32_t *ids, size_t count,
                               int64_t bytes, fr_error *error)
{
    FR_TRY(begin_ids(e, count, error));
    if (count)
        memcpy(e->ids.ids + 1, ids, count * sizeof *ids);
    return add_document(e, number, e->ids.ids, (int64_t)count, bytes, error);
}

fr_status fr_evaluator_result(fr_evaluator *e, int64_t number, fr_evaluation *result,
                              fr_error *error)
{
    *result = (fr_evaluation){0};
    FR_TRY(score_batch(e, error));
    for (size_t i = 0; i < e->group_count; i++) {
        if (number >= 0 && (size_t)number != i)
            continue;
        result->nats += e->groups[i].nats;
        result->tokens += e->groups[i].tokens;
        result->bytes += e->groups[i].bytes;
        result->documents += e->groups[i].documents;
    }
    if (result->tokens > 0)
        result->loss = result->nats / (double)result->tokens;
    if (result->bytes > 0)
        result->bits_per_byte = result->nats / log(2.0) / (double)result->bytes;
    result->perplexity = exp(result->loss);
    result->seconds = e->seconds;
    return FR_OK;
}

fr_status fr_evaluate(fr_model *model, const fr_tokenizer *tokenizer, fr_text_next *next,
                      void *text_context, int64_t length, fr_evaluation *result, fr_error *error)
{
    fr_evaluator *evaluator;
    fr_status status = fr_evaluator_create(&evaluator, model, tokenizer, length, error);
    if (!evaluator)
        return status;
    const char *text = NULL;
    size_t size = 0;
    while ((status = next(text_context, &text, &size, error)) == FR_OK && text)
        if ((status = fr_evaluator_add(evaluator, 0, text, size, error)) != FR_OK)
            break;
    if (status == FR_OK)
        status = fr_evaluator_result(evaluator, 0, result, error);
    fr_evaluator_destroy(evaluator);
    return status;
}
