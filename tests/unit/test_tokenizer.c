/* Tokenizers against Hugging Face's library (tests/fixtures/tokenizer_*, made by
   make_tokenizers.py), against plain twins of their own algorithms, and against files that lie. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tokenizer/pipeline.h"
#include "tokenizer/train.h"
#include "tokenizer/utf8.h"
#include "tokenizer_help.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const models[] = {"gpt2", "llama3", "qwen2", "other"};
enum { MODELS = 4, KEEP_EVERY_BYTE = 2 }; /* the first two neither normalise nor remove anything */

/* ---- helpers --------------------------------------------------------------------------------- */

static char *fixture_path(const char *model)
{
    return fr_format("tests/fixtures/tokenizer_%s/tokenizer.json", model);
}

static fr_tokenizer *load_fixture(const char *model)
{
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    char *path = fixture_path(model);
    if (fr_tokenizer_load(&tokenizer, path, &error) != FR_OK)
        fail_msg("%s", error.message);
    fr_free(path);
    return tokenizer;
}

static uint32_t draw(uint64_t step, uint64_t index, uint32_t below)
{
    uint32_t bits[4];
    fr_random_bits(7, FR_RANDOM_TEST, step, index, bits);
    return bits[0] % below;
}

static void assert_round_trip(const fr_tokenizer *tokenizer, const char *text, size_t size)
{
    fr_ids ids = {0};
    fr_buffer back = {0};
    assert_int_equal(fr_tokenizer_encode(tokenizer, text, size, FR_ENCODE_OFFSETS, &ids, NULL),
                     FR_OK);
    assert_int_equal(fr_tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back, NULL), FR_OK);
    assert_int_equal(back.size, size);
    if (size)
        assert_memory_equal(back.data, text, size);
    size_t at = 0;
    for (size_t i = 0; i < ids.count; at = ids.end[i], i++) { /* offsets cover the text in order */
        assert_true(ids.begin[i] <= at && ids.end[i] >= at);
        assert_true(i == 0 || ids.begin[i] >= ids.begin[i - 1]);
    }
    assert_int_equal(at, size);
    fr_buffer_free(&back);
    fr_ids_free(&ids);
}

static const char *const documents[] = {
    "the cat sat on the mat. the dog sat on the log, and the cat's mat was the dog's log too.",
    "It isn't so hard: we've seen 123 cats, 4567 dogs and 89 logs\n\n\n    on 1 mat!",
    "aaaa aaa aa a aaaaaaaaaaaaaaa bababababab abababab",
    "Stra\xC3\x9F"
    "e, \xD0\xBA\xD0\xBE\xD1\x82 \xD0\xBA\xD0\xBE\xD1\x82 \xE7\x8C\xAB\xE7\x8C\xAB\xE7\x8C\xAB "
    "\xFF\xFE\xFF\xFE \xF0\x9F\x90\x88",
    "",
    "int main(void)\r\n{\r\n\treturn 0;\r\n}\r\n"};
enum { DOCUMENTS = sizeof documents / sizeof *documents };

static fr_tokenizer *train(int64_t entries, int pattern)
{
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    fr_tokenizer_options options = {0};
    list l = {documents, DOCUMENTS, 0};
    fr_tokenizer_options_defaults(&options);
    options.vocabulary = entries;
    options.pattern = pattern;
    if (fr_tokenizer_train(&tokenizer, &options, next_of_list, &l, &error) != FR_OK)
        fail_msg("%s", error.message);
    fr_free(options.special.items[0]);
    fr_free(options.special.items);
    return tokenizer;
}

/* ---- against Hugging Face -------------------------------------------------------------------- */

static void assert_ids(const json_t *expected, const fr_ids *ids, const char *model,
                       const char *text)
{
    size_t count = json_array_size(expected);
    for (size_t i = 0; i < count && i < ids->count; i++)
        if (ids->ids[i] != json_integer_value(json_array_get(expected, i)))
            fail_msg("%s: token %zu of '%s' is %d, %lld expected", model, i, text, ids->ids[i],
                     (long long)json_integer_value(json_array_get(expected, i)));
    if (ids->count != count)
        fail_msg("%s: '%s' has %zu tokens, %zu expected", model, text, ids->count, count);
}

static void assert_offsets(const json_t *expected, const fr_ids *ids, const char *model,
                           const char *text)
{
    for (size_t i = 0; i < ids->count; i++) {
        json_int_t begin = json_integer_value(json_array_get(expected, 2 * i));
        json_int_t end = json_integer_value(json_array_get(expected, 2 * i + 1));
        if ((json_int_t)ids->begin[i] != begin || (json_int_t)ids->end[i] != end)
            fail_msg("%s: token %zu of '%s' is at %zu-%zu, %lld-%lld expected", model, i, text,
                     ids->begin[i], ids->end[i], (long long)begin, (long long)end);
    }
}

static void test_ids_and_offsets_equal_hugging_faces(void **state)
{
    (void)state;
    json_t *cases = json_load_file("tests/fixtures/tokenizer_cases.json", JSON_ALLOW_NUL, NULL);
    assert_true(json_array_size(cases) > 40);
    for (int m = 0; m < MODELS; m++) {
        fr_tokenizer *tokenizer = load_fixture(models[m]);
        fr_ids ids = {0};
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *text_value = json_object_get(json_array_get(cases, i), "text");
            const json_t *theirs = json_object_get(json_array_get(cases, i), models[m]);
            const json_t *offsets = json_object_get(theirs, "offsets"),
                         *around = json_object_get(theirs, "around");
            const char *text = json_string_value(text_value);
            size_t size = json_string_length(text_value);
            fr_ids_clear(&ids);
            assert_int_equal(
                fr_tokenizer_encode(tokenizer, text, size, FR_ENCODE_OFFSETS, &ids, NULL), FR_OK);
            assert_ids(json_object_get(theirs, "ids"), &ids, models[m], text);
            if (offsets)
                assert_offsets(offsets, &ids, models[m], text);
            if (around) {
                fr_ids_clear(&ids);
                assert_int_equal(
                    fr_tokenizer_encode(tokenizer, text, size, FR_ENCODE_ADD_SPECIAL, &ids, NULL),
                    FR_OK);
                assert_ids(around, &ids, models[m], text);
            }
        }
        fr_ids_free(&ids);
        fr_tokenizer_free(tokenizer);
    }
    json_decref(cases);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void test_the_byte_tokenizer_numbers_bytes_by_their_value(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer;
    assert_int_equal(fr_tokenizer_create_bytes(&tokenizer, NULL), FR_OK);
    assert_int_equal(fr_tokenizer_size(tokenizer), 257);
    assert_int_equal(fr_tokenizer_end_of_text(tokenizer), 256);
    assert_int_equal(fr_tokenizer_id(tokenizer, "<|endoftext|>"), 256);
    assert_true(fr_tokenizer_is_special(tokenizer, 256));
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    fr_ids ids = {0};
    assert_int_equal(fr_tokenizer_encode(tokenizer, all, 256, 0, &ids, NULL), FR_OK);
    assert_int_equal(ids.count, 256);
    for (int i = 0; i < 256; i++)
        assert_int_equal(ids.ids[i], i);
    fr_ids_free(&ids);
    fr_tokenizer_free(tokenizer);
}

/* A random string of every temper: bytes, broken UTF-8, scripts, blanks. */
static size_t random_text(uint64_t number, char *text, size_t room, bool well_formed)
{
    static const uint32_t starts[] = {
        0x20,   0x41,   0x61,   0x30,   0x09,   0x27,    0xA0,    0xC0,     0x300,  0x400,  0x5D0,
        0x660,  0x900,  0x1100, 0x1680, 0x180B, 0x2000,  0x2020,  0x2150,   0x3000, 0x3040, 0x4E00,
        0xAC00, 0xD7B0, 0xFB00, 0xFEFF, 0xFFF0, 0x1F600, 0x1D7CE, 0x10FFF0, 0x2002, 0x0D};
    static const char *const words[] = {"'s",  "'LL",      "'re",     " '",
                                        "  ",  "\r\n",     "don't",   "<|endoftext|>",
                                        "123", " \n \n x", "\xC5\xBF"};
    size_t size = 0;
    uint64_t index = 1;
    size_t wanted = draw(number, 0, 200);
    while (size < wanted && size + 32 < room) {
        uint32_t kind = draw(number, index++, 10);
        if (kind == 0 && !well_formed) {
            text[size++] = (char)draw(number, index++, 256);
        } else if (kind <= 2) {
            const char *word = words[draw(number, index++, sizeof words / sizeof *words)];
            memcpy(text + size, word, strlen(word));
            size += strlen(word);
        } else {
            uint32_t start = starts[draw(number, index++, sizeof starts / sizeof *starts)];
            for (uint32_t n = draw(number, index++, 5) + 1; n > 0; n--) {
                uint32_t point = start + draw(number, index++, 16);
                if (point < 0xD800 || point > 0xDFFF)
                    size += utf8_encode(point, (unsigned char *)text + size);
            }
        }
    }
    return size;
}

static void test_any_bytes_come_back(void **state)
{
    (void)state;
    fr_tokenizer *tokenizers[6] = {0};
    size_t count = 0;
    for (int m = 0; m < KEEP_EVERY_BYTE; m++)
        tokenizers[count++] = load_fixture(models[m]);
    for (int pattern = PATTERN_GPT2; pattern <= PATTERN_NONE; pattern++)
        tokenizers[count++] = train(320, pattern);
    assert_int_equal(fr_tokenizer_create_bytes(&tokenizers[count++], NULL), FR_OK);
    for (size_t t = 0; t < count; t++) {
        assert_round_trip(tokenizers[t], "", 0);
        for (int i = 0; i < 256; i++) {
            char byte = (char)i;
            assert_round_trip(tokenizers[t], &byte, 1);
        }
        for (uint64_t number = 0; number < 2000; number++) {
            char text[400];
            assert_round_trip(tokenizers[t], text, random_text(number, text, sizeof text, false));
        }
        fr_tokenizer_free(tokenizers[t]);
    }
}

static void test_bytes_that_are_not_utf8_are_pieces_of_their_own(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer = load_fixture("gpt2");
    /* Lone continuation, overlong, surrogate, beyond U+10FFFF, cut off at the end. */
    static const char *const broken[] = {"\x80",     "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                         "\xE2\x82", "\xFF\xFE"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char text[40];
        int size = snprintf(text, sizeof text, "the cat%s the cat", broken[i]);
        fr_ids whole = {0}, parts = {0};
        assert_int_equal(fr_tokenizer_encode(tokenizer, text, (size_t)size, 0, &whole, NULL),
                         FR_OK);
        fr_tokenizer_encode(tokenizer, "the cat", 7, 0, &parts, NULL);
        fr_tokenizer_encode(tokenizer, broken[i], strlen(broken[i]), 0, &parts, NULL);
        fr_tokenizer_encode(tokenizer, " the cat", 8, 0, &parts, NULL);
        assert_int_equal(whole.count, parts.count);
        assert_memory_equal(whole.ids, parts.ids, whole.count * sizeof *whole.ids);
        fr_ids_free(&whole);
        fr_ids_free(&parts);
    }
    fr_tokenizer_free(tokenizer);
}

/* ---- patterns -------------------------------------------------------------------------------- */

static void test_matchers_by_hand_cut_as_pcre2_does(void **state)
{
    (void)state;
    static const char *const patterns[] = {split_gpt2_pattern, split_llama3_pattern,
                                           split_qwen2_pattern};
    split_scratch scratch = {0};
    for (size_t p = 0; p < 3; p++) {
        split ours, theirs;
        assert_int_equal(split_from_pattern(&ours, patterns[p], strlen(patterns[p]), false, NULL),
                         FR_OK);
        assert_int_equal(split_from_regex(&theirs, patterns[p], strlen(patterns[p]), false, NULL),
                         FR_OK);
        assert_true(ours.kind != SPLIT_REGEX && theirs.kind == SPLIT_REGEX);
        for (uint64_t number = 0; number < 20000; number++) {
            char text[400];
            size_t size = random_text(number, text, sizeof text, true);
            split_cursor cursor = SPLIT_CURSOR_START, their_cursor = SPLIT_CURSOR_START;
            for (size_t at = 0; at < size;) {
                size_t begin, end, their_begin, their_end;
                bool found, their_found;
                assert_int_equal(
                    split_next(&ours, &scratch, text, size, &cursor, &begin, &end, &found, NULL),
                    FR_OK);
                assert_int_equal(split_next(&theirs, &scratch, text, size, &their_cursor,
                                            &their_begin, &their_end, &their_found, NULL),
                                 FR_OK);
                assert_true(found && their_found);
                if (begin != their_begin || end != their_end)
                    fail_msg("pattern %zu, text %llu: %zu-%zu, PCRE2 %zu-%zu", p,
                             (unsigned long long)number, begin, end, their_begin, their_end);
                at = end;
            }
        }
        split_free(&ours);
        split_free(&theirs);
    }
    split_scratch_free(&scratch);
}

static void test_patterns_that_engines_read_differently_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "\\h+",    "[a[^bc]]", "[a-z&&[^b]]", "a{,3}",   "\\d{1,3}+", "(?m:.)",  "(*UTF8)a",
        "[a[-b]]", "[\\W]",    "[]a]",        "[:a\\K]", "\\",        "(?<n>a)", "x\\"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        split s;
        fr_error error = {0};
        if (split_from_regex(&s, refused[i], strlen(refused[i]), false, &error) != FR_UNSUPPORTED)
            fail_msg("'%s' was not refused", refused[i]);
        assert_non_null(strstr(error.message, "is not supported"));
    }
    split s;
    assert_int_equal(split_from_regex(&s, "(ab", 3, false, NULL), FR_BAD_INPUT);
}

/* ---- merging --------------------------------------------------------------------------------- */

/* The definition: scan for the merge of the smallest rank, do it at its leftmost place, again
   and again. */
static size_t naive_merge(const text_model *model, const char *piece, size_t size, int32_t *ids)
{
    for (size_t i = 0; i < size; i++)
        ids[i] = model->merges.byte_id[(unsigned char)piece[i]];
    for (;;) {
        const bpe_merge *best = NULL;
        size_t place = 0;
        for (size_t i = 0; i + 1 < size; i++)
            for (size_t k = 0; k <= model->merges.mask; k++) {
                const bpe_merge *merge = &model->merges.merges[k];
                if (merge->pair == ((uint64_t)(uint32_t)ids[i] << 32 | (uint32_t)ids[i + 1]) &&
                    (!best || merge->rank < best->rank)) {
                    best = merge;
                    place = i;
                }
            }
        if (!best)
            return size;
        ids[place] = (int32_t)best->id;
        memmove(ids + place + 1, ids + place + 2, (size - place - 2) * sizeof *ids);
        size--;
    }
}

static void test_short_long_and_remembered_pieces_are_merged_alike(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer = train(330, PATTERN_NONE);
    bpe_scratch scratch = {0};
    fr_ids ids = {0};
    for (uint64_t number = 0; number < 150; number++) {
        static const char letters[] = "ab tehcsdog";
        char piece[120];
        int32_t expected[120];
        size_t size = 1 + draw(number, 0, 119), kinds = 2 + draw(number, 1, 9);
        for (size_t i = 0; i < size; i++)
            piece[i] = letters[draw(number, 2 + i, (uint32_t)kinds)];
        size_t count = naive_merge(&tokenizer->model, piece, size, expected);
        for (int again = 0; again < 2; again++) { /* the second time it may come from the cache */
            fr_ids_clear(&ids);
            assert_int_equal(
                bpe_encode(&tokenizer->model.merges, &scratch, piece, size, size, &ids, NULL),
                FR_OK);
            assert_int_equal(ids.count, count);
            assert_memory_equal(ids.ids, expected, count * sizeof *expected);
        }
    }
    fr_ids_free(&ids);
    bpe_scratch_free(&scratch);
    fr_tokenizer_free(tokenizer);
}

static void test_a_megabyte_of_anything_takes_no_time(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    fr_tokenizer *tokenizers[3] = {load_fixture("other"), train(330, PATTERN_LLAMA3),
                                   train(330, PATTERN_NONE)};
    for (int kind = 0; kind < 5; kind++) {
        for (size_t i = 0; i < SIZE; i++)
            text[i] = kind == 0   ? 'a'
                      : kind == 1 ? ' '
                      : kind == 2 ? (char)draw(1, i, 256)
                      : kind == 3 ? '<'
                      : i % 2     ? '\n'
                                  : ' ';
        for (int t = 0; t < 3; t++) {
            fr_ids ids = {0};
            double start = fr_cpu_seconds();
            assert_int_equal(fr_tokenizer_encode(tokenizers[t], text, SIZE, 0, &ids, NULL), FR_OK);
            /* Quadratic time would be hours. */
            assert_true(fr_cpu_seconds() - start < 20);
            fr_ids_free(&ids);
        }
    }
    for (int t = 0; t < 3; t++)
        fr_tokenizer_free(tokenizers[t]);
    free(text);
}

/* ---- training -------------------------------------------------------------------------------- */

/* The definition of training, over all pieces again in every round. Pieces are ids ended by -1. */
static size_t naive_training(int32_t *corpus, size_t size, size_t merges, uint32_t (*out)[2])
{
    for (size_t done = 0; done < merges; done++) {
        uint64_t best = 0;
        int64_t best_count = 0;
        for (size_t i = 0; i + 1 < size; i++) {
            if (corpus[i] < 0 || corpus[i + 1] < 0)
                continue;
            uint64_t pair = (uint64_t)corpus[i] << 32 | (uint32_t)corpus[i + 1];
            int64_t count = 0;
            for (size_t k = 0; k + 1 < size; k++)
                count += corpus[k] >= 0 && corpus[k + 1] >= 0 &&
                         ((uint64_t)corpus[k] << 32 | (uint32_t)corpus[k + 1]) == pair;
            if (count > best_count || (count == best_count && pair < best)) {
                best = pair;
                best_count = count;
            }
        }
        if (best_count < 2)
            return done;
        out[done][0] = (uint32_t)(best >> 32);
        out[done][1] = (uint32_t)best;
        size_t kept = 0;
        for (size_t i = 0; i < size; i++)
            if (i + 1 < size && corpus[i] == (int32_t)out[done][0] &&
                corpus[i + 1] == (int32_t)out[done][1]) {
                corpus[kept++] = (int32_t)(256 + done);
                i++;
            } else {
                corpus[kept++] = corpus[i];
            }
        size = kept;
    }
    return merges;
}

static void test_training_merges_the_most_frequent_pair_every_time(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer = train(256 + 1 + 24, PATTERN_GPT2);
    int32_t corpus[2000];
    size_t size = 0;
    split cut;
    assert_true(tokenizer_pattern_split(PATTERN_GPT2, &cut));
    for (size_t d = 0; d < DOCUMENTS; d++) {
        const char *text = documents[d];
        size_t all = strlen(text);
        for (size_t at = 0; at < all;) {
            size_t run = utf8_valid_run((const unsigned char *)text + at, all - at), begin = 0,
                   end = 0;
            bool valid = run;
            if (!valid)
                run = utf8_invalid_run((const unsigned char *)text + at, all - at);
            for (; begin < run; begin = end) {
                if (valid)
                    end = split_match_end(&cut, text + at, run, begin);
                else
                    end = run;
                for (size_t i = begin; i < end; i++)
                    corpus[size++] = tokenizer->model.merges.byte_id[(unsigned char)text[at + i]];
                corpus[size++] = -1;
            }
            at += run;
        }
    }
    uint32_t expected[24][2];
    size_t merges = naive_training(corpus, size, 24, expected);
    assert_int_equal(merges, 24);
    assert_int_equal(tokenizer->model.merges.merge_count, merges);
    for (size_t k = 0; k <= tokenizer->model.merges.mask; k++) {
        const bpe_merge *merge = &tokenizer->model.merges.merges[k];
        if (merge->pair == BPE_NO_PAIR)
            continue;
        assert_int_equal(merge->pair >> 32, expected[merge->rank][0]);
        assert_int_equal((uint32_t)merge->pair, expected[merge->rank][1]);
        assert_int_equal(merge->id, 256 + merge->rank);
    }
    fr_tokenizer_free(tokenizer);
}

static void test_training_is_the_same_on_any_number_of_threads(void **state)
{
    (void)state;
    int before = fr_threads();
    fr_threads_set(1);
    fr_tokenizer *one = train(340, PATTERN_LLAMA3);
    for (int threads = 2; threads <= 5; threads++) {
        fr_threads_set(threads);
        fr_tokenizer *many = train(340, PATTERN_LLAMA3);
        assert_int_equal(one->json_size, many->json_size);
        assert_memory_equal(one->json, many->json, one->json_size);
        fr_tokenizer_free(many);
    }
    fr_threads_set(before);
    fr_tokenizer_free(one);
}

/* Documents without an end in sight: 4096 of them, all different. */
static fr_status next_of_many(void *context, const char **text, size_t *size, fr_error *error)
{
    (void)error;
    static char document[4097];
    uint64_t *number = context;
    if (*number == 4096) {
        *text = NULL;
        return FR_OK;
    }
    for (size_t i = 0; i < 4096; i++)
        document[i] = i % 7 == 6 ? ' ' : (char)('a' + draw(*number, i / 4, 26));
    ++*number;
    *text = document;
    *size = 4096;
    return FR_OK;
}

static void test_the_sample_bounds_memory_and_is_filled(void **state)
{
    (void)state;
    uint64_t number = 0;
    sample s;
    fr_memory_reset_peaks();
    size_t before = fr_memory_peak(FR_MEMORY_DATA);
    assert_int_equal(sample_draw(&s, 1 << 20, next_of_many, &number, NULL), FR_OK);
    assert_true(s.bytes <= 1 << 20 && s.bytes > (1 << 20) - 4096 - 1);
    assert_true(fr_memory_peak(FR_MEMORY_DATA) - before < 2 << 20);
    sample_free(&s);
}

static void test_what_is_saved_loads_as_the_same_tokenizer(void **state)
{
    (void)state;
    char folder[] = "/tmp/frugal-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    for (int pattern = PATTERN_GPT2; pattern <= PATTERN_NONE + 1; pattern++) {
        fr_tokenizer *made, *loaded;
        if (pattern <= PATTERN_NONE)
            made = train(330, pattern);
        else
            assert_int_equal(fr_tokenizer_create_bytes(&made, NULL), FR_OK);
        assert_int_equal(fr_tokenizer_save(made, folder, 512, NULL), FR_OK);
        assert_int_equal(fr_tokenizer_load(&loaded, folder, NULL), FR_OK);
        assert_int_equal(made->json_size, loaded->json_size);
        assert_memory_equal(made->json, loaded->json, made->json_size);
        assert_int_equal(fr_tokenizer_end_of_text(loaded), fr_tokenizer_end_of_text(made));
        assert_int_equal(fr_tokenizer_end_of_text(loaded), fr_tokenizer_size(loaded) - 1);
        assert_non_null(strstr(loaded->config, "\"model_max_length\": 512"));
        fr_ids a = {0}, b = {0};
        for (size_t d = 0; d < DOCUMENTS; d++) {
            fr_tokenizer_encode(made, documents[d], strlen(documents[d]), 0, &a, NULL);
            fr_tokenizer_encode(loaded, documents[d], strlen(documents[d]), 0, &b, NULL);
        }
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
        fr_ids_free(&a);
        fr_ids_free(&b);
        /* Saved again with another context, everything else stays. */
        assert_int_equal(fr_tokenizer_save(loaded, folder, 1024, NULL), FR_OK);
        fr_tokenizer_free(made);
        assert_int_equal(fr_tokenizer_load(&made, folder, NULL), FR_OK);
        assert_non_null(strstr(made->config, "\"model_max_length\": 1024"));
        assert_non_null(strstr(made->config, "\"eos_token\": \"<|endoftext|>\""));
        fr_tokenizer_free(made);
        fr_tokenizer_free(loaded);
    }
    assert_int_equal(fr_folder_remove(folder, NULL), FR_OK);
}

static void test_impossible_options_are_refused(void **state)
{
    (void)state;
    char empty[] = "", twin[] = "<|x|>";
    char *one_empty[] = {empty}, *twins[] = {twin, twin};
    const fr_tokenizer_options wrong[] = {
        {.vocabulary = 0, .sample = 1000},
        {.vocabulary = 256, .sample = 1000, .special = {one_empty, 1}},
        {.vocabulary = 300, .sample = 1000, .special = {one_empty, 1}},
        {.vocabulary = 300, .sample = 1000, .special = {twins, 2}}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fr_tokenizer *tokenizer;
        list l = {documents, DOCUMENTS, 0};
        assert_int_equal(fr_tokenizer_train(&tokenizer, &wrong[i], next_of_list, &l, NULL),
                         FR_BAD_INPUT);
        assert_null(tokenizer);
    }
}

/* ---- special tokens -------------------------------------------------------------------------- */

static void test_special_tokens_can_be_text_and_can_be_left_out(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer = load_fixture("gpt2");
    const char text[] = "cat<|endoftext|>dog";
    int32_t end = fr_tokenizer_end_of_text(tokenizer);
    fr_ids ids = {0};
    fr_buffer back = {0};
    assert_int_equal(end, fr_tokenizer_id(tokenizer, "<|endoftext|>"));
    fr_tokenizer_encode(tokenizer, text, strlen(text), FR_ENCODE_SPECIAL_AS_TEXT, &ids, NULL);
    for (size_t i = 0; i < ids.count; i++)
        assert_int_not_equal(ids.ids[i], end);
    fr_ids_clear(&ids);
    fr_tokenizer_encode(tokenizer, text, strlen(text), 0, &ids, NULL);
    fr_tokenizer_decode(tokenizer, ids.ids, ids.count, true, &back, NULL);
    assert_string_equal(back.data, "catdog");
    fr_buffer_clear(&back);
    fr_error error = {0};
    int32_t beyond[] = {0, (int32_t)fr_tokenizer_size(tokenizer)};
    assert_int_equal(fr_tokenizer_decode(tokenizer, beyond, 2, false, &back, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "token 1 has id 600"));
    assert_int_equal(back.size, 0);
    fr_buffer_free(&back);
    fr_ids_free(&ids);
    fr_tokenizer_free(tokenizer);
}

/* ---- files that lie -------------------------------------------------------------------------- */

static void read_fixture(const char *model, char **text, size_t *size)
{
    char *path = fixture_path(model);
    assert_int_equal(fr_file_read(path, 0, text, size, NULL), FR_OK);
    fr_free(path);
}

static void test_files_that_lie_are_refused_by_name(void **state)
{
    (void)state;
    static const struct lie {
        const char *model, *from, *to, *message;
        fr_status status;
    } lies[] = {
        {"gpt2", "{", "[", "not JSON", FR_BAD_INPUT},
        {"gpt2", "\"version\"", "\"verzion\"", "verzion is not supported", FR_UNSUPPORTED},
        {"gpt2", "\"type\":\"BPE\"", "\"type\":\"Bigram\"", "model.type 'Bigram' is not supported",
         FR_UNSUPPORTED},
        {"gpt2", "\"type\":\"BPE\"", "\"type\":\"Unigram\"",
         "model.vocab: an object found, a list expected", FR_BAD_INPUT},
        {"gpt2", "\"dropout\":null", "\"dropout\":0.1", "model.dropout", FR_UNSUPPORTED},
        {"gpt2", "\"continuing_subword_prefix\":null", "\"continuing_subword_prefix\":\"##\"",
         "is shorter than the prefix", FR_BAD_INPUT},
        {"gpt2", "\"!\":1,", "\"!\":2,", "which '!' has too", FR_BAD_INPUT},
        {"gpt2", "\"!\":1,", "\"!\":70000,", "has id 70000, which does not suit 600 tokens",
         FR_BAD_INPUT},
        {"gpt2", "\"!\":1,", "\"!\":-1,", "has id -1", FR_BAD_INPUT},
        {"gpt2", "\"!\":1,", "\"!\":\"1\",", "has a string for an id", FR_BAD_INPUT},
        {"gpt2", "\"!\":1,", "\"!\":1,\"!\":1,", "not JSON: duplicate object key", FR_BAD_INPUT},
        {"gpt2", "\"merges\":[[", "\"merges\":[[\"q\",\"no such token\"],[",
         "model.merges[0]: 'no such token' is not in model.vocab", FR_BAD_INPUT},
        {"gpt2", "\"merges\":[[", "\"merges\":[[\"~\",\"~\"],[",
         "model.merges[0]: '~~' is not in model.vocab", FR_BAD_INPUT},
        {"gpt2", "\"merges\":[[", "\"merges\":[[\"t\"],[",
         "model.merges[0]: a list found, two tokens expected", FR_BAD_INPUT},
        {"gpt2", "\"merges\":[[", "\"merges\":[\"t h e\",[",
         "model.merges[0]: 't h e' found, two tokens expected", FR_BAD_INPUT},
        {"gpt2", "\"merges\":[[", "\"merges\":0,\"mergez\":[[", "model.mergez is not supported",
         FR_UNSUPPORTED},
        {"gpt2", "\"special\":true", "\"special\":1", "added_tokens[0].special: a number found",
         FR_BAD_INPUT},
        {"gpt2", "\"special\":true", "\"special\":true,\"stem\":true",
         "added_tokens[0].stem is not supported", FR_UNSUPPORTED},
        {"gpt2", "\"id\":0,", "\"id\":5,", "has id 5, but 0 in model.vocab", FR_BAD_INPUT},
        {"gpt2", "\"content\":\"<|endoftext|>\"", "\"content\":\"\"",
         "added_tokens[0].content is empty", FR_BAD_INPUT},
        {"gpt2", "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFX\"}",
         "normalizer of type 'NFX'", FR_UNSUPPORTED},
        {"gpt2", "\"pre_tokenizer\":{\"type\":\"ByteLevel\"",
         "\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"", "pre_tokenizer of type 'UnicodeScripts'",
         FR_UNSUPPORTED},
        {"gpt2", "\"pre_tokenizer\":", "\"pre_tokenizer\":null,\"x\":",
         "the file.x is not supported", FR_UNSUPPORTED},
        {"gpt2", "\"post_processor\":{\"type\":\"ByteLevel\"",
         "\"post_processor\":{\"type\":\"Roberta\"", "post_processor of type 'Roberta'",
         FR_UNSUPPORTED},
        {"gpt2", "\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"Bytes\"",
         "decoder of type 'Bytes'", FR_UNSUPPORTED},
        {"llama3", "\"behavior\":\"Isolated\"", "\"behavior\":\"Merged\"",
         "pre_tokenizer.pretokenizers[0].behavior 'Merged' is not supported", FR_UNSUPPORTED},
        {"llama3", "(?i:'s", "\\\\h(?i:'s", "\\h at byte 0 of the pattern", FR_UNSUPPORTED},
        {"llama3", "(?i:'s", "((?i:'s", "cannot be compiled", FR_BAD_INPUT},
        {"llama3", "\"Sequence\":{\"id\":\"A\"", "\"Sequence\":{\"id\":\"B\"",
         "a sequence that is not there", FR_BAD_INPUT},
        {"llama3", "\"SpecialToken\":{\"id\":\"<|begin|>\"", "\"SpecialToken\":{\"id\":\"<s>\"",
         "'<s>' is not in special_tokens", FR_BAD_INPUT},
        {"llama3", "\"content\":\"<|end|>\"", "\"content\":\"<|begin|>\"",
         "'<|begin|>' appears twice", FR_BAD_INPUT},
        {"other", "\"type\":\"Digits\"", "\"type\":\"Digit\"",
         "pre_tokenizer.pretokenizers[1] of type 'Digit'", FR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        size_t size;
        char *truth;
        read_fixture(lies[i].model, &truth, &size);
        char *text = replaced(truth, lies[i].from, lies[i].to);
        fr_tokenizer *tokenizer;
        fr_error error = {0};
        fr_status status =
            tokenizer_from_json(&tokenizer, text, strlen(text), NULL, "lie.json", &error);
        fr_free(truth);
        if (status != lies[i].status || !strstr(error.message, lies[i].message))
            fail_msg("'%s' -> '%s': status %d, '%s'", lies[i].from, lies[i].to, (int)status,
                     error.message);
        assert_int_equal(strncmp(error.message, "lie.json:", 9), 0);
        assert_null(tokenizer);
    }
}

static void test_a_vocabulary_may_lack_bytes_that_utf8_never_has(void **state)
{
    (void)state;
    char *truth;
    size_t size;
    read_fixture("gpt2", &truth, &size);
    char *text = replaced(truth, "\"\xC3\x80\":", "\"never seen\":"); /* byte 0xC0 */
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    fr_ids ids = {0};
    assert_int_equal(tokenizer_from_json(&tokenizer, text, strlen(text), NULL, "x", NULL), FR_OK);
    assert_round_trip(tokenizer, "\xC1 caf\xC3\xA9", 7);
    assert_int_equal(fr_tokenizer_encode(tokenizer, "ab\xC0", 3, 0, &ids, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "byte 0xC0 has no token"));
    assert_int_equal(ids.count, 0);
    fr_ids_free(&ids);
    fr_tokenizer_free(tokenizer);
    fr_free(truth);
}

static void test_cut_off_and_damaged_files_never_crash(void **state)
{
    (void)state;
    for (int m = 0; m < MODELS; m++) {
        size_t size;
        char *truth;
        read_fixture(models[m], &truth, &size);
        for (size_t cut = 0; cut + 2 < size; cut += 97) {
            fr_tokenizer *tokenizer;
            assert_int_not_equal(tokenizer_from_json(&tokenizer, fr_string_copy_n(truth, cut), cut,
                                                     NULL, "cut", NULL),
                                 FR_OK);
        }
        for (uint64_t number = 0; number < 400; number++) {
            char *damaged = fr_string_copy_n(truth, size);
            for (uint32_t k = 0; k < 1 + number % 3; k++)
                damaged[draw(number, 2 * k, (uint32_t)size)] =
                    (char)(k ? draw(number, 2 * k + 1, 256) : '0' + draw(number, 1, 75));
            fr_tokenizer *tokenizer;
            if (tokenizer_from_json(&tokenizer, damaged, size, NULL, "damaged", NULL) != FR_OK)
                continue;
            fr_ids ids = {0};
            fr_tokenizer_encode(tokenizer, documents[3], strlen(documents[3]),
                                FR_ENCODE_OFFSETS | FR_ENCODE_ADD_SPECIAL, &ids, NULL);
            fr_ids_free(&ids);
            fr_tokenizer_free(tokenizer);
        }
        fr_free(truth);
    }
}

static void test_a_configuration_that_lies_is_refused(void **state)
{
    (void)state;
    static const char *const configs[] = {"{\"eos_token\": \"<|nobody|>\"}", "{\"eos_token\": 3}",
                                          "[]", "{"};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        size_t size;
        char *json;
        read_fixture("gpt2", &json, &size);
        fr_tokenizer *tokenizer;
        fr_error error = {0};
        assert_int_equal(
            tokenizer_from_json(&tokenizer, json, size, fr_string_copy(configs[i]), "x", &error),
            FR_BAD_INPUT);
        assert_non_null(strstr(error.message, "tokenizer_config.json"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_and_offsets_equal_hugging_faces),
        cmocka_unit_test(test_the_byte_tokenizer_numbers_bytes_by_their_value),
        cmocka_unit_test(test_any_bytes_come_back),
        cmocka_unit_test(test_bytes_that_are_not_utf8_are_pieces_of_their_own),
        cmocka_unit_test(test_matchers_by_hand_cut_as_pcre2_does),
        cmocka_unit_test(test_patterns_that_engines_read_differently_are_refused),
        cmocka_unit_test(test_short_long_and_remembered_pieces_are_merged_alike),
        cmocka_unit_test(test_a_megabyte_of_anything_takes_no_time),
        cmocka_unit_test(test_training_merges_the_most_frequent_pair_every_time),
        cmocka_unit_test(test_training_is_the_same_on_any_number_of_threads),
        cmocka_unit_test(test_the_sample_bounds_memory_and_is_filled),
        cmocka_unit_test(test_what_is_saved_loads_as_the_same_tokenizer),
        cmocka_unit_test(test_impossible_options_are_refused),
        cmocka_unit_test(test_special_tokens_can_be_text_and_can_be_left_out),
        cmocka_unit_test(test_files_that_lie_are_refused_by_name),
        cmocka_unit_test(test_a_vocabulary_may_lack_bytes_that_utf8_never_has),
        cmocka_unit_test(test_cut_off_and_damaged_files_never_crash),
        cmocka_unit_test(test_a_configuration_that_lies_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
