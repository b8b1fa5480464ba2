/* gather.c: rows picked by number (embedding, gather), and its mirror image, rows added where their
   numbers say (scatter). The backward pass of each is the other's forward. W: elements of a row. */
#include "tensor/operator.h"

enum { X, INDICES, INPUTS };

static int64_t row_width(const fr_tensor *x)
{
    return fr_tensor_extent(x, 1, x->rank);
}

static const int32_t *indices_of(const fr_node *n)
{
    return n->in[INDICES].tensor->data;
}

/* ---- rows picked: embedding and gather ---- */

/* (indices' shape, rows' shape) */
static void shape_gather(fr_node *n)
{
    const fr_tensor *x = n->in[X].tensor, *indices = n->in[INDICES].tensor;
    fr_shape_copy(n->out, indices);
    for (int i = 1; i < x->rank; i++)
        n->out->shape[n->out->rank++] = x->shape[i];
}

static void forward_gather(fr_node *n)
{
    const fr_tensor *x = n->in[X].tensor;
    n->kernels->gather_rows(fr_out(n), x->data, x->dtype, indices_of(n),
                            fr_tensor_count(n->in[INDICES].tensor), row_width(x));
}

/* The rows' gradients go where they were picked, but for picks of row `skipped`. */
static void give_back(fr_node *n, int32_t skipped)
{
    float *dx = fr_grad_to_add(n, X);
    if (dx)
        n->kernels->scatter_add_rows(dx, fr_upstream(n), indices_of(n),
                                     fr_tensor_count(n->in[INDICES].tensor),
                                     row_width(n->in[X].tensor), skipped);
}

static void backward_gather(fr_node *n)
{
    give_back(n, -1);
}

typedef struct embedding_options {
    int32_t padding; /* its row gets no gradient; -1: all get theirs */
} embedding_options;

static void backward_embedding(fr_node *n)
{
    const embedding_options *o = n->options;
    give_back(n, o->padding);
}

static const fr_operator embedding = {.name = "embedding",
                                      .options_size = sizeof(embedding_options),
                                      .shape = shape_gather,
                                      .cost = fr_cost_copy,
                                      .forward = forward_gather,
                                      .backward = backward_embedding,
                                      .reads_blocks = true};

fr_tensor *fr_embedding(fr_tape *tape, fr_tensor *weight, fr_tensor *ids)
{
    return fr_embedding_padded(tape, weight, ids, -1);
}

fr_tensor *fr_embedding_padded(fr_tape *tape, fr_tensor *weight, fr_tensor *ids, int64_t padding)
{
    if (!fr_expect_inputs(tape, "embedding", (fr_tensor *[]){weight, ids}, INPUTS) ||
        !fr_expect_weight(tape, "embedding", "weight", weight) ||
        !fr_expect_rank(tape, "embedding", "weight", weight, 2) ||
        !fr_expect_indices(tape, "embedding", "ids", ids, weight->shape[0], 0))
        return NULL;
    if (ids->rank == FR_MAX_RANK)
        return fr_tape_fail(tape, FR_WRONG_CALL, "embedding: ids have rank %d, at most %d expected",
                            ids->rank, FR_MAX_RANK - 1);
    embedding_options o = {padding >= 0 && padding < weight->shape[0] ? (int32_t)padding : -1};
    return fr_record(tape, &embedding, (fr_tensor *[]){weight, ids}, INPUTS, &o);
}

static const fr_operator gather = {.name = "gather",
                                   .shape = shape_gather,
                                   .cost = fr_cost_copy,
                                   .forward = forward_gather,
                                   .backward = backward_gather};

/* x has rows, indices are a list. */
static bool expect_rows(fr_tape *tape, const char *call, fr_tensor *x, fr_tensor *indices)
{
    if (!fr_expect_inputs(tape, call, (fr_tensor *[]){x, indices}, INPUTS) ||
        !fr_expect_dtype(tape, call, "x", x, FR_F32) ||
        !fr_expect_rank(tape, call, "indices", indices, 1))
        return false;
    if (x->rank > 0)
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: x has no rows", call);
    return false;
}

fr_tensor *fr_gather(fr_tape *tape, fr_tensor *x, fr_tensor *indices)
{
    if (!expect_rows(tape, "gather", x, indices) ||
        !fr_expect_indices(tape, "gather", "indices", indices, x->shape[0], 0))
        return NULL;
    return fr_record(tape, &gather, (fr_tensor *[]){x, indices}, INPUTS, NULL);
}

/* ---- rows added: scatter ---- */

typedef struct scatter_options {
    int64_t count;
} scatter_options;

static void shape_scatter(fr_node *n)
{
    const scatter_options *o = n->options;
    fr_shape_same_as_first(n);
    n->out->shape[0] = o->count;
}

static fr_costs cost_scatter(const fr_node *n)
{
    double moved = 2.0 * (double)fr_tensor_bytes(n->in[X].tensor);
    fr_costs costs = {
        {(double)fr_tensor_count(n->in[X].tensor), 1.5 * moved + (double)fr_tensor_bytes(n->out)},
        {0, n->in[X].wanted ? moved : 0}};
    return costs;
}

static void forward_scatter(fr_node *n)
{
    n->kernels->fill(fr_out(n), 0.0F, fr_tensor_count(n->out));
    n->kernels->scatter_add_rows(fr_out(n), fr_in(n, X), indices_of(n),
                                 fr_tensor_count(n->in[INDICES].tensor), row_width(n->in[X].tensor),
                                 -1);
}

static void backward_scatter(fr_node *n)
{
    float *dx = n->in[X].grad;
    int64_t count = fr_tensor_count(n->in[INDICES].tensor), width = row_width(n->in[X].tensor);
    if (dx && !n->in[X].accumulate)
        n->kernels->gather_rows(dx, fr_upstream(n), FR_F32, indices_of(n), count, width);
    else if (dx)
        for (int64_t i = 0; i < count; i++)
            n->kernels->axpy(dx + i * width, fr_upstream(n) + indices_of(n)[i] * width, 1.0F,
                             width);
}

static const fr_operator scatter = {.name = "scatter",
                                    .options_size = sizeof(scatter_options),
                                    .shape = shape_scatter,
                                    .cost = cost_scatter,
                                    .forward = forward_scatter,
                                    .backward = backward_scatter};

fr_tensor *fr_scatter(fr_tape *tape, fr_tensor *x, fr_tensor *indices, int64_t count)
{
    if (!expect_rows(tape, "scatter", x, indices))
        return NULL;
    if (count < 1 || count > INT32_MAX)
        return fr_tape_fail(tape, FR_WRONG_CALL, "scatter: %lld rows, at least 1 expected",
                            (long long)count);
    if (!fr_expect_count(tape, "scatter", "indices", indices, x->shape[0]) ||
        !fr_expect_indices(tape, "scatter", "indices", indices, count, 0))
        return NULL;
    return fr_record(tape, &scatter, (fr_tensor *[]){x, indices}, INPUTS,
                     &(scatter_options){count});
}
