/* sentence_embedding.c: texts that mean the same get vectors of nearly the same direction.

   Pairs alone: each text of a micro-batch must find its own positive among all of it (in-batch negatives, arXiv 1705.00652, section
   4.4): the mean over texts i of -log softmax_j(s * cos(a_i, p_j))[i]. So micro_batch is not only a matter of memory here.
   Pairs with a score: the mean of (cos(a, p) - score)^2 (arXiv 1908.10084, section 3).

   The batch's rows are (2 N, T): text, positive, text, positive... */
#include "frugal/operators.h"
#include "objectives/objectives.h"

#include <math.h>

typedef struct embedding_options {
    double scale;
} embedding_options;

static void defaults(void *options)
{
    ((embedding_options *)options)->scale = 20;
}

static const fr_option options[] = {
    {"scale", FR_OPTION_FLOAT, offsetof(embedding_options, scale), NULL, 1e-3, 1e4, NULL,
     "Factor s of the cosine before the softmax."},
};

/* x (N, C) -> rows of length 1: a root mean square norm, divided by sqrt(C). */
static fr_tensor *normalize(fr_tape *tape, fr_tensor *x)
{
    if (!x)
        return NULL;
    int64_t width = x->shape[1];
    fr_tensor *weight = fr_tape_tensor(tape, FR_F32, 1, &width);
    float *numbers = weight ? fr_tensor_host(weight) : NULL;
    for (int64_t i = 0; numbers && i < width; i++)
        numbers[i] = (float)(1 / sqrt((double)width));
    return fr_rms_norm(tape, x, weight, 1e-12f);
}

/* The mean of the last hidden states of a row's tokens, padding left out: (B, C). */
static fr_tensor *mean_of_tokens(fr_tape *tape, fr_tensor *hidden, const fr_tensor *lengths)
{
    if (!hidden)
        return NULL;
    int64_t rows = hidden->shape[0], columns = hidden->shape[1], width = hidden->shape[2];
    fr_tensor *weights = fr_tape_tensor(tape, FR_F32, 3, (const int64_t[]){rows, 1, columns});
    float *numbers = weights ? fr_tensor_host(weights) : NULL;
    const int32_t *own = lengths ? fr_tensor_host((fr_tensor *)lengths) : NULL;
    for (int64_t i = 0; numbers && i < rows * columns; i++) {
        int64_t length = own ? own[i / columns] : columns;
        numbers[i] = i % columns < length ? 1 / (float)length : 0;
    }
    fr_tensor *mean = fr_matmul(tape, weights, hidden, false, false);
    return fr_reshape(tape, mean, 2, (const int64_t[]){rows, width});
}

/* The model's own vector of a text where it has one, else the mean of its tokens. */
static fr_tensor *embed(fr_model *model, fr_tape *tape, const fr_batch *batch)
{
    fr_outputs outputs;
    fr_model_outputs(model, tape, batch, &outputs);
    fr_tensor *own = fr_outputs_find(&outputs, "sentence_embedding");
    return own ? own
               : mean_of_tokens(tape, fr_outputs_find(&outputs, "last_hidden_state"),
                                batch->lengths);
}

/* One of each pair: x (2 N, C) -> (N, C). */
static fr_tensor *side(fr_tape *tape, fr_tensor *x, int64_t which)
{
    if (!x)
        return NULL;
    int64_t pairs = x->shape[0] / 2, width = x->shape[1];
    fr_tensor *split = fr_reshape(tape, x, 3, (const int64_t[]){pairs, 2, width});
    split = fr_slice(tape, split, 1, which, which + 1);
    return fr_reshape(tape, split, 2, (const int64_t[]){pairs, width});
}

static fr_tensor *scored(fr_tape *tape, fr_tensor *a, fr_tensor *p, fr_tensor *scores, float scale)
{
    fr_tensor *cosine = fr_sum_axis(tape, fr_multiply(tape, a, p), 1); /* (N) */
    fr_tensor *wanted = fr_reshape(tape, scores, 1, (const int64_t[]){-1});
    fr_tensor *difference = fr_add(tape, cosine, fr_scale(tape, wanted, -1));
    return fr_scale(tape, fr_sum(tape, fr_multiply(tape, difference, difference)), scale);
}

static fr_tensor *ranked(fr_tape *tape, fr_tensor *a, fr_tensor *p, float factor, float scale)
{
    if (!a)
        return NULL;
    int64_t count = a->shape[0];
    fr_tensor *logits = fr_scale(tape, fr_matmul(tape, a, p, false, true), factor); /* (N, N) */
    fr_tensor *own = fr_tape_tensor(tape, FR_I32, 1, &count);
    int32_t *numbers = own ? fr_tensor_host(own) : NULL;
    for (int64_t i = 0; numbers && i < count; i++)
        numbers[i] = (int32_t)i;
    return fr_cross_entropy(tape, logits, own, NULL, scale, NULL);
}

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    const embedding_options *o = objective->options;
    fr_tensor *vectors = normalize(tape, embed(objective->model, tape, batch));
    fr_tensor *a = side(tape, vectors, 0), *p = side(tape, vectors, 1);
    if (batch->labels)
        return scored(tape, a, p, batch->labels, scale);
    return ranked(tape, a, p, (float)o->scale, scale);
}

const fr_objective_kind fr_sentence_embedding = {
    .base = {"sentence_embedding",
             "Give texts that mean the same vectors of nearly the same direction.",
             "arXiv 1705.00652, 1908.10084",
             {"objective.sentence_embedding", options, sizeof options / sizeof *options,
              sizeof(embedding_options), defaults}},
    .loss = loss,
    .task = FR_TASK_NONE,
    .examples = FR_EXAMPLES_PAIRS,
};
