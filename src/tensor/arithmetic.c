/* arithmetic.c: sums, products and multiples, element by element. The second operand may be a
   suffix of the first one's shape or one element; it is then repeated over the leading axes, and
   its gradient is summed over them. */
#include "tensor/operator.h"

enum { A, B, INPUTS };

static bool expect_operands(fr_tape *tape, const char *call, fr_tensor *a, fr_tensor *b)
{
    if (!fr_expect_inputs(tape, call, (fr_tensor *[]){a, b}, INPUTS) ||
        !fr_expect_dtype(tape, call, "a", a, FR_F32) ||
        !fr_expect_dtype(tape, call, "b", b, FR_F32))
        return false;
    if (fr_tensor_count(b) == 1 || fr_shape_is_suffix(b, a))
        return true;
    char text_a[96], text_b[96];
    fr_tape_fail(tape, FR_WRONG_CALL,
                 "%s: b has shape %s, expected that of a %s, its last axes, or one element", call,
                 fr_tensor_shape_text(b, text_b, sizeof text_b),
                 fr_tensor_shape_text(a, text_a, sizeof text_a));
    return false;
}

static fr_costs cost_one(const fr_node *n)
{
    return fr_cost_elementwise(n, 1, 1);
}

/* ---- add ---- */

static void forward_add(fr_node *n)
{
    n->kernels->add(fr_out(n), fr_in(n, A), fr_in(n, B), fr_tensor_count(n->out),
                    fr_tensor_count(n->in[B].tensor));
}

static void backward_add(fr_node *n)
{
    int64_t count = fr_tensor_count(n->out), inner = fr_tensor_count(n->in[B].tensor);
    fr_grad_put(n, A, fr_upstream(n), 1.0F);
    if (inner == count)
        fr_grad_put(n, B, fr_upstream(n), 1.0F);
    else if (n->in[B].grad)
        n->kernels->sum_rows(n->in[B].grad, fr_upstream(n), count, inner, n->in[B].accumulate);
}

static const fr_operator add = {.name = "add",
                                .shape = fr_shape_same_as_first,
                                .cost = cost_one,
                                .forward = forward_add,
                                .backward = backward_add,
                                .passes = 1U << A | 1U << B};

fr_tensor *fr_add(fr_tape *tape, fr_tensor *a, fr_tensor *b)
{
    if (!expect_operands(tape, "add", a, b))
        return NULL;
    return fr_record(tape, &add, (fr_tensor *[]){a, b}, INPUTS, NULL);
}

/* ---- multiply ---- */

static fr_costs cost_multiply(const fr_node *n)
{
    double gradients = (n->in[A].wanted ? 1 : 0) + (n->in[B].wanted ? 1 : 0);
    return fr_cost_elementwise(n, 1, gradients);
}

static void forward_multiply(fr_node *n)
{
    n->kernels->multiply(fr_out(n), fr_in(n, A), fr_in(n, B), fr_tensor_count(n->out),
                         fr_tensor_count(n->in[B].tensor), false);
}

static void backward_multiply(fr_node *n)
{
    int64_t count = fr_tensor_count(n->out), inner = fr_tensor_count(n->in[B].tensor);
    const fr_operand *a = &n->in[A], *b = &n->in[B];
    if (a->grad)
        n->kernels->multiply(a->grad, fr_upstream(n), fr_in(n, B), count, inner, a->accumulate);
    if (b->grad && inner == count)
        n->kernels->multiply(b->grad, fr_upstream(n), fr_in(n, A), count, inner, b->accumulate);
    else if (b->grad)
        n->kernels->dot_rows(b->grad, fr_upstream(n), fr_in(n, A), count, inner, b->accumulate);
}

static const fr_operator multiply = {.name = "multiply",
                                     .shape = fr_shape_same_as_first,
                                     .cost = cost_multiply,
                                     .forward = forward_multiply,
                                     .backward = backward_multiply};

fr_tensor *fr_multiply(fr_tape *tape, fr_tensor *a, fr_tensor *b)
{
    if (!expect_operands(tape, "multiply", a, b))
        return NULL;
    return fr_record(tape, &multiply, (fr_tensor *[]){a, b}, INPUTS, NULL);
}

/* ---- scale ---- */

typedef struct scale_options {
    float factor;
} scale_options;

static void forward_scale(fr_node *n)
{
    const scale_options *o = n->options;
    n->kernels->scale(fr_out(n), fr_in(n, A), o->factor, fr_tensor_count(n->out));
}

static void backward_scale(fr_node *n)
{
    const scale_options *o = n->options;
    fr_grad_put(n, A, fr_upstream(n), o->factor);
}

static const fr_operator scale = {.name = "scale",
                                  .options_size = sizeof(scale_options),
                                  .shape = fr_shape_same_as_first,
                                  .cost = cost_one,
                                  .forward = forward_scale,
                                  .backward = backward_scale};

fr_tensor *fr_scale(fr_tape *tape, fr_tensor *x, float factor)
{
    if (!fr_expect_inputs(tape, "scale", &x, 1) || !fr_expect_dtype(tape, "scale", "x", x, FR_F32))
        return NULL;
    return fr_record(tape, &scale, &x, 1, &(scale_options){factor});
}
