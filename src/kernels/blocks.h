/* blocks.h: numbers stored in blocks, as ggml defines them (ggml-quants.c and the gguf package's quants.py), back to f32.

   A block is a few scales and a small integer for each number. All is little endian; "half" is an f16.

       q8_0   32 numbers   half d, 32 signed bytes q                       x = d q
       q4_0   32 numbers   half d, 16 bytes: nibbles q of i and i + 16     x = d (q - 8)
       q4_k  256 numbers   half d, half m, 12 bytes of 6-bit scales, 128 bytes of nibbles: 8 groups of 32, each with a
                           scale s and a minimum t                         x = d s q - m t
       q6_k  256 numbers   128 bytes of low nibbles, 64 bytes of high pairs of bits, 16 signed bytes s, half d: 16 groups of 16
                                                                           x = d s (q - 32)

   Every product here is exact in f32 (11 bits of a half, at most 7 of a scale, at most 6 of a number), and at most one subtraction
   rounds, so that the result is the same on every machine and equals the reference, bit for bit. */
#ifndef FRUGAL_KERNELS_BLOCKS_H
#define FRUGAL_KERNELS_BLOCKS_H

#include "kernels/half.h"

enum { SMALL_BLOCK = 32, LARGE_BLOCK = 256 };
enum { Q8_0_BYTES = 34, Q4_0_BYTES = 18, Q4_K_BYTES = 144, Q6_K_BYTES = 210 };

static inline bool is_blocks(fr_dtype dtype)
{
    return dtype == FR_Q8_0 || dtype == FR_Q4_0 || dtype == FR_Q4_K || dtype == FR_Q6_K;
}

/* An f16 of a block, which may lie anywhere. */
static inline float half_at(const uint8_t *bytes)
{
    return f16_to_float((uint16_t)(bytes[0] | bytes[1] << 8));
}

static inline void decode_q8_0(float *restrict out, const uint8_t *restrict block)
{
    float d = half_at(block);
    const int8_t *q = (const int8_t *)(block + 2);
    SIMD for (int i = 0; i < SMALL_BLOCK; i++) out[i] = d * (float)q[i];
}

static inline void decode_q4_0(float *restrict out, const uint8_t *restrict block)
{
    float d = half_at(block);
    const uint8_t *q = block + 2;
    SIMD for (int i = 0; i < 16; i++)
    {
        out[i] = d * (float)((q[i] & 15) - 8);
        out[i + 16] = d * (float)((q[i] >> 4) - 8);
    }
}

/* Scale and minimum of group g (0..7) of a q4_k block: 6 bits each; of the last four groups the upper two bits stand in the upper
   bits of the first eight bytes. */
static inline void q4_k_group(const uint8_t *scales, int g, int *scale, int *minimum)
{
    if (g < 4) {
        *scale = scales[g] & 63;
        *minimum = scales[g + 4] & 63;
    } else {
        *scale = (scales[g + 4] & 15) | (scales[g - 4] >> 6) << 4;
        *minimum = (scales[g + 4] >> 4) | (scales[g] >> 6) << 4;
    }
}

static inline void decode_q4_k(float *restrict out, const uint8_t *restrict block)
{
    float d = half_at(block), m = half_at(block + 2);
    const uint8_t *q = block + 16;
    for (int g = 0; g < 8; g += 2, q += 32, out += 64) {
        int scale[2], minimum[2];
        q4_k_group(block + 4, g, &scale[0], &minimum[0]);
        q4_k_group(block + 4, g + 1, &scale[1], &minimum[1]);
        float low = d * (float)scale[0], low_minimum = m * (float)minimum[0];
        float high = d * (float)scale[1], high_minimum = m * (float)minimum[1];
        SIMD for (int i = 0; i < 32; i++)
        {
            out[i] = low * (float)(q[i] & 15) - low_minimum;
            out[i + 32] = high * (float)(q[i] >> 4) - high_minimum;
        }
    }
}

/* Numbers of two groups of 16 from bytes, 32 too large. */
static inline void scale_q6_k(float *restrict out, const uint8_t *restrict q, float first,
                              float second)
{
    SIMD for (int i = 0; i < 16; i++) out[i] = first * (float)(q[i] - 32);
    SIMD for (int i = 16; i < 32; i++) out[i] = second * (float)(q[i] - 32);
}

static inline void decode_q6_k(float *restrict out, const uint8_t *restrict block)
{
    const uint8_t *low = block, *high = block + 128;
    const int8_t *scales = (const int8_t *)(block + 192);
    float d = half_at(block + 208), s[16];
    for (int g = 0; g < 16; g++)
        s[g] = d * (float)scales[g];
    for (int half = 0; half < 2; half++, low += 64, high += 32, out += 128) {
        const float *t = s + 8 * half;
        uint8_t q[4][32];
        SIMD for (int i = 0; i < 32; i++) q[0][i] = (uint8_t)((low[i] & 15) | (high[i] & 3) << 4);
        SIMD for (int i = 0; i < 32; i++) q[1][i] =
            (uint8_t)((low[i + 32] & 15) | (high[i] & 12) << 2);
        SIMD for (int i = 0; i < 32; i++) q[2][i] = (uint8_t)(low[i] >> 4 | (high[i] & 48));
        SIMD for (int i = 0; i < 32; i++) q[3][i] =
            (uint8_t)(low[i + 32] >> 4 | (high[i] & 192) >> 2);
        for (int part = 0; part < 4; part++)
            scale_q6_k(out + 32 * part, q[part], t[2 * part], t[2 * part + 1]);
    }
}

/* Numbers [begin, begin + count) as f32; both are multiples of the block. */
static inline void decode(float *restrict out, const void *stored, fr_dtype dtype, int64_t begin,
                          int64_t count)
{
    const uint8_t *bytes = stored;
    switch (dtype) {
    case FR_Q8_0:
        bytes += begin / SMALL_BLOCK * Q8_0_BYTES;
        for (int64_t i = 0; i < count; i += SMALL_BLOCK, bytes += Q8_0_BYTES)
            decode_q8_0(out + i, bytes);
        break;
    case FR_Q4_0:
        bytes += begin / SMALL_BLOCK * Q4_0_BYTES;
        for (int64_t i = 0; i < count; i += SMALL_BLOCK, bytes += Q4_0_BYTES)
            decode_q4_0(out + i, bytes);
        break;
    case FR_Q4_K:
        bytes += begin / LARGE_BLOCK * Q4_K_BYTES;
        for (int64_t i = 0; i < count; i += LARGE_BLOCK, bytes += Q4_K_BYTES)
            decode_q4_k(out + i, bytes);
        break;
    default:
        bytes += begin / LARGE_BLOCK * Q6_K_BYTES;
        for (int64_t i = 0; i < count; i += LARGE_BLOCK, bytes += Q6_K_BYTES)
            decode_q6_k(out + i, bytes);
        break;
    }
}

#endif
