/* decoder_layer.c: the layer that decoders repeat, and towers that see an image (whose attention looks to
   both sides), and how it is recomputed.

   A recomputed layer is called through a struct that must live until backward and must not differ
   between tapes (several may hold this model at once); so each layer holds one per combination of
   the tensors that a step may have. */
#include "nn/nn.h"

enum { HAS_POSITIONS = 1, HAS_SEGMENTS = 2 };

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

static fr_tensor *apply(const fr_decoder_layer *layer, fr_tape *tape, fr_tensor *x,
                        const fr_step *step)
{
    fr_tensor *normed = fr_norm_apply(&layer->attention_norm, tape, x);
    x = fr_add(tape, x, fr_attention_apply(&layer->attention, tape, normed, step));
    normed = fr_norm_apply(&layer->feed_forward_norm, tape, x);
    x = fr_add(tape, x, fr_feed_forward_apply(&layer->feed_forward, tape, normed));
    return fr_layer_tap(tape, x, layer->attention.tower, layer->attention.index, "out");
}

static fr_tensor *apply_again(fr_tape *tape, fr_tensor *const *inputs, int count, void *context)
{
    const fr_decoder_call *call = context;
    fr_step step = {0};
    int next = 1;
    if (call->given & HAS_POSITIONS && next < count)
        step.positions = inputs[next++];
    if (call->given & HAS_SEGMENTS && next < count)
        step.segments = inputs[next];
    return apply(call->layer, tape, inputs[0], &step);
}

fr_tensor *fr_decoder_layer_apply(fr_decoder_layer *layer, fr_tape *tape, fr_tensor *x,
                                  const fr_step *step, bool recompute)
{
    if (!recompute || step->cache)
        return apply(layer, tape, x, step);
    fr_tensor *inputs[3] = {x};
    int count = 1, given = 0;
    if (step->positions) {
        inputs[count++] = step->positions;
        given |= HAS_POSITIONS;
    }
    if (step->segments) {
        inputs[count++] = step->segments;
        given |= HAS_SEGMENTS;
    }
    return fr_recompute(tape, apply_again, inputs, count, &layer->calls[given]);
}
