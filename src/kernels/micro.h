/* micro.h: small matrix products that stay in registers, for attention. The accumulators are vectors; a block of up to
   ROWS x VECTORS of them is kept in registers while the inner dimension runs, one scalar of A multiplied into a row of B at a
   time. */
#ifndef FRUGAL_KERNELS_MICRO_H
#define FRUGAL_KERNELS_MICRO_H

#include "kernels/vector.h"

/* Accumulators: ROWS x VECTORS of them, and what is multiplied, fill the registers of the level. */
#if defined(__AVX512F__)
enum { VECTORS = 4, ROWS = 6 };
#else
enum { VECTORS = 2, ROWS = 6 };
#endif

/* A width rounded up to whole vectors. */
static inline int64_t padded(int64_t width)
{
    return (width + 15) / 16 * 16;
}

static inline __attribute__((always_inline)) void block(const int rows, const int vectors, float *c,
                                                        int64_t ldc, const float *a, int64_t a_row,
                                                        int64_t a_inner, const float *b,
                                                        int64_t ldb, int64_t inner)
{
    vector sums[ROWS][VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            sums[r][v] = *(const vector *)(c + r * ldc + v * LANES);
    for (int64_t k = 0; k < inner; k++) {
        vector right[VECTORS];
        for (int v = 0; v < vectors; v++)
            right[v] = *(const vector *)(b + k * ldb + v * LANES);
        for (int r = 0; r < rows; r++) {
            float left = a[r * a_row + k * a_inner];
            for (int v = 0; v < vectors; v++)
                sums[r][v] += left * right[v];
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            *(vector *)(c + r * ldc + v * LANES) = sums[r][v];
}

static inline __attribute__((always_inline)) void
columns(const int vectors, int64_t rows, float *c, int64_t ldc, const float *a, int64_t a_row,
        int64_t a_inner, const float *b, int64_t ldb, int64_t inner)
{
    int64_t r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        block(ROWS, vectors, c + r * ldc, ldc, a + r * a_row, a_row, a_inner, b, ldb, inner);
    if (rows - r >= 4) {
        block(4, vectors, c + r * ldc, ldc, a + r * a_row, a_row, a_inner, b, ldb, inner);
        r += 4;
    }
    if (rows - r >= 2) {
        block(2, vectors, c + r * ldc, ldc, a + r * a_row, a_row, a_inner, b, ldb, inner);
        r += 2;
    }
    if (r < rows)
        block(1, vectors, c + r * ldc, ldc, a + r * a_row, a_row, a_inner, b, ldb, inner);
}

/* C (rows, width) += A (rows, inner) B (inner, width); width is a multiple of 16; A's element (r, k) is at
   a[r * a_row + k * a_inner], so that A may be stored either way round. */
static void micro_product(int64_t rows, int64_t width, int64_t inner, float *c, int64_t ldc,
                          const float *a, int64_t a_row, int64_t a_inner, const float *b,
                          int64_t ldb)
{
    int64_t at = 0;
    for (; at + VECTORS * LANES <= width; at += VECTORS * LANES)
        columns(VECTORS, rows, c + at, ldc, a, a_row, a_inner, b + at, ldb, inner);
    for (; at < width; at += LANES)
        columns(1, rows, c + at, ldc, a, a_row, a_inner, b + at, ldb, inner);
}

#endif
