/* sentence_embedding.c: texts that mean the same get vectors of nearly the same direction.

   Pairs alone: each text of a micro-batch must find its own positive among all of it (in-batch negatives, arXiv 1705.00652, section
   4.4): the mean over texts i of -log softmax_j(s * cos(a_i, p_j))[i]. So micro_batch is not only a matter of memory here.
   Pairs with a score: the mean of (cos(a, p) - score)^2 (arXiv 1908.10084, section 3).

   The batch's rows are (2 N, T): text, positive, text, positive... */
#include "frugal/operators.h"
#include "objectives/objectives.h"

typedef struct embedding_options {
    double scale;
    int pooling;
} embedding_options;

static void defaults(void *options)
{
    *(embedding_options *)options = (embedding_options){20, FR_POOLING_MEAN};
}

static const fr_option options[] = {
    {"scale", FR_OPTION_FLOAT, offsetof(embedding_options, scale), NULL, 1e-3, 1e4, NULL,
     "Factor s of the cosine before the softmax."},
    {"pooling", FR_OPTION_CHOICE, offsetof(embedding_options, pooling), NULL, 0, 0,
     fr_pooling_names,
     "How the states of a text's tokens become its vector, unless the folder of the model says "
     "it."},
};

/* How a text's states become its vector: as the folder says from which the model came, else as the recipe does. */
static fr_sentence sentence_of(const fr_objective *objective)
{
    const embedding_options *o = objective->options;
    if (objective->model->sentence)
        return *objective->model->sentence;
    return (fr_sentence){
        .pooling = {(fr_pooling)o->pooling}, .poolings = 1, .normalize = true, .model_path = ""};
}

static fr_tensor *embed(const fr_objective *objective, fr_tape *tape, const fr_batch *batch)
{
    fr_sentence sentence = sentence_of(objective);
    fr_tensor *hidden = fr_model_hidden(objective->model, tape, batch, NULL);
    return hidden ? fr_sentence_pool(&sentence, tape, hidden, batch->lengths) : NULL;
}

static fr_status save(const fr_objective *objective, const char *folder, fr_error *error)
{
    fr_sentence sentence = sentence_of(objective);
    return fr_sentence_save(&sentence, objective->model, folder, error);
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
    fr_tensor *vectors = fr_normalize(tape, embed(objective, tape, batch));
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
    .save = save,
    .task = FR_TASK_NONE,
    .examples = FR_EXAMPLES_PAIRS,
};
