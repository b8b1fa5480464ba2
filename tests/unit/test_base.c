/* The core that every room stands on: errors, memory, arenas, buffers, random numbers, files that appear whole, locks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/base.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- a folder per test program ---- */

static char root[128];

static char *in_root(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ & 3];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static int make_root(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/frugal-base-XXXXXX", parent ? parent : P_tmpdir);
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return fr_folder_remove(root, NULL) == FR_OK && !fr_path_exists(root) ? 0 : -1;
}

static int files_in(const char *folder)
{
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    int count = -2;
    while (readdir(stream))
        count++;
    closedir(stream);
    return count;
}

static void assert_file_is(const char *path, const char *text)
{
    char *data;
    size_t size;
    assert_int_equal(fr_file_read(path, 0, &data, &size, NULL), FR_OK);
    assert_int_equal(size, strlen(text));
    assert_string_equal(data, text);
    fr_free(data);
}

/* ---- errors ---- */

static void test_an_error_names_its_place(void **state)
{
    (void)state;
    fr_error error;
    assert_int_equal(fr_fail_at(&error, FR_BAD_INPUT, "a.yaml", 7, "found %d", 3), FR_BAD_INPUT);
    assert_string_equal(error.message, "a.yaml:7: found 3");
    fr_fail_at(&error, FR_BAD_INPUT, "a.yaml", 0, "found %d", 3);
    assert_string_equal(error.message, "a.yaml: found 3");
    assert_int_equal(fr_error_prefix(&error, "reading %s", "x"), FR_BAD_INPUT);
    assert_string_equal(error.message, "reading x: a.yaml: found 3");
    fr_fail(&error, FR_IO, "again: %s", error.message);
    assert_string_equal(error.message, "again: reading x: a.yaml: found 3");
    assert_int_equal(fr_fail(NULL, FR_NUMERIC, "nobody listens"), FR_NUMERIC);
}

static void test_a_message_too_long_is_cut_not_spilled(void **state)
{
    (void)state;
    struct {
        fr_error error;
        char guard[8];
    } held = {.guard = "guard"};
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    fr_fail(&held.error, FR_IO, "%s", text);
    assert_int_equal(strlen(held.error.message), sizeof held.error.message - 1);
    fr_error_prefix(&held.error, "short");
    assert_int_equal(strlen(held.error.message), sizeof held.error.message - 1);
    assert_memory_equal(held.error.message, "short: xxx", 10);
    fr_error_prefix(&held.error, "%s", text);
    fr_fail_at(&held.error, FR_IO, text, 5, "lost");
    assert_int_equal(strlen(held.error.message), sizeof held.error.message - 1);
    assert_string_equal(held.guard, "guard");
}

static void test_exit_codes_are_0_1_2_and_130(void **state)
{
    (void)state;
    assert_int_equal(fr_exit_code(FR_OK), 0);
    assert_int_equal(fr_exit_code(FR_BAD_INPUT), 2);
    assert_int_equal(fr_exit_code(FR_UNSUPPORTED), 2);
    assert_int_equal(fr_exit_code(FR_BUSY), 2);
    assert_int_equal(fr_exit_code(FR_IO), 1);
    assert_int_equal(fr_exit_code(FR_NO_MEMORY), 1);
    assert_int_equal(fr_exit_code(FR_NUMERIC), 1);
    assert_int_equal(fr_exit_code(FR_WRONG_CALL), 1);
    assert_int_equal(fr_exit_code(FR_INTERRUPTED), 130);
}

/* ---- memory ---- */

static void test_blocks_are_zero_aligned_and_counted_by_kind(void **state)
{
    (void)state;
    size_t before = fr_memory_now(FR_MEMORY_CACHE);
    uint64_t calls = fr_allocation_count();
    unsigned char *block = fr_alloc(1000, FR_MEMORY_CACHE);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % 64, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(block[i], 0);
    memset(block, 7, 1000);
    assert_int_equal(fr_memory_now(FR_MEMORY_CACHE) - before, 1000);
    block = fr_realloc(block, 5000, FR_MEMORY_CACHE);
    assert_int_equal(block[999], 7);
    assert_int_equal(block[1000], 0);
    assert_int_equal(block[4999], 0);
    block = fr_realloc(block, 10, FR_MEMORY_CACHE);
    assert_int_equal(block[9], 7);
    fr_free(block);
    assert_int_equal(fr_memory_now(FR_MEMORY_CACHE), before);
    assert_true(fr_memory_peak(FR_MEMORY_CACHE) >= before + 5000);
    fr_memory_reset_peaks();
    assert_int_equal(fr_memory_peak(FR_MEMORY_CACHE), before);
    assert_int_equal(fr_allocation_count() - calls, 3);
}

static void test_absurd_sizes_give_null(void **state)
{
    (void)state;
    assert_null(fr_alloc(SIZE_MAX, FR_MEMORY_OTHER));
    assert_null(fr_alloc(SIZE_MAX - 63, FR_MEMORY_OTHER));
    assert_null(fr_alloc(SIZE_MAX / 2 - 128, FR_MEMORY_OTHER));
    assert_null(fr_alloc_array(SIZE_MAX / 4, 8, FR_MEMORY_OTHER));
    fr_free(fr_alloc_array(0, 8, FR_MEMORY_OTHER));
    char *block = fr_alloc(4, FR_MEMORY_OTHER);
    assert_null(fr_realloc(block, SIZE_MAX / 2 - 128, FR_MEMORY_OTHER));
    fr_free(block);
    fr_free(NULL);
}

static void test_an_arena_in_steady_state_allocates_nothing(void **state)
{
    (void)state;
    fr_arena *arena = fr_arena_create(FR_MEMORY_ACTIVATIONS);
    enum { BLOCKS = 100 };
    uint64_t calls = 0;
    for (int step = 0; step < 4; step++) {
        if (step == 2)
            calls = fr_allocation_count();
        for (int i = 0; i < BLOCKS; i++) {
            char *block = fr_arena_alloc(arena, 100000);
            assert_int_equal((uintptr_t)block % 64, 0);
            memset(block, i, 100000);
        }
        assert_int_equal(fr_arena_peak(arena), BLOCKS * 100032);
        fr_arena_reset(arena);
    }
    assert_int_equal(fr_allocation_count(), calls);
    fr_arena_destroy(arena);
    assert_int_equal(fr_memory_now(FR_MEMORY_ACTIVATIONS), 0);
}

static void test_an_arena_mark_gives_back_across_chunks(void **state)
{
    (void)state;
    fr_arena *arena = fr_arena_create(FR_MEMORY_ACTIVATIONS);
    memset(fr_arena_alloc(arena, 64), 1, 64);
    fr_arena_mark mark = fr_arena_get_mark(arena);
    char *first = fr_arena_alloc(arena, 64);
    for (int i = 0; i < 3; i++)
        assert_non_null(fr_arena_alloc(arena, 3000000));
    size_t peak = fr_arena_peak(arena);
    assert_int_equal(peak, 128 + 3 * 3000000);
    fr_arena_release(arena, mark);
    assert_ptr_equal(fr_arena_alloc(arena, 64), first);
    for (int i = 0; i < 3; i++)
        assert_non_null(fr_arena_alloc(arena, 3000000));
    assert_int_equal(fr_arena_peak(arena), peak);
    assert_null(fr_arena_alloc(arena, SIZE_MAX));
    fr_arena_destroy(arena);
}

static void test_a_buffer_grows_and_its_failure_sticks(void **state)
{
    (void)state;
    fr_buffer buffer = {0};
    for (int i = 0; i < 1000; i++)
        fr_buffer_printf(&buffer, "%d,", i % 10);
    fr_buffer_text(&buffer, "end");
    assert_int_equal(buffer.size, 2003);
    assert_string_equal(buffer.data + 2000, "end");
    assert_false(buffer.failed);
    fr_buffer_append(&buffer, "x", SIZE_MAX / 2);
    assert_true(buffer.failed);
    fr_buffer_text(&buffer, "more");
    assert_int_equal(buffer.size, 2003);
    fr_buffer_free(&buffer);
    assert_null(buffer.data);
}

/* ---- random numbers ---- */

static void test_philox_gives_the_published_vectors(void **state)
{
    (void)state;
    uint32_t out[4];
    fr_random_bits(0, 0, 0, 0, out);
    const uint32_t zeros[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(out, zeros, sizeof out);
    fr_random_bits(UINT64_MAX, 0xFFFFF, 0xFFFFFFFFFFF, UINT64_MAX, out);
    const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(out, ones, sizeof out);
    /* Digits of pi as counter and key: counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0. */
    fr_random_bits(0x299f31d0a4093822, 0x03707344 >> 12,
                   (uint64_t)(0x03707344 & 0xFFF) << 32 | 0x13198a2e, 0x85a308d3243f6a88, out);
    const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    assert_memory_equal(out, pi, sizeof out);
}

static void test_uniform_and_normal_numbers_have_their_moments(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    double mean = 0, square = 0, normal = 0, normal_square = 0, fourth = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double u = fr_random_uniform(1, FR_RANDOM_TEST, 2, i),
               n = fr_random_normal(1, FR_RANDOM_TEST, 2, i);
        assert_true(u >= 0 && u < 1);
        mean += u / COUNT;
        square += u * u / COUNT;
        normal += n / COUNT;
        normal_square += n * n / COUNT;
        fourth += n * n * n * n / COUNT;
    }
    /* Five standard errors. */
    assert_true(fabs(mean - 0.5) < 5 * 0.2887 / sqrt(COUNT));
    assert_true(fabs(square - 1.0 / 3) < 5 * 0.2981 / sqrt(COUNT));
    assert_true(fabs(normal) < 5 / sqrt(COUNT));
    assert_true(fabs(normal_square - 1) < 5 * sqrt(2.0 / COUNT));
    assert_true(fabs(fourth - 3) < 5 * sqrt(96.0 / COUNT));
}

static void test_filling_does_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    enum { COUNT = 10007 };
    static float one[COUNT], two[COUNT];
    int threads = fr_threads();
    fr_threads_set(1);
    fr_random_fill_normal(one, COUNT, 0.02f, 3, FR_RANDOM_INIT, 4);
    fr_threads_set(3);
    fr_random_fill_normal(two, COUNT, 0.02f, 3, FR_RANDOM_INIT, 4);
    assert_memory_equal(one, two, sizeof one);
    fr_random_fill_uniform(two, COUNT, -1, 1, 3, FR_RANDOM_INIT, 4);
    for (int i = 0; i < COUNT; i++)
        assert_true(two[i] >= -1 && two[i] <= 1);
    fr_threads_set(threads);
}

static void test_a_permutation_hits_every_place_once(void **state)
{
    (void)state;
    const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097, 65537};
    static unsigned char seen[65537];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; i < sizes[s]; i++) {
            uint64_t place = fr_random_permute(i, sizes[s], 5, FR_RANDOM_SHUFFLE, 0);
            assert_true(place < sizes[s]);
            assert_int_equal(seen[place]++, 0);
        }
    }
    uint64_t huge = (1ULL << 63) + 12345;
    assert_true(fr_random_permute(huge - 1, huge, 5, FR_RANDOM_SHUFFLE, 0) < huge);
    /* Another step is another order. */
    int same = 0;
    for (uint64_t i = 0; i < 1000; i++)
        same += fr_random_permute(i, 1000, 5, FR_RANDOM_SHUFFLE, 0) ==
                fr_random_permute(i, 1000, 5, FR_RANDOM_SHUFFLE, 1);
    assert_true(same < 15);
}

/* Each of the 120 orders of five things comes about as often as the others: chi squared with 119 degrees of freedom. */
static void test_small_permutations_are_unbiased(void **state)
{
    (void)state;
    enum { SIZE = 5, CODES = 1 << 15, RUNS = 24000 };
    static int seen[CODES];
    for (uint64_t run = 0; run < RUNS; run++) {
        unsigned code = 0;
        for (uint64_t i = 0; i < SIZE; i++)
            code = code << 3 | (unsigned)fr_random_permute(i, SIZE, 9, FR_RANDOM_SHUFFLE, run);
        seen[code]++;
    }
    double chi = 0;
    int orders = 0;
    for (int i = 0; i < CODES; i++)
        if (seen[i]) {
            chi += (seen[i] - 200.0) * (seen[i] - 200.0) / 200;
            orders++;
        }
    assert_int_equal(orders, 120);
    assert_true(chi < 180); /* the 0.9998 quantile */
}

/* ---- files ---- */

static void test_paths_join_with_one_slash(void **state)
{
    (void)state;
    const char *cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}, {"a", "/b", "/b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = fr_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        fr_free(path);
    }
}

static void test_folders_are_made_with_parents_and_removed_with_contents(void **state)
{
    (void)state;
    fr_error error;
    assert_int_equal(fr_folder_create(in_root("a//b/c/"), &error), FR_OK);
    assert_int_equal(fr_folder_create(in_root("a/b/c"), &error), FR_OK);
    assert_true(fr_path_is_folder(in_root("a/b/c")));
    assert_int_equal(fr_file_write(in_root("a/b/file"), "1", 1, &error), FR_OK);
    assert_int_equal(fr_file_write(in_root("outside"), "keep", 4, &error), FR_OK);
    assert_int_equal(symlink(root, in_root("a/b/link")), 0);
    assert_int_equal(fr_folder_create(in_root("a/b/file/d"), &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "a/b/file: a file of that name is in the way"));
    assert_int_equal(fr_folder_remove(in_root("a/b/file"), &error), FR_BAD_INPUT);
    assert_int_equal(fr_folder_remove(in_root("a"), &error), FR_OK);
    assert_false(fr_path_exists(in_root("a")));
    assert_int_equal(fr_folder_remove(in_root("a"), &error), FR_OK);
    assert_file_is(in_root("outside"), "keep");
    assert_int_equal(fr_folder_create("", &error), FR_BAD_INPUT);
}

static void test_reading_refuses_what_is_too_large_missing_or_a_folder(void **state)
{
    (void)state;
    fr_error error;
    char *data;
    size_t size;
    char *path = in_root("read");
    assert_int_equal(fr_file_write(path, "0123456789", 10, &error), FR_OK);
    assert_int_equal(fr_file_read(path, 10, &data, &size, &error), FR_OK);
    assert_int_equal(size, 10);
    assert_int_equal(data[10], 0);
    fr_free(data);
    assert_int_equal(fr_file_read(path, 9, &data, &size, &error), FR_BAD_INPUT);
    assert_null(data);
    assert_non_null(strstr(error.message, "limit of 9 bytes"));
    assert_int_equal(fr_file_read(in_root("none"), 0, &data, &size, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "none: No such file or directory"));
    assert_int_equal(fr_file_read(root, 0, &data, &size, &error), FR_BAD_INPUT);
    assert_int_equal(fr_file_write(path, "", 0, &error), FR_OK);
    assert_int_equal(fr_file_read(path, 0, &data, &size, &error), FR_OK);
    assert_int_equal(size, 0);
    assert_string_equal(data, "");
    fr_free(data);
    /* A file whose size stat does not know. */
    assert_int_equal(fr_file_read("/proc/self/status", 0, &data, &size, &error), FR_OK);
    assert_true(size > 100 && strlen(data) == size);
    fr_free(data);
    assert_int_equal(fr_file_read("/dev/zero", 100000, &data, &size, &error), FR_BAD_INPUT);
}

static void test_a_map_shows_the_file_and_refuses_others(void **state)
{
    (void)state;
    fr_error error;
    fr_map map;
    char *path = in_root("map");
    fr_file_write(path, "abc", 3, NULL);
    assert_int_equal(fr_map_open(&map, path, &error), FR_OK);
    assert_int_equal(map.size, 3);
    assert_memory_equal(map.data, "abc", 3);
    fr_map_close(&map);
    fr_map_close(&map);
    fr_file_write(path, "", 0, NULL);
    assert_int_equal(fr_map_open(&map, path, &error), FR_OK);
    assert_null(map.data);
    fr_map_close(&map);
    assert_int_equal(fr_map_open(&map, root, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "a folder, expected a file"));
    assert_int_equal(fr_map_open(&map, "/dev/null", &error), FR_BAD_INPUT);
    assert_int_equal(fr_map_open(&map, in_root("none"), &error), FR_BAD_INPUT);
}

static void test_a_writer_shows_the_file_only_when_committed(void **state)
{
    (void)state;
    fr_error error;
    char *path = in_root("whole");
    fr_file_write(path, "old", 3, NULL);
    int files = files_in(root);
    fr_writer *writer;
    assert_int_equal(fr_writer_open(&writer, path, &error), FR_OK);
    enum { SIZE = 1000003 };
    unsigned char *data = fr_alloc(SIZE, FR_MEMORY_OTHER);
    for (int i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(i * 31 >> 3);
    /* Pieces below, at and above the writer's buffer. */
    size_t done = 0;
    for (size_t piece = 1; done < SIZE; piece = piece * 3 + 1) {
        size_t now = piece < SIZE - done ? piece : SIZE - done;
        fr_writer_write(writer, data + done, now);
        done += now;
    }
    assert_int_equal(fr_writer_position(writer), SIZE);
    uint64_t hash = fr_writer_hash(writer), again;
    assert_true(hash == XXH3_64bits(data, SIZE));
    assert_file_is(path, "old");
    assert_int_equal(files_in(root), files + 1);
    assert_int_equal(fr_writer_commit(writer, &error), FR_OK);
    assert_int_equal(files_in(root), files);
    assert_int_equal(fr_file_hash(path, &again, &error), FR_OK);
    assert_true(again == hash);
    char *read;
    size_t size;
    assert_int_equal(fr_file_read(path, 0, &read, &size, &error), FR_OK);
    assert_int_equal(size, SIZE);
    assert_memory_equal(read, data, SIZE);
    fr_free(read);
    fr_free(data);
}

static void test_an_abandoned_writer_leaves_nothing(void **state)
{
    (void)state;
    char *path = in_root("abandoned");
    fr_file_write(path, "old", 3, NULL);
    int files = files_in(root);
    fr_writer *writer;
    assert_int_equal(fr_writer_open(&writer, path, NULL), FR_OK);
    fr_writer_write(writer, "new", 3);
    fr_writer_abandon(writer);
    fr_writer_abandon(NULL);
    assert_file_is(path, "old");
    assert_int_equal(files_in(root), files);
}

static void test_a_writer_refuses_what_a_rename_would_destroy(void **state)
{
    (void)state;
    fr_error error;
    fr_writer *writer;
    assert_int_equal(fr_writer_open(&writer, "/dev/null", &error), FR_BAD_INPUT);
    assert_null(writer);
    assert_non_null(
        strstr(error.message, "/dev/null: something that is not a regular file is there"));
    assert_int_equal(fr_writer_open(&writer, root, &error), FR_BAD_INPUT);
    assert_int_equal(fr_writer_open(&writer, in_root("none/file"), &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "none/file: No such file or directory"));
    /* A link stays a link. */
    fr_file_write(in_root("behind"), "old", 3, NULL);
    assert_int_equal(symlink("behind", in_root("link")), 0);
    assert_int_equal(fr_file_write(in_root("link"), "new", 3, &error), FR_OK);
    assert_file_is(in_root("behind"), "new");
    struct stat info;
    assert_int_equal(lstat(in_root("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void test_a_full_disk_is_told_with_its_bytes_and_leaves_the_old_file(void **state)
{
    (void)state;
    char *path = in_root("full");
    fr_file_write(path, "old", 3, NULL);
    int files = files_in(root);
    /* A limit on the size of files stands in for a full disk: write(2) fails in the same way, with another number. */
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 600000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fr_error error = {0};
    fr_writer *writer;
    fr_status status = fr_writer_open(&writer, path, &error);
    static char block[100000];
    bool failed_early = false;
    if (status == FR_OK) {
        for (int i = 0; i < 20; i++)
            fr_writer_write(writer, block, sizeof block);
        failed_early = fr_writer_failed(writer);
        status = fr_writer_commit(writer, &error);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, FR_IO);
    assert_true(failed_early);
    assert_non_null(
        strstr(error.message, "/full: File too large (600000 of 2000000 bytes were written"));
    assert_file_is(path, "old");
    assert_int_equal(files_in(root), files);
}

static void test_a_crash_before_commit_leaves_the_old_file_and_a_cleanable_rest(void **state)
{
    (void)state;
    char *folder = in_root("crash");
    assert_int_equal(fr_folder_create(folder, NULL), FR_OK);
    char *path = in_root("crash/file");
    fr_file_write(path, "old", 3, NULL);
    pid_t child = fork();
    if (child == 0) {
        fr_writer *writer;
        static char block[400000];
        if (fr_writer_open(&writer, path, NULL) == FR_OK)
            fr_writer_write(writer, block, sizeof block);
        kill(getpid(), SIGKILL);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_file_is(path, "old");
    assert_int_equal(files_in(folder), 2);
    /* The cleaning takes the dead process's file and not that of a living writer, nor files of others. */
    fr_writer *alive;
    assert_int_equal(fr_writer_open(&alive, path, NULL), FR_OK);
    assert_int_equal(fr_file_write(in_root("crash/notes.tmp"), "mine", 4, NULL), FR_OK);
    assert_int_equal(files_in(folder), 4);
    assert_int_equal(fr_folder_clean(folder, NULL), FR_OK);
    assert_int_equal(files_in(folder), 3);
    fr_writer_write(alive, "new", 3);
    assert_int_equal(fr_writer_commit(alive, NULL), FR_OK);
    assert_file_is(path, "new");
    assert_int_equal(fr_folder_clean(in_root("nowhere"), NULL), FR_OK);
}

/* ---- locks ---- */

static void test_a_folder_has_one_holder_and_the_kernel_frees_it(void **state)
{
    (void)state;
    fr_error error;
    fr_lock *lock, *second;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        char answer = fr_lock_folder(&lock, root, NULL) == FR_OK ? 'y' : 'n';
        if (write(ready[1], &answer, 1) == 1)
            pause();
        _exit(0);
    }
    char answer = 0;
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    assert_int_equal(fr_lock_folder(&lock, root, &error), FR_BUSY);
    assert_null(lock);
    char text[64];
    snprintf(text, sizeof text, "in use by another process (process id %ld)", (long)child);
    assert_non_null(strstr(error.message, text));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(fr_lock_folder(&lock, root, &error), FR_OK);
    assert_int_equal(fr_lock_folder(&second, root, &error), FR_BUSY);
    fr_lock_release(lock);
    assert_int_equal(fr_lock_folder(&second, root, &error), FR_OK);
    fr_lock_release(second);
    fr_lock_release(NULL);
    assert_int_equal(fr_lock_folder(&lock, in_root("no such folder"), &error), FR_BAD_INPUT);
    close(ready[0]);
    close(ready[1]);
}

/* ---- system ---- */

static char logged[256];
static void keep(void *context, fr_log_level level, const char *message)
{
    snprintf(logged, sizeof logged, "%s/%d/%s", (const char *)context, (int)level, message);
}

static void test_messages_go_where_they_are_sent(void **state)
{
    (void)state;
    static char name[] = "sink";
    fr_log_to(keep, name);
    fr_log(FR_LOG_WARNING, "%d apples", 3);
    assert_string_equal(logged, "sink/2/3 apples");
    fr_log_to(NULL, NULL);
    fr_log(FR_LOG_WARNING, "dropped");
    assert_string_equal(logged, "sink/2/3 apples");
}

static void test_the_machine_is_described_in_sane_numbers(void **state)
{
    (void)state;
    assert_true(fr_physical_memory() > (size_t)16 << 20 && fr_physical_memory() < (size_t)1 << 50);
    assert_true(fr_resident_peak() > 100000);
    assert_true(fr_threads() >= 1);
    double start = fr_seconds();
    while (fr_seconds() == start) {
    }
    assert_true(fr_seconds() > start && fr_cpu_seconds() > 0);
    assert_false(fr_interrupted());
    fr_interrupt_request();
    assert_true(fr_interrupted());
    fr_interrupt_clear();
    assert_false(fr_interrupted());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_error_names_its_place),
        cmocka_unit_test(test_a_message_too_long_is_cut_not_spilled),
        cmocka_unit_test(test_exit_codes_are_0_1_2_and_130),
        cmocka_unit_test(test_blocks_are_zero_aligned_and_counted_by_kind),
        cmocka_unit_test(test_absurd_sizes_give_null),
        cmocka_unit_test(test_an_arena_in_steady_state_allocates_nothing),
        cmocka_unit_test(test_an_arena_mark_gives_back_across_chunks),
        cmocka_unit_test(test_a_buffer_grows_and_its_failure_sticks),
        cmocka_unit_test(test_philox_gives_the_published_vectors),
        cmocka_unit_test(test_uniform_and_normal_numbers_have_their_moments),
        cmocka_unit_test(test_filling_does_not_depend_on_the_number_of_threads),
        cmocka_unit_test(test_a_permutation_hits_every_place_once),
        cmocka_unit_test(test_small_permutations_are_unbiased),
        cmocka_unit_test(test_paths_join_with_one_slash),
        cmocka_unit_test(test_folders_are_made_with_parents_and_removed_with_contents),
        cmocka_unit_test(test_reading_refuses_what_is_too_large_missing_or_a_folder),
        cmocka_unit_test(test_a_map_shows_the_file_and_refuses_others),
        cmocka_unit_test(test_a_writer_shows_the_file_only_when_committed),
        cmocka_unit_test(test_an_abandoned_writer_leaves_nothing),
        cmocka_unit_test(test_a_writer_refuses_what_a_rename_would_destroy),
        cmocka_unit_test(test_a_full_disk_is_told_with_its_bytes_and_leaves_the_old_file),
        cmocka_unit_test(test_a_crash_before_commit_leaves_the_old_file_and_a_cleanable_rest),
        cmocka_unit_test(test_a_folder_has_one_holder_and_the_kernel_frees_it),
        cmocka_unit_test(test_messages_go_where_they_are_sent),
        cmocka_unit_test(test_the_machine_is_described_in_sane_numbers),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
