/* gemm.c: see gemm.h. */
#include "kernels/gemm.h"

#include "frugal/base.h"

#include <oneapi/dnnl/dnnl.h>

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows and columns of a tile of C. */
typedef struct tiling {
    int64_t rows, columns;
} tiling;

static int64_t cut(int64_t extent, int64_t pieces, int64_t unit)
{
    int64_t size = (extent + pieces - 1) / pieces;
    return (size + unit - 1) / unit * unit;
}

static tiling choose_tiling(int64_t m, int64_t n)
{
    tiling t = {m, n};
    if (m >= n)
        t.rows = cut(m, 4, 48);
    else
        t.columns = cut(n, 4, 48);
    return t;
}

typedef struct product {
    char transpose_a, transpose_b;
    int64_t m, n, k;
    float alpha, beta;
    int64_t lda, ldb, ldc;
} product;

static void run_tile(const product *p, tiling t, int64_t row, int64_t column, const float *a,
                     const float *b, float *c)
{
    a += p->transpose_a == 'T' ? row : row * p->lda;
    b += p->transpose_b == 'T' ? column * p->ldb : column;
    dnnl_sgemm(p->transpose_a, p->transpose_b, smaller(t.rows, p->m - row),
               smaller(t.columns, p->n - column), p->k, p->alpha, a, p->lda, b, p->ldb, p->beta,
               c + row * p->ldc + column, p->ldc);
}

void fr_gemm_batched(int64_t count, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                     int64_t k, float alpha, const float *a, int64_t lda, int64_t stride_a,
                     const float *b, int64_t ldb, int64_t stride_b, float beta, float *c,
                     int64_t ldc, int64_t stride_c)
{
    if (count <= 0 || m <= 0 || n <= 0)
        return;
    product p = {
        transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, beta, lda, ldb, ldc};
    tiling t = choose_tiling(m, n);
    int64_t across = (n + t.columns - 1) / t.columns, tiles = (m + t.rows - 1) / t.rows * across;
#pragma omp parallel for schedule(dynamic, 1) num_threads(fr_threads())
    for (int64_t task = 0; task < count * tiles; task++) {
        int64_t matrix = task / tiles, tile = task % tiles;
        run_tile(&p, t, tile / across * t.rows, tile % across * t.columns, a + matrix * stride_a,
                 b + matrix * stride_b, c + matrix * stride_c);
    }
}

void fr_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
             int64_t ldc)
{
    fr_gemm_batched(1, transpose_a, transpose_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc,
                    0);
}
