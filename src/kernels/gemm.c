/* gemm.c: see gemm.h. */
#include "kernels/gemm.h"

#include "frugal/base.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows and columns of a tile of C. */
typedef struct tiling {
    int64_t rows, columns;
} tiling;

static int64_t ceil_divide(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Pieces of about 512 rows and 1024 columns (a tile packs its part of A and B anew, which small tiles pay for), then halves of
   the longer side until threads have enough to share: the number of tiles follows from the work, never from the threads.
   Measured on Zen 4 with shapes of training: within noise of a two-threaded call of the library. */
static tiling choose_tiling(int64_t m, int64_t n, int64_t k)
{
    double flops = 2.0 * (double)m * (double)n * (double)k;
    int64_t rows = 1, columns = 1, wanted = flops > 5e8 ? 8 : flops > 2e7 ? 4 : flops > 2e6 ? 2 : 1;
    while (m > 512 * rows)
        rows *= 2;
    while (n > 1024 * columns)
        columns *= 2;
    while (rows * columns < wanted && (m >= 96 * rows || n >= 96 * columns)) {
        if (m * columns >= n * rows)
            rows *= 2;
        else
            columns *= 2;
    }
    return (tiling){ceil_divide(ceil_divide(m, rows), 16) * 16,
                    ceil_divide(ceil_divide(n, columns), 16) * 16};
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
    tiling t = choose_tiling(m, n, k);
    int64_t across = ceil_divide(n, t.columns), tiles = ceil_divide(m, t.rows) * across;
    int64_t tasks = count * tiles;
#pragma omp parallel num_threads(tasks == 1 ? 1 : fr_threads())
    {
        /* The library starts threads of its own unless it is called from an active region, which a region of one thread is
           not: so each thread's own limit is set too. */
        int limit = omp_get_max_threads();
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (int64_t task = 0; task < tasks; task++) {
            int64_t matrix = task / tiles, tile = task % tiles;
            run_tile(&p, t, tile / across * t.rows, tile % across * t.columns,
                     a + matrix * stride_a, b + matrix * stride_b, c + matrix * stride_c);
        }
        omp_set_num_threads(limit);
    }
}

void fr_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
             int64_t ldc)
{
    fr_gemm_batched(1, transpose_a, transpose_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc,
                    0);
}
