/* rope.c: rotary position embedding, arXiv 2104.09864, in the half-rotated layout: element i of a
   head is paired with i + R/2. The gradient is the inverse rotation. x, y (B, T, H*D). */
#include "tensor/operator.h"

enum { X };

static fr_costs cost(const fr_node *n)
{
    return fr_cost_elementwise(n, 4, 4);
}

static void forward(fr_node *n)
{
    n->kernels->rope(fr_out(n), fr_in(n, X), n->options, false, false);
}

static void backward(fr_node *n)
{
    if (n->in[X].grad)
        n->kernels->rope(n->in[X].grad, fr_upstream(n), n->options, true, n->in[X].accumulate);
}

static const fr_operator rope = {.name = "rope",
                                 .options_size = sizeof(fr_rope_shape),
                                 .shape = fr_shape_same_as_first,
                                 .cost = cost,
                                 .forward = forward,
                                 .backward = backward};

fr_tensor *fr_rope(fr_tape *tape, fr_tensor *x, fr_tensor *positions, fr_tensor *inverse_frequency,
                   int heads, float scaling)
{
    if (!fr_expect_inputs(tape, "rope", (fr_tensor *[]){x, inverse_frequency}, 2) ||
        !fr_expect_dtype(tape, "rope", "x", x, FR_F32) ||
        !fr_expect_rank(tape, "rope", "x", x, 3) ||
        !fr_expect_constant(tape, "rope", "inverse_frequency", inverse_frequency, FR_F32))
        return NULL;
    if (positions &&
        (!fr_expect_constant(tape, "rope", "positions", positions, FR_I32) ||
         !fr_expect_count(tape, "rope", "positions", positions, x->shape[0] * x->shape[1])))
        return NULL;
    int rank = inverse_frequency->rank;
    if (rank != 1 && (rank != 2 || inverse_frequency->shape[0] != x->shape[0]))
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "rope: frequencies are (R/2), or (B, R/2) with x's B rows");
    int64_t width = x->shape[2], pairs = inverse_frequency->shape[rank - 1];
    if (heads < 1 || width % heads != 0 || 2 * pairs > width / heads)
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "rope: width %lld does not fit %d heads of at least %lld",
                            (long long)width, heads, (long long)(2 * pairs));
    fr_rope_shape o = {.batch = x->shape[0],
                       .positions = x->shape[1],
                       .heads = heads,
                       .head_width = width / heads,
                       .pairs = pairs,
                       .position_ids = positions ? positions->data : NULL,
                       .inverse_frequency = inverse_frequency->data,
                       .frequencies_by_row = rank == 2,
                       .scaling = scaling};
    return fr_record(tape, &rope, &x, 1, &o);
}
