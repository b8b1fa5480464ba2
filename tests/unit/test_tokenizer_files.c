/* test_tokenizer_files.c: tokenizers from the files before tokenizer.json: the ids that transformers
   gives for the same folders, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frugal/tokenizer.h"
#include "tokenizer/base64.h"
#include "tokenizer/lexicon.h"
#include "tokenizer/read.h"

#include <stdio.h>
#include <string.h>

static const char fixtures[] = "tests/fixtures/tokenizer_files";

/* ---- what transformers gives ----------------------------------------------------------------- */

static void check_ids(const fr_tokenizer *tokenizer, const char *folder, const json_t *text,
                      const json_t *expected, int flags)
{
    fr_ids ids = {0};
    fr_error error;
    if (fr_tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), flags,
                            &ids, &error) != FR_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < ids.count && i < json_array_size(expected); i++)
        if (ids.ids[i] != json_integer_value(json_array_get(expected, i)))
            fail_msg("%s: '%s': token %zu is %d, %d expected", folder, json_string_value(text), i,
                     (int)ids.ids[i], (int)json_integer_value(json_array_get(expected, i)));
    if (ids.count != json_array_size(expected))
        fail_msg("%s: '%s': %zu tokens, %zu expected", folder, json_string_value(text), ids.count,
                 json_array_size(expected));
    fr_ids_free(&ids);
}

static void check_folder(const json_t *a_case, const json_t *texts)
{
    const char *name = json_string_value(json_object_get(a_case, "folder"));
    char *folder = fr_path_join(fixtures, name);
    const json_t *own = json_object_get(a_case, "texts");
    fr_tokenizer *tokenizer;
    fr_error error;
    if (fr_tokenizer_load(&tokenizer, folder, &error) != FR_OK)
        fail_msg("%s", error.message);
    texts = json_is_array(own) ? own : texts;
    assert_true(json_array_size(texts) > 10);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        check_ids(tokenizer, name, text, json_array_get(json_object_get(a_case, "plain"), i), 0);
        check_ids(tokenizer, name, text, json_array_get(json_object_get(a_case, "special"), i),
                  FR_ENCODE_ADD_SPECIAL);
    }
    fr_tokenizer_free(tokenizer);
    fr_free(folder);
}

static void test_every_older_format_gives_the_ids_that_transformers_gives(void **state)
{
    (void)state;
    char *path = fr_path_join(fixtures, "cases.json");
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, NULL);
    const json_t *cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) >= 15);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_folder(json_array_get(cases, i), json_object_get(root, "texts"));
    json_decref(root);
    fr_free(path);
}

/* What was read is saved as tokenizer.json, and that gives the same ids. */
static void test_what_was_read_can_be_saved_and_loaded(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama", "t5", "bert", "tiktoken"};
    static const char text[] = "It's true that they'd have gone 12345 <s> </s>";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *from = fr_path_join(fixtures, names[i]), to[] = "frugal_saved_XXXXXX";
        fr_tokenizer *one, *two;
        fr_ids a = {0}, b = {0};
        assert_non_null(mkdtemp(to));
        assert_int_equal(fr_tokenizer_load(&one, from, NULL), FR_OK);
        assert_int_equal(fr_tokenizer_save(one, to, 512, NULL), FR_OK);
        assert_int_equal(fr_tokenizer_load(&two, to, NULL), FR_OK);
        assert_int_equal(fr_tokenizer_end_of_text(one), fr_tokenizer_end_of_text(two));
        assert_int_equal(
            fr_tokenizer_encode(one, text, sizeof text - 1, FR_ENCODE_ADD_SPECIAL, &a, NULL),
            FR_OK);
        assert_int_equal(
            fr_tokenizer_encode(two, text, sizeof text - 1, FR_ENCODE_ADD_SPECIAL, &b, NULL),
            FR_OK);
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
        fr_ids_free(&a);
        fr_ids_free(&b);
        fr_tokenizer_free(one);
        fr_tokenizer_free(two);
        fr_folder_remove(to, NULL);
        fr_free(from);
    }
}

/* ---- files that lie -------------------------------------------------------------------------- */

typedef fr_status reader(fr_tokenizer **tokenizer, const read_input *input, fr_error *error);

/* Refused, with a message that has `part` in it. */
static void check_refused(reader *read, const char *class_name, const char *config,
                          const char *data, size_t size, const char *part)
{
    settings beside = {.root = config ? json_loads(config, 0, NULL) : json_object()};
    snprintf(beside.class_name, sizeof beside.class_name, "%s", class_name);
    /* A copy of exactly its size, so that a sanitizer sees one byte read too many. */
    char *copy = fr_string_copy_n(data, size);
    read_input input = {"file", copy, size, &beside};
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    assert_non_null(beside.root);
    fr_status status = read(&tokenizer, &input, &error);
    assert_null(tokenizer);
    assert_true(status == FR_BAD_INPUT || status == FR_UNSUPPORTED);
    if (!strstr(error.message, part))
        fail_msg("message '%s', '%s' expected in it", error.message, part);
    settings_free(&beside);
    fr_free(copy);
}

#define MODEL(data, part) check_refused(read_sentencepiece, "", NULL, data, sizeof data - 1, part)

static void test_lengths_of_a_sentencepiece_model_are_checked(void **state)
{
    (void)state;
    MODEL("", "no pieces");
    MODEL("\x0A", "cut off");
    MODEL("\x0A\x05\x0A\x01", "a length of 5 found, 2 bytes are left");
    MODEL("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01x", "a length of 18446744073709551615");
    MODEL("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02x", "more than 64 bits");
    MODEL("\x0A\x03\x0A\x7F\x61", "a length of 127 found, 1 bytes are left");
    MODEL("\x0A\x05\x0A\x01\x61\x15\x00", "cut off");
    MODEL("\x02\x01\x61", "field number");
    MODEL("\x0B\x01\x61", "type that is not used");
    MODEL("\x08\x01", "wire type 0, 2 expected");
    MODEL("\x0A\x02\x08\x01", "a piece's text has wire type 0");
    MODEL("\x42\x00", "field 8 is no field");
}

static void test_pieces_of_a_sentencepiece_model_are_checked(void **state)
{
    (void)state;
    MODEL("\x0A\x00", "piece 0 is empty");
    MODEL("\x0A\x03\x0A\x01\x00", "piece 0 is not UTF-8");
    MODEL("\x0A\x03\x0A\x01\xFF", "piece 0 is not UTF-8");
    MODEL("\x0A\x03\x0A\x01\x61\x0A\x03\x0A\x01\x61", "piece 1, 'a', is piece 0, too");
    MODEL("\x0A\x05\x0A\x01\x61\x18\x07", "type 7");
    MODEL("\x0A\x08\x0A\x01\x61\x15\x00\x00\xC0\x7F", "finite score");
    MODEL("\x0A\x03\x0A\x01\x61\x12\x02\x18\x03", "model_type 3 is not supported");
    MODEL("\x0A\x03\x0A\x01\x61\x12\x03\xC0\x02\x01", "unk_id 1");
    MODEL("\x0A\x03\x0A\x01\x61\x12\x03\xC0\x01\x01", "treat_whitespace_as_suffix");
    MODEL("\x0A\x03\x0A\x01\x61\x2A\x03\x12\x01\x61", "denormalizer_spec");
    check_refused(read_sentencepiece, "AlbertTokenizer", NULL, "x", 1, "'AlbertTokenizer'");
    check_refused(read_sentencepiece, "LlamaTokenizer", NULL,
                  "\x0A\x03\x0A\x01\x61\x12\x03\xD0\x02\xFF", 10, "");
}

static void test_a_sentencepiece_model_of_the_wrong_kind_is_refused(void **state)
{
    (void)state;
    static const char unigram[] = "\x0A\x03\x0A\x01\x61\x0A\x03\x0A\x01\x62\x0A\x03\x0A\x01\x63\x12"
                                  "\x06\xC8\x02\x00\xD0\x02\x00";
    check_refused(read_sentencepiece, "LlamaTokenizer", NULL, unigram, sizeof unigram - 1,
                  "needs a bpe model");
}

static void test_lines_of_a_vocabulary_are_checked(void **state)
{
    (void)state;
    check_refused(read_wordpiece, "", NULL, "", 0, "no tokens found");
    check_refused(read_wordpiece, "", NULL, "[UNK]\na\nb\na\n", 12,
                  "file:4: 'a' stands in line 2, too");
    check_refused(read_wordpiece, "", NULL, "[UNK]\n\xFF\n", 8, "file:2: not UTF-8");
    check_refused(read_wordpiece, "", NULL, "a\nb\n", 4, "no line is '[UNK]'");
    check_refused(read_wordpiece, "", "{\"do_lower_case\": 1}", "[UNK]\n", 6, "do_lower_case");
    check_refused(read_wordpiece, "RoFormerTokenizer", NULL, "[UNK]\n", 6, "'RoFormerTokenizer'");
    check_refused(read_wordpiece, "", "{\"added_tokens_decoder\": {\"7\": {\"content\": \"x\"}}}",
                  "[UNK]\n[CLS]\n[SEP]\n", 18, "'x' would have the id 3");
    check_refused(read_wordpiece, "", "{\"added_tokens_decoder\": {\"7x\": {\"content\": \"x\"}}}",
                  "[UNK]\n[CLS]\n[SEP]\n", 18, "'7x' found, an id expected");
}

static void check_merges(const char *vocab, const char *merges, const char *part)
{
    settings beside = {.root = json_object(), .class_name = "GPT2Tokenizer"};
    read_input one = {"vocab", vocab, strlen(vocab), &beside};
    read_input two = {"merges", merges, strlen(merges), &beside};
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    assert_int_equal(read_bpe_files(&tokenizer, &one, &two, &error), FR_BAD_INPUT);
    assert_null(tokenizer);
    if (!strstr(error.message, part))
        fail_msg("message '%s', '%s' expected in it", error.message, part);
    settings_free(&beside);
}

static void test_ids_and_merges_are_checked(void **state)
{
    (void)state;
    check_merges("", "", "not JSON");
    check_merges("[1]", "", "a list found");
    check_merges("{}", "", "an object with tokens expected");
    check_merges("{\"a\": 0, \"a\": 1}", "", "not JSON: duplicate");
    check_merges("{\"a\": 0, \"b\": 0}", "", "'b' has no id of its own");
    check_merges("{\"a\": 0, \"b\": 2}", "", "from 0 to 1");
    check_merges("{\"a\": -1}", "", "'a' has no id");
    check_merges("{\"a\": \"x\"}", "", "'a' has no id");
    check_merges("{\"a\": 0}", "#version: 0.2\na\n", "merges:2: 'a' found, two tokens expected");
    check_merges("{\"a\": 0}", "a a a\n", "merges:1: 'a a a' found");
    check_merges("{\"a\": 0}", "\n", "two tokens expected");
    check_merges("{\"a\": 0}", "a \xFF\n", "merges:1: not UTF-8");
}

#define RANKS(data, part)                                                                          \
    check_refused(read_tiktoken, "", "{\"pattern\": \"gpt2\"}", data, sizeof data - 1, part)

static void test_lines_of_a_tiktoken_file_are_checked(void **state)
{
    (void)state;
    RANKS("", "no tokens found");
    RANKS("YQ== 0\nYg==\n", "file:2: no token in base64");
    RANKS("YQ=x 0\n", "file:1: no token in base64");
    RANKS("YR== 0\n", "file:1: no token in base64");
    RANKS("YQ= 0\n", "file:1: no token in base64");
    RANKS(" 0\n", "file:1: no token in base64");
    RANKS("YQ== x\n", "file:1: 'x' found, a rank expected");
    RANKS("YQ== -1\n", "a rank expected");
    RANKS("YQ== 4294967297\n", "a rank expected");
    RANKS("YQ== 0\nYQ== 1\n", "file:2: the token or its rank 1 is in the file twice");
    RANKS("YQ== 0\nYg== 0\n", "file:2: the token or its rank 0 is in the file twice");
    RANKS("YQ== 999999999\n", "rank 999999999 found in a file of 1 tokens");
    check_refused(read_tiktoken, "", NULL, "YQ== 0\n", 7, "\"pattern\": \"cl100k\"");
}

/* ---- the parts ------------------------------------------------------------------------------- */

static void test_base64_is_read_as_it_is_written(void **state)
{
    (void)state;
    static const char *const texts[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fr_buffer text = {0}, bytes = {0};
        base64_write((const unsigned char *)"foobar", i, &text);
        assert_string_equal(text.data ? text.data : "", texts[i]);
        assert_true(base64_read(texts[i], strlen(texts[i]), &bytes));
        assert_int_equal(bytes.size, i);
        assert_memory_equal(bytes.data ? bytes.data : "", "foobar", i);
        fr_buffer_free(&text);
        fr_buffer_free(&bytes);
    }
    fr_buffer bytes = {0};
    assert_false(base64_read("Zg=", 3, &bytes));
    assert_false(base64_read("Z===", 4, &bytes));
    assert_false(base64_read("Zg==Zg==", 8, &bytes));
    assert_false(base64_read("Zh==", 4, &bytes));
    assert_false(base64_read("Z\ng=", 4, &bytes));
    assert_int_equal(bytes.size, 0);
    fr_buffer_free(&bytes);
}

/* Every way to cut every token, found through hashes that are cut, against looking at all of them. */
static void test_merges_of_a_list_are_all_cuts_into_tokens(void **state)
{
    (void)state;
    lexicon list = {0};
    for (uint64_t i = 0; i < 400; i++) {
        char text[8];
        uint32_t bits[4];
        fr_random_bits(3, FR_RANDOM_TEST, 0, i, bits);
        size_t size = 1 + bits[0] % 5;
        for (size_t k = 0; k < size; k++)
            text[k] = (char)('a' + (bits[1] >> 2 * k) % 3);
        if (lexicon_find(&list, text, size) < 0)
            assert_true(lexicon_add(&list, text, size));
    }
    token_merge *merges;
    size_t count, expected = 0;
    assert_int_equal(
        lexicon_merges(&list, MERGES_BY_PARTS, NULL, NULL, false, &merges, &count, NULL), FR_OK);
    for (size_t id = 0; id < list.count; id++) {
        size_t size;
        const char *text = lexicon_get(&list, id, &size);
        for (size_t at = 1; at < size; at++)
            expected += lexicon_find(&list, text, at) >= 0 &&
                        lexicon_find(&list, text + at, size - at) >= 0;
    }
    assert_true(expected > 100);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        size_t whole, left, right;
        const char *text = lexicon_get(&list, merges[i].id, &whole);
        const char *first = lexicon_get(&list, merges[i].left, &left);
        const char *second = lexicon_get(&list, merges[i].right, &right);
        assert_int_equal(whole, left + right);
        assert_memory_equal(text, first, left);
        assert_memory_equal(text + left, second, right);
        assert_true(i == 0 || merges[i - 1].id <= merges[i].id);
    }
    fr_free(merges);
    lexicon_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_older_format_gives_the_ids_that_transformers_gives),
        cmocka_unit_test(test_what_was_read_can_be_saved_and_loaded),
        cmocka_unit_test(test_lengths_of_a_sentencepiece_model_are_checked),
        cmocka_unit_test(test_pieces_of_a_sentencepiece_model_are_checked),
        cmocka_unit_test(test_a_sentencepiece_model_of_the_wrong_kind_is_refused),
        cmocka_unit_test(test_lines_of_a_vocabulary_are_checked),
        cmocka_unit_test(test_ids_and_merges_are_checked),
        cmocka_unit_test(test_lines_of_a_tiktoken_file_are_checked),
        cmocka_unit_test(test_base64_is_read_as_it_is_written),
        cmocka_unit_test(test_merges_of_a_list_are_all_cuts_into_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
