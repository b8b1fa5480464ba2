/* test_guess.c: what a masked language model is judged by on plain text: guesses against the objective's own hiding and the model's
   logits in double; windows, groups, threads; and folders that another class of their family wrote. */
#include "data_help.h"
#include "frugal/operators.h"
#include "frugal/probes.h"
#include "frugal/train.h"

#include <math.h>

#define MASKED "tests/fixtures/families/bert-masked"
static fr_error error;

static void must(fr_status status)
{
    if (status != FR_OK)
        fail_msg("%s", error.message);
}

/* [w1] text [w2]; the mask is 3. */
static fr_tokenizer *tokenizer(void)
{
    fr_buffer text = {0};
    fr_buffer_text(
        &text,
        "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null, \"added_tokens\": "
        "[{\"id\": "
        "3, \"content\": \"[MASK]\", \"special\": true, \"single_word\": false, \"lstrip\": false, "
        "\"rstrip\": false, \"normalized\": false}], \"normalizer\": null, \"pre_tokenizer\": "
        "{\"type\": \"WhitespaceSplit\"}, \"post_processor\": {\"type\": \"BertProcessing\", "
        "\"sep\": [\"w2\", 2], \"cls\": [\"w1\", 1]}, \"decoder\": null, \"model\": {\"type\": "
        "\"WordLevel\", \"unk_token\": \"w0\", \"vocab\": {\"[MASK]\": 3");
    for (int i = 0; i < 24; i++)
        if (i != 3)
            fr_buffer_printf(&text, ", \"w%d\": %d", i, i);
    fr_buffer_text(&text, "}}}");
    put_text("guess/tokenizer.json", text.data);
    fr_buffer_free(&text);
    fr_tokenizer *result;
    must(fr_tokenizer_load(&result, in_root("guess"), &error));
    return result;
}

typedef struct fixture {
    fr_model *model;
    fr_tokenizer *tokenizer;
    fr_guesser *guesser;
} fixture;

static fixture open_fixture(int64_t length, uint64_t seed)
{
    fixture f = {.tokenizer = tokenizer()};
    must(fr_model_load(&f.model, MASKED, &error));
    must(fr_guesser_create(&f.guesser, f.model, f.tokenizer, length, seed, &error));
    return f;
}

static void close_fixture(fixture *f)
{
    fr_guesser_destroy(f->guesser);
    fr_model_destroy(f->model);
    fr_tokenizer_free(f->tokenizer);
}

/* `words` words, other ones for each start. */
static char *words(int count, int start)
{
    fr_buffer text = {0};
    for (int i = 0; i < count; i++)
        fr_buffer_printf(&text, "w%d ", 4 + (start + i * i) % 20);
    return text.data;
}

static void add(fixture *f, int64_t group, int count, int start)
{
    char *text = words(count, start);
    must(fr_guesser_add(f->guesser, group, text, strlen(text), &error));
    fr_free(text);
}

/* ---- tests ---- */

enum { TEXT = 14, LENGTH = TEXT + 2 };

/* The objective hides; every logit of the model is computed; loss and hits from those. */
static fr_guesses by_hand(const fixture *f, uint64_t seed, int start)
{
    const fr_objective_kind *kind =
        (const fr_objective_kind *)fr_registry_find(&fr_objectives, "masked_lm");
    void *options = fr_alloc(kind->base.options.size, FR_MEMORY_OTHER);
    kind->base.options.defaults(options);
    fr_objective *objective;
    must(fr_objective_create(&objective, kind, options, f->model, f->tokenizer, &error));
    fr_micro_batch micro = {0};
    int32_t *ids =
        fr_micro_batch_set(&micro, FR_FIELD_IDS, FR_I32, 2, (const int64_t[]){1, LENGTH});
    ids[0] = 1;
    for (int i = 0; i < TEXT; i++)
        ids[i + 1] = 4 + (start + i * i) % 20;
    ids[LENGTH - 1] = 2;
    must(kind->prepare(objective, &micro, seed, 0, &error));
    const int32_t *targets = fr_micro_batch_get(&micro, FR_FIELD_TARGETS);
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, &error);
    fr_batch batch = fr_micro_batch_put(&micro, tape);
    const float *logits = fr_tensor_host(fr_model_logits(f->model, tape, &batch, NULL));
    fr_guesses result = {0};
    for (int t = 0; t < LENGTH; t++) {
        if (targets[t] == FR_IGNORE)
            continue;
        const float *row = logits + t * f->model->vocabulary;
        double sum = 0;
        bool hit = true;
        for (int64_t v = 0; v < f->model->vocabulary; v++) {
            sum += exp(row[v]);
            hit = hit && row[v] <= row[targets[t]];
        }
        result.loss += log(sum) - row[targets[t]];
        result.accuracy += hit;
        result.guesses++;
    }
    fr_tape_destroy(tape);
    fr_micro_batch_free(&micro);
    fr_objective_destroy(objective);
    return result;
}

static void test_guesses_are_those_of_the_objective_and_the_logits(void **state)
{
    (void)state;
    int64_t all = 0;
    for (uint64_t seed = 0; seed < 6; seed++) {
        fixture f = open_fixture(0, seed);
        fr_guesses found, wanted = by_hand(&f, seed, (int)seed);
        add(&f, 0, TEXT, (int)seed);
        must(fr_guesser_result(f.guesser, 0, &found, &error));
        assert_int_equal(found.guesses, wanted.guesses);
        double count = wanted.guesses ? (double)wanted.guesses : 1;
        assert_true(fabs(found.loss - wanted.loss / count) < 1e-5);
        assert_true(fabs(found.accuracy - wanted.accuracy / count) < 1e-12);
        all += found.guesses;
        close_fixture(&f);
    }
    assert_true(all > 3);
}

/* Two documents of several windows each, the second empty in the middle. */
static void score(fr_guesses results[3], int threads)
{
    fr_threads_set(threads);
    fixture f = open_fixture(10, 3);
    add(&f, 0, 400, 1);
    add(&f, 1, 1, 2);
    add(&f, 1, 600, 3);
    for (int i = 0; i < 3; i++)
        must(fr_guesser_result(f.guesser, i - 1, &results[i], &error));
    close_fixture(&f);
}

static void test_groups_add_up_and_threads_change_nothing(void **state)
{
    (void)state;
    fr_guesses one[3], three[3];
    int before = fr_threads();
    score(one, 1);
    score(three, 3);
    fr_threads_set(before);
    for (int i = 0; i < 3; i++) {
        assert_true(one[i].loss == three[i].loss && one[i].accuracy == three[i].accuracy);
        assert_int_equal(one[i].guesses, three[i].guesses);
    }
    assert_int_equal(one[0].tokens, 1001);
    assert_int_equal(one[1].tokens, 400);
    assert_int_equal(one[2].documents, 2);
    assert_int_equal(one[0].guesses, one[1].guesses + one[2].guesses);
    assert_in_range(one[0].guesses, 110, 190); /* 15 % of 1001: 150 with a deviation of 11 */
    double nats = one[1].loss * (double)one[1].guesses + one[2].loss * (double)one[2].guesses;
    assert_true(fabs(one[0].loss * (double)one[0].guesses - nats) < 1e-9 * nats);
}

static void test_a_window_without_room_for_a_token_is_refused(void **state)
{
    (void)state;
    fixture f = {.tokenizer = tokenizer()};
    must(fr_model_load(&f.model, MASKED, &error));
    assert_int_equal(fr_guesser_create(&f.guesser, f.model, f.tokenizer, 2, 0, &error),
                     FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "no room"));
    assert_int_equal(fr_guesser_create(&f.guesser, f.model, f.tokenizer, 1000, 0, &error),
                     FR_BAD_INPUT);
    close_fixture(&f);
}

/* T5's classifier keeps its body under a prefix that its other classes do not have. */
static void test_a_classifiers_body_becomes_another_heads(void **state)
{
    (void)state;
    fr_model *from, *to;
    must(fr_model_load(&from, "tests/fixtures/families/t5-sequence", &error));
    const fr_model_head head = {.task = FR_TASK_SEQ2SEQ_LM};
    must(fr_model_load_as(&to, "tests/fixtures/families/t5-sequence",
                          &(fr_model_change){.head = &head, .seed = 1}, &error));
    const fr_parameter *a = fr_model_parameter(from, "transformer.shared.weight"),
                       *b = fr_model_parameter(to, "shared.weight");
    assert_non_null(a);
    assert_non_null(b);
    assert_memory_equal(fr_tensor_host(a->value), fr_tensor_host(b->value),
                        fr_tensor_bytes(a->value));
    fr_model_destroy(from);
    fr_model_destroy(to);
}

static void put_classifier(const char *name, const char *type, const char *class_)
{
    char *text = fr_format("{\"model_type\": \"%s\", \"architectures\": [\"%s\"]}", type, class_),
         *path = fr_format("%s/config.json", name);
    put_text(path, text);
    fr_free(text);
    fr_free(path);
}

static void test_classifiers_have_their_familys_number_of_labels(void **state)
{
    (void)state;
    fr_model_head head;
    put_classifier("bart", "bart", "BartForSequenceClassification");
    must(fr_model_folder_head(&head, in_root("bart"), &error));
    assert_int_equal(head.labels, 3);
    put_classifier("mbart", "mbart", "MBartForSequenceClassification");
    must(fr_model_folder_head(&head, in_root("mbart"), &error));
    assert_int_equal(head.labels, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guesses_are_those_of_the_objective_and_the_logits),
        cmocka_unit_test(test_groups_add_up_and_threads_change_nothing),
        cmocka_unit_test(test_a_window_without_room_for_a_token_is_refused),
        cmocka_unit_test(test_a_classifiers_body_becomes_another_heads),
        cmocka_unit_test(test_classifiers_have_their_familys_number_of_labels),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
