/* test_contrastive.c: the loss of pictures and their texts, against its formula in double, from the logits that transformers computes
   for a small CLIP (tests/fixtures/families/clip). */
#include "frugal/formats.h"
#include "frugal/train.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#define CLIP "tests/fixtures/families/clip"
enum { PAIRS = 2, TEXTS = 3, TOKENS = 9 };

typedef struct fixture {
    fr_model *model;
    fr_safetensors *expected;
    fr_objective *objective;
    fr_tape *tape;
} fixture;

static void must(fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s", error->message);
}

static fixture open_fixture(const char *folder)
{
    fixture f = {0};
    fr_error error = {0};
    const fr_objective_kind *kind =
        (const fr_objective_kind *)fr_registry_find(&fr_objectives, "contrastive");
    assert_non_null(kind);
    must(fr_model_load(&f.model, folder, &error), &error);
    must(fr_model_create_gradients(f.model, &error), &error);
    must(fr_safetensors_open(&f.expected, CLIP "/expected.safetensors", &error), &error);
    must(fr_objective_create(&f.objective, kind, NULL, f.model, NULL, &error), &error);
    f.tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_TRAIN}, &error);
    assert_non_null(f.tape);
    return f;
}

static void close_fixture(fixture *f)
{
    fr_tape_destroy(f->tape);
    fr_objective_destroy(f->objective);
    fr_safetensors_close(f->expected);
    fr_model_destroy(f->model);
}

static fr_tensor *loss_of(const fixture *f, int64_t texts, float scale)
{
    const fr_safetensors_entry *ids = fr_safetensors_find(f->expected, "input.ids");
    const fr_safetensors_entry *pixels = fr_safetensors_find(f->expected, "input.pixels");
    fr_batch batch = {.ids =
                          fr_tape_input(f->tape, FR_I32, 2, (int64_t[]){texts, TOKENS}, ids->data),
                      .pixels = fr_tape_input(f->tape, FR_F32, 4, pixels->shape, pixels->data)};
    return f->objective->kind->loss(f->objective, f->tape, &batch, scale);
}

/* -log softmax(l)[own] of PAIRS numbers that are `stride` apart. */
static double surprise(const float *logits, int stride, int own)
{
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += exp((double)logits[i * stride] - (double)logits[own * stride]);
    return log(sum);
}

static void test_the_loss_is_that_of_pictures_among_texts_and_texts_among_pictures(void **state)
{
    (void)state;
    fixture f = open_fixture(CLIP);
    const fr_safetensors_entry *entry = fr_safetensors_find(f.expected, "output.logits_per_image");
    const float *logits = entry->data; /* (PAIRS, TEXTS) */
    double wanted = 0;
    for (int i = 0; i < PAIRS; i++)
        wanted +=
            (surprise(logits + (ptrdiff_t)i * TEXTS, 1, i) + surprise(logits + i, TEXTS, i)) / 2;
    fr_error error = {0};
    fr_tensor *loss = loss_of(&f, PAIRS, 1.0F / PAIRS);
    must(fr_tape_check(f.tape, &error), &error);
    assert_true(fabs((double)*(float *)fr_tensor_host(loss) - wanted / PAIRS) < 1e-5);
    must(fr_tape_backward(f.tape, loss, 1, &error), &error);
    const fr_tensor *scale = fr_model_parameter(f.model, "logit_scale")->value->grad;
    assert_true(fabsf(*(float *)fr_tensor_host(scale)) > 1e-6F);
    close_fixture(&f);
}

static void assert_refused(const char *folder, int64_t texts, const char *why)
{
    fixture f = open_fixture(folder);
    fr_error error = {0};
    assert_null(loss_of(&f, texts, 1));
    assert_int_not_equal(fr_tape_check(f.tape, &error), FR_OK);
    if (!strstr(error.message, why))
        fail_msg("'%s' where '%s' was expected", error.message, why);
    close_fixture(&f);
}

static void test_every_picture_has_one_text(void **state)
{
    (void)state;
    assert_refused(CLIP, TEXTS, "2 pictures with 3 texts");
}

static void test_a_tower_alone_cannot_be_trained_so(void **state)
{
    (void)state;
    assert_refused("tests/fixtures/families/clip-text", PAIRS, "has no towers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_loss_is_that_of_pictures_among_texts_and_texts_among_pictures),
        cmocka_unit_test(test_every_picture_has_one_text),
        cmocka_unit_test(test_a_tower_alone_cannot_be_trained_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
