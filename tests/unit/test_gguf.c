/* test_gguf.c: GGUF files are read as the gguf package reads them, written so that it reads them, and lies in them are refused. */
#include "frugal/formats.h"
#include "gguf_help.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURE "tests/fixtures/gguf/types.gguf"

static fr_gguf *open_file(const char *name)
{
    fr_gguf *file;
    fr_error error = {0};
    if (fr_gguf_open(&file, name, &error) != FR_OK)
        fail_msg("%s", error.message);
    return file;
}

static const fr_gguf_entry *tensor(const fr_gguf *file, const char *type, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", type, what);
    const fr_gguf_entry *entry = fr_gguf_find(file, name);
    assert_non_null(entry);
    return entry;
}

/* ---- types ---- */

static const char *const blocks[] = {"q8_0", "q4_0", "q4_k", "q6_k"};

static void test_blocks_of_any_bytes_are_read_as_the_package_reads_them(void **state)
{
    (void)state;
    fr_gguf *file = open_file(FIXTURE);
    for (int i = 0; i < 4; i++) {
        const fr_gguf_entry *stored = tensor(file, blocks[i], "random"),
                            *wanted = tensor(file, blocks[i], "decoded");
        float decoded[2 * 512];
        assert_string_equal(fr_dtype_name(stored->dtype), blocks[i]);
        assert_int_equal(stored->shape[0], 2);
        assert_int_equal(stored->shape[1], 512);
        fr_convert(decoded, FR_F32, stored->data, stored->dtype, 2 * 512);
        assert_int_equal(wanted->bytes, sizeof decoded);
        assert_memory_equal(decoded, wanted->data, sizeof decoded);
    }
    fr_gguf_close(file);
}

static void test_numbers_are_stored_in_the_package_s_bytes(void **state)
{
    (void)state;
    static const char *const types[] = {"q8_0", "q4_0", "f16", "bf16"};
    fr_gguf *file = open_file(FIXTURE);
    float numbers[2 * 512];
    memcpy(numbers, fr_gguf_find(file, "numbers")->data, sizeof numbers);
    for (int i = 0; i < 4; i++) {
        const fr_gguf_entry *wanted = tensor(file, types[i], "numbers");
        unsigned char stored[sizeof numbers];
        fr_convert(stored, wanted->dtype, numbers, FR_F32, 2 * 512);
        assert_memory_equal(stored, wanted->data, wanted->bytes);
    }
    fr_gguf_close(file);
}

/* ---- values ---- */

static int64_t integer(const fr_gguf *file, const char *key)
{
    int64_t number;
    assert_true(fr_gguf_int(fr_gguf_value_find(file, key), &number));
    return number;
}

static double real(const fr_gguf *file, const char *key)
{
    double number;
    assert_true(fr_gguf_real(fr_gguf_value_find(file, key), &number));
    return number;
}

static void test_values_of_every_kind_are_read(void **state)
{
    (void)state;
    fr_gguf *file = open_file(FIXTURE);
    bool flag = false;
    int64_t number;
    const char *text;
    size_t size;
    assert_int_equal(integer(file, "a.u8"), 200);
    assert_int_equal(integer(file, "a.i8"), -100);
    assert_int_equal(integer(file, "a.u16"), 60000);
    assert_int_equal(integer(file, "a.i16"), -30000);
    assert_int_equal(integer(file, "a.u32"), 4000000000);
    assert_int_equal(integer(file, "a.i32"), -2000000000);
    assert_true(integer(file, "a.i64") == -((int64_t)1 << 62));
    assert_true(real(file, "a.f32") == 0.5 && real(file, "a.f64") == 1e300);
    assert_true(real(file, "a.u8") == 200);
    assert_true(fr_gguf_bool(fr_gguf_value_find(file, "a.bool"), &flag) && flag);
    assert_true(fr_gguf_text(fr_gguf_value_find(file, "a.string"), &text, &size));
    assert_int_equal(size, 5);
    assert_memory_equal(text, "\xC3\xA9t\xC3\xA9", 5);
    assert_false(fr_gguf_int(fr_gguf_value_find(file, "a.u64"), &number)); /* over int64 */
    assert_false(fr_gguf_int(fr_gguf_value_find(file, "a.f32"), &number));
    assert_false(fr_gguf_text(fr_gguf_value_find(file, "a.u8"), &text, &size));
    assert_false(fr_gguf_int(fr_gguf_value_find(file, "absent"), &number));
    fr_gguf_close(file);
}

static void test_arrays_are_read_in_order(void **state)
{
    (void)state;
    fr_gguf *file = open_file(FIXTURE);
    fr_gguf_items texts = {.value = fr_gguf_value_find(file, "a.texts")},
                  ints = {.value = fr_gguf_value_find(file, "a.ints")},
                  reals = {.value = fr_gguf_value_find(file, "a.reals")};
    static const char *const wanted[] = {"one", "", "three"};
    static const int64_t numbers[] = {1, -2, 3};
    const char *text;
    size_t size;
    int64_t number;
    double value;
    for (int i = 0; i < 3; i++) {
        assert_true(fr_gguf_next_text(&texts, &text, &size));
        assert_int_equal(size, strlen(wanted[i]));
        assert_memory_equal(text, wanted[i], size);
        assert_true(fr_gguf_next_int(&ints, &number) && number == numbers[i]);
    }
    assert_false(fr_gguf_next_text(&texts, &text, &size));
    assert_false(fr_gguf_next_int(&ints, &number));
    assert_true(fr_gguf_next_real(&reals, &value) && value == 0.25);
    assert_false(fr_gguf_next_int(&reals, &number)); /* of another type */
    fr_gguf_close(file);
}

/* ---- writing ---- */

static fr_status give_ramp(const void *context, int64_t first, int64_t count, float *out,
                           fr_error *error)
{
    (void)error;
    float scale = *(const float *)context;
    for (int64_t i = 0; i < count * 64; i++)
        out[i] = scale * (float)(first * 64 + i);
    return FR_OK;
}

static fr_gguf_draft *draft_of(float scale, fr_dtype dtype)
{
    fr_gguf_draft *draft = fr_gguf_draft_create();
    fr_gguf_put_text(draft, "general.architecture", "test", 4);
    fr_gguf_put_u32(draft, "n", 7);
    fr_gguf_put_f32(draft, "x", 0.25F);
    fr_gguf_put_bool(draft, "yes", true);
    fr_gguf_put_array(draft, "list", FR_GGUF_STRING, 2);
    fr_gguf_add_text(draft, "a", 1);
    fr_gguf_add_text(draft, "bc", 2);
    fr_gguf_put_array(draft, "types", FR_GGUF_I32, 1);
    fr_gguf_add_i32(draft, -5);
    fr_gguf_put_array(draft, "scores", FR_GGUF_F32, 1);
    fr_gguf_add_f32(draft, 1.5F);
    fr_gguf_put_tensor(draft, "t.weight", dtype, 2, (const int64_t[]){3, 64}, give_ramp, &scale,
                       sizeof scale);
    fr_gguf_put_tensor(draft, "u.bias", FR_F32, 1, (const int64_t[]){64}, give_ramp, &scale,
                       sizeof scale);
    return draft;
}

static fr_status write_draft(float scale, fr_dtype dtype, fr_error *error)
{
    fr_gguf_draft *draft = draft_of(scale, dtype);
    fr_status status = fr_gguf_draft_write(draft, path, error);
    fr_gguf_draft_free(draft);
    return status;
}

static void test_what_is_written_is_read_again(void **state)
{
    (void)state;
    float scale = 0.5F, number;
    assert_int_equal(write_draft(scale, FR_F32, NULL), FR_OK);
    fr_gguf *file = open_file(path);
    assert_int_equal(fr_gguf_count(file), 2);
    assert_int_equal(fr_gguf_value_count(file), 7);
    assert_string_equal(fr_gguf_value_at(file, 1)->key, "n");
    assert_int_equal(integer(file, "n"), 7);
    const fr_gguf_entry *t = fr_gguf_find(file, "t.weight"), *u = fr_gguf_at(file, 1);
    assert_int_equal(t->shape[0], 3);
    assert_int_equal(t->shape[1], 64);
    assert_string_equal(u->name, "u.bias");
    assert_int_equal((uintptr_t)u->data % 32, 0);
    memcpy(&number, (const char *)t->data + 191 * sizeof number, sizeof number);
    assert_true(number == 95.5F);
    fr_gguf_close(file);
}

static void test_numbers_that_do_not_fit_their_type_are_named(void **state)
{
    (void)state;
    fr_error error = {0};
    assert_int_equal(write_draft(1000, FR_F16, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "t.weight"));
    assert_non_null(strstr(error.message, "f16"));
    assert_int_equal(write_draft(INFINITY, FR_Q8_0, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "q8_0"));
    assert_int_equal(write_draft(1, FR_Q4_K, &error), FR_WRONG_CALL); /* rows of 64 */
    assert_non_null(strstr(error.message, "whole blocks"));
}

static void test_a_key_or_a_name_is_not_written_twice(void **state)
{
    (void)state;
    float scale = 1;
    fr_error error = {0};
    fr_gguf_draft *draft = draft_of(scale, FR_F32);
    fr_gguf_put_bool(draft, "n", false);
    assert_int_equal(fr_gguf_draft_write(draft, path, &error), FR_WRONG_CALL);
    fr_gguf_draft_free(draft);
    draft = draft_of(scale, FR_F32);
    fr_gguf_put_tensor(draft, "u.bias", FR_F32, 1, (const int64_t[]){64}, give_ramp, &scale,
                       sizeof scale);
    assert_int_equal(fr_gguf_draft_write(draft, path, &error), FR_WRONG_CALL);
    assert_non_null(strstr(error.message, "u.bias"));
    fr_gguf_draft_free(draft);
}

/* ---- lies ---- */

/* A file in the making, by its parts. */
static void number(fr_buffer *out, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        fr_buffer_append(out, &(char){(char)(value >> (8 * i))}, 1);
}

static void word(fr_buffer *out, const char *text)
{
    number(out, strlen(text), 8);
    fr_buffer_text(out, text);
}

static void head(fr_buffer *out, uint64_t tensors, uint64_t values)
{
    fr_buffer_text(out, "GGUF");
    number(out, 3, 4);
    number(out, tensors, 8);
    number(out, values, 8);
}

static void describe(fr_buffer *out, const char *name, uint64_t extent, uint64_t type,
                     uint64_t offset)
{
    word(out, name);
    number(out, 1, 4);
    number(out, extent, 8);
    number(out, type, 4);
    number(out, offset, 8);
}

static void data(fr_buffer *out, size_t size)
{
    while (out->size % 32)
        fr_buffer_append(out, "", 1);
    for (size_t i = 0; i < size; i++)
        fr_buffer_append(out, "", 1);
}

/* The file is refused with words that hold `part`; the buffer ends. */
static void refused(fr_buffer *out, fr_status status, const char *part)
{
    fr_gguf *file;
    fr_error error = {0};
    assert_false(out->failed);
    assert_int_equal(fr_file_write(path, out->data, out->size, NULL), FR_OK);
    assert_int_equal(fr_gguf_open(&file, path, &error), status);
    assert_null(file);
    if (!strstr(error.message, part))
        fail_msg("'%s' does not say '%s'", error.message, part);
    fr_buffer_free(out);
}

static void test_other_files_and_versions_are_refused(void **state)
{
    (void)state;
    fr_buffer out = {0};
    fr_buffer_text(&out, "GGML....");
    refused(&out, FR_BAD_INPUT, "no GGUF");
    fr_buffer_text(&out, "GGUF");
    number(&out, 1, 4);
    refused(&out, FR_UNSUPPORTED, "version 1");
    fr_buffer_text(&out, "GGUF");
    number(&out, 3 << 24, 4);
    refused(&out, FR_UNSUPPORTED, "big-endian");
    fr_buffer_text(&out, "GGUF");
    number(&out, 3, 4);
    number(&out, 0, 5);
    refused(&out, FR_BAD_INPUT, "number of tensors");
}

static void test_counts_that_the_file_cannot_hold_are_refused(void **state)
{
    (void)state;
    fr_buffer out = {0};
    head(&out, (uint64_t)1 << 60, 0);
    refused(&out, FR_BAD_INPUT, "tensors are claimed");
    head(&out, 0, (uint64_t)1 << 60);
    refused(&out, FR_BAD_INPUT, "values are claimed");
    head(&out, 0, 1);
    number(&out, UINT64_MAX, 8);
    number(&out, 0, 8);
    refused(&out, FR_BAD_INPUT, "a key");
    head(&out, 0, 1);
    word(&out, "list");
    number(&out, FR_GGUF_ARRAY, 4);
    number(&out, FR_GGUF_F64, 4);
    number(&out, UINT64_MAX / 4, 8);
    refused(&out, FR_BAD_INPUT, "an array");
}

static void test_values_of_unknown_types_or_too_deep_are_refused(void **state)
{
    (void)state;
    fr_buffer out = {0};
    head(&out, 0, 1);
    word(&out, "odd");
    number(&out, 13, 4);
    number(&out, 0, 8);
    refused(&out, FR_UNSUPPORTED, "'odd' has type 13");
    head(&out, 0, 1);
    word(&out, "half");
    number(&out, FR_GGUF_BOOL, 4);
    number(&out, 2, 1);
    refused(&out, FR_BAD_INPUT, "a bool is 0 or 1");
    head(&out, 0, 1);
    word(&out, "deep");
    number(&out, FR_GGUF_ARRAY, 4);
    for (int i = 0; i < 20; i++) {
        number(&out, FR_GGUF_ARRAY, 4);
        number(&out, 1, 8);
    }
    refused(&out, FR_UNSUPPORTED, "nested");
}

static void test_keys_and_names_that_come_twice_are_refused(void **state)
{
    (void)state;
    fr_buffer out = {0};
    head(&out, 0, 2);
    for (int i = 0; i < 2; i++) {
        word(&out, "same");
        number(&out, FR_GGUF_U8, 4);
        number(&out, 1, 1);
    }
    refused(&out, FR_BAD_INPUT, "'same' comes twice");
    head(&out, 2, 0);
    describe(&out, "t", 8, 0, 0);
    describe(&out, "t", 8, 0, 32);
    data(&out, 64);
    refused(&out, FR_BAD_INPUT, "'t' comes twice");
}

static void test_tensors_that_overlap_leave_holes_or_the_file_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t second;
        size_t bytes;
        const char *part;
    } lies[] = {{0, 64, "overlap"},
                {64, 96, "leave a hole"},
                {32, 48, "claims"},
                {33, 65, "multiple of 32"},
                {(uint64_t)0 - 32, 64, "claims"},
                {32, 128, "behind its last tensor"}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        fr_buffer out = {0};
        head(&out, 2, 0);
        describe(&out, "one", 8, 0, 0);
        describe(&out, "two", 8, 0, lies[i].second);
        data(&out, lies[i].bytes);
        refused(&out, FR_BAD_INPUT, lies[i].part);
    }
}

static void test_impossible_tensors_are_refused(void **state)
{
    (void)state;
    fr_buffer out = {0};
    head(&out, 1, 0);
    describe(&out, "five", 32, 6, 0);
    refused(&out, FR_UNSUPPORTED, "type Q5_0");
    head(&out, 1, 0);
    describe(&out, "new", 32, 99, 0);
    refused(&out, FR_UNSUPPORTED, "unknown (99)");
    head(&out, 1, 0);
    describe(&out, "large", (uint64_t)1 << 62, 0, 0);
    refused(&out, FR_BAD_INPUT, "impossible shape");
    head(&out, 1, 0);
    describe(&out, "none", 0, 0, 0);
    refused(&out, FR_BAD_INPUT, "impossible shape");
    head(&out, 1, 0);
    describe(&out, "part", 33, 8, 0);
    refused(&out, FR_BAD_INPUT, "whole blocks");
    head(&out, 1, 0);
    word(&out, "axes");
    number(&out, 7, 4);
    number(&out, 0, 8);
    number(&out, 0, 4);
    refused(&out, FR_UNSUPPORTED, "7 axes");
}

static void test_the_alignment_must_be_a_power_of_two(void **state)
{
    (void)state;
    static const uint64_t wrong[] = {0, 24, (uint64_t)1 << 31};
    for (int i = 0; i < 3; i++) {
        fr_buffer out = {0};
        head(&out, 0, 1);
        word(&out, "general.alignment");
        number(&out, FR_GGUF_U32, 4);
        number(&out, wrong[i], 4);
        refused(&out, FR_BAD_INPUT, "power of two");
    }
}

static void test_a_path_means_its_file_or_the_only_one_of_a_folder(void **state)
{
    (void)state;
    char *found, other[300];
    fr_error error = {0};
    assert_int_equal(write_draft(1, FR_F32, NULL), FR_OK);
    assert_int_equal(fr_gguf_locate(path, &found, NULL), FR_OK);
    assert_string_equal(found, path);
    fr_free(found);
    assert_int_equal(fr_gguf_locate(folder, &found, NULL), FR_OK);
    assert_string_equal(found, path);
    fr_free(found);
    snprintf(other, sizeof other, "%s/b.gguf", folder);
    assert_int_equal(fr_file_write(other, "GGUF", 4, NULL), FR_OK);
    assert_int_equal(fr_gguf_locate(folder, &found, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "several"));
    snprintf(other, sizeof other, "%s/config.json", folder);
    assert_int_equal(fr_file_write(other, "{}", 2, NULL), FR_OK);
    assert_int_equal(fr_gguf_locate(folder, &found, NULL), FR_OK);
    assert_null(found);
    assert_int_equal(fr_gguf_locate("meson.build", &found, NULL), FR_OK);
    assert_null(found);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_blocks_of_any_bytes_are_read_as_the_package_reads_them),
        TEST(test_numbers_are_stored_in_the_package_s_bytes),
        TEST(test_values_of_every_kind_are_read),
        TEST(test_arrays_are_read_in_order),
        TEST(test_what_is_written_is_read_again),
        TEST(test_numbers_that_do_not_fit_their_type_are_named),
        TEST(test_a_key_or_a_name_is_not_written_twice),
        TEST(test_other_files_and_versions_are_refused),
        TEST(test_counts_that_the_file_cannot_hold_are_refused),
        TEST(test_values_of_unknown_types_or_too_deep_are_refused),
        TEST(test_keys_and_names_that_come_twice_are_refused),
        TEST(test_tensors_that_overlap_leave_holes_or_the_file_are_refused),
        TEST(test_impossible_tensors_are_refused),
        TEST(test_the_alignment_must_be_a_power_of_two),
        TEST(test_a_path_means_its_file_or_the_only_one_of_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
