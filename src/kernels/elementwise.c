/* elementwise.c: sums and products element by element, with broadcast over leading axes, and dropout. */
#include "kernels/isa.h"

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

/* One block of Philox4x32-10, the same function as fr_random_bits, written so that a loop over it vectorises. */
static inline void philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                          uint32_t k1, uint32_t out[4])
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53U * c0, p1 = (uint64_t)0xCD9E8D57U * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

enum { BLOCKS = 64 }; /* Philox blocks made at once: 256 numbers */

static void dropout(float *y, const float *x, float p, uint64_t seed, uint64_t step, uint64_t call,
                    int64_t count, bool accumulate)
{
    /* keep when bits >= p * 2^32 */
    uint32_t threshold = p >= 1.0F ? UINT32_MAX : (uint32_t)((double)p * 4294967296.0);
    float kept = p >= 1.0F ? 0.0F : 1.0F / (1.0F - p);
    uint32_t c2 = (uint32_t)step,
             c3 = (uint32_t)((step >> 32) & 0xFFF) | (uint32_t)FR_RANDOM_DROPOUT << 12;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    PARALLEL_FOR(begin, count, 4 * BLOCKS, 8 * count)
    {
        float factor[4 * BLOCKS];
        uint64_t first = call << 40 | (uint64_t)begin / 4;
        SIMD for (uint32_t block = 0; block < BLOCKS; block++)
        {
            uint64_t index = first + block;
            uint32_t bits[4];
            philox((uint32_t)index, (uint32_t)(index >> 32), c2, c3, k0, k1, bits);
            for (int i = 0; i < 4; i++)
                factor[4 * block + (uint32_t)i] = bits[i] >= threshold ? kept : 0.0F;
        }
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
