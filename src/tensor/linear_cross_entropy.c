/* linear_cross_entropy.c: the last linear layer and the loss in one. Logits are made and consumed
   in chunks of rows, so (N, V) never exists. On a recording tape the gradients are computed in the
   same pass, from the chunk that has just been made: logits are made once and backward only adds
   what is kept, times the upstream gradient. x (N, C), weight (V, C), bias (V). Idea: Cut Your
   Losses, arXiv 2411.09009, cut by rows instead of blocks of both axes. */
#include "kernels/linear.h"
#include "tensor/loss.h"

enum { X, WEIGHT, BIAS, INPUTS }; /* saved[i]: gradient of input i at upstream 1 */

static void shape(fr_node *n)
{
    int64_t vocabulary = n->in[WEIGHT].tensor->shape[0];
    fr_loss_shape(n);
    for (int i = 0; i < INPUTS; i++)
        if (n->recorded && n->in[i].wanted)
            n->saved_bytes[i] = fr_tensor_bytes(n->in[i].tensor);
    n->scratch_bytes =
        (size_t)(fr_loss_chunk(fr_tensor_rows(n->in[X].tensor), vocabulary) * vocabulary) *
        sizeof(float);
}

static fr_costs cost(const fr_node *n)
{
    const fr_tensor *x = n->in[X].tensor, *weight = n->in[WEIGHT].tensor;
    double logits = (double)fr_tensor_rows(x) * (double)weight->shape[0];
    double product = 2.0 * logits * (double)weight->shape[1];
    double bytes = (double)(fr_tensor_bytes(x) + fr_tensor_bytes(weight));
    fr_costs costs = {.forward = {product + 12 * logits, bytes}};
    if (n->in[BIAS].tensor)
        costs.forward.flops += logits;
    for (int i = X; i <= WEIGHT; i++)
        if (n->in[i].wanted) {
            costs.backward.flops += product;
            costs.backward.bytes += bytes;
        }
    if (n->in[X].wanted || n->in[WEIGHT].wanted || n->in[BIAS].wanted)
        costs.backward.flops += 2 * logits;
    if (n->in[BIAS].wanted)
        costs.backward.flops += logits;
    return costs;
}

/* Rows [row, row + count): logits, losses, and the gradients that are kept. */
static void forward_chunk(fr_node *n, int64_t row, int64_t count)
{
    const fr_loss_options *o = n->options;
    const fr_tensor *weight = n->in[WEIGHT].tensor;
    int64_t vocabulary = weight->shape[0], width = weight->shape[1];
    const float *x = fr_in(n, X) + row * width;
    float *logits = n->scratch, *losses = o->per_row->data;
    float *dx = n->saved[X], *dweight = n->saved[WEIGHT], *dbias = n->saved[BIAS];
    fr_linear_forward(logits, x, weight->data, weight->dtype, fr_in(n, BIAS), count, vocabulary,
                      width);
    n->kernels->cross_entropy(losses + row, n->recorded ? logits : NULL, logits, o->targets + row,
                              o->weights ? o->weights + row : NULL, o->scale, count, vocabulary);
    if (dx)
        fr_linear_backward_input(dx + row * width, logits, weight->data, weight->dtype, count,
                                 vocabulary, width, false);
    if (dweight || dbias)
        fr_linear_backward_weight(dweight, dbias, logits, x, count, vocabulary, width);
}

static void forward(fr_node *n)
{
    const fr_loss_options *o = n->options;
    int64_t rows = fr_tensor_rows(n->in[X].tensor);
    int64_t chunk = fr_loss_chunk(rows, n->in[WEIGHT].tensor->shape[0]);
    for (int i = WEIGHT; i <= BIAS; i++)
        if (n->saved[i])
            n->kernels->fill(n->saved[i], 0.0F, fr_tensor_count(n->in[i].tensor));
    for (int64_t row = 0; row < rows; row += chunk)
        forward_chunk(n, row, rows - row < chunk ? rows - row : chunk);
    fr_out(n)[0] = fr_loss_sum(n, o);
}

static void backward(fr_node *n)
{
    for (int i = 0; i < INPUTS; i++)
        fr_grad_put(n, i, n->saved[i], fr_upstream(n)[0]);
}

static const fr_operator linear_cross_entropy = {.name = "linear_cross_entropy",
                                                 .options_size = sizeof(fr_loss_options),
                                                 .shape = shape,
                                                 .cost = cost,
                                                 .forward = forward,
                                                 .backward = backward,
                                                 .reads_blocks = true};

fr_tensor *fr_linear_cross_entropy(fr_tape *tape, fr_tensor *x, fr_tensor *weight, fr_tensor *bias,
                                   fr_tensor *targets, fr_tensor *weights, float scale,
                                   fr_tensor **per_row)
{
    static const char name[] = "linear_cross_entropy";
    if (!fr_expect_inputs(tape, name, (fr_tensor *[]){x, weight, targets}, 3) ||
        !fr_expect_dtype(tape, name, "x", x, FR_F32) ||
        !fr_expect_weight(tape, name, "weight", weight) ||
        !fr_expect_rank(tape, name, "weight", weight, 2))
        return NULL;
    if (x->rank < 1 || fr_tensor_width(x) != weight->shape[1])
        return fr_tape_fail(tape, FR_WRONG_CALL, "%s: x has width %lld, weight takes %lld", name,
                            (long long)fr_tensor_width(x), (long long)weight->shape[1]);
    if (bias && (!fr_expect_dtype(tape, name, "bias", bias, FR_F32) ||
                 !fr_expect_count(tape, name, "bias", bias, weight->shape[0])))
        return NULL;
    fr_loss_options o;
    if (!fr_loss_prepare(tape, name, &o, x, weight->shape[0], targets, weights, scale, per_row))
        return NULL;
    return fr_record(tape, &linear_cross_entropy, (fr_tensor *[]){x, weight, bias}, INPUTS, &o);
}
