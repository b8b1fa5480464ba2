/* check_activation.c: activations against the C library's functions in double, derivatives against formulas written out anew. */
#include "check.h"

static const char *const names[] = {"gelu", "gelu_tanh",  "silu", "relu",
                                    "tanh", "quick_gelu", "exp"};

static double value(fr_activation kind, double x)
{
    switch (kind) {
    case FR_ACTIVATION_GELU:
        return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case FR_ACTIVATION_GELU_TANH:
        return 0.5 * x *
               (1.0 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case FR_ACTIVATION_SILU:
        return x / (1.0 + exp(-x));
    case FR_ACTIVATION_RELU:
        return x > 0.0 ? x : 0.0;
    case FR_ACTIVATION_TANH:
        return tanh(x);
    case FR_ACTIVATION_QUICK_GELU:
        return x / (1.0 + exp(-1.702 * x));
    case FR_ACTIVATION_EXP:
        return exp(x);
    case FR_ACTIVATIONS:
        break;
    }
    return 0.0;
}

/* Central differences in double are exact enough: error h^2 f'''. relu has its step function. */
static double slope(fr_activation kind, double x)
{
    if (kind == FR_ACTIVATION_RELU)
        return x > 0.0 ? 1.0 : 0.0;
    double h = 1e-5;
    return (value(kind, x + h) - value(kind, x - h)) / (2.0 * h);
}

static void naive_forward(fr_activation kind, double *y, const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = value(kind, (double)x[i]);
}

static void naive_backward(fr_activation kind, double *dx, const float *dy, const float *x,
                           int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dx[i] = (double)dy[i] * slope(kind, (double)x[i]);
}

static void check_kind(const fr_kernels *kernels, fr_activation kind, int64_t count)
{
    float *x = check_floats(count), *dy = check_floats(count), *y = check_floats(count),
          *dx = check_floats(count);
    double *wanted = check_doubles(count);
    const bool exponential = kind == FR_ACTIVATION_EXP; /* whose sums cancel, far out */
    for (int64_t i = 0; i < count && !exponential; i++)
        x[i] *= i % 3 == 0 ? 4.0F : i % 3 == 1 ? 0.3F : 1.0F;
    if (count > 20 && !exponential) {
        static const float special[] = {0.0F, -0.0F, 30.0F, -30.0F, 100.0F, -100.0F, 1e-6F, -1e-6F};
        memcpy(x, special, sizeof special);
    }
    kernels->activation_forward(kind, y, x, count);
    naive_forward(kind, wanted, x, count);
    check_close(names[kind], y, wanted, count, 4e-7);
    naive_backward(kind, wanted, dy, x, count);
    kernels->activation_backward(kind, dx, dy, x, count, false);
    check_close(names[kind], dx, wanted, count, 1e-6);
    for (int64_t i = 0; i < count; i++)
        wanted[i] += (double)y[i];
    kernels->activation_backward(kind, y, dy, x, count, true);
    check_close(names[kind], y, wanted, count, 1e-6);
    if (count > 20) {
        x[3] = NAN;
        kernels->activation_forward(kind, y, x, count);
        check_true("not a number stays one", isnan(y[3]));
    }
}

static void naive_swiglu(double *y, double *dgate, double *dup, const float *dy, const float *gate,
                         const float *up, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double g = (double)gate[i];
        y[i] = value(FR_ACTIVATION_SILU, g) * (double)up[i];
        dgate[i] = (double)dy[i] * (double)up[i] * slope(FR_ACTIVATION_SILU, g);
        dup[i] = (double)dy[i] * value(FR_ACTIVATION_SILU, g);
    }
}

static void check_swiglu(const fr_kernels *kernels, int64_t count)
{
    float *gate = check_floats(count), *up = check_floats(count), *dy = check_floats(count),
          *y = check_floats(count);
    float *dgate = check_floats(count), *dup = check_floats(count),
          *before = check_copy(dup, count);
    double *y2 = check_doubles(count), *dgate2 = check_doubles(count), *dup2 = check_doubles(count);
    naive_swiglu(y2, dgate2, dup2, dy, gate, up, count);
    kernels->swiglu_forward(y, gate, up, count);
    check_close("swiglu", y, y2, count, 4e-7);
    kernels->swiglu_backward(dgate, NULL, dy, gate, up, count, false, false);
    check_close("swiglu gate alone", dgate, dgate2, count, 1e-6);
    kernels->swiglu_backward(dgate, dup, dy, gate, up, count, false, false);
    check_close("swiglu gate", dgate, dgate2, count, 1e-6);
    check_close("swiglu up", dup, dup2, count, 1e-6);
    for (int64_t i = 0; i < count; i++)
        dup2[i] += (double)before[i];
    kernels->swiglu_backward(dgate, before, dy, gate, up, count, false, true);
    check_close("swiglu gate, set", dgate, dgate2, count, 1e-6);
    check_close("swiglu up, accumulated", before, dup2, count, 1e-6);
}

void check_activation(const fr_kernels *kernels)
{
    static const int64_t sizes[] = {1, 3, 17, 65, 255, 70001};
    for (int s = 0; s < 6; s++) {
        for (int kind = 0; kind < FR_ACTIVATIONS; kind++)
            check_kind(kernels, (fr_activation)kind, sizes[s]);
        check_swiglu(kernels, sizes[s]);
    }
    enum { COUNT = 2048 * 1024 };
    if (!check_timing())
        return;
    float *x = check_floats(COUNT), *y = check_floats(COUNT), *dy = check_floats(COUNT),
          *z = check_floats(COUNT);
    float *w = check_floats(COUNT);
    double *slow = check_doubles(COUNT), *slow2 = check_doubles(COUNT),
           *slow3 = check_doubles(COUNT);
    for (int kind = 0; kind < FR_ACTIVATIONS; kind++) {
        CHECK_TIME(names[kind], 0, 8.0 * COUNT,
                   kernels->activation_forward((fr_activation)kind, y, x, COUNT),
                   naive_forward((fr_activation)kind, slow, x, COUNT));
        CHECK_TIME(names[kind], 0, 12.0 * COUNT,
                   kernels->activation_backward((fr_activation)kind, y, dy, x, COUNT, false),
                   naive_backward((fr_activation)kind, slow, dy, x, COUNT));
    }
    CHECK_TIME("swiglu forward 2048x1024", 0, 12.0 * COUNT,
               kernels->swiglu_forward(y, x, dy, COUNT),
               naive_swiglu(slow, slow2, slow3, dy, x, dy, COUNT));
    CHECK_TIME("swiglu backward 2048x1024", 0, 20.0 * COUNT,
               kernels->swiglu_backward(y, z, dy, x, w, COUNT, false, false),
               naive_swiglu(slow, slow2, slow3, dy, x, dy, COUNT));
}
