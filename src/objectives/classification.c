/* classification.c: classes, numbers or several classes of a text or a picture, as the head's problem says: what transformers'
   ...ForSequenceClassification and ...ForImageClassification compute as their loss.

       one class of L       -log softmax(logits)[class]
       numbers (regression) the mean of squared differences
       several classes      the mean over classes of -[y log s + (1 - y) log(1 - s)], s = 1 / (1 + exp(-logit))

   The loss of a step is the mean over examples. */
#include "frugal/operators.h"
#include "objectives/objectives.h"

/* The mean over the L values of each example, summed over examples: sum(x) * scale / L. */
static fr_tensor *mean_of_each(fr_tape *tape, fr_tensor *x, int64_t width, float scale)
{
    return fr_scale(tape, fr_sum(tape, x), scale / (float)width);
}

static fr_tensor *squared(fr_tape *tape, fr_tensor *logits, fr_tensor *values, float scale)
{
    fr_tensor *difference = fr_add(tape, logits, fr_scale(tape, values, -1));
    return mean_of_each(tape, fr_multiply(tape, difference, difference),
                        logits ? logits->shape[1] : 1, scale);
}

/* log s and log(1 - s) are log softmax of (logit, 0). */
static fr_tensor *several(fr_tape *tape, fr_tensor *logits, fr_tensor *values, float scale)
{
    if (!logits)
        return NULL;
    int64_t count = fr_tensor_count(logits);
    const int64_t column[] = {count, 1};
    fr_tensor *y = fr_reshape(tape, values, 2, column), *x = fr_reshape(tape, logits, 2, column);
    fr_tensor *zero = fr_scale(tape, y, 0), *minus = fr_scale(tape, y, -1);
    float one = 1;
    fr_tensor *rest =
        fr_add(tape, minus, fr_tape_input(tape, FR_F32, 1, (const int64_t[]){1}, &one));
    fr_tensor *scores = fr_log_softmax(tape, fr_concat(tape, (fr_tensor *[]){x, zero}, 2, 1));
    fr_tensor *wanted = fr_concat(tape, (fr_tensor *[]){y, rest}, 2, 1);
    return mean_of_each(tape, fr_multiply(tape, scores, wanted), logits->shape[1], -scale);
}

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    fr_outputs outputs;
    fr_model_outputs(objective->model, tape, batch, &outputs);
    fr_tensor *logits = fr_outputs_find(&outputs, "logits");
    switch (objective->model->head.problem) {
    case FR_PROBLEM_REGRESSION:
        return squared(tape, logits, batch->labels, scale);
    case FR_PROBLEM_MULTI_LABEL:
        return several(tape, logits, batch->labels, scale);
    default:
        return fr_cross_entropy(tape, logits, batch->labels, NULL, scale, NULL);
    }
}

const fr_objective_kind fr_sequence_classification = {
    .base = {.name = "sequence_classification",
             .summary =
                 "Tell the class of a text or of two, a number (regression), or several classes.",
             .options = {.name = "objective.sequence_classification"}},
    .loss = loss,
    .task = FR_TASK_SEQUENCE_CLASSIFICATION,
    .examples = FR_EXAMPLES_CLASSES,
};
const fr_objective_kind fr_image_classification = {
    .base = {.name = "image_classification",
             .summary = "Tell the class of a picture.",
             .options = {.name = "objective.image_classification"}},
    .loss = loss,
    .task = FR_TASK_IMAGE_CLASSIFICATION,
    .examples = FR_EXAMPLES_IMAGES,
};
