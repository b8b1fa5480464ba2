/* test_operators.c: calls that operators refuse, with their messages; what they return besides
   their result; dropout. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tensor_helpers.h"

#include <math.h>
#include <string.h>

/* ---- errors ---- */

static void test_first_wrong_call_sticks_and_says_what_did_not_fit(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = zeros(tape, 4, 128), *weight = vector(tape, 96, (float[96]){0});
    fr_tensor *y = fr_rms_norm(tape, x, weight, 1e-5F);
    assert_null(y);
    assert_null(fr_add(tape, y, x));
    assert_null(fr_matmul(tape, x, x, false, false));
    assert_null(fr_tape_tensor(tape, FR_F32, 1, (int64_t[]){1}));
    assert_failed(tape, "rms_norm: weight has 96 elements, x has width 128");
    fr_error error;
    assert_int_equal(fr_tape_backward(tape, y, 1, &error), FR_WRONG_CALL);
    assert_string_equal(error.message, "rms_norm: weight has 96 elements, x has width 128");
    fr_tape_reset(tape, 0);
    assert_int_equal(fr_tape_check(tape, NULL), FR_OK);
    assert_non_null(fr_scale(tape, zeros(tape, 1, 1), 2));
    fr_tape_destroy(tape);
}

static void test_null_from_nowhere_is_an_error(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    assert_null(fr_add(tape, zeros(tape, 1, 1), NULL));
    assert_failed(tape, "add: input 2 is missing (NULL)");
    fr_tape_destroy(tape);
}

static fr_tensor *ids(fr_tape *tape, int32_t a, int32_t b)
{
    return fr_tape_input(tape, FR_I32, 1, (int64_t[]){2}, (int32_t[]){a, b});
}

/* Each line: a call that does not fit, and its message. */
#define REFUSED(call, message)                                                                     \
    do {                                                                                           \
        assert_null(call);                                                                         \
        assert_failed(tape, message);                                                              \
        fr_tape_reset(tape, 0);                                                                    \
        x = zeros(tape, 2, 3);                                                                     \
    } while (0)

static void test_operators_refuse_what_does_not_fit(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = zeros(tape, 2, 3);
    REFUSED(fr_linear(tape, x, zeros(tape, 5, 4), NULL), "linear: x has width 3, weight takes 4");
    REFUSED(fr_linear(tape, x, zeros(tape, 5, 3), zeros(tape, 1, 4)),
            "linear: bias has 4 elements, 5 expected");
    REFUSED(fr_matmul(tape, x, x, false, false), "matmul: a (2, 3) and b (2, 3) do not fit");
    REFUSED(fr_matmul(tape, x, x, true, true),
            "matmul: a (2, 3) transposed and b (2, 3) transposed do not fit");
    REFUSED(fr_embedding(tape, x, ids(tape, 1, 2)), "embedding: ids[1] is 2, expected 0 to 1");
    REFUSED(fr_gather(tape, x, ids(tape, -1, 0)), "gather: indices[0] is -1, expected 0 to 1");
    REFUSED(fr_scatter(tape, x, ids(tape, 0, 4), 4), "scatter: indices[1] is 4, expected 0 to 3");
    REFUSED(fr_embedding(tape, x, x), "embedding: ids is f32, i32 expected");
    REFUSED(fr_add(tape, x, zeros(tape, 3, 2)),
            "add: b has shape (3, 2), expected that of a (2, 3), its last axes, or one element");
    REFUSED(fr_swiglu(tape, x, zeros(tape, 2, 4)), "swiglu: gate has shape (2, 3), up has (2, 4)");
    REFUSED(fr_dropout(tape, x, 1), "dropout: p is 1, expected 0 <= p < 1");
    REFUSED(fr_gelu(tape, ids(tape, 0, 0)), "gelu: x is i32, f32 expected");
    REFUSED(fr_cross_entropy(tape, x, ids(tape, 0, 3), NULL, 1, NULL),
            "cross_entropy: targets[1] is 3, expected 0 to 2");
    REFUSED(fr_cross_entropy(tape, zeros(tape, 3, 3), ids(tape, 0, 0), NULL, 1, NULL),
            "cross_entropy: targets has 2 elements, 3 expected");
    REFUSED(fr_reshape(tape, x, 2, (int64_t[]){4, -1}), "reshape: (2, 3) cannot become (4, -1)");
    REFUSED(fr_reshape(tape, x, 2, (int64_t[]){-1, -1}), "reshape: (2, 3) cannot become (-1, -1)");
    REFUSED(fr_slice(tape, x, 1, 2, 4), "slice: [2, 4) of an axis of 3");
    REFUSED(fr_slice(tape, x, 2, 0, 1), "slice: there is no axis 2 in shape (2, 3)");
    REFUSED(fr_concat(tape, (fr_tensor *[]){x, zeros(tape, 3, 4)}, 2, 0),
            "concat: part 2 is f32 (3, 4) and does not fit the first, f32 (2, 3), along axis 0");
    REFUSED(fr_transpose(tape, x, 0, -1), "transpose: there is no axis -1 in shape (2, 3)");
    REFUSED(fr_sum_axis(tape, x, 2), "sum_axis: there is no axis 2 in shape (2, 3)");
    REFUSED(fr_cast(tape, x, FR_I64), "cast: from f32 to i64 is not possible");
    REFUSED(fr_tape_tensor(tape, FR_F32, 2, (int64_t[]){1LL << 40, 1LL << 40}),
            "a tensor of rank 2 with an extent below 1 or too many elements");
    fr_tape_destroy(tape);
}

static fr_tensor *cube(fr_tape *tape, int64_t a, int64_t b, int64_t c)
{
    return fr_reshape(tape, zeros(tape, a, b * c), 3, (int64_t[]){a, b, c});
}

static void test_attention_and_rope_refuse_what_does_not_fit(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = NULL;
    fr_attention_options o = {.heads = 3, .kv_heads = 2};
    REFUSED(
        fr_attention(tape, cube(tape, 1, 4, 6), cube(tape, 1, 4, 4), cube(tape, 1, 4, 4), &o, NULL),
        "attention: 3 heads are no multiple of 2 kv_heads");
    o = (fr_attention_options){.heads = 2, .kv_heads = 2};
    REFUSED(
        fr_attention(tape, cube(tape, 1, 4, 6), cube(tape, 1, 5, 6), cube(tape, 1, 4, 6), &o, NULL),
        "attention: q (1, 4, 6), k (1, 5, 6) and v (1, 4, 6) do not fit 2 heads and 2 kv_heads");
    o.lengths = ids(tape, 5, 5);
    REFUSED(
        fr_attention(tape, cube(tape, 1, 4, 6), cube(tape, 1, 4, 6), cube(tape, 1, 4, 6), &o, NULL),
        "attention: lengths has 2 elements, 1 expected");
    REFUSED(fr_rope(tape, cube(tape, 1, 4, 6), NULL, vector(tape, 2, (float[]){1, 1}), 2, 1),
            "rope: width 6 does not fit 2 heads of at least 4");
    REFUSED(
        fr_rope(tape, cube(tape, 1, 4, 8), ids(tape, 0, 1), vector(tape, 2, (float[]){1, 1}), 2, 1),
        "rope: positions has 2 elements, 4 expected");
    (void)x;
    fr_tape_destroy(tape);
}

/* ---- random numbers ---- */

static void test_dropout_is_a_function_of_step_and_call(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    static float ones[COUNT], first[COUNT];
    for (int i = 0; i < COUNT; i++)
        ones[i] = 1;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tape_reset(tape, 4);
    fr_tensor *a = fr_dropout(tape, vector(tape, COUNT, ones), 0.25F);
    fr_tensor *b = fr_dropout(tape, vector(tape, COUNT, ones), 0.25F);
    assert_memory_not_equal(fr_tensor_host(a), fr_tensor_host(b), sizeof first);
    memcpy(first, fr_tensor_host(a), sizeof first);
    int kept = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_true(first[i] == 0 || fabsf(first[i] - 4.0F / 3) < 1e-6F);
        kept += first[i] != 0;
    }
    assert_in_range(kept, 2900, 3100);
    fr_tape_reset(tape, 5);
    a = fr_dropout(tape, vector(tape, COUNT, ones), 0.25F);
    assert_memory_not_equal(fr_tensor_host(a), first, sizeof first);
    fr_tape_reset(tape, 4);
    a = fr_dropout(tape, vector(tape, COUNT, ones), 0.25F);
    assert_memory_equal(fr_tensor_host(a), first, sizeof first);
    fr_tape_destroy(tape);
}

static void test_dropout_does_nothing_when_not_training_or_never(void **state)
{
    (void)state;
    fr_tape *training = make_tape(FR_TAPE_TRAIN),
            *not_training = fr_tape_create(&(fr_tape_options){0}, NULL);
    fr_tensor *x = zeros(training, 2, 2), *y = zeros(not_training, 2, 2);
    assert_ptr_equal(fr_dropout(training, x, 0), x);
    assert_ptr_equal(fr_dropout(not_training, y, 0.5F), y);
    fr_tape_destroy(training);
    fr_tape_destroy(not_training);
}

/* ---- what operators return besides ---- */

static fr_tensor *random_cube(fr_tape *tape, int64_t a, int64_t b, int64_t c, uint64_t which)
{
    fr_tensor *t = fr_tape_tensor(tape, FR_F32, 3, (int64_t[]){a, b, c});
    fr_random_fill_normal(fr_tensor_host(t), a * b * c, 1, 8, FR_RANDOM_TEST, which);
    return t;
}

/* softmax over all keys = the two parts' results, weighted by their shares of the sum of
   exponentials */
static void test_log_sum_exp_merges_partial_attention(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_NO_GRAD);
    fr_tensor *q = random_cube(tape, 1, 5, 8, 0), *k = random_cube(tape, 1, 12, 8, 1),
              *v = random_cube(tape, 1, 12, 8, 2);
    fr_attention_options o = {.heads = 2, .kv_heads = 2};
    fr_tensor *lse[3], *out[3];
    int64_t ends[] = {0, 5, 12};
    out[2] = fr_attention(tape, q, k, v, &o, &lse[2]);
    for (int part = 0; part < 2; part++)
        out[part] = fr_attention(tape, q, fr_slice(tape, k, 1, ends[part], ends[part + 1]),
                                 fr_slice(tape, v, 1, ends[part], ends[part + 1]), &o, &lse[part]);
    assert_int_equal(fr_tape_check(tape, NULL), FR_OK);
    for (int64_t i = 0; i < 5 * 8; i++) {
        int64_t row = i / 4 % 2 * 5 + i / 8; /* (H, T) */
        double a = exp((double)number(lse[0], row)), b = exp((double)number(lse[1], row));
        double merged = (a * (double)number(out[0], i) + b * (double)number(out[1], i)) / (a + b);
        assert_true(fabs(merged - (double)number(out[2], i)) < 1e-5);
        assert_true(fabs(log(a + b) - (double)number(lse[2], row)) < 1e-5);
    }
    fr_tape_destroy(tape);
}

static void test_losses_of_rows_add_up_to_the_loss(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = random_cube(tape, 2, 3, 4, 0);
    fr_tensor *w = fr_reshape(tape, random_cube(tape, 1, 9, 4, 1), 2, (int64_t[]){9, 4});
    static const int32_t numbers[] = {0, 8, FR_IGNORE, 3, 3, FR_IGNORE};
    static const float weight[] = {1, 0, 5, 2, 3, 7};
    fr_tensor *targets = fr_tape_input(tape, FR_I32, 2, (int64_t[]){2, 3}, numbers);
    fr_tensor *weights = fr_tape_input(tape, FR_F32, 2, (int64_t[]){2, 3}, weight);
    fr_tensor *a, *b;
    fr_tensor *fused = fr_linear_cross_entropy(tape, x, w, NULL, targets, weights, 0.5F, &a);
    fr_tensor *whole =
        fr_cross_entropy(tape, fr_linear(tape, x, w, NULL), targets, weights, 0.5F, &b);
    assert_true(fr_tensor_same_shape(a, targets));
    float sum = 0;
    for (int i = 0; i < 6; i++) {
        sum += 0.5F * weight[i] * number(a, i);
        assert_true(fabsf(number(a, i) - number(b, i)) < 1e-5F);
        assert_true((number(a, i) == 0) == (numbers[i] == FR_IGNORE));
    }
    assert_true(fabsf(sum - number(fused, 0)) < 1e-4F && fabsf(sum - number(whole, 0)) < 1e-4F);
    fr_tape_destroy(tape);
}

static void test_narrow_weights_give_what_their_f32_values_give(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    for (int64_t rows = 3; rows <= 40; rows += 37) {
        fr_tensor *x =
            fr_reshape(tape, random_cube(tape, 1, rows, 20, 0), 2, (int64_t[]){rows, 20});
        fr_tensor *w = fr_reshape(tape, random_cube(tape, 1, 30, 20, 1), 2, (int64_t[]){30, 20});
        x->requires_grad = true;
        fr_tensor *narrow = fr_cast(tape, w, FR_BF16), *wide = fr_cast(tape, narrow, FR_F32);
        fr_tensor *y[4] = {fr_linear(tape, x, narrow, NULL), fr_linear(tape, x, wide, NULL),
                           fr_matmul(tape, x, narrow, false, true),
                           fr_matmul(tape, x, wide, false, true)};
        assert_int_equal(fr_tape_check(tape, NULL), FR_OK);
        float *grad[4];
        for (int i = 0; i < 4; i++) {
            x->grad = NULL;
            assert_int_equal(fr_tape_backward(tape, fr_sum(tape, y[i]), 1, NULL), FR_OK);
            grad[i] = fr_tensor_host(x->grad);
            for (int64_t j = 0; j < rows * 30; j++)
                assert_true(fabsf(number(y[i], j) - number(y[0], j)) < 1e-4F);
            for (int64_t j = 0; j < rows * 20; j++)
                assert_true(fabsf(grad[i][j] - grad[0][j]) < 1e-4F);
        }
    }
    fr_tape_destroy(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_wrong_call_sticks_and_says_what_did_not_fit),
        cmocka_unit_test(test_null_from_nowhere_is_an_error),
        cmocka_unit_test(test_operators_refuse_what_does_not_fit),
        cmocka_unit_test(test_attention_and_rope_refuse_what_does_not_fit),
        cmocka_unit_test(test_dropout_is_a_function_of_step_and_call),
        cmocka_unit_test(test_dropout_does_nothing_when_not_training_or_never),
        cmocka_unit_test(test_log_sum_exp_merges_partial_attention),
        cmocka_unit_test(test_losses_of_rows_add_up_to_the_loss),
        cmocka_unit_test(test_narrow_weights_give_what_their_f32_values_give),
    };
    return cmocka_run_group_tests_name("operators", tests, NULL, NULL);
}
