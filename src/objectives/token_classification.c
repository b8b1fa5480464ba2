/* token_classification.c: a class for each word, told at its first token; other tokens do not count. The loss of a step is the mean
   over the words that count. */
#include "frugal/operators.h"
#include "objectives/objectives.h"

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    fr_outputs outputs;
    fr_model_outputs(objective->model, tape, batch, &outputs);
    return fr_cross_entropy(tape, fr_outputs_find(&outputs, "logits"), batch->targets, NULL, scale,
                            NULL);
}

const fr_objective_kind fr_token_classification = {
    .base = {.name = "token_classification",
             .summary = "Tell the class of each word of a text (named entities, parts of speech).",
             .options = {.name = "objective.token_classification"}},
    .loss = loss,
    .task = FR_TASK_TOKEN_CLASSIFICATION,
    .examples = FR_EXAMPLES_TAGS,
};
