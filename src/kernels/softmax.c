/* softmax.c: softmax, its logarithm and cross-entropy over the last axis, forward and backward. */
#include "kernels/vector.h"

#include "frugal/operators.h" /* FR_IGNORE */

/* sum of exp(x - shift) */
static inline float row_exp_sum(const float *x, float shift, int64_t width)
{
    float total = 0.0F;
    PRAGMA(omp simd reduction(+ : total))
    for (int64_t i = 0; i < width; i++)
        total += fast_exp(x[i] - shift);
    return total;
}

/* A row of minus infinities keeps a finite shift, so that it gives NaN nowhere but in its own division. */
static inline float safe_shift(float maximum)
{
    return maximum == -INFINITY ? 0.0F : maximum;
}

static void softmax_forward(float *y, const float *x, int64_t rows, int64_t width)
{
    PARALLEL_FOR(row, rows, 1, 4 * rows * width)
    {
        const float *in = x + row * width;
        float *out = y + row * width;
        float shift = safe_shift(largest(in, width)), total = 0.0F;
        PRAGMA(omp simd reduction(+ : total))
        for (int64_t i = 0; i < width; i++) {
            out[i] = fast_exp(in[i] - shift);
            total += out[i];
        }
        float factor = 1.0F / total;
        SIMD for (int64_t i = 0; i < width; i++) out[i] *= factor;
    }
}

/* dx = y (dy - sum(dy y)) */
static void softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                             int64_t width, bool accumulate)
{
    PARALLEL_FOR(row, rows, 1, rows * width)
    {
        const float *up = dy + row * width, *out = y + row * width;
        float *to = dx + row * width, inner = 0.0F;
        PRAGMA(omp simd reduction(+ : inner))
        for (int64_t i = 0; i < width; i++)
            inner += up[i] * out[i];
        if (accumulate) {
            SIMD for (int64_t i = 0; i < width; i++) to[i] += out[i] * (up[i] - inner);
        } else {
            SIMD for (int64_t i = 0; i < width; i++) to[i] = out[i] * (up[i] - inner);
        }
    }
}

static void log_softmax_forward(float *y, const float *x, int64_t rows, int64_t width)
{
    PARALLEL_FOR(row, rows, 1, 4 * rows * width)
    {
        const float *in = x + row * width;
        float *out = y + row * width;
        float shift = safe_shift(largest(in, width));
        float total = logf(row_exp_sum(in, shift, width));
        SIMD for (int64_t i = 0; i < width; i++) out[i] = in[i] - shift - total;
    }
}

/* dx = dy - exp(y) sum(dy) */
static void log_softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                                 int64_t width, bool accumulate)
{
    PARALLEL_FOR(row, rows, 1, 4 * rows * width)
    {
        const float *up = dy + row * width, *out = y + row * width;
        float *to = dx + row * width, total = 0.0F;
        PRAGMA(omp simd reduction(+ : total))
        for (int64_t i = 0; i < width; i++)
            total += up[i];
        if (accumulate) {
            SIMD for (int64_t i = 0; i < width; i++) to[i] += up[i] - fast_exp(out[i]) * total;
        } else {
            SIMD for (int64_t i = 0; i < width; i++) to[i] = up[i] - fast_exp(out[i]) * total;
        }
    }
}

static void cross_entropy(float *per_row, float *dlogits, const float *logits,
                          const int32_t *targets, const float *weights, float scale, int64_t rows,
                          int64_t width)
{
    PARALLEL_FOR(row, rows, 1, 4 * rows * width)
    {
        const float *in = logits + row * width;
        float *out = dlogits ? dlogits + row * width : NULL;
        int32_t target = targets[row];
        if (target == FR_IGNORE) {
            per_row[row] = 0.0F;
            if (out)
                memset(out, 0, sizeof(float) * (size_t)width);
            continue;
        }
        float shift = safe_shift(largest(in, width)), chosen = in[target], total = 0.0F;
        if (out) {
            PRAGMA(omp simd reduction(+ : total))
            for (int64_t i = 0; i < width; i++) {
                out[i] = fast_exp(in[i] - shift);
                total += out[i];
            }
            float weight = scale * (weights ? weights[row] : 1.0F), factor = weight / total;
            SIMD for (int64_t i = 0; i < width; i++) out[i] *= factor;
            out[target] -= weight;
        } else {
            total = row_exp_sum(in, shift, width);
        }
        per_row[row] = logf(total) + shift - chosen;
    }
}

void FR_LEVEL(fr_kernels_softmax)(fr_kernels *table)
{
    table->softmax_forward = softmax_forward;
    table->softmax_backward = softmax_backward;
    table->log_softmax_forward = log_softmax_forward;
    table->log_softmax_backward = log_softmax_backward;
    table->cross_entropy = cross_entropy;
}
