/* decoder_layer.c: the layer that decoders repeat, and towers that see an image (whose attention looks to
   both sides), and how it is recomputed.

   A recomputed layer is called through a struct that must live until backward and must not differ
   between tapes (several may hold this model at once); so each layer holds one per combination of
   the tensors that a step may have. */
#include "nn/nn.h"

/* The tensors that a step may have. */
static const size_t parts[FR_DECODER_PARTS] = {
    offsetof(fr_step, positions), offsetof(fr_step, segments), offsetof(fr_step, lengths),
    offsetof(fr_step, frequencies)};

static fr_tensor **part_of(fr_step *step, int i)
{
    return (fr_tensor **)((char *)step + parts[i]);
}

fr_tensor *fr_layer_tap(fr_tape *tape, fr_tensor *value, const char *tower, int index,
                        const char *name)
{
    return fr_tap(tape, value, "%slayers.%d.%s", tower ? tower : "", index, name);
}

void fr_decoder_layer_number(fr_decoder_layer *layer, int index)
{
    layer->attention.index = layer->feed_forward.index = index;
    for (int given = 0; given < FR_DECODER_CALLS; given++)
        layer->calls[given] = (fr_decoder_call){layer, given};
}

/* A norm that may not be there. */
static fr_tensor *norm(const fr_norm_layer *layer, fr_tape *tape, fr_tensor *x)
{
    return layer->weight ? fr_norm_apply(layer, tape, x) : x;
}

static fr_tensor *apply(const fr_decoder_layer *layer, fr_tape *tape, fr_tensor *x,
                        const fr_step *step)
{
    fr_tensor *part = norm(&layer->attention_norm, tape, x);
    part = fr_attention_apply(&layer->attention, tape, part, step);
    fr_tensor *middle = fr_add(tape, x, norm(&layer->attention_post_norm, tape, part));
    part = norm(&layer->feed_forward_norm, tape, layer->parallel ? x : middle);
    part = fr_feed_forward_apply(&layer->feed_forward, tape, part);
    x = fr_add(tape, middle, norm(&layer->feed_forward_post_norm, tape, part));
    return fr_layer_tap(tape, x, layer->attention.tower, layer->attention.index, "out");
}

static fr_tensor *apply_again(fr_tape *tape, fr_tensor *const *inputs, int count, void *context)
{
    const fr_decoder_call *call = context;
    fr_step step = {0};
    for (int i = 0, next = 1; i < FR_DECODER_PARTS; i++)
        if (call->given >> i & 1 && next < count)
            *part_of(&step, i) = inputs[next++];
    return apply(call->layer, tape, inputs[0], &step);
}

fr_tensor *fr_decoder_layer_apply(fr_decoder_layer *layer, fr_tape *tape, fr_tensor *x,
                                  const fr_step *step, bool recompute)
{
    if (!recompute || step->cache)
        return apply(layer, tape, x, step);
    fr_tensor *inputs[1 + FR_DECODER_PARTS] = {x};
    int count = 1, given = 0;
    for (int i = 0; i < FR_DECODER_PARTS; i++)
        if ((inputs[count] = *part_of((fr_step *)step, i))) {
            given |= 1 << i;
            count++;
        }
    return fr_recompute(tape, apply_again, inputs, count, &layer->calls[given]);
}
