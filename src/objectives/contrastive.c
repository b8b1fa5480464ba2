/* contrastive.c: a picture and its text find each other among all of a micro-batch (CLIP, arXiv 2103.00020, figure 3): the mean of
   the cross-entropy of each picture over the texts and of each text over the pictures,

       1/2 (-log softmax_j(l_ij)[i]  -  log softmax_i(l_ij)[j])   with l_ij = exp(scale) cos(picture i, text j),

   which is transformers' loss of CLIPModel. What a picture is told apart from is the rest of its micro-batch, so its size is not only a
   matter of memory here. */
#include "frugal/operators.h"
#include "objectives/objectives.h"

static fr_tensor *half(fr_tape *tape, fr_tensor *logits, fr_tensor *own, float scale)
{
    return fr_cross_entropy(tape, logits, own, NULL, scale / 2, NULL);
}

static fr_tensor *loss(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale)
{
    fr_outputs outputs;
    fr_model_outputs(objective->model, tape, batch, &outputs);
    fr_tensor *images = fr_outputs_find(&outputs, "logits_per_image");
    fr_tensor *texts = fr_outputs_find(&outputs, "logits_per_text");
    if (!images || !texts)
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "contrastive: the model has no towers for texts and for pictures, or "
                            "the batch lacks one of them");
    int64_t count = images->shape[0];
    if (texts->shape[0] != count)
        return fr_tape_fail(tape, FR_WRONG_CALL, "contrastive: %lld pictures with %lld texts",
                            (long long)count, (long long)texts->shape[0]);
    fr_tensor *own = fr_tape_tensor(tape, FR_I32, 1, &count);
    int32_t *numbers = own ? fr_tensor_host(own) : NULL;
    for (int64_t i = 0; numbers && i < count; i++)
        numbers[i] = (int32_t)i;
    return fr_add(tape, half(tape, images, own, scale), half(tape, texts, own, scale));
}

const fr_objective_kind fr_contrastive = {
    .base = {.name = "contrastive",
             .summary = "Let pictures and their texts find each other.",
             .source = "arXiv 2103.00020",
             .options = {.name = "objective.contrastive"}},
    .loss = loss,
    .task = FR_TASK_CONTRASTIVE,
    .examples = FR_EXAMPLES_IMAGE_TEXTS,
};
