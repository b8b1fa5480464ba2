/* encoder_layer.c: the layer that encoders repeat: the norm stands behind each sum, as in the first
   transformers (arXiv 1706.03762, section 3.1; BERT), or before what it feeds (ModernBERT).

   A recomputed layer is called through a struct that must live until backward and must not differ
   between tapes (several may hold this model at once); so each layer holds one per combination of
   the tensors that a step may have. */
#include "nn/nn.h"

void fr_encoder_layer_number(fr_encoder_layer *layer, int index)
{
    layer->attention.index = layer->feed_forward.index = index;
    layer->attention.bidirectional = true;
    for (int given = 0; given < FR_ENCODER_CALLS; given++)
        layer->calls[given] = (fr_encoder_call){layer, given};
}

/* norm(x), where there is one: ModernBERT's first layer reads what a norm has just given. */
static fr_tensor *normed(const fr_norm_layer *norm, fr_tape *tape, fr_tensor *x)
{
    return norm->weight ? fr_norm_apply(norm, tape, x) : x;
}

static fr_tensor *apply(const fr_encoder_layer *layer, fr_tape *tape, fr_tensor *x,
                        const fr_step *step)
{
    const fr_norm_layer *first = &layer->attention_norm, *second = &layer->feed_forward_norm;
    if (layer->norm_first) {
        x = fr_add(tape, x,
                   fr_attention_apply(&layer->attention, tape, normed(first, tape, x), step));
        x = fr_add(tape, x,
                   fr_feed_forward_apply(&layer->feed_forward, tape, normed(second, tape, x)));
    } else {
        fr_tensor *mixed = fr_attention_apply(&layer->attention, tape, x, step);
        x = fr_norm_apply(first, tape, fr_add(tape, mixed, x));
        fr_tensor *fed = fr_feed_forward_apply(&layer->feed_forward, tape, x);
        x = fr_norm_apply(second, tape, fr_add(tape, fed, x));
    }
    return fr_layer_tap(tape, x, layer->attention.tower, layer->attention.index, "out");
}

/* The tensors of a step that there may be, in the order in which a recomputed layer gets them. */
static void list_parts(fr_step *step, fr_tensor ***parts)
{
    parts[0] = &step->positions;
    parts[1] = &step->segments;
    parts[2] = &step->lengths;
    parts[3] = &step->relative_bias;
    parts[4] = &step->frequencies;
    parts[5] = &step->global;
    parts[6] = &step->picked;
    parts[7] = &step->merged;
}

/* A part's bit in fr_encoder_call.given; the last three come together. */
static int bit_of(int part)
{
    return 1 << (part < FR_ENCODER_PARTS - 3 ? part : FR_ENCODER_PARTS - 3);
}

static fr_tensor *apply_again(fr_tape *tape, fr_tensor *const *inputs, int count, void *context)
{
    const fr_encoder_call *call = context;
    fr_step step = {0};
    fr_tensor **parts[FR_ENCODER_PARTS];
    list_parts(&step, parts);
    int next = 1;
    for (int i = 0; i < FR_ENCODER_PARTS; i++)
        if (call->given & bit_of(i) && next < count)
            *parts[i] = inputs[next++];
    return apply(call->layer, tape, inputs[0], &step);
}

fr_tensor *fr_encoder_layer_apply(fr_encoder_layer *layer, fr_tape *tape, fr_tensor *x,
                                  const fr_step *step, bool recompute)
{
    if (!recompute)
        return apply(layer, tape, x, step);
    fr_step copy = *step;
    fr_tensor **parts[FR_ENCODER_PARTS], *inputs[1 + FR_ENCODER_PARTS] = {x};
    list_parts(&copy, parts);
    int count = 1, given = 0;
    for (int i = 0; i < FR_ENCODER_PARTS; i++)
        if (*parts[i]) {
            inputs[count++] = *parts[i];
            given |= bit_of(i);
        }
    return fr_recompute(tape, apply_again, inputs, count, &layer->calls[given]);
}
