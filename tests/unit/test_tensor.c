/* test_tensor.c: tensors outside tapes, and the tree of state. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tensor_helpers.h"

#include <math.h>

/* ---- tensors ---- */

static void test_tensors_say_what_they_are(void **state)
{
    (void)state;
    char text[64], little[8];
    int64_t shape[] = {8, 256, 64};
    fr_tensor *t = fr_tensor_create(FR_BF16, 3, shape, FR_MEMORY_WEIGHTS);
    assert_string_equal(fr_tensor_shape_text(t, text, sizeof text), "(8, 256, 64)");
    assert_string_equal(fr_tensor_shape_text(t, little, sizeof little), "(8, 256");
    assert_int_equal(fr_tensor_count(t), 8 * 256 * 64);
    assert_int_equal(fr_tensor_bytes(t), 2 * 8 * 256 * 64);
    assert_string_equal(fr_dtype_name(t->dtype), "bf16");
    assert_string_equal(fr_axis_name(FR_AXIS_KV_HEADS), "kv_heads");
    fr_tensor_free(t);
    assert_null(fr_tensor_create(FR_F32, 2, (int64_t[]){0, 3}, FR_MEMORY_WEIGHTS));
    assert_null(fr_tensor_create(FR_F32, 2, (int64_t[]){1LL << 40, 1LL << 40}, FR_MEMORY_WEIGHTS));
    assert_null(fr_tensor_create(FR_F32, 7, shape, FR_MEMORY_WEIGHTS));
    fr_tensor_free(NULL);
}

static void test_nonfinite_numbers_are_found_in_every_type(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    int64_t count = 3001;
    for (int type = 0; type < 3; type++) {
        fr_dtype dtype = (fr_dtype[]){FR_F32, FR_BF16, FR_F16}[type];
        fr_tensor *t = fr_tensor_create(dtype, 1, &count, FR_MEMORY_OTHER);
        assert_false(fr_tensor_has_nonfinite(t));
        for (int i = 0; i < 3; i++) {
            char *place = (char *)t->data + (size_t)(1300 + 800 * i) * fr_dtype_size(dtype);
            static const float nothing = 0;
            fr_convert(place, dtype, &bad[i], FR_F32, 1);
            assert_true(fr_tensor_has_nonfinite(t));
            fr_convert(place, dtype, &nothing, FR_F32, 1);
        }
        fr_tensor_free(t);
    }
}

static void test_state_lists_what_was_registered_in_order(void **state)
{
    (void)state;
    fr_state *s = fr_state_create();
    fr_tensor *p = make_parameter(1);
    int64_t position[2] = {7, 8};
    double rate = 0.5;
    for (int i = 0; i < 100; i++)
        assert_int_equal(fr_state_tensor(s, p, NULL, "model.layers.%d.weight", i), FR_OK);
    assert_int_equal(fr_state_i64(s, position, 2, NULL, "loader.position"), FR_OK);
    assert_int_equal(fr_state_f64(s, &rate, 1, NULL, "schedule.rate"), FR_OK);
    assert_int_equal(fr_state_count(s), 102);
    assert_string_equal(fr_state_at(s, 99)->name, "model.layers.99.weight");
    assert_ptr_equal(fr_state_at(s, 99)->tensor, p);
    assert_int_equal(fr_state_at(s, 100)->type, FR_STATE_I64);
    assert_ptr_equal(fr_state_at(s, 100)->i64, position);
    assert_int_equal(fr_state_at(s, 100)->count, 2);
    assert_int_equal(fr_state_at(s, 101)->type, FR_STATE_F64);
    assert_ptr_equal(fr_state_at(s, 101)->f64, &rate);
    assert_null(fr_state_at(s, 102));
    fr_error error;
    assert_int_equal(fr_state_i64(s, position, 2, &error, "%s", ""), FR_WRONG_CALL);
    assert_int_equal(fr_state_i64(s, position, 2, &error, "loader.position"), FR_WRONG_CALL);
    assert_string_equal(error.message, "state: \"loader.position\" is registered twice");
    fr_state_destroy(s);
    free_parameter(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_say_what_they_are),
        cmocka_unit_test(test_nonfinite_numbers_are_found_in_every_type),
        cmocka_unit_test(test_state_lists_what_was_registered_in_order),
    };
    return cmocka_run_group_tests_name("tensors", tests, NULL, NULL);
}
