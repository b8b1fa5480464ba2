/* cross_layer.c: the layer that the decoder of an encoder-decoder repeats: it attends to what came before
   in its own text, then to the encoder's states (its memory), then feeds forward (arXiv 1706.03762,
   section 3.1). The norm stands behind each sum (BART) or before what it feeds (T5, mBART).

   While decoding, keys and values of the memory lie in the cache, made once per text by
   fr_cross_layer_memorise. How a layer is recomputed: encoder_layer.c. */
#include "nn/nn.h"

void fr_cross_layer_number(fr_cross_layer *layer, int index)
{
    layer->attention.index = layer->cross.index = layer->feed_forward.index = index;
    layer->cross.bidirectional = true;
    for (int given = 0; given < FR_CROSS_CALLS; given++)
        layer->calls[given] = (fr_cross_call){layer, given};
}

fr_tensor *fr_cross_attention_apply(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x,
                                    const fr_step *step)
{
    fr_tensor *query = fr_linear_layer_apply(layer->query, tape, x), *key, *value;
    fr_attention_options options = {.heads = (int)layer->heads,
                                    .kv_heads = (int)layer->kv_heads,
                                    .scale = layer->scale,
                                    .lengths = step->memory_lengths,
                                    .padded = true,
                                    .dropout = layer->score_dropout};
    if (step->cache) {
        if (!fr_cache_recall(step->cache, tape, layer->index, &key, &value, &options.lengths))
            return NULL;
    } else {
        key = fr_linear_layer_apply(layer->key, tape, step->memory);
        value = fr_linear_layer_apply(layer->value, tape, step->memory);
    }
    query = fr_layer_tap(tape, query, layer->tower, layer->index, "cross_attention.q");
    fr_tensor *mixed = fr_attention(tape, query, key, value, &options, NULL);
    fr_tensor *out = fr_linear_layer_apply(layer->out, tape, mixed);
    out = fr_layer_tap(tape, out, layer->tower, layer->index, "cross_attention.out");
    return fr_dropout(tape, out, layer->dropout);
}

bool fr_cross_layer_memorise(const fr_cross_layer *layer, fr_tape *tape, fr_tensor *memory,
                             fr_tensor *lengths, fr_cache *cache)
{
    const fr_attention_layer *cross = &layer->cross;
    fr_tensor *key = fr_linear_layer_apply(cross->key, tape, memory);
    fr_tensor *value = fr_linear_layer_apply(cross->value, tape, memory);
    return key && value && fr_cache_memorise(cache, tape, cross->index, key, value, lengths);
}

static fr_tensor *apply(const fr_cross_layer *layer, fr_tape *tape, fr_tensor *x,
                        const fr_step *step)
{
    const fr_norm_layer *first = &layer->attention_norm, *second = &layer->cross_norm,
                        *third = &layer->feed_forward_norm;
    if (layer->norm_first) {
        fr_tensor *part = fr_norm_apply(first, tape, x);
        x = fr_add(tape, x, fr_attention_apply(&layer->attention, tape, part, step));
        part = fr_norm_apply(second, tape, x);
        x = fr_add(tape, x, fr_cross_attention_apply(&layer->cross, tape, part, step));
        part = fr_norm_apply(third, tape, x);
        x = fr_add(tape, x, fr_feed_forward_apply(&layer->feed_forward, tape, part));
    } else {
        fr_tensor *part = fr_attention_apply(&layer->attention, tape, x, step);
        x = fr_norm_apply(first, tape, fr_add(tape, part, x));
        part = fr_cross_attention_apply(&layer->cross, tape, x, step);
        x = fr_norm_apply(second, tape, fr_add(tape, part, x));
        part = fr_feed_forward_apply(&layer->feed_forward, tape, x);
        x = fr_norm_apply(third, tape, fr_add(tape, part, x));
    }
    return fr_layer_tap(tape, x, layer->attention.tower, layer->attention.index, "out");
}

/* The tensors of a step that there may be, in the order in which a recomputed layer gets them. */
static void list_parts(fr_step *step, fr_tensor ***parts)
{
    parts[0] = &step->memory;
    parts[1] = &step->memory_lengths;
    parts[2] = &step->relative_bias;
}

static fr_tensor *apply_again(fr_tape *tape, fr_tensor *const *inputs, int count, void *context)
{
    const fr_cross_call *call = context;
    fr_step step = {0};
    fr_tensor **parts[FR_CROSS_PARTS];
    list_parts(&step, parts);
    int next = 1;
    for (int i = 0; i < FR_CROSS_PARTS; i++)
        if (call->given & 1 << i && next < count)
            *parts[i] = inputs[next++];
    return apply(call->layer, tape, inputs[0], &step);
}

fr_tensor *fr_cross_layer_apply(fr_cross_layer *layer, fr_tape *tape, fr_tensor *x,
                                const fr_step *step, bool recompute)
{
    if (!recompute || step->cache)
        return apply(layer, tape, x, step);
    fr_step copy = *step;
    fr_tensor **parts[FR_CROSS_PARTS], *inputs[1 + FR_CROSS_PARTS] = {x};
    list_parts(&copy, parts);
    int count = 1, given = 0;
    for (int i = 0; i < FR_CROSS_PARTS; i++)
        if (*parts[i]) {
            inputs[count++] = *parts[i];
            given |= 1 << i;
        }
    return fr_recompute(tape, apply_again, inputs, count, &layer->calls[given]);
}
