/* operator.c: what operators share: shape rules, costs, and the checks of their arguments. */
#include "tensor/operator.h"

#include <string.h>

#include "tensor/tape.h"

/* ---- shapes ---- */

void fr_shape_copy(fr_tensor *out, const fr_tensor *like)
{
    out->rank = like->rank;
    memcpy(out->shape, like->shape, sizeof out->shape);
}

void fr_shape_same_as_first(fr_node *n)
{
    fr_shape_copy(n->out, n->in[0].tensor);
}

/* ---- costs ---- */

fr_costs fr_cost_elementwise(const fr_node *n, double flops_per_element,
                             double backward_flops_per_element)
{
    fr_costs costs = {.forward = {0, 0}};
    double count = (double)fr_tensor_count(n->out), out_bytes = (double)fr_tensor_bytes(n->out);
    double read = 0;
    for (int i = 0; i < n->inputs; i++)
        if (n->in[i].tensor)
            read += (double)fr_tensor_bytes(n->in[i].tensor);
    costs.forward = (fr_cost){flops_per_element * count, read + out_bytes};
    bool wanted = false;
    for (int i = 0; i < n->inputs; i++)
        if (n->in[i].wanted) {
            wanted = true;
            costs.backward.bytes += (double)fr_tensor_bytes(n->in[i].tensor);
        }
    if (wanted) {
        costs.backward.flops = backward_flops_per_element * count;
        costs.backward.bytes += read + out_bytes;
    }
    return costs;
}

fr_costs fr_cost_copy(const fr_node *n)
{
    double out_bytes = (double)fr_tensor_bytes(n->out);
    fr_costs costs = {.forward = {0, 2 * out_bytes}};
    for (int i = 0; i < n->inputs; i++)
        if (n->in[i].wanted)
            costs.backward.bytes = 2 * out_bytes;
    return costs;
}

/* ---- checks ---- */

/* An operator on NULL returns NULL; the reason is on the tape already, unless the NULL came from
   somewhere else. */
bool fr_expect_inputs(fr_tape *tape, const char *call, fr_tensor *const *inputs, int count)
{
    if (tape->error.status != FR_OK)
        return false;
    for (int i = 0; i < count; i++)
        if (!inputs[i]) {
            fr_tape_fail(tape, FR_WRONG_CALL, "%s: input %d is missing (NULL)", call, i + 1);
            return false;
        }
    return true;
}

bool fr_expect_dtype(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                     fr_dtype dtype)
{
    if (t->dtype == dtype)
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: %s is %s, %s expected", call, name,
                 fr_dtype_name(t->dtype), fr_dtype_name(dtype));
    return false;
}

bool fr_expect_weight(fr_tape *tape, const char *call, const char *name, const fr_tensor *t)
{
    return fr_dtype_block(t->dtype) > 1 || fr_expect_number(tape, call, name, t);
}

bool fr_expect_number(fr_tape *tape, const char *call, const char *name, const fr_tensor *t)
{
    if (t->dtype == FR_F32 || t->dtype == FR_BF16 || t->dtype == FR_F16)
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: %s is %s, f32, bf16 or f16 expected", call, name,
                 fr_dtype_name(t->dtype));
    return false;
}

bool fr_expect_rank(fr_tape *tape, const char *call, const char *name, const fr_tensor *t, int rank)
{
    char text[96];
    if (t->rank == rank)
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: %s has shape %s, rank %d expected", call, name,
                 fr_tensor_shape_text(t, text, sizeof text), rank);
    return false;
}

bool fr_expect_axis(fr_tape *tape, const char *call, const fr_tensor *t, int axis)
{
    char text[96];
    if (axis >= 0 && axis < t->rank)
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: there is no axis %d in shape %s", call, axis,
                 fr_tensor_shape_text(t, text, sizeof text));
    return false;
}

bool fr_expect_last_axis(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                         const fr_tensor *x)
{
    if (!fr_expect_dtype(tape, call, name, t, FR_F32) || !fr_expect_rank(tape, call, name, t, 1))
        return false;
    if (t->shape[0] == fr_tensor_width(x))
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: %s has %lld elements, x has width %lld", call, name,
                 (long long)t->shape[0], (long long)fr_tensor_width(x));
    return false;
}

bool fr_expect_count(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                     int64_t count)
{
    if (fr_tensor_count(t) == count)
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: %s has %lld elements, %lld expected", call, name,
                 (long long)fr_tensor_count(t), (long long)count);
    return false;
}

bool fr_expect_constant(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                        fr_dtype dtype)
{
    if (!fr_expect_dtype(tape, call, name, t, dtype))
        return false;
    if (t->data || tape->options.shape_only)
        return true;
    fr_tape_fail(tape, FR_WRONG_CALL, "%s: %s has a shape but no numbers, and this tape computes",
                 call, name);
    return false;
}

bool fr_expect_indices(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                       int64_t limit, int64_t also)
{
    if (!fr_expect_constant(tape, call, name, t, FR_I32))
        return false;
    if (tape->options.shape_only)
        return true;
    const int32_t *values = t->data;
    int64_t count = fr_tensor_count(t);
    for (int64_t i = 0; i < count; i++)
        if ((values[i] < 0 || values[i] >= limit) && values[i] != also) {
            fr_tape_fail(tape, FR_WRONG_CALL, "%s: %s[%lld] is %d, expected 0 to %lld", call, name,
                         (long long)i, (int)values[i], (long long)limit - 1);
            return false;
        }
    return true;
}
