/* rms_norm.c: y = x / rms(x) * weight over the last axis; rms(x) = sqrt(mean(x^2) + eps). Root mean
   square layer normalisation, arXiv 1910.07467, equation 4. x, y (..., C); weight (C). */
#include "tensor/operator.h"

enum { X, WEIGHT, INPUTS };
enum { RSTD }; /* (rows): 1 / rms, kept for backward */

typedef struct norm_options {
    float eps;
} norm_options;

static void shape(fr_node *n)
{
    fr_shape_same_as_first(n);
    n->saved_bytes[RSTD] = (size_t)fr_tensor_rows(n->out) * sizeof(float);
}

static fr_costs cost(const fr_node *n)
{
    return fr_cost_elementwise(n, 4, 9);
}

static void forward(fr_node *n)
{
    const norm_options *o = n->options;
    n->kernels->rms_norm_forward(fr_out(n), n->saved[RSTD], fr_in(n, X), fr_in(n, WEIGHT), o->eps,
                                 fr_tensor_rows(n->out), fr_tensor_width(n->out));
}

static void backward(fr_node *n)
{
    n->kernels->rms_norm_backward(
        n->in[X].grad, fr_grad_to_add(n, WEIGHT), fr_upstream(n), fr_in(n, X), fr_in(n, WEIGHT),
        n->saved[RSTD], fr_tensor_rows(n->out), fr_tensor_width(n->out), n->in[X].accumulate);
}

static const fr_operator rms_norm = {.name = "rms_norm",
                                     .options_size = sizeof(norm_options),
                                     .shape = shape,
                                     .cost = cost,
                                     .forward = forward,
                                     .backward = backward};

fr_tensor *fr_rms_norm(fr_tape *tape, fr_tensor *x, fr_tensor *weight, float eps)
{
    if (!fr_expect_inputs(tape, "rms_norm", (fr_tensor *[]){x, weight}, INPUTS) ||
        !fr_expect_dtype(tape, "rms_norm", "x", x, FR_F32) ||
        !fr_expect_last_axis(tape, "rms_norm", "weight", weight, x))
        return NULL;
    return fr_record(tape, &rms_norm, (fr_tensor *[]){x, weight}, INPUTS, &(norm_options){eps});
}
