/* philox.h: Philox4x32-10 (Salmon and others, SC11), the same function as fr_random_bits, written so that a loop over it
   vectorises; and what dropout makes of it. */
#ifndef FRUGAL_KERNELS_PHILOX_H
#define FRUGAL_KERNELS_PHILOX_H

#include "kernels/isa.h"

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

/* What a call of dropout keeps: bits >= threshold stay, scaled by `kept`. */
typedef struct dropout_key {
    uint32_t threshold, c2, c3, k0, k1;
    float kept;
    uint64_t first; /* number of the call's first block of four */
} dropout_key;

static inline dropout_key dropout_key_of(float p, uint64_t seed, uint64_t step, uint64_t call)
{
    return (dropout_key){.threshold = p >= 1.0F ? UINT32_MAX : (uint32_t)((double)p * 4294967296.0),
                         .c2 = (uint32_t)step,
                         .c3 = (uint32_t)((step >> 32) & 0xFFF) | (uint32_t)FR_RANDOM_DROPOUT << 12,
                         .k0 = (uint32_t)seed,
                         .k1 = (uint32_t)(seed >> 32),
                         .kept = p >= 1.0F ? 0.0F : 1.0F / (1.0F - p),
                         .first = call << 40};
}

/* Factors, `kept` or 0, of the four elements of a block. */
static inline void dropout_factors(const dropout_key *key, uint64_t block, float factor[4])
{
    uint64_t index = key->first + block;
    uint32_t bits[4];
    philox((uint32_t)index, (uint32_t)(index >> 32), key->c2, key->c3, key->k0, key->k1, bits);
    for (int i = 0; i < 4; i++)
        factor[i] = bits[i] >= key->threshold ? key->kept : 0.0F;
}

#endif
