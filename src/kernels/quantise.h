/* quantise.h: f32 into blocks of small integers (blocks.h says what they are). */
#ifndef FRUGAL_KERNELS_QUANTISE_H
#define FRUGAL_KERNELS_QUANTISE_H

#include "frugal/tensor.h"

/* `count` finite numbers, a multiple of the block, as `dtype` (q8_0, q4_0, q4_k, q6_k) stores them. q8_0 and q4_0 give the reference's
   bytes; q4_k and q6_k search for the scales that give the smallest error. */
void fr_quantise(void *out, fr_dtype dtype, const float *in, int64_t count);

#endif
