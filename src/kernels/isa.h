/* isa.h: what the sources that are compiled once per instruction set share: the name of the level, the way loops are cut for
   threads, and exp, tanh and the normal distribution that vectorise.

   FR_ISA (v2, v3, v4, baseline) is set by the build. Each file keeps its kernels static and exports one function that fills its
   part of the table. */
#ifndef FRUGAL_KERNELS_ISA_H
#define FRUGAL_KERNELS_ISA_H

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#define FR_JOIN_TEXT(a, b) a##_##b
#define FR_JOIN(a, b)      FR_JOIN_TEXT(a, b)
#define FR_LEVEL(name)     FR_JOIN(name, FR_ISA)

void FR_LEVEL(fr_kernels_elementwise)(fr_kernels *table);
void FR_LEVEL(fr_kernels_activation)(fr_kernels *table);
void FR_LEVEL(fr_kernels_reduce)(fr_kernels *table);
void FR_LEVEL(fr_kernels_norm)(fr_kernels *table);
void FR_LEVEL(fr_kernels_softmax)(fr_kernels *table);
void FR_LEVEL(fr_kernels_gather)(fr_kernels *table);
void FR_LEVEL(fr_kernels_copy)(fr_kernels *table);
void FR_LEVEL(fr_kernels_rope)(fr_kernels *table);
void FR_LEVEL(fr_kernels_attention_forward)(fr_kernels *table);
void FR_LEVEL(fr_kernels_attention_backward)(fr_kernels *table);
void FR_LEVEL(fr_kernels_matvec)(fr_kernels *table);
void FR_LEVEL(fr_kernels_optimizer)(fr_kernels *table);
void FR_LEVEL(fr_kernels_peak)(fr_kernels *table);

/* ---- threads ---- */

#define PRAGMA(text) _Pragma(#text)

/* Below this many numbers a parallel region costs more than it gains. */
enum { SERIAL = 32768 };
/* An element-wise loop is cut into chunks of this many numbers, whatever the number of threads: where a vector loop ends and
   its scalar tail begins must not depend on it. */
enum { CHUNK = 16384 };

/* for (begin = 0; begin < count; begin += step), iterations shared among threads when `work` numbers are worth it. */
#define PARALLEL_FOR(begin, count, step, work)                                                     \
    PRAGMA(omp parallel for schedule(static) num_threads(fr_threads()) if ((work) > SERIAL))       \
    for (int64_t begin = 0; begin < (count); begin += (step))
/* The same with work of uneven size. */
#define PARALLEL_FOR_UNEVEN(begin, count, work)                                                    \
    PRAGMA(omp parallel for schedule(dynamic, 1) num_threads(fr_threads()) if ((work) > SERIAL))   \
    for (int64_t begin = 0; begin < (count); begin++)
#define SIMD PRAGMA(omp simd)

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Rows per chunk of a reduction over rows: at most 64 chunks, at least 32 rows each. */
static inline int64_t reduction_rows(int64_t rows)
{
    return larger(32, (rows + 63) / 64);
}

/* ---- functions ---- */

static inline uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^x to 1e-7; 0 below -86.6, the largest finite magnitude above 88.72. x = n ln 2 + r, |r| <= ln 2 / 2; the sum with 1.5 * 2^23
   rounds x / ln 2 to n and leaves n in the low bits. This polynomial and those below are minimax fits (Lawson's reweighted
   least squares on Chebyshev nodes). */
static inline float fast_exp(float x)
{
    float y = x > 88.72F ? 88.72F : x;
    y = y < -86.6F ? -86.6F : y;
    float shifted = y * 1.44269504088896341F + 12582912.0F;
    float n = shifted - 12582912.0F;
    float r = y - n * 0.693145751953125F - n * 1.42860682030941723e-6F;
    float p = 1.39504892e-3F;
    p = p * r + 8.36888956e-3F;
    p = p * r + 4.16662058e-2F;
    p = p * r + 1.66665188e-1F;
    p = p * r + 0.50000001F;
    p = p * (r * r) + r + 1.0F;
    /* 2^n in two factors, because n may be 128. */
    float result = p * bits_float((float_bits(shifted) << 23) + 0x3F000000U) * 2.0F;
    return x < -86.6F ? 0.0F : result;
}

static inline float fast_sigmoid(float x)
{
    return 1.0F / (1.0F + fast_exp(-x));
}

static inline float fast_tanh(float x)
{
    float square = x * x;
    float p = -5.71703656e-3F;
    p = p * square + 2.0650579e-2F;
    p = p * square - 5.37434953e-2F;
    p = p * square + 1.33314912e-1F;
    p = p * square - 3.33332839e-1F;
    float small = x + x * square * p;
    float magnitude = fabsf(x);
    float large = copysignf(1.0F - 2.0F / (1.0F + fast_exp(2.0F * magnitude)), x);
    return magnitude < 0.625F ? small : large;
}

/* Phi(x), the normal distribution function, (1 + erf(z)) / 2 with z = x / sqrt(2). |z| < 0.9: erf is z p(z^2); beyond,
   the tail is exp(log(erfc |z|)) / 2, the logarithm being a polynomial; it is not subtracted from 1 for negative x, so that
   nothing cancels. Beyond 3.95 the tail is below 2e-8 and taken as 0. */
static inline float fast_normal(float x)
{
    float z = x * 0.70710678118654752F, square = z * z;
    float p = -5.86207955e-4F;
    p = p * square + 4.96750626e-3F;
    p = p * square - 2.67488638e-2F;
    p = p * square + 1.12813207e-1F;
    p = p * square - 3.76124459e-1F;
    p = p * square + 1.12837914F;
    float magnitude = fabsf(z);
    float t = magnitude > 3.95F ? 3.95F : magnitude;
    float q = 2.09095562e-5F;
    q = q * t - 4.32303012e-4F;
    q = q * t + 4.16052702e-3F;
    q = q * t - 2.50914968e-2F;
    q = q * t + 1.08236619e-1F;
    q = q * t + 6.33386646e-1F;
    q = q * t + 1.12949516F;
    q = q * t - 1.70552038e-4F;
    float tail = 0.5F * fast_exp(-q);
    tail = magnitude > 3.95F ? 0.0F : tail;
    float large = z < 0.0F ? tail : 1.0F - tail;
    return magnitude < 0.9F ? 0.5F + 0.5F * z * p : large;
}

#endif
