/* Every kind of tokenizer.json against Hugging Face's library (tests/fixtures/tokenizer_kinds.json, made by
   make_tokenizer_kinds.py): ids, offsets, types, masks, decoding; bytes that no text has; long texts; files that lie. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tokenizer/pipeline.h"
#include "tokenizer_help.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *entries;

static int load_entries(void **state)
{
    (void)state;
    entries = json_load_file("tests/fixtures/tokenizer_kinds.json", JSON_ALLOW_NUL, NULL);
    return json_array_size(entries) == 8 ? 0 : -1;
}

static int free_entries(void **state)
{
    (void)state;
    json_decref(entries);
    return 0;
}

static fr_tokenizer *from_text(const char *text, const char *name)
{
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    if (tokenizer_from_json(&tokenizer, fr_string_copy(text), strlen(text), NULL, name, &error) !=
        FR_OK)
        fail_msg("%s", error.message);
    return tokenizer;
}

static fr_tokenizer *load(const json_t *entry)
{
    char *text = json_dumps(json_object_get(entry, "tokenizer"), 0);
    fr_tokenizer *tokenizer = from_text(text, json_string_value(json_object_get(entry, "name")));
    free(text);
    return tokenizer;
}

static const json_t *entry_of(const char *name)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        if (!strcmp(json_string_value(json_object_get(entry, "name")), name))
            return entry;
    }
    fail_msg("no entry %s", name);
    return NULL;
}

static json_int_t number(const json_t *numbers, size_t i)
{
    return json_integer_value(json_array_get(numbers, i));
}

/* ---- against Hugging Face -------------------------------------------------------------------- */

static void check_encoded(const json_t *one, const fr_encoded *e, const char *name,
                          const char *text)
{
    const json_t *ids = json_object_get(one, "ids"), *offsets = json_object_get(one, "offsets"),
                 *types = json_object_get(one, "types"), *special = json_object_get(one, "special");
    size_t marked = 0;
    for (size_t i = 0; i < e->count && i < json_array_size(ids); i++) {
        if (e->ids[i] != number(ids, i))
            fail_msg("%s: token %zu of '%s' is %d, %lld expected", name, i, text, e->ids[i],
                     (long long)number(ids, i));
        if ((json_int_t)e->begin[i] != number(offsets, 2 * i) ||
            (json_int_t)e->end[i] != number(offsets, 2 * i + 1))
            fail_msg("%s: token %zu of '%s' is at %zu-%zu, %lld-%lld expected", name, i, text,
                     e->begin[i], e->end[i], (long long)number(offsets, 2 * i),
                     (long long)number(offsets, 2 * i + 1));
        assert_int_equal(e->types[i], number(types, i)); /* 0 where there is no list */
        bool is_marked =
            marked < json_array_size(special) && number(special, marked) == (json_int_t)i;
        assert_int_equal(e->special[i], is_marked);
        marked += is_marked;
    }
    if (e->count != json_array_size(ids))
        fail_msg("%s: '%s' has %zu tokens, %zu expected", name, text, e->count,
                 json_array_size(ids));
}

static void check_decoded(const fr_tokenizer *tokenizer, const fr_encoded *e, bool skip,
                          const json_t *expected, const char *name)
{
    fr_buffer text = {0};
    assert_int_equal(fr_tokenizer_decode(tokenizer, e->ids, e->count, skip, &text, NULL), FR_OK);
    if (text.size != json_string_length(expected) ||
        (text.size && memcmp(text.data, json_string_value(expected), text.size) != 0))
        fail_msg("%s: '%s' decoded, '%s' expected", name, text.data ? text.data : "",
                 json_string_value(expected));
    fr_buffer_free(&text);
}

static void test_every_kind_does_as_hugging_faces_library(void **state)
{
    (void)state;
    size_t i, k, compared = 0;
    const json_t *entry, *one;
    fr_encoded encoded = {0};
    json_array_foreach(entries, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        fr_tokenizer *tokenizer = load(entry);
        fr_encode_options options = *fr_tokenizer_limits(tokenizer);
        options.flags = FR_ENCODE_ADD_SPECIAL;
        json_array_foreach(json_object_get(entry, "cases"), k, one)
        {
            const json_t *text = json_object_get(one, "text"), *pair = json_object_get(one, "pair");
            assert_int_equal(
                fr_tokenizer_encode_pair(tokenizer, json_string_value(text),
                                         json_string_length(text), json_string_value(pair),
                                         json_string_length(pair), &options, &encoded, NULL),
                FR_OK);
            check_encoded(one, &encoded, name, json_string_value(text));
            check_decoded(tokenizer, &encoded, false, json_object_get(one, "decoded"), name);
            check_decoded(tokenizer, &encoded, true, json_object_get(one, "skipped"), name);
            compared++;
        }
        fr_tokenizer_free(tokenizer);
    }
    assert_int_equal(compared, 8 * 15);
    fr_encoded_free(&encoded);
}

static void test_a_text_alone_has_the_ids_that_a_list_has(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer = load(entry_of("roberta"));
    const char text[] = "the shop's <mask>  bread";
    fr_ids ids = {0};
    fr_encoded encoded = {0};
    fr_encode_options options = {.flags = FR_ENCODE_ADD_SPECIAL};
    assert_int_equal(fr_tokenizer_encode(tokenizer, text, strlen(text),
                                         FR_ENCODE_ADD_SPECIAL | FR_ENCODE_OFFSETS, &ids, NULL),
                     FR_OK);
    assert_int_equal(
        fr_tokenizer_encode_pair(tokenizer, text, strlen(text), NULL, 0, &options, &encoded, NULL),
        FR_OK);
    assert_int_equal(ids.count, encoded.count);
    assert_memory_equal(ids.ids, encoded.ids, ids.count * sizeof *ids.ids);
    assert_memory_equal(ids.begin, encoded.begin, ids.count * sizeof *ids.begin);
    assert_memory_equal(ids.end, encoded.end, ids.count * sizeof *ids.end);
    fr_ids_free(&ids);
    fr_encoded_free(&encoded);
    fr_tokenizer_free(tokenizer);
}

/* ---- truncation ------------------------------------------------------------------------------ */

static void test_what_cannot_be_cut_enough_is_an_error(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer = load(entry_of("words"));
    fr_encoded e = {0};
    fr_encode_options options = {.max_length = 3, .truncation = FR_TRUNCATE_ONLY_FIRST};
    const char *first = "the baker", *second = "the old bread of the shop";
    assert_int_equal(fr_tokenizer_encode_pair(tokenizer, first, strlen(first), second,
                                              strlen(second), &options, &e, NULL),
                     FR_BAD_INPUT);
    options.truncation = FR_TRUNCATE_ONLY_SECOND;
    assert_int_equal(fr_tokenizer_encode_pair(tokenizer, first, strlen(first), second,
                                              strlen(second), &options, &e, NULL),
                     FR_OK);
    assert_int_equal(e.count, 3);
    assert_int_equal(e.texts[1], 0);
    assert_int_equal(e.texts[2], 1);
    assert_int_equal(
        fr_tokenizer_encode_pair(tokenizer, second, strlen(second), NULL, 0, &options, &e, NULL),
        FR_BAD_INPUT);
    fr_encoded_free(&e);
    fr_tokenizer_free(tokenizer);
}

/* ---- any bytes, long texts ------------------------------------------------------------------- */

static uint32_t draw(uint64_t step, uint64_t index, uint32_t below)
{
    uint32_t bits[4];
    fr_random_bits(11, FR_RANDOM_TEST, step, index, bits);
    return bits[0] % below;
}

static void test_bytes_that_are_not_utf8_count_as_replacement_characters(void **state)
{
    (void)state;
    static const char *const names[] = {"bert", "unigram", "llama2", "words"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        fr_tokenizer *tokenizer = load(entry_of(names[n]));
        const char bad[] = "the\xFF shop\xE2\x82", good[] = "the\xEF\xBF\xBD shop\xEF\xBF\xBD"
                                                            "\xEF\xBF\xBD";
        fr_ids ours = {0}, same = {0};
        assert_int_equal(
            fr_tokenizer_encode(tokenizer, bad, sizeof bad - 1, FR_ENCODE_OFFSETS, &ours, NULL),
            FR_OK);
        assert_int_equal(fr_tokenizer_encode(tokenizer, good, sizeof good - 1, 0, &same, NULL),
                         FR_OK);
        assert_int_equal(ours.count, same.count);
        assert_memory_equal(ours.ids, same.ids, ours.count * sizeof *ours.ids);
        for (size_t i = 0; i < ours.count; i++)
            assert_true(ours.begin[i] <= ours.end[i] && ours.end[i] < sizeof bad);
        fr_ids_free(&ours);
        fr_ids_free(&same);
        fr_tokenizer_free(tokenizer);
    }
}

static void test_random_bytes_never_crash(void **state)
{
    (void)state;
    size_t i;
    const json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        fr_tokenizer *tokenizer = load(entry);
        fr_ids ids = {0};
        for (uint64_t step = 0; step < 300; step++) {
            char text[120];
            size_t size = draw(step, 0, sizeof text);
            for (size_t k = 0; k < size; k++)
                text[k] = (char)(step % 2 ? draw(step, k + 1, 256) : 0x80 + draw(step, k + 1, 80));
            fr_ids_clear(&ids);
            assert_int_equal(fr_tokenizer_encode(tokenizer, text, size,
                                                 FR_ENCODE_OFFSETS | FR_ENCODE_ADD_SPECIAL, &ids,
                                                 NULL),
                             FR_OK);
            for (size_t k = 0; k < ids.count; k++)
                assert_true(ids.begin[k] <= ids.end[k] && ids.end[k] <= size);
        }
        fr_ids_free(&ids);
        fr_tokenizer_free(tokenizer);
    }
}

static void fill(char *text, size_t size, int kind)
{
    static const char *const units[] = {"a", " ", "\xCC\x81", "\xE9\x9D\xA2", "<m", "\xE2\x96\x81",
                                        "1", "."};
    enum { UNITS = sizeof units / sizeof *units };
    size_t length = kind < UNITS ? strlen(units[kind]) : 1;
    for (size_t i = 0; i < size; i++)
        text[i] = kind < UNITS ? units[kind][i % length] : (char)draw(1, i, 256);
}

static void test_time_is_linear_for_every_kind(void **state)
{
    (void)state;
    enum { SIZE = 1 << 19, KINDS = 9, MOST_SECONDS = 20 };
    char *text = malloc(SIZE);
    size_t i;
    const json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        fr_tokenizer *tokenizer = load(entry);
        for (int kind = (int)i % 2; kind < KINDS; kind += 2) {
            fr_ids ids = {0};
            fill(text, SIZE, kind);
            double start = fr_cpu_seconds();
            assert_int_equal(
                fr_tokenizer_encode(tokenizer, text, SIZE, FR_ENCODE_OFFSETS, &ids, NULL), FR_OK);
            /* Quadratic time would be hours. */
            if (fr_cpu_seconds() - start > MOST_SECONDS)
                fail_msg("%s takes %g s for text of kind %d",
                         json_string_value(json_object_get(entry, "name")),
                         fr_cpu_seconds() - start, kind);
            fr_ids_free(&ids);
        }
        fr_tokenizer_free(tokenizer);
    }
    free(text);
}

/* ---- rewriting ------------------------------------------------------------------------------- */

static void test_marks_are_ordered_however_many_there_are(void **state)
{
    (void)state;
    enum { MARKS = 5000 };
    char text[1 + 2 * MARKS];
    text[0] = 'x';
    for (size_t i = 0; i < MARKS; i++) /* below (U+0323, class 220) and above (U+0307, 230) */
        memcpy(text + 1 + 2 * i, i % 2 ? "\xCC\xA3" : "\xCC\x87", 2);
    normalizer step = {.kind = NORMALIZE_NFD};
    normalize_scratch scratch = {0};
    passage p = {.text = text, .size = sizeof text, .tracked = true};
    assert_int_equal(normalize(&step, 1, &scratch, &p, NULL), FR_OK);
    assert_int_equal(p.size, sizeof text);
    for (size_t i = 0; i < MARKS; i++)
        assert_memory_equal(p.text + 1 + 2 * i, i < MARKS / 2 ? "\xCC\xA3" : "\xCC\x87", 2);
    normalize_scratch_free(&scratch);
}

/* ---- files that lie -------------------------------------------------------------------------- */

static void test_parts_that_lie_are_refused_by_name(void **state)
{
    (void)state;
    static const struct lie {
        const char *name, *from, *to, *message;
    } lies[] = {
        {"bert", "\"clean_text\": true", "\"clean_text\": 7", "normalizer.clean_text: a number"},
        {"bert", "\"max_input_chars_per_word\": 20", "\"max_input_chars_per_word\": \"x\"",
         "model.max_input_chars_per_word: a string found"},
        {"bert", "\"cls\": [\"<s>\", 1]", "\"cls\": [\"<s>\", 70000]",
         "post_processor: '<s>' stands for an id outside the vocabulary"},
        {"bert", "\"cleanup\": true", "\"cleanup\": true, \"x\": 1", "decoder.x is not supported"},
        {"unigram", "\"unk_id\": 0", "\"unk_id\": 1000", "model.unk_id: 1000 found"},
        {"unigram", "[\"<unk>\", 0.0]", "[\"<unk>\"]", "model.vocab[0]: a text and its score"},
        {"unigram", "\"precompiled_charsmap\": \"", "\"precompiled_charsmap\": \"!!!!",
         "precompiled_charsmap: character 0 is no digit of base64"},
        {"unigram", "\"precompiled_charsmap\": \"", "\"precompiled_charsmap\": \"////",
         "precompiled_charsmap: a charsmap of"},
        {"unigram", "\"replacement\": \"\xE2\x96\x81\"", "\"replacement\": \"__\"",
         "replacement: '__' found, one character expected"},
        {"llama2", "\"byte_fallback\": true", "\"byte_fallback\": true, \"dropout\": 0.5",
         "not JSON: duplicate"},
        {"clip", "\"behavior\": \"Removed\"", "\"behavior\": \"Kept\"", "behavior 'Kept'"},
        {"roberta", "\"type\": \"RobertaProcessing\"", "\"type\": \"TemplateProcessing\"",
         "post_processor."},
        {"first", "\"max_length\": 8", "\"max_length\": -8", "truncation.max_length: -8 found"},
        {"first", "\"direction\": \"Left\"", "\"direction\": \"Up\"", "padding.direction 'Up'"},
        {"first", "\"id\": \"B\"", "\"id\": \"C\"", ".id 'C' is not supported"},
        {"words", "\"unk_token\": \"<unk>\"", "\"unk_token\": 5", "model.unk_token: a number"},
        {"words", "\"id\": 0,", "\"id\": 2,", "added_tokens[0]: '<unk>' has id 2, but 0 in"},
        {"pieces", "\"length\": 7", "\"length\": 0", "length: 0 found"},
        {"pieces", "\"delimiter\": \"-\"", "\"delimiter\": \"\"", "one character expected"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char *truth = json_dumps(json_object_get(entry_of(lies[i].name), "tokenizer"), 0);
        char *text = replaced(truth, lies[i].from, lies[i].to);
        fr_tokenizer *tokenizer;
        fr_error error = {0};
        fr_status status =
            tokenizer_from_json(&tokenizer, text, strlen(text), NULL, "lie.json", &error);
        free(truth);
        if ((status != FR_BAD_INPUT && status != FR_UNSUPPORTED) ||
            !strstr(error.message, lies[i].message))
            fail_msg("'%s' -> '%s': status %d, '%s'", lies[i].from, lies[i].to, (int)status,
                     error.message);
        assert_int_equal(strncmp(error.message, "lie.json:", 9), 0);
    }
}

static void test_unknown_text_without_an_unknown_token_is_an_error(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer = from_text(
        "{\"version\": \"1.0\", \"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}, "
        "\"unk_token\": \"none\"}}",
        "x");
    fr_ids ids = {0};
    fr_error error = {0};
    assert_int_equal(fr_tokenizer_encode(tokenizer, "a", 1, 0, &ids, &error), FR_OK);
    assert_int_equal(fr_tokenizer_encode(tokenizer, "b", 1, 0, &ids, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "'b' has no token"));
    assert_int_equal(ids.count, 1);
    fr_ids_free(&ids);
    fr_tokenizer_free(tokenizer);
}

static void test_damaged_files_never_crash(void **state)
{
    (void)state;
    size_t i;
    const json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        char *truth = json_dumps(json_object_get(entry, "tokenizer"), 0);
        size_t size = strlen(truth);
        for (uint64_t step = 0; step < 120; step++) {
            char *damaged = fr_string_copy_n(truth, size);
            for (uint32_t k = 0; k < 1 + step % 3; k++)
                damaged[draw(step, 2 * k, (uint32_t)size)] =
                    (char)('0' + draw(step, 2 * k + 1, 75));
            fr_tokenizer *tokenizer;
            if (tokenizer_from_json(&tokenizer, damaged, size, NULL, "damaged", NULL) != FR_OK)
                continue;
            fr_encoded e = {0};
            fr_buffer text = {0};
            fr_encode_options options = *fr_tokenizer_limits(tokenizer);
            options.flags = FR_ENCODE_ADD_SPECIAL;
            const char input[] = "the <mask> caf\xC3\xA9 \xEF\xBC\xA1 \xFF 12";
            if (options.pad_length < 4096 && options.pad_multiple < 4096 &&
                fr_tokenizer_encode_pair(tokenizer, input, sizeof input, input, 9, &options, &e,
                                         NULL) == FR_OK)
                fr_tokenizer_decode(tokenizer, e.ids, e.count, false, &text, NULL);
            fr_buffer_free(&text);
            fr_encoded_free(&e);
            fr_tokenizer_free(tokenizer);
        }
        free(truth);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_does_as_hugging_faces_library),
        cmocka_unit_test(test_a_text_alone_has_the_ids_that_a_list_has),
        cmocka_unit_test(test_what_cannot_be_cut_enough_is_an_error),
        cmocka_unit_test(test_bytes_that_are_not_utf8_count_as_replacement_characters),
        cmocka_unit_test(test_random_bytes_never_crash),
        cmocka_unit_test(test_time_is_linear_for_every_kind),
        cmocka_unit_test(test_marks_are_ordered_however_many_there_are),
        cmocka_unit_test(test_parts_that_lie_are_refused_by_name),
        cmocka_unit_test(test_unknown_text_without_an_unknown_token_is_an_error),
        cmocka_unit_test(test_damaged_files_never_crash),
    };
    return cmocka_run_group_tests(tests, load_entries, free_entries);
}
