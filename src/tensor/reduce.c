/* reduce.c: sums and means, of all elements or along one axis: (outer, axis, inner) -> (outer,
   inner). */
#include "tensor/operator.h"

enum { X };

typedef struct reduce_options {
    int64_t outer, axis, inner;
    float factor;
    int dropped; /* the axis that goes; -1: all do, the result is (1) */
} reduce_options;

static void shape(fr_node *n)
{
    const reduce_options *o = n->options;
    const fr_tensor *x = n->in[X].tensor;
    if (o->dropped < 0)
        n->out->shape[n->out->rank++] = 1;
    for (int i = 0; o->dropped >= 0 && i < x->rank; i++)
        if (i != o->dropped)
            n->out->shape[n->out->rank++] = x->shape[i];
}

static fr_costs cost(const fr_node *n)
{
    double count = (double)fr_tensor_count(n->in[X].tensor);
    double bytes = (double)(fr_tensor_bytes(n->in[X].tensor) + fr_tensor_bytes(n->out));
    fr_costs costs = {.forward = {count, bytes}};
    if (n->in[X].wanted)
        costs.backward = (fr_cost){count, bytes};
    return costs;
}

static void forward(fr_node *n)
{
    const reduce_options *o = n->options;
    if (o->dropped < 0)
        fr_out(n)[0] = (float)((double)o->factor * n->kernels->sum(fr_in(n, X), o->axis));
    else
        n->kernels->sum_axis(fr_out(n), fr_in(n, X), o->outer, o->axis, o->inner, o->factor);
}

static void backward(fr_node *n)
{
    const reduce_options *o = n->options;
    if (n->in[X].grad)
        n->kernels->broadcast_axis(n->in[X].grad, fr_upstream(n), o->outer, o->axis, o->inner,
                                   o->factor, n->in[X].accumulate);
}

#define REDUCTION(label)                                                                           \
    {                                                                                              \
        .name = (label), .options_size = sizeof(reduce_options), .shape = shape, .cost = cost,     \
        .forward = forward, .backward = backward                                                   \
    }
static const fr_operator sum = REDUCTION("sum"), mean = REDUCTION("mean"),
                         sum_axis = REDUCTION("sum_axis"), mean_axis = REDUCTION("mean_axis");

static fr_tensor *reduce_all(fr_tape *tape, fr_tensor *x, const fr_operator *kind)
{
    if (!fr_expect_inputs(tape, kind->name, &x, 1) ||
        !fr_expect_dtype(tape, kind->name, "x", x, FR_F32))
        return NULL;
    int64_t count = fr_tensor_count(x);
    reduce_options o = {1, count, 1, kind == &mean ? 1.0F / (float)count : 1.0F, -1};
    return fr_record(tape, kind, &x, 1, &o);
}

static fr_tensor *reduce_axis(fr_tape *tape, fr_tensor *x, int axis, const fr_operator *kind)
{
    if (!fr_expect_inputs(tape, kind->name, &x, 1) ||
        !fr_expect_dtype(tape, kind->name, "x", x, FR_F32) ||
        !fr_expect_axis(tape, kind->name, x, axis))
        return NULL;
    int64_t count = x->shape[axis];
    reduce_options o = {fr_tensor_extent(x, 0, axis), count, fr_tensor_extent(x, axis + 1, x->rank),
                        kind == &mean_axis ? 1.0F / (float)count : 1.0F, axis};
    return fr_record(tape, kind, &x, 1, &o);
}

fr_tensor *fr_sum(fr_tape *tape, fr_tensor *x)
{
    return reduce_all(tape, x, &sum);
}

fr_tensor *fr_mean(fr_tape *tape, fr_tensor *x)
{
    return reduce_all(tape, x, &mean);
}

fr_tensor *fr_sum_axis(fr_tape *tape, fr_tensor *x, int axis)
{
    return reduce_axis(tape, x, axis, &sum_axis);
}

fr_tensor *fr_mean_axis(fr_tape *tape, fr_tensor *x, int axis)
{
    return reduce_axis(tape, x, axis, &mean_axis);
}
