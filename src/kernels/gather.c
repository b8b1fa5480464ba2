/* gather.c: rows picked by index, and rows added at indices. The sum is deterministic because threads share the columns, not the
   rows: each adds its columns of all rows in order. */
#include "kernels/blocks.h"

static void gather_rows(float *out, const void *weight, fr_dtype dtype, const int32_t *ids,
                        int64_t count, int64_t width)
{
    PARALLEL_FOR(row, count, 1, count * width)
    {
        float *to = out + row * width;
        int64_t from = (int64_t)ids[row] * width;
        if (dtype == FR_BF16) {
            const uint16_t *half = (const uint16_t *)weight + from;
            SIMD for (int64_t i = 0; i < width; i++) to[i] = bf16_to_float(half[i]);
        } else if (dtype == FR_F16) {
            const uint16_t *half = (const uint16_t *)weight + from;
            SIMD for (int64_t i = 0; i < width; i++) to[i] = f16_to_float(half[i]);
        } else if (is_blocks(dtype)) {
            decode(to, weight, dtype, from, width);
        } else {
            memcpy(to, (const float *)weight + from, sizeof(float) * (size_t)width);
        }
    }
}

enum { COLUMNS = 64 };

static void scatter_add_rows(float *out, const float *x, const int32_t *ids, int64_t count,
                             int64_t width, int32_t skipped)
{
    PARALLEL_FOR(begin, width, COLUMNS, count * width)
    {
        int64_t length = smaller(COLUMNS, width - begin);
        for (int64_t row = 0; row < count; row++) {
            if (ids[row] == skipped)
                continue;
            float *restrict to = out + (int64_t)ids[row] * width + begin;
            const float *restrict from = x + row * width + begin;
            SIMD for (int64_t i = 0; i < length; i++) to[i] += from[i];
        }
    }
}

void FR_LEVEL(fr_kernels_gather)(fr_kernels *table)
{
    table->gather_rows = gather_rows;
    table->scatter_add_rows = scatter_add_rows;
}
