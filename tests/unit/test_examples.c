/* test_examples.c: files of labelled examples: records, what labels ask of a head, refusals that name the line, the part kept back,
   and micro-batches whose order depends on the seed and the epoch alone. */
#include "data_help.h"
#include "frugal/examples.h"
#include "frugal/operators.h"
#include "frugal/options.h"

static fr_example_options usual; /* all fields by their usual names */
static fr_error error;

static fr_status open(fr_examples **examples, const char *name, fr_example_form form,
                      const char *text)
{
    put_text(name, text);
    return fr_examples_open(examples, in_root(name), form, &usual, &error);
}

static fr_examples *opened(const char *name, fr_example_form form, const char *text)
{
    fr_examples *examples;
    if (open(&examples, name, form, text) != FR_OK)
        fail_msg("%s", error.message);
    return examples;
}

static void said(const char *words)
{
    if (!strstr(error.message, words))
        fail_msg("the message is \"%s\", without \"%s\"", error.message, words);
}

static void refuses(const char *name, fr_example_form form, const char *text, const char *words)
{
    fr_examples *examples;
    assert_int_equal(open(&examples, name, form, text), FR_BAD_INPUT);
    assert_null(examples);
    said(words);
}

/* ---- records ---- */

static void test_tables_and_json_lines_are_the_same_records(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"text\": \"a b\", \"label\": \"x\"}\n\n{\"label\": "
                                        "\"y\", \"text\": \"c\"}",
                                        "\xef\xbb\xbftext\tlabel\r\na b\tx\r\n\r\nc\ty\r\n"};
    static const char *const names[] = {"a.jsonl", "a.tsv"};
    for (int i = 0; i < 2; i++) {
        fr_model_head head = {.task = FR_TASK_SEQUENCE_CLASSIFICATION};
        fr_examples *examples = opened(names[i], FR_EXAMPLES_CLASSES, texts[i]);
        assert_int_equal(fr_examples_count(examples), 2);
        assert_int_equal(fr_examples_head(examples, &head, &error), FR_OK);
        assert_int_equal(head.labels, 2);
        assert_string_equal(head.names.items[0], "x");
        assert_string_equal(head.names.items[1], "y");
        fr_model_head_free(&head);
        fr_examples_close(examples);
    }
}

static void test_broken_files_are_refused_with_their_line(void **state)
{
    (void)state;
    const fr_example_form form = FR_EXAMPLES_CLASSES;
    refuses("e.jsonl", form, "\n\n", "there is no record");
    refuses("e.txt", form, "x", ".jsonl");
    refuses("e.jsonl", form, "{\"text\": \"a\", \"label\": 1}\n[]",
            "e.jsonl:2: expected an object");
    refuses("e.jsonl", form, "{\"text\": \"a\", \"label\": 1", "e.jsonl:1: not JSON");
    refuses("e.jsonl", form, "{\"text\": \"a\", \"text\": \"b\"}", "duplicate");
    refuses("e.tsv", form, "text\tlabel\na\tb\tc\n", "e.tsv:2: found 3 columns");
    refuses("e.tsv", form, "text\ttext\na\tb\n", "two columns are called 'text'");
    refuses("e.tsv", form, "text\tlabel\na\t\n", "field 'label' is empty");
    refuses("e.tsv", form, "text\tlabel\na\xff\tx\n", "UTF-8");
}

static void test_missing_fields_name_what_the_record_has(void **state)
{
    (void)state;
    refuses(
        "m.jsonl", FR_EXAMPLES_CLASSES, "{\"txt\": \"a\", \"label\": 1}",
        "m.jsonl:1: there is no field 'text'; did you mean 'txt'? (the record has: txt, label)");
    refuses("m.jsonl", FR_EXAMPLES_TAGS, "{\"words\": [\"a\"]}", "there is no field 'tags'");
    refuses("m.jsonl", FR_EXAMPLES_TAGS, "{\"words\": [\"a\"], \"tags\": [\"x\", \"y\"]}",
            "there are 1 'words' and 2 'tags'");
    refuses("m.jsonl", FR_EXAMPLES_CHOICES,
            "{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"label\": 0}\n"
            "{\"text\": \"a\", \"choices\": [\"b\"], \"label\": 0}",
            "m.jsonl:2: there are 1 'choices', in the first record there are 2");
    refuses("m.jsonl", FR_EXAMPLES_PAIRS,
            "{\"text\": \"a\", \"positive\": \"b\"}\n"
            "{\"text\": \"a\", \"positive\": \"b\", \"score\": 1}",
            "m.jsonl:2: there is a field 'score', in the first record there is none");
    refuses("m.jsonl", FR_EXAMPLES_TARGETS, "{\"text\": \"a\", \"target\": 3}",
            "field 'target' is no text");
}

/* ---- labels ---- */

typedef struct expected_head {
    const char *labels[3]; /* JSON of three records */
    fr_problem problem;
    int64_t count;
    const char *first; /* class 0, NULL: classes are numbers */
} expected_head;

static void test_labels_say_what_the_head_is(void **state)
{
    (void)state;
    static const expected_head heads[] = {
        {{"\"b\"", "\"a\"", "\"b\""}, FR_PROBLEM_SINGLE_LABEL, 2, "a"},
        {{"0", "3", "1"}, FR_PROBLEM_SINGLE_LABEL, 4, NULL},
        {{"true", "false", "true"}, FR_PROBLEM_SINGLE_LABEL, 2, NULL},
        {{"0.5", "1", "2"}, FR_PROBLEM_REGRESSION, 1, NULL},
        {{"-1", "1", "1"}, FR_PROBLEM_REGRESSION, 1, NULL},
        {{"[0.5, 1]", "[1, 2]", "[3, 4]"}, FR_PROBLEM_REGRESSION, 2, NULL},
        {{"[\"x\"]", "[]", "[\"x\", \"z\"]"}, FR_PROBLEM_MULTI_LABEL, 2, "x"},
        {{"\"nan\"", "\"inf\"", "\"0x1\""}, FR_PROBLEM_SINGLE_LABEL, 3, "0x1"},
        {{"\"1\"", "\"0\"", "\"2\""}, FR_PROBLEM_SINGLE_LABEL, 3, NULL},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        char *text =
            fr_format("{\"text\": \"a\", \"label\": %s}\n{\"text\": \"a\", \"label\": %s}\n"
                      "{\"text\": \"a\", \"label\": %s}\n",
                      heads[i].labels[0], heads[i].labels[1], heads[i].labels[2]);
        fr_examples *examples = opened("l.jsonl", FR_EXAMPLES_CLASSES, text);
        fr_model_head head = {.task = FR_TASK_SEQUENCE_CLASSIFICATION};
        if (fr_examples_head(examples, &head, &error) != FR_OK)
            fail_msg("%s", error.message);
        assert_int_equal(head.problem, heads[i].problem);
        assert_int_equal(head.labels, heads[i].count);
        assert_int_equal(head.names.count > 0, heads[i].first != NULL);
        if (heads[i].first)
            assert_string_equal(head.names.items[0], heads[i].first);
        fr_model_head_free(&head);
        fr_examples_close(examples);
        fr_free(text);
    }
}

static void refuses_head(const char *text, fr_model_head head, const char *words)
{
    fr_examples *examples = opened("h.jsonl", FR_EXAMPLES_CLASSES, text);
    head.task = FR_TASK_SEQUENCE_CLASSIFICATION;
    assert_int_equal(fr_examples_head(examples, &head, &error), FR_BAD_INPUT);
    said(words);
    fr_model_head_free(&head);
    fr_examples_close(examples);
}

static void test_labels_that_make_no_head_are_refused(void **state)
{
    (void)state;
    const fr_model_head none = {.labels = 0};
    refuses_head("{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"x\"}", none,
                 "gives 1 classes, expected 2");
    refuses_head("{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": 1}", none,
                 "h.jsonl:2: field 'label' is a number, in line 1 it is a name");
    refuses_head("{\"text\": \"a\", \"label\": {}}", none, "neither a name nor a number");
    usual.problem = 1 + FR_PROBLEM_REGRESSION;
    refuses_head("{\"text\": \"a\", \"label\": 1}", (fr_model_head){.labels = 3},
                 "model.new_head=true");
    usual.problem = 0;
}

/* ---- a part kept back ---- */

static void test_a_share_is_kept_back_and_something_stays(void **state)
{
    (void)state;
    char text[4096] = "";
    for (int i = 0; i < 20; i++)
        sprintf(text + strlen(text), "{\"text\": \"%d\", \"label\": %d}\n", i, i % 2);
    static const struct {
        int records;
        double share;
        int64_t kept, gone;
    } cases[] = {{20, 0.1, 18, 2}, {2, 0.01, 1, 1}, {1, 0.5, 1, -1}, {20, 0, 20, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *end = text;
        for (int k = 0; k < cases[i].records; k++)
            end = strchr(end, '\n') + 1;
        char *part = fr_string_copy_n(text, (size_t)(end - text));
        fr_examples *examples = opened("s.jsonl", FR_EXAMPLES_CLASSES, part), *rest;
        assert_int_equal(fr_examples_split(examples, cases[i].share, 7, &rest, &error), FR_OK);
        assert_int_equal(fr_examples_count(examples), cases[i].kept);
        assert_int_equal(rest ? fr_examples_count(rest) : -1, cases[i].gone);
        fr_examples_close(rest);
        fr_examples_close(examples);
        fr_free(part);
    }
}

/* ---- micro-batches ---- */

static fr_tokenizer *tokenizer;

static fr_model *make_model(fr_model_head head)
{
    static const char text[] = "model: {kind: bert, hidden_size: 8, num_hidden_layers: 1, "
                               "num_attention_heads: 2, intermediate_size: 8, pad_token_id: 0}\n";
    fr_recipe *recipe;
    fr_model *model;
    assert_int_equal(fr_recipe_parse(&recipe, text, sizeof text - 1, "test", NULL), FR_OK);
    if (fr_model_create_from_section(&model, fr_recipe_section(recipe, "model"), &head, 257, -1, 1,
                                     true, &error) != FR_OK)
        fail_msg("%s", error.message);
    fr_recipe_free(recipe);
    return model;
}

static fr_encoding encoding_of(const fr_model *model)
{
    return (fr_encoding){.tokenizer = tokenizer, .model = model, .length = 16, .target_length = 16};
}

/* Seven texts of different length, each of which is told by its first byte. */
static fr_examples *seven(fr_model **model)
{
    fr_examples *examples =
        opened("b.jsonl", FR_EXAMPLES_CLASSES,
               "{\"text\": \"a\", \"label\": 0}\n{\"text\": \"bb\", \"label\": 1}\n"
               "{\"text\": \"ccc\", \"label\": 0}\n{\"text\": \"dddd\", \"label\": 1}\n"
               "{\"text\": \"eeeee\", \"label\": 0}\n{\"text\": \"ffffff\", \"label\": 1}\n"
               "{\"text\": \"ggggggggggggggggggggg\", \"label\": 2}\n");
    *model = make_model((fr_model_head){.task = FR_TASK_SEQUENCE_CLASSIFICATION, .labels = 3});
    const fr_encoding encoding = encoding_of(*model);
    if (fr_examples_encode(examples, &encoding, &error) != FR_OK)
        fail_msg("%s", error.message);
    return examples;
}

static fr_batch_source *source_of(const fr_examples *examples, uint64_t seed, bool scoring)
{
    fr_batch_source *source;
    assert_int_equal(fr_examples_source_create(&source, examples, 2, seed, scoring, &error), FR_OK);
    return source;
}

/* The first bytes of micro-batch `number`; also checks padding, lengths and labels. */
static void first_bytes(fr_batch_source *source, int64_t number, fr_micro_batch *micro, char *out)
{
    fr_micro_batch_clear(micro);
    assert_int_equal(source->kind->get(source, number, micro, &error), FR_OK);
    const int32_t *ids = fr_micro_batch_get(micro, FR_FIELD_IDS),
                  *lengths = fr_micro_batch_get(micro, FR_FIELD_LENGTHS),
                  *labels = fr_micro_batch_get(micro, FR_FIELD_LABELS);
    const int64_t *shape = micro->fields[FR_FIELD_IDS].shape;
    for (int64_t i = 0; i < shape[0]; i++, ids += shape[1]) {
        int32_t which = ids[0] - 'a';
        assert_int_equal(lengths[i], which == 6 ? 16 : which + 1); /* cut to 16 */
        assert_int_equal(labels[i], which == 6 ? 2 : which % 2);
        for (int64_t t = 0; t < shape[1]; t++)
            assert_int_equal(ids[t], t < lengths[i] ? 'a' + which : 0);
        out[i] = (char)ids[0];
    }
    out[shape[0]] = 0;
    assert_int_equal(micro->targets, shape[0]);
    assert_int_equal(micro->tokens, shape[0] * shape[1]);
}

static void test_each_epoch_reads_every_example_once_in_an_order_of_its_own(void **state)
{
    (void)state;
    fr_model *model;
    fr_examples *examples = seven(&model);
    fr_batch_source *source = source_of(examples, 5, false);
    fr_micro_batch micro = {.tokens = 0};
    char orders[3][16];
    assert_int_equal(source->per_epoch, 4);
    for (int epoch = 0; epoch < 3; epoch++) {
        int seen = 0;
        orders[epoch][0] = 0;
        for (int i = 0; i < 4; i++) {
            char bytes[3];
            first_bytes(source, 4 * epoch + i, &micro, bytes);
            strcat(orders[epoch], bytes);
        }
        for (const char *at = orders[epoch]; *at; at++)
            seen |= 1 << (*at - 'a');
        assert_int_equal(seen, 127);
        assert_int_equal(strlen(orders[epoch]), 7);
    }
    assert_true(strcmp(orders[0], orders[1]) != 0 || strcmp(orders[1], orders[2]) != 0);
    fr_micro_batch_free(&micro);
    fr_batch_source_destroy(source);
    fr_examples_close(examples);
    fr_model_destroy(model);
}

static void test_a_micro_batch_depends_on_its_number_alone(void **state)
{
    (void)state;
    fr_model *model;
    fr_examples *examples = seven(&model);
    fr_batch_source *forth = source_of(examples, 5, false), *back = source_of(examples, 5, false);
    fr_micro_batch micro = {.tokens = 0};
    char a[16][3], b[3];
    for (int i = 0; i < 16; i++)
        first_bytes(forth, i, &micro, a[i]);
    for (int i = 15; i >= 0; i--) {
        first_bytes(back, i, &micro, b);
        assert_string_equal(a[i], b);
    }
    fr_micro_batch_free(&micro);
    fr_batch_source_destroy(forth);
    fr_batch_source_destroy(back);
    fr_examples_close(examples);
    fr_model_destroy(model);
}

static void test_scoring_reads_by_length_and_says_which_examples(void **state)
{
    (void)state;
    fr_model *model;
    fr_examples *examples = seven(&model);
    fr_batch_source *source = source_of(examples, 5, true);
    fr_micro_batch micro = {.tokens = 0};
    static const char *const expected[] = {"ab", "cd", "ef", "g"};
    for (int i = 0; i < 4; i++) {
        char bytes[3];
        int64_t count;
        first_bytes(source, i, &micro, bytes);
        assert_string_equal(bytes, expected[i]);
        const int64_t *numbers = fr_examples_last(source, &count);
        assert_int_equal(count, strlen(bytes));
        assert_int_equal(numbers[0], 2 * i);
    }
    fr_micro_batch_free(&micro);
    fr_batch_source_destroy(source);
    fr_examples_close(examples);
    fr_model_destroy(model);
}

static void test_the_first_token_of_a_word_has_its_tag(void **state)
{
    (void)state;
    fr_model *model =
        make_model((fr_model_head){.task = FR_TASK_TOKEN_CLASSIFICATION, .labels = 3});
    fr_examples *examples = opened("t.jsonl", FR_EXAMPLES_TAGS,
                                   "{\"words\": [\"ab\", \"c\", \"de\"], \"tags\": [2, 0, 1]}");
    const fr_encoding encoding = encoding_of(model);
    assert_int_equal(fr_examples_encode(examples, &encoding, &error), FR_OK);
    fr_batch_source *source = source_of(examples, 0, true);
    fr_micro_batch micro = {.tokens = 0};
    assert_int_equal(source->kind->get(source, 0, &micro, &error), FR_OK);
    const int32_t *tags = fr_micro_batch_get(&micro, FR_FIELD_TARGETS);
    const int32_t no = FR_IGNORE,
                  expected[] = {2, no, 0, no, 1, no, no}; /* "ab c de": a space opens a word */
    for (int i = 0; i < 7; i++)
        assert_int_equal(tags[i], expected[i]);
    assert_int_equal(micro.targets, 3);
    fr_micro_batch_free(&micro);
    fr_batch_source_destroy(source);
    fr_examples_close(examples);
    fr_model_destroy(model);
}

static void refuses_encoding(fr_model_head head, fr_example_form form, const char *text,
                             const char *words)
{
    fr_model *model = make_model(head);
    fr_examples *examples = opened("r.jsonl", form, text);
    const fr_encoding encoding = encoding_of(model);
    assert_int_equal(fr_examples_encode(examples, &encoding, &error), FR_BAD_INPUT);
    said(words);
    fr_examples_close(examples);
    fr_model_destroy(model);
}

static void test_what_the_model_cannot_take_is_refused_with_the_line(void **state)
{
    (void)state;
    const fr_model_head two = {.task = FR_TASK_SEQUENCE_CLASSIFICATION, .labels = 2},
                        choice = {.task = FR_TASK_MULTIPLE_CHOICE};
    refuses_encoding(two, FR_EXAMPLES_CLASSES,
                     "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"a\", \"label\": 2}",
                     "r.jsonl:2: field 'label': 2 is not one of the 2 classes (0 to 1)");
    refuses_encoding(two, FR_EXAMPLES_CLASSES, "{\"text\": \"a\", \"label\": \"x\"}",
                     "\"x\" is not one of the 2 classes");
    refuses_encoding(two, FR_EXAMPLES_CLASSES, "{\"text\": \"\", \"label\": 1}",
                     "r.jsonl:1: a text is empty");
    refuses_encoding(choice, FR_EXAMPLES_CHOICES,
                     "{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"label\": 2}", "0 to 1");
    refuses_encoding(choice, FR_EXAMPLES_TARGETS, "{\"text\": \"a\", \"target\": \"b\"}",
                     "decoder_start_token_id");
}

static int setup(void **state)
{
    return make_root(state) || fr_tokenizer_create_bytes(&tokenizer, NULL) != FR_OK;
}

static int teardown(void **state)
{
    fr_tokenizer_free(tokenizer);
    return remove_root(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_and_json_lines_are_the_same_records),
        cmocka_unit_test(test_broken_files_are_refused_with_their_line),
        cmocka_unit_test(test_missing_fields_name_what_the_record_has),
        cmocka_unit_test(test_labels_say_what_the_head_is),
        cmocka_unit_test(test_labels_that_make_no_head_are_refused),
        cmocka_unit_test(test_a_share_is_kept_back_and_something_stays),
        cmocka_unit_test(test_each_epoch_reads_every_example_once_in_an_order_of_its_own),
        cmocka_unit_test(test_a_micro_batch_depends_on_its_number_alone),
        cmocka_unit_test(test_scoring_reads_by_length_and_says_which_examples),
        cmocka_unit_test(test_the_first_token_of_a_word_has_its_tag),
        cmocka_unit_test(test_what_the_model_cannot_take_is_refused_with_the_line),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
