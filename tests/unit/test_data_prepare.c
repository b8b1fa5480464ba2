/* test_data_prepare.c: cleaning, filters, duplicates, the split, and whole preparations. */
#include "data_help.h"

#include "data/clean.h"
#include "data/duplicates.h"
#include "data/filters.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

static fr_data_options defaults(void)
{
    fr_data_options o = {0};
    fr_data_option_table.defaults(&o);
    return o;
}

static void forget(fr_data_options *o)
{
    fr_options_free(&fr_data_option_table, o);
}

/* ---- cleaning ---- */

static void test_cleaning_keeps_what_has_meaning(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
        size_t controls;
    } cases[] = {
        {"", "", 0},
        {"\n\n \t\n", "", 0},
        {"a\r\nb\rc\nd", "a\nb\nc\nd", 0},
        {"a  \t\n\n\n\n\n\nb\n\n", "a\n\n\nb", 0},
        {"\n\n    indented\n\tverse\n", "    indented\n\tverse", 0},
        {"a\n\nb", "a\n\nb", 0},
        {"a\x01"
         "b\x7f"
         "c\x0c"
         "d",
         "abcd", 3},
        {"N\bNA\bAM\bME\bE", "NAME", 4},
        {"\xc3\xa9\b\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9", 1},
        {"\b\b\bx", "x", 3},
        {"caf\xe9 \xff", "caf\xe9 \xff", 0},
        {"\r\r\r\r\rx\r", "x", 0},
        {"x\x01\n\x01\ny", "x\n\ny", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        size_t controls;
        snprintf(text, sizeof text, "%s", cases[i].text);
        size_t size = clean_text(text, strlen(text), &controls);
        text[size] = 0;
        assert_string_equal(text, cases[i].expected);
        assert_int_equal(controls, cases[i].controls);
    }
}

static void test_cleaning_twice_is_cleaning_once(void **state)
{
    (void)state;
    char text[200], again[200];
    static const char pool[] = "ab \t\n\n\r\r\b\x01\xc3\xa9";
    for (uint64_t i = 0; i < 3000; i++) {
        size_t size = chance(i) % sizeof text, controls;
        for (size_t c = 0; c < size; c++)
            text[c] = pool[chance(i * 1000 + c) % (sizeof pool - 1)];
        size_t once = clean_text(text, size, &controls);
        assert_true(once <= size);
        memcpy(again, text, once);
        assert_int_equal(clean_text(again, once, &controls), once);
        assert_memory_equal(again, text, once);
        assert_int_equal(controls, 0);
    }
}

/* ---- filters ---- */

/* The filter that drops a text, NULL: it stays. */
static const char *dropped_by(const char *text)
{
    fr_data_options o = defaults();
    scratch s = {0};
    features f;
    assert_true(features_of(&s, text, strlen(text), 0, &f));
    int index = filters_apply(&o, &f);
    scratch_free(&s);
    forget(&o);
    return index < 0 ? NULL : filter_at((size_t)index)->base.name;
}

static const char *const good[] = {
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n",
    "O Captain! My Captain!\nHere Captain! dear father!\nO Captain! My Captain!\nrise up and hear "
    "the bells;\n",
    "int main(void)\n{\n    for (int i = 0; i < 10; i++) {\n        if (i) {\n            "
    "puts(\"x\");\n        }\n    "
    "}\n    return 0;\n}\n",
    "| year | tons | price |\n|------|------|-------|\n| 1990 | 1000 | 12.50 |\n| 1991 | 1100 | "
    "12.75 |\n| 1992 | 1150 "
    "| 12.80 |\n",
    "\xe5\xa4\xa9\xe5\x9c\xb0\xe7\x8e\x84\xe9\xbb\x84\xef\xbc\x8c\xe5\xae\x87\xe5\xae\x99\xe6\xb4"
    "\xaa\xe8\x8d\x92"
    "\xe3\x80\x82\xe6\x97\xa5\xe6\x9c\x88\xe7\x9b\x88\xe6\x98\x83\xef\xbc\x8c\xe8\xbe\xb0\xe5\xae"
    "\xbf",
    "\xd0\x92\xd1\x81\xd0\xb5 "
    "\xd1\x81\xd1\x87\xd0\xb0\xd1\x81\xd1\x82\xd0\xbb\xd0\xb8\xd0\xb2\xd1\x8b\xd0\xb5 "
    "\xd1\x81\xd0\xb5\xd0\xbc\xd1\x8c\xd0\xb8",
    "3.14159 2.71828 1.41421 1.73205\n0.57721 1.61803 2.50290 4.66920\n",
    "- milk\n- eggs\n- bread\n- butter\n- salt and pepper\n",
};

static void test_poems_code_tables_and_other_scripts_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (dropped_by(good[i]))
            fail_msg("dropped as %s: %s", dropped_by(good[i]), good[i]);
}

static void test_each_filter_drops_its_example(void **state)
{
    (void)state;
    fr_buffer text = {0};
    assert_string_equal(dropped_by("too little"), "too_short");
    assert_string_equal(dropped_by("+----+----+-----+----+\n|    |    |     | ok |\n+----+----+"),
                        "few_letters");
    for (int i = 0; i < 700; i++)
        fr_buffer_printf(&text, "%04x", chance((uint64_t)i) & 0xFFFF);
    assert_string_equal(dropped_by(text.data), "long_word");
    fr_buffer_clear(&text);
    for (int i = 0; i < 30; i++)
        fr_buffer_printf(&text, "Subscribe to our newsletter now!\n%s",
                         i % 10 ? "" : "Something else here.\n");
    assert_string_equal(dropped_by(text.data), "repeated_lines");
    fr_buffer_clear(&text);
    for (int i = 0; i < 100; i++)
        fr_buffer_printf(&text, "buy cheap watches online today at our shop %s",
                         i == 50 ? "\n" : "");
    assert_string_equal(dropped_by(text.data), "repeated_words");
    fr_buffer_free(&text);
    fr_data_options o = defaults();
    features f = {.bytes = 90, .controls = 10, .words = {90, 90, 10}};
    assert_string_equal(filter_at((size_t)filters_apply(&o, &f))->base.name, "control_characters");
    o.filter = false;
    assert_int_equal(filters_apply(&o, &f), -1);
    f.bytes = 5;
    assert_int_equal(filters_apply(&o, &f), 0); /* too_short is always on */
    forget(&o);
}

/* ---- duplicates ---- */

static fingerprint print_of(scratch *s, const char *text)
{
    fingerprint f;
    word_counts counts;
    assert_true(words_scan(s, text, strlen(text), &counts));
    fingerprint_of(s, text, strlen(text), &f);
    return f;
}

static void test_minhash_estimates_the_jaccard_similarity(void **state)
{
    (void)state;
    scratch s = {0};
    uint64_t shared[2000];
    double error_sum = 0;
    enum { TRIALS = 60, NUMBERS = 1000 };
    s.shingles = shared;
    for (int t = 0; t < TRIALS; t++) {
        double wanted = (double)(t % 10) / 10;
        /* Two sets of NUMBERS numbers with `common` in common. */
        int common = (int)(2 * wanted / (1 + wanted) * NUMBERS);
        double truth = (double)common / (2 * NUMBERS - common);
        fingerprint f[2];
        for (uint64_t set = 0; set < 2; set++) {
            for (uint64_t i = 0; i < NUMBERS; i++) {
                uint64_t key =
                    ((uint64_t)t << 40) | i | ((int64_t)i < common ? 0 : (set + 1) << 32);
                shared[i] = (uint64_t)chance(2 * key) << 32 | chance(2 * key + 1);
            }
            s.count = NUMBERS;
            fingerprint_of(&s, "", 0, &f[set]);
        }
        double off = fingerprint_similarity(&f[0], &f[1]) - truth;
        assert_true(fabs(off) < 0.3); /* four standard errors of 48 draws */
        error_sum += off;
    }
    assert_true(fabs(error_sum / TRIALS) < 0.03); /* no bias */
}

static verdict add(duplicates *d, scratch *s, const char *text)
{
    fingerprint f = print_of(s, text);
    verdict v;
    assert_int_equal(duplicates_add(d, &f, strlen(text), &v, NULL), FR_OK);
    return v;
}

/* A babble of 300 words with every `step`-th word changed. */
static void varied(fr_buffer *out, uint64_t seed, int step)
{
    fr_buffer text = {0};
    babble(&text, seed, 300);
    int word = 0;
    fr_buffer_clear(out);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == ' ' && step && ++word % step == 0)
            fr_buffer_text(out, "x");
        fr_buffer_append(out, text.data + i, 1);
    }
    fr_buffer_free(&text);
}

static void test_exact_and_near_duplicates_are_found_and_others_are_not(void **state)
{
    (void)state;
    enum { TEXTS = 300 };
    duplicates *d;
    scratch s = {0};
    fr_buffer text = {0};
    const kept_document *kept;
    assert_int_equal(duplicates_create(&d, true, true, 0.8, NULL), FR_OK);
    for (uint64_t i = 0; i < TEXTS; i++) {
        varied(&text, i + 1, 0);
        assert_int_equal(add(d, &s, text.data), VERDICT_NEW);
    }
    int near = 0, far = 0;
    for (uint64_t i = 0; i < TEXTS; i++) {
        varied(&text, i + 1, 0);
        assert_int_equal(add(d, &s, text.data), VERDICT_EXACT);
        varied(&text, i + 1, 140); /* 2 words of 300 differ, so 10 runs of 5: Jaccard 0.93 */
        near += add(d, &s, text.data) == VERDICT_NEAR;
        varied(&text, i + 1, 12); /* 20 words: Jaccard about 0.45 */
        far += add(d, &s, text.data) == VERDICT_NEW;
    }
    assert_in_range(near, TEXTS * 95 / 100, TEXTS);
    assert_in_range(far, TEXTS * 99 / 100, TEXTS);
    assert_int_equal(duplicates_kept(d, &kept), TEXTS + (TEXTS - near) + far);
    duplicates_destroy(d);
    scratch_free(&s);
    fr_buffer_free(&text);
}

static void test_duplicates_are_kept_when_the_search_is_off(void **state)
{
    (void)state;
    scratch s = {0};
    fr_buffer text = {0};
    babble(&text, 1, 100);
    for (int exact = 0; exact < 2; exact++) {
        duplicates *d;
        assert_int_equal(duplicates_create(&d, exact, false, 0.8, NULL), FR_OK);
        assert_int_equal(add(d, &s, text.data), VERDICT_NEW);
        assert_int_equal(add(d, &s, text.data), exact ? VERDICT_EXACT : VERDICT_NEW);
        duplicates_destroy(d);
    }
    scratch_free(&s);
    fr_buffer_free(&text);
}

static void test_a_common_letterhead_does_not_make_duplicates(void **state)
{
    (void)state;
    duplicates *d;
    scratch s = {0};
    fr_buffer text = {0};
    assert_int_equal(duplicates_create(&d, true, true, 0.8, NULL), FR_OK);
    for (uint64_t i = 0; i < 500; i++) {
        fr_buffer_clear(&text);
        babble(&text, 77, 60);
        babble(&text, 100 + i, 60);
        assert_int_equal(add(d, &s, text.data), VERDICT_NEW);
    }
    duplicates_destroy(d);
    scratch_free(&s);
    fr_buffer_free(&text);
}

static void test_words_are_found_in_every_script(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t shingles, characters, letters, longest;
    } cases[] = {
        {"one two three four five six", 2, 22, 22, 5},
        {"one, two; three!", 1, 14, 11, 6},
        {"One TWO", 1, 6, 6, 3},
        {"...", 0, 3, 0, 3},
        {"\xe4\xb8\x96\xe7\x95\x8c\xe4\xb8\x96\xe7\x95\x8c\xe4\xb8\x96\xe7\x95\x8c", 2, 6, 6, 0},
        {"caf\xc3\xa9 \xe2\x80\x9cquoted\xe2\x80\x9d", 1, 12, 10, 6},
        {"\xff\xfe\xe9", 1, 3, 3, 0},
    };
    scratch s = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        word_counts c;
        assert_true(words_scan(&s, cases[i].text, strlen(cases[i].text), &c));
        assert_int_equal(s.count, cases[i].shingles);
        assert_int_equal(c.characters, cases[i].characters);
        assert_int_equal(c.letters, cases[i].letters);
        assert_int_equal(c.longest, cases[i].longest);
    }
    fingerprint a = print_of(&s, "Some words, in a row here."),
                b = print_of(&s, "some WORDS in -- a row (here)");
    assert_memory_equal(a.minima, b.minima, MINIMA);
    scratch_free(&s);
}

/* ---- whole preparations ---- */

static int progress_calls, interrupt_at;

static void interrupting(void *context, const char *what, double fraction)
{
    (void)context;
    assert_non_null(what);
    assert_true(fraction == -1 || (fraction >= 0 && fraction <= 1));
    if (++progress_calls == interrupt_at)
        fr_interrupt_request();
}

static fr_status prepare(const char *text, const char *folder, const fr_data_options *options,
                         fr_data_report *report, fr_error *error)
{
    fr_data_options fallback = defaults();
    fr_tokenizer *bytes = NULL;
    char from[600], to[600];
    const char *paths[] = {from};
    snprintf(from, sizeof from, "%s", in_root(text));
    snprintf(to, sizeof to, "%s", in_root(folder));
    assert_int_equal(fr_tokenizer_create_bytes(&bytes, NULL), FR_OK);
    progress_calls = 0;
    fr_status status = fr_data_prepare(paths, 1, to, options ? options : &fallback, bytes, NULL,
                                       interrupting, NULL, report, error);
    fr_tokenizer_free(bytes);
    forget(&fallback);
    return status;
}

static void expect_prepared(const char *text, const char *folder, const fr_data_options *options,
                            fr_data_report *report)
{
    fr_error error;
    fr_folder_remove(in_root(folder), NULL);
    if (prepare(text, folder, options, report, &error) != FR_OK)
        fail_msg("%s", error.message);
}

/* Things in a folder, hidden ones too. */
static int entries(const char *name)
{
    int count = 0;
    DIR *folder = opendir(in_root(name));
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(folder);
    return count;
}

/* 60 documents of babble as files FOLDER/NUMBER, numbered backwards when asked. */
static void put_corpus(const char *folder, bool backwards)
{
    fr_buffer text = {0};
    char name[64];
    for (uint64_t i = 0; i < 60; i++) {
        fr_buffer_clear(&text);
        babble(&text, i + 1, 60 + (int)i);
        snprintf(name, sizeof name, "%s/%03d", folder, backwards ? 100 - (int)i : (int)i);
        put_text(name, text.data);
    }
    fr_buffer_free(&text);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The documents of a prepared folder's shard, decoded, sorted, joined. */
static void shard_text(const char *folder, const char *name, fr_buffer *out)
{
    char prefix[600];
    char *texts[128];
    fr_shard *shard;
    fr_tokenizer *tokenizer;
    snprintf(prefix, sizeof prefix, "%s/%s", in_root(folder), name);
    assert_int_equal(fr_shard_open(&shard, prefix, NULL), FR_OK);
    assert_int_equal(fr_tokenizer_load(&tokenizer, in_root(folder), NULL), FR_OK);
    int64_t count = fr_shard_documents(shard);
    assert_in_range(count, 1, 128);
    for (int64_t d = 0; d < count; d++) {
        int64_t begin = fr_shard_document_begin(shard, d),
                size = fr_shard_document_begin(shard, d + 1) - begin;
        int32_t *ids = malloc((size_t)size * 4);
        fr_buffer text = {0};
        fr_shard_read(shard, begin, size, ids);
        assert_int_equal(ids[size - 1], fr_tokenizer_end_of_text(tokenizer));
        assert_int_equal(fr_tokenizer_decode(tokenizer, ids, (size_t)size - 1, false, &text, NULL),
                         FR_OK);
        texts[d] = strdup(text.data);
        fr_buffer_free(&text);
        free(ids);
    }
    qsort(texts, (size_t)count, sizeof *texts, compare_text);
    fr_buffer_clear(out);
    for (int64_t d = 0; d < count; d++) {
        fr_buffer_printf(out, "%s\x1e", texts[d]);
        free(texts[d]);
    }
    fr_shard_close(shard);
    fr_tokenizer_free(tokenizer);
}

static void test_a_prepared_folder_holds_every_byte_once(void **state)
{
    (void)state;
    fr_data_report report, back;
    fr_buffer train = {0}, held = {0}, lines = {0};
    int64_t count;
    put_corpus("corpus", false);
    put_text(
        "corpus/odd",
        "Text with <|endoftext|> in it, caf\xe9, \xe2\x80\x9cquotes\xe2\x80\x9d and a \"tab\"\t.");
    expect_prepared("corpus", "prepared", NULL, &report);
    shard_text("prepared", "train", &train);
    shard_text("prepared", "held_out", &held);
    assert_int_equal(report.source.documents, 61);
    assert_int_equal(report.held_out_documents, 3);
    assert_int_equal(report.train_documents, 58);
    assert_int_equal(train.size - 58, report.train_bytes);
    assert_int_equal(held.size - 3, report.held_out_bytes);
    assert_int_equal(report.train_tokens, report.train_bytes + 58);
    assert_non_null(strstr(train.data, "<|endoftext|>"));
    assert_non_null(strstr(train.data, "caf\xe9,"));
    read_all(in_root("prepared/held_out.jsonl"), NULL, &lines, &count, NULL);
    assert_int_equal(count, 3);
    assert_int_equal(lines.size, held.size);
    assert_int_equal(fr_data_report_read(in_root("prepared/report.json"), &back, NULL), FR_OK);
    report.seconds = back.seconds;
    assert_int_equal(back.train_tokens, report.train_tokens);
    assert_int_equal(back.source.bytes, report.source.bytes);
    assert_int_equal(back.drop_count, report.drop_count);
    for (size_t i = 0; i < back.drop_count; i++) {
        assert_string_equal(back.drops[i].reason, report.drops[i].reason);
        assert_string_equal(back.drops[i].rule, report.drops[i].rule);
    }
    assert_int_equal(entries("prepared"), 8);
    fr_buffer_free(&train);
    fr_buffer_free(&held);
    fr_buffer_free(&lines);
}

static void test_held_out_lines_give_the_same_bytes_as_the_shard(void **state)
{
    (void)state;
    fr_data_options o = defaults();
    fr_buffer held = {0}, lines = {0};
    int64_t count;
    char name[64], text[128];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "bytes/%d", i);
        snprintf(text, sizeof text,
                 "Caf\xe9 number %d: \"\xff\xc3\" \\ \t %s\xed\xa0\x80 and the end.", i,
                 i % 2 ? "\xf0\x9f\x98\x80" : "\xe2\x82");
        put_text(name, text);
    }
    o.held_out = 0.5;
    o.near = false;
    expect_prepared("bytes", "exactly", &o, NULL);
    shard_text("exactly", "held_out", &held);
    read_all(in_root("exactly/held_out.jsonl"), NULL, &lines, &count, NULL);
    assert_int_equal(count, 10);
    assert_int_equal(lines.size, held.size);
    for (char *at = lines.data, *end; (end = strchr(at, '\x1e')); at = end + 1) {
        *end = 0;
        assert_non_null(strstr(held.data, at));
    }
    fr_buffer_free(&held);
    fr_buffer_free(&lines);
    forget(&o);
}

static void test_a_learned_tokenizer_gives_fewer_tokens(void **state)
{
    (void)state;
    fr_data_options o = defaults();
    fr_data_report report;
    fr_error error;
    const char *path = in_root("corpus");
    fr_buffer train = {0};
    if (fr_data_prepare(&path, 1, in_root("learned"), &o, NULL, NULL, NULL, NULL, &report,
                        &error) != FR_OK)
        fail_msg("%s", error.message);
    assert_in_range(report.vocabulary, 300, fr_data_vocabulary(report.train_bytes));
    assert_in_range(report.train_tokens, 1, report.train_bytes / 2);
    shard_text("learned", "train", &train);
    assert_int_equal(train.size - 58, report.train_bytes);
    fr_buffer_free(&train);
    forget(&o);
}

static void test_the_split_depends_on_content_and_seed_only(void **state)
{
    (void)state;
    fr_buffer a = {0}, b = {0};
    fr_data_options o = defaults();
    put_corpus("forward", false);
    put_corpus("backward", true);
    expect_prepared("forward", "split", &o, NULL);
    shard_text("split", "held_out", &a);
    expect_prepared("backward", "split", &o, NULL);
    shard_text("split", "held_out", &b);
    assert_string_equal(a.data, b.data);
    o.seed = 2;
    expect_prepared("forward", "split", &o, NULL);
    shard_text("split", "held_out", &b);
    assert_string_not_equal(a.data, b.data);
    fr_buffer_free(&a);
    fr_buffer_free(&b);
    forget(&o);
}

static void test_the_held_out_part_has_the_wanted_size(void **state)
{
    (void)state;
    fr_data_options o = defaults();
    fr_data_report report;
    o.held_out = 0.25;
    expect_prepared("forward", "size", &o, &report);
    assert_int_equal(report.held_out_documents, 15);
    o.held_out_max = 2000;
    expect_prepared("forward", "size", &o, &report);
    assert_in_range(report.held_out_bytes, 1, 2000);
    o.held_out_max = 10;
    fr_error error;
    fr_folder_remove(in_root("size"), NULL);
    assert_int_equal(prepare("forward", "size", &o, &report, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "data.held_out_max = 10 bytes"));
    forget(&o);
}

static void test_duplicates_leave_and_are_counted(void **state)
{
    (void)state;
    fr_buffer text = {0};
    fr_data_report report;
    put_corpus("twice", false);
    babble(&text, 3, 62); /* the third document again, with other line ends */
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\n')
            text.data[i] = '\r';
    put_text("twice/a", text.data);
    fr_buffer_clear(&text);
    babble(&text, 50, 109);
    fr_buffer_text(&text, "And this.");
    put_text("twice/b", text.data);
    put_text("twice/c", "tiny");
    expect_prepared("twice", "unique", NULL, &report);
    assert_int_equal(report.train_documents + report.held_out_documents, 60);
    int found = 0;
    for (size_t i = 0; i < report.drop_count; i++) {
        const char *reason = report.drops[i].reason;
        bool expected = !strcmp(reason, "exact_duplicate") || !strcmp(reason, "near_duplicate") ||
                        !strcmp(reason, "too_short");
        assert_int_equal(report.drops[i].documents, expected);
        found += expected;
    }
    assert_int_equal(found, 3);
    fr_buffer out = {0};
    fr_data_report_write(&report, false, &out);
    assert_non_null(strstr(out.data, "exact_duplicate: the same text as an earlier document"));
    fr_buffer_free(&out);
    fr_buffer_free(&text);
}

static void test_too_little_text_is_refused_and_nothing_is_left(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"", "is empty"},
        {"x", "no text is left: 1 document of 1 byte read, dropped 1 too_short"},
        {"   \n\n  ", "no text is left"},
        {"One document, which is long enough to be kept as a document.",
         "too small to hold a part of it out"},
    };
    fr_error error;
    assert_int_equal(fr_folder_create(in_root("little"), NULL), FR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_text("little.txt", cases[i].text);
        assert_int_equal(prepare("little.txt", "little/out", NULL, NULL, &error), FR_BAD_INPUT);
        if (!strstr(error.message, cases[i].words))
            fail_msg("'%s', expected '%s'", error.message, cases[i].words);
        assert_int_equal(entries("little"), 0);
    }
    assert_int_equal(prepare("little", "little/out", NULL, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "found no text"));
    assert_int_equal(entries("little"), 0);
}

static void test_a_folder_with_something_in_it_is_left_alone(void **state)
{
    (void)state;
    fr_error error;
    put_text("full/mine", "precious");
    assert_int_equal(prepare("forward", "full", NULL, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "is not empty"));
    assert_int_equal(prepare("forward", "full/mine", NULL, NULL, &error), FR_BAD_INPUT);
    assert_int_equal(entries("full"), 1);
    assert_int_equal(fr_folder_create(in_root("hollow/inner"), NULL), FR_OK);
    assert_int_equal(prepare("forward", "hollow/inner/", NULL, NULL, &error), FR_OK);
    assert_int_equal(entries("hollow"), 1);
    assert_int_equal(entries("hollow/inner"), 8);
}

static void test_an_interruption_leaves_nothing(void **state)
{
    (void)state;
    fr_error error;
    assert_int_equal(fr_folder_create(in_root("stopped"), NULL), FR_OK);
    assert_int_equal(prepare("forward", "stopped/out", NULL, NULL, &error), FR_OK);
    int calls = progress_calls;
    assert_true(calls > 3);
    fr_folder_remove(in_root("stopped/out"), NULL);
    for (interrupt_at = 1; interrupt_at < calls; interrupt_at++) {
        assert_int_equal(prepare("forward", "stopped/out", NULL, NULL, &error), FR_INTERRUPTED);
        fr_interrupt_clear();
        assert_int_equal(entries("stopped"), 0);
    }
    interrupt_at = 0;
}

static void test_a_disk_that_fills_up_leaves_nothing(void **state)
{
    (void)state;
    fr_error error;
    struct rlimit before, limit;
    assert_int_equal(fr_folder_create(in_root("small"), NULL), FR_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t size = 1000; size < 40000; size *= 3) {
        limit = before;
        limit.rlim_cur = size;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        fr_status status = prepare("forward", "small/out", NULL, NULL, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(status, FR_IO);
        assert_int_equal(entries("small"), 0);
    }
    signal(SIGXFSZ, SIG_DFL);
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
    char path[2][600];
    uint64_t hash[2];
    snprintf(path[0], sizeof path[0], "%s/%s", in_root(a), name);
    snprintf(path[1], sizeof path[1], "%s/%s", in_root(b), name);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fr_file_hash(path[i], &hash[i], NULL), FR_OK);
    assert_true(hash[0] == hash[1]);
}

static void test_one_and_two_threads_write_the_same_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {"train.bin",    "train.idx",      "held_out.bin",
                                        "held_out.idx", "held_out.jsonl", "tokenizer.json"};
    int threads = fr_threads();
    char name[32];
    for (int n = 1; n <= 2; n++) {
        fr_data_options o = defaults();
        const char *path = in_root("twice");
        fr_threads_set(n);
        snprintf(name, sizeof name, "threads%d", n);
        assert_int_equal(
            fr_data_prepare(&path, 1, in_root(name), &o, NULL, NULL, NULL, NULL, NULL, NULL),
            FR_OK);
        forget(&o);
    }
    fr_threads_set(threads);
    for (int i = 0; i < 6; i++)
        expect_same_file("threads1", "threads2", files[i]);
}

static void test_the_vocabulary_grows_with_the_text(void **state)
{
    (void)state;
    assert_int_equal(fr_data_vocabulary(0), 512);
    assert_int_equal(fr_data_vocabulary(300000), 1024);
    assert_int_equal(fr_data_vocabulary(3000000), 4096);
    assert_int_equal(fr_data_vocabulary(30000000), 8192);
    assert_int_equal(fr_data_vocabulary(300000000), 16384);
    assert_int_equal(fr_data_vocabulary(INT64_MAX), 32768);
}

static void test_a_damaged_report_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "{", "[]", "{\"read\": {\"files\": \"3\"}}"};
    fr_data_report report;
    fr_error error;
    for (size_t i = 0; i < 4; i++) {
        put_text("report.json", cases[i]);
        assert_int_equal(fr_data_report_read(in_root("report.json"), &report, &error),
                         FR_BAD_INPUT);
        assert_non_null(strstr(error.message, "report.json"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cleaning_keeps_what_has_meaning),
        cmocka_unit_test(test_cleaning_twice_is_cleaning_once),
        cmocka_unit_test(test_poems_code_tables_and_other_scripts_stay),
        cmocka_unit_test(test_each_filter_drops_its_example),
        cmocka_unit_test(test_minhash_estimates_the_jaccard_similarity),
        cmocka_unit_test(test_exact_and_near_duplicates_are_found_and_others_are_not),
        cmocka_unit_test(test_duplicates_are_kept_when_the_search_is_off),
        cmocka_unit_test(test_a_common_letterhead_does_not_make_duplicates),
        cmocka_unit_test(test_words_are_found_in_every_script),
        cmocka_unit_test(test_a_prepared_folder_holds_every_byte_once),
        cmocka_unit_test(test_held_out_lines_give_the_same_bytes_as_the_shard),
        cmocka_unit_test(test_a_learned_tokenizer_gives_fewer_tokens),
        cmocka_unit_test(test_the_split_depends_on_content_and_seed_only),
        cmocka_unit_test(test_the_held_out_part_has_the_wanted_size),
        cmocka_unit_test(test_duplicates_leave_and_are_counted),
        cmocka_unit_test(test_too_little_text_is_refused_and_nothing_is_left),
        cmocka_unit_test(test_a_folder_with_something_in_it_is_left_alone),
        cmocka_unit_test(test_an_interruption_leaves_nothing),
        cmocka_unit_test(test_a_disk_that_fills_up_leaves_nothing),
        cmocka_unit_test(test_one_and_two_threads_write_the_same_bytes),
        cmocka_unit_test(test_the_vocabulary_grows_with_the_text),
        cmocka_unit_test(test_a_damaged_report_is_refused),
    };
    return cmocka_run_group_tests_name("data preparing", tests, make_root, remove_root);
}
