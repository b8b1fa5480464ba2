/* transpose.c: two axes change places: (outer, A, middle, B, inner) -> (outer, B, middle, A,
   inner). The gradient changes them back. Any type; gradients for f32. */
#include "tensor/operator.h"

enum { X };

typedef struct transpose_options {
    int first, second; /* axes, first < second */
} transpose_options;

static void shape(fr_node *n)
{
    const transpose_options *o = n->options;
    const fr_tensor *x = n->in[X].tensor;
    fr_shape_same_as_first(n);
    n->out->dtype = x->dtype;
    n->out->shape[o->first] = x->shape[o->second];
    n->out->shape[o->second] = x->shape[o->first];
    n->backward_scratch_bytes = fr_tensor_bytes(x);
}

static void run(const fr_node *n, void *out, const void *in, const fr_tensor *like)
{
    const transpose_options *o = n->options;
    n->kernels->transpose(out, in, fr_tensor_extent(like, 0, o->first), like->shape[o->first],
                          fr_tensor_extent(like, o->first + 1, o->second), like->shape[o->second],
                          fr_tensor_extent(like, o->second + 1, like->rank),
                          fr_dtype_size(like->dtype));
}

static void forward(fr_node *n)
{
    run(n, n->out->data, n->in[X].tensor->data, n->in[X].tensor);
}

static void backward(fr_node *n)
{
    float *dx = n->in[X].grad;
    if (!dx)
        return;
    float *back = n->in[X].accumulate ? n->scratch : dx;
    run(n, back, fr_upstream(n), n->out);
    if (back != dx)
        n->kernels->axpy(dx, back, 1.0F, fr_tensor_count(n->out));
}

static const fr_operator transpose = {.name = "transpose",
                                      .options_size = sizeof(transpose_options),
                                      .shape = shape,
                                      .cost = fr_cost_copy,
                                      .forward = forward,
                                      .backward = backward};

fr_tensor *fr_transpose(fr_tape *tape, fr_tensor *x, int axis_a, int axis_b)
{
    if (!fr_expect_inputs(tape, "transpose", &x, 1) ||
        !fr_expect_axis(tape, "transpose", x, axis_a) ||
        !fr_expect_axis(tape, "transpose", x, axis_b))
        return NULL;
    if (axis_a == axis_b)
        return x;
    transpose_options o = {axis_a < axis_b ? axis_a : axis_b, axis_a < axis_b ? axis_b : axis_a};
    return fr_record(tape, &transpose, &x, 1, &o);
}
