/* rope.c: rotary position embedding (arXiv 2104.09864) in the half-rotated layout: pair (i, i + R/2) of each head turns by
   position * inverse_frequency[i]. The gradient is the inverse rotation. Cosines and sines are made once per position and used
   by all heads. */
#include "kernels/isa.h"

/* cos and sin of an angle of any size that f32 holds exactly enough: reduced by multiples of pi / 2 in double, then polynomials
   on [-pi/4, pi/4]. */
static inline void cos_sin(float angle, float *cosine, float *sine)
{
    double turns = (double)angle * 0.63661977236758134308;
    double whole = floor(turns + 0.5);
    float r =
        (float)(((double)angle - whole * 1.5707963267948966192) - whole * 6.123233995736766e-17);
    float square = r * r;
    float s = 2.71823718e-6F;
    s = s * square - 1.98393271e-4F;
    s = s * square + 8.33332936e-3F;
    s = s * square - 1.66666666e-1F;
    s = s * square * r + r;
    float c = -2.72095464e-7F;
    c = c * square + 2.47995117e-5F;
    c = c * square - 1.38888837e-3F;
    c = c * square + 4.16666666e-2F;
    c = c * square * square - 0.5F * square + 1.0F;
    int32_t quarter = (int32_t)(whole - 4.0 * floor(whole * 0.25));
    float cc = quarter & 1 ? s : c, ss = quarter & 1 ? c : s;
    *cosine = quarter == 1 || quarter == 2 ? -cc : cc;
    *sine = quarter >= 2 ? -ss : ss;
}

/* Do all rows of the batch turn alike? Then one row's table serves all. */
static bool rows_turn_alike(const fr_rope_shape *shape)
{
    return !shape->position_ids && !shape->frequencies_by_row;
}

/* table (rows, 2, pairs): cosines, then sines, times scaling; the sines negated for the inverse rotation */
static void fill_table(float *table, const fr_rope_shape *shape, int64_t rows, bool backward)
{
    int64_t pairs = shape->pairs;
    float sign = backward ? -shape->scaling : shape->scaling;
    PARALLEL_FOR(row, rows, 1, 16 * rows * pairs)
    {
        int32_t place = (int32_t)(row % shape->positions);
        float position = (float)(shape->position_ids ? shape->position_ids[row] : place);
        const float *restrict frequency =
            shape->inverse_frequency +
            (shape->frequencies_by_row ? row / shape->positions * pairs : 0);
        float *restrict c = table + row * 2 * pairs;
        float *restrict s = c + pairs;
        SIMD for (int64_t i = 0; i < pairs; i++)
        {
            float cosine, sine;
            cos_sin(position * frequency[i], &cosine, &sine);
            c[i] = cosine * shape->scaling;
            s[i] = sine * sign;
        }
    }
}

static inline void rotate_head(float *y, const float *x, const float *c, const float *s,
                               int64_t pairs, int64_t width, bool accumulate)
{
    if (accumulate) {
        SIMD for (int64_t i = 0; i < pairs; i++)
        {
            float first = x[i], second = x[i + pairs];
            y[i] += first * c[i] - second * s[i];
            y[i + pairs] += second * c[i] + first * s[i];
        }
        for (int64_t i = 2 * pairs; i < width; i++)
            y[i] += x[i];
        return;
    }
    SIMD for (int64_t i = 0; i < pairs; i++)
    {
        float first = x[i], second = x[i + pairs];
        y[i] = first * c[i] - second * s[i];
        y[i + pairs] = second * c[i] + first * s[i];
    }
    for (int64_t i = 2 * pairs; i < width; i++)
        y[i] = x[i];
}

static void rope(float *y, const float *x, const fr_rope_shape *shape, bool backward,
                 bool accumulate)
{
    int64_t positions = shape->positions, rows = shape->batch * positions,
            width = shape->head_width;
    bool alike = rows_turn_alike(shape);
    int64_t table_rows = alike ? positions : rows, pairs = shape->pairs;
    float *table = fr_kernels_workspace(sizeof(float) * (size_t)(table_rows * 2 * pairs));
    if (!table)
        return;
    fill_table(table, shape, table_rows, backward);
    PARALLEL_FOR(row, rows, 1, rows * shape->heads * width)
    {
        const float *c = table + (alike ? row % positions : row) * 2 * pairs;
        for (int64_t head = 0; head < shape->heads; head++) {
            int64_t at = (row * shape->heads + head) * width;
            rotate_head(y + at, x + at, c, c + pairs, pairs, width, accumulate);
        }
    }
}

void FR_LEVEL(fr_kernels_rope)(fr_kernels *table)
{
    table->rope = rope;
}
