/* cast.c: numbers in another type. Storage types take no gradient, so none comes back from what was
   cast. */
#include "tensor/operator.h"

enum { X };

typedef struct cast_options {
    fr_dtype dtype;
} cast_options;

static void shape(fr_node *n)
{
    const cast_options *o = n->options;
    fr_shape_same_as_first(n);
    n->out->dtype = o->dtype;
}

static fr_costs cost(const fr_node *n)
{
    return fr_cost_elementwise(n, 1, 0);
}

static void forward(fr_node *n)
{
    const fr_tensor *x = n->in[X].tensor;
    n->kernels->convert(n->out->data, n->out->dtype, x->data, x->dtype, fr_tensor_count(x));
}

static const fr_operator cast = {.name = "cast",
                                 .options_size = sizeof(cast_options),
                                 .shape = shape,
                                 .cost = cost,
                                 .forward = forward,
                                 .reads_blocks = true};

fr_tensor *fr_cast(fr_tape *tape, fr_tensor *x, fr_dtype dtype)
{
    if (!fr_expect_inputs(tape, "cast", &x, 1))
        return NULL;
    if (x->dtype == dtype)
        return x;
    bool possible = (dtype == FR_F32 && (x->dtype == FR_BF16 || x->dtype == FR_F16 ||
                                         x->dtype == FR_I32 || fr_dtype_block(x->dtype) > 1)) ||
                    (x->dtype == FR_F32 && (dtype == FR_BF16 || dtype == FR_F16));
    if (!possible)
        return fr_tape_fail(tape, FR_WRONG_CALL, "cast: from %s to %s is not possible",
                            fr_dtype_name(x->dtype), fr_dtype_name(dtype));
    return fr_record(tape, &cast, &x, 1, &(cast_options){dtype});
}
