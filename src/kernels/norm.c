/* norm.c: layer normalisation (arXiv 1607.06450) and root mean square normalisation (arXiv 1910.07467) over the last axis,
   forward and backward. x, y, dx, dy: (rows, width); weight, bias: (width); mean, rstd: (rows), kept for backward.

   Backward of y = h w + b with h = (x - mean) rstd: with g = dy w,
       dx = rstd (g - mean(g) - h mean(g h)),  dw = sum over rows of dy h,  db = sum over rows of dy;
   RMS norm is the same without the mean. Sums over rows go through partial rows, one per fixed chunk of rows. */
#include "kernels/isa.h"

static inline float row_sum(const float *x, int64_t width)
{
    float total = 0.0F;
    PRAGMA(omp simd reduction(+ : total))
    for (int64_t i = 0; i < width; i++)
        total += x[i];
    return total;
}

static inline float row_variance(const float *x, float mean, int64_t width)
{
    float total = 0.0F;
    PRAGMA(omp simd reduction(+ : total))
    for (int64_t i = 0; i < width; i++)
        total += (x[i] - mean) * (x[i] - mean);
    return total / (float)width;
}

static void layer_norm_forward(float *y, float *mean, float *rstd, const float *x,
                               const float *weight, const float *bias, float eps, int64_t rows,
                               int64_t width)
{
    PARALLEL_FOR(row, rows, 1, rows * width)
    {
        const float *restrict in = x + row * width;
        float *restrict out = y + row * width;
        float average = row_sum(in, width) / (float)width;
        float scale = 1.0F / sqrtf(row_variance(in, average, width) + eps);
        if (bias) {
            SIMD for (int64_t i = 0; i < width; i++) out[i] =
                (in[i] - average) * scale * weight[i] + bias[i];
        } else {
            SIMD for (int64_t i = 0; i < width; i++) out[i] = (in[i] - average) * scale * weight[i];
        }
        if (mean)
            mean[row] = average;
        if (rstd)
            rstd[row] = scale;
    }
}

static void rms_norm_forward(float *y, float *rstd, const float *x, const float *weight, float eps,
                             int64_t rows, int64_t width)
{
    PARALLEL_FOR(row, rows, 1, rows * width)
    {
        const float *restrict in = x + row * width;
        float *restrict out = y + row * width;
        float scale = 1.0F / sqrtf(row_variance(in, 0.0F, width) + eps);
        SIMD for (int64_t i = 0; i < width; i++) out[i] = in[i] * scale * weight[i];
        if (rstd)
            rstd[row] = scale;
    }
}

/* One row of dx; `average` is 0 and `centred` false for RMS norm. */
static inline void row_backward(float *restrict dx, const float *restrict dy,
                                const float *restrict x, const float *restrict weight,
                                float average, float scale, int64_t width, bool centred,
                                bool accumulate)
{
    float sum_g = 0.0F, sum_gh = 0.0F;
    PRAGMA(omp simd reduction(+ : sum_g, sum_gh))
    for (int64_t i = 0; i < width; i++) {
        float g = dy[i] * weight[i];
        sum_g += g;
        sum_gh += g * ((x[i] - average) * scale);
    }
    float mean_g = centred ? sum_g / (float)width : 0.0F, mean_gh = sum_gh / (float)width;
    if (accumulate) {
        SIMD for (int64_t i = 0; i < width; i++) dx[i] +=
            scale * (dy[i] * weight[i] - mean_g - (x[i] - average) * scale * mean_gh);
    } else {
        SIMD for (int64_t i = 0; i < width; i++) dx[i] =
            scale * (dy[i] * weight[i] - mean_g - (x[i] - average) * scale * mean_gh);
    }
}

/* total[i] += sum over chunks of partial[chunk * stride + i] */
static void add_partials(float *total, const float *partial, int64_t chunks, int64_t stride,
                         int64_t width)
{
    for (int64_t chunk = 0; chunk < chunks; chunk++)
        SIMD for (int64_t i = 0; i < width; i++) total[i] += partial[chunk * stride + i];
}

/* Both norms: mean == NULL means RMS norm. */
static void norm_backward(float *dx, float *dweight, float *dbias, const float *dy, const float *x,
                          const float *weight, const float *mean, const float *rstd, int64_t rows,
                          int64_t width, bool accumulate)
{
    int64_t step = reduction_rows(rows), chunks = (rows + step - 1) / step;
    float *partial = NULL; /* (chunks, 2, width): dweight, dbias */
    if (dweight || dbias) {
        partial = fr_kernels_workspace(sizeof(float) * (size_t)(chunks * 2 * width));
        if (!partial)
            return;
    }
    PARALLEL_FOR(chunk, chunks, 1, rows * width)
    {
        float *restrict dw = partial ? partial + chunk * 2 * width : NULL;
        float *restrict db = dw ? dw + width : NULL;
        if (dw)
            memset(dw, 0, 2 * sizeof(float) * (size_t)width);
        int64_t end = smaller((chunk + 1) * step, rows);
        for (int64_t row = chunk * step; row < end; row++) {
            const float *restrict in = x + row * width;
            const float *restrict up = dy + row * width;
            float average = mean ? mean[row] : 0.0F, scale = rstd[row];
            if (dx)
                row_backward(dx + row * width, up, in, weight, average, scale, width, mean != NULL,
                             accumulate);
            if (dw && dbias) {
                SIMD for (int64_t i = 0; i < width; i++)
                {
                    dw[i] += up[i] * ((in[i] - average) * scale);
                    db[i] += up[i];
                }
            } else if (dw) {
                SIMD for (int64_t i = 0; i < width; i++) dw[i] +=
                    up[i] * ((in[i] - average) * scale);
            }
        }
    }
    if (dweight)
        add_partials(dweight, partial, chunks, 2 * width, width);
    if (dbias)
        add_partials(dbias, partial + width, chunks, 2 * width, width);
}

static void layer_norm_backward(float *dx, float *dweight, float *dbias, const float *dy,
                                const float *x, const float *weight, const float *mean,
                                const float *rstd, int64_t rows, int64_t width, bool accumulate)
{
    norm_backward(dx, dweight, dbias, dy, x, weight, mean, rstd, rows, width, accumulate);
}

static void rms_norm_backward(float *dx, float *dweight, const float *dy, const float *x,
                              const float *weight, const float *rstd, int64_t rows, int64_t width,
                              bool accumulate)
{
    norm_backward(dx, dweight, NULL, dy, x, weight, NULL, rstd, rows, width, accumulate);
}

void FR_LEVEL(fr_kernels_norm)(fr_kernels *table)
{
    table->layer_norm_forward = layer_norm_forward;
    table->layer_norm_backward = layer_norm_backward;
    table->rms_norm_forward = rms_norm_forward;
    table->rms_norm_backward = rms_norm_backward;
}
