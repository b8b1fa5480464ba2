/* test_finetune.c: fine-tuning on examples, whole: every folder of tests/fixtures/families whose task has an objective is trained for
   some steps, its loss falls, and what is exported loads again; a run that goes on after a stop anywhere, and runs on other numbers of
   threads, end with the same bits. */
#include "data_help.h"
#include "frugal/operators.h"
#include "frugal/train.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>

#define FAMILIES "tests/fixtures/families/"
static fr_error error;

static void must(fr_status status)
{
    if (status != FR_OK)
        fail_msg("%s", error.message);
}

/* ---- data that a few steps can learn ---- */

/* As RoBERTa's: BART reads a text's class at its end, three separators tell Longformer where a question ends. */
#define END         "{\"SpecialToken\": {\"id\": \"w2\", \"type_id\": 0}}"
#define TEXT(which) "{\"Sequence\": {\"id\": \"" which "\", \"type_id\": 0}}"
#define TEMPLATE                                                                                   \
    "{\"type\": \"TemplateProcessing\", \"single\": [" TEXT("A") ", " END "], \"pair\": [" TEXT(   \
        "A") ", " END ", " END ", " TEXT("B") ", " END "], \"special_tokens\": {\"w2\": {\"id\": " \
                                              "\"w2\", \"ids\": [2], \"tokens\": [\"w2\"]}}}"

/* Word b is all of one token; the tiny vocabularies have 20 or more. */
static void put_tokenizer(void)
{
    fr_buffer text = {0};
    fr_buffer_text(&text,
                   "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null, "
                   "\"added_tokens\": [{\"id\": 3, \"content\": \"[MASK]\", \"special\": true, "
                   "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                   "\"normalized\": false}], \"normalizer\": null, \"pre_tokenizer\": {\"type\": "
                   "\"WhitespaceSplit\"}, \"post_processor\": " TEMPLATE ", \"decoder\": null, "
                   "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"w0\", \"vocab\": {");
    for (int i = 0; i < 3; i++)
        fr_buffer_printf(&text, "\"w%d\": %d, ", i, i);
    fr_buffer_text(&text, "\"[MASK]\": 3");
    for (int i = 4; i < 20; i++)
        fr_buffer_printf(&text, ", \"w%d\": %d", i, i);
    fr_buffer_text(&text, "}}}");
    put_text("tokenizer/tokenizer.json", text.data);
    fr_buffer_free(&text);
}

/* Texts of two kinds of words; the label, the tags, where the right choice stands, and the target
   follow from the kind. */
static void put_examples(void)
{
    fr_buffer all[5] = {{0}};
    enum { CLASSES, TAGS, CHOICES, PAIRS, TARGETS };
    for (int i = 0; i < 24; i++) {
        int kind = i % 2, a = (kind ? 14 : 5) + i % 4, b = (kind ? 14 : 5) + i / 2 % 4;
        fr_buffer_printf(&all[CLASSES], "{\"text\": \"w%d w%d%s\", \"label\": \"%s\"}\n", a, b,
                         i % 3 ? "" : " w9", kind ? "late" : "early");
        fr_buffer_printf(&all[TAGS], "{\"words\": [\"w%d\", \"w%d\"], \"tags\": [\"%s\", \"O\"]}\n",
                         a, kind ? 6 : 15, kind ? "B-late" : "O");
        fr_buffer_printf(&all[CHOICES],
                         "{\"text\": \"w%d w4\", \"choices\": [\"w%d\", \"w%d\"], \"label\": %d}\n",
                         a, kind ? 6 : 15, kind ? 15 : 6, kind);
        fr_buffer_printf(&all[PAIRS], "{\"text\": \"w%d w%d w4\", \"positive\": \"w%d w%d\"}\n", a,
                         b, a, b);
        fr_buffer_printf(&all[TARGETS], "{\"text\": \"w%d w%d\", \"target\": \"w%d w4\"}\n", a, b,
                         kind ? 18 : 10);
    }
    static const char *const names[] = {"classes.jsonl", "tags.jsonl", "choices.jsonl",
                                        "pairs.jsonl", "targets.jsonl"};
    for (int i = 0; i < 5; i++) {
        put_text(names[i], all[i].data);
        fr_buffer_free(&all[i]);
    }
}

/* ---- one run ---- */

enum { STEPS = 30, EPOCH = 5 }; /* steps */
typedef struct losses {
    double smooth, weight; /* of the last step */
    double all[STEPS];
    int64_t steps, stop_after;
} losses;

/* The loss of a step out of the smoothed one, which keeps 0.98 of what was. */
static void watch(void *context, const fr_train_progress *progress)
{
    losses *l = context;
    if (strcmp(progress->activity, "training") != 0)
        return;
    double weight = 0.98 * l->weight + 0.02, smooth = progress->loss * weight;
    if (l->steps < STEPS)
        l->all[l->steps] = (smooth - 0.98 * l->smooth) / 0.02;
    l->steps++;
    l->smooth = smooth;
    l->weight = weight;
    if (progress->step == l->stop_after)
        fr_interrupt_request();
}

static double mean(const double *x)
{
    double sum = 0;
    for (int i = 0; i < EPOCH; i++)
        sum += x[i] / EPOCH;
    return sum;
}

static fr_status train(const char *run, const char *text, bool resume, losses *seen)
{
    fr_recipe *recipe;
    must(fr_recipe_parse(&recipe, text, strlen(text), "test", &error));
    const fr_run_options options = {
        .folder = run, .resume = resume, .progress = watch, .context = seen};
    fr_train_result result;
    fr_status status = fr_train(recipe, &options, &result, &error);
    fr_recipe_free(recipe);
    fr_interrupt_clear();
    return status;
}

typedef struct task_case {
    fr_task task;
    const char *objective, *data;
} task_case;

static const task_case tasks[] = {
    {FR_TASK_SEQUENCE_CLASSIFICATION, "sequence_classification", "classes.jsonl"},
    {FR_TASK_TOKEN_CLASSIFICATION, "token_classification", "tags.jsonl"},
    {FR_TASK_MULTIPLE_CHOICE, "multiple_choice", "choices.jsonl"},
    {FR_TASK_SEQ2SEQ_LM, "seq2seq_lm", "targets.jsonl"},
    {FR_TASK_MASKED_LM, "masked_lm, share: 0.5", "classes.jsonl"},
    {FR_TASK_NONE, "sentence_embedding, scale: 5", "pairs.jsonl"},
};

static char *recipe_of(const char *family, const task_case *task, const char *more)
{
    /* mBART's own file leaves to a text's language how its target begins. */
    const char *start = strcmp(family, "mbart") == 0 ? ", config: {decoder_start_token_id: 2}" : "";
    return fr_format("model: {from: %s%s, new_head: true%s}\n"
                     "data: {tokenizer: %s, examples: {train: %s, held_out_share: 0.2}}\n"
                     "objective: {kind: %s}\noptimizer: {kind: adamw, lr: 0.005}\n"
                     "schedule: {kind: constant}\n"
                     "train: {steps: 30, length: 8, micro_batch: 4, log_every: 1, evals: 1, "
                     "tensorboard: false%s}\n",
                     FAMILIES, family, start, in_root("tokenizer"), in_root(task->data),
                     task->objective, more);
}

/* What was exported is a model of the same task that loads and says finite things. */
static void check_export(const char *run, fr_task task)
{
    char *folder = fr_path_join(run, "model");
    fr_model *model;
    must(fr_model_load(&model, folder, &error));
    assert_int_equal(model->head.task, task);
    if (task == FR_TASK_SEQUENCE_CLASSIFICATION) {
        assert_int_equal(model->head.labels, 2);
        assert_string_equal(model->head.names.items[0], "early");
    }
    fr_model_destroy(model);
    fr_free(folder);
}

static bool learns(const char *family, const task_case *task)
{
    losses seen = {0};
    char run[600], *text = recipe_of(family, task, "");
    snprintf(run, sizeof run, "%s-run", in_root(family));
    fr_status status = train(run, text, false, &seen);
    fr_free(text);
    /* An encoder with its decoder has no vector of a text. */
    bool other = task->task == FR_TASK_NONE && strstr(error.message, "reads decoder ids");
    if (status != FR_OK && !other)
        fail_msg("%s, %s: %s", family, task->objective, error.message);
    if (status != FR_OK)
        return false;
    double first = mean(seen.all), last = mean(seen.all + STEPS - EPOCH);
    if (!(last < first))
        fail_msg("%s, %s: the loss goes from %g to %g", family, task->objective, first, last);
    check_export(run, task->task);
    fr_folder_remove(run, NULL);
    return true;
}

static void test_every_family_learns_the_tasks_that_it_has_heads_for(void **state)
{
    (void)state;
    struct dirent *entry;
    DIR *folder = opendir(FAMILIES);
    int learnt = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        fr_model *model;
        if (entry->d_name[0] == '.')
            continue;
        char *path = fr_format("%s%s", FAMILIES, entry->d_name);
        must(fr_model_load(&model, path, &error));
        fr_free(path);
        for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
            if (model->head.task == tasks[i].task && !model->image[0])
                learnt += learns(entry->d_name, &tasks[i]);
        fr_model_destroy(model);
    }
    closedir(folder);
    assert_true(learnt > 40);
}

/* ---- the same bits ---- */

static char *weights_of(const char *run, size_t *size)
{
    char *path = fr_format("%s/model/model.safetensors", run), *data;
    must(fr_file_read(path, 0, &data, size, &error));
    fr_free(path);
    return data;
}

static void same_weights(const char *a, const char *b)
{
    size_t size_a, size_b;
    char *x = weights_of(a, &size_a), *y = weights_of(b, &size_b);
    assert_int_equal(size_a, size_b);
    assert_memory_equal(x, y, size_a);
    fr_free(x);
    fr_free(y);
}

/* An epoch is 5 micro-batches, a step 2: steps end inside epochs. */
static void test_a_run_stopped_at_any_step_of_an_epoch_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        int task;
        const char *more; /* behind the other keys of train */
    } runs[] = {{0, ", accumulation: 2"},
                {4, ", accumulation: 2"},
                {0, "}\nphases:\n  - {steps: 12}\n  - {steps: 18, micro_batch: 2"}};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char *text = recipe_of("bert", &tasks[runs[i].task], runs[i].more), whole[600], run[600];
        losses seen = {0};
        snprintf(whole, sizeof whole, "%s", in_root("whole"));
        must(train(whole, text, false, &seen));
        for (int64_t stop = 1; stop < STEPS; stop += 6) {
            snprintf(run, sizeof run, "%s", in_root("stopped"));
            seen = (losses){.stop_after = stop};
            assert_int_equal(train(run, text, false, &seen), FR_INTERRUPTED);
            seen = (losses){0};
            must(train(run, text, true, &seen));
            same_weights(whole, run);
            fr_folder_remove(run, NULL);
        }
        fr_folder_remove(whole, NULL);
        fr_free(text);
    }
}

static void test_any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    char *text = recipe_of("bert", &tasks[0], ""), runs[3][600];
    for (int i = 0; i < 3; i++) {
        losses seen = {0};
        char name[8];
        snprintf(name, sizeof name, "t%d", i);
        snprintf(runs[i], sizeof runs[i], "%s", in_root(name));
        fr_threads_set(i + 1);
        must(train(runs[i], text, false, &seen));
        same_weights(runs[0], runs[i]);
    }
    fr_threads_set(1);
    fr_free(text);
}

static void test_epochs_end_a_run_also_in_the_middle_of_one(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        int64_t steps;
    } cases[] = {{"epochs: 2", 10}, {"epochs: 0.5", 3}, {"epochs: 1, micro_batch: 64", 1}};
    for (size_t i = 0; i < 3; i++) {
        char *text = fr_format("model: {from: " FAMILIES "bert}\n"
                               "data: {tokenizer: %s, examples: {train: %s, held_out_share: 0.2}}\n"
                               "objective: {kind: sequence_classification}\n"
                               "train: {micro_batch: 4, length: 6, tensorboard: false, %s}\n",
                               in_root("tokenizer"), in_root("classes.jsonl"), cases[i].words),
             run[600];
        losses seen = {0};
        snprintf(run, sizeof run, "%s", in_root("epochs"));
        if (i == 2) { /* micro_batch is there once */
            char *at = strstr(text, "micro_batch: 4, ");
            memmove(at, at + 16, strlen(at + 16) + 1);
        }
        must(train(run, text, false, &seen));
        assert_int_equal(seen.steps, cases[i].steps);
        fr_folder_remove(run, NULL);
        fr_free(text);
    }
}

static int setup(void **state)
{
    if (make_root(state))
        return -1;
    fr_threads_set(1); /* matrices this small gain nothing from more */
    put_tokenizer();
    put_examples();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_family_learns_the_tasks_that_it_has_heads_for),
        cmocka_unit_test(test_a_run_stopped_at_any_step_of_an_epoch_goes_on_to_the_same_bits),
        cmocka_unit_test(test_any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(test_epochs_end_a_run_also_in_the_middle_of_one),
    };
    return cmocka_run_group_tests(tests, setup, remove_root);
}
