/* test_train.c: the loop's promises: the same bits after a resume at any step and on any number of threads, nothing allocated in the
   steady state, a plan that is what a run uses, and refusals that say why. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fault/fixture.h"
#include "train/trainer.h"

#include <math.h>

static char *folder; /* the data, and a new run folder for each test below it */

static int setup(void **state)
{
    (void)state;
    folder = fixture_folder();
    fr_threads_set(1); /* matrices this small gain nothing from more */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fr_folder_remove(folder, NULL);
    fr_free(folder);
    return 0;
}

static char *run_folder(const char *name)
{
    char *path = fr_path_join(folder, name);
    assert_non_null(path);
    return path;
}

/* ---- running ---- */

typedef struct watcher {
    int64_t stop_after; /* a signal comes in this step; 0: none */
    int64_t calls;
    fr_train_progress last;
} watcher;

static void watch(void *context, const fr_train_progress *progress)
{
    watcher *w = context;
    w->calls++;
    w->last = *progress;
    if (w->stop_after && progress->step == w->stop_after &&
        strcmp(progress->activity, "training") == 0)
        fr_interrupt_request();
}

static fr_status train(const char *run, bool resume, int64_t stop_after, const char *const *words,
                       fr_train_result *result, fr_error *error)
{
    fr_recipe *recipe = fixture_recipe(folder, words);
    watcher w = {.stop_after = stop_after};
    fr_run_options options = {.folder = run, .resume = resume, .progress = watch, .context = &w};
    fr_interrupt_clear();
    fr_status status = fr_train(recipe, &options, result, error);
    fr_interrupt_clear();
    fr_recipe_free(recipe);
    return status;
}

static void train_well(const char *run, bool resume, const char *const *words,
                       fr_train_result *result)
{
    fr_error error = {0};
    if (train(run, resume, 0, words, result, &error) != FR_OK)
        fail_msg("%s", error.message);
}

static void assert_same_run(const char *a, const char *b)
{
    size_t size_a, size_b;
    char *model_a = fixture_read(a, "model/model.safetensors", &size_a);
    char *model_b = fixture_read(b, "model/model.safetensors", &size_b);
    assert_int_equal(size_a, size_b);
    assert_memory_equal(model_a, model_b, size_a);
    char *losses_a = fixture_losses(a), *losses_b = fixture_losses(b);
    assert_string_equal(losses_a, losses_b);
    fr_free(model_a);
    fr_free(model_b);
    fr_free(losses_a);
    fr_free(losses_b);
}

static bool exists(const char *run, const char *name)
{
    char *path = fr_path_join(run, name);
    bool there = fr_path_exists(path);
    fr_free(path);
    return there;
}

/* ---- a whole run ---- */

static void test_a_run_learns_and_leaves_its_files(void **state)
{
    (void)state;
    static const char *const files[] = {"recipe.yaml",
                                        "machine.json",
                                        "metrics.jsonl",
                                        "summary.json",
                                        "tensorboard",
                                        "checkpoints",
                                        "model/model.safetensors",
                                        "model/config.json",
                                        "checkpoints/step-00000060"};
    const char *const words[] = {"train.steps=60", NULL};
    char *run = run_folder("whole");
    fr_train_result result;
    train_well(run, false, words, &result);
    assert_string_equal(result.stopped_by, "steps");
    assert_int_equal(result.step, 60);
    assert_int_equal(result.tokens, 60 * 3 * 4 * 32);
    assert_true(result.held_out_loss < 0.85 * log(FIXTURE_VOCABULARY));
    assert_true(result.flops > 0 && result.tokens_per_second > 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!exists(run, files[i]))
            fail_msg("%s is missing", files[i]);
    fr_model *model = NULL;
    char *saved = fr_path_join(run, "model");
    assert_int_equal(fr_model_load(&model, saved, NULL), FR_OK);
    fr_model_destroy(model);
    fr_free(saved);
    fr_free(run);
}

static void test_the_resolved_recipe_is_the_same_recipe(void **state)
{
    (void)state;
    char *run = run_folder("resolved"), *path = fr_path_join(run, "recipe.yaml");
    train_well(run, false, NULL, NULL);
    fr_error error = {0};
    fr_recipe *recipe = NULL;
    if (fr_recipe_load(&recipe, path, &error) != FR_OK)
        fail_msg("%s", error.message);
    fr_run_options options = {.folder = run, .resume = true};
    fr_train_result result;
    if (fr_train(recipe, &options, &result, &error) != FR_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.step, 12);
    fr_recipe_free(recipe);
    fr_free(path);
    fr_free(run);
}

/* ---- the same bits ---- */

static void test_resume_at_every_step_gives_the_same_bits(void **state)
{
    (void)state;
    char *whole = run_folder("unbroken");
    train_well(whole, false, NULL, NULL);
    for (int64_t k = 1; k < 12; k++) {
        char *name = fr_format("broken-%lld", (long long)k), *run = run_folder(name);
        fr_error error = {0};
        assert_int_equal(train(run, false, k, NULL, NULL, &error), FR_INTERRUPTED);
        assert_non_null(strstr(error.message, "--resume"));
        assert_false(exists(run, "summary.json"));
        train_well(run, true, NULL, NULL);
        assert_same_run(whole, run);
        fr_free(name);
        fr_free(run);
    }
    fr_free(whole);
}

static void test_resume_from_an_older_checkpoint_gives_the_same_bits(void **state)
{
    (void)state;
    const char *const keep[] = {"train.keep_last=100", NULL};
    char *whole = run_folder("older-whole"), *run = run_folder("older");
    train_well(whole, false, keep, NULL);
    fr_error error = {0};
    assert_int_equal(train(run, false, 8, keep, NULL, &error), FR_INTERRUPTED);
    char *newest = fr_path_join(run, "checkpoints/step-00000008");
    assert_int_equal(fr_folder_remove(newest, NULL),
                     FR_OK); /* now step 6 is the newest: metrics know too much */
    train_well(run, true, keep, NULL);
    assert_same_run(whole, run);
    fr_free(newest);
    fr_free(whole);
    fr_free(run);
}

static void test_one_and_two_threads_give_the_same_bits(void **state)
{
    (void)state;
    const char *const muon[] = {"optimizer.kind=muon", NULL};
    char *one = run_folder("threads-1"), *two = run_folder("threads-2");
    fr_threads_set(1);
    train_well(one, false, muon, NULL);
    fr_threads_set(2);
    train_well(two, false, muon, NULL);
    fr_threads_set(1);
    assert_same_run(one, two);
    fr_free(one);
    fr_free(two);
}

static void test_documents_apart_resume_to_the_same_bits(void **state)
{
    (void)state;
    const char *const words[] = {"data.cross_documents=false", "optimizer.kind=muon", NULL};
    char *whole = run_folder("apart-whole"), *run = run_folder("apart");
    train_well(whole, false, words, NULL);
    fr_error error = {0};
    assert_int_equal(train(run, false, 7, words, NULL, &error), FR_INTERRUPTED);
    train_well(run, true, words, NULL);
    assert_same_run(whole, run);
    fr_free(whole);
    fr_free(run);
}

static void test_runs_by_tokens_and_by_flops_resume_to_the_same_bits(void **state)
{
    (void)state;
    const char *const by_tokens[] = {"train.steps=0", "train.tokens=4000", "train.eval_every=0",
                                     "train.evals=3", NULL};
    const char *const by_flops[] = {"train.steps=0", "train.flops=2.5e8", "schedule.warmup_steps=3",
                                    NULL};
    const char *const *const rules[] = {by_tokens, by_flops};
    for (int i = 0; i < 2; i++) {
        char *name = fr_format("rule-%d", i), *whole = run_folder(name),
             *run = fr_format("%s-broken", whole);
        fr_error error = {0};
        fr_train_result result;
        train_well(whole, false, rules[i], &result);
        assert_string_equal(result.stopped_by, i ? "flops" : "tokens");
        assert_true(i ? result.flops >= 2.5e8 : result.tokens == 11 * 3 * 4 * 32);
        assert_int_equal(train(run, false, 3, rules[i], NULL, &error), FR_INTERRUPTED);
        train_well(run, true, rules[i], NULL);
        assert_same_run(whole, run);
        fr_free(name);
        fr_free(whole);
        fr_free(run);
    }
}

/* ---- accumulation ---- */

static void test_gradients_add_in_a_fixed_tree(void **state)
{
    (void)state;
    float numbers[7] = {1, 1e-8f, -1, 3e-8f, 0.1f, 1e8f, -1e8f};
    fr_parameter parameter = {.name = NULL};
    fr_parameter *list[] = {&parameter};
    fr_model model = {.parameters = list, .parameter_count = 1};
    int64_t shape[] = {1};
    fr_tensor *value = fr_tensor_create(FR_F32, 1, shape, FR_MEMORY_WEIGHTS);
    parameter.value = value;
    value->requires_grad = true;
    value->grad = fr_tensor_create(FR_F32, 1, shape, FR_MEMORY_GRADIENTS);
    fr_gradient_tree tree;
    assert_int_equal(fr_gradient_tree_init(&tree, &model, 7, NULL), FR_OK);
    assert_int_equal(tree.levels, 3);
    for (int repeat = 0; repeat < 2; repeat++) {
        for (int i = 0; i < 7; i++) {
            *(float *)fr_tensor_host(value->grad) = numbers[i];
            fr_gradient_tree_add(&tree, i, 7);
        }
        volatile float ab = numbers[0] + numbers[1], cd = numbers[2] + numbers[3],
                       ef = numbers[4] + numbers[5];
        volatile float abcd = ab + cd, efg = ef + numbers[6];
        volatile float all = abcd + efg;
        assert_true(*(float *)fr_tensor_host(value->grad) == all);
        assert_int_equal(tree.occupied, 0);
    }
    fr_gradient_tree_free(&tree);
    fr_tensor_free(value->grad);
    value->grad = NULL;
    fr_tensor_free(value);
    assert_int_equal(fr_gradient_tree_levels(1), 0);
    assert_int_equal(fr_gradient_tree_levels(2), 1);
    assert_int_equal(fr_gradient_tree_levels(8), 3);
    assert_int_equal(fr_gradient_tree_levels(9), 4);
}

static void test_accumulated_micro_batches_are_one_batch(void **state)
{
    (void)state;
    const char *const parts[] = {"train.micro_batch=2", "train.accumulation=4", "train.steps=5",
                                 "optimizer.kind=sgd", NULL};
    const char *const one[] = {"train.micro_batch=8", "train.accumulation=1", "train.steps=5",
                               "optimizer.kind=sgd", NULL};
    char *a = run_folder("accumulated"), *b = run_folder("at-once");
    fr_train_result ra, rb;
    train_well(a, false, parts, &ra);
    train_well(b, false, one, &rb);
    assert_true(fabs(ra.loss - rb.loss) < 1e-5 * rb.loss);
    fr_free(a);
    fr_free(b);
}

/* ---- memory ---- */

static fr_trainer *begin(const char *run, const char *const *words)
{
    fr_error error = {0};
    fr_trainer *trainer = NULL;
    fr_recipe *recipe = fixture_recipe(folder, words);
    fr_run_options options = {.folder = run};
    if (fr_trainer_create(&trainer, recipe, &options, &error) != FR_OK)
        fail_msg("%s", error.message);
    fr_recipe_free(recipe);
    return trainer;
}

static void step(fr_trainer *trainer)
{
    fr_error error = {0};
    bool more;
    if (fr_trainer_step(trainer, &more, &error) != FR_OK)
        fail_msg("%s", error.message);
}

static void test_a_step_in_the_steady_state_allocates_nothing(void **state)
{
    (void)state;
    static const char *const optimizers[] = {"optimizer.kind=adamw", "optimizer.kind=sgd",
                                             "optimizer.kind=muon"};
    for (int i = 0; i < 3; i++) {
        const char *const words[] = {
            optimizers[i],           "train.steps=100",          "train.log_every=1000",
            "train.eval_every=1000", "train.checkpoint_every=0", NULL};
        char *name = fr_format("steady-%d", i), *run = run_folder(name);
        fr_trainer *trainer = begin(run, words);
        for (int warm = 0; warm < 3; warm++)
            step(trainer);
        uint64_t before = fr_allocation_count();
        for (int k = 0; k < 20; k++)
            step(trainer);
        assert_int_equal(fr_allocation_count(), before);
        fr_trainer_destroy(trainer);
        fr_free(name);
        fr_free(run);
    }
}

static void assert_within(size_t planned, size_t used, const char *kind)
{
    double ratio = (double)planned / (double)used;
    if (!(ratio > 0.98 && ratio < 1.02))
        fail_msg("%s: planned %zu, used %zu", kind, planned, used);
}

static void check_plan(const char *name, const char *const *words)
{
    size_t before[FR_MEMORY_KINDS];
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        before[kind] = fr_memory_now((fr_memory_kind)kind);
    char *run = run_folder(name);
    fr_error error = {0};
    fr_train_plan plan;
    fr_recipe *recipe = fixture_recipe(folder, words);
    if (fr_train_plan_make(recipe, 0, &plan, &error) != FR_OK)
        fail_msg("%s", error.message);
    fr_recipe_free(recipe);
    fr_free(fr_alloc(64 << 20, FR_MEMORY_ACTIVATIONS)); /* what came before a run is not its own */
    fr_trainer *trainer = begin(run, words);
    for (int i = 0; i < 3; i++)
        step(trainer);
    assert_int_equal(plan.tokens_per_step, trainer->last.tokens);
    assert_true(fabs(plan.flops_per_step / trainer->last.flops - 1) < 1e-9);
    const fr_memory_kind exact[] = {FR_MEMORY_WEIGHTS, FR_MEMORY_GRADIENTS, FR_MEMORY_OPTIMIZER};
    for (int i = 0; i < 3; i++)
        assert_within(plan.bytes[exact[i]], fr_memory_now(exact[i]) - before[exact[i]],
                      fr_memory_kind_name(exact[i]));
    error = (fr_error){0};
    if (fr_trainer_save(trainer, &error) != FR_OK)
        fail_msg("%s", error.message);
    size_t on_disk;
    fr_free(fixture_read(run, "checkpoints/step-00000003/state.safetensors", &on_disk));
    assert_within(plan.checkpoint_bytes, on_disk, "checkpoint");
    /* What the tapes used, and what the process held for them. */
    const struct fr_trainer_own *own = trainer->own;
    assert_within(plan.bytes[FR_MEMORY_ACTIVATIONS],
                  fr_tape_peak_bytes(own->tape) + fr_tape_peak_bytes(own->evaluation_tape),
                  "tapes");
    assert_within(plan.bytes[FR_MEMORY_ACTIVATIONS],
                  fr_memory_peak(FR_MEMORY_ACTIVATIONS) - before[FR_MEMORY_ACTIVATIONS],
                  "activations");
    fr_trainer_destroy(trainer);
    fr_free(run);
}

static void test_the_plan_is_what_a_run_uses(void **state)
{
    (void)state;
    const char *const big[] = {"model.hidden_size=64",      "model.intermediate_size=192",
                               "model.num_hidden_layers=3", "train.micro_batch=8",
                               "train.length=64",           "train.accumulation=1",
                               "train.eval_every=2",        NULL};
    const char *const accumulating[] = {"train.accumulation=4", "optimizer.kind=muon",
                                        "train.eval_every=2",   "model.hidden_size=64",
                                        "train.micro_batch=8",  NULL};
    const char *const recomputing[] = {"train.recompute=true", "model.num_hidden_layers=6",
                                       "train.eval_every=2",   "model.hidden_size=64",
                                       "train.micro_batch=8",  NULL};
    check_plan("plan-big", big);
    check_plan("plan-accumulating", accumulating);
    check_plan("plan-recomputing", recomputing);
}

static void test_a_run_that_cannot_fit_is_refused_before_it_begins(void **state)
{
    (void)state;
    const char *const words[] = {"model.hidden_size=65536", "model.intermediate_size=262144",
                                 "model.num_hidden_layers=100", NULL};
    char *run = run_folder("too-large");
    fr_error error = {0};
    assert_int_equal(train(run, false, 0, words, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "needs"));
    assert_non_null(strstr(error.message, "optimizer"));
    assert_false(fr_path_exists(run));
    fr_free(run);
}

/* ---- refusals ---- */

static void test_an_existing_run_is_not_begun_again(void **state)
{
    (void)state;
    char *run = run_folder("twice");
    fr_error error = {0};
    train_well(run, false, NULL, NULL);
    assert_int_equal(train(run, false, 0, NULL, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "--resume"));
    fr_free(run);
}

static void test_another_recipe_does_not_go_on_but_a_longer_one_does(void **state)
{
    (void)state;
    const char *const faster[] = {"optimizer.lr=0.5", NULL}, *const longer[] = {"train.steps=15",
                                                                                NULL};
    char *run = run_folder("changed");
    fr_error error = {0};
    fr_train_result result;
    train_well(run, false, NULL, NULL);
    assert_int_equal(train(run, true, 0, faster, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "lr: 0.5"));
    assert_non_null(strstr(error.message, "lr: 0.01"));
    train_well(run, true, longer, &result);
    assert_int_equal(result.step, 15);
    fr_free(run);
}

static void test_a_recipe_without_an_end_is_refused(void **state)
{
    (void)state;
    const char *const words[] = {"train.steps=0", NULL};
    char *run = run_folder("endless");
    fr_error error = {0};
    assert_int_equal(train(run, false, 0, words, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "train.steps"));
    fr_free(run);
}

static void test_ids_outside_the_vocabulary_are_refused(void **state)
{
    (void)state;
    const char *const words[] = {"model.vocab_size=40", NULL};
    char *run = run_folder("vocabulary");
    fr_error error = {0};
    assert_int_equal(train(run, false, 0, words, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "63"));
    assert_non_null(strstr(error.message, "40"));
    fr_free(run);
}

/* ---- damage ---- */

static int warnings;
static void count_warning(void *context, fr_log_level level, const char *message)
{
    (void)context;
    warnings += level == FR_LOG_WARNING && strstr(message, "passed over") != NULL;
}

static void flip_a_bit(const char *run, const char *name, double where)
{
    size_t size;
    char *data = fixture_read(run, name, &size), *path = fr_path_join(run, name);
    data[(size_t)(where * (double)size)] ^= 4;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
    fr_free(data);
    fr_free(path);
}

static void test_a_damaged_checkpoint_is_passed_over_with_a_warning(void **state)
{
    (void)state;
    static const char *const damaged[] = {"state.safetensors", "state.json"};
    char *whole = run_folder("undamaged");
    train_well(whole, false, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        char *name = fr_format("damaged-%d", i), *run = run_folder(name);
        char *file = fr_format("checkpoints/step-00000008/%s", damaged[i]);
        fr_error error = {0};
        assert_int_equal(train(run, false, 8, NULL, NULL, &error), FR_INTERRUPTED);
        flip_a_bit(run, file, 0.7);
        warnings = 0;
        fr_log_to(count_warning, NULL);
        train_well(run, true, NULL, NULL);
        fr_log_to(NULL, NULL);
        assert_int_equal(warnings, 1);
        assert_same_run(whole, run);
        fr_free(file);
        fr_free(name);
        fr_free(run);
    }
    fr_free(whole);
}

static void test_a_loss_that_is_not_finite_says_where_it_began(void **state)
{
    (void)state;
    const char *const words[] = {"train.checkpoint_every=2", NULL};
    char *run = run_folder("not-finite");
    fr_error error = {0};
    fr_trainer *trainer = begin(run, words);
    for (int i = 0; i < 3; i++)
        step(trainer);
    fr_parameter *weight =
        fr_model_parameter(trainer->model, "model.layers.1.mlp.down_proj.weight");
    assert_non_null(weight);
    *(float *)fr_tensor_host(weight->value) = INFINITY;
    bool more;
    assert_int_equal(fr_trainer_step(trainer, &more, &error), FR_NUMERIC);
    assert_non_null(strstr(error.message, "step 4"));
    assert_non_null(strstr(error.message, "micro-batch 9"));
    assert_non_null(strstr(error.message, "layers.1"));
    assert_null(strstr(error.message, "layers.0"));
    assert_non_null(strstr(error.message, "step-00000002"));
    assert_false(exists(run, "checkpoints/step-00000004"));
    fr_trainer_destroy(trainer);
    fr_free(run);
}

static void test_a_gradient_that_is_not_finite_names_its_parameter(void **state)
{
    (void)state;
    char *run = run_folder("not-finite-gradient");
    fr_error error = {0};
    fr_trainer *trainer = begin(run, NULL);
    step(trainer);
    trainer->last.loss = 1;
    trainer->last.gradient_norm = NAN;
    fr_parameter *norm = fr_model_parameter(trainer->model, "model.norm.weight");
    *(float *)fr_tensor_host(norm->value->grad) = NAN;
    assert_int_equal(fr_hooks_fire(trainer, FR_GRADIENTS, &error), FR_NUMERIC);
    assert_non_null(strstr(error.message, "model.norm.weight"));
    fr_trainer_destroy(trainer);
    fr_free(run);
}

/* ---- phases, time, early stop ---- */

static void test_phases_follow_one_another_with_their_own_settings(void **state)
{
    (void)state;
    const char *const words[] = {"train.steps=0",
                                 "phases=[{name: short, steps: 4, length: 16}, {name: long, "
                                 "tokens: 1536, lr_multiplier: 0.5}]",
                                 NULL};
    char *whole = run_folder("phases"), *run = run_folder("phases-broken");
    fr_train_result result;
    train_well(whole, false, words, &result);
    assert_int_equal(result.step, 4 + 4);
    assert_int_equal(result.tokens, 4 * 3 * 4 * 16 + 1536);
    for (int64_t k = 3; k < 6; k++) {
        fr_error error = {0};
        assert_int_equal(train(run, false, k, words, NULL, &error), FR_INTERRUPTED);
        train_well(run, true, words, NULL);
        assert_same_run(whole, run);
        assert_int_equal(fr_folder_remove(run, NULL), FR_OK);
    }
    fr_free(whole);
    fr_free(run);
}

static void test_a_timed_run_ends_in_its_time(void **state)
{
    (void)state;
    const char *const words[] = {"train.steps=0", "train.seconds=1.5", "train.log_every=1", NULL};
    char *run = run_folder("timed");
    fr_train_result result;
    double begin_seconds = fr_seconds();
    train_well(run, false, words, &result);
    double seconds = fr_seconds() - begin_seconds;
    assert_string_equal(result.stopped_by, "seconds");
    assert_true(seconds > 0.8 * 1.5 && seconds < 1.3 * 1.5);
    /* The schedule has followed the clock down to its final factor of 0.1. */
    char *losses = fixture_losses(run), *rate = NULL;
    for (char *next = losses; (next = strstr(next, "\"lr\": ")); next++)
        rate = next;
    assert_non_null(rate);
    assert_true(strtod(rate + strlen("\"lr\": "), NULL) < 0.2 * 1e-2);
    fr_free(losses);
    fr_free(run);
}

static void test_patience_ends_a_run_that_no_longer_improves(void **state)
{
    (void)state;
    const char *const words[] = {"optimizer.lr=0", "train.steps=1000", "train.patience=2",
                                 "train.eval_every=3", NULL};
    char *run = run_folder("patience");
    fr_train_result result;
    train_well(run, false, words, &result);
    assert_string_equal(result.stopped_by, "patience");
    assert_int_equal(result.step, 9);
    assert_int_equal(result.best_step, 3);
    fr_free(run);
}

static void test_the_best_weights_become_the_model_when_asked(void **state)
{
    (void)state;
    /* No later evaluation is a hundred nats better, so the first stays the best; a constant rate makes both runs begin alike. */
    const char *const best[] = {"schedule.kind=constant",   "schedule.warmup=0",
                                "train.steps=20",           "train.min_improvement=100",
                                "train.final_weights=best", NULL};
    const char *const brief[] = {"schedule.kind=constant", "schedule.warmup=0", "train.steps=5",
                                 NULL};
    char *a = run_folder("best"), *b = run_folder("brief");
    fr_train_result result;
    train_well(a, false, best, &result);
    train_well(b, false, brief, NULL);
    assert_int_equal(result.best_step, 5);
    assert_true(exists(a, "checkpoints/step-00000005"));
    size_t size_a, size_b;
    char *model_a = fixture_read(a, "model/model.safetensors", &size_a);
    char *model_b = fixture_read(b, "model/model.safetensors", &size_b);
    assert_int_equal(size_a, size_b);
    assert_memory_equal(model_a, model_b, size_a);
    fr_free(model_a);
    fr_free(model_b);
    fr_free(a);
    fr_free(b);
}

static void test_old_checkpoints_go_and_the_last_and_best_stay(void **state)
{
    (void)state;
    const char *const words[] = {"train.checkpoint_every=1", "train.keep_last=2",
                                 "train.min_improvement=100", NULL};
    char *run = run_folder("kept");
    train_well(run, false, words, NULL);
    for (int i = 1; i <= 12; i++) {
        char *name = fr_format("checkpoints/step-%08d", i);
        assert_int_equal(exists(run, name), i == 5 || i >= 11);
        fr_free(name);
    }
    fr_free(run);
}

/* ---- hooks ---- */

static size_t count_lines(const char *run, const char *name)
{
    size_t size, lines = 0;
    char *text = fixture_read(run, name, &size);
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    fr_free(text);
    return lines;
}

static void test_samples_are_written_at_each_evaluation_and_once_after_a_resume(void **state)
{
    (void)state;
    fr_tokenizer *bytes = NULL;
    char *tokenizer = run_folder("bytes"), *word = fr_format("data.tokenizer=%s", tokenizer);
    assert_int_equal(fr_tokenizer_create_bytes(&bytes, NULL), FR_OK);
    assert_int_equal(fr_folder_create(tokenizer, NULL), FR_OK);
    assert_int_equal(fr_tokenizer_save(bytes, tokenizer, 64, NULL), FR_OK);
    fr_tokenizer_free(bytes);
    const char *const words[] = {word, "model.vocab_size=0",
                                 "hooks=[{kind: samples, prompts: [a, b], max_tokens: 5}]", NULL};
    char *run = run_folder("samples");
    fr_error error = {0};
    assert_int_equal(train(run, false, 7, words, NULL, &error), FR_INTERRUPTED);
    assert_int_equal(count_lines(run, "samples.jsonl"), 2);
    train_well(run, true, words, NULL);
    assert_int_equal(count_lines(run, "samples.jsonl"), 6); /* 2 prompts at steps 5, 10, 12 */
    assert_true(exists(run, "model/tokenizer.json"));
    fr_free(word);
    fr_free(tokenizer);
    fr_free(run);
}

static void test_hooks_that_are_always_there_are_not_named_again(void **state)
{
    (void)state;
    const char *const words[] = {"hooks=[{kind: metrics}]", NULL}, *const typo[] = {
                                                                       "hooks=[{kind: sample}]",
                                                                       NULL};
    char *run = run_folder("hooks");
    fr_error error = {0};
    assert_int_equal(train(run, false, 0, words, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "metrics"));
    assert_int_equal(train(run, false, 0, typo, NULL, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "samples"));
    fr_free(run);
}

static void test_a_later_phase_without_its_shard_is_refused_at_the_start(void **state)
{
    (void)state;
    const char *const words[] = {"phases=[{steps: 4}, {steps: 4, train: /missing/shard}]", NULL};
    char *run = run_folder("missing-shard");
    fr_error error = {0};
    assert_int_not_equal(train(run, false, 0, words, NULL, &error), FR_OK);
    assert_non_null(strstr(error.message, "/missing/shard"));
    assert_false(fr_path_exists(run));
    fr_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_learns_and_leaves_its_files),
        cmocka_unit_test(test_the_resolved_recipe_is_the_same_recipe),
        cmocka_unit_test(test_resume_at_every_step_gives_the_same_bits),
        cmocka_unit_test(test_resume_from_an_older_checkpoint_gives_the_same_bits),
        cmocka_unit_test(test_one_and_two_threads_give_the_same_bits),
        cmocka_unit_test(test_documents_apart_resume_to_the_same_bits),
        cmocka_unit_test(test_runs_by_tokens_and_by_flops_resume_to_the_same_bits),
        cmocka_unit_test(test_gradients_add_in_a_fixed_tree),
        cmocka_unit_test(test_accumulated_micro_batches_are_one_batch),
        cmocka_unit_test(test_a_step_in_the_steady_state_allocates_nothing),
        cmocka_unit_test(test_the_plan_is_what_a_run_uses),
        cmocka_unit_test(test_a_run_that_cannot_fit_is_refused_before_it_begins),
        cmocka_unit_test(test_an_existing_run_is_not_begun_again),
        cmocka_unit_test(test_another_recipe_does_not_go_on_but_a_longer_one_does),
        cmocka_unit_test(test_a_recipe_without_an_end_is_refused),
        cmocka_unit_test(test_ids_outside_the_vocabulary_are_refused),
        cmocka_unit_test(test_a_damaged_checkpoint_is_passed_over_with_a_warning),
        cmocka_unit_test(test_a_loss_that_is_not_finite_says_where_it_began),
        cmocka_unit_test(test_a_gradient_that_is_not_finite_names_its_parameter),
        cmocka_unit_test(test_phases_follow_one_another_with_their_own_settings),
        cmocka_unit_test(test_a_timed_run_ends_in_its_time),
        cmocka_unit_test(test_patience_ends_a_run_that_no_longer_improves),
        cmocka_unit_test(test_the_best_weights_become_the_model_when_asked),
        cmocka_unit_test(test_old_checkpoints_go_and_the_last_and_best_stay),
        cmocka_unit_test(test_samples_are_written_at_each_evaluation_and_once_after_a_resume),
        cmocka_unit_test(test_hooks_that_are_always_there_are_not_named_again),
        cmocka_unit_test(test_a_later_phase_without_its_shard_is_refused_at_the_start),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
