/* linear.c: y = x W^T + bias, where most of a transformer's arithmetic is. x (N, K), weight (M, K),
   bias (M), y (N, M): N rows, K inputs, M outputs. A weight that is stored otherwise than in f32 is
   converted on use and gets no gradient. */
#include "kernels/linear.h"
#include "tensor/operator.h"

enum { X, WEIGHT, BIAS, INPUTS };

static void shape(fr_node *n)
{
    fr_shape_same_as_first(n);
    n->out->shape[n->out->rank - 1] = n->in[WEIGHT].tensor->shape[0];
}

static fr_costs cost(const fr_node *n)
{
    const fr_tensor *x = n->in[X].tensor, *weight = n->in[WEIGHT].tensor;
    double product = 2.0 * (double)fr_tensor_rows(x) * (double)fr_tensor_count(weight);
    double bytes = (double)(fr_tensor_bytes(x) + fr_tensor_bytes(weight) + fr_tensor_bytes(n->out));
    fr_costs costs = {.forward = {product, bytes}};
    if (n->in[BIAS].tensor)
        costs.forward.flops += (double)fr_tensor_count(n->out);
    if (n->in[X].wanted) {
        costs.backward.flops += product;
        costs.backward.bytes += bytes;
    }
    if (n->in[WEIGHT].wanted) {
        costs.backward.flops += product;
        costs.backward.bytes += bytes + (double)fr_tensor_bytes(weight);
    }
    if (n->in[BIAS].wanted)
        costs.backward.flops += (double)fr_tensor_count(n->out);
    return costs;
}

static void forward(fr_node *n)
{
    const fr_tensor *x = n->in[X].tensor, *weight = n->in[WEIGHT].tensor;
    fr_linear_forward(fr_out(n), fr_in(n, X), weight->data, weight->dtype, fr_in(n, BIAS),
                      fr_tensor_rows(x), weight->shape[0], weight->shape[1]);
}

static void backward(fr_node *n)
{
    const fr_tensor *x = n->in[X].tensor, *weight = n->in[WEIGHT].tensor;
    int64_t rows = fr_tensor_rows(x), outputs = weight->shape[0], inputs = weight->shape[1];
    if (n->in[X].grad)
        fr_linear_backward_input(n->in[X].grad, fr_upstream(n), weight->data, weight->dtype, rows,
                                 outputs, inputs, n->in[X].accumulate);
    float *dweight = fr_grad_to_add(n, WEIGHT), *dbias = fr_grad_to_add(n, BIAS);
    if (dweight || dbias)
        fr_linear_backward_weight(dweight, dbias, fr_upstream(n), fr_in(n, X), rows, outputs,
                                  inputs);
}

static const fr_operator linear = {.name = "linear",
                                   .shape = shape,
                                   .cost = cost,
                                   .forward = forward,
                                   .backward = backward,
                                   .reads_blocks = true};

fr_tensor *fr_linear(fr_tape *tape, fr_tensor *x, fr_tensor *weight, fr_tensor *bias)
{
    if (!fr_expect_inputs(tape, "linear", (fr_tensor *[]){x, weight}, 2) ||
        !fr_expect_dtype(tape, "linear", "x", x, FR_F32) ||
        !fr_expect_weight(tape, "linear", "weight", weight) ||
        !fr_expect_rank(tape, "linear", "weight", weight, 2))
        return NULL;
    if (x->rank < 1 || fr_tensor_width(x) != weight->shape[1])
        return fr_tape_fail(tape, FR_WRONG_CALL, "linear: x has width %lld, weight takes %lld",
                            (long long)fr_tensor_width(x), (long long)weight->shape[1]);
    if (bias && (!fr_expect_dtype(tape, "linear", "bias", bias, FR_F32) ||
                 !fr_expect_count(tape, "linear", "bias", bias, weight->shape[0])))
        return NULL;
    return fr_record(tape, &linear, (fr_tensor *[]){x, weight, bias}, INPUTS, NULL);
}
