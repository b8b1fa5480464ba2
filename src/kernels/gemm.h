/* gemm.h: products of matrices, row-major, f32. C is cut into tiles chosen from its shape alone, and each tile is one
   single-threaded call of oneDNN: a library that splits K by its number of threads would change the sum. So results are the
   same for any number of threads. */
#ifndef FRUGAL_GEMM_H
#define FRUGAL_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* C (m, n) = alpha * op(A) (m, k) * op(B) (k, n) + beta * C; op transposes when asked. lda, ldb, ldc: floats from one stored row
   to the next. beta == 0 does not read C. */
void fr_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
             const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
             int64_t ldc);

/* `count` products of the same shape; strides: floats from one matrix to the next (0 repeats an operand; not for C). */
void fr_gemm_batched(int64_t count, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                     int64_t k, float alpha, const float *a, int64_t lda, int64_t stride_a,
                     const float *b, int64_t ldb, int64_t stride_b, float beta, float *c,
                     int64_t ldc, int64_t stride_c);

#endif
