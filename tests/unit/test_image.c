/* test_image.c: pictures are read as Pillow reads them and made ready as transformers' image processors do it
   (tests/fixtures/make_pictures.py); what is broken, too large or not supported is refused with the reason. */
#include "frugal/formats.h"
#include "frugal/image.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICTURES "tests/fixtures/pictures/"
enum { MOST_PATH = 256 };

static void must(fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s", error->message);
}

static fr_safetensors *expected(void)
{
    fr_safetensors *file;
    fr_error error = {0};
    must(fr_safetensors_open(&file, PICTURES "expected.safetensors", &error), &error);
    return file;
}

static const char *path_of(const char *name, char path[MOST_PATH])
{
    snprintf(path, MOST_PATH, PICTURES "%s", name);
    return path;
}

/* ---- reading ---- */

static void test_every_kind_of_picture_is_read_as_pillow_reads_it(void **state)
{
    (void)state;
    fr_safetensors *file = expected();
    int seen = 0;
    for (size_t i = 0; i < fr_safetensors_count(file); i++) {
        const fr_safetensors_entry *entry = fr_safetensors_at(file, i);
        char path[MOST_PATH];
        fr_image image;
        fr_error error = {0};
        if (strncmp(entry->name, "rgb.", 4) != 0)
            continue;
        must(fr_image_load(&image, path_of(entry->name + 4, path), &error), &error);
        if (image.height != entry->shape[0] || image.width != entry->shape[1])
            fail_msg("%s has %lld x %lld pixels", path, (long long)image.width,
                     (long long)image.height);
        if (memcmp(image.pixels, entry->data, entry->bytes) != 0)
            fail_msg("%s has other pixels", path);
        fr_image_free(&image);
        seen++;
    }
    assert_true(seen >= 25);
    fr_safetensors_close(file);
}

static char *read_file(const char *name, size_t *size)
{
    char path[MOST_PATH], *data;
    fr_error error = {0};
    must(fr_file_read(path_of(name, path), 1 << 20, &data, size, &error), &error);
    return data;
}

static void assert_refused(const void *data, size_t size, const char *why)
{
    fr_image image;
    fr_error error = {0};
    assert_int_not_equal(fr_image_decode(&image, data, size, "picture", &error), FR_OK);
    if (!strstr(error.message, why))
        fail_msg("'%s' where '%s' was expected", error.message, why);
    assert_null(image.pixels);
}

static void test_pictures_that_end_too_early_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.png",         "indexed_clear.png", "plain.jpg",
                                        "progressive.jpg", "inks.jpg",          "lossy.webp",
                                        "alpha.webp"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        size_t size;
        char *data = read_file(names[n], &size);
        for (size_t kept = 0; kept + 12 < size; kept++) {
            char *part = malloc(kept + 1); /* of that size, so that reading on is seen */
            fr_image image;
            fr_error error = {0};
            memcpy(part, data, kept);
            if (fr_image_decode(&image, part, kept, names[n], &error) == FR_OK)
                fail_msg("%s is read from its first %zu of %zu bytes", names[n], kept, size);
            free(part);
        }
        fr_free(data);
    }
}

static void test_what_is_no_picture_is_refused_whatever_it_is_called(void **state)
{
    (void)state;
    char path[MOST_PATH];
    fr_image image;
    fr_error error = {0};
    assert_refused("GIF89a", 6, "not a picture that can be read");
    assert_refused("", 0, "not a picture that can be read");
    assert_int_equal(fr_image_load(&image, path_of("processors.json", path), &error),
                     FR_UNSUPPORTED);
    assert_int_not_equal(fr_image_load(&image, path_of("none.png", path), &error), FR_OK);
}

/* Headers of pictures that would fill the memory. */
static void test_sizes_are_checked_before_anything_is_decoded(void **state)
{
    (void)state;
    size_t size;
    char *png = read_file("rgb.png", &size);
    memcpy(png + 16, "\x00\x00\xff\xff\x00\x00\xff\xff", 8); /* IHDR's width and height ... */
    memcpy(png + 29, "\x39\x67\x4e\x07", 4);                 /* ... and its checksum */
    assert_refused(png, size, "65535 x 65535");
    fr_free(png);
    char *jpeg = read_file("plain.jpg", &size);
    for (size_t i = 0; i + 9 < size; i++)
        if (memcmp(jpeg + i, "\xff\xc0", 2) == 0) {
            memcpy(jpeg + i + 5, "\xff\xdc\xff\xdc", 4);
            break;
        }
    assert_refused(jpeg, size, "65500 x 65500");
    fr_free(jpeg);
}

/* ---- processing ---- */

static void test_pictures_are_made_ready_as_transformers_does_it(void **state)
{
    (void)state;
    fr_safetensors *file = expected();
    json_t *cases = json_load_file(PICTURES "processors.json", 0, NULL);
    assert_true(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        char *text = json_dumps(json_object_get(one, "config"), 0);
        char path[MOST_PATH], name[32];
        fr_image_processor *processor;
        fr_error error = {0};
        float *pixels;
        int64_t shape[3];
        must(fr_image_processor_parse(&processor, text, strlen(text), NULL, "case", &error),
             &error);
        path_of(json_string_value(json_object_get(one, "picture")), path);
        must(fr_image_read(processor, path, &pixels, shape, &error), &error);
        snprintf(name, sizeof name, "pixels.%zu", i);
        const fr_safetensors_entry *entry = fr_safetensors_find(file, name);
        assert_memory_equal(shape, entry->shape, sizeof shape);
        const float *wanted = entry->data;
        for (int64_t k = 0; k < shape[0] * shape[1] * shape[2]; k++)
            if (!(fabsf(pixels[k] - wanted[k]) <= 1e-6F * fmaxf(1, fabsf(wanted[k]))))
                fail_msg("case %zu, number %lld: %g, expected %g", i, (long long)k,
                         (double)pixels[k], (double)wanted[k]);
        fr_free(pixels);
        fr_image_processor_free(processor);
        free(text);
    }
    json_decref(cases);
    fr_safetensors_close(file);
}

static void test_what_a_processor_cannot_do_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *type, *why;
    } cases[] = {
        {"{\"image_processor_type\":\"Mask2FormerImageProcessor\"}", NULL, "Mask2Former"},
        {"{}", NULL, "no image processor"},
        {"{}", "bert", "model_type 'bert'"},
        {"{\"do_pad\":true}", "vit", "do_pad"},
        {"{\"do_flip_channel_order\":false}", "vit", "do_flip_channel_order"},
        {"{\"size\":{\"longest_edge\":9}}", "vit", "size.longest_edge"},
        {"{\"size\":{\"height\":9}}", "vit", "size must have"},
        {"{\"size\":{\"height\":9,\"width\":9,\"shortest_edge\":9}}", "vit", "size must have"},
        {"{\"size\":\"big\"}", "vit", "size"},
        {"{\"size\":-3}", "vit", "size"},
        {"{\"size\":99999999999999999999}", "vit", "size"},
        {"{\"resample\":6}", "vit", "resample"},
        {"{\"image_mean\":[0,0]}", "vit", "image_mean"},
        {"{\"image_std\":[1,0,1]}", "vit", "image_std"},
        {"{\"data_format\":\"channels_last\"}", "vit", "data_format"},
        {"{\"do_center_crop\":true}", "vit", "crop_size"},
        {"{\"do_resize\":1}", "vit", "do_resize"},
        {"[]", "vit", "object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fr_image_processor *processor;
        fr_error error = {0};
        fr_status status = fr_image_processor_parse(
            &processor, cases[i].text, strlen(cases[i].text), cases[i].type, "p.json", &error);
        if (status == FR_OK || !strstr(error.message, cases[i].why))
            fail_msg("%s gives '%s', expected '%s'", cases[i].text, error.message, cases[i].why);
    }
}

static void test_a_processor_that_is_written_does_the_same(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    char folder[MOST_PATH], path[MOST_PATH];
    snprintf(folder, sizeof folder, "%s/frugal-image-XXXXXX", base ? base : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    assert_false(fr_image_processor_exists(folder));
    fr_error error = {0};
    static const char text[] = "{\"image_processor_type\":\"CLIPFeatureExtractor\",\"size\":7,"
                               "\"crop_size\":6,\"resample\":2,\"image_std\":[0.3,0.2,0.7]}";
    fr_image_processor *first, *second;
    must(fr_image_processor_parse(&first, text, strlen(text), NULL, "p.json", &error), &error);
    must(fr_image_processor_save(first, folder, &error), &error);
    assert_true(fr_image_processor_exists(folder));
    must(fr_image_processor_load(&second, folder, &error), &error);
    float *a, *b;
    int64_t shape[3];
    must(fr_image_read(first, path_of("rgb.png", path), &a, shape, &error), &error);
    must(fr_image_read(second, path, &b, shape, &error), &error);
    assert_int_equal(shape[1], 6);
    assert_memory_equal(a, b, (size_t)(shape[0] * shape[1] * shape[2]) * sizeof *a);
    fr_free(a);
    fr_free(b);
    fr_image_processor_free(first);
    fr_image_processor_free(second);
    must(fr_folder_remove(folder, &error), &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_picture_is_read_as_pillow_reads_it),
        cmocka_unit_test(test_pictures_that_end_too_early_are_refused),
        cmocka_unit_test(test_what_is_no_picture_is_refused_whatever_it_is_called),
        cmocka_unit_test(test_sizes_are_checked_before_anything_is_decoded),
        cmocka_unit_test(test_pictures_are_made_ready_as_transformers_does_it),
        cmocka_unit_test(test_what_a_processor_cannot_do_is_refused_by_name),
        cmocka_unit_test(test_a_processor_that_is_written_does_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
