/* slice.c: a part of an axis, and its mirror image, parts put one after another (concat). With A
   the axis: elements before it are `outer` blocks, those after it `inner` numbers, so that a part
   is `outer` blocks of extent * inner numbers. A slice of the first axis is a view. Any type;
   gradients for f32. */
#include "tensor/operator.h"

static int64_t outer_of(const fr_tensor *t, int axis)
{
    return fr_tensor_extent(t, 0, axis);
}

static int64_t block_of(const fr_tensor *t, int axis)
{
    return fr_tensor_extent(t, axis, t->rank);
}

/* ---- slice ---- */

enum { X };

typedef struct slice_options {
    int axis;
    int64_t begin, end;
} slice_options;

/* Numbers of x before the part, within each block. */
static int64_t skipped(const fr_node *n)
{
    const slice_options *o = n->options;
    return o->begin * fr_tensor_extent(n->out, o->axis + 1, n->out->rank);
}

static void shape_slice(fr_node *n)
{
    const slice_options *o = n->options;
    const fr_tensor *x = n->in[X].tensor;
    fr_shape_same_as_first(n);
    n->out->dtype = x->dtype;
    n->out->shape[o->axis] = o->end - o->begin;
    if (o->axis == 0) {
        n->shares = x;
        n->offset = (size_t)skipped(n) * fr_dtype_size(x->dtype);
    }
}

static void forward_slice(fr_node *n)
{
    const slice_options *o = n->options;
    const fr_tensor *x = n->in[X].tensor;
    size_t size = fr_dtype_size(x->dtype);
    if (n->shares)
        return;
    int64_t length = block_of(n->out, o->axis);
    n->kernels->copy_blocks(n->out->data, length, (const char *)x->data + (size_t)skipped(n) * size,
                            block_of(x, o->axis), outer_of(x, o->axis), length, size);
}

static void backward_slice(fr_node *n)
{
    const slice_options *o = n->options;
    const fr_tensor *x = n->in[X].tensor;
    float *dx = fr_grad_to_add(n, X);
    int64_t length = block_of(n->out, o->axis);
    if (dx)
        n->kernels->add_blocks(dx + skipped(n), block_of(x, o->axis), fr_upstream(n), length,
                               outer_of(x, o->axis), length);
}

static fr_costs cost_slice(const fr_node *n)
{
    fr_costs costs = fr_cost_copy(n);
    if (n->shares)
        costs.forward.bytes = 0;
    return costs;
}

static const fr_operator slice = {.name = "slice",
                                  .options_size = sizeof(slice_options),
                                  .shape = shape_slice,
                                  .cost = cost_slice,
                                  .forward = forward_slice,
                                  .backward = backward_slice};

fr_tensor *fr_slice(fr_tape *tape, fr_tensor *x, int axis, int64_t begin, int64_t end)
{
    if (!fr_expect_inputs(tape, "slice", &x, 1) || !fr_expect_axis(tape, "slice", x, axis))
        return NULL;
    if (begin < 0 || end <= begin || end > x->shape[axis])
        return fr_tape_fail(tape, FR_WRONG_CALL, "slice: [%lld, %lld) of an axis of %lld",
                            (long long)begin, (long long)end, (long long)x->shape[axis]);
    return fr_record(tape, &slice, &x, 1, &(slice_options){axis, begin, end});
}

/* ---- concat ---- */

typedef struct concat_options {
    int axis;
} concat_options;

static void shape_concat(fr_node *n)
{
    const concat_options *o = n->options;
    fr_shape_same_as_first(n);
    n->out->dtype = n->in[0].tensor->dtype;
    for (int i = 1; i < n->inputs; i++)
        n->out->shape[o->axis] += n->in[i].tensor->shape[o->axis];
}

static void forward_concat(fr_node *n)
{
    const concat_options *o = n->options;
    size_t size = fr_dtype_size(n->out->dtype);
    char *place = n->out->data;
    for (int i = 0; i < n->inputs; i++) {
        int64_t length = block_of(n->in[i].tensor, o->axis);
        n->kernels->copy_blocks(place, block_of(n->out, o->axis), n->in[i].tensor->data, length,
                                outer_of(n->out, o->axis), length, size);
        place += (size_t)length * size;
    }
}

static void backward_concat(fr_node *n)
{
    const concat_options *o = n->options;
    const float *place = fr_upstream(n);
    int64_t stride = block_of(n->out, o->axis), outer = outer_of(n->out, o->axis);
    for (int i = 0; i < n->inputs; i++) {
        const fr_operand *in = &n->in[i];
        int64_t length = block_of(in->tensor, o->axis);
        if (in->grad && in->accumulate)
            n->kernels->add_blocks(in->grad, length, place, stride, outer, length);
        else if (in->grad)
            n->kernels->copy_blocks(in->grad, length, place, stride, outer, length, sizeof(float));
        place += length;
    }
}

static const fr_operator concat = {.name = "concat",
                                   .options_size = sizeof(concat_options),
                                   .shape = shape_concat,
                                   .cost = fr_cost_copy,
                                   .forward = forward_concat,
                                   .backward = backward_concat};

/* Same type, same extents but for the axis. */
static bool parts_fit(const fr_tensor *a, const fr_tensor *b, int axis)
{
    if (a->dtype != b->dtype || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (i != axis && a->shape[i] != b->shape[i])
            return false;
    return true;
}

fr_tensor *fr_concat(fr_tape *tape, fr_tensor *const *parts, int count, int axis)
{
    if (count < 1)
        return fr_tape_fail(tape, FR_WRONG_CALL, "concat: %d parts, at least 1 expected", count);
    if (!fr_expect_inputs(tape, "concat", parts, count) ||
        !fr_expect_axis(tape, "concat", parts[0], axis))
        return NULL;
    for (int i = 1; i < count; i++)
        if (!parts_fit(parts[0], parts[i], axis)) {
            char a[96], b[96];
            return fr_tape_fail(
                tape, FR_WRONG_CALL,
                "concat: part %d is %s %s and does not fit the first, %s %s, "
                "along axis %d",
                i + 1, fr_dtype_name(parts[i]->dtype), fr_tensor_shape_text(parts[i], a, sizeof a),
                fr_dtype_name(parts[0]->dtype), fr_tensor_shape_text(parts[0], b, sizeof b), axis);
        }
    return fr_record(tape, &concat, parts, count, &(concat_options){axis});
}
