/* The report of a run: what of the run folder comes into the page, and that nothing in it can break
   the page. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int make_folder(void **state)
{
    char *folder = strdup("/tmp/frugal_report_XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    int result = fr_folder_remove(*state, NULL) == FR_OK ? 0 : -1;
    free(*state);
    return result;
}

static void put(const char *folder, const char *name, const char *text, size_t size)
{
    char *path = fr_path_join(folder, name);
    assert_int_equal(fr_file_write(path, text, size, NULL), FR_OK);
    fr_free(path);
}

static void put_text(const char *folder, const char *name, const char *text)
{
    put(folder, name, text, strlen(text));
}

/* Write the report and return the page's data; *page_size receives its size. */
static json_t *report(const char *folder, size_t *page_size)
{
    fr_error error;
    if (fr_report_write(folder, &error) != FR_OK)
        fail_msg("%s", error.message);
    char *path = fr_path_join(folder, "report.html"), *page;
    size_t size;
    assert_int_equal(fr_file_read(path, 0, &page, &size, NULL), FR_OK);
    static const char open[] = "<script type=\"application/json\" id=\"data\">";
    char *data = strstr(page, open);
    assert_non_null(data);
    assert_null(strstr(data + 1, open));
    data += sizeof open - 1;
    char *end = strchr(data, '<'); /* the first one in the data would be an escape from it */
    assert_memory_equal(end, "</script>", 9);
    json_error_t where;
    json_t *json = json_loadb(data, (size_t)(end - data), 0, &where);
    if (!json)
        fail_msg("%s", where.text);
    if (page_size)
        *page_size = size;
    fr_free(page);
    fr_free(path);
    return json;
}

static json_t *column(json_t *data, const char *name)
{
    return json_object_get(json_object_get(json_object_get(data, "metrics"), "steps"), name);
}

static double number(json_t *list, size_t index)
{
    return json_number_value(json_array_get(list, index));
}

static void test_an_empty_run_folder_gives_a_page(void **state)
{
    json_t *data = report(*state, NULL);
    assert_int_equal(json_array_size(column(data, "step")), 0);
    assert_true(json_is_null(json_object_get(json_object_get(data, "run"), "summary")));
    json_decref(data);
}

static void test_a_missing_run_folder_is_an_error(void **state)
{
    (void)state;
    fr_error error;
    assert_int_equal(fr_report_write("/no/such/run", &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "/no/such/run"));
}

static void test_figures_of_the_run_are_in_the_page(void **state)
{
    const char *folder = *state;
    put_text(folder, "metrics.jsonl",
             "{\"step\":1,\"tokens\":64,\"seconds\":0.5,\"flops\":1e9,\"phase\":\"first\",\"loss\":"
             "4.5,\"lr\":0.001,"
             "\"memory\":{\"weights\":1000,\"activations\":2000}}\n"
             "{\"step\":2,\"tokens\":128,\"seconds\":1.0,\"flops\":2e9,\"phase\":\"second\","
             "\"loss\":4.25,\"lr\":0.002}\n"
             "{\"step\":2,\"tokens\":128,\"seconds\":1.5,\"held_out\":{\"books\":4.75},\"held_out_"
             "loss\":4.75}\n"
             "{\"step\":3,\"loss\":NaN}\n"
             "{\"step\":3,\"lo");
    put_text(folder, "summary.json", "{\"step\":2,\"stopped_by\":\"steps\"}");
    put_text(folder, "recipe.yaml", "train:\n    steps: 2\n");
    json_t *data = report(folder, NULL), *run = json_object_get(data, "run"),
           *metrics = json_object_get(data, "metrics");
    assert_int_equal(json_array_size(column(data, "step")), 2);
    assert_true(number(column(data, "loss"), 1) == 4.25);
    assert_true(number(column(data, "tokens"), 1) == 128);
    assert_true(number(json_object_get(column(data, "memory"), "activations"), 0) == 2000);
    assert_true(
        json_is_null(json_array_get(json_object_get(column(data, "memory"), "activations"), 1)));
    assert_true(number(column(data, "lr"), 0) == 0.001);
    json_t *evaluation = json_array_get(json_object_get(metrics, "evaluations"), 0);
    assert_true(json_number_value(
                    json_object_get(json_object_get(evaluation, "held_out"), "books")) == 4.75);
    json_t *phase = json_array_get(json_object_get(metrics, "phases"), 1);
    assert_string_equal(json_string_value(json_object_get(phase, "name")), "second");
    assert_int_equal(json_integer_value(json_object_get(metrics, "skipped")), 2);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(run, "summary"), "stopped_by")), "steps");
    assert_non_null(strstr(json_string_value(json_object_get(run, "recipe")), "steps: 2"));
    json_decref(data);
}

static void test_texts_of_the_run_cannot_leave_the_data(void **state)
{
    const char *folder = *state;
    static const char hostile[] =
        "</script><script>alert(1)</script><!-- \\u2028 \xe6\x97\xa5 & \xf0\x9f\x98\x80";
    char line[512];
    snprintf(line, sizeof line, "{\"step\":1,\"prompt\":\"%s\",\"text\":\"%s\"}\n", hostile,
             hostile);
    put_text(folder, "samples.jsonl", line);
    put_text(folder, "recipe.yaml", "# </script> \xff\xfe not UTF-8 <!--\n");
    put_text(folder, "machine.json", "{\"processor\":\"</script>\"}");
    put_text(folder, "summary.json", "broken {");
    json_t *data = report(folder, NULL),
           *sample = json_array_get(json_object_get(data, "samples"), 0);
    const char *text = json_string_value(json_object_get(sample, "text"));
    assert_non_null(strstr(text, "</script><script>alert(1)"));
    assert_non_null(strstr(text, "\xe6\x97\xa5 & \xf0\x9f\x98\x80"));
    assert_non_null(
        strstr(json_string_value(json_object_get(json_object_get(data, "run"), "recipe")),
               "?? not UTF-8"));
    json_decref(data);
}

static void test_steps_after_a_resume_take_the_place_of_the_lost_ones(void **state)
{
    fr_buffer lines = {0};
    for (int step = 1; step <= 100; step++)
        fr_buffer_printf(&lines, "{\"step\":%d,\"loss\":1}\n", step);
    for (int step = 81; step <= 90; step++)
        fr_buffer_printf(&lines, "{\"step\":%d,\"loss\":2}\n", step);
    put(*state, "metrics.jsonl", lines.data, lines.size);
    json_t *data = report(*state, NULL);
    assert_int_equal(json_array_size(column(data, "step")), 90);
    assert_true(number(column(data, "loss"), 79) == 1);
    assert_true(number(column(data, "loss"), 80) == 2);
    assert_true(number(column(data, "step"), 89) == 90);
    json_decref(data);
    fr_buffer_free(&lines);
}

static void test_a_long_run_is_thinned_but_its_spikes_stay(void **state)
{
    enum { STEPS = 30000, SPIKE = 12345 };
    fr_buffer lines = {0}, samples = {0};
    for (int step = 1; step <= STEPS; step++) {
        fr_buffer_printf(&lines,
                         "{\"step\":%d,\"tokens\":%d,\"seconds\":%g,\"loss\":%g,\"lr\":0.1,"
                         "\"memory\":{\"weights\":%d}}\n",
                         step, 64 * step, 0.01 * step, step == SPIKE ? 50.0 : 3.0, step);
        if (step % 10 == 0) {
            fr_buffer_printf(
                &lines, "{\"step\":%d,\"held_out\":{\"a\":3.5},\"held_out_loss\":3.5}\n", step);
            fr_buffer_printf(&samples, "{\"step\":%d,\"prompt\":\"\",\"text\":\"x\"}\n", step);
        }
    }
    put(*state, "metrics.jsonl", lines.data, lines.size);
    put(*state, "samples.jsonl", samples.data, samples.size);
    size_t size;
    json_t *data = report(*state, &size), *high = column(data, "loss_high"),
           *mean = column(data, "loss");
    size_t points = json_array_size(mean), found = 0;
    assert_true(size < 2000000);
    assert_in_range(points, 900, 2000);
    assert_int_equal(json_array_size(high), points);
    for (size_t i = 0; i < points; i++) {
        found += number(high, i) == 50;
        assert_true(number(mean, i) >= 3 && number(mean, i) < 10);
    }
    assert_int_equal(found, 1);
    assert_true(number(column(data, "step"), points - 1) == STEPS);
    assert_true(number(json_object_get(column(data, "memory"), "weights"), points - 1) == STEPS);
    json_t *evaluations = json_object_get(json_object_get(data, "metrics"), "evaluations"),
           *kept = json_object_get(data, "samples");
    json_t *lists[] = {evaluations, kept};
    for (int i = 0; i < 2; i++) {
        size_t count = json_array_size(lists[i]);
        assert_in_range(count, 20, 500);
        assert_int_equal(
            json_integer_value(json_object_get(json_array_get(lists[i], count - 1), "step")),
            STEPS);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(lists[i], 0), "step")),
                         10);
    }
    json_decref(data);
    fr_buffer_free(&lines);
    fr_buffer_free(&samples);
}

static void test_long_samples_are_cut_at_a_character(void **state)
{
    fr_buffer line = {0};
    fr_buffer_text(&line, "{\"step\":1,\"text\":\"x");
    for (int i = 0; i < 5000; i++)
        fr_buffer_text(&line, "\xc3\xa9");
    fr_buffer_text(&line, "\"}\n");
    put(*state, "samples.jsonl", line.data, line.size);
    json_t *data = report(*state, NULL);
    const char *text = json_string_value(
        json_object_get(json_array_get(json_object_get(data, "samples"), 0), "text"));
    assert_in_range(strlen(text), 3990, 4010);
    assert_string_equal(text + strlen(text) - 3, "\xe2\x80\xa6");
    json_decref(data);
    fr_buffer_free(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_empty_run_folder_gives_a_page, make_folder,
                                        remove_folder),
        cmocka_unit_test(test_a_missing_run_folder_is_an_error),
        cmocka_unit_test_setup_teardown(test_figures_of_the_run_are_in_the_page, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_texts_of_the_run_cannot_leave_the_data, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_steps_after_a_resume_take_the_place_of_the_lost_ones,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_a_long_run_is_thinned_but_its_spikes_stay, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_long_samples_are_cut_at_a_character, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
