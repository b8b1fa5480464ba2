/* test_gradients.c: every operator against its definition in f64 and central differences of it. One
   test per name of fr_operator_names, so that an operator without a case fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gradient_check.h"
#include "twins.h"

#include <math.h>
#include <string.h>

#define SHAPE(...)                                                                                 \
    {                                                                                              \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                                 \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define COUNT(array) ((int64_t)(sizeof(array) / sizeof(*(array))))

/* ---- how each operator is called ---- */

static fr_tensor *bias_of(fr_tensor *const *in, const gradient_case *c)
{
    return c->inputs > 2 ? in[2] : NULL;
}

static fr_tensor *list(fr_tape *tape, fr_dtype dtype, int64_t count, const void *numbers)
{
    return numbers ? fr_tape_input(tape, dtype, 1, &count, numbers) : NULL;
}

static fr_tensor *ids_of(fr_tape *tape, const gradient_case *c)
{
    return list(tape, FR_I32, c->id_count, c->ids);
}

static fr_tensor *table_of(fr_tape *tape, const gradient_case *c)
{
    return list(tape, FR_F32, c->table_count, c->table);
}

static fr_tensor *run_linear(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_linear(tape, in[0], in[1], bias_of(in, c));
}

static fr_tensor *run_matmul(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_matmul(tape, in[0], in[1], c->transpose_a, c->transpose_b);
}

static fr_tensor *run_embedding(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    fr_tensor *ids = fr_reshape(tape, ids_of(tape, c), c->out.rank - 1, c->out.shape);
    return fr_embedding(tape, in[0], ids);
}

static fr_tensor *run_gather(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_gather(tape, in[0], ids_of(tape, c));
}

static fr_tensor *run_scatter(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_scatter(tape, in[0], ids_of(tape, c), c->out.shape[0]);
}

static fr_tensor *run_add(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    (void)c;
    return fr_add(tape, in[0], in[1]);
}

static fr_tensor *run_multiply(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    (void)c;
    return fr_multiply(tape, in[0], in[1]);
}

static fr_tensor *run_scale(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_scale(tape, in[0], c->number);
}

static fr_tensor *run_scale_rows(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    (void)c;
    return fr_scale_rows(tape, in[0], in[1]);
}

#define RUN_OF_ONE(name)                                                                           \
    static fr_tensor *run_##name(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)      \
    {                                                                                              \
        (void)c;                                                                                   \
        return fr_##name(tape, in[0]);                                                             \
    }
RUN_OF_ONE(gelu)
RUN_OF_ONE(gelu_tanh)
RUN_OF_ONE(quick_gelu)
RUN_OF_ONE(silu)
RUN_OF_ONE(relu)
RUN_OF_ONE(tanh)
RUN_OF_ONE(exp)
RUN_OF_ONE(softmax)
RUN_OF_ONE(log_softmax)
RUN_OF_ONE(sum)
RUN_OF_ONE(mean)

static fr_tensor *run_swiglu(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    (void)c;
    return fr_swiglu(tape, in[0], in[1]);
}

static fr_tensor *run_dropout(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_dropout(tape, in[0], c->number);
}

static fr_tensor *run_layer_norm(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_layer_norm(tape, in[0], in[1], bias_of(in, c), c->number);
}

static fr_tensor *run_rms_norm(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_rms_norm(tape, in[0], in[1], c->number);
}

static fr_tensor *run_rope(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_rope(tape, in[0], ids_of(tape, c), table_of(tape, c), c->heads, c->number);
}

static fr_tensor *run_attention(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    fr_attention_options o = {
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .scale = c->number,
        .causal = c->causal,
        .window = c->window,
        .segments = list(tape, FR_I32, c->in[0].shape[0] * c->in[0].shape[1], c->segments),
        .lengths = list(tape, FR_I32, c->in[0].shape[0], c->lengths),
        .padded = c->padded,
        .global = list(tape, FR_I32, c->in[1].shape[0] * c->in[1].shape[1], c->global),
        .alibi = table_of(tape, c),
        .relative_bias = c->inputs > 3 ? in[3] : NULL,
        .cap = c->cap,
        .dropout = c->dropout};
    return fr_attention(tape, in[0], in[1], in[2], &o, NULL);
}

static fr_tensor *run_cross_entropy(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_cross_entropy(tape, in[0], ids_of(tape, c), table_of(tape, c), c->number, NULL);
}

static fr_tensor *run_linear_cross_entropy(fr_tape *tape, fr_tensor *const *in,
                                           const gradient_case *c)
{
    return fr_linear_cross_entropy(tape, in[0], in[1], bias_of(in, c), ids_of(tape, c),
                                   table_of(tape, c), c->number, NULL);
}

/* The last extent is left for fr_reshape to find. */
static fr_tensor *run_reshape(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    extents wanted = c->out;
    wanted.shape[wanted.rank - 1] = -1;
    return fr_reshape(tape, in[0], wanted.rank, wanted.shape);
}

static fr_tensor *run_slice(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_slice(tape, in[0], c->axis, c->begin, c->end);
}

static fr_tensor *run_concat(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_concat(tape, in, c->inputs, c->axis);
}

static fr_tensor *run_transpose(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_transpose(tape, in[0], c->axis, c->axis_b);
}

static fr_tensor *run_sum_axis(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_sum_axis(tape, in[0], c->axis);
}

static fr_tensor *run_mean_axis(fr_tape *tape, fr_tensor *const *in, const gradient_case *c)
{
    return fr_mean_axis(tape, in[0], c->axis);
}

/* ---- numbers that cases share ---- */

static const int32_t ids6[] = {4, 0, 4, 2, 1, 4};
static const int32_t positions10[] = {0, 1, 2, 3, 4, 7, 3, 1000, 0, 2};
static const float frequencies2[] = {1.0F, 0.01F}, frequencies3[] = {1.0F, 0.3F, 0.01F};
static const int32_t segments26[] = {0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 3, 3,
                                     5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 5, 5, 5};
static const int32_t segments140[140] = {[40] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const int32_t lengths_short[] = {9, 4}, lengths_none[] = {0, 3};
static const int32_t global22[22] = {[0] = 1, [9] = 1, [21] = 1};
static const int32_t global150[150] = {[3] = 1, [149] = 1};
static const float slopes4[] = {0.5F, 0.25F, 0.125F, 0.0625F};
static const int32_t targets7[] = {3, FR_IGNORE, 0, 10, 10, FR_IGNORE, 5};
static const float weights7[] = {1.0F, 2.0F, 0.5F, 0.0F, 1.5F, 1.0F, 3.0F};
static const int32_t no_targets[] = {FR_IGNORE, FR_IGNORE, FR_IGNORE};
static int32_t targets_many[130]; /* 7 i mod 33, filled by main */

/* ---- the cases ---- */

#define ONE(operation, label, ...)                                                                 \
    {                                                                                              \
        .name = #operation, .what = label, .inputs = 1, .run = run_##operation,                    \
        .twin = twin_##operation, .in = {SHAPE(__VA_ARGS__)}, .out = SHAPE(__VA_ARGS__)            \
    }
#define ATTENTION(label, batch, queries, keys, h, kv, d)                                           \
    .name = "attention", .what = label, .inputs = 3, .run = run_attention, .twin = twin_attention, \
    .out = SHAPE(batch, queries, (h) * (d)), .heads = h, .kv_heads = kv,                           \
    .in = {SHAPE(batch, queries, (h) * (d)), SHAPE(batch, keys, (kv) * (d)),                       \
           SHAPE(batch, keys, (kv) * (d))}
#define ATTENTION_WITH_BIAS(label, batch, queries, keys, h, kv, d, distances)                      \
    .name = "attention", .what = label, .inputs = 4, .run = run_attention, .twin = twin_attention, \
    .out = SHAPE(batch, queries, (h) * (d)), .heads = h, .kv_heads = kv,                           \
    .in = {SHAPE(batch, queries, (h) * (d)), SHAPE(batch, keys, (kv) * (d)),                       \
           SHAPE(batch, keys, (kv) * (d)), SHAPE(h, distances)}
#define LINEAR(operation, label, count, rows_shape, weight, bias, out_shape)                       \
    .name = #operation, .what = label, .inputs = count, .run = run_##operation,                    \
    .twin = twin_##operation, .in = {rows_shape, weight, bias}, .out = out_shape

/* clang-format off */
static const gradient_case cases[] = {
    {LINEAR(linear, "bias", 3, SHAPE(2, 3, 5), SHAPE(4, 5), SHAPE(4), SHAPE(2, 3, 4))},
    {LINEAR(linear, "no bias", 2, SHAPE(7, 16), SHAPE(33, 16), {0}, SHAPE(7, 33))},
    {LINEAR(linear, "one of each", 3, SHAPE(1), SHAPE(1, 1), SHAPE(1), SHAPE(1))},
    {LINEAR(linear, "many rows", 3, SHAPE(130, 19), SHAPE(70, 19), SHAPE(70), SHAPE(130, 70))},
    {.name = "matmul", .what = "plain", .inputs = 2, .run = run_matmul, .twin = twin_matmul,
     .in = {SHAPE(3, 5), SHAPE(5, 4)}, .out = SHAPE(3, 4)},
    {.name = "matmul", .what = "a transposed, batched", .inputs = 2, .run = run_matmul,
     .twin = twin_matmul, .in = {SHAPE(2, 3, 5, 7), SHAPE(2, 3, 5, 4)}, .out = SHAPE(2, 3, 7, 4),
     .transpose_a = true},
    {.name = "matmul", .what = "b transposed, batched", .inputs = 2, .run = run_matmul,
     .twin = twin_matmul, .in = {SHAPE(6, 1, 17), SHAPE(6, 9, 17)}, .out = SHAPE(6, 1, 9),
     .transpose_b = true},
    {.name = "matmul", .what = "both transposed", .inputs = 2, .run = run_matmul,
     .twin = twin_matmul, .in = {SHAPE(2, 11, 3), SHAPE(2, 4, 11)}, .out = SHAPE(2, 3, 4),
     .transpose_a = true, .transpose_b = true},
    {.name = "embedding", .what = "repeated ids", .inputs = 1, .run = run_embedding,
     .twin = twin_gather, .in = {SHAPE(5, 7)}, .out = SHAPE(2, 3, 7), .ids = ids6, .id_count = 6},
    {.name = "embedding", .what = "wide rows", .inputs = 1, .run = run_embedding,
     .twin = twin_gather, .in = {SHAPE(5, 130)}, .out = SHAPE(6, 130), .ids = ids6, .id_count = 6},
    {.name = "gather", .what = "rows of matrices", .inputs = 1, .run = run_gather,
     .twin = twin_gather, .in = {SHAPE(5, 2, 3)}, .out = SHAPE(6, 2, 3), .ids = ids6,
     .id_count = 6},
    {.name = "gather", .what = "single numbers", .inputs = 1, .run = run_gather,
     .twin = twin_gather, .in = {SHAPE(5)}, .out = SHAPE(6), .ids = ids6, .id_count = 6},
    {.name = "scatter", .what = "colliding rows", .inputs = 1, .run = run_scatter,
     .twin = twin_scatter, .in = {SHAPE(6, 2, 3)}, .out = SHAPE(8, 2, 3), .ids = ids6,
     .id_count = 6},
    {.name = "scatter", .what = "single numbers", .inputs = 1, .run = run_scatter,
     .twin = twin_scatter, .in = {SHAPE(6)}, .out = SHAPE(5), .ids = ids6, .id_count = 6},
    {.name = "add", .what = "same shape", .inputs = 2, .run = run_add, .twin = twin_add,
     .in = {SHAPE(3, 5), SHAPE(3, 5)}, .out = SHAPE(3, 5)},
    {.name = "add", .what = "last axes", .inputs = 2, .run = run_add, .twin = twin_add,
     .in = {SHAPE(40, 3, 67), SHAPE(3, 67)}, .out = SHAPE(40, 3, 67)},
    {.name = "add", .what = "one element", .inputs = 2, .run = run_add, .twin = twin_add,
     .in = {SHAPE(4, 5), SHAPE(1)}, .out = SHAPE(4, 5)},
    {.name = "multiply", .what = "same shape", .inputs = 2, .run = run_multiply,
     .twin = twin_multiply, .in = {SHAPE(3, 5), SHAPE(3, 5)}, .out = SHAPE(3, 5)},
    {.name = "multiply", .what = "last axes", .inputs = 2, .run = run_multiply,
     .twin = twin_multiply, .in = {SHAPE(40, 3, 67), SHAPE(67)}, .out = SHAPE(40, 3, 67)},
    {.name = "multiply", .what = "one element", .inputs = 2, .run = run_multiply,
     .twin = twin_multiply, .in = {SHAPE(4, 5), SHAPE(1)}, .out = SHAPE(4, 5)},
    {.name = "scale", .what = "by -2.5", .inputs = 1, .run = run_scale, .twin = twin_scale,
     .in = {SHAPE(4, 5)}, .out = SHAPE(4, 5), .number = -2.5F},
    {.name = "scale_rows", .what = "small", .inputs = 2, .run = run_scale_rows,
     .twin = twin_scale_rows, .in = {SHAPE(2, 3, 5), SHAPE(2, 3)}, .out = SHAPE(2, 3, 5)},
    {.name = "scale_rows", .what = "many rows", .inputs = 2, .run = run_scale_rows,
     .twin = twin_scale_rows, .in = {SHAPE(300, 37), SHAPE(300)}, .out = SHAPE(300, 37)},
    ONE(gelu, "small", 3, 7),
    ONE(gelu, "long", 2, 2053),
    ONE(gelu_tanh, "small", 3, 7),
    ONE(gelu_tanh, "long", 2, 2053),
    ONE(quick_gelu, "small", 3, 7),
    ONE(quick_gelu, "long", 2, 2053),
    ONE(silu, "small", 3, 7),
    ONE(silu, "long", 2, 2053),
    ONE(relu, "small", 3, 7),
    ONE(relu, "long", 2, 2053),
    ONE(tanh, "small", 3, 7),
    ONE(tanh, "long", 2, 2053),
    ONE(exp, "small", 3, 7),
    ONE(exp, "long", 2, 2053),
    {.name = "swiglu", .what = "small", .inputs = 2, .run = run_swiglu, .twin = twin_swiglu,
     .in = {SHAPE(3, 7), SHAPE(3, 7)}, .out = SHAPE(3, 7)},
    {.name = "swiglu", .what = "long", .inputs = 2, .run = run_swiglu, .twin = twin_swiglu,
     .in = {SHAPE(3, 2053), SHAPE(3, 2053)}, .out = SHAPE(3, 2053)},
    {.name = "dropout", .what = "a tenth", .inputs = 1, .run = run_dropout, .twin = twin_dropout,
     .in = {SHAPE(3, 701)}, .out = SHAPE(3, 701), .number = 0.1F},
    {.name = "dropout", .what = "a half", .inputs = 1, .run = run_dropout, .twin = twin_dropout,
     .in = {SHAPE(5)}, .out = SHAPE(5), .number = 0.5F},
    {LINEAR(layer_norm, "bias", 3, SHAPE(2, 3, 37), SHAPE(37), SHAPE(37), SHAPE(2, 3, 37)),
     .number = 1e-5F},
    {LINEAR(layer_norm, "no bias, many rows", 2, SHAPE(150, 8), SHAPE(8), {0}, SHAPE(150, 8)),
     .number = 1e-2F},
    {LINEAR(layer_norm, "one row", 3, SHAPE(130), SHAPE(130), SHAPE(130), SHAPE(130)),
     .number = 1e-5F},
    {LINEAR(rms_norm, "odd width", 2, SHAPE(2, 3, 37), SHAPE(37), {0}, SHAPE(2, 3, 37)),
     .number = 1e-5F},
    {LINEAR(rms_norm, "many rows", 2, SHAPE(150, 8), SHAPE(8), {0}, SHAPE(150, 8)),
     .number = 1e-2F},
    {LINEAR(rms_norm, "width 1", 2, SHAPE(3, 1), SHAPE(1), {0}, SHAPE(3, 1)), .number = 0.5F},
    ONE(softmax, "odd width", 2, 3, 37),
    ONE(softmax, "width 1", 4, 1),
    ONE(softmax, "many rows", 150, 5),
    ONE(log_softmax, "odd width", 2, 3, 37),
    ONE(log_softmax, "width 1", 4, 1),
    ONE(log_softmax, "many rows", 150, 5),
    {.name = "rope", .what = "positions 0..T-1", .inputs = 1, .run = run_rope, .twin = twin_rope,
     .in = {SHAPE(2, 5, 12)}, .out = SHAPE(2, 5, 12), .heads = 2, .table = frequencies3,
     .table_count = 3, .number = 1.0F},
    {.name = "rope", .what = "positions given, part of a head, scaled", .inputs = 1,
     .run = run_rope, .twin = twin_rope, .in = {SHAPE(2, 5, 21)}, .out = SHAPE(2, 5, 21),
     .heads = 3, .table = frequencies2, .table_count = 2, .ids = positions10, .id_count = 10,
     .number = 1.3F, .tolerance = 3e-5},
    {ATTENTION("full", 2, 5, 5, 2, 2, 4)},
    {ATTENTION("causal", 2, 13, 13, 2, 2, 5), .causal = true},
    {ATTENTION("causal after a past", 1, 3, 11, 2, 1, 8), .causal = true},
    {ATTENTION("causal, more queries than keys", 1, 6, 4, 1, 1, 4), .causal = true},
    {ATTENTION("grouped heads, scale given", 2, 9, 9, 4, 2, 6), .causal = true, .number = 0.7F},
    {ATTENTION("one kv head, width 1", 1, 7, 7, 3, 1, 1), .causal = true},
    {ATTENTION("causal window", 1, 20, 20, 2, 2, 4), .causal = true, .window = 3},
    {ATTENTION("window on both sides", 1, 20, 20, 2, 2, 4), .window = 4},
    {ATTENTION("segments, causal", 2, 13, 13, 2, 1, 4), .causal = true, .segments = segments26},
    {ATTENTION("segments, full", 2, 13, 13, 2, 2, 4), .segments = segments26},
    {ATTENTION("lengths, causal", 2, 3, 9, 2, 2, 4), .causal = true, .lengths = lengths_short},
    {ATTENTION("lengths, full", 2, 5, 9, 2, 2, 4), .lengths = lengths_short},
    {ATTENTION("no key at all", 2, 3, 4, 2, 2, 4), .causal = true, .lengths = lengths_none},
    {ATTENTION("alibi, causal", 1, 11, 11, 4, 2, 4), .causal = true, .table = slopes4,
     .table_count = 4},
    {ATTENTION("alibi, full, window", 1, 11, 11, 4, 4, 4), .window = 5, .table = slopes4,
     .table_count = 4},
    {ATTENTION("several tiles", 1, 140, 140, 2, 1, 9), .causal = true},
    {ATTENTION("several tiles, everything", 1, 140, 140, 4, 2, 5), .causal = true, .window = 70,
     .segments = segments140, .table = slopes4, .table_count = 4},
    {ATTENTION("cross", 2, 70, 130, 2, 2, 4)},
    {ATTENTION("cross with lengths", 2, 5, 9, 2, 2, 4), .lengths = lengths_short, .padded = true},
    {ATTENTION("padded, causal window", 2, 9, 9, 2, 2, 4), .lengths = lengths_short,
     .padded = true, .causal = true, .window = 3},
    {ATTENTION("cap, causal", 2, 9, 9, 2, 1, 4), .causal = true, .cap = 1.5F},
    {ATTENTION_WITH_BIAS("relative bias", 2, 9, 9, 2, 1, 4, 5)},
    {ATTENTION_WITH_BIAS("relative bias beyond the past", 2, 3, 9, 2, 1, 4, 19), .causal = true,
     .lengths = lengths_short},
    {ATTENTION_WITH_BIAS("relative bias, padded, cap", 2, 9, 9, 2, 2, 4, 13), .cap = 2.0F,
     .lengths = lengths_short, .padded = true},
    {ATTENTION_WITH_BIAS("relative bias, several tiles", 1, 140, 140, 2, 2, 4, 257)},
    {ATTENTION("dropout", 2, 9, 9, 2, 1, 4), .dropout = 0.3F},
    {ATTENTION("dropout of one query", 2, 1, 9, 2, 1, 4), .dropout = 0.3F},
    {ATTENTION_WITH_BIAS("dropout, cap, bias, several tiles", 1, 70, 130, 4, 2, 5, 65),
     .causal = true, .dropout = 0.1F, .cap = 3.0F},
    {ATTENTION("global keys, full", 2, 11, 11, 2, 1, 4), .window = 2, .global = global22},
    {ATTENTION("global keys, causal, several tiles", 1, 150, 150, 2, 1, 4), .window = 4,
     .causal = true, .global = global150},
    {.name = "cross_entropy", .what = "ignored rows, weights", .inputs = 1,
     .run = run_cross_entropy, .twin = twin_cross_entropy, .in = {SHAPE(7, 11)}, .out = SHAPE(1),
     .ids = targets7, .id_count = 7, .table = weights7, .table_count = 7, .number = 0.25F},
    {.name = "cross_entropy", .what = "nothing to predict", .inputs = 1, .run = run_cross_entropy,
     .twin = twin_cross_entropy, .in = {SHAPE(3, 11)}, .out = SHAPE(1), .ids = no_targets,
     .id_count = 3, .number = 1.0F},
    {.name = "cross_entropy", .what = "many rows", .inputs = 1, .run = run_cross_entropy,
     .twin = twin_cross_entropy, .in = {SHAPE(2, 65, 33)}, .out = SHAPE(1), .ids = targets_many,
     .id_count = 130, .number = 1.0F / 130},
    {LINEAR(linear_cross_entropy, "bias, weights", 3, SHAPE(7, 5), SHAPE(11, 5), SHAPE(11),
            SHAPE(1)),
     .ids = targets7, .id_count = 7, .table = weights7, .table_count = 7, .number = 0.25F},
    {LINEAR(linear_cross_entropy, "nothing to predict", 2, SHAPE(3, 5), SHAPE(11, 5), {0},
            SHAPE(1)),
     .ids = no_targets, .id_count = 3, .number = 1.0F},
    {LINEAR(linear_cross_entropy, "many rows", 2, SHAPE(2, 65, 9), SHAPE(33, 9), {0}, SHAPE(1)),
     .ids = targets_many, .id_count = 130, .number = 1.0F / 130},
    {.name = "reshape", .what = "one extent open", .inputs = 1, .run = run_reshape,
     .twin = twin_reshape, .in = {SHAPE(2, 3, 10)}, .out = SHAPE(5, 2, 6)},
    {.name = "slice", .what = "rows", .inputs = 1, .run = run_slice, .twin = twin_slice,
     .in = {SHAPE(7, 3)}, .out = SHAPE(4, 3), .axis = 0, .begin = 2, .end = 6},
    {.name = "slice", .what = "middle axis", .inputs = 1, .run = run_slice, .twin = twin_slice,
     .in = {SHAPE(2, 7, 3)}, .out = SHAPE(2, 1, 3), .axis = 1, .begin = 6, .end = 7},
    {.name = "slice", .what = "last axis", .inputs = 1, .run = run_slice, .twin = twin_slice,
     .in = {SHAPE(2, 3, 7)}, .out = SHAPE(2, 3, 5), .axis = 2, .begin = 0, .end = 5},
    {.name = "concat", .what = "rows", .inputs = 2, .run = run_concat, .twin = twin_concat,
     .in = {SHAPE(2, 3), SHAPE(5, 3)}, .out = SHAPE(7, 3), .axis = 0},
    {.name = "concat", .what = "last axis, four parts", .inputs = 4, .run = run_concat,
     .twin = twin_concat, .in = {SHAPE(2, 3, 1), SHAPE(2, 3, 4), SHAPE(2, 3, 2), SHAPE(2, 3, 9)},
     .out = SHAPE(2, 3, 16), .axis = 2},
    {.name = "concat", .what = "one part", .inputs = 1, .run = run_concat, .twin = twin_concat,
     .in = {SHAPE(2, 3)}, .out = SHAPE(2, 3), .axis = 1},
    {.name = "transpose", .what = "matrix", .inputs = 1, .run = run_transpose,
     .twin = twin_transpose, .in = {SHAPE(17, 35)}, .out = SHAPE(35, 17), .axis = 0, .axis_b = 1},
    {.name = "transpose", .what = "heads and positions", .inputs = 1, .run = run_transpose,
     .twin = twin_transpose, .in = {SHAPE(2, 5, 3, 4)}, .out = SHAPE(2, 3, 5, 4), .axis = 2,
     .axis_b = 1},
    {.name = "transpose", .what = "first and last", .inputs = 1, .run = run_transpose,
     .twin = twin_transpose, .in = {SHAPE(2, 5, 3, 4)}, .out = SHAPE(4, 5, 3, 2), .axis = 0,
     .axis_b = 3},
    {.name = "sum", .what = "long", .inputs = 1, .run = run_sum, .twin = twin_sum,
     .in = {SHAPE(3, 4099)}, .out = SHAPE(1)},
    {.name = "mean", .what = "long", .inputs = 1, .run = run_mean, .twin = twin_mean,
     .in = {SHAPE(3, 4099)}, .out = SHAPE(1)},
    {.name = "sum_axis", .what = "first", .inputs = 1, .run = run_sum_axis, .twin = twin_sum_axis,
     .in = {SHAPE(5, 3, 4)}, .out = SHAPE(3, 4), .axis = 0},
    {.name = "sum_axis", .what = "last", .inputs = 1, .run = run_sum_axis, .twin = twin_sum_axis,
     .in = {SHAPE(5, 3, 41)}, .out = SHAPE(5, 3), .axis = 2},
    {.name = "mean_axis", .what = "middle", .inputs = 1, .run = run_mean_axis,
     .twin = twin_mean_axis, .in = {SHAPE(5, 13, 4)}, .out = SHAPE(5, 4), .axis = 1},
    {.name = "mean_axis", .what = "last", .inputs = 1, .run = run_mean_axis,
     .twin = twin_mean_axis, .in = {SHAPE(70, 9)}, .out = SHAPE(70), .axis = 1},
};
/* clang-format on */

static void test_gradient_of(void **state)
{
    const char *name = *state;
    int found = 0;
    for (int64_t i = 0; i < COUNT(cases); i++)
        if (strcmp(cases[i].name, name) == 0) {
            check_gradient(&cases[i]);
            found++;
        }
    if (!found)
        fail_msg("the operator %s has no gradient check", name);
}

/* ---- what has no gradient ---- */

/* 1 + 2^-9 lies between two neighbours in bf16 (1 and 1 + 2^-7), nearer to 1; both types hold small
   whole numbers exactly. */
static void test_cast_rounds_and_takes_no_gradient(void **state)
{
    (void)state;
    static const float numbers[] = {1.0F, -2.0F, 1.0F + 0x1p-9F, 1.0F + 0x1.8p-7F};
    static const float as_bf16[] = {1.0F, -2.0F, 1.0F, 1.0F + 0x1p-6F};
    static const int32_t whole[] = {-3, 0, 7};
    fr_tape *tape = fr_tape_create(&(fr_tape_options){0}, NULL);
    int64_t four = 4, three = 3;
    fr_tensor *x = fr_tape_input(tape, FR_F32, 1, &four, numbers);
    x->requires_grad = true;
    fr_tensor *narrow = fr_cast(tape, x, FR_BF16), *half = fr_cast(tape, x, FR_F16);
    fr_tensor *back = fr_cast(tape, narrow, FR_F32), *half_back = fr_cast(tape, half, FR_F32);
    fr_tensor *from_whole = fr_cast(tape, fr_tape_input(tape, FR_I32, 1, &three, whole), FR_F32);
    assert_int_equal(fr_tape_check(tape, NULL), FR_OK);
    assert_memory_equal(fr_tensor_host(back), as_bf16, sizeof as_bf16);
    assert_memory_equal(fr_tensor_host(half_back), numbers, sizeof numbers);
    for (int i = 0; i < 3; i++)
        assert_true(((float *)fr_tensor_host(from_whole))[i] == (float)whole[i]);
    assert_false(back->requires_grad);
    assert_null(back->node);
    assert_ptr_equal(fr_cast(tape, x, FR_F32), x);
    assert_null(fr_cast(tape, narrow, FR_F16));
    assert_int_equal(fr_tape_check(tape, NULL), FR_WRONG_CALL);
    fr_tape_destroy(tape);
}

/* ---- chunks ---- */

enum { MANY_WORDS = 70001, SOME_ROWS = 300, NARROW = 3 };

/* The loss of (300, 3) rows over 70001 words, in three chunks or from whole logits, and its
   gradients. */
static float loss_over_many_words(fr_tape *tape, bool chunked, fr_tensor **x, fr_tensor **weight)
{
    int64_t x_shape[] = {SOME_ROWS, NARROW}, weight_shape[] = {MANY_WORDS, NARROW},
            rows = SOME_ROWS;
    *x = fr_tape_tensor(tape, FR_F32, 2, x_shape);
    *weight = fr_tape_tensor(tape, FR_F32, 2, weight_shape);
    fr_random_fill_normal(fr_tensor_host(*x), SOME_ROWS * NARROW, 1, 1, FR_RANDOM_TEST, 0);
    fr_random_fill_normal(fr_tensor_host(*weight), MANY_WORDS * NARROW, 1, 1, FR_RANDOM_TEST, 1);
    (*x)->requires_grad = (*weight)->requires_grad = true;
    fr_tensor *targets = fr_tape_tensor(tape, FR_I32, 1, &rows);
    for (int32_t i = 0; i < SOME_ROWS; i++)
        ((int32_t *)fr_tensor_host(targets))[i] = 200 * i;
    fr_tensor *loss =
        chunked
            ? fr_linear_cross_entropy(tape, *x, *weight, NULL, targets, NULL, 1, NULL)
            : fr_cross_entropy(tape, fr_linear(tape, *x, *weight, NULL), targets, NULL, 1, NULL);
    assert_int_equal(fr_tape_backward(tape, loss, 2, NULL), FR_OK);
    return *(float *)fr_tensor_host(loss);
}

static void assert_close(const fr_tensor *a, const fr_tensor *b, double most)
{
    const float *x = fr_tensor_host(a), *y = fr_tensor_host(b);
    for (int64_t i = 0; i < fr_tensor_count(a); i++)
        assert_true(fabs((double)x[i] - (double)y[i]) <= most);
}

static void test_loss_in_chunks_is_the_loss_of_whole_logits(void **state)
{
    (void)state;
    fr_tape *a = fr_tape_create(&(fr_tape_options){0}, NULL);
    fr_tape *b = fr_tape_create(&(fr_tape_options){0}, NULL);
    fr_tensor *x_a, *x_b, *weight_a, *weight_b;
    float whole = loss_over_many_words(a, false, &x_a, &weight_a);
    float chunked = loss_over_many_words(b, true, &x_b, &weight_b);
    assert_true(fabsf(whole - chunked) < 1e-5F * whole);
    assert_close(x_a->grad, x_b->grad, 1e-5);
    assert_close(weight_a->grad, weight_b->grad, 1e-5);
    assert_true(fr_tape_peak_bytes(b) < fr_tape_peak_bytes(a) - (size_t)SOME_ROWS * MANY_WORDS * 4);
    fr_tape_destroy(a);
    fr_tape_destroy(b);
}

int main(void)
{
    enum { MOST = 64 };
    static struct CMUnitTest tests[MOST];
    size_t count = 0;
    for (int i = 0; i < COUNT(targets_many); i++)
        targets_many[i] = 7 * i % 33;
    for (const char *const *name = fr_operator_names(); *name && count < MOST - 1; name++) {
        tests[count].name = *name;
        if (strcmp(*name, "cast") == 0) {
            tests[count].test_func = test_cast_rounds_and_takes_no_gradient;
        } else {
            tests[count].test_func = test_gradient_of;
            tests[count].initial_state = (void *)(uintptr_t)*name;
        }
        count++;
    }
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(test_loss_in_chunks_is_the_loss_of_whole_logits);
    return _cmocka_run_group_tests("gradients of operators", tests, count, NULL, NULL);
}
