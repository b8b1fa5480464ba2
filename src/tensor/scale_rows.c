/* scale_rows.c: y[r] = x[r] * factors[r], a number for each row: what a router weighs its experts'
   results with. x (..., C), factors (...). dfactors[r] = <dy[r], x[r]>. */
#include "tensor/operator.h"

enum { X, FACTORS, INPUTS };

static void shape(fr_node *n)
{
    fr_shape_same_as_first(n);
    n->backward_scratch_bytes = fr_tensor_bytes(n->out) + fr_tensor_bytes(n->in[FACTORS].tensor);
}

static fr_costs cost(const fr_node *n)
{
    return fr_cost_elementwise(n, 1, 3);
}

static void forward(fr_node *n)
{
    int64_t width = fr_tensor_width(n->out), rows = fr_tensor_rows(n->out);
    n->kernels->broadcast_axis(fr_out(n), fr_in(n, FACTORS), rows, width, 1, 1.0F, false);
    n->kernels->multiply(fr_out(n), fr_out(n), fr_in(n, X), rows * width, rows * width, false);
}

static void backward(fr_node *n)
{
    int64_t width = fr_tensor_width(n->out), rows = fr_tensor_rows(n->out), count = rows * width;
    float *whole = n->scratch, *sums = whole + count;
    if (n->in[X].grad) {
        n->kernels->broadcast_axis(whole, fr_in(n, FACTORS), rows, width, 1, 1.0F, false);
        n->kernels->multiply(n->in[X].grad, fr_upstream(n), whole, count, count,
                             n->in[X].accumulate);
    }
    if (n->in[FACTORS].grad) {
        n->kernels->multiply(whole, fr_upstream(n), fr_in(n, X), count, count, false);
        n->kernels->sum_axis(sums, whole, rows, width, 1, 1.0F);
        fr_grad_put(n, FACTORS, sums, 1.0F);
    }
}

static const fr_operator scale_rows = {
    .name = "scale_rows", .shape = shape, .cost = cost, .forward = forward, .backward = backward};

fr_tensor *fr_scale_rows(fr_tape *tape, fr_tensor *x, fr_tensor *factors)
{
    fr_tensor *inputs[] = {x, factors};
    if (!fr_expect_inputs(tape, "scale_rows", inputs, INPUTS) ||
        !fr_expect_dtype(tape, "scale_rows", "x", x, FR_F32) ||
        !fr_expect_dtype(tape, "scale_rows", "factors", factors, FR_F32) ||
        !fr_expect_count(tape, "scale_rows", "factors", factors, fr_tensor_rows(x)))
        return NULL;
    return fr_record(tape, &scale_rows, inputs, INPUTS, NULL);
}
