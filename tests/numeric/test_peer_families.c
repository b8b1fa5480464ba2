/* test_peer_families.c: every folder in tests/fixtures/families (made by tests/fixtures/peer/make.py)
   computes what transformers computes from it: all outputs of its class, some intermediate results,
   and the gradient of every parameter of L = sum over outputs of <output, upstream>; and what we
   write of it is the same model again. */
#include "frugal/formats.h"
#include "frugal/model.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILIES "tests/fixtures/families/"
enum { MOST_CASES = 512, MOST_NAME = 256 };

typedef struct example {
    fr_model *model;
    fr_tape *tape;
    fr_safetensors *expected;
    fr_batch batch;
    int taps_seen;
} example;

static void must(fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s", error->message);
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
    return worst == 0 ? 0 : worst / largest;
}

/* ---- one folder ---- */

static const fr_safetensors_entry *entry_of(const example *e, const char *what, const char *name)
{
    char full[MOST_NAME];
    snprintf(full, sizeof full, "%s.%s", what, name);
    return fr_safetensors_find(e->expected, full);
}

static fr_tensor *input(const example *e, const char *name)
{
    const fr_safetensors_entry *entry = entry_of(e, "input", name);
    return entry ? fr_tape_input(e->tape, entry->dtype, entry->rank, entry->shape, entry->data)
                 : NULL;
}

static void compare(const fr_safetensors_entry *entry, const fr_tensor *found, bool transposed,
                    double limit)
{
    if (fr_tensor_bytes(found) != entry->bytes)
        fail_msg("%s has %zu bytes, the peer's %zu", entry->name, fr_tensor_bytes(found),
                 entry->bytes);
    double error = difference(fr_tensor_host((fr_tensor *)found), entry, transposed);
    if (!(error <= limit))
        fail_msg("%s differs by %g of its largest value; at most %g is right", entry->name, error,
                 limit);
}

/* The same for a result that has numbers for every token, of which those of padding mean nothing. */
static void compare_tokens(const example *e, const fr_safetensors_entry *entry,
                           const fr_tensor *found)
{
    const fr_tensor *ids = e->batch.ids;
    const int32_t *lengths = e->batch.lengths ? fr_tensor_host(e->batch.lengths) : NULL;
    bool tokens = lengths && ids && entry->rank > 1 && found->rank == entry->rank &&
                  entry->shape[0] == ids->shape[0] && entry->shape[1] == ids->shape[1];
    if (!tokens || fr_tensor_bytes(found) != entry->bytes) {
        compare(entry, found, false, 1e-5);
        return;
    }
    int64_t columns = ids->shape[1], width = fr_tensor_count(found) / (ids->shape[0] * columns);
    float *copy = malloc(entry->bytes);
    assert_non_null(copy);
    memcpy(copy, fr_tensor_host((fr_tensor *)found), entry->bytes);
    for (int64_t b = 0; b < ids->shape[0]; b++) {
        int64_t begin = (b * columns + lengths[b]) * width, end = (b + 1) * columns * width;
        memcpy(copy + begin, (const float *)entry->data + begin,
               (size_t)(end - begin) * sizeof *copy);
    }
    fr_tensor real = *found;
    real.data = copy;
    compare(entry, &real, false, 1e-5);
    free(copy);
}

static void observe(void *context, const char *name, const fr_tensor *value)
{
    example *e = context;
    const fr_safetensors_entry *entry = entry_of(e, "tap", name);
    if (!entry)
        return;
    compare_tokens(e, entry, value);
    e->taps_seen++;
}

static example open_example(const char *folder, const char *fixture, fr_tape_mode mode)
{
    example e = {0};
    fr_error error = {0};
    char path[MOST_NAME];
    snprintf(path, sizeof path, "%s/expected.safetensors", fixture);
    must(fr_model_load(&e.model, folder, &error), &error);
    must(fr_model_create_gradients(e.model, &error), &error);
    must(fr_safetensors_open(&e.expected, path, &error), &error);
    e.tape = fr_tape_create(&(fr_tape_options){.mode = mode}, &error);
    assert_non_null(e.tape);
    e.batch = (fr_batch){.ids = input(&e, "ids"),
                         .lengths = input(&e, "lengths"),
                         .types = input(&e, "types"),
                         .decoder_ids = input(&e, "decoder_ids"),
                         .pixels = input(&e, "pixels")};
    fr_tensor *choices = input(&e, "choices");
    if (choices)
        e.batch.choices = *(int32_t *)fr_tensor_host(choices);
    return e;
}

static void close_example(example *e)
{
    fr_tape_destroy(e->tape);
    fr_model_destroy(e->model);
    fr_safetensors_close(e->expected);
}

/* Compare all outputs; returns L. */
static fr_tensor *check_outputs(const example *e)
{
    fr_outputs outputs;
    fr_error error = {0};
    fr_model_outputs(e->model, e->tape, &e->batch, &outputs);
    must(fr_tape_check(e->tape, &error), &error);
    fr_tensor *total = NULL;
    for (size_t i = 0; i < fr_safetensors_count(e->expected); i++) {
        const fr_safetensors_entry *entry = fr_safetensors_at(e->expected, i);
        if (strncmp(entry->name, "output.", 7) != 0)
            continue;
        const char *name = entry->name + 7;
        fr_tensor *output = fr_outputs_find(&outputs, name);
        if (!output)
            fail_msg("there is no output %s", name);
        compare_tokens(e, entry, output);
        const fr_safetensors_entry *upstream = entry_of(e, "upstream", name);
        fr_tensor *part = fr_multiply(
            e->tape, output,
            fr_tape_input(e->tape, FR_F32, output->rank, output->shape, upstream->data));
        total = total ? fr_add(e->tape, total, fr_sum(e->tape, part)) : fr_sum(e->tape, part);
    }
    return total;
}

/* Gradients that are zero for the peer (unused parameters, biases before a softmax) must be as good as zero for us. */
static void check_gradient(const example *e, const fr_parameter *parameter)
{
    const char *prefix = e->model->kind->prefix;
    const fr_safetensors_entry *entry = entry_of(e, "gradient", parameter->name);
    if (!entry && strncmp(parameter->name, prefix, strlen(prefix)) == 0)
        entry = entry_of(e, "gradient", parameter->name + strlen(prefix));
    if (!entry)
        fail_msg("the fixture has no gradient of %s", parameter->name);
    const float *expected = entry->data, *found = fr_tensor_host(parameter->value->grad);
    double largest = 0, ours = 0;
    for (int64_t i = 0; i < fr_tensor_count(parameter->value); i++) {
        largest = fmax(largest, fabs((double)expected[i]));
        ours = fmax(ours, fabs((double)found[i]));
    }
    if (largest < 1e-4) {
        if (ours > 1e-3)
            fail_msg("the gradient of %s is up to %g, for the peer it is zero", parameter->name,
                     ours);
        return;
    }
    bool transposed =
        e->model->kind->stored_transposed && e->model->kind->stored_transposed(parameter);
    compare(entry, parameter->value->grad, transposed, 1e-4);
}

static void check_all(const char *name, bool recompute)
{
    char folder[MOST_NAME];
    fr_error error = {0};
    snprintf(folder, sizeof folder, FAMILIES "%s", name);
    example e = open_example(folder, folder, FR_TAPE_TRAIN);
    e.model->recompute = recompute;
    must(fr_tape_observe(e.tape, "*", observe, &e, &error), &error);
    fr_tensor *total = check_outputs(&e);
    int taps = 0;
    for (size_t i = 0; i < fr_safetensors_count(e.expected); i++)
        taps += strncmp(fr_safetensors_at(e.expected, i)->name, "tap.", 4) == 0;
    if (taps != e.taps_seen)
        fail_msg("%d of the peer's %d intermediate results were seen", e.taps_seen, taps);
    must(fr_tape_backward(e.tape, total, 1, &error), &error);
    for (size_t i = 0; i < e.model->parameter_count; i++)
        if (e.model->parameters[i]->value->requires_grad)
            check_gradient(&e, e.model->parameters[i]);
    close_example(&e);
}

static void test_family_equals_the_peer(void **state)
{
    check_all(*state, false);
}

static void test_recomputed_family_equals_the_peer(void **state)
{
    check_all(*state, true);
}

static void test_what_we_write_of_it_is_the_same_model(void **state)
{
    char fixture[MOST_NAME], folder[MOST_NAME];
    const char *base = getenv("TMPDIR");
    fr_error error = {0};
    fr_model *model;
    snprintf(fixture, sizeof fixture, FAMILIES "%s", (const char *)*state);
    snprintf(folder, sizeof folder, "%s/frugal-family-XXXXXX", base ? base : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    must(fr_model_load(&model, fixture, &error), &error);
    must(fr_model_save(model, folder, FR_F32, &error), &error);
    fr_model_destroy(model);
    example e = open_example(folder, fixture, FR_TAPE_NO_GRAD);
    check_outputs(&e);
    close_example(&e);
    must(fr_folder_remove(folder, &error), &error);
}

/* ---- all folders ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the folders, sorted. */
static size_t list_cases(char *names[MOST_CASES])
{
    size_t count = 0;
    DIR *folder = opendir(FAMILIES);
    for (struct dirent *entry; folder && (entry = readdir(folder)) && count < MOST_CASES;)
        if (entry->d_name[0] != '.')
            names[count++] = strdup(entry->d_name);
    if (folder)
        closedir(folder);
    qsort(names, count, sizeof *names, by_name);
    return count;
}

int main(void)
{
    static char *names[MOST_CASES], *labels[3 * MOST_CASES];
    static struct CMUnitTest tests[3 * MOST_CASES];
    static const CMUnitTestFunction functions[] = {test_family_equals_the_peer,
                                                   test_recomputed_family_equals_the_peer,
                                                   test_what_we_write_of_it_is_the_same_model};
    static const char *const formats[] = {"%s equals the peer", "%s recomputed equals the peer",
                                          "what we write of %s is the same model"};
    size_t count = list_cases(names), tests_made = 0;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 3; k++) {
            if (asprintf(&labels[tests_made], formats[k], names[i]) < 0)
                return 1;
            tests[tests_made] = (struct CMUnitTest){
                .name = labels[tests_made], .test_func = functions[k], .initial_state = names[i]};
            tests_made++;
        }
    if (!count) {
        fprintf(stderr, "there is no folder in " FAMILIES "\n");
        return 1;
    }
    int failed =
        _cmocka_run_group_tests("families against the peer", tests, tests_made, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    for (size_t i = 0; i < tests_made; i++)
        free(labels[i]);
    return failed;
}
