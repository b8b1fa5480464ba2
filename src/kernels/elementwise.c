/* elementwise.c: sums and products element by element, with broadcast over leading axes, and dropout. */
#include "kernels/philox.h"

/* expression(out[i], a[i], RIGHT) over all i in chunks; RIGHT may use i. */
#define FLAT(out, a, right, count, expression)                                                     \
    PARALLEL_FOR(begin, count, CHUNK, count)                                                       \
    {                                                                                              \
        int64_t end = smaller(begin + CHUNK, count);                                               \
        SIMD for (int64_t i = begin; i < end; i++) expression((out)[i], (a)[i], right);            \
    }

/* The same with b repeated over rows of `inner`. */
#define BROADCAST(out, a, b, count, inner, expression)                                             \
    do {                                                                                           \
        if ((inner) == 1) {                                                                        \
            float right = *(b);                                                                    \
            FLAT(out, a, right, count, expression)                                                 \
        } else if ((inner) == (count)) {                                                           \
            FLAT(out, a, (b)[i], count, expression)                                                \
        } else {                                                                                   \
            PARALLEL_FOR(begin, count, inner, count)                                               \
            SIMD for (int64_t i = 0; i < (inner); i++)                                             \
                expression((out)[begin + i], (a)[begin + i], (b)[i]);                              \
        }                                                                                          \
    } while (0)

#define SUM(out, left, right)         ((out) = (left) + (right))
#define PRODUCT(out, left, right)     ((out) = (left) * (right))
#define PRODUCT_ADD(out, left, right) ((out) += (left) * (right))

static void add(float *out, const float *a, const float *b, int64_t count, int64_t inner)
{
    BROADCAST(out, a, b, count, inner, SUM);
}

static void multiply(float *out, const float *a, const float *b, int64_t count, int64_t inner,
                     bool accumulate)
{
    if (accumulate)
        BROADCAST(out, a, b, count, inner, PRODUCT_ADD);
    else
        BROADCAST(out, a, b, count, inner, PRODUCT);
}

static void scale(float *out, const float *x, float factor, int64_t count)
{
    FLAT(out, x, factor, count, PRODUCT)
}

static void axpy(float *y, const float *x, float factor, int64_t count)
{
    FLAT(y, x, factor, count, PRODUCT_ADD)
}

static void fill(float *out, float value, int64_t count)
{
    PARALLEL_FOR(begin, count, CHUNK, count)
    {
        int64_t end = smaller(begin + CHUNK, count);
        SIMD for (int64_t i = begin; i < end; i++) out[i] = value;
    }
}

static void copy(float *out, const float *x, int64_t count)
{
    PARALLEL_FOR(begin, count, CHUNK, count)
    memcpy(out + begin, x + begin, sizeof(float) * (size_t)smaller(CHUNK, count - begin));
}

enum { BLOCKS = 64 }; /* Philox blocks made at once: 256 numbers */

static void dropout(float *y, const float *x, float p, uint64_t seed, uint64_t step, uint64_t call,
                    int64_t count, bool accumulate)
{
    dropout_key key = dropout_key_of(p, seed, step, call);
    PARALLEL_FOR(begin, count, 4 * BLOCKS, 8 * count)
    {
        float factor[4 * BLOCKS];
        SIMD for (uint32_t block = 0; block < BLOCKS; block++)
            dropout_factors(&key, (uint64_t)begin / 4 + block, factor + 4 * block);
        int64_t length = smaller(4 * BLOCKS, count - begin);
        if (accumulate) {
            SIMD for (int64_t i = 0; i < length; i++) y[begin + i] += x[begin + i] * factor[i];
        } else {
            SIMD for (int64_t i = 0; i < length; i++) y[begin + i] = x[begin + i] * factor[i];
        }
    }
}

void FR_LEVEL(fr_kernels_elementwise)(fr_kernels *table)
{
    table->add = add;
    table->multiply = multiply;
    table->scale = scale;
    table->axpy = axpy;
    table->fill = fill;
    table->copy = copy;
    table->dropout = dropout;
}
