/* TensorBoard event files: the expected bytes were written by TensorBoard's own record writer from
   the same messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/formats.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_RECORD = 8 + 4 + 24 + 4 }; /* the file's version; holds the time of day */

static const unsigned char scalar_record[] = {
    0x1a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, 0x9b, 0xd8, 0x2d, 0x09, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x3f, 0x10, 0x07, 0x2a, 0x0d, 0x0a, 0x0b, 0x0a,
    0x04, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0x80, 0x3e, 0xc9, 0xd0, 0x7b, 0x8d};

static const unsigned char text_record[] = {
    0x2c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf4, 0xae, 0xcc, 0x45, 0x09, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x10, 0xac, 0x02, 0x2a, 0x1e, 0x0a, 0x1c, 0x0a, 0x02,
    0xc3, 0xa9, 0x42, 0x0c, 0x08, 0x07, 0x12, 0x04, 0x12, 0x02, 0x08, 0x01, 0x42, 0x02, 0x68,
    0x69, 0x4a, 0x08, 0x0a, 0x06, 0x0a, 0x04, 0x74, 0x65, 0x78, 0x74, 0x01, 0x0b, 0xa8, 0x0e};

static int make_folder(void **state)
{
    char *folder = strdup("/tmp/frugal_events_XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    fr_error error;
    int result = fr_folder_remove(*state, &error) == FR_OK ? 0 : -1;
    free(*state);
    return result;
}

/* Read the only event file of a folder; the number of event files is returned. */
static int read_events(const char *folder, char **data, size_t *size)
{
    int files = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));)
        if (strncmp(entry->d_name, "events.out.tfevents.", 20) == 0) {
            files++;
            if (!data)
                continue;
            char *path = fr_path_join(folder, entry->d_name);
            assert_int_equal(fr_file_read(path, 0, data, size, NULL), FR_OK);
            fr_free(path);
        }
    closedir(listing);
    return files;
}

static void test_records_are_the_bytes_that_tensorboard_writes(void **state)
{
    fr_error error;
    fr_events *events;
    assert_int_equal(fr_events_open(&events, *state, &error), FR_OK);
    assert_int_equal(fr_events_scalar(events, "loss", 7, 1.5, 0.25f, &error), FR_OK);
    assert_int_equal(fr_events_text(events, "\xc3\xa9", 300, 2.0, "hi", &error), FR_OK);
    fr_events_close(events);

    char *data;
    size_t size;
    assert_int_equal(read_events(*state, &data, &size), 1);
    assert_int_equal(size, FIRST_RECORD + sizeof scalar_record + sizeof text_record);
    assert_int_equal(data[0], 24);
    assert_memory_equal(data + 12 + 9 + 2, "brain.Event:2", 13);
    assert_memory_equal(data + FIRST_RECORD, scalar_record, sizeof scalar_record);
    assert_memory_equal(data + FIRST_RECORD + sizeof scalar_record, text_record,
                        sizeof text_record);
    fr_free(data);
}

static void test_flush_makes_events_visible_and_a_steady_state_allocates_nothing(void **state)
{
    fr_error error;
    fr_events *events;
    assert_int_equal(fr_events_open(&events, *state, &error), FR_OK);
    assert_int_equal(fr_events_scalar(events, "loss", 7, 1.5, 0.25f, &error), FR_OK);
    assert_int_equal(fr_events_flush(events, &error), FR_OK);
    uint64_t before = fr_allocation_count();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fr_events_scalar(events, "loss", 7, 1.5, 0.25f, &error), FR_OK);
        assert_int_equal(fr_events_flush(events, &error), FR_OK);
    }
    assert_int_equal(fr_allocation_count(), before);
    char *data;
    size_t size;
    assert_int_equal(read_events(*state, &data, &size), 1);
    assert_int_equal(size, FIRST_RECORD + 101 * sizeof scalar_record);
    fr_free(data);
    fr_events_close(events);
}

static void test_a_second_writer_gets_a_file_of_its_own(void **state)
{
    fr_events *first, *second;
    assert_int_equal(fr_events_open(&first, *state, NULL), FR_OK);
    assert_int_equal(fr_events_open(&second, *state, NULL), FR_OK);
    fr_events_close(first);
    fr_events_close(second);
    assert_int_equal(read_events(*state, NULL, NULL), 2);
}

static void test_a_folder_that_cannot_be_made_is_an_error(void **state)
{
    (void)state;
    fr_error error;
    fr_events *events;
    assert_int_not_equal(fr_events_open(&events, "/dev/null/run", &error), FR_OK);
    assert_null(events);
    assert_non_null(strstr(error.message, "/dev/null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records_are_the_bytes_that_tensorboard_writes,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(
            test_flush_makes_events_visible_and_a_steady_state_allocates_nothing, make_folder,
            remove_folder),
        cmocka_unit_test_setup_teardown(test_a_second_writer_gets_a_file_of_its_own, make_folder,
                                        remove_folder),
        cmocka_unit_test(test_a_folder_that_cannot_be_made_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
