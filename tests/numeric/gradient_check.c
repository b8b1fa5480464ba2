/* gradient_check.c: see gradient_check.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gradient_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 150 }; /* elements of an input whose derivative is taken */
static const double step = 1e-4;

int64_t extent_product(const extents *e, int begin, int end)
{
    int64_t product = 1;
    for (int i = begin; i < end; i++)
        product *= e->shape[i];
    return product;
}

int64_t extent_count(const extents *e)
{
    return extent_product(e, 0, e->rank);
}

/* The numbers of one case. */
typedef struct numbers {
    int64_t in_count[MAX_INPUTS], out_count;
    float *in[MAX_INPUTS], *upstream;
    double *in64[MAX_INPUTS], *out64;
} numbers;

/* What one run gives. */
typedef struct result {
    float *out, *grad[MAX_INPUTS];
    fr_cost forward, backward;
    size_t peak;
} result;

static void *get(int64_t count, size_t size)
{
    void *block = calloc((size_t)(count > 0 ? count : 1), size);
    assert_non_null(block);
    return block;
}

/* Not too near to zero, where relu has no derivative. */
static float random_number(uint64_t which, int64_t i)
{
    double value = fr_random_normal(11, FR_RANDOM_TEST, which, (uint64_t)i);
    return (float)(fabs(value) < 0.01 ? value + 0.02 : value);
}

static numbers make_numbers(const gradient_case *c)
{
    numbers n = {.out_count = extent_count(&c->out)};
    for (int k = 0; k < c->inputs; k++) {
        n.in_count[k] = extent_count(&c->in[k]);
        n.in[k] = get(n.in_count[k], sizeof(float));
        n.in64[k] = get(n.in_count[k], sizeof(double));
        for (int64_t i = 0; i < n.in_count[k]; i++)
            n.in64[k][i] = n.in[k][i] = random_number((uint64_t)k, i);
    }
    n.upstream = get(n.out_count, sizeof(float));
    n.out64 = get(n.out_count, sizeof(double));
    for (int64_t i = 0; i < n.out_count; i++)
        n.upstream[i] = random_number(MAX_INPUTS, i);
    return n;
}

static void free_numbers(numbers *n)
{
    for (int k = 0; k < MAX_INPUTS; k++) {
        free(n->in[k]);
        free(n->in64[k]);
    }
    free(n->upstream);
    free(n->out64);
}

static void free_result(result *r)
{
    free(r->out);
    for (int k = 0; k < MAX_INPUTS; k++)
        free(r->grad[k]);
}

/* ---- runs ---- */

typedef struct manner {
    unsigned wanted;     /* bit k: input k asks for its gradient */
    bool parameters;     /* inputs live outside the tape and their gradients start at 0.25 */
    bool used_elsewhere; /* every input is also used, so that gradients add: each gets 0.5 more */
    bool recomputed, shape_only;
} manner;

static void assert_no_error(const gradient_case *c, fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s, %s: %s", c->name, c->what, error->message);
}

static fr_tensor *call_run(fr_tape *tape, fr_tensor *const *in, int count, void *context)
{
    const gradient_case *c = context;
    (void)count;
    return c->run(tape, in, c);
}

static void make_inputs(const gradient_case *c, const numbers *n, manner m, fr_tape *tape,
                        fr_tensor **in)
{
    for (int k = 0; k < c->inputs; k++) {
        const extents *e = &c->in[k];
        if (m.parameters) {
            in[k] = fr_tensor_create(FR_F32, e->rank, e->shape, FR_MEMORY_OTHER);
            assert_non_null(in[k]);
            memcpy(in[k]->data, n->in[k], fr_tensor_bytes(in[k]));
            in[k]->grad = fr_tensor_create(FR_F32, e->rank, e->shape, FR_MEMORY_OTHER);
            for (int64_t i = 0; i < n->in_count[k]; i++)
                ((float *)in[k]->grad->data)[i] = 0.25F;
        } else {
            in[k] = fr_tape_input(tape, FR_F32, e->rank, e->shape, n->in[k]);
            assert_non_null(in[k]);
        }
        in[k]->requires_grad = m.wanted >> k & 1;
    }
}

/* sum(y * upstream) + sum over inputs of sum(0.5 * input): what is recorded last goes back first,
   so that the operator finds gradients to add to. */
static fr_tensor *loss_with_other_uses(const gradient_case *c, const numbers *n, fr_tape *tape,
                                       fr_tensor *const *in, fr_tensor *out)
{
    fr_tensor *upstream = fr_tape_input(tape, FR_F32, out->rank, out->shape, n->upstream);
    fr_tensor *loss = fr_sum(tape, fr_multiply(tape, out, upstream));
    for (int k = 0; k < c->inputs; k++)
        loss = fr_add(tape, loss, fr_sum(tape, fr_scale(tape, in[k], 0.5F)));
    return loss;
}

static result run(const gradient_case *c, const numbers *n, manner m)
{
    fr_error error = {0};
    fr_tape *tape = fr_tape_create(
        &(fr_tape_options){.training = true, .seed = DROPOUT_SEED, .shape_only = m.shape_only},
        &error);
    assert_non_null(tape);
    fr_tape_reset(tape, DROPOUT_STEP);
    fr_tensor *in[MAX_INPUTS];
    make_inputs(c, n, m, tape, in);
    fr_tensor *out = m.recomputed
                         ? fr_recompute(tape, call_run, in, c->inputs, (void *)(uintptr_t)c)
                         : c->run(tape, in, c);
    assert_no_error(c, fr_tape_check(tape, &error), &error);
    if (out->rank != c->out.rank || memcmp(out->shape, c->out.shape, (size_t)out->rank * 8) != 0)
        fail_msg("%s, %s: the result's shape is wrong", c->name, c->what);
    result r = {.out = get(n->out_count, sizeof(float))};
    if (!m.shape_only)
        memcpy(r.out, fr_tensor_host(out), (size_t)n->out_count * sizeof(float));
    if (m.used_elsewhere) {
        fr_tensor *loss = loss_with_other_uses(c, n, tape, in, out);
        assert_no_error(c, fr_tape_backward(tape, loss, 1, &error), &error);
    } else if (m.wanted) {
        fr_tensor *upstream = fr_tape_input(tape, FR_F32, out->rank, out->shape, n->upstream);
        assert_no_error(c, fr_tape_backward_from(tape, out, upstream, &error), &error);
    }
    for (int k = 0; k < c->inputs; k++) {
        if (!m.shape_only && m.wanted >> k & 1) {
            r.grad[k] = get(n->in_count[k], sizeof(float));
            memcpy(r.grad[k], fr_tensor_host(in[k]->grad), fr_tensor_bytes(in[k]->grad));
        }
        if (m.parameters) {
            fr_tensor_free(in[k]->grad);
            fr_tensor_free(in[k]);
        }
    }
    r.forward = fr_tape_forward_cost(tape);
    r.backward = fr_tape_backward_cost(tape);
    r.peak = fr_tape_peak_bytes(tape);
    fr_tape_destroy(tape);
    return r;
}

/* ---- comparisons ---- */

static double largest(const double *values, int64_t count)
{
    double most = 1e-3;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            most = fmax(most, fabs(values[i]));
    return most;
}

static double tolerance_of(const gradient_case *c)
{
    return c->tolerance > 0 ? c->tolerance : 1e-5;
}

static void check_forward(const gradient_case *c, const numbers *n, const result *r)
{
    double allowed = tolerance_of(c) * largest(n->out64, n->out_count);
    for (int64_t i = 0; i < n->out_count; i++)
        if (!(fabs(r->out[i] - n->out64[i]) <= allowed))
            fail_msg("%s, %s: element %lld is %.9g, the twin says %.9g", c->name, c->what,
                     (long long)i, (double)r->out[i], n->out64[i]);
}

static double twin_loss(const gradient_case *c, const numbers *n)
{
    double sum = 0;
    c->twin(c, (const double *const *)n->in64, n->out64);
    for (int64_t i = 0; i < n->out_count; i++)
        sum += n->upstream[i] * n->out64[i];
    return sum;
}

static double derivative(const gradient_case *c, const numbers *n, int k, int64_t i)
{
    double *x = &n->in64[k][i], before = *x;
    *x = before + step;
    double above = twin_loss(c, n);
    *x = before - step;
    double below = twin_loss(c, n);
    *x = before;
    return (above - below) / (2 * step);
}

static void check_backward(const gradient_case *c, const numbers *n, const result *r)
{
    for (int k = 0; k < c->inputs; k++) {
        int64_t count = n->in_count[k], samples = count < SAMPLES ? count : SAMPLES;
        double most = 1e-2;
        for (int64_t i = 0; i < count; i++)
            most = fmax(most, fabs((double)r->grad[k][i]));
        for (int64_t s = 0; s < samples; s++) {
            int64_t i = count == samples ? s
                                         : (int64_t)fr_random_permute((uint64_t)s, (uint64_t)count,
                                                                      3, FR_RANDOM_TEST, 1);
            double expected = derivative(c, n, k, i);
            if (!(fabs(r->grad[k][i] - expected) <= 2 * tolerance_of(c) * most))
                fail_msg("%s, %s: gradient %lld of input %d is %.9g, differences say %.9g", c->name,
                         c->what, (long long)i, k + 1, (double)r->grad[k][i], expected);
        }
    }
}

static void check_same_bits(const gradient_case *c, const numbers *n, const result *a, manner m,
                            const char *how)
{
    result b = run(c, n, m);
    if (memcmp(a->out, b.out, (size_t)n->out_count * sizeof(float)) != 0)
        fail_msg("%s, %s: the result is another one %s", c->name, c->what, how);
    for (int k = 0; k < c->inputs; k++)
        if (m.wanted >> k & 1 &&
            memcmp(a->grad[k], b.grad[k], (size_t)n->in_count[k] * sizeof(float)) != 0)
            fail_msg("%s, %s: gradient %d is another one %s", c->name, c->what, k + 1, how);
    free_result(&b);
}

/* Gradients are those of `a` plus `more`. */
static void check_added(const gradient_case *c, const numbers *n, const result *a, manner m,
                        double more, const char *how)
{
    result b = run(c, n, m);
    for (int k = 0; k < c->inputs; k++) {
        if (!(m.wanted >> k & 1))
            continue;
        double most = 1;
        for (int64_t i = 0; i < n->in_count[k]; i++)
            most = fmax(most, fabs((double)a->grad[k][i]));
        for (int64_t i = 0; i < n->in_count[k]; i++)
            if (!(fabs(b.grad[k][i] - a->grad[k][i] - more) <= 2e-6 * most))
                fail_msg("%s, %s: gradient %lld of input %d is %.9g %s, expected %.9g", c->name,
                         c->what, (long long)i, k + 1, (double)b.grad[k][i], how,
                         (double)a->grad[k][i] + more);
    }
    free_result(&b);
}

static void check_dry_run(const gradient_case *c, const numbers *n, const result *a, manner m)
{
    m.shape_only = true;
    result b = run(c, n, m);
    if (a->forward.flops != b.forward.flops || a->forward.bytes != b.forward.bytes ||
        a->backward.flops != b.backward.flops || a->backward.bytes != b.backward.bytes)
        fail_msg("%s, %s: the dry run counts another cost", c->name, c->what);
    if (a->peak != b.peak)
        fail_msg("%s, %s: the dry run counts %zu bytes, the real one %zu", c->name, c->what, b.peak,
                 a->peak);
    free_result(&b);
}

void check_gradient(const gradient_case *c)
{
    numbers n = make_numbers(c);
    unsigned all = (1U << c->inputs) - 1;
    int threads = fr_threads();
    manner plain = {.wanted = all};
    result r = run(c, &n, plain);
    c->twin(c, (const double *const *)n.in64, n.out64);
    check_forward(c, &n, &r);
    check_backward(c, &n, &r);
    check_dry_run(c, &n, &r, plain);
    check_same_bits(c, &n, &r, (manner){.wanted = all, .recomputed = true}, "when recomputed");
    check_added(c, &n, &r, (manner){.wanted = all, .parameters = true}, 0.25, "added to 0.25");
    check_added(c, &n, &r, (manner){.wanted = all, .used_elsewhere = true}, 0.5,
                "with another use of each input");
    for (int k = 0; k < c->inputs; k++)
        check_added(c, &n, &r, (manner){.wanted = 1U << k}, 0, "when wanted alone");
    check_same_bits(c, &n, &r, (manner){0}, "when no gradient is wanted");
    for (int count = 1; count <= 3; count++) {
        fr_threads_set(count);
        check_same_bits(c, &n, &r, plain, "with another number of threads");
    }
    fr_threads_set(threads);
    free_result(&r);
    free_numbers(&n);
}
