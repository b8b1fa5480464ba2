/* softmax.c: softmax and its logarithm over the last axis. Both go back from their result alone. x,
   y (..., C). */
#include "tensor/operator.h"

enum { X };

static fr_costs cost(const fr_node *n)
{
    return fr_cost_elementwise(n, 12, 4);
}

static void forward_softmax(fr_node *n)
{
    n->kernels->softmax_forward(fr_out(n), fr_in(n, X), fr_tensor_rows(n->out),
                                fr_tensor_width(n->out));
}

static void backward_softmax(fr_node *n)
{
    if (n->in[X].grad)
        n->kernels->softmax_backward(n->in[X].grad, fr_upstream(n), fr_out(n),
                                     fr_tensor_rows(n->out), fr_tensor_width(n->out),
                                     n->in[X].accumulate);
}

static void forward_log_softmax(fr_node *n)
{
    n->kernels->log_softmax_forward(fr_out(n), fr_in(n, X), fr_tensor_rows(n->out),
                                    fr_tensor_width(n->out));
}

static void backward_log_softmax(fr_node *n)
{
    if (n->in[X].grad)
        n->kernels->log_softmax_backward(n->in[X].grad, fr_upstream(n), fr_out(n),
                                         fr_tensor_rows(n->out), fr_tensor_width(n->out),
                                         n->in[X].accumulate);
}

static const fr_operator softmax = {.name = "softmax",
                                    .shape = fr_shape_same_as_first,
                                    .cost = cost,
                                    .forward = forward_softmax,
                                    .backward = backward_softmax};

static const fr_operator log_softmax = {.name = "log_softmax",
                                        .shape = fr_shape_same_as_first,
                                        .cost = cost,
                                        .forward = forward_log_softmax,
                                        .backward = backward_log_softmax};

static fr_tensor *apply(fr_tape *tape, fr_tensor *x, const fr_operator *kind)
{
    if (!fr_expect_inputs(tape, kind->name, &x, 1) ||
        !fr_expect_dtype(tape, kind->name, "x", x, FR_F32))
        return NULL;
    return fr_record(tape, kind, &x, 1, NULL);
}

fr_tensor *fr_softmax(fr_tape *tape, fr_tensor *x)
{
    return apply(tape, x, &softmax);
}

fr_tensor *fr_log_softmax(fr_tape *tape, fr_tensor *x)
{
    return apply(tape, x, &log_softmax);
}
