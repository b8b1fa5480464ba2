/* Memory that runs out at every allocation in turn: each function says so (or does without), crashes nowhere and keeps nothing. The
   library takes all its memory through aligned_alloc, which this program replaces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long allocations_left = -1; /* -1: no limit */
static bool ran_out;

void *aligned_alloc(size_t alignment, size_t size)
{
    void *block = NULL;
    if (allocations_left == 0) {
        ran_out = true;
        return NULL;
    }
    if (allocations_left > 0)
        allocations_left--;
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

/* Runs `work` with 0, 1, 2, ... allocations until it gets along; it returns its status. */
static void starve(fr_status (*work)(fr_error *error))
{
    size_t before = fr_memory_now(FR_MEMORY_OTHER);
    for (long allowed = 0; allowed < 100000; allowed++) {
        fr_error error = {0};
        allocations_left = allowed;
        ran_out = false;
        fr_status status = work(&error);
        allocations_left = -1;
        assert_int_equal(fr_memory_now(FR_MEMORY_OTHER), before);
        if (!ran_out) {
            assert_int_equal(status, FR_OK);
            assert_true(allowed > 0);
            return;
        }
        if (status != FR_OK) {
            assert_int_equal(status, FR_NO_MEMORY);
            assert_int_equal(error.status, FR_NO_MEMORY);
            assert_non_null(strstr(error.message, "memory"));
        }
    }
    fail_msg("no number of allocations is enough");
}

typedef struct sample {
    char *text;
    fr_strings texts;
    fr_floats numbers;
} sample;

static void defaults(void *o)
{
    ((sample *)o)->text = fr_string_copy("usual");
}

static const fr_option options[] = {
    {"text", FR_OPTION_STRING, offsetof(sample, text), NULL, 0, 0, NULL, "."},
    {"texts", FR_OPTION_STRINGS, offsetof(sample, texts), NULL, 0, 0, NULL, "."},
    {"numbers", FR_OPTION_FLOATS, offsetof(sample, numbers), NULL, 0, 0, NULL, "."},
};
static const fr_option_table table = {"sample", options, 3, sizeof(sample), defaults};

static const char text[] = "s: {text: a, texts: [b, c], numbers: [1, 2]}\nt: [{a: 1}, {b: 2}]\n";

static fr_status read_sample(fr_recipe *recipe, fr_error *error)
{
    sample s = {0};
    FR_TRY(fr_recipe_set_word(recipe, "s.text=other", error));
    FR_TRY(fr_recipe_set_word(recipe, "new.deep.texts=[d, e]", error));
    FR_TRY(fr_options_read(&table, &s, fr_recipe_section(recipe, "s"), false, NULL, error));
    fr_status status = fr_options_set(&table, &s, "texts", "f", error);
    if (status == FR_OK)
        status = fr_options_set(&table, &s, "numbers", "[1, 2]", error);
    fr_buffer out = {0};
    fr_options_write_yaml(&table, &s, 0, &out);
    fr_options_write_help(&table, NULL, true, &out);
    if (status == FR_OK && out.failed)
        status = fr_fail(error, FR_NO_MEMORY, "no memory to write");
    fr_buffer_free(&out);
    fr_options_free(&table, &s);
    return status;
}

static fr_status work_with_a_recipe(fr_error *error)
{
    fr_recipe *recipe;
    FR_TRY(fr_recipe_parse(&recipe, text, sizeof text - 1, "r.yaml", error));
    fr_status status = read_sample(recipe, error);
    fr_recipe_free(recipe);
    return status;
}

static void test_recipes_and_options(void **state)
{
    (void)state;
    starve(work_with_a_recipe);
}

static char folder[128];

static fr_status work_with_files(fr_error *error)
{
    char path[192], inner[192], *data;
    size_t size;
    uint64_t hash;
    fr_lock *lock;
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(inner, sizeof inner, "%s/a/b", folder);
    FR_TRY(fr_folder_create(inner, error));
    FR_TRY(fr_lock_folder(&lock, folder, error));
    fr_status status = fr_file_write(path, text, sizeof text, error);
    fr_lock_release(lock);
    FR_TRY(status);
    FR_TRY(fr_file_hash(path, &hash, error));
    FR_TRY(fr_file_read(path, 0, &data, &size, error));
    fr_free(data);
    return FR_OK;
}

static void test_files(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/frugal-no-memory-XXXXXX", parent ? parent : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    starve(work_with_files);
    char path[192];
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/.lock", folder);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/a", folder);
    assert_int_equal(fr_folder_remove(path, NULL), FR_OK);
    assert_int_equal(rmdir(folder), 0); /* no temporary file was left in it */
}

static fr_status work_with_an_arena(fr_error *error)
{
    fr_arena *arena = fr_arena_create(FR_MEMORY_OTHER);
    fr_status status = arena ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for an arena");
    for (int step = 0; step < 3 && arena; step++) {
        for (int i = 0; i < 5; i++) {
            char *block = fr_arena_alloc(arena, 700000);
            if (block)
                memset(block, step, 700000);
            else
                status = fr_fail(error, FR_NO_MEMORY, "no memory in an arena");
        }
        fr_arena_reset(arena);
    }
    fr_arena_destroy(arena);
    return status;
}

static void test_arenas(void **state)
{
    (void)state;
    starve(work_with_an_arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipes_and_options),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_arenas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
