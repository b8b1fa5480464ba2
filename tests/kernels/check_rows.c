/* check_rows.c: rows by index, exchange of axes, blocks, conversion of types. */
#include "check.h"

static void naive_scatter(double *out, const float *x, const int32_t *ids, int64_t count,
                          int64_t width, int32_t skipped)
{
    for (int64_t r = 0; r < count; r++)
        for (int64_t i = 0; i < width && ids[r] != skipped; i++)
            out[ids[r] * width + i] += (double)x[r * width + i];
}

static void check_index(const fr_kernels *kernels, int64_t vocabulary, int64_t count, int64_t width)
{
    float *weight = check_floats(vocabulary * width), *out = check_floats(count * width);
    int32_t *ids = check_integers(count, 0, (int32_t)vocabulary);
    double *wanted = check_doubles(count * width), *sums = check_doubles(vocabulary * width);
    for (int64_t i = 0; i < count * width; i++)
        wanted[i] = (double)weight[ids[i / width] * width + i % width];
    kernels->gather_rows(out, weight, FR_F32, ids, count, width);
    check_close("gather", out, wanted, count * width, 0.0);
    float *half = check_floats(vocabulary * width);
    kernels->convert(half, FR_BF16, weight, FR_F32, vocabulary * width);
    kernels->gather_rows(out, half, FR_BF16, ids, count, width);
    check_close("gather from bf16", out, wanted, count * width, 4e-3);
    kernels->convert(half, FR_F16, weight, FR_F32, vocabulary * width);
    kernels->gather_rows(out, half, FR_F16, ids, count, width);
    check_close("gather from f16", out, wanted, count * width, 5e-4);
    for (int64_t i = 0; i < vocabulary * width; i++)
        sums[i] = (double)weight[i];
    naive_scatter(sums, out, ids, count, width, -1);
    kernels->scatter_add_rows(weight, out, ids, count, width, -1);
    check_close("scatter", weight, sums, vocabulary * width, 2e-6);
    for (int64_t i = 0; i < vocabulary * width; i++)
        sums[i] = (double)weight[i];
    naive_scatter(sums, out, ids, count, width, ids[0]);
    kernels->scatter_add_rows(weight, out, ids, count, width, ids[0]);
    check_close("scatter but one", weight, sums, vocabulary * width, 2e-6);
}

/* in (outer, A, middle, B, inner) of `size` bytes, compared byte by byte */
static void check_transpose(const fr_kernels *kernels, int64_t outer, int64_t a, int64_t middle,
                            int64_t b, int64_t inner, size_t size)
{
    int64_t count = outer * a * middle * b * inner, at = 0;
    char *in = (char *)check_integers(count * 2, 0, 1 << 30),
         *out = (char *)check_integers(count * 2, 0, 1);
    bool right = true;
    kernels->transpose(out, in, outer, a, middle, b, inner, size);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t j = 0; j < b; j++)
            for (int64_t m = 0; m < middle; m++)
                for (int64_t i = 0; i < a; i++)
                    for (int64_t l = 0; l < inner; l++) {
                        int64_t from = (((o * a + i) * middle + m) * b + j) * inner + l;
                        right = right && memcmp(out + (size_t)at * size, in + (size_t)from * size,
                                                size) == 0;
                        at++;
                    }
    check_true("transpose", right);
}

static void check_blocks(const fr_kernels *kernels, int64_t blocks, int64_t length)
{
    int64_t wide = length + 7;
    float *in = check_floats(blocks * wide), *out = check_constant(blocks * wide, 1.0F);
    double *wanted = check_doubles(blocks * wide);
    for (int64_t i = 0; i < blocks * wide; i++)
        wanted[i] = i % wide < length ? (double)in[i] : 1.0;
    kernels->copy_blocks(out, wide, in, wide, blocks, length, sizeof(float));
    check_close("copy_blocks", out, wanted, blocks * wide, 0.0);
    for (int64_t i = 0; i < blocks * wide; i++)
        wanted[i] = i % wide < length ? 2.0 * (double)in[i] : 1.0;
    kernels->add_blocks(out, wide, in, wide, blocks, length);
    check_close("add_blocks", out, wanted, blocks * wide, 0.0);
}

/* The value of an f16 by its definition. */
static double f16_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double magnitude = exponent == 0    ? ldexp(fraction, -24)
                       : exponent == 31 ? (fraction ? NAN : INFINITY)
                                        : ldexp(1024 + fraction, exponent - 25);
    return h & 0x8000 ? -magnitude : magnitude;
}

/* All 65536 f16 widened; the nearest f16 and bf16 of numbers of all sizes, ties to even, found by search among neighbours. */
static void check_halves(const fr_kernels *kernels)
{
    enum { ALL = 65536 };
    float *wide = check_floats(ALL);
    uint16_t *half = (uint16_t *)check_floats(ALL), *back = (uint16_t *)check_floats(ALL);
    for (int i = 0; i < ALL; i++)
        half[i] = (uint16_t)i;
    kernels->convert(wide, FR_F32, half, FR_F16, ALL);
    bool right = true;
    for (int i = 0; i < ALL; i++) {
        double wanted = f16_value((uint16_t)i);
        right = right && (isnan(wanted) ? isnan(wide[i]) : (double)wide[i] == wanted);
    }
    check_true("every f16 widens to its value", right);
    kernels->convert(back, FR_F16, wide, FR_F32, ALL);
    right = true;
    for (int i = 0; i < ALL; i++)
        right = right && (isnan(f16_value((uint16_t)i)) ? isnan(f16_value(back[i])) : back[i] == i);
    check_true("every f16 comes back", right);
    for (int i = 0; i < ALL; i++) /* halfway between two neighbours, a little below and above */
        wide[i] =
            (float)((f16_value((uint16_t)(i & 0x7BFE)) + f16_value((uint16_t)((i & 0x7BFE) + 1))) /
                    2.0 *
                    (i % 3 == 0   ? 1.0
                     : i % 3 == 1 ? 1.0 + 1e-6
                                  : 1.0 - 1e-6));
    kernels->convert(back, FR_F16, wide, FR_F32, ALL);
    right = true;
    for (int i = 0; i < ALL; i++) {
        double below = f16_value((uint16_t)(i & 0x7BFE)),
               above = f16_value((uint16_t)((i & 0x7BFE) + 1));
        double nearest = (double)wide[i] - below <= above - (double)wide[i] ? below : above;
        right = right && f16_value(back[i]) == nearest; /* the lower neighbour is the even one */
    }
    check_true("f16 rounds to nearest even", right);
    for (int i = 0; i < ALL; i++)
        half[i] = (uint16_t)i;
    kernels->convert(wide, FR_F32, half, FR_BF16, ALL);
    kernels->convert(back, FR_BF16, wide, FR_F32, ALL);
    right = true;
    for (int i = 0; i < ALL; i++)
        right = right && (isnan(wide[i]) ? (back[i] & 0x7FFF) > 0x7F80 : back[i] == i);
    check_true("every bf16 comes back", right);
    float ties[4] = {0x1.01p0F, 0x1.03p0F, 0x1.010002p0F, 3.4e38F};
    kernels->convert(back, FR_BF16, ties, FR_F32, 4);
    check_true("bf16 rounds to nearest even",
               back[0] == 0x3F80 && back[1] == 0x3F82 && back[2] == 0x3F81 && back[3] == 0x7F80);
}

void check_rows(const fr_kernels *kernels)
{
    check_index(kernels, 1, 1, 1);
    check_index(kernels, 7, 65, 17);
    check_index(kernels, 300, 1000, 255);
    static const size_t sizes[] = {1, 2, 4, 8};
    for (int s = 0; s < 4; s++) {
        check_transpose(kernels, 1, 3, 1, 17, 1, sizes[s]);
        check_transpose(kernels, 2, 65, 3, 33, 1, sizes[s]);
        check_transpose(kernels, 3, 17, 2, 65, 5, sizes[s]);
    }
    check_transpose(kernels, 1, 255, 1, 257, 1, 4);
    check_blocks(kernels, 1, 1);
    check_blocks(kernels, 65, 17);
    check_blocks(kernels, 255, 300);
    check_halves(kernels);
    enum { ROWS = 2048, WIDTH = 512, COUNT = ROWS * WIDTH };
    if (!check_timing())
        return;
    float *x = check_floats(COUNT), *y = check_floats(COUNT), *weight = check_floats(8192 * WIDTH);
    int32_t *ids = check_integers(ROWS, 0, 8192);
    double *slow = check_doubles(8192 * WIDTH);
    CHECK_TIME("gather 2048x512 of 8192", 0, 8.0 * COUNT,
               kernels->gather_rows(y, weight, FR_F32, ids, ROWS, WIDTH),
               naive_scatter(slow, x, ids, ROWS, WIDTH, -1));
    CHECK_TIME("scatter 2048x512 to 8192", 0, 12.0 * COUNT,
               kernels->scatter_add_rows(weight, x, ids, ROWS, WIDTH, -1),
               naive_scatter(slow, x, ids, ROWS, WIDTH, -1));
    CHECK_TIME("transpose 2048x512", 0, 8.0 * COUNT,
               kernels->transpose(y, x, 1, ROWS, 1, WIDTH, 1, 4),
               naive_scatter(slow, x, ids, ROWS, WIDTH, -1));
    CHECK_TIME("convert 1 Mi f32 to bf16", 0, 6.0 * COUNT,
               kernels->convert(y, FR_BF16, x, FR_F32, COUNT),
               naive_scatter(slow, x, ids, ROWS, WIDTH, -1));
    CHECK_TIME("convert 1 Mi f16 to f32", 0, 6.0 * COUNT,
               kernels->convert(y, FR_F32, x, FR_F16, COUNT),
               naive_scatter(slow, x, ids, ROWS, WIDTH, -1));
}
