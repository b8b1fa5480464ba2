/* check_reduce.c: sums over everything, over rows, over an axis; argmax; the search for numbers that are not finite. */
#include "check.h"

static double naive_sum(const float *x, int64_t count)
{
    double total = 0.0;
    for (int64_t i = 0; i < count; i++)
        total += (double)x[i];
    return total;
}

static double naive_dot(const float *a, const float *b, int64_t count)
{
    double total = 0.0;
    for (int64_t i = 0; i < count; i++)
        total += (double)a[i] * (double)b[i];
    return total;
}

/* Also checks that a double is the same bits for every number of threads, by way of its two halves. */
static void check_scalar(const char *what, double got, double wanted)
{
    float high = (float)got, low = (float)(got - (double)high);
    double high2 = (double)high, low2 = (double)low;
    check_close(what, &high, &high2, 1, 0.0);
    check_close(what, &low, &low2, 1, 0.0);
    check_true(what, fabs(got - wanted) <= 1e-9 * (1.0 + fabs(wanted)));
}

static void check_whole(const fr_kernels *kernels, int64_t count)
{
    float *x = check_floats(count), *y = check_floats(count);
    check_scalar("sum", kernels->sum(x, count), naive_sum(x, count));
    check_scalar("dot", kernels->dot(x, y, count), naive_dot(x, y, count));
    check_scalar("sum of squares", kernels->sum_of_squares(x, count), naive_dot(x, x, count));
    check_true("finite", !kernels->has_nonfinite(x, count));
    x[count - 1] = INFINITY;
    check_true("infinity is found", kernels->has_nonfinite(x, count));
    check_true("infinity is the largest", kernels->argmax(x, count) == count - 1);
    x[count - 1] = NAN;
    check_true("not a number is found", kernels->has_nonfinite(x, count));
    x[count - 1] = 5.5F;
    x[count / 2] = 5.5F;
    check_true("the first of the largest", kernels->argmax(x, count) == count / 2);
}

static void naive_rows(double *out, const float *x, const float *y, int64_t rows, int64_t inner)
{
    for (int64_t i = 0; i < inner; i++)
        for (int64_t row = 0; row < rows; row++)
            out[i] += (double)x[row * inner + i] * (y ? (double)y[row * inner + i] : 1.0);
}

static void check_rows_sum(const fr_kernels *kernels, int64_t rows, int64_t inner)
{
    int64_t count = rows * inner;
    float *x = check_floats(count), *y = check_floats(count), *out = check_floats(inner);
    double *wanted = check_doubles(inner);
    naive_rows(wanted, x, NULL, rows, inner);
    kernels->sum_rows(out, x, count, inner, false);
    check_close("sum_rows", out, wanted, inner, 4e-6);
    naive_rows(wanted, x, y, rows, inner);
    kernels->dot_rows(out, x, y, count, inner, true);
    check_close("dot_rows, accumulated", out, wanted, inner, 4e-6);
}

static void check_axis(const fr_kernels *kernels, int64_t outer, int64_t axis, int64_t inner)
{
    float *x = check_floats(outer * axis * inner), *out = check_floats(outer * inner);
    double *wanted = check_doubles(outer * inner), *spread = check_doubles(outer * axis * inner);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t a = 0; a < axis; a++)
            for (int64_t i = 0; i < inner; i++)
                wanted[o * inner + i] += 0.5 * (double)x[(o * axis + a) * inner + i];
    kernels->sum_axis(out, x, outer, axis, inner, 0.5F);
    check_close("sum_axis", out, wanted, outer * inner, 1e-7);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t a = 0; a < axis; a++)
            for (int64_t i = 0; i < inner; i++)
                spread[(o * axis + a) * inner + i] = 3.0 * (double)out[o * inner + i];
    kernels->broadcast_axis(x, out, outer, axis, inner, 3.0F, false);
    check_close("broadcast_axis", x, spread, outer * axis * inner, 1e-7);
    for (int64_t i = 0; i < outer * axis * inner; i++)
        spread[i] *= 2.0;
    kernels->broadcast_axis(x, out, outer, axis, inner, 3.0F, true);
    check_close("broadcast_axis, accumulated", x, spread, outer * axis * inner, 2e-7);
}

void check_reduce(const fr_kernels *kernels)
{
    static const int64_t sizes[] = {1, 3, 17, 65, 255, 300001};
    for (int s = 0; s < 6; s++)
        check_whole(kernels, sizes[s]);
    check_true("nothing sums to zero", kernels->sum(NULL, 0) == 0.0);
    check_true("the largest of nothing is number 0", kernels->argmax(NULL, 0) == 0);
    check_rows_sum(kernels, 1, 1);
    check_rows_sum(kernels, 17, 3);
    check_rows_sum(kernels, 1000, 65);
    check_rows_sum(kernels, 5000, 1);
    check_rows_sum(kernels, 3, 255);
    check_rows_sum(kernels, 2100, 257);
    check_axis(kernels, 1, 1, 1);
    check_axis(kernels, 3, 17, 5);
    check_axis(kernels, 17, 255, 1);
    check_axis(kernels, 2, 33, 1500);
    enum { COUNT = 2048 * 512 };
    if (!check_timing())
        return;
    float *x = check_floats(COUNT), *out = check_floats(512);
    double *slow = check_doubles(512);
    volatile double sink = 0.0; /* keeps the work from being dropped */
    (void)sink;
    CHECK_TIME("sum of squares of 1 Mi", 0, 4.0 * COUNT, sink = kernels->sum_of_squares(x, COUNT),
               sink = naive_dot(x, x, COUNT));
    CHECK_TIME("sum of rows 2048x512", 0, 4.0 * COUNT, kernels->sum_rows(out, x, COUNT, 512, true),
               naive_rows(slow, x, NULL, 2048, 512));
    CHECK_TIME("has_nonfinite of 1 Mi", 0, 4.0 * COUNT, sink = kernels->has_nonfinite(x, COUNT),
               sink = naive_sum(x, COUNT));
    CHECK_TIME("argmax of 1 Mi", 0, 4.0 * COUNT, sink = (double)kernels->argmax(x, COUNT),
               sink = naive_sum(x, COUNT));
}
