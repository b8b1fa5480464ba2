/* linear.h: y = x W^T + bias and its gradients. x (M, K), W (N, K), y (M, N), bias (N). A weight that is not stored in f32 is read as it is
   when M is small (decoding) and converted in panels of rows otherwise. */
#ifndef FRUGAL_LINEAR_H
#define FRUGAL_LINEAR_H

#include "frugal/tensor.h"

/* bias may be NULL. */
void fr_linear_forward(float *y, const float *x, const void *weight, fr_dtype dtype,
                       const float *bias, int64_t m, int64_t n, int64_t k);
/* dx (M, K) = dy W, added when `accumulate`. */
void fr_linear_backward_input(float *dx, const float *dy, const void *weight, fr_dtype dtype,
                              int64_t m, int64_t n, int64_t k, bool accumulate);
/* dweight (N, K) += dy^T x; dbias (N) += column sums of dy. Either may be NULL. */
void fr_linear_backward_weight(float *dweight, float *dbias, const float *dy, const float *x,
                               int64_t m, int64_t n, int64_t k);

#endif
