/* feed_forward.c: the position-wise feed-forward layer, plain (down f(up x), arXiv 1706.03762) or
   gated (down (f(gate x) * up x), arXiv 2002.05202). */
#include "nn/nn.h"

const char *const fr_activation_names[] = {
    "gelu_new",   "gelu",        "gelu_pytorch_tanh", "silu",          "relu",
    "quick_gelu", "tanh",        "gelu_fast",         "swish",         "linear",
    "relu2",      "gelu_python", "gelu_python_tanh",  "gelu_accurate", NULL};

fr_tensor *fr_activate(fr_tape *tape, fr_tensor *x, fr_activation activation)
{
    switch (activation) {
    case FR_ACTIVATION_LINEAR:
        return x;
    case FR_ACTIVATION_RELU2:
        x = fr_relu(tape, x);
        return fr_multiply(tape, x, x);
    case FR_ACTIVATION_GELU:
    case FR_ACTIVATION_GELU_PYTHON:
        return fr_gelu(tape, x);
    case FR_ACTIVATION_SILU:
    case FR_ACTIVATION_SWISH:
        return fr_silu(tape, x);
    case FR_ACTIVATION_RELU:
        return fr_relu(tape, x);
    case FR_ACTIVATION_QUICK_GELU:
        return fr_quick_gelu(tape, x);
    case FR_ACTIVATION_TANH:
        return fr_tanh(tape, x);
    case FR_ACTIVATION_GELU_NEW:
    case FR_ACTIVATION_GELU_TANH:
    case FR_ACTIVATION_GELU_FAST:
    case FR_ACTIVATION_GELU_PYTHON_TANH:
    case FR_ACTIVATION_GELU_ACCURATE:
        break;
    }
    return fr_gelu_tanh(tape, x); /* five names of one function */
}

/* x (..., C) -> f(gate x) * up x, or f(up x): (..., F) */
static fr_tensor *widen(const fr_feed_forward_layer *layer, fr_tape *tape, fr_tensor *x)
{
    fr_tensor *gate = NULL, *up;
    if (layer->fused) {
        fr_tensor *both = fr_linear_layer_apply(layer->fused, tape, x);
        int axis = both ? both->rank - 1 : 0;
        int64_t width = layer->fused->weight->out / 2;
        gate = fr_slice(tape, both, axis, 0, width);
        up = fr_slice(tape, both, axis, width, 2 * width);
    } else {
        up = fr_linear_layer_apply(layer->up, tape, x);
        if (!layer->gate)
            return fr_activate(tape, up, layer->activation);
        gate = fr_linear_layer_apply(layer->gate, tape, x);
    }
    return layer->activation == FR_ACTIVATION_SILU
               ? fr_swiglu(tape, gate, up)
               : fr_multiply(tape, fr_activate(tape, gate, layer->activation), up);
}

fr_tensor *fr_feed_forward_inner(const fr_feed_forward_layer *layer, fr_tape *tape, fr_tensor *x)
{
    if (layer->experts)
        return fr_experts_apply(layer->experts, tape, x);
    x = fr_dropout(tape, widen(layer, tape, x), layer->inner_dropout);
    return fr_linear_layer_apply(layer->down, tape, x);
}

fr_tensor *fr_feed_forward_apply(const fr_feed_forward_layer *layer, fr_tape *tape, fr_tensor *x)
{
    fr_tensor *out = fr_feed_forward_inner(layer, tape, x);
    out = fr_layer_tap(tape, out, layer->tower, layer->index, "feed_forward.out");
    return fr_dropout(tape, out, layer->dropout);
}
