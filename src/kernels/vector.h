/* vector.h: the compiler's own vector type (GCC and Clang lower it to whatever the level has), for the few places where a plain
   loop does not become what it should. */
#ifndef FRUGAL_KERNELS_VECTOR_H
#define FRUGAL_KERNELS_VECTOR_H

#include "kernels/isa.h"

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t vector_mask __attribute__((vector_size(4 * LANES), aligned(4)));

/* The larger of each pair; where either is not a number, b. */
static inline vector vector_larger(vector a, vector b)
{
    vector_mask greater = a > b;
    return (vector)((greater & (vector_mask)a) | (~greater & (vector_mask)b));
}

/* The largest of x (count), -infinity when there is none. A reduction by > over floats is one that compilers leave alone, for
   fear of NaN. */
static inline float largest(const float *x, int64_t count)
{
    float best = -INFINITY;
    int64_t i = 0;
    if (count >= LANES) {
        vector lanes;
        for (int l = 0; l < LANES; l++)
            lanes[l] = -INFINITY;
        for (; i + LANES <= count; i += LANES)
            lanes = vector_larger(*(const vector *)(x + i), lanes);
        for (int l = 0; l < LANES; l++)
            best = lanes[l] > best ? lanes[l] : best;
    }
    for (; i < count; i++)
        best = x[i] > best ? x[i] : best;
    return best;
}

#endif
