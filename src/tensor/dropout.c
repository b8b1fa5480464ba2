/* dropout.c: zero with probability p, scale the rest by 1 / (1 - p). Srivastava and others, JMLR 15
   (2014). Which elements stay is a pure function of (seed, step, number of the call on this tape,
   element), so backward asks again, and keeps nothing. */
#include "tensor/tape.h"

enum { X };

typedef struct dropout_options {
    float p;
    uint64_t seed, step, call;
} dropout_options;

static fr_costs cost(const fr_node *n)
{
    return fr_cost_elementwise(n, 12, 12);
}

static void run(const fr_node *n, float *y, const float *x, bool accumulate)
{
    const dropout_options *o = n->options;
    n->kernels->dropout(y, x, o->p, o->seed, o->step, o->call, fr_tensor_count(n->out), accumulate);
}

static void forward(fr_node *n)
{
    run(n, fr_out(n), fr_in(n, X), false);
}

static void backward(fr_node *n)
{
    if (n->in[X].grad)
        run(n, n->in[X].grad, fr_upstream(n), n->in[X].accumulate);
}

static const fr_operator dropout = {.name = "dropout",
                                    .options_size = sizeof(dropout_options),
                                    .shape = fr_shape_same_as_first,
                                    .cost = cost,
                                    .forward = forward,
                                    .backward = backward};

fr_tensor *fr_dropout(fr_tape *tape, fr_tensor *x, float p)
{
    if (!fr_expect_inputs(tape, "dropout", &x, 1) ||
        !fr_expect_dtype(tape, "dropout", "x", x, FR_F32))
        return NULL;
    if (!(p >= 0.0F && p < 1.0F))
        return fr_tape_fail(tape, FR_WRONG_CALL, "dropout: p is %g, expected 0 <= p < 1",
                            (double)p);
    if (p == 0.0F || !tape->options.training)
        return x;
    dropout_options o = {p, tape->options.seed, tape->step, tape->calls++};
    return fr_record(tape, &dropout, &x, 1, &o);
}
