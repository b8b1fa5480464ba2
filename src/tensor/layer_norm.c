/* layer_norm.c: y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias over the last axis.
   Layer normalisation, arXiv 1607.06450. x, y (..., C); weight, bias (C). */
#include "tensor/operator.h"

enum { X, WEIGHT, BIAS, INPUTS };
enum { MEAN, RSTD }; /* (rows) each, kept for backward */

typedef struct norm_options {
    float eps;
} norm_options;

static void shape(fr_node *n)
{
    fr_shape_same_as_first(n);
    n->saved_bytes[MEAN] = n->saved_bytes[RSTD] = (size_t)fr_tensor_rows(n->out) * sizeof(float);
}

static fr_costs cost(const fr_node *n)
{
    return fr_cost_elementwise(n, 7, 14);
}

static void forward(fr_node *n)
{
    const norm_options *o = n->options;
    n->kernels->layer_norm_forward(fr_out(n), n->saved[MEAN], n->saved[RSTD], fr_in(n, X),
                                   fr_in(n, WEIGHT), fr_in(n, BIAS), o->eps, fr_tensor_rows(n->out),
                                   fr_tensor_width(n->out));
}

static void backward(fr_node *n)
{
    n->kernels->layer_norm_backward(
        n->in[X].grad, fr_grad_to_add(n, WEIGHT), fr_grad_to_add(n, BIAS), fr_upstream(n),
        fr_in(n, X), fr_in(n, WEIGHT), n->saved[MEAN], n->saved[RSTD], fr_tensor_rows(n->out),
        fr_tensor_width(n->out), n->in[X].accumulate);
}

static const fr_operator layer_norm = {.name = "layer_norm",
                                       .options_size = sizeof(norm_options),
                                       .shape = shape,
                                       .cost = cost,
                                       .forward = forward,
                                       .backward = backward};

fr_tensor *fr_layer_norm(fr_tape *tape, fr_tensor *x, fr_tensor *weight, fr_tensor *bias, float eps)
{
    if (!fr_expect_inputs(tape, "layer_norm", (fr_tensor *[]){x, weight}, 2) ||
        !fr_expect_dtype(tape, "layer_norm", "x", x, FR_F32) ||
        !fr_expect_last_axis(tape, "layer_norm", "weight", weight, x) ||
        (bias && !fr_expect_last_axis(tape, "layer_norm", "bias", bias, x)))
        return NULL;
    return fr_record(tape, &layer_norm, (fr_tensor *[]){x, weight, bias}, INPUTS,
                     &(norm_options){eps});
}
