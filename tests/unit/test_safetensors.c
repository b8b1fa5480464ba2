/* test_safetensors.c: files come back as they were written, and files that lie are refused. */
#include "frugal/formats.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[256], path[300];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/frugal-safetensors-XXXXXX", base ? base : P_tmpdir);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return fr_folder_remove(folder, NULL) == FR_OK ? 0 : -1;
}

/* ---- whole files ---- */

static fr_tensor *tensor_of(fr_dtype dtype, int rank, const int64_t *shape, const void *numbers)
{
    fr_tensor *tensor = fr_tensor_create(dtype, rank, shape, FR_MEMORY_OTHER);
    assert_non_null(tensor);
    memcpy(fr_tensor_host(tensor), numbers, fr_tensor_bytes(tensor));
    return tensor;
}

static void write_example(void)
{
    const float numbers[6] = {1, -2, 3.5f, 0.1f, 1e30f, -0.0f};
    const uint8_t bytes[3] = {1, 2, 255};
    const int64_t ids[2] = {-5, INT64_MAX};
    fr_tensor *a = tensor_of(FR_F32, 2, (const int64_t[]){2, 3}, numbers);
    fr_tensor *b = tensor_of(FR_U8, 1, (const int64_t[]){3}, bytes);
    fr_tensor *c = tensor_of(FR_I64, 1, (const int64_t[]){2}, ids);
    const fr_safetensors_item items[] = {{"bytes", b, FR_F32, false},
                                         {"a.weight", a, FR_F32, false},
                                         {"a.half", a, FR_BF16, false},
                                         {"a.turned", a, FR_F32, true},
                                         {"ids", c, FR_F32, false}};
    const char *const metadata[] = {"format", "pt", "note", "\"quoted\"", NULL};
    fr_error error = {0};
    uint64_t hash = 0, again = 1;
    assert_int_equal(fr_safetensors_write(path, items, 5, metadata, &hash, &error), FR_OK);
    assert_int_equal(fr_file_hash(path, &again, NULL), FR_OK);
    assert_int_equal(hash, again);
    fr_tensor_free(a);
    fr_tensor_free(b);
    fr_tensor_free(c);
}

static void test_what_was_written_is_read(void **state)
{
    (void)state;
    write_example();
    fr_safetensors *file;
    fr_error error = {0};
    assert_int_equal(fr_safetensors_open(&file, path, &error), FR_OK);
    assert_int_equal(fr_safetensors_count(file), 5);
    assert_string_equal(fr_safetensors_metadata(file, "note"), "\"quoted\"");
    assert_null(fr_safetensors_metadata(file, "absent"));
    assert_null(fr_safetensors_find(file, "absent"));
    const fr_safetensors_entry *entry = fr_safetensors_find(file, "a.weight");
    assert_non_null(entry);
    assert_int_equal(entry->dtype, FR_F32);
    assert_int_equal(entry->rank, 2);
    assert_int_equal(entry->shape[1], 3);
    const float expected[6] = {1, -2, 3.5f, 0.1f, 1e30f, -0.0f};
    assert_memory_equal(entry->data, expected, sizeof expected);
    const float turned[6] = {1, 0.1f, -2, 1e30f, 3.5f, -0.0f};
    entry = fr_safetensors_find(file, "a.turned");
    assert_int_equal(entry->shape[0], 3);
    assert_memory_equal(entry->data, turned, sizeof turned);
    entry = fr_safetensors_find(file, "a.half");
    assert_int_equal(entry->dtype, FR_BF16);
    const uint16_t half[2] = {0x3f80, 0xc000}; /* 1, -2 */
    assert_memory_equal(entry->data, half, sizeof half);
    assert_int_equal(fr_safetensors_find(file, "ids")->dtype, FR_I64);
    fr_safetensors_close(file);
}

static void test_every_tensor_is_aligned_to_its_element(void **state)
{
    (void)state;
    write_example();
    fr_safetensors *file;
    assert_int_equal(fr_safetensors_open(&file, path, NULL), FR_OK);
    for (size_t i = 0; i < fr_safetensors_count(file); i++) {
        const fr_safetensors_entry *entry = fr_safetensors_at(file, i);
        assert_int_equal((uintptr_t)entry->data % fr_dtype_size(entry->dtype), 0);
    }
    fr_safetensors_close(file);
}

static void test_many_numbers_are_converted_in_chunks(void **state)
{
    (void)state;
    const int64_t shape[] = {300, 701};
    fr_tensor *a = fr_tensor_create(FR_F32, 2, shape, FR_MEMORY_OTHER);
    float *numbers = fr_tensor_host(a);
    fr_random_fill_normal(numbers, 300 * 701, 1, 7, FR_RANDOM_TEST, 0);
    const fr_safetensors_item items[] = {{"half", a, FR_F16, false}, {"turned", a, FR_F32, true}};
    assert_int_equal(fr_safetensors_write(path, items, 2, NULL, NULL, NULL), FR_OK);
    fr_safetensors *file;
    assert_int_equal(fr_safetensors_open(&file, path, NULL), FR_OK);
    uint16_t *half = malloc(2 * 300 * 701);
    fr_convert(half, FR_F16, numbers, FR_F32, 300 * 701);
    assert_memory_equal(fr_safetensors_find(file, "half")->data, half, 2 * 300 * 701);
    const float *turned = fr_safetensors_find(file, "turned")->data;
    for (int i = 0; i < 300; i++)
        for (int j = 0; j < 701; j++)
            assert_true(turned[j * 300 + i] == numbers[i * 701 + j]);
    free(half);
    fr_safetensors_close(file);
    fr_tensor_free(a);
}

static void test_rows_longer_than_a_chunk_are_turned(void **state)
{
    (void)state;
    const int64_t shape[] = {70001, 3};
    fr_tensor *a = fr_tensor_create(FR_F32, 2, shape, FR_MEMORY_OTHER);
    float *numbers = fr_tensor_host(a);
    for (int i = 0; i < 70001 * 3; i++)
        numbers[i] = (float)i;
    const fr_safetensors_item items[] = {{"turned", a, FR_F32, true}};
    assert_int_equal(fr_safetensors_write(path, items, 1, NULL, NULL, NULL), FR_OK);
    fr_safetensors *file;
    assert_int_equal(fr_safetensors_open(&file, path, NULL), FR_OK);
    const float *turned = fr_safetensors_find(file, "turned")->data;
    for (int i = 0; i < 70001; i++)
        for (int j = 0; j < 3; j++)
            assert_true(turned[j * 70001 + i] == numbers[i * 3 + j]);
    fr_safetensors_close(file);
    fr_tensor_free(a);
}

static void test_two_tensors_of_one_name_are_not_written(void **state)
{
    (void)state;
    const int64_t one = 1;
    fr_tensor *a = fr_tensor_create(FR_F32, 1, &one, FR_MEMORY_OTHER);
    const fr_safetensors_item items[] = {{"a", a, FR_F32, false}, {"a", a, FR_F32, false}};
    unlink(path);
    assert_int_equal(fr_safetensors_write(path, items, 2, NULL, NULL, NULL), FR_WRONG_CALL);
    assert_false(fr_path_exists(path));
    fr_tensor_free(a);
}

/* ---- lies ---- */

static void write_raw(const char *header, size_t header_size, uint64_t claimed, size_t data)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    for (int i = 0; i < 8; i++)
        fputc((int)(claimed >> (8 * i) & 255), out);
    fwrite(header, 1, header_size, out);
    for (size_t i = 0; i < data; i++)
        fputc((int)(i & 255), out);
    assert_int_equal(fclose(out), 0);
}

static void test_files_that_lie_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *reason;
    } lies[] = {
        {"[]", 0, "not a JSON object"},
        {"{\"a\":1}", 0, "not an object"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", 8, "header, byte"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "F8_E4M3"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8,
         "unknown key"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "two integers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "claims bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "claims bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "claims bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 12, "end at 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "need 12"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "not a count"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "not a count"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0,
         "impossible"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
         "impossible"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
         "7 axes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
         3, "hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "duplicate"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
        {"{\"__metadata__\":[]}", 0, "not an object"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        size_t size = strlen(lies[i].header);
        write_raw(lies[i].header, size, size, lies[i].data);
        fr_safetensors *file = (fr_safetensors *)path;
        fr_error error = {0};
        fr_status status = fr_safetensors_open(&file, path, &error);
        assert_true(status == FR_BAD_INPUT || status == FR_UNSUPPORTED);
        assert_null(file);
        assert_non_null(strstr(error.message, path));
        if (!strstr(error.message, lies[i].reason))
            fail_msg("'%s' does not say '%s'", error.message, lies[i].reason);
    }
}

static void test_a_header_longer_than_the_file_is_refused(void **state)
{
    (void)state;
    static const uint64_t claims[] = {3, 99999999, 100000001, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        write_raw("{}", 2, claims[i], 0);
        fr_safetensors *file;
        fr_error error = {0};
        assert_int_equal(fr_safetensors_open(&file, path, &error), FR_BAD_INPUT);
        assert_non_null(strstr(error.message, "truncated"));
    }
}

static void test_a_missing_and_an_empty_file_are_refused(void **state)
{
    (void)state;
    fr_safetensors *file;
    unlink(path);
    assert_int_not_equal(fr_safetensors_open(&file, path, NULL), FR_OK);
    assert_int_equal(fr_file_write(path, "", 0, NULL), FR_OK);
    assert_int_equal(fr_safetensors_open(&file, path, NULL), FR_BAD_INPUT);
}

static void test_deep_nesting_does_not_exhaust_the_stack(void **state)
{
    (void)state;
    size_t depth = 200000;
    char *header = malloc(depth);
    memset(header, '[', depth);
    write_raw(header, depth, depth, 0);
    free(header);
    fr_safetensors *file;
    assert_int_equal(fr_safetensors_open(&file, path, NULL), FR_BAD_INPUT);
}

/* Read everything that an accepted file offers: what lies outside the map would be caught. */
static unsigned touch(const fr_safetensors *file)
{
    unsigned sum = 0;
    for (size_t i = 0; i < fr_safetensors_count(file); i++) {
        const fr_safetensors_entry *entry = fr_safetensors_at(file, i);
        const unsigned char *data = entry->data;
        for (size_t k = 0; k < entry->bytes; k++)
            sum += data[k];
        assert_ptr_equal(fr_safetensors_find(file, entry->name), entry);
    }
    return sum;
}

static void test_random_damage_is_refused_or_harmless(void **state)
{
    (void)state;
    write_example();
    char *original;
    size_t size;
    assert_int_equal(fr_file_read(path, 0, &original, &size, NULL), FR_OK);
    char *damaged = malloc(size),
         memory[64]; /* a file in memory: six thousand on a disk take a minute */
    int descriptor = memfd_create("damaged", 0);
    assert_true(descriptor >= 0);
    snprintf(memory, sizeof memory, "/proc/self/fd/%d", descriptor);
    unsigned refused = 0, accepted = 0;
    for (uint64_t round = 0; round < 6000; round++) {
        uint32_t bits[4];
        fr_random_bits(3, FR_RANDOM_TEST, round, 0, bits);
        memcpy(damaged, original, size);
        size_t kept = round % 5 == 0 ? bits[3] % size : size;
        for (unsigned change = 0; change <= bits[0] % 3; change++) {
            uint32_t more[4];
            fr_random_bits(3, FR_RANDOM_TEST, round, 1 + change, more);
            /* mostly digits and brackets where the header is: near misses go deepest */
            damaged[more[0] % (round % 2 ? size : 430)] =
                more[1] % 2 ? "0123456789[]{},:\""[more[2] % 17] : (char)(more[2] & 255);
        }
        assert_int_equal(ftruncate(descriptor, (off_t)kept), 0);
        assert_int_equal(pwrite(descriptor, damaged, kept, 0), (ssize_t)kept);
        fr_safetensors *file;
        fr_error error = {0};
        if (fr_safetensors_open(&file, memory, &error) == FR_OK) {
            accepted++;
            touch(file);
            fr_safetensors_close(file);
        } else {
            refused++;
            assert_true(error.message[0] != 0);
        }
    }
    assert_true(refused > 3000 && accepted > 100); /* both ways were walked */
    close(descriptor);
    free(damaged);
    fr_free(original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_every_tensor_is_aligned_to_its_element),
        cmocka_unit_test(test_many_numbers_are_converted_in_chunks),
        cmocka_unit_test(test_rows_longer_than_a_chunk_are_turned),
        cmocka_unit_test(test_two_tensors_of_one_name_are_not_written),
        cmocka_unit_test(test_files_that_lie_are_refused_with_the_reason),
        cmocka_unit_test(test_a_header_longer_than_the_file_is_refused),
        cmocka_unit_test(test_a_missing_and_an_empty_file_are_refused),
        cmocka_unit_test(test_deep_nesting_does_not_exhaust_the_stack),
        cmocka_unit_test(test_random_damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests_name("safetensors", tests, make_folder, remove_folder);
}
