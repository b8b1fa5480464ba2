/* half.h: bf16 and f16 to f32 and back with integer arithmetic alone, so that loops over it vectorise on every level. */
#ifndef FRUGAL_KERNELS_HALF_H
#define FRUGAL_KERNELS_HALF_H

#include "kernels/isa.h"

static inline float bf16_to_float(uint16_t half)
{
    return bits_float((uint32_t)half << 16);
}

/* Round to nearest even; NaN stays NaN (made quiet). */
static inline uint16_t float_to_bf16(float x)
{
    uint32_t bits = float_bits(x);
    uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    uint32_t nan = (bits >> 16) | 0x40U;
    return (uint16_t)((bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded);
}

/* The exponent is moved by a product with 2^112, which also makes subnormal numbers normal. */
static inline float f16_to_float(uint16_t half)
{
    uint32_t magnitude = (uint32_t)(half & 0x7FFFU) << 13, sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t scaled = float_bits(bits_float(magnitude) * 0x1p112F);
    scaled |= magnitude >= 0x0F800000U ? 0x7F800000U : 0U; /* infinity and NaN */
    return bits_float(scaled | sign);
}

/* Round to nearest even; above 65519 infinity. A small result is rounded by adding 0.5, whose last bit is worth 2^-24, the
   smallest step of f16. */
static inline uint16_t float_to_f16(float x)
{
    uint32_t bits = float_bits(x), magnitude = bits & 0x7FFFFFFFU, sign = (bits >> 16) & 0x8000U;
    uint32_t normal = (magnitude + 0xFFFU + ((magnitude >> 13) & 1U) - 0x38000000U) >> 13;
    uint32_t subnormal = float_bits(bits_float(magnitude) + 0.5F) - 0x3F000000U;
    uint32_t result = magnitude < 0x38800000U ? subnormal : normal;
    result = magnitude >= 0x477FF000U ? 0x7C00U : result;
    result = magnitude > 0x7F800000U ? 0x7E00U : result;
    return (uint16_t)(result | sign);
}

#endif
