/* reshape.c: the same numbers under another shape. Nothing moves, neither forward nor (in most
   cases) backward. */
#include "tensor/operator.h"

enum { X };

typedef struct reshape_options {
    int rank;
    int64_t shape[FR_MAX_RANK];
} reshape_options;

static void shape(fr_node *n)
{
    const reshape_options *o = n->options;
    n->out->dtype = n->in[X].tensor->dtype;
    n->out->rank = o->rank;
    for (int i = 0; i < o->rank; i++)
        n->out->shape[i] = o->shape[i];
    n->shares = n->in[X].tensor;
}

static fr_costs cost(const fr_node *n)
{
    (void)n;
    return (fr_costs){.forward = {0, 0}};
}

static void backward(fr_node *n)
{
    fr_grad_put(n, X, fr_upstream(n), 1.0F);
}

static const fr_operator reshape = {.name = "reshape",
                                    .options_size = sizeof(reshape_options),
                                    .shape = shape,
                                    .cost = cost,
                                    .backward = backward,
                                    .passes = 1U << X};

/* Replace an extent of -1 by what is left; false when the numbers of elements cannot agree. */
static bool complete(reshape_options *o, int64_t count)
{
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < o->rank; i++) {
        if (o->shape[i] == -1 && open < 0) {
            open = i;
            continue;
        }
        if (o->shape[i] < 1 || o->shape[i] > count / known)
            return false;
        known *= o->shape[i];
    }
    if (open < 0)
        return known == count;
    o->shape[open] = count / known;
    return count % known == 0;
}

fr_tensor *fr_reshape(fr_tape *tape, fr_tensor *x, int rank, const int64_t *shape_wanted)
{
    if (!fr_expect_inputs(tape, "reshape", &x, 1))
        return NULL;
    if (rank < 0 || rank > FR_MAX_RANK)
        return fr_tape_fail(tape, FR_WRONG_CALL, "reshape: rank %d, expected 0 to %d", rank,
                            FR_MAX_RANK);
    reshape_options o = {.rank = rank};
    fr_tensor wanted = {.rank = rank};
    for (int i = 0; i < rank; i++)
        o.shape[i] = wanted.shape[i] = shape_wanted[i];
    if (!complete(&o, fr_tensor_count(x))) {
        char a[96], b[96];
        return fr_tape_fail(tape, FR_WRONG_CALL, "reshape: %s cannot become %s",
                            fr_tensor_shape_text(x, a, sizeof a),
                            fr_tensor_shape_text(&wanted, b, sizeof b));
    }
    return fr_record(tape, &reshape, &x, 1, &o);
}
