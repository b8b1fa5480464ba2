/* check_elementwise.c: sums, products, broadcast, dropout, optimizers. */
#include "check.h"

static const int64_t sizes[] = {1, 3, 17, 65, 255, 70001};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void naive_add(double *out, const float *a, const float *b, int64_t count, int64_t inner)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (double)a[i] + (double)b[i % inner];
}

static void naive_multiply(double *out, const float *a, const float *b, int64_t count,
                           int64_t inner)
{
    for (int64_t i = 0; i < count; i++)
        out[i] += (double)a[i] * (double)b[i % inner];
}

static void check_broadcast(const fr_kernels *kernels, int64_t count, int64_t inner)
{
    float *a = check_floats(count), *b = check_floats(inner), *out = check_floats(count);
    double *wanted = check_doubles(count), *sum = check_doubles(count);
    kernels->add(out, a, b, count, inner);
    naive_add(wanted, a, b, count, inner);
    check_close("add", out, wanted, count, 1e-7);
    memset(wanted, 0, sizeof(double) * (size_t)count);
    naive_multiply(wanted, a, b, count, inner);
    for (int64_t i = 0; i < count; i++)
        sum[i] = wanted[i] + (double)out[i];
    kernels->multiply(out, a, b, count, inner, true);
    check_close("multiply, accumulated", out, sum, count, 2e-7);
    kernels->multiply(out, a, b, count, inner, false);
    check_close("multiply", out, wanted, count, 1e-7);
}

static void check_flat(const fr_kernels *kernels, int64_t count)
{
    float *x = check_floats(count), *y = check_floats(count);
    double *wanted = check_doubles(count);
    for (int64_t i = 0; i < count; i++)
        wanted[i] = (double)y[i] + 0.3 * (double)x[i];
    kernels->axpy(y, x, 0.3F, count);
    check_close("axpy", y, wanted, count, 2e-7);
    for (int64_t i = 0; i < count; i++)
        wanted[i] = -1.7 * (double)x[i];
    kernels->scale(y, x, -1.7F, count);
    check_close("scale", y, wanted, count, 2e-7);
    kernels->copy(y, x, count);
    check_true("copy", memcmp(y, x, sizeof(float) * (size_t)count) == 0);
    kernels->fill(y, 2.5F, count);
    for (int64_t i = 0; i < count; i++)
        wanted[i] = 2.5;
    check_close("fill", y, wanted, count, 0.0);
}

static void naive_dropout(double *y, const float *x, double p, uint64_t call, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits[4];
        fr_random_bits(42, FR_RANDOM_DROPOUT, 7, call << 40 | (uint64_t)(i / 4), bits);
        y[i] = bits[i % 4] >= (uint32_t)(p * 4294967296.0) ? (double)x[i] / (1.0 - p) : 0.0;
    }
}

static void check_dropout(const fr_kernels *kernels, int64_t count)
{
    float *x = check_floats(count), *y = check_floats(count), *z = check_copy(x, count);
    double *wanted = check_doubles(count);
    naive_dropout(wanted, x, 0.25, 3, count);
    kernels->dropout(y, x, 0.25F, 42, 7, 3, count, false);
    check_close("dropout", y, wanted, count, 2e-7);
    for (int64_t i = 0; i < count; i++)
        wanted[i] += (double)x[i];
    kernels->dropout(z, x, 0.25F, 42, 7, 3, count, true);
    check_close("dropout, accumulated", z, wanted, count, 2e-7);
    if (count > 10000) {
        int64_t zeros = 0;
        for (int64_t i = 0; i < count; i++)
            zeros += y[i] == 0.0F;
        check_true("a quarter is dropped", fabs((double)zeros / (double)count - 0.25) < 0.01);
    }
}

void check_elementwise(const fr_kernels *kernels)
{
    for (int s = 0; s < SIZES; s++) {
        check_broadcast(kernels, sizes[s], sizes[s]);
        check_broadcast(kernels, sizes[s], 1);
        check_flat(kernels, sizes[s]);
        check_dropout(kernels, sizes[s]);
    }
    check_broadcast(kernels, 255 * 333, 333);
    check_broadcast(kernels, 17 * 3, 3);
    enum { COUNT = 2048 * 512 };
    if (!check_timing())
        return;
    float *a = check_floats(COUNT), *b = check_floats(COUNT), *out = check_floats(COUNT);
    double *slow = check_doubles(COUNT);
    CHECK_TIME("add 2048x512", 0, 12.0 * COUNT, kernels->add(out, a, b, COUNT, COUNT),
               naive_add(slow, a, b, COUNT, COUNT));
    CHECK_TIME("multiply 2048x512 by a row", 0, 8.0 * COUNT,
               kernels->multiply(out, a, b, COUNT, 512, false),
               naive_multiply(slow, a, b, COUNT, 512));
    CHECK_TIME("dropout 2048x512", 0, 8.0 * COUNT,
               kernels->dropout(out, a, 0.1F, 1, 2, 3, COUNT, false),
               naive_dropout(slow, a, 0.1, 3, COUNT));
}

/* ---- optimizers ---- */

static void naive_adamw(double *w, double *m, double *v, const float *gradient, int64_t count,
                        const fr_adamw_step *step)
{
    for (int64_t i = 0; i < count; i++) {
        double g = (double)gradient[i] * (double)step->gradient_scale;
        m[i] = (double)step->beta1 * m[i] + (1.0 - (double)step->beta1) * g;
        v[i] = (double)step->beta2 * v[i] + (1.0 - (double)step->beta2) * g * g;
        double first = m[i] / (double)step->correction1, second = v[i] / (double)step->correction2;
        w[i] -= (double)step->rate *
                (first / (sqrt(second) + (double)step->eps) + (double)step->weight_decay * w[i]);
    }
}

static void widen(double *out, const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (double)x[i];
}

static void check_adamw(const fr_kernels *kernels, int64_t count)
{
    float *w = check_floats(count), *m = check_floats(count), *v = check_floats(count),
          *g = check_floats(count);
    for (int64_t i = 0; i < count; i++)
        v[i] = v[i] * v[i];
    double *w2 = check_doubles(count), *m2 = check_doubles(count), *v2 = check_doubles(count);
    widen(w2, w, count);
    widen(m2, m, count);
    widen(v2, v, count);
    fr_adamw_step step = {0.01F, 0.9F, 0.95F, 1e-8F, 0.1F, 0.271F, 0.142625F, 0.7F};
    naive_adamw(w2, m2, v2, g, count, &step);
    kernels->adamw(w, m, v, g, count, &step);
    check_close("adamw weights", w, w2, count, 5e-7);
    check_close("adamw first moment", m, m2, count, 5e-7);
    check_close("adamw second moment", v, v2, count, 5e-7);
    enum { MANY = 1 << 22 };
    if (check_timing() && count > 10000) {
        float *a = check_floats(MANY), *b = check_floats(MANY), *c = check_constant(MANY, 1.0F),
              *d = check_floats(MANY);
        double *e = check_doubles(MANY), *f = check_doubles(MANY), *h = check_doubles(MANY);
        CHECK_TIME("adamw 4 Mi parameters", 0, 28.0 * MANY, kernels->adamw(a, b, c, d, MANY, &step),
                   naive_adamw(e, f, h, d, MANY, &step));
    }
}

static void check_sgd(const fr_kernels *kernels, int64_t count, bool nesterov, bool momentum)
{
    float *w = check_floats(count), *buffer = check_floats(count), *gradient = check_floats(count);
    double *w2 = check_doubles(count), *b2 = check_doubles(count);
    fr_sgd_step step = {0.1F, momentum ? 0.9F : 0.0F, 0.01F, nesterov, 0.5F};
    for (int64_t i = 0; i < count; i++) {
        double g = 0.5 * (double)gradient[i] + (double)0.01F * (double)w[i];
        b2[i] = momentum ? (double)0.9F * (double)buffer[i] + g : g;
        w2[i] = (double)w[i] - (double)0.1F * (nesterov ? g + (double)0.9F * b2[i] : b2[i]);
    }
    kernels->sgd(w, momentum ? buffer : NULL, gradient, count, &step);
    check_close("sgd weights", w, w2, count, 5e-7);
    if (momentum)
        check_close("sgd buffer", buffer, b2, count, 5e-7);
}

void check_optimizer(const fr_kernels *kernels)
{
    for (int s = 0; s < SIZES; s++) {
        check_adamw(kernels, sizes[s]);
        check_sgd(kernels, sizes[s], false, true);
        check_sgd(kernels, sizes[s], true, true);
        check_sgd(kernels, sizes[s], false, false);
    }
}
