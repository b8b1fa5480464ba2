/* linear.c: see linear.h. */
#include "kernels/linear.h"

#include "kernels/gemm.h"
#include "kernels/kernels.h"

enum {
    FEW_ROWS = 8
}; /* up to here the weights' way through memory is the cost, not the arithmetic */
enum { PANEL = 1 << 20 }; /* numbers of a stored weight that are widened at once */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t panel_rows(int64_t n, int64_t k)
{
    int64_t rows = PANEL / (k > 0 ? k : 1);
    return rows < 1 ? 1 : smaller(rows, n);
}

/* Rows [begin, begin + rows) of a stored weight as f32 in the workspace. */
static const float *widen(const void *weight, fr_dtype dtype, int64_t begin, int64_t rows,
                          int64_t panel, int64_t k)
{
    float *wide = fr_kernels_workspace(sizeof(float) * (size_t)(panel * k));
    if (wide)
        fr_kernels_get()->convert(
            wide, FR_F32, (const char *)weight + fr_dtype_bytes(dtype, begin * k), dtype, rows * k);
    return wide;
}

static void put_bias(float *y, const float *bias, int64_t m, int64_t n)
{
#pragma omp parallel for schedule(static) num_threads(fr_threads()) if (m * n > 32768)
    for (int64_t row = 0; row < m; row++)
        for (int64_t i = 0; i < n; i++)
            y[row * n + i] = bias[i];
}

void fr_linear_forward(float *y, const float *x, const void *weight, fr_dtype dtype,
                       const float *bias, int64_t m, int64_t n, int64_t k)
{
    if (m <= FEW_ROWS) {
        fr_kernels_get()->few_rows_linear(y, x, weight, dtype, bias, m, n, k);
        return;
    }
    if (bias)
        put_bias(y, bias, m, n);
    float beta = bias ? 1.0F : 0.0F;
    if (dtype == FR_F32) {
        fr_gemm(false, true, m, n, k, 1.0F, x, k, weight, k, beta, y, n);
        return;
    }
    int64_t panel = panel_rows(n, k);
    for (int64_t begin = 0; begin < n; begin += panel) {
        int64_t rows = smaller(panel, n - begin);
        const float *wide = widen(weight, dtype, begin, rows, panel, k);
        if (!wide)
            return;
        fr_gemm(false, true, m, rows, k, 1.0F, x, k, wide, k, beta, y + begin, n);
    }
}

void fr_linear_backward_input(float *dx, const float *dy, const void *weight, fr_dtype dtype,
                              int64_t m, int64_t n, int64_t k, bool accumulate)
{
    float beta = accumulate ? 1.0F : 0.0F;
    if (dtype == FR_F32) {
        fr_gemm(false, false, m, k, n, 1.0F, dy, n, weight, k, beta, dx, k);
        return;
    }
    int64_t panel = panel_rows(n, k);
    for (int64_t begin = 0; begin < n; begin += panel) {
        int64_t rows = smaller(panel, n - begin);
        const float *wide = widen(weight, dtype, begin, rows, panel, k);
        if (!wide)
            return;
        fr_gemm(false, false, m, k, rows, 1.0F, dy + begin, n, wide, k, begin > 0 ? 1.0F : beta, dx,
                k);
    }
}

void fr_linear_backward_weight(float *dweight, float *dbias, const float *dy, const float *x,
                               int64_t m, int64_t n, int64_t k)
{
    if (dweight)
        fr_gemm(true, false, n, k, m, 1.0F, dy, n, x, k, 1.0F, dweight, k);
    if (dbias)
        fr_kernels_get()->sum_rows(dbias, dy, m * n, n, true);
}
