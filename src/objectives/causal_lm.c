/* causal_lm.c: predict each next token: the sum of -log p(target | what is before it), times `scale`. The output matrix and the
   loss are one operator over chunks of the vocabulary, so that logits (B*T, V) never exist. */
#include "objectives/objectives.h"

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    fr_model *model = objective->model;
    fr_tensor *hidden = fr_model_hidden(model, tape, batch, NULL); /* (B, T, C) */
    return fr_model_cross_entropy(model, tape, hidden, batch->targets, batch->weights, scale, NULL);
}

const fr_objective_kind fr_causal_lm = {
    .base = {.name = "causal_lm",
             .summary = "Predict each next token (cross-entropy).",
             .options = {.name = "objective.causal_lm"}},
    .loss = loss,
    .task = FR_TASK_CAUSAL_LM,
    .packed = true,
};
