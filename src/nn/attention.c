/* attention.c: self-attention with grouped key and value heads (arXiv 2305.13245), optional
   norms of queries and keys, and rotary positions; keys and values come from a cache where there is
   one. Keys are cached rotated. */
#include "nn/nn.h"

typedef struct parts {
    fr_tensor *query, *key, *value;
} parts;

/* all (B, T, H * 3 * D): per head q, k, v. */
static parts split_by_head(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *all)
{
    parts out = {0};
    if (!all)
        return out;
    fr_tensor **places[] = {&out.query, &out.key, &out.value};
    int64_t rows = all->shape[0], columns = all->shape[1], heads = layer->heads;
    fr_tensor *split =
        fr_reshape(tape, all, 5, (const int64_t[]){rows, columns, heads, 3, layer->head_dim});
    for (int i = 0; i < 3; i++)
        *places[i] = fr_reshape(tape, fr_slice(tape, split, 3, i, i + 1), 3,
                                (const int64_t[]){rows, columns, heads * layer->head_dim});
    return out;
}

/* x (B, T, C) -> query (B, T, H*D), key and value (B, T, Hkv*D). */
static parts project(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x)
{
    if (!layer->fused)
        return (parts){fr_linear_layer_apply(layer->query, tape, x),
                       fr_linear_layer_apply(layer->key, tape, x),
                       fr_linear_layer_apply(layer->value, tape, x)};
    int64_t query = layer->heads * layer->head_dim, key = layer->kv_heads * layer->head_dim;
    fr_tensor *all = fr_linear_layer_apply(layer->fused, tape, x);
    if (layer->fused_by_head)
        return split_by_head(layer, tape, all);
    return (parts){fr_slice(tape, all, 2, 0, query), fr_slice(tape, all, 2, query, query + key),
                   fr_slice(tape, all, 2, query + key, query + 2 * key)};
}

/* Norm over each head's D, or over all heads, as its weight is wide: x (B, T, heads*D). */
static fr_tensor *norm_heads(const fr_norm_layer *norm, fr_tape *tape, fr_tensor *x, int64_t heads,
                             int64_t head_dim)
{
    if (!norm->weight || !x)
        return x;
    if (norm->weight->value->shape[0] == x->shape[2])
        return fr_norm_apply(norm, tape, x);
    fr_tensor *split =
        fr_reshape(tape, x, 4, (const int64_t[]){x->shape[0], x->shape[1], heads, head_dim});
    return fr_reshape(tape, fr_norm_apply(norm, tape, split), 3, x->shape);
}

static fr_tensor *rotate(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x,
                         int64_t heads, const fr_step *step)
{
    if (!layer->rotary || !layer->rotary->frequencies)
        return x;
    fr_tensor *frequencies = step->frequencies ? step->frequencies : layer->rotary->frequencies;
    return fr_rope(tape, x, step->positions, frequencies, (int)heads, layer->rotary->scaling);
}

fr_tensor *fr_attention_apply(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x,
                              const fr_step *step)
{
    parts now = project(layer, tape, x);
    now.query = norm_heads(&layer->query_norm, tape, now.query, layer->heads, layer->head_dim);
    now.key = norm_heads(&layer->key_norm, tape, now.key, layer->kv_heads, layer->head_dim);
    now.query = fr_layer_tap(tape, rotate(layer, tape, now.query, layer->heads, step), layer->tower,
                             layer->index, "attention.q");
    now.key = fr_layer_tap(tape, rotate(layer, tape, now.key, layer->kv_heads, step), layer->tower,
                           layer->index, "attention.k");
    now.value = fr_layer_tap(tape, now.value, layer->tower, layer->index, "attention.v");

    fr_attention_options options = {.heads = (int)layer->heads,
                                    .kv_heads = (int)layer->kv_heads,
                                    .scale = layer->scale,
                                    .causal = !layer->bidirectional,
                                    .window = layer->window,
                                    .segments = step->segments,
                                    .lengths = step->lengths,
                                    .padded = !step->cache,
                                    .global = step->global,
                                    .relative_bias = step->relative_bias,
                                    .cap = layer->cap,
                                    .dropout = layer->score_dropout};
    if (step->cache &&
        (!now.key || !now.value ||
         !fr_cache_append(step->cache, tape, layer->index, &now.key, &now.value, &options.lengths)))
        return NULL;
    fr_tensor *mixed = fr_attention(tape, now.query, now.key, now.value, &options, NULL);
    if (layer->global && step->picked)
        mixed = fr_global_attention_apply(layer, tape, x, mixed, step);
    fr_tensor *out = fr_layer_tap(tape, fr_linear_layer_apply(layer->out, tape, mixed),
                                  layer->tower, layer->index, "attention.out");
    return fr_dropout(tape, out, layer->dropout);
}
