/* encoder_global.c: which tokens see all of the text where others see a window, by transformers' rules for Longformer's classes:
       sequence classification   the first token
       question answering        the question: what stands before the first of three separators
       multiple choice           the choice: what stands behind the second of three separators
       others                    none
   Padding never does. */
#include "models/encoder.h"

enum { SEPARATORS = 3 };

/* Where the first separator stands; -1: there are not three. */
static int64_t first_separator(const int32_t *ids, int64_t columns, int64_t separator)
{
    int64_t first = -1, count = 0;
    for (int64_t t = 0; t < columns; t++)
        if (ids[t] == separator && count++ == 0)
            first = t;
    return count == SEPARATORS ? first : -1;
}

/* The global tokens [begin, end) of a row. */
typedef struct range {
    int64_t begin, end;
} range;

static bool choose(const fr_model *model, fr_tape *tape, const int32_t *ids, int64_t columns,
                   range *out)
{
    const fr_encoder_config *c = model->config;
    *out = (range){0, model->head.task == FR_TASK_SEQUENCE_CLASSIFICATION};
    if (model->head.task != FR_TASK_QUESTION_ANSWERING &&
        model->head.task != FR_TASK_MULTIPLE_CHOICE)
        return true;
    *out = (range){0, columns};
    if (!ids) /* a shape-only tape: as many as there can be */
        return true;
    int64_t first = first_separator(ids, columns, c->sep_token_id);
    if (first < 0) {
        fr_tape_fail(tape, FR_BAD_INPUT,
                     "a row of question and text has three separators (id %lld) for model %s to "
                     "tell them apart",
                     (long long)c->sep_token_id, model->kind->base.name);
        return false;
    }
    *out = model->head.task == FR_TASK_QUESTION_ANSWERING ? (range){0, first}
                                                          : (range){first + 2, columns};
    return true;
}

/* Write the numbers of the step's three tensors. `ranges`: of each row, `most` tokens at most. */
static void fill(fr_step *step, const range *ranges, int64_t rows, int64_t columns, int64_t most)
{
    int32_t *global = fr_tensor_host(step->global), *picked = fr_tensor_host(step->picked),
            *merged = fr_tensor_host(step->merged);
    for (int64_t b = 0; b < rows && global; b++) {
        const range *r = &ranges[b];
        for (int64_t t = 0; t < columns; t++) {
            bool sees_all = t >= r->begin && t < r->end;
            global[b * columns + t] = sees_all;
            merged[b * columns + t] =
                (int32_t)(sees_all ? rows * columns + b * most + t - r->begin : b * columns + t);
        }
        for (int64_t i = 0; i < most; i++)
            picked[b * most + i] =
                (int32_t)(b * columns + (i < r->end - r->begin ? r->begin + i : 0));
    }
}

bool fr_encoder_choose_global(const fr_model *model, fr_tape *tape, const fr_batch *batch,
                              fr_step *step)
{
    int64_t rows = batch->ids->shape[0], columns = batch->ids->shape[1], most = 0;
    const int32_t *ids = fr_tensor_host(batch->ids);
    const int32_t *lengths = batch->lengths ? fr_tensor_host(batch->lengths) : NULL;
    fr_tensor *memory =
        fr_tape_tensor(tape, FR_U8, 1, (const int64_t[]){rows * (int64_t)sizeof(range)});
    range *ranges = memory ? fr_tensor_host(memory) : NULL;
    for (int64_t b = 0; b < rows; b++) {
        range r;
        if (!choose(model, tape, ids ? ids + b * columns : NULL, columns, &r))
            return false;
        if (lengths && r.end > lengths[b])
            r.end = lengths[b];
        if (r.begin > r.end)
            r.begin = r.end;
        most = r.end - r.begin > most ? r.end - r.begin : most;
        if (ranges)
            ranges[b] = r;
    }
    if (most == 0)
        return true;
    if (batch->segments) {
        fr_tape_fail(tape, FR_UNSUPPORTED,
                     "model %s cannot read several texts in a row when some tokens see all",
                     model->kind->base.name);
        return false;
    }
    step->global = fr_tape_tensor(tape, FR_I32, 2, batch->ids->shape);
    step->picked = fr_tape_tensor(tape, FR_I32, 1, (const int64_t[]){rows * most});
    step->merged = fr_tape_tensor(tape, FR_I32, 1, (const int64_t[]){rows * columns});
    if (!step->global || !step->picked || !step->merged)
        return false;
    if (ranges)
        fill(step, ranges, rows, columns, most);
    return true;
}
