/* The sampler against transformers' processors (tests/fixtures/sampling), and what of a row's text
   is shown when. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "decode/stream.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { V = 24 };

static fr_sampling_options plain(void)
{
    fr_sampling_options options;
    memset(&options, 0, sizeof options);
    fr_sampling_option_table.defaults(&options);
    options.temperature = 1;
    options.top_k = 0;
    return options;
}

/* How often each of V ids comes in `draws` draws. */
static void count_draws(const fr_sampling_options *options, const float *logits,
                        const int32_t *history, size_t history_count, int draws, int counts[V])
{
    fr_sampler *sampler;
    assert_int_equal(fr_sampler_create(&sampler, V, options, NULL), FR_OK);
    memset(counts, 0, V * sizeof *counts);
    for (int i = 0; i < draws; i++) {
        int32_t id = fr_sampler_pick(sampler, logits, history, history_count, 3, i);
        assert_in_range(id, 0, V - 1);
        counts[id]++;
    }
    fr_sampler_destroy(sampler);
}

/* ---- sampling -------------------------------------------------------------------------------- */

static void test_draws_have_the_probabilities_that_transformers_gives(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    json_t *cases = json_load_file("tests/fixtures/sampling/cases.json", 0, NULL);
    assert_true(json_array_size(cases) >= 14);
    size_t i;
    json_t *item;
    json_array_foreach(cases, i, item)
    {
        fr_sampling_options options = plain();
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(item, "settings"), name, value)
        {
            char text[32];
            snprintf(text, sizeof text, "%g", json_number_value(value));
            assert_int_equal(fr_options_set(&fr_sampling_option_table, &options, name, text, NULL),
                             FR_OK);
        }
        float logits[V];
        int32_t history[16];
        size_t seen = json_array_size(json_object_get(item, "history"));
        for (size_t j = 0; j < V; j++)
            logits[j] =
                (float)json_number_value(json_array_get(json_object_get(item, "logits"), j));
        for (size_t j = 0; j < seen; j++)
            history[j] =
                (int32_t)json_integer_value(json_array_get(json_object_get(item, "history"), j));
        int counts[V];
        count_draws(&options, logits, history, seen, DRAWS, counts);
        for (size_t j = 0; j < V; j++) {
            double p = json_number_value(json_array_get(json_object_get(item, "probabilities"), j));
            double expected = p * DRAWS, spread = sqrt(DRAWS * p * (1 - p));
            if (p == 0 && counts[j])
                fail_msg("case %zu: id %zu was drawn though it is filtered out", i, j);
            if (fabs(counts[j] - expected) > 4.5 * spread + 1e-6)
                fail_msg("case %zu, id %zu: drawn %d times, expected %.1f +- %.1f", i, j, counts[j],
                         expected, spread);
        }
        fr_options_free(&fr_sampling_option_table, &options);
    }
    json_decref(cases);
}

static void test_equal_logits_are_ordered_by_id(void **state)
{
    (void)state;
    float logits[V] = {0};
    logits[0] = -1;
    int counts[V];
    fr_sampling_options options = plain();
    options.top_k = 3;
    count_draws(&options, logits, NULL, 0, 1000, counts);
    for (int i = 0; i < V; i++)
        assert_int_equal(counts[i] > 0, i >= 1 && i <= 3);
    options.temperature = 0;
    count_draws(&options, logits, NULL, 0, 1, counts);
    assert_int_equal(counts[1], 1);
}

static void test_draws_depend_on_seed_row_and_position_alone(void **state)
{
    (void)state;
    float logits[V] = {0};
    fr_sampling_options options = plain(), other = plain();
    other.seed = 1;
    fr_sampler *a, *b;
    assert_int_equal(fr_sampler_create(&a, V, &options, NULL), FR_OK);
    assert_int_equal(fr_sampler_create(&b, V, &other, NULL), FR_OK);
    int other_seed = 0, other_row = 0, other_position = 0;
    for (int i = 0; i < 200; i++) {
        int32_t id = fr_sampler_pick(a, logits, NULL, 0, 5, i);
        assert_int_equal(id, fr_sampler_pick(a, logits, NULL, 0, 5, i));
        other_seed += id != fr_sampler_pick(b, logits, NULL, 0, 5, i);
        other_row += id != fr_sampler_pick(a, logits, NULL, 0, 6, i);
        other_position += id != fr_sampler_pick(a, logits, NULL, 0, 5, i + 1000);
    }
    assert_true(other_seed > 150 && other_row > 150 && other_position > 150);
    fr_sampler_destroy(a);
    fr_sampler_destroy(b);
}

static void test_masked_tokens_are_never_drawn_and_bad_logits_are_refused(void **state)
{
    (void)state;
    float logits[V];
    for (int i = 0; i < V; i++)
        logits[i] = i % 2 ? -INFINITY : 2;
    int counts[V];
    fr_sampling_options options = plain();
    count_draws(&options, logits, NULL, 0, 2000, counts);
    for (int i = 1; i < V; i += 2)
        assert_int_equal(counts[i], 0);
    options.top_k = V - 1;
    count_draws(&options, logits, NULL, 0, 2000, counts);
    for (int i = 1; i < V; i += 2)
        assert_int_equal(counts[i], 0);

    fr_sampler *sampler;
    assert_int_equal(fr_sampler_create(&sampler, V, &options, NULL), FR_OK);
    uint64_t allocations = fr_allocation_count();
    logits[7] = NAN;
    assert_int_equal(fr_sampler_pick(sampler, logits, NULL, 0, 0, 0), -1);
    logits[7] = INFINITY;
    assert_int_equal(fr_sampler_pick(sampler, logits, NULL, 0, 0, 0), -1);
    for (int i = 0; i < V; i++)
        logits[i] = -INFINITY;
    assert_int_equal(fr_sampler_pick(sampler, logits, NULL, 0, 0, 0), -1);
    logits[9] = -3;
    assert_int_equal(fr_sampler_pick(sampler, logits, NULL, 0, 0, 0), 9);
    assert_int_equal(fr_allocation_count(), allocations);
    fr_sampler_destroy(sampler);
}

/* ---- streaming ------------------------------------------------------------------------------- */

/* Push `text` in pieces of `step` bytes; collects what is shown; true when a stop string came. */
static bool stream_all(const char *text, size_t size, size_t step, const fr_strings *stop,
                       fr_buffer *shown)
{
    text_stream stream = {.stop = stop};
    bool stopped = false;
    for (size_t done = 0; done < size && !stopped; done += step) {
        stopped = text_stream_push(&stream, text + done, size - done < step ? size - done : step);
        if (stream.ready.size)
            fr_buffer_append(shown, stream.ready.data, stream.ready.size);
    }
    if (!stopped) {
        text_stream_end(&stream);
        if (stream.ready.size)
            fr_buffer_append(shown, stream.ready.data, stream.ready.size);
    }
    text_stream_free(&stream);
    return stopped;
}

static void expect_shown(const char *text, fr_strings stop, const char *expected, bool expect_stop)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        fr_buffer shown = {0};
        fr_buffer_text(&shown, "");
        assert_int_equal(stream_all(text, strlen(text), step, &stop, &shown), expect_stop);
        assert_string_equal(shown.data, expected);
        fr_buffer_free(&shown);
    }
}

#define STOP(...)                                                                                  \
    (fr_strings)                                                                                   \
    {                                                                                              \
        (char *[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)                  \
    }

static void test_no_part_of_a_stop_string_is_shown_however_the_text_is_cut(void **state)
{
    (void)state;
    expect_shown("one two STOP three", STOP("STOP"), "one two ", true);
    expect_shown("one STO two ST", STOP("STOP"), "one STO two ST", false);
    expect_shown("aaab", STOP("aab"), "a", true);
    expect_shown("xabcabd", STOP("abcabd"), "x", true);
    expect_shown("Gr\xc3\xbc\xc3\x9f"
                 "e\n\nQ:",
                 STOP("\n\n", "Q:"),
                 "Gr\xc3\xbc\xc3\x9f"
                 "e",
                 true);
    expect_shown("text", STOP(""), "text", false);
    expect_shown("\xe6\x97\xa5\xe6\x9c\xac.", STOP("\xe6\x9c\xac"), "\xe6\x97\xa5", true);
}

static void test_only_whole_characters_are_shown(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    fr_strings none = {0};
    text_stream stream = {.stop = &none};
    size_t lengths[] = {1, 0, 2, 0, 0, 3, 0, 0, 0, 4, 1};
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        assert_false(text_stream_push(&stream, text + i, 1));
        assert_int_equal(stream.ready.size, lengths[i]);
    }
    text_stream_free(&stream);
}

static void test_broken_bytes_become_one_replacement_for_each_broken_sequence(void **state)
{
    (void)state;
#define R "\xEF\xBF\xBD"
    fr_strings none = {0};
    expect_shown("a\xff"
                 "b",
                 none, "a" R "b", false);
    expect_shown("\xe2\x82z", none, R "z", false);
    expect_shown("\xe2\x82", none, R, false);
    expect_shown("\xc0\xaf", none, R R, false);
    expect_shown("\xed\xa0\x80", none, R R R, false);
    expect_shown("\xf0\x9f\x98\xf0\x9f\x98\x80", none, R "\xf0\x9f\x98\x80", false);
    expect_shown("\xf4\x90\x80\x80", none, R R R R, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_have_the_probabilities_that_transformers_gives),
        cmocka_unit_test(test_equal_logits_are_ordered_by_id),
        cmocka_unit_test(test_draws_depend_on_seed_row_and_position_alone),
        cmocka_unit_test(test_masked_tokens_are_never_drawn_and_bad_logits_are_refused),
        cmocka_unit_test(test_no_part_of_a_stop_string_is_shown_however_the_text_is_cut),
        cmocka_unit_test(test_only_whole_characters_are_shown),
        cmocka_unit_test(test_broken_bytes_become_one_replacement_for_each_broken_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
