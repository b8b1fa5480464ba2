/* test_tokenizer_learn.c: learning unigram, WordPiece and SentencePiece's vocabularies: the same on
   any number of threads, small examples that a person can check, and sums against plain twins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tokenizer/pipeline.h"
#include "tokenizer/unigram_train.h"
#include "tokenizer_help.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers --------------------------------------------------------------------------------- */

static fr_status learn(fr_tokenizer **tokenizer, const char *kind_name, int64_t entries,
                       const char *const *texts, size_t count, fr_error *error)
{
    const fr_tokenizer_kind *kind =
        (const fr_tokenizer_kind *)fr_registry_find(&fr_tokenizers, kind_name);
    assert_non_null(kind);
    fr_tokenizer_options options = {0};
    kind->base.options.defaults(&options);
    options.vocabulary = entries;
    list l = {texts, count, 0};
    fr_status status = fr_tokenizer_train(tokenizer, &options, next_of_list, &l, error);
    fr_options_free(&kind->base.options, &options);
    return status;
}

static const char *const kinds[] = {"bpe", "sentencepiece_bpe", "unigram", "wordpiece"};
enum { KINDS = 4 };

static const char *const documents[] = {
    "The old baker opened her shop before the sun was up, and the smell of bread filled the "
    "street. It's true that they'd have gone if we'll only ask.\n",
    "Der alte B\xC3\xA4\x63ker \xC3\xB6\x66\x66nete fr\xC3\xBCh; die Stra\xC3\x9F\x65 roch nach "
    "Br\xC3\xB6tchen. 12345 12345 2345\n\n\tx = y + 1;\n",
    "\xE8\x80\x81\xE9\x9D\xA2\xE5\x8C\x85\xE5\xB8\x88\xE9\x9D\xA2\xE5\x8C\x85 the baker, the "
    "bread, "
    "the baker's bread and the street of the baker.\xFF\n",
};

/* ---- all kinds ------------------------------------------------------------------------------- */

static void test_what_is_learned_does_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    const char *texts[300];
    for (size_t i = 0; i < 300; i++)
        texts[i] = documents[i * 7 % 3];
    int before = fr_threads();
    for (size_t k = 0; k < KINDS; k++) {
        fr_tokenizer *one, *three;
        fr_error error = {0};
        fr_threads_set(1);
        if (learn(&one, kinds[k], 420, texts, 300, &error) != FR_OK)
            fail_msg("%s", error.message);
        fr_threads_set(3);
        assert_int_equal(learn(&three, kinds[k], 420, texts, 300, NULL), FR_OK);
        assert_string_equal(one->json, three->json);
        fr_tokenizer_free(one);
        fr_tokenizer_free(three);
    }
    fr_threads_set(before);
}

static void test_learned_kinds_that_lose_nothing_give_every_text_back(void **state)
{
    (void)state;
    static const char text[] =
        "  Two  blanks, \xF0\x9F\x98\x80 <0x41> <unk>\n\n\tthe baker\xC2\xA0. ";
    for (size_t k = 0; k < 3; k++) {
        fr_tokenizer *tokenizer;
        fr_ids ids = {0};
        fr_buffer back = {0};
        assert_int_equal(learn(&tokenizer, kinds[k], 400, documents, 3, NULL), FR_OK);
        assert_int_equal(fr_tokenizer_encode(tokenizer, text, sizeof text - 1, 0, &ids, NULL),
                         FR_OK);
        assert_int_equal(fr_tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back, NULL),
                         FR_OK);
        assert_string_equal(back.data, text);
        fr_ids_free(&ids);
        fr_buffer_free(&back);
        fr_tokenizer_free(tokenizer);
    }
}

static void test_vocabularies_without_room_are_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        fr_tokenizer *tokenizer;
        fr_error error = {0};
        assert_int_equal(learn(&tokenizer, kinds[k], 4, documents, 3, &error), FR_BAD_INPUT);
        assert_null(tokenizer);
        assert_non_null(strstr(error.message, "vocabulary 4 found"));
    }
}

static void test_nothing_to_learn_from_gives_a_tokenizer_all_the_same(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        fr_tokenizer *tokenizer;
        fr_error error = {0};
        if (learn(&tokenizer, kinds[k], 400, documents, 0, &error) != FR_OK)
            fail_msg("%s: %s", kinds[k], error.message);
        assert_true(fr_tokenizer_end_of_text(tokenizer) >= 0);
        fr_tokenizer_free(tokenizer);
    }
}

/* ---- WordPiece, SentencePiece's merges ------------------------------------------------------- */

static int64_t id_of(const fr_tokenizer *tokenizer, const char *token)
{
    json_t *root = json_loads(tokenizer->json, JSON_ALLOW_NUL, NULL);
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab"), *id;
    if (json_is_object(vocab)) {
        id = json_object_get(vocab, token);
        int64_t result = id ? json_integer_value(id) : -1;
        json_decref(root);
        return result;
    }
    int64_t result = -1;
    for (size_t i = 0; i < json_array_size(vocab); i++)
        if (!strcmp(json_string_value(json_array_get(json_array_get(vocab, i), 0)), token))
            result = (int64_t)i;
    json_decref(root);
    return result;
}

/* hug 10, pug 5, pun 12, bun 4, hugs 5: pairs (##u, ##g) 20, then (##u, ##n) 16, then (h, ##ug) 15,
   then (p, ##un) 12. */
static void test_wordpiece_joins_the_most_frequent_pairs_of_words(void **state)
{
    (void)state;
    static const char *const words[] = {"hug ", "pug ", "pun ", "bun ", "hugs "};
    static const int times[] = {10, 5, 12, 4, 5};
    static const char *const expected[] = {
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "b",   "g",    "h",    "n",   "p",
        "s",     "u",     "##g",   "##n",   "##s",    "##u", "##ug", "##un", "hug", "pun"};
    const char *texts[36];
    size_t count = 0;
    for (int w = 0; w < 5; w++)
        for (int i = 0; i < times[w]; i++)
            texts[count++] = words[w];
    fr_tokenizer *tokenizer;
    /* All of the alphabet has room in half of what is left: 5 + 2 x 11 entries; four merges come. */
    assert_int_equal(learn(&tokenizer, "wordpiece", 27, texts, count, NULL), FR_OK);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(id_of(tokenizer, expected[i]), i);
    fr_tokenizer_free(tokenizer);
}

static void test_sentencepiece_merges_keep_blanks_with_the_word_behind(void **state)
{
    (void)state;
    static const char *const texts[] = {"the cat the cat the cat\nthe hat\n\nthe cat"};
    fr_tokenizer *tokenizer;
    assert_int_equal(learn(&tokenizer, "sentencepiece_bpe", 300, texts, 1, NULL), FR_OK);
    assert_true(id_of(tokenizer, "\xE2\x96\x81"
                                 "cat") > 256);
    assert_true(id_of(tokenizer, "\xE2\x96\x81the") > 256);
    assert_int_equal(id_of(tokenizer, "the\xE2\x96\x81"), -1);
    assert_int_equal(id_of(tokenizer, "\nthe"), -1);
    assert_int_equal(id_of(tokenizer, "<unk>"), 0);
    assert_int_equal(id_of(tokenizer, "<0x41>"), 1 + 0x41);
    fr_tokenizer_free(tokenizer);
}

/* ---- unigram --------------------------------------------------------------------------------- */

static unigram_tokens tokens_of(const char *const *texts, size_t count, size_t alphabet,
                                const double *probability)
{
    unigram_tokens tokens = {.alphabet = alphabet};
    tokens.score = fr_alloc_array(count, sizeof *tokens.score, FR_MEMORY_OTHER);
    assert_non_null(tokens.score);
    for (size_t i = 0; i < count; i++) {
        assert_true(lexicon_add(&tokens.list, texts[i], strlen(texts[i])));
        tokens.score[i] = log(probability[i]);
    }
    return tokens;
}

/* Expected counts by logarithms: the plain twin of forward and backward sums. */
static void expect_plainly(const unigram_tokens *tokens, const segment *s, double *expected)
{
    size_t n = s->size;
    double *forward = calloc(n + 1, sizeof *forward), *backward = calloc(n + 1, sizeof *backward);
    for (size_t i = 1; i <= n; i++) {
        forward[i] = -INFINITY;
        for (size_t k = 0; k < i; k++) {
            int64_t id = lexicon_find(&tokens->list, s->text + k, i - k);
            double way = id < 0 ? -INFINITY : forward[k] + tokens->score[id];
            if (way > -INFINITY)
                forward[i] = fmax(forward[i], way) + log1p(exp(-fabs(forward[i] - way)));
        }
    }
    for (size_t i = n; i-- > 0;) {
        backward[i] = -INFINITY;
        for (size_t k = i + 1; k <= n; k++) {
            int64_t id = lexicon_find(&tokens->list, s->text + i, k - i);
            double way = id < 0 ? -INFINITY : backward[k] + tokens->score[id];
            if (way > -INFINITY)
                backward[i] = fmax(backward[i], way) + log1p(exp(-fabs(backward[i] - way)));
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k <= n; k++) {
            int64_t id = lexicon_find(&tokens->list, s->text + i, k - i);
            if (id >= 0)
                expected[id] += (double)s->count *
                                exp(forward[i] + tokens->score[id] + backward[k] - forward[n]);
        }
    free(forward);
    free(backward);
}

/* By the series of the trigamma's integral: digamma(x) - digamma(y) for a check of differences. */
static double digamma_plainly(double x)
{
    double sum = 0;
    for (; x < 1000; x++)
        sum -= 1 / x;
    return sum + log(x) - 1 / (2 * x) - 1 / (12 * x * x);
}

static void test_a_pass_expects_what_a_plain_twin_expects(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "ab", "ba", "aba", "bb"};
    /* Rare enough that sums of the long segment leave the range of a double. */
    static const double probability[] = {1e-9, 2e-9, 3e-12, 1e-13, 4e-14, 1e-15};
    char longest[601];
    for (size_t i = 0; i < 600; i++)
        longest[i] = (char)('a' + (i * i / 3 + i / 7) % 2);
    const segment segments[] = {{"abab", 4, 3}, {"bba", 3, 2}, {longest, 600, 5}, {"a", 1, 7}};
    unigram_tokens tokens = tokens_of(texts, 6, 2, probability);
    double expected[6] = {0}, sum = 0;
    for (size_t i = 0; i < 4; i++)
        expect_plainly(&tokens, &segments[i], expected);
    for (size_t i = 0; i < 6; i++)
        sum += expected[i] >= 0.5 ? expected[i] : 0;
    assert_int_equal(unigram_fit(&tokens, segments, 4, NULL), FR_OK);
    size_t found = 0;
    for (size_t i = 0; i < 6; i++) {
        int64_t id = lexicon_find(&tokens.list, texts[i], strlen(texts[i]));
        assert_int_equal(id >= 0, expected[i] >= 0.5);
        if (id < 0)
            continue;
        double score = digamma_plainly(expected[i]) - digamma_plainly(sum);
        assert_true(fabs(tokens.score[id] - score) < 1e-9 * fabs(score));
        found++;
    }
    assert_true(found >= 4);
    unigram_tokens_free(&tokens);
}

static void test_candidates_are_the_strings_that_repeat(void **state)
{
    (void)state;
    static const char *const letters[] = {"a", "b", "c", "d", "\xC3\xBC"};
    static const double even[] = {1, 1, 1, 1, 1};
    const segment segments[] = {
        {"abcabcabd", 9, 1}, {"\xC3\xBC\x61", 3, 2}, {"\xC3\xBC\x61", 3, 1}, {"d\xC3\xBC", 3, 1}};
    unigram_tokens tokens = tokens_of(letters, 5, 5, even);
    assert_int_equal(unigram_candidates(&tokens, segments, 4, 3, 100, 2, NULL), FR_OK);
    /* abc 2 x 3; ab 3 x 2; bca 2 x 3, of which bc is a part; "cab" 2 x 3; "\u00FCa" 3 x 2. Single
       letters once more than they are seen. */
    static const char *const found[] = {"abc", "ab", "bca", "cab", "\xC3\xBC\x61"};
    for (size_t i = 0; i < 5; i++) {
        int64_t id = lexicon_find(&tokens.list, found[i], strlen(found[i]));
        assert_true(id >= 5);
        assert_true(fabs(exp(tokens.score[id] - tokens.score[3]) - 6.0 / 3) < 1e-12); /* d: 2 + 1 */
    }
    assert_int_equal(lexicon_find(&tokens.list, "abd", 3), -1);  /* once */
    assert_int_equal(lexicon_find(&tokens.list, "bc", 2), -1);   /* never without the a behind */
    assert_int_equal(lexicon_find(&tokens.list, "abca", 4), -1); /* too long */
    unigram_tokens_free(&tokens);
}

static void test_pruning_takes_what_costs_least_and_keeps_the_alphabet(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "c", "ab", "bc", "abc"};
    static const double probability[] = {0.05, 0.05, 0.05, 0.1, 0.05, 0.7};
    const segment segments[] = {{"abc", 3, 100}, {"ab", 2, 50}, {"bc", 2, 1}, {"c", 1, 3}};
    unigram_tokens tokens = tokens_of(texts, 6, 3, probability);
    assert_int_equal(unigram_prune(&tokens, segments, 4, 4, NULL), FR_OK);
    assert_int_equal(tokens.list.count, 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(lexicon_find(&tokens.list, texts[i], 1), i);
    assert_int_equal(lexicon_find(&tokens.list, "abc", 3), 3);
    unigram_tokens_free(&tokens);
}

static void test_unigram_makes_tokens_of_words_that_repeat(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer;
    fr_ids ids = {0};
    assert_int_equal(learn(&tokenizer, "unigram", 400, documents, 3, NULL), FR_OK);
    assert_true(id_of(tokenizer, "\xE2\x96\x81"
                                 "baker") > 256);
    assert_int_equal(fr_tokenizer_encode(tokenizer, " baker", 6, 0, &ids, NULL), FR_OK);
    assert_int_equal(ids.count, 1);
    fr_ids_free(&ids);
    fr_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_learned_does_not_depend_on_the_number_of_threads),
        cmocka_unit_test(test_learned_kinds_that_lose_nothing_give_every_text_back),
        cmocka_unit_test(test_vocabularies_without_room_are_refused),
        cmocka_unit_test(test_nothing_to_learn_from_gives_a_tokenizer_all_the_same),
        cmocka_unit_test(test_wordpiece_joins_the_most_frequent_pairs_of_words),
        cmocka_unit_test(test_sentencepiece_merges_keep_blanks_with_the_word_behind),
        cmocka_unit_test(test_a_pass_expects_what_a_plain_twin_expects),
        cmocka_unit_test(test_candidates_are_the_strings_that_repeat),
        cmocka_unit_test(test_pruning_takes_what_costs_least_and_keeps_the_alphabet),
        cmocka_unit_test(test_unigram_makes_tokens_of_words_that_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
