/* random.c: Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3,
   SC 2011). The seed is the key; (purpose, step, index) is the counter, so no number depends on what was drawn before. */
#include "frugal/base.h"

#include <math.h>

static void philox(uint32_t counter[4], uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53U * counter[0];
        uint64_t p1 = (uint64_t)0xCD9E8D57U * counter[2];
        uint32_t c0 = (uint32_t)(p1 >> 32) ^ counter[1] ^ key0;
        uint32_t c2 = (uint32_t)(p0 >> 32) ^ counter[3] ^ key1;
        counter[0] = c0;
        counter[1] = (uint32_t)p1;
        counter[2] = c2;
        counter[3] = (uint32_t)p0;
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
}

/* The counter has 128 bits: 64 for the index, 44 for the step, 20 for the purpose. */
void fr_random_bits(uint64_t seed, uint32_t purpose, uint64_t step, uint64_t index, uint32_t out[4])
{
    out[0] = (uint32_t)index;
    out[1] = (uint32_t)(index >> 32);
    out[2] = (uint32_t)step;
    out[3] = (uint32_t)((step >> 32) & 0xFFF) | purpose << 12;
    philox(out, (uint32_t)seed, (uint32_t)(seed >> 32));
}

static double uniform(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return (double)bits * 0x1p-53;
}

double fr_random_uniform(uint64_t seed, uint32_t purpose, uint64_t step, uint64_t index)
{
    uint32_t bits[4];
    fr_random_bits(seed, purpose, step, index, bits);
    return uniform(bits[0], bits[1]);
}

double fr_random_normal(uint64_t seed, uint32_t purpose, uint64_t step, uint64_t index)
{
    uint32_t bits[4];
    fr_random_bits(seed, purpose, step, index, bits);
    double radius = sqrt(-2.0 * log(1.0 - uniform(bits[0], bits[1])));
    return radius * cos(6.283185307179586476925 * uniform(bits[2], bits[3]));
}

void fr_random_fill_normal(float *values, int64_t count, float std, uint64_t seed, uint32_t purpose,
                           uint64_t step)
{
#pragma omp parallel for schedule(static) num_threads(fr_threads())
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(std * fr_random_normal(seed, purpose, step, (uint64_t)i));
}

void fr_random_fill_uniform(float *values, int64_t count, float low, float high, uint64_t seed,
                            uint32_t purpose, uint64_t step)
{
#pragma omp parallel for schedule(static) num_threads(fr_threads())
    for (int64_t i = 0; i < count; i++)
        values[i] = low + (high - low) * (float)fr_random_uniform(seed, purpose, step, (uint64_t)i);
}

/* A balanced Feistel network over [0, 2^m), m even and 2^m >= size, walked until the value is inside. m is at least 6: over 4 or
   16 values six rounds are visibly uneven (a network over 16 reaches even permutations only). */
uint64_t fr_random_permute(uint64_t index, uint64_t size, uint64_t seed, uint32_t purpose,
                           uint64_t step)
{
    if (size < 2)
        return 0;
    unsigned half = 3;
    while (half < 32 && (1ULL << (2 * half)) < size)
        half++;
    uint64_t mask = (1ULL << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint32_t round = 0; round < 6; round++) {
            uint32_t bits[4];
            fr_random_bits(seed, purpose, step, (uint64_t)(round + 1) << 56 | right, bits);
            uint64_t next = left ^ (bits[0] & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= size);
    return index;
}
