/* quantise.c: f32 into blocks of small integers.

   q8_0 and q4_0 have one scale a block, set by the largest number: the reference's rule (the gguf package's quants.py), bytes
   equal. The larger blocks have a scale for each group, and the largest number is not the best guide to it: groups are fitted by
   trying a range of scales, rounding the numbers to each, and solving for the scale (and minimum) that is best for the rounded
   ones in weighted least squares; the best of all tries stays. Then the scales themselves are rounded to what the block has for
   them, the neighbours of each rounded scale are tried, and the numbers are rounded anew with what is left. Larger numbers weigh
   more, for they move the layer's output more. The idea of the search is ggml's (k-quants).

   Compiled once and without fused multiply-adds, so that a file has the same bytes on every machine. */
#include "kernels/quantise.h"

#include "kernels/blocks.h"

typedef struct fit {
    float scale, minimum; /* x = scale * q - minimum */
    float error;
} fit;

/* The nearest integer of [low, high] (ties to even: the sum with 1.5 * 2^23 has no room for a fraction), as a loop that vectorises on
   any machine. */
static inline float nearest(float x, float low, float high)
{
    x = x < low ? low : x;
    x = x > high ? high : x;
    return (x + 12582912.0F) - 12582912.0F;
}

static void put_half(uint8_t *bytes, float x)
{
    uint16_t half = float_to_f16(x);
    bytes[0] = (uint8_t)(half & 255);
    bytes[1] = (uint8_t)(half >> 8);
}

static float inverse(float x)
{
    float result = x != 0.0F ? 1.0F / x : 0.0F;
    return isinf(result) ? 0.0F : result;
}

/* ---- blocks of 32 ---- */

static void encode_q8_0(uint8_t *block, const float *x)
{
    float largest = 0.0F;
    for (int i = 0; i < SMALL_BLOCK; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    float d = largest / 127.0F, to_integer = inverse(d);
    put_half(block, d);
    for (int i = 0; i < SMALL_BLOCK; i++)
        block[2 + i] = (uint8_t)(int8_t)roundf(x[i] * to_integer);
}

/* The number of largest magnitude becomes -8, the end of the range that reaches farther. */
static void encode_q4_0(uint8_t *block, const float *x)
{
    float largest = 0.0F;
    for (int i = 0; i < SMALL_BLOCK; i++)
        largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
    float d = largest / -8.0F, to_integer = inverse(d);
    int q[SMALL_BLOCK];
    for (int i = 0; i < SMALL_BLOCK; i++) {
        float shifted = x[i] * to_integer + 8.5F; /* at least 0.5: cut off is rounded */
        q[i] = shifted < 15.0F ? (int)shifted : 15;
    }
    put_half(block, d);
    for (int i = 0; i < 16; i++)
        block[2 + i] = (uint8_t)(q[i] | q[i + 16] << 4);
}

/* ---- q4_k: groups of 32 with scale and minimum ---- */

enum { GROUP_4 = 32, GROUPS_4 = 8, MOST_SCALE_4 = 63 };
static const float most_4 = 15.0F;

static void weigh(float *weight, const float *x, int count)
{
    float sum = 0.0F;
    for (int i = 0; i < count; i++)
        sum += x[i] * x[i];
    float typical = sqrtf(sum / (float)count);
    for (int i = 0; i < count; i++)
        weight[i] = typical + fabsf(x[i]);
}

/* The error of a scale and a minimum, each number being rounded to its nearest. */
static float error_4(const float *x, const float *weight, float scale, float minimum)
{
    float to_integer = inverse(scale), error = 0.0F;
    for (int i = 0; i < GROUP_4; i++) {
        float q = nearest((x[i] + minimum) * to_integer, 0.0F, most_4);
        float apart = scale * q - minimum - x[i];
        error += weight[i] * apart * apart;
    }
    return error;
}

/* Round with (x - low) * to_integer, then solve for the best scale and minimum of the rounded numbers. False: none. */
static bool solve_4(fit *f, const float *x, const float *weight, float low, float to_integer)
{
    float w = 0.0F, wq = 0.0F, wqq = 0.0F, wx = 0.0F, wxq = 0.0F;
    for (int i = 0; i < GROUP_4; i++) {
        float q = nearest((x[i] - low) * to_integer, 0.0F, most_4);
        w += weight[i];
        wq += weight[i] * q;
        wqq += weight[i] * q * q;
        wx += weight[i] * x[i];
        wxq += weight[i] * x[i] * q;
    }
    float determinant = w * wqq - wq * wq;
    if (!(determinant > 0.0F))
        return false;
    f->scale = (w * wxq - wx * wq) / determinant;
    f->minimum = (wq * wxq - wqq * wx) / determinant;
    if (f->minimum < 0.0F) { /* the format's minimum only moves down */
        f->minimum = 0.0F;
        f->scale = wxq / wqq;
    }
    if (!(f->scale > 0.0F))
        return false;
    f->error = error_4(x, weight, f->scale, f->minimum);
    return true;
}

static fit fit_4(const float *x, const float *weight)
{
    enum { TRIES = 21 };
    float low = 0.0F, high = x[0];
    for (int i = 0; i < GROUP_4; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    fit best = {.scale = (high - low) / most_4, .minimum = -low};
    if (!(high > low)) /* all equal (and not above 0): the minimum says all */
        return best;
    best.error = error_4(x, weight, best.scale, best.minimum);
    for (int i = 0; i < TRIES; i++) {
        fit f;
        float steps = most_4 - 1.0F + 0.1F * (float)i;
        if (solve_4(&f, x, weight, low, steps / (high - low)) && f.error < best.error)
            best = f;
    }
    return best;
}

/* The neighbours of the rounded scale and minimum too: rounding one moves what is best for the other. */
static void settle_4(int *scale, int *minimum, const float *x, const float *weight, float d,
                     float m)
{
    int s = *scale, t = *minimum;
    float best = INFINITY;
    for (int i = s - 1; i <= s + 1; i++)
        for (int j = t - 1; j <= t + 1; j++) {
            if (i < 0 || j < 0 || i > MOST_SCALE_4 || j > MOST_SCALE_4)
                continue;
            float error = error_4(x, weight, d * (float)i, m * (float)j);
            if (error < best) {
                best = error;
                *scale = i;
                *minimum = j;
            }
        }
}

static void put_scales_4(uint8_t *bytes, const int *scale, const int *minimum)
{
    for (int g = 0; g < 4; g++) {
        bytes[g] = (uint8_t)(scale[g] | (scale[g + 4] >> 4) << 6);
        bytes[g + 4] = (uint8_t)(minimum[g] | (minimum[g + 4] >> 4) << 6);
        bytes[g + 8] = (uint8_t)((scale[g + 4] & 15) | (minimum[g + 4] & 15) << 4);
    }
}

static void encode_q4_k(uint8_t *block, const float *x)
{
    float weight[LARGE_BLOCK], most_scale = 0.0F, most_minimum = 0.0F;
    fit fits[GROUPS_4];
    int scale[GROUPS_4], minimum[GROUPS_4];
    for (int g = 0; g < GROUPS_4; g++) {
        weigh(weight + GROUP_4 * g, x + GROUP_4 * g, GROUP_4);
        fits[g] = fit_4(x + GROUP_4 * g, weight + GROUP_4 * g);
        most_scale = fits[g].scale > most_scale ? fits[g].scale : most_scale;
        most_minimum = fits[g].minimum > most_minimum ? fits[g].minimum : most_minimum;
    }
    put_half(block, most_scale / (float)MOST_SCALE_4);
    put_half(block + 2, most_minimum / (float)MOST_SCALE_4);
    float d = half_at(block), m = half_at(block + 2); /* as they will be read */
    for (int g = 0; g < GROUPS_4; g++) {
        const float *group = x + GROUP_4 * g;
        scale[g] = (int)nearest(fits[g].scale * inverse(d), 0.0F, (float)MOST_SCALE_4);
        minimum[g] = (int)nearest(fits[g].minimum * inverse(m), 0.0F, (float)MOST_SCALE_4);
        settle_4(&scale[g], &minimum[g], group, weight + GROUP_4 * g, d, m);
        uint8_t *bytes = block + 16 + g / 2 * GROUP_4;
        for (int i = 0; i < GROUP_4; i++) {
            int q = (int)nearest((group[i] + m * (float)minimum[g]) * inverse(d * (float)scale[g]),
                                 0.0F, most_4);
            bytes[i] = (uint8_t)(g % 2 ? bytes[i] | q << 4 : q);
        }
    }
    put_scales_4(block + 4, scale, minimum);
}

/* ---- q6_k: groups of 16 with a signed scale ---- */

enum { GROUP_6 = 16, GROUPS_6 = 16 };
static const float least_6 = -32.0F, most_6 = 31.0F;

static float error_6(const float *x, const float *weight, float scale)
{
    float to_integer = inverse(scale), error = 0.0F;
    for (int i = 0; i < GROUP_6; i++) {
        float q = nearest(x[i] * to_integer, least_6, most_6);
        float apart = scale * q - x[i];
        error += weight[i] * apart * apart;
    }
    return error;
}

/* The range has one more number below zero than above: the largest number goes there, whatever its sign. */
static float fit_6(const float *x, const float *weight)
{
    enum { TRIES = 19 };
    float largest = 0.0F;
    for (int i = 0; i < GROUP_6; i++)
        largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
    float best = largest / least_6;
    float least = error_6(x, weight, best);
    for (int t = 0; t < TRIES && least > 0.0F; t++) {
        float to_integer = (least_6 - 0.9F + 0.1F * (float)t) * inverse(largest);
        float wxq = 0.0F, wqq = 0.0F;
        for (int i = 0; i < GROUP_6; i++) {
            float q = nearest(x[i] * to_integer, least_6, most_6);
            wxq += weight[i] * x[i] * q;
            wqq += weight[i] * q * q;
        }
        float scale = wxq * inverse(wqq), error = error_6(x, weight, scale);
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

static int settle_6(int scale, const float *x, const float *weight, float d)
{
    int best = scale;
    float least = INFINITY;
    for (int s = scale > -128 ? scale - 1 : scale; s <= scale + 1 && s <= 127; s++) {
        float error = error_6(x, weight, d * (float)s);
        if (error < least) {
            least = error;
            best = s;
        }
    }
    return best;
}

static void put_numbers_6(uint8_t *block, const uint8_t *q)
{
    for (int half = 0; half < 2; half++, q += 128)
        for (int i = 0; i < 32; i++) {
            uint8_t *low = block + 64 * half + i;
            low[0] = (uint8_t)((q[i] & 15) | (q[i + 64] & 15) << 4);
            low[32] = (uint8_t)((q[i + 32] & 15) | (q[i + 96] & 15) << 4);
            block[128 + 32 * half + i] = (uint8_t)(q[i] >> 4 | (q[i + 32] >> 4) << 2 |
                                                   (q[i + 64] >> 4) << 4 | (q[i + 96] >> 4) << 6);
        }
}

static void encode_q6_k(uint8_t *block, const float *x)
{
    float weight[LARGE_BLOCK], scales[GROUPS_6], largest = 0.0F;
    uint8_t q[LARGE_BLOCK];
    for (int g = 0; g < GROUPS_6; g++) {
        weigh(weight + GROUP_6 * g, x + GROUP_6 * g, GROUP_6);
        scales[g] = fit_6(x + GROUP_6 * g, weight + GROUP_6 * g);
        largest = fabsf(scales[g]) > fabsf(largest) ? scales[g] : largest;
    }
    put_half(block + 208, largest / -128.0F);
    float d = half_at(block + 208);
    for (int g = 0; g < GROUPS_6; g++) {
        const float *group = x + GROUP_6 * g;
        int scale = (int)nearest(scales[g] * inverse(d), -128.0F, 127.0F);
        scale = settle_6(scale, group, weight + GROUP_6 * g, d);
        block[192 + g] = (uint8_t)(int8_t)scale;
        for (int i = 0; i < GROUP_6; i++)
            q[GROUP_6 * g + i] =
                (uint8_t)(nearest(group[i] * inverse(d * (float)scale), least_6, most_6) - least_6);
    }
    put_numbers_6(block, q);
}

/* ---- all ---- */

void fr_quantise(void *out, fr_dtype dtype, const float *in, int64_t count)
{
    void (*encode)(uint8_t * block, const float *x) = dtype == FR_Q8_0   ? encode_q8_0
                                                      : dtype == FR_Q4_0 ? encode_q4_0
                                                      : dtype == FR_Q4_K ? encode_q4_k
                                                                         : encode_q6_k;
    int64_t length = fr_dtype_block(dtype), size = (int64_t)fr_dtype_size(dtype);
    PARALLEL_FOR(begin, count / length, 1, count)
    {
        encode((uint8_t *)out + begin * size, in + begin * length);
    }
}
