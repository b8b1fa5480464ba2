/* test_probes.c: figures are those that a person computes by hand; a judgement does not depend on how many examples are read at once
   and is what its predictions say; and masked language models hide as many tokens as they promise. */
#include "data_help.h"
#include "frugal/operators.h"
#include "frugal/train.h"
#include "objectives/objectives.h"
#include "probes/figures.h"

#include <jansson.h>
#include <math.h>

static fr_error error;

static void must(fr_status status)
{
    if (status != FR_OK)
        fail_msg("%s", error.message);
}

static void figure_is(const fr_judgement *judgement, const char *name, double expected)
{
    double found = fr_judgement_figure(judgement, name);
    if (!(fabs(found - expected) < 1e-6))
        fail_msg("%s is %.9g, not %.9g", name, found, expected);
}

/* ---- figures ---- */

/* right 0 1 2 2 1 0, said 0 2 2 2 1 1, and a class that is nowhere. */
static void test_figures_of_classes(void **state)
{
    (void)state;
    static const int64_t table[] = {1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0};
    fr_judgement j = {.count = 0};
    figures_of_classes(&j, table, 4);
    figure_is(&j, "accuracy", 4.0 / 6);
    figure_is(&j, "f1_macro", (2.0 / 3 + 0.5 + 0.8) / 3);
    figure_is(&j, "matthews", 12 / sqrt(22 * 24));
    assert_int_equal(fr_judgement_main(&j), 0);
}

static void test_one_class_alone_has_no_correlation(void **state)
{
    (void)state;
    static const int64_t table[] = {3, 0, 0, 0};
    fr_judgement j = {.count = 0};
    figures_of_classes(&j, table, 2);
    figure_is(&j, "accuracy", 1);
    figure_is(&j, "f1_macro", 1);
    figure_is(&j, "matthews", 0);
}

static void test_figures_of_numbers(void **state)
{
    (void)state;
    static const double said[] = {1, 2, 3, 3}, right[] = {1, 3, 2, 5}, same[] = {2, 2, 2, 2};
    fr_judgement j = {.count = 0};
    must(figures_of_numbers(&j, said, right, 4, &error));
    figure_is(&j, "mse", 1.5);
    figure_is(&j, "pearson", 3.25 / sqrt(2.75 * 8.75));
    figure_is(&j, "spearman", 3 / sqrt(4.5 * 5));
    j.count = 0;
    must(figures_of_numbers(&j, same, right, 4, &error));
    assert_true(isnan(fr_judgement_figure(&j, "pearson")));
    assert_true(isnan(fr_judgement_figure(&j, "spearman")));
    assert_true(isnan(fr_judgement_figure(&j, "accuracy")));
    assert_int_equal(fr_judgement_main(&(fr_judgement){.count = 0}), -1);
}

static void test_spans_must_agree_in_kind_begin_and_end(void **state)
{
    (void)state;
    enum { O, B_A, I_A, B_B, I_B };
    char *items[] = {"O", "B-a", "I-a", "B-b", "I-b"}, *plain[] = {"noun", "verb"};
    const fr_strings names = {.items = items, .count = 5}, none = {.items = plain, .count = 2};
    static const struct {
        int32_t said[4], right[4];
        int64_t said_count, right_count, both;
    } cases[] = {
        {{B_A, I_A, O, I_B}, {B_A, I_A, O, B_B}, 2, 2, 2}, /* an I- begins a span behind an O */
        {{B_A, O, O, O}, {B_A, I_A, O, O}, 1, 1, 0},
        {{B_A, I_A, O, O}, {B_A, B_A, O, O}, 1, 2, 0},
        {{B_A, I_B, O, O}, {B_A, O, O, O}, 2, 1, 1}, /* another kind begins another span */
        {{O, B_A, I_A, O}, {O, B_B, I_B, O}, 1, 1, 0},
    };
    assert_true(spans_are_there(&names));
    assert_false(spans_are_there(&none));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        span_counts counts = {0};
        spans_count(&counts, &names, cases[i].said, cases[i].right, 4);
        assert_int_equal(counts.said, cases[i].said_count);
        assert_int_equal(counts.right, cases[i].right_count);
        assert_int_equal(counts.both, cases[i].both);
    }
    static const char *const three[] = {"precision", "recall", "f1"};
    fr_judgement j = {.count = 0};
    figures_of_counts(&j, &(span_counts){.said = 4, .right = 2, .both = 1}, three);
    figure_is(&j, "precision", 0.25);
    figure_is(&j, "recall", 0.5);
    figure_is(&j, "f1", 1.0 / 3);
}

/* ---- a judgement ---- */

enum { EXAMPLES = 11 };
static fr_tokenizer *tokenizer;

static fr_status note(void *context, int64_t number, json_t *prediction, fr_error *e)
{
    int64_t *said = context;
    (void)e;
    said[number] = json_integer_value(json_object_get(prediction, "label"));
    double score = json_real_value(json_object_get(prediction, "score"));
    assert_true(score >= 1.0 / 3 && score <= 1);
    return FR_OK;
}

static void test_a_judgement_does_not_depend_on_how_many_are_read_at_once(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 3, 100};
    static const fr_example_options usual = {.train = NULL};
    fr_model *model;
    fr_buffer text = {0};
    fr_judgement judgements[3];
    int64_t said[3][EXAMPLES];
    must(fr_model_load(&model, "tests/fixtures/families/bert-sequence", &error));
    fr_strings_free(&model->head.names); /* predictions are numbers then */
    for (int i = 0; i < EXAMPLES; i++) {
        fr_buffer_text(&text, "{\"text\": \"");
        for (int t = 0; t <= i % 6; t++)
            fr_buffer_printf(&text, "%s%d", t ? " " : "", (5 * i + 3 * t) % 20);
        fr_buffer_printf(&text, "\", \"label\": %d}\n", i % 3);
    }
    put_text("judge.jsonl", text.data);
    for (int k = 0; k < 3; k++) {
        fr_examples *examples;
        must(fr_examples_open(&examples, in_root("judge.jsonl"), FR_EXAMPLES_CLASSES, &usual,
                              &error));
        const fr_encoding encoding = {.tokenizer = tokenizer, .model = model, .length = 8};
        must(fr_examples_encode(examples, &encoding, &error));
        const fr_judge_options how = {.rows = rows[k], .each = note, .context = said[k]};
        must(fr_judge(model, examples, &how, &judgements[k], &error));
        fr_examples_close(examples);
    }
    int64_t hits = 0;
    for (int i = 0; i < EXAMPLES; i++)
        hits += said[0][i] == i % 3;
    figure_is(&judgements[0], "accuracy", (double)hits / EXAMPLES);
    assert_int_equal(judgements[0].examples, EXAMPLES);
    for (int k = 1; k < 3; k++) {
        assert_memory_equal(said[0], said[k], sizeof said[0]);
        assert_int_equal(judgements[k].count, judgements[0].count);
        for (int i = 0; i < judgements[0].count; i++)
            figure_is(&judgements[k], judgements[0].figures[i].name,
                      judgements[0].figures[i].value);
    }
    fr_buffer_free(&text);
    fr_model_destroy(model);
}

/* ---- pictures and their texts ---- */

enum { PICTURES = 5 };

static void put_pictures(void)
{
    static const char *const names[PICTURES] = {"alpha.webp", "bit.png", "deep_grey.png",
                                                "deep_rgb.png", "deep_rgba.png"};
    fr_buffer records = {0};
    for (int i = 0; i < PICTURES; i++) {
        static char bytes[1 << 16];
        char path[128];
        snprintf(path, sizeof path, "tests/fixtures/pictures/%s", names[i]);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        put(names[i], bytes, fread(bytes, 1, sizeof bytes, file));
        fclose(file);
        fr_buffer_printf(&records, "{\"image\": \"%s\", \"text\": \"%d %d %d\"}\n", names[i], 3 * i,
                         i, 2 * i + 1);
    }
    put_text("captions.jsonl", records.data);
    fr_buffer_free(&records);
}

static fr_examples *captions(fr_model *model, fr_image_processor *images)
{
    static const fr_example_options usual = {.train = NULL};
    fr_examples *examples;
    must(fr_examples_open(&examples, in_root("captions.jsonl"), FR_EXAMPLES_IMAGE_TEXTS, &usual,
                          &error));
    const fr_encoding encoding = {
        .tokenizer = tokenizer, .model = model, .images = images, .length = 8};
    must(fr_examples_encode(examples, &encoding, &error));
    return examples;
}

/* Of the model's own table of all pictures with all texts: the share of rows whose own column is the largest, and the mean of 1 /
   place; `across`: of columns. */
static void by_table(fr_model *model, const fr_examples *examples, bool across, double *first,
                     double *reciprocal)
{
    fr_batch_source *source;
    fr_micro_batch micro = {0};
    fr_outputs outputs;
    must(fr_examples_source_create(&source, examples, PICTURES, 0, true, &error));
    must(source->kind->get(source, 0, &micro, &error));
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, &error);
    fr_batch batch = fr_micro_batch_put(&micro, tape);
    fr_model_outputs(model, tape, &batch, &outputs);
    const float *x =
        fr_tensor_host(fr_outputs_find(&outputs, across ? "logits_per_text" : "logits_per_image"));
    *first = *reciprocal = 0;
    for (int i = 0; i < PICTURES; i++) {
        int place = 1;
        for (int k = 0; k < PICTURES; k++)
            place += x[i * PICTURES + k] > x[i * PICTURES + i];
        *first += place == 1 ? 1.0 / PICTURES : 0;
        *reciprocal += 1.0 / place / PICTURES;
    }
    fr_tape_destroy(tape);
    fr_micro_batch_free(&micro);
    fr_batch_source_destroy(source);
}

static void test_pictures_and_texts_look_for_each_other(void **state)
{
    (void)state;
    fr_model *model;
    fr_image_processor *images;
    put_pictures();
    must(fr_model_load(&model, "tests/fixtures/families/clip", &error));
    must(fr_image_processor_create(&images, model, &error));
    fr_examples *examples = captions(model, images);
    double text[2], image[2];
    by_table(model, examples, false, &text[0], &text[1]);
    by_table(model, examples, true, &image[0], &image[1]);
    for (int64_t rows = 1; rows < 8; rows += 2) {
        fr_judgement judgement;
        must(fr_judge(model, examples, &(fr_judge_options){.rows = rows}, &judgement, &error));
        figure_is(&judgement, "text_recall_at_1", text[0]);
        figure_is(&judgement, "text_mean_reciprocal_rank", text[1]);
        figure_is(&judgement, "text_recall_at_10", 1);
        figure_is(&judgement, "image_recall_at_1", image[0]);
        figure_is(&judgement, "image_mean_reciprocal_rank", image[1]);
        figure_is(&judgement, "image_recall_at_10", 1);
    }
    fr_examples_close(examples);
    fr_image_processor_free(images);
    fr_model_destroy(model);
}

/* ---- hidden tokens ---- */

enum { ROWS = 64, COLUMNS = 256, SPECIAL = 2, MASK = 3 };

static fr_objective *masked(void)
{
    fr_objective *objective;
    const fr_option_table *table = &fr_masked_lm.base.options;
    void *options = fr_alloc(table->size, FR_MEMORY_OTHER);
    must(fr_options_read(table, options, NULL, false, NULL, &error));
    must(fr_objective_create(&objective, &fr_masked_lm, options, NULL, tokenizer, &error));
    return objective;
}

/* Rows of all words but the mask, with the special token in every eighth place; the second half of each row is padding. */
static void hide(fr_objective *objective, fr_micro_batch *micro, uint64_t number)
{
    const int64_t shape[] = {ROWS, COLUMNS};
    fr_micro_batch_clear(micro);
    int32_t *ids = fr_micro_batch_set(micro, FR_FIELD_IDS, FR_I32, 2, shape),
            *lengths = fr_micro_batch_set(micro, FR_FIELD_LENGTHS, FR_I32, 1, shape);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        ids[i] = i % 8 == 0 ? SPECIAL : 4 + i % 16;
    for (int i = 0; i < ROWS; i++)
        lengths[i] = COLUMNS / 2;
    must(objective->kind->prepare(objective, micro, 9, number, &error));
}

static void test_as_many_tokens_are_hidden_as_promised(void **state)
{
    (void)state;
    fr_objective *objective = masked();
    fr_micro_batch micro = {.tokens = 0};
    double chosen = 0, mask = 0, kept = 0, there = 0;
    for (uint64_t number = 0; number < 8; number++) {
        hide(objective, &micro, number);
        const int32_t *ids = fr_micro_batch_get(&micro, FR_FIELD_IDS),
                      *targets = fr_micro_batch_get(&micro, FR_FIELD_TARGETS);
        int64_t count = 0;
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            int32_t was = i % 8 == 0 ? SPECIAL : 4 + i % 16;
            bool can = was != SPECIAL && i % COLUMNS < COLUMNS / 2;
            there += can;
            if (targets[i] == FR_IGNORE) {
                assert_int_equal(ids[i], was);
                continue;
            }
            assert_true(can);
            assert_int_equal(targets[i], was);
            mask += ids[i] == MASK;
            kept += ids[i] == was;
            count++;
        }
        assert_int_equal(micro.targets, count);
        chosen += (double)count;
    }
    /* Of 57344 places; five standard deviations. A random word of 20 is the mask or the same now and then. */
    assert_true(fabs(chosen / there - 0.15) < 0.0075);
    assert_true(fabs(mask / chosen - (0.8 + 0.1 / 20)) < 0.022);
    assert_true(fabs(kept / chosen - (0.1 + 0.1 / 20)) < 0.017);
    fr_micro_batch_free(&micro);
    fr_objective_destroy(objective);
}

static void test_what_is_hidden_depends_on_the_number_of_the_batch_alone(void **state)
{
    (void)state;
    fr_objective *objective = masked();
    fr_micro_batch a = {.tokens = 0}, b = {.tokens = 0};
    hide(objective, &a, 3);
    hide(objective, &b, 4);
    const size_t bytes = ROWS * COLUMNS * sizeof(int32_t);
    assert_memory_not_equal(fr_micro_batch_get(&a, FR_FIELD_IDS),
                            fr_micro_batch_get(&b, FR_FIELD_IDS), bytes);
    hide(objective, &b, 3);
    assert_memory_equal(fr_micro_batch_get(&a, FR_FIELD_IDS), fr_micro_batch_get(&b, FR_FIELD_IDS),
                        bytes);
    fr_micro_batch_free(&a);
    fr_micro_batch_free(&b);
    fr_objective_destroy(objective);
}

static void test_a_tokenizer_without_a_mask_is_refused(void **state)
{
    (void)state;
    fr_tokenizer *bytes;
    fr_objective *objective;
    must(fr_tokenizer_create_bytes(&bytes, &error));
    void *options = fr_alloc(fr_masked_lm.base.options.size, FR_MEMORY_OTHER);
    must(fr_options_read(&fr_masked_lm.base.options, options, NULL, false, NULL, &error));
    assert_int_equal(fr_objective_create(&objective, &fr_masked_lm, options, NULL, bytes, &error),
                     FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "[MASK] or <mask>"));
    fr_tokenizer_free(bytes);
}

/* Twenty words that are their numbers; 2 and the mask are special. */
static int setup(void **state)
{
    if (make_root(state))
        return -1;
    fr_buffer text = {0};
    static const char special[] = "\"special\": true, \"single_word\": false, \"lstrip\": false, "
                                  "\"rstrip\": false, \"normalized\": false";
    fr_buffer_printf(
        &text,
        "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 2, \"content\": \"2\", %s}, "
        "{\"id\": 3, \"content\": \"[MASK]\", %s}], \"pre_tokenizer\": {\"type\": "
        "\"WhitespaceSplit\"}, \"model\": {\"type\": \"WordLevel\", \"unk_token\": \"0\", "
        "\"vocab\": {\"[MASK]\": 3",
        special, special);
    for (int i = 0; i < 20; i++)
        if (i != MASK)
            fr_buffer_printf(&text, ", \"%d\": %d", i, i);
    fr_buffer_text(&text, "}}}");
    put_text("tokenizer.json", text.data);
    fr_buffer_free(&text);
    must(fr_tokenizer_load(&tokenizer, in_root("tokenizer.json"), &error));
    return 0;
}

static int teardown(void **state)
{
    fr_tokenizer_free(tokenizer);
    return remove_root(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_of_classes),
        cmocka_unit_test(test_one_class_alone_has_no_correlation),
        cmocka_unit_test(test_figures_of_numbers),
        cmocka_unit_test(test_spans_must_agree_in_kind_begin_and_end),
        cmocka_unit_test(test_a_judgement_does_not_depend_on_how_many_are_read_at_once),
        cmocka_unit_test(test_pictures_and_texts_look_for_each_other),
        cmocka_unit_test(test_as_many_tokens_are_hidden_as_promised),
        cmocka_unit_test(test_what_is_hidden_depends_on_the_number_of_the_batch_alone),
        cmocka_unit_test(test_a_tokenizer_without_a_mask_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
