/* matvec.c: a few rows times a matrix: decoding. Every weight is read once from memory, so memory sets the time; the rows of W are
   shared among threads, and a row of W in half precision or in blocks is widened once, in pieces that stay in the nearest cache, and used by all rows of x. */
#include "kernels/blocks.h"

enum { ROWS = 4 };     /* rows of W at once: that many independent sums */
enum { PIECE = 1024 }; /* of a row, widened at once; whole blocks */

/* sums[r] += w[r] . x over `length` numbers */
static inline void dots(float sums[ROWS], const float *restrict w, int64_t stride,
                        const float *restrict x, int64_t length)
{
    const float *w0 = w, *w1 = w + stride, *w2 = w + 2 * stride, *w3 = w + 3 * stride;
    float s0 = 0.0F, s1 = 0.0F, s2 = 0.0F, s3 = 0.0F;
    PRAGMA(omp simd reduction(+ : s0, s1, s2, s3))
    for (int64_t i = 0; i < length; i++) {
        s0 += w0[i] * x[i];
        s1 += w1[i] * x[i];
        s2 += w2[i] * x[i];
        s3 += w3[i] * x[i];
    }
    sums[0] += s0;
    sums[1] += s1;
    sums[2] += s2;
    sums[3] += s3;
}

static inline void widen(float *restrict out, const void *weight, fr_dtype dtype, int64_t from,
                         int64_t length)
{
    const uint16_t *half = (const uint16_t *)weight + from;
    if (dtype == FR_BF16) {
        SIMD for (int64_t i = 0; i < length; i++) out[i] = bf16_to_float(half[i]);
    } else if (dtype == FR_F16) {
        SIMD for (int64_t i = 0; i < length; i++) out[i] = f16_to_float(half[i]);
    } else if (is_blocks(dtype)) {
        decode(out, weight, dtype, from, length);
    } else {
        memcpy(out, (const float *)weight + from, sizeof(float) * (size_t)length);
    }
}

/* Outputs n .. n + count - 1 (count <= ROWS) of up to 8 rows of x. The last block repeats its last row. */
static void block(float *y, const float *x, const void *weight, fr_dtype dtype, const float *bias,
                  int64_t m, int64_t n_all, int64_t k, int64_t n, int64_t count)
{
    float wide[ROWS * PIECE], sums[8][ROWS] = {{0}};
    for (int64_t begin = 0; begin < k; begin += PIECE) {
        int64_t length = smaller(PIECE, k - begin), stride = k;
        const float *w = (const float *)weight + n * k + begin;
        if (dtype != FR_F32 || count < ROWS) {
            for (int64_t r = 0; r < ROWS; r++)
                widen(wide + r * PIECE, weight, dtype, (n + smaller(r, count - 1)) * k + begin,
                      length);
            w = wide;
            stride = PIECE;
        }
        for (int64_t row = 0; row < m; row++)
            dots(sums[row], w, stride, x + row * k + begin, length);
    }
    for (int64_t row = 0; row < m; row++)
        for (int64_t r = 0; r < count; r++)
            y[row * n_all + n + r] = sums[row][r] + (bias ? bias[n + r] : 0.0F);
}

static void few_rows_linear(float *y, const float *x, const void *weight, fr_dtype dtype,
                            const float *bias, int64_t m, int64_t n, int64_t k)
{
    enum { STRIP = 16 * ROWS };
    PARALLEL_FOR(begin, n, STRIP, n * k)
    {
        int64_t end = smaller(begin + STRIP, n);
        for (int64_t row = 0; row < m; row += 8)
            for (int64_t at = begin; at < end; at += ROWS)
                block(y + row * n, x + row * k, weight, dtype, bias, smaller(8, m - row), n, k, at,
                      smaller(ROWS, end - at));
    }
}

void FR_LEVEL(fr_kernels_matvec)(fr_kernels *table)
{
    table->few_rows_linear = few_rows_linear;
}
