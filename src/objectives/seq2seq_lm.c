/* seq2seq_lm.c: predict each token of the target from the text and the target so far (arXiv 1409.3215, 1910.10683). The loss of a step
   is the mean over the targets' tokens. */
#include "objectives/objectives.h"

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    fr_model *model = objective->model;
    fr_tensor *hidden = fr_model_hidden(model, tape, batch, NULL); /* (B, U, C) */
    return fr_model_cross_entropy(model, tape, hidden, batch->targets, NULL, scale, NULL);
}

const fr_objective_kind fr_seq2seq_lm = {
    .base = {.name = "seq2seq_lm",
             .summary = "Say the target of a text (translate, summarise): encoder-decoders.",
             .options = {.name = "objective.seq2seq_lm"}},
    .loss = loss,
    .task = FR_TASK_SEQ2SEQ_LM,
    .examples = FR_EXAMPLES_TARGETS,
};
