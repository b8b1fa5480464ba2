/* copy.c: moving numbers: exchange of two axes, blocks for slices and concatenations, conversion of types. */
#include "kernels/blocks.h"

/* A block of the (a, b) plane is read and written while it is in the cache. */
enum { BLOCK = 32 };

#define TRANSPOSE_PLANE(type)                                                                      \
    static void transpose_plane_##type(type *restrict out, const type *restrict in,                \
                                       int64_t a_begin, int64_t a_end, int64_t b,                  \
                                       int64_t out_step, int64_t in_step)                          \
    {                                                                                              \
        for (int64_t j = 0; j < b; j += BLOCK) {                                                   \
            int64_t j_end = smaller(j + BLOCK, b);                                                 \
            for (int64_t i = a_begin; i < a_end; i++)                                              \
                for (int64_t l = j; l < j_end; l++)                                                \
                    out[l * out_step + i] = in[i * in_step + l];                                   \
        }                                                                                          \
    }
TRANSPOSE_PLANE(uint8_t)
TRANSPOSE_PLANE(uint16_t)
TRANSPOSE_PLANE(uint32_t)
TRANSPOSE_PLANE(uint64_t)

/* inner == 1: the exchanged axis is the innermost one. in (outer, A, middle, B) -> out (outer, B, middle, A) */
static void transpose_innermost(char *out, const char *in, int64_t outer, int64_t a, int64_t middle,
                                int64_t b, size_t size)
{
    int64_t strips = (a + BLOCK - 1) / BLOCK;
    PARALLEL_FOR(task, outer * middle * strips, 1, outer * a * middle * b)
    {
        int64_t o = task / (middle * strips), m = task / strips % middle,
                begin = task % strips * BLOCK;
        int64_t end = smaller(begin + BLOCK, a);
        const char *from = in + (size_t)((o * a * middle + m) * b) * size;
        char *to = out + (size_t)((o * b * middle + m) * a) * size;
        if (size == 1)
            transpose_plane_uint8_t((uint8_t *)to, (const uint8_t *)from, begin, end, b, middle * a,
                                    middle * b);
        else if (size == 2)
            transpose_plane_uint16_t((uint16_t *)to, (const uint16_t *)from, begin, end, b,
                                     middle * a, middle * b);
        else if (size == 4)
            transpose_plane_uint32_t((uint32_t *)to, (const uint32_t *)from, begin, end, b,
                                     middle * a, middle * b);
        else
            transpose_plane_uint64_t((uint64_t *)to, (const uint64_t *)from, begin, end, b,
                                     middle * a, middle * b);
    }
}

static void transpose(void *out, const void *in, int64_t outer, int64_t a, int64_t middle,
                      int64_t b, int64_t inner, size_t size)
{
    if (inner == 1) {
        transpose_innermost(out, in, outer, a, middle, b, size);
        return;
    }
    size_t bytes = (size_t)inner * size;
    PARALLEL_FOR(task, outer * b * middle, 1, outer * a * middle * b * inner)
    {
        int64_t o = task / (b * middle), j = task / middle % b, m = task % middle;
        for (int64_t i = 0; i < a; i++)
            memcpy((char *)out + (size_t)(task * a + i) * bytes,
                   (const char *)in + (size_t)(((o * a + i) * middle + m) * b + j) * bytes, bytes);
    }
}

static void copy_blocks(void *out, int64_t out_stride, const void *in, int64_t in_stride,
                        int64_t blocks, int64_t length, size_t size)
{
    PARALLEL_FOR(block, blocks, 1, blocks * length)
    memcpy((char *)out + (size_t)(block * out_stride) * size,
           (const char *)in + (size_t)(block * in_stride) * size, (size_t)length * size);
}

static void add_blocks(float *out, int64_t out_stride, const float *in, int64_t in_stride,
                       int64_t blocks, int64_t length)
{
    PARALLEL_FOR(block, blocks, 1, blocks * length)
    {
        float *restrict to = out + block * out_stride;
        const float *restrict from = in + block * in_stride;
        SIMD for (int64_t i = 0; i < length; i++) to[i] += from[i];
    }
}

#define CONVERT(out_type, in_type, function)                                                       \
    do {                                                                                           \
        out_type *restrict to = out;                                                               \
        const in_type *restrict from = in;                                                         \
        PARALLEL_FOR(begin, count, CHUNK, count)                                                   \
        {                                                                                          \
            int64_t end = smaller(begin + CHUNK, count);                                           \
            SIMD for (int64_t i = begin; i < end; i++) to[i] = function(from[i]);                  \
        }                                                                                          \
    } while (0)
#define BF16_TO_F16(x) float_to_f16(bf16_to_float(x))
#define F16_TO_BF16(x) float_to_bf16(f16_to_float(x))
#define TO_FLOAT(x)    (float)(x)

static void convert_blocks(float *out, const void *in, fr_dtype dtype, int64_t count)
{
    PARALLEL_FOR(begin, count, CHUNK, count)
    {
        decode(out + begin, in, dtype, begin, smaller(CHUNK, count - begin));
    }
}

static void convert(void *out, fr_dtype out_dtype, const void *in, fr_dtype in_dtype, int64_t count)
{
    if (out_dtype == in_dtype)
        memcpy(out, in, (size_t)count * (in_dtype == FR_F32 || in_dtype == FR_I32 ? 4 : 2));
    else if (out_dtype == FR_F32 && in_dtype == FR_BF16)
        CONVERT(float, uint16_t, bf16_to_float);
    else if (out_dtype == FR_F32 && in_dtype == FR_F16)
        CONVERT(float, uint16_t, f16_to_float);
    else if (out_dtype == FR_F32 && in_dtype == FR_I32)
        CONVERT(float, int32_t, TO_FLOAT);
    else if (out_dtype == FR_F32 && is_blocks(in_dtype))
        convert_blocks(out, in, in_dtype, count);
    else if (out_dtype == FR_F32 && in_dtype == FR_F64)
        CONVERT(float, double, TO_FLOAT);
    else if (out_dtype == FR_BF16 && in_dtype == FR_F32)
        CONVERT(uint16_t, float, float_to_bf16);
    else if (out_dtype == FR_F16 && in_dtype == FR_F32)
        CONVERT(uint16_t, float, float_to_f16);
    else if (out_dtype == FR_F16 && in_dtype == FR_BF16)
        CONVERT(uint16_t, uint16_t, BF16_TO_F16);
    else if (out_dtype == FR_BF16 && in_dtype == FR_F16)
        CONVERT(uint16_t, uint16_t, F16_TO_BF16);
}

void FR_LEVEL(fr_kernels_copy)(fr_kernels *table)
{
    table->transpose = transpose;
    table->copy_blocks = copy_blocks;
    table->add_blocks = add_blocks;
    table->convert = convert;
}
