/* check_stored.c: numbers stored in blocks. The twin computes each number by itself from the definition of its format (the table in
   kernels/blocks.h), in double; what is decoded must equal it exactly. */
#include "check.h"
#include "kernels/quantise.h"

typedef double number_at(const uint8_t *block, int i);

static double half(const uint8_t *b)
{
    int bits = b[0] | b[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -size : size;
}

static double q8_0_at(const uint8_t *b, int i)
{
    return half(b) * (int8_t)b[2 + i];
}

static double q4_0_at(const uint8_t *b, int i)
{
    return half(b) * ((i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4) - 8);
}

/* 12 bytes hold sixteen numbers of 6 bits: those of groups 0 to 3 in the low bits of bytes 0 to 7, those of groups 4 to 7 in nibbles
   of bytes 8 to 11 with their upper bits on top of bytes 0 to 7. */
static int q4_k_scale(const uint8_t *s, int g, bool minimum)
{
    int at = g % 4 + (minimum ? 4 : 0);
    if (g < 4)
        return s[at] & 63;
    return (minimum ? s[4 + g] >> 4 : s[4 + g] & 15) | (s[at] >> 6) << 4;
}

static double q4_k_at(const uint8_t *b, int i)
{
    int g = i / 32, byte = b[16 + g / 2 * 32 + i % 32], q = g % 2 ? byte >> 4 : byte & 15;
    return half(b) * q4_k_scale(b + 4, g, false) * q - half(b + 2) * q4_k_scale(b + 4, g, true);
}

static double q6_k_at(const uint8_t *b, int i)
{
    int part = i / 128, j = i % 128; /* two halves of 128: 64 low bytes and 32 high bytes each */
    int low = b[64 * part + j % 64] >> (j < 64 ? 0 : 4) & 15;
    int high = b[128 + 32 * part + j % 32] >> (2 * (j / 32)) & 3;
    return half(b + 208) * (int8_t)b[192 + i / 16] * ((low | high << 4) - 32);
}

static const struct {
    fr_dtype dtype;
    number_at *at;
    int halves[2]; /* where the scales of a block stand: no infinities there */
    double error;  /* of N(0, 1): root mean square of what rounding may take away */
} formats[] = {
    {FR_Q8_0, q8_0_at, {0, 0}, 0.006},
    {FR_Q4_0, q4_0_at, {0, 0}, 0.10},
    {FR_Q4_K, q4_k_at, {0, 2}, 0.075},
    {FR_Q6_K, q6_k_at, {208, 208}, 0.020},
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* Any bytes, but for halves that are no numbers. */
static uint8_t *random_blocks(int format, int64_t blocks)
{
    int64_t size = (int64_t)fr_dtype_size(formats[format].dtype), bytes = blocks * size;
    uint8_t *data = (uint8_t *)check_floats((bytes + 3) / 4);
    int32_t *draw = check_integers(bytes, 0, 256);
    for (int64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)draw[i];
    for (int64_t b = 0; b < blocks; b++)
        for (int h = 0; h < 2; h++)
            data[b * size + formats[format].halves[h] + 1] &= 0xBF;
    return data;
}

static void naive_decode(double *out, int format, const uint8_t *data, int64_t count)
{
    int64_t length = fr_dtype_block(formats[format].dtype),
            size = (int64_t)fr_dtype_size(formats[format].dtype);
    for (int64_t i = 0; i < count; i++)
        out[i] = (double)(float)formats[format].at(data + i / length * size, (int)(i % length));
}

static void check_decode(const fr_kernels *kernels, int format)
{
    enum { ROWS = 9, WIDTH = 1280, COUNT = ROWS * WIDTH };
    fr_dtype dtype = formats[format].dtype;
    uint8_t *data = random_blocks(format, COUNT / fr_dtype_block(dtype));
    double *wanted = check_doubles(COUNT);
    float *got = check_floats(COUNT);
    naive_decode(wanted, format, data, COUNT);
    kernels->convert(got, FR_F32, data, dtype, COUNT);
    check_close(fr_dtype_name(dtype), got, wanted, COUNT, 0.0);
    static const int32_t ids[] = {8, 0, 3};
    kernels->gather_rows(got, data, dtype, ids, 3, WIDTH);
    for (int64_t i = 2; i >= 0; i--)
        check_close("rows of blocks", got + i * WIDTH, wanted + ids[i] * WIDTH, WIDTH, 0.0);
}

static void naive_product(double *y, const float *x, const double *w, int64_t m, int64_t n,
                          int64_t k)
{
    for (int64_t i = 0; i < m * n; i++) {
        y[i] = 0;
        for (int64_t j = 0; j < k; j++)
            y[i] += (double)x[i / n * k + j] * w[i % n * k + j];
    }
}

/* Few rows go through the kernel, many through panels and the matrix product. */
static void check_product(const fr_kernels *kernels, int format, int64_t m, int64_t n, int64_t k)
{
    fr_dtype dtype = formats[format].dtype;
    float *x = check_floats(m * k), *w = check_floats(n * k), *y = check_floats(m * n);
    uint8_t *data = (uint8_t *)check_floats(n * k);
    double *decoded = check_doubles(n * k), *wanted = check_doubles(m * n);
    fr_quantise(data, dtype, w, n * k);
    naive_decode(decoded, format, data, n * k);
    naive_product(wanted, x, decoded, m, n, k);
    kernels->few_rows_linear(y, x, data, dtype, NULL, m, n, k);
    check_close("few rows of blocks", y, wanted, m * n, 2e-6);
    fr_linear_forward(y, x, data, dtype, NULL, m, n, k);
    check_close("linear from blocks", y, wanted, m * n, 2e-6);
}

/* What is quantised comes back near; zeros, one large number and constants too. */
static void check_quantise(int format)
{
    enum { COUNT = 65536 };
    fr_dtype dtype = formats[format].dtype;
    float *x = check_floats(COUNT), *back = check_floats(COUNT);
    uint8_t *data = (uint8_t *)check_floats(COUNT);
    memset(x, 0, 512 * sizeof *x);
    x[300] = -1000;
    for (int i = 512; i < 1024; i++)
        x[i] = i < 768 ? 0.5F : -0.5F;
    fr_quantise(data, dtype, x, COUNT);
    fr_convert(back, FR_F32, data, dtype, COUNT);
    double square = 0, flat = 0;
    for (int i = 0; i < COUNT; i++) {
        double apart = (double)back[i] - (double)x[i];
        if (i < 256 || (i >= 512 && i < 1024))
            flat = fabs(apart) > flat ? fabs(apart) : flat;
        else if (i >= 1024)
            square += apart * apart / (COUNT - 1024);
    }
    check_true("constants are kept", flat < 1e-3 && fabs((double)back[300] + 1000.0) < 1.0);
    check_true(fr_dtype_name(dtype), sqrt(square) < formats[format].error);
}

void check_stored(const fr_kernels *kernels)
{
    for (int format = 0; format < FORMATS; format++) {
        check_decode(kernels, format);
        check_quantise(format);
        check_product(kernels, format, 1, 5, 512);
        check_product(kernels, format, 2, 70, 768);
        check_product(kernels, format, 3, 66, 1280);
        check_product(kernels, format, 20, 33, 256);
    }
    enum { N = 8192, K = 1024 };
    if (!check_timing())
        return;
    float *w = check_floats((int64_t)N * K), *x = check_floats(8 * K), *y = check_floats(8 * N);
    uint8_t *data = (uint8_t *)check_floats((int64_t)N * K);
    double *slow = check_doubles(8 * N), *decoded = check_doubles((int64_t)N * K);
    for (int format = 0; format < FORMATS; format++) {
        fr_dtype dtype = formats[format].dtype;
        fr_quantise(data, dtype, w, (int64_t)N * K);
        CHECK_TIME(fr_dtype_name(dtype), 2.0 * N * K, (double)fr_dtype_bytes(dtype, (int64_t)N * K),
                   kernels->few_rows_linear(y, x, data, dtype, NULL, 1, N, K),
                   naive_product(slow, x, decoded, 1, N, K));
    }
}
