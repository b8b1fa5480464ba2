/* check_rope.c: rotary embedding. Angles are what f32 makes of position * frequency, as in Hugging Face's models. */
#include "check.h"

static void naive_rope(double *y, const float *x, const fr_rope_shape *s, double direction)
{
    for (int64_t row = 0; row < s->batch * s->positions; row++)
        for (int64_t head = 0; head < s->heads; head++) {
            const float *in = x + (row * s->heads + head) * s->head_width;
            double *out = y + (row * s->heads + head) * s->head_width;
            int32_t position =
                s->position_ids ? s->position_ids[row] : (int32_t)(row % s->positions);
            const float *frequency =
                s->inverse_frequency + (s->frequencies_by_row ? row / s->positions * s->pairs : 0);
            for (int64_t i = 0; i < s->pairs; i++) {
                float angle = (float)position * frequency[i];
                double c = cos((double)angle) * (double)s->scaling,
                       d = direction * sin((double)angle) * (double)s->scaling;
                out[i] = (double)in[i] * c - (double)in[i + s->pairs] * d;
                out[i + s->pairs] = (double)in[i + s->pairs] * c + (double)in[i] * d;
            }
            for (int64_t i = 2 * s->pairs; i < s->head_width; i++)
                out[i] = (double)in[i];
        }
}

static void check_shape(const fr_kernels *kernels, fr_rope_shape s, bool with_positions)
{
    int64_t count = s.batch * s.positions * s.heads * s.head_width;
    int64_t tables = s.frequencies_by_row ? s.batch : 1;
    float *x = check_floats(count), *y = check_floats(count),
          *frequency = check_floats(tables * s.pairs);
    for (int64_t i = 0; i < tables * s.pairs; i++)
        frequency[i] =
            (float)pow(10000.0 + (double)(i / s.pairs), -(double)(i % s.pairs) / (double)s.pairs);
    s.inverse_frequency = frequency;
    s.position_ids = with_positions ? check_integers(s.batch * s.positions, 0, 100000) : NULL;
    double *wanted = check_doubles(count), *sum = check_doubles(count);
    naive_rope(wanted, x, &s, 1.0);
    kernels->rope(y, x, &s, false, false);
    check_close("rope", y, wanted, count, 5e-7);
    naive_rope(wanted, x, &s, -1.0);
    for (int64_t i = 0; i < count; i++)
        sum[i] = wanted[i] + (double)y[i];
    kernels->rope(y, x, &s, true, true);
    check_close("rope backward, accumulated", y, sum, count, 5e-7);
    kernels->rope(x, x, &s, true, false);
    check_close("rope backward in place", x, wanted, count, 5e-7);
}

void check_rope(const fr_kernels *kernels)
{
    check_shape(
        kernels,
        (fr_rope_shape){
            .batch = 1, .positions = 1, .heads = 1, .head_width = 2, .pairs = 1, .scaling = 1.0F},
        false);
    check_shape(kernels,
                (fr_rope_shape){.batch = 2,
                                .positions = 17,
                                .heads = 3,
                                .head_width = 13,
                                .pairs = 5,
                                .scaling = 1.25F},
                true);
    check_shape(kernels,
                (fr_rope_shape){.batch = 3,
                                .positions = 65,
                                .heads = 4,
                                .head_width = 64,
                                .pairs = 32,
                                .scaling = 1.0F},
                false);
    check_shape(kernels,
                (fr_rope_shape){.batch = 3,
                                .positions = 65,
                                .heads = 4,
                                .head_width = 96,
                                .pairs = 24,
                                .scaling = 1.0F},
                true);
    for (int with_positions = 0; with_positions < 2; with_positions++)
        check_shape(kernels,
                    (fr_rope_shape){.batch = 3,
                                    .positions = 9,
                                    .heads = 2,
                                    .head_width = 16,
                                    .pairs = 7,
                                    .frequencies_by_row = true,
                                    .scaling = 1.0F},
                    with_positions);
    enum { PAIRS = 32, COUNT = 2048 * 512 };
    if (!check_timing())
        return;
    float *x = check_floats(COUNT), *y = check_floats(COUNT),
          *frequency = check_constant(PAIRS, 0.1F);
    double *slow = check_doubles(COUNT);
    fr_rope_shape s = {.batch = 8,
                       .positions = 256,
                       .heads = 8,
                       .head_width = 64,
                       .pairs = PAIRS,
                       .inverse_frequency = frequency,
                       .scaling = 1.0F};
    CHECK_TIME("rope 8x256, 8 heads of 64", 0, 8.0 * COUNT, kernels->rope(y, x, &s, false, false),
               naive_rope(slow, x, &s, 1.0));
    s.position_ids = check_integers(2048, 0, 2048);
    CHECK_TIME("rope with positions", 0, 8.0 * COUNT, kernels->rope(y, x, &s, false, false),
               naive_rope(slow, x, &s, 1.0));
}
