/* test_peer_trajectory.c: a hundred steps of training follow PyTorch's losses: the model, the loss,
   the gradients, clipping and AdamW together. tests/fixtures/make_trajectory.py makes the losses
   from the same folders, and says the recipe and the formula of the ids. */
#include "frugal/model.h"
#include "frugal/train.h"
#include "optim/optim.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 100, ROWS = 4, LENGTH = 12, VOCABULARY = 32 };

static int32_t token(int step, int row, int place)
{
    int turned = place > 6 ? place - 6 : 0;
    return (7 * step + 11 * row + 3 * place + 2 * turned) % VOCABULARY;
}

static void must(fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s", error->message);
}

static double number(const json_t *recipe, const char *name)
{
    const json_t *value = json_object_get(recipe, name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static fr_optimizer *make_optimizer(const fr_model *model, const json_t *recipe)
{
    const fr_optimizer_kind *kind =
        (const fr_optimizer_kind *)fr_registry_find(&fr_optimizers, "adamw");
    fr_adamw_options *options = fr_alloc(sizeof *options, FR_MEMORY_OTHER);
    kind->base.options.defaults(options);
    options->common.lr = number(recipe, "lr");
    options->common.weight_decay = number(recipe, "weight_decay");
    options->beta1 = number(recipe, "beta1");
    options->beta2 = number(recipe, "beta2");
    options->eps = number(recipe, "eps");
    fr_optimizer *optimizer;
    fr_error error = {0};
    must(fr_optimizer_create(&optimizer, kind, options, model, NULL, 0, &error), &error);
    return optimizer;
}

/* Forward and backward of one step; the loss before the update. */
static double learn(fr_model *model, fr_tape *tape, int step)
{
    const int64_t shape[] = {ROWS, LENGTH};
    int32_t ids[ROWS * LENGTH], targets[ROWS * LENGTH];
    for (int row = 0; row < ROWS; row++)
        for (int place = 0; place < LENGTH; place++) {
            ids[row * LENGTH + place] = token(step, row, place);
            targets[row * LENGTH + place] = token(step, row, place + 1);
        }
    fr_error error = {0};
    fr_tape_reset(tape, (uint64_t)step);
    fr_model_zero_gradients(model);
    fr_batch batch = {.ids = fr_tape_input(tape, FR_I32, 2, shape, ids),
                      .targets = fr_tape_input(tape, FR_I32, 2, shape, targets)};
    fr_tensor *hidden = fr_model_hidden(model, tape, &batch, NULL);
    fr_tensor *loss =
        fr_linear_cross_entropy(tape, hidden, model->output->value, NULL, batch.targets, NULL,
                                1.0f / (float)(ROWS * LENGTH), NULL);
    must(fr_tape_check(tape, &error), &error);
    must(fr_tape_backward(tape, loss, 1, &error), &error);
    return *(float *)fr_tensor_host(loss);
}

static void update(fr_model *model, fr_optimizer *optimizer, const json_t *recipe, int step)
{
    double norm = fr_gradient_norm(model), limit = number(recipe, "clip");
    double scale = norm > limit ? limit / (norm + 1e-6) : 1; /* as PyTorch divides */
    double factor = fmin(1, (step + 1) / number(recipe, "warm_up"));
    fr_error error = {0};
    must(fr_optimizer_step(optimizer, factor, scale, step + 1, &error), &error);
}

static void test_training_follows_the_peer(void **state)
{
    const char *name = *state;
    char folder[128];
    snprintf(folder, sizeof folder, "tests/fixtures/models/%s", name);
    json_t *fixture = json_load_file("tests/fixtures/trajectory.json", 0, NULL);
    assert_non_null(fixture);
    const json_t *recipe = json_object_get(fixture, "recipe");
    const json_t *losses = json_object_get(json_object_get(fixture, "losses"), name);
    assert_int_equal(json_array_size(losses), STEPS);

    fr_model *model;
    fr_error error = {0};
    must(fr_model_load(&model, folder, &error), &error);
    must(fr_model_create_gradients(model, &error), &error);
    fr_tape *tape =
        fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_TRAIN, .training = true}, &error);
    assert_non_null(tape);
    fr_optimizer *optimizer = make_optimizer(model, recipe);
    double worst = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        double expected = json_number_value(json_array_get(losses, (size_t)step));
        last = learn(model, tape, step);
        double difference = fabs(last - expected) / expected;
        worst = fmax(worst, difference);
        if (!(difference <= 1e-4))
            fail_msg("step %d: loss %.7g, the peer has %.7g", step, last, expected);
        update(model, optimizer, recipe, step);
    }
    print_message("%s: largest relative difference %.2g, last loss %.3f\n", name, worst, last);
    fr_optimizer_destroy(optimizer);
    fr_tape_destroy(tape);
    fr_model_destroy(model);
    json_decref(fixture);
}

int main(void)
{
    static char gpt2[] = "gpt2", llama[] = "llama";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_training_follows_the_peer, gpt2),
        cmocka_unit_test_prestate(test_training_follows_the_peer, llama),
    };
    return cmocka_run_group_tests_name("trajectories against the peer", tests, NULL, NULL);
}
