/* multiple_choice.c: which of N texts goes with the text: each is read beside it and gets one logit; softmax over the N. The rows of
   the batch are (examples * N, T), those of an example together. */
#include "frugal/operators.h"
#include "objectives/objectives.h"

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    fr_outputs outputs;
    fr_model_outputs(objective->model, tape, batch, &outputs);
    fr_tensor *logits = fr_outputs_find(&outputs, "logits");
    int64_t examples = batch->labels->shape[0];
    logits = fr_reshape(tape, logits, 2, (const int64_t[]){examples, -1});
    return fr_cross_entropy(tape, logits, batch->labels, NULL, scale, NULL);
}

const fr_objective_kind fr_multiple_choice = {
    .base = {.name = "multiple_choice",
             .summary = "Choose the text that goes with another.",
             .options = {.name = "objective.multiple_choice"}},
    .loss = loss,
    .task = FR_TASK_MULTIPLE_CHOICE,
    .examples = FR_EXAMPLES_CHOICES,
};
