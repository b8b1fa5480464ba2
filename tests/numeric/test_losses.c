/* test_losses.c: the loss of every objective and its gradients, on the tiny models of tests/fixtures/families, equal what
   transformers' classes compute of the same batch (tests/fixtures/make_losses.py). */
#include "frugal/formats.h"
#include "frugal/operators.h"
#include "frugal/train.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <string.h>

#define FIXTURES "tests/fixtures/"
static fr_error error;

static void must(fr_status status)
{
    if (status != FR_OK)
        fail_msg("%s", error.message);
}

/* ---- the batch ---- */

static fr_tensor *from_file(fr_tape *tape, const fr_safetensors *file, const char *name)
{
    const fr_safetensors_entry *e = fr_safetensors_find(file, name);
    return e ? fr_tape_input(tape, e->dtype, e->rank, e->shape, e->data) : NULL;
}

/* A list, or a list of lists, of whole numbers or of reals. */
static fr_tensor *from_json(fr_tape *tape, const json_t *list)
{
    if (!list)
        return NULL;
    bool table = json_is_array(json_array_get(list, 0));
    int64_t columns = table ? (int64_t)json_array_size(json_array_get(list, 0)) : 1;
    const int64_t shape[] = {(int64_t)json_array_size(list), columns};
    const json_t *first =
        table ? json_array_get(json_array_get(list, 0), 0) : json_array_get(list, 0);
    fr_dtype dtype = json_is_real(first) ? FR_F32 : FR_I32;
    fr_tensor *out = fr_tape_tensor(tape, dtype, table ? 2 : 1, shape);
    for (int64_t i = 0; i < shape[0] * columns; i++) {
        const json_t *row = json_array_get(list, (size_t)(i / columns));
        const json_t *item = table ? json_array_get(row, (size_t)(i % columns)) : row;
        if (dtype == FR_F32)
            ((float *)fr_tensor_host(out))[i] = (float)json_number_value(item);
        else
            ((int32_t *)fr_tensor_host(out))[i] = (int32_t)json_integer_value(item);
    }
    return out;
}

static fr_batch batch_of(fr_tape *tape, const fr_safetensors *file, const json_t *c)
{
    fr_batch batch = {.ids = from_file(tape, file, "input.ids"),
                      .lengths = from_file(tape, file, "input.lengths"),
                      .types = from_file(tape, file, "input.types"),
                      .pixels = from_file(tape, file, "input.pixels"),
                      .decoder_ids = from_json(tape, json_object_get(c, "decoder_ids"))};
    const char *objective = json_string_value(json_object_get(c, "objective"));
    fr_tensor *labels = from_json(tape, json_object_get(c, "labels"));
    bool of_tokens = strcmp(objective, "token_classification") == 0 ||
                     strcmp(objective, "masked_lm") == 0 || strcmp(objective, "seq2seq_lm") == 0;
    *(of_tokens ? &batch.targets : &batch.labels) = labels;
    if (json_object_get(c, "scores"))
        batch.labels = from_json(tape, json_object_get(c, "scores"));
    if (json_is_true(json_object_get(c, "halves"))) {
        batch.ids = fr_reshape(tape, batch.ids, 2, (const int64_t[]){4, -1});
        batch.lengths = NULL;
    }
    return batch;
}

/* What transformers takes the mean over. */
static int64_t targets_of(const fr_batch *batch)
{
    int64_t count = 0;
    if (!batch->targets)
        return batch->labels ? batch->labels->shape[0] : batch->ids->shape[0] / 2;
    const int32_t *targets = fr_tensor_host(batch->targets);
    for (int64_t i = 0; i < fr_tensor_count(batch->targets); i++)
        count += targets[i] != FR_IGNORE;
    return count;
}

/* ---- one case ---- */

static const json_t *gradient_of(const json_t *c, const fr_model *model, const char *name)
{
    const json_t *all = json_object_get(c, "gradients"), *found = json_object_get(all, name);
    size_t prefix = strlen(model->kind->prefix);
    if (!found && strncmp(name, model->kind->prefix, prefix) == 0)
        found = json_object_get(all, name + prefix);
    if (!found)
        fail_msg("the fixture has no gradient of %s", name);
    return found;
}

static void check_gradients(const json_t *c, const fr_model *model, const char *what)
{
    for (size_t p = 0; p < model->parameter_count; p++) {
        const fr_parameter *parameter = model->parameters[p];
        if (!parameter->value->requires_grad)
            continue;
        const json_t *expected = gradient_of(c, model, parameter->name);
        double norm = json_number_value(json_array_get(expected, 0)),
               sum = json_number_value(json_array_get(expected, 1)), ours = 0, our_sum = 0;
        const float *g = fr_tensor_host(parameter->value->grad);
        for (int64_t i = 0; i < fr_tensor_count(parameter->value); i++) {
            ours += (double)g[i] * g[i];
            our_sum += g[i] * cos((double)i);
        }
        double limit = 1e-4 * norm + 1e-6;
        if (!(fabs(sqrt(ours) - norm) < limit && fabs(our_sum - sum) < limit))
            fail_msg("%s: the gradient of %s has norm %g and sum %g, the peer's %g and %g", what,
                     parameter->name, sqrt(ours), our_sum, norm, sum);
    }
}

static void set_problem(fr_model *model, const char *problem)
{
    for (int i = 0; problem && fr_problem_names[i]; i++)
        if (strcmp(fr_problem_names[i], problem) == 0)
            model->head.problem = (fr_problem)i;
}

static void check_case(const json_t *c)
{
    const char *family = json_string_value(json_object_get(c, "family")),
               *name = json_string_value(json_object_get(c, "objective"));
    const fr_objective_kind *kind =
        (const fr_objective_kind *)fr_registry_find(&fr_objectives, name);
    char *folder = fr_format(FIXTURES "families/%s", family),
         *path = fr_path_join(folder, "expected.safetensors"),
         *what = fr_format("%s, %s", family, name);
    fr_model *model;
    fr_safetensors *file;
    assert_non_null(kind);
    must(fr_model_load(&model, folder, &error));
    must(fr_model_create_gradients(model, &error));
    must(fr_safetensors_open(&file, path, &error));
    set_problem(model, json_string_value(json_object_get(c, "problem")));
    void *options = fr_alloc(kind->base.options.size + 1, FR_MEMORY_OTHER);
    must(fr_options_read(&kind->base.options, options, NULL, false, NULL, &error));
    fr_objective objective = {.kind = kind, .options = options, .model = model};
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_TRAIN}, &error);
    fr_batch batch = batch_of(tape, file, c);
    fr_tensor *loss = kind->loss(&objective, tape, &batch, 1 / (float)targets_of(&batch));
    must(fr_tape_check(tape, &error));
    double expected = json_number_value(json_object_get(c, "loss")),
           found = *(const float *)fr_tensor_host(loss);
    if (!(fabs(found - expected) <= 1e-5 * fabs(expected)))
        fail_msg("%s: the loss is %.8g, the peer's %.8g", what, found, expected);
    must(fr_tape_backward(tape, loss, 1, &error));
    if (json_object_get(c, "gradients"))
        check_gradients(c, model, what);
    fr_options_free(&kind->base.options, options);
    fr_free(options);
    fr_tape_destroy(tape);
    fr_safetensors_close(file);
    fr_model_destroy(model);
    fr_free(what);
    fr_free(path);
    fr_free(folder);
}

static void test_losses_and_gradients_are_the_peers(void **state)
{
    (void)state;
    json_t *file;
    must(fr_json_load(&file, FIXTURES "losses.json", &error));
    const json_t *cases = json_object_get(file, "cases");
    assert_true(json_array_size(cases) > 10);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i));
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_and_gradients_are_the_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
