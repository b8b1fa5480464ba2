/* test_peer_models.c: every model family computes what transformers computes from the same folder:
   logits, hidden states and the gradient of the mean cross-entropy of every parameter. The folders
   are made by tests/fixtures/make_models.py. And what our own writer wrote is what the peer
   reads. */
#include "frugal/formats.h"
#include "frugal/model.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES "tests/fixtures/"

typedef struct example {
    fr_model *model;
    fr_tape *tape;
    fr_safetensors *expected;
    fr_batch batch;
    fr_tensor *tapped; /* layers.0.out */
    float *copy;
} example;

static void must(fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s", error->message);
}

static fr_tensor *expected_ids(const example *e, const char *name)
{
    const fr_safetensors_entry *entry = fr_safetensors_find(e->expected, name);
    assert_non_null(entry);
    return fr_tape_input(e->tape, entry->dtype, entry->rank, entry->shape, entry->data);
}

static void observe(void *context, const char *name, const fr_tensor *value)
{
    example *e = context;
    (void)name;
    free(e->copy);
    e->copy = malloc(fr_tensor_bytes(value));
    memcpy(e->copy, fr_tensor_host(value), fr_tensor_bytes(value));
}

/* FIXTURES name */
static example open_example(const char *name)
{
    example e = {0};
    fr_error error = {0};
    char folder[128], path[192];
    snprintf(folder, sizeof folder, FIXTURES "%s", name);
    snprintf(path, sizeof path, "%s/expected.safetensors", folder);
    must(fr_model_load(&e.model, folder, &error), &error);
    must(fr_model_create_gradients(e.model, &error), &error);
    must(fr_safetensors_open(&e.expected, path, &error), &error);
    e.tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_TRAIN}, &error);
    assert_non_null(e.tape);
    e.batch.ids = expected_ids(&e, "ids");
    return e;
}

static void close_example(example *e)
{
    free(e->copy);
    fr_tape_destroy(e->tape);
    fr_model_destroy(e->model);
    fr_safetensors_close(e->expected);
}

/* The largest difference, as a part of the largest expected number. Transposed: the file's matrix
   is (columns, rows) of ours. */
static double difference(const float *found, const fr_safetensors_entry *entry, bool transposed)
{
    const float *expected = entry->data;
    int64_t rows = transposed ? entry->shape[0] : 1,
            count = (int64_t)(entry->bytes / sizeof(float));
    int64_t columns = count / rows;
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double wanted = expected[i * columns + j];
            worst = fmax(worst, fabs(found[transposed ? j * rows + i : i * columns + j] - wanted));
            largest = fmax(largest, fabs(wanted));
        }
    return worst / largest;
}

static void check(const example *e, const char *name, const float *found, bool transposed,
                  double limit)
{
    const fr_safetensors_entry *entry = fr_safetensors_find(e->expected, name);
    if (!entry)
        fail_msg("the fixture has no %s", name);
    double error = difference(found, entry, transposed);
    if (!(error <= limit))
        fail_msg("%s differs by %g of its largest value; at most %g is right", name, error, limit);
}

static int64_t target_count(const example *e)
{
    const int32_t *targets = fr_tensor_host(e->batch.targets);
    int64_t count = 0;
    for (int64_t i = 0; i < fr_tensor_count(e->batch.targets); i++)
        count += targets[i] != FR_IGNORE;
    return count;
}

static void check_gradients(const example *e)
{
    for (size_t i = 0; i < e->model->parameter_count; i++) {
        const fr_parameter *parameter = e->model->parameters[i];
        char name[160];
        snprintf(name, sizeof name, "gradient.%s", parameter->name);
        bool transposed =
            e->model->kind->stored_transposed && e->model->kind->stored_transposed(parameter);
        check(e, name, fr_tensor_host(parameter->value->grad), transposed, 1e-4);
    }
}

static void compare(const char *name, bool recompute)
{
    example e = open_example(name);
    fr_error error = {0};
    e.model->recompute = recompute;
    e.batch.targets = expected_ids(&e, "targets");
    must(fr_tape_observe(e.tape, "layers.0.out", observe, &e, &error), &error);
    fr_tensor *hidden = fr_model_hidden(e.model, e.tape, &e.batch, NULL);
    fr_tensor *logits = fr_linear(e.tape, hidden, e.model->output->value, NULL);
    fr_tensor *loss = fr_cross_entropy(e.tape, logits, e.batch.targets, NULL,
                                       1.0f / (float)target_count(&e), NULL);
    must(fr_tape_check(e.tape, &error), &error);
    check(&e, "hidden", fr_tensor_host(hidden), false, 1e-5);
    check(&e, "logits", fr_tensor_host(logits), false, 1e-5);
    assert_non_null(e.copy);
    check(&e, "layer_0", e.copy, false, 1e-5);
    must(fr_tape_backward(e.tape, loss, 1, &error), &error);
    check_gradients(&e);
    close_example(&e);
}

static void test_model_equals_the_peer(void **state)
{
    compare(*state, false);
}

static void test_recomputed_model_equals_the_peer(void **state)
{
    compare(*state, true);
}

/* ---- what our writer wrote (read_written.py: transformers loads it as it is) ---- */

static void same_file(const char *name, const char *file, const char *folder)
{
    char path[300], again[300];
    snprintf(path, sizeof path, FIXTURES "%s/%s", name, file);
    snprintf(again, sizeof again, "%s/%s", folder, file);
    uint64_t a = 0, b = 1;
    must(fr_file_hash(path, &a, NULL), NULL);
    must(fr_file_hash(again, &b, NULL), NULL);
    if (a != b)
        fail_msg("%s of %s is written otherwise than before", file, name);
}

static void test_what_we_wrote_the_peer_reads_alike(void **state)
{
    const char *name = *state;
    example e = open_example(name);
    fr_error error = {0};
    fr_tensor *hidden = fr_model_hidden(e.model, e.tape, &e.batch, NULL);
    fr_tensor *logits = fr_linear(e.tape, hidden, e.model->output->value, NULL);
    must(fr_tape_check(e.tape, &error), &error);
    check(&e, "hidden", fr_tensor_host(hidden), false, 1e-5);
    check(&e, "logits", fr_tensor_host(logits), false, 1e-5);
    char folder[256];
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/frugal-written-XXXXXX", base ? base : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    fr_dtype dtype = strstr(name, "qwen3") ? FR_BF16 : FR_F32;
    must(fr_model_save(e.model, folder, dtype, &error), &error);
    same_file(name, "model.safetensors", folder);
    same_file(name, "config.json", folder);
    same_file(name, "generation_config.json", folder);
    must(fr_folder_remove(folder, &error), &error);
    close_example(&e);
}

#define MODEL(name)                                                                                \
    cmocka_unit_test_prestate(test_model_equals_the_peer, name),                                   \
        cmocka_unit_test_prestate(test_recomputed_model_equals_the_peer, name)

int main(void)
{
    static char gpt2[] = "models/gpt2", gpt2_variant[] = "models/gpt2-variant",
                llama[] = "models/llama", llama_biases[] = "models/llama-biases",
                mistral[] = "models/mistral", qwen2[] = "models/qwen2", qwen3[] = "models/qwen3",
                written_gpt2[] = "written/gpt2", written_qwen3[] = "written/qwen3";
    const struct CMUnitTest tests[] = {
        MODEL(gpt2),
        MODEL(gpt2_variant),
        MODEL(llama),
        MODEL(llama_biases),
        MODEL(mistral),
        MODEL(qwen2),
        MODEL(qwen3),
        cmocka_unit_test_prestate(test_what_we_wrote_the_peer_reads_alike, written_gpt2),
        cmocka_unit_test_prestate(test_what_we_wrote_the_peer_reads_alike, written_qwen3),
    };
    return cmocka_run_group_tests_name("models against the peer", tests, NULL, NULL);
}
