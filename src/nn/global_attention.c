/* global_attention.c: tokens that see all of the text in a layer whose others see a window (Longformer, arXiv 2004.05150, section
   3.1): with queries, keys and values of their own. Their results take the places of what the window's attention gave them.

   x (B, T, C); G: the most global tokens of a row. */
#include "nn/nn.h"

/* The states of the global tokens: (B, G, C). Where a row has fewer, others stand in, whose results nobody takes. */
static fr_tensor *pick(fr_tape *tape, fr_tensor *x, fr_tensor *picked)
{
    int64_t rows = x->shape[0], width = x->shape[2];
    fr_tensor *all = fr_reshape(tape, x, 2, (const int64_t[]){-1, width});
    return fr_reshape(tape, fr_gather(tape, all, picked), 3, (const int64_t[]){rows, -1, width});
}

fr_tensor *fr_global_attention_apply(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x,
                                     fr_tensor *local, const fr_step *step)
{
    if (!x || !local)
        return NULL;
    const fr_global_layer *global = layer->global;
    fr_attention_options options = {.heads = (int)layer->heads,
                                    .kv_heads = (int)layer->kv_heads,
                                    .scale = layer->scale,
                                    .lengths = step->lengths,
                                    .padded = true,
                                    .dropout = layer->score_dropout};
    fr_tensor *query = fr_linear_layer_apply(global->query, tape, pick(tape, x, step->picked));
    fr_tensor *mixed = fr_attention(tape, query, fr_linear_layer_apply(global->key, tape, x),
                                    fr_linear_layer_apply(global->value, tape, x), &options, NULL);
    const int64_t flat[] = {-1, local->shape[2]};
    fr_tensor *parts[] = {fr_reshape(tape, local, 2, flat), fr_reshape(tape, mixed, 2, flat)};
    fr_tensor *both = fr_concat(tape, parts, 2, 0);
    return fr_reshape(tape, fr_gather(tape, both, step->merged), 3, local->shape);
}
