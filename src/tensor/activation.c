/* activation.c: the functions between a feed-forward layer's matrices. GELU: arXiv 1606.08415;
   SiLU: arXiv 1702.03118; SwiGLU: arXiv 2002.05202, equation 6 (silu(gate) * up, the two products
   being linear layers of their own). */
#include "tensor/operator.h"

/* ---- of one argument ---- */

enum { X };

/* Flops per element, counting an exponential as 8. */
static const double forward_flops[] = {20, 16, 12, 1, 12, 13, 8},
                    backward_flops[] = {30, 28, 18, 1, 14, 19, 9};

static fr_activation kind_of(const fr_node *n)
{
    const fr_activation *kind = n->options;
    return *kind;
}

static fr_costs cost(const fr_node *n)
{
    fr_activation kind = kind_of(n);
    return fr_cost_elementwise(n, forward_flops[kind], backward_flops[kind]);
}

static void forward(fr_node *n)
{
    n->kernels->activation_forward(kind_of(n), fr_out(n), fr_in(n, X), fr_tensor_count(n->out));
}

static void backward(fr_node *n)
{
    if (n->in[X].grad)
        n->kernels->activation_backward(kind_of(n), n->in[X].grad, fr_upstream(n), fr_in(n, X),
                                        fr_tensor_count(n->out), n->in[X].accumulate);
}

#define ACTIVATION(label)                                                                          \
    {                                                                                              \
        .name = (label), .options_size = sizeof(fr_activation), .shape = fr_shape_same_as_first,   \
        .cost = cost, .forward = forward, .backward = backward                                     \
    }
static const fr_operator activations[] = {
    [FR_ACTIVATION_GELU] = ACTIVATION("gelu"),
    [FR_ACTIVATION_GELU_TANH] = ACTIVATION("gelu_tanh"),
    [FR_ACTIVATION_SILU] = ACTIVATION("silu"),
    [FR_ACTIVATION_RELU] = ACTIVATION("relu"),
    [FR_ACTIVATION_TANH] = ACTIVATION("tanh"),
    [FR_ACTIVATION_QUICK_GELU] = ACTIVATION("quick_gelu"),
    [FR_ACTIVATION_EXP] = ACTIVATION("exp"),
};

static fr_tensor *activate(fr_tape *tape, fr_tensor *x, fr_activation which)
{
    const fr_operator *kind = &activations[which];
    if (!fr_expect_inputs(tape, kind->name, &x, 1) ||
        !fr_expect_dtype(tape, kind->name, "x", x, FR_F32))
        return NULL;
    return fr_record(tape, kind, &x, 1, &which);
}

fr_tensor *fr_gelu(fr_tape *tape, fr_tensor *x)
{
    return activate(tape, x, FR_ACTIVATION_GELU);
}

fr_tensor *fr_gelu_tanh(fr_tape *tape, fr_tensor *x)
{
    return activate(tape, x, FR_ACTIVATION_GELU_TANH);
}

fr_tensor *fr_silu(fr_tape *tape, fr_tensor *x)
{
    return activate(tape, x, FR_ACTIVATION_SILU);
}

fr_tensor *fr_relu(fr_tape *tape, fr_tensor *x)
{
    return activate(tape, x, FR_ACTIVATION_RELU);
}

fr_tensor *fr_tanh(fr_tape *tape, fr_tensor *x)
{
    return activate(tape, x, FR_ACTIVATION_TANH);
}

fr_tensor *fr_quick_gelu(fr_tape *tape, fr_tensor *x)
{
    return activate(tape, x, FR_ACTIVATION_QUICK_GELU);
}

fr_tensor *fr_exp(fr_tape *tape, fr_tensor *x)
{
    return activate(tape, x, FR_ACTIVATION_EXP);
}

/* ---- SwiGLU ---- */

enum { GATE, UP, INPUTS };

static fr_costs cost_swiglu(const fr_node *n)
{
    return fr_cost_elementwise(n, 13, 20);
}

static void forward_swiglu(fr_node *n)
{
    n->kernels->swiglu_forward(fr_out(n), fr_in(n, GATE), fr_in(n, UP), fr_tensor_count(n->out));
}

static void backward_swiglu(fr_node *n)
{
    n->kernels->swiglu_backward(n->in[GATE].grad, n->in[UP].grad, fr_upstream(n), fr_in(n, GATE),
                                fr_in(n, UP), fr_tensor_count(n->out), n->in[GATE].accumulate,
                                n->in[UP].accumulate);
}

static const fr_operator swiglu = {.name = "swiglu",
                                   .shape = fr_shape_same_as_first,
                                   .cost = cost_swiglu,
                                   .forward = forward_swiglu,
                                   .backward = backward_swiglu};

fr_tensor *fr_swiglu(fr_tape *tape, fr_tensor *gate, fr_tensor *up)
{
    if (!fr_expect_inputs(tape, "swiglu", (fr_tensor *[]){gate, up}, INPUTS) ||
        !fr_expect_dtype(tape, "swiglu", "gate", gate, FR_F32) ||
        !fr_expect_dtype(tape, "swiglu", "up", up, FR_F32))
        return NULL;
    if (!fr_tensor_same_shape(gate, up)) {
        char a[96], b[96];
        return fr_tape_fail(tape, FR_WRONG_CALL, "swiglu: gate has shape %s, up has %s",
                            fr_tensor_shape_text(gate, a, sizeof a),
                            fr_tensor_shape_text(up, b, sizeof b));
    }
    return fr_record(tape, &swiglu, (fr_tensor *[]){gate, up}, INPUTS, NULL);
}
