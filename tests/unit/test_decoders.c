/* test_decoders.c: what decoders compute: their intermediate results have names; the cache, recomputation
   and documents that share a row change nothing about it; in every family and with every rule of positions. */
#include "models_help.h"

/* One recipe for each way in which a decoder may read: families, windows, rotary scaling. */
static const char *const decoders[] = {
    LLAMA_RECIPE,
    GPT2_RECIPE,
    LLAMA_RECIPE ", model_type: mistral, sliding_window: 3",
    LLAMA_RECIPE ", model_type: qwen3",
    LLAMA_RECIPE ", model_type: olmo2, attention_bias: true",
    LLAMA_RECIPE ", model_type: smollm3, no_rope_layer_interval: 2, sliding_window: 4, "
                 "use_sliding_window: true",
    LLAMA_RECIPE ", rope_type: yarn, rope_factor: 4",
    LLAMA_RECIPE ", rope_type: dynamic, rope_factor: 2, max_position_embeddings: 12",
    "kind: gptneox, hidden_size: 16, num_hidden_layers: 2, vocab_size: 50, rotary_pct: 0.5",
    "kind: gptneox, hidden_size: 16, num_hidden_layers: 2, vocab_size: 50, "
    "use_parallel_residual: false",
    "kind: phi3, hidden_size: 16, num_hidden_layers: 2, vocab_size: 50, sliding_window: 3",
    "kind: phi3, hidden_size: 16, num_hidden_layers: 2, vocab_size: 50, rope_type: longrope, "
    "rope_original_context: 12, rope_short_factor: [1, 2], rope_long_factor: [3, 4]",
    "kind: gemma2, hidden_size: 16, num_hidden_layers: 2, vocab_size: 50, sliding_window: 3, "
    "attn_logit_softcapping: 2, final_logit_softcapping: 3",
};
enum { DECODERS = sizeof decoders / sizeof decoders[0] };

static void test_a_model_of_shapes_has_the_same_parameters_and_no_data(void **state)
{
    (void)state;
    for (int i = 0; i < DECODERS; i++) {
        size_t before = fr_memory_now(FR_MEMORY_WEIGHTS);
        fr_model *shapes = model_of(decoders[i], true), *real = model_of(decoders[i], false);
        assert_int_equal(shapes->parameter_count, real->parameter_count);
        assert_int_equal(fr_model_parameter_total(shapes), fr_model_parameter_total(real));
        must(fr_model_create_gradients(shapes, NULL), NULL);
        fr_model_zero_gradients(shapes);
        fr_model_destroy(real);
        assert_true(fr_memory_now(FR_MEMORY_WEIGHTS) - before < 100);
        fr_tape *tape = tape_of(FR_TAPE_TRAIN, true);
        fr_batch batch = {.ids = fr_tape_tensor(tape, FR_I32, 2, (const int64_t[]){3, 8})};
        fr_tensor *logits = fr_model_logits(shapes, tape, &batch, NULL);
        must(fr_tape_check(tape, NULL), NULL);
        assert_int_equal(logits->shape[0], 3);
        assert_int_equal(logits->shape[1], 8);
        assert_int_equal(logits->shape[2], 50);
        assert_true(fr_tape_forward_cost(tape).flops > 0);
        fr_tape_destroy(tape);
        fr_model_destroy(shapes);
        assert_int_equal(fr_memory_now(FR_MEMORY_WEIGHTS), before);
    }
}

typedef struct seen {
    char names[40][64];
    size_t count;
} seen;

static void note(void *context, const char *name, const fr_tensor *value)
{
    seen *s = context;
    assert_int_equal(value->rank, 3);
    snprintf(s->names[s->count++], sizeof s->names[0], "%s", name);
}

static void test_intermediate_results_have_names(void **state)
{
    (void)state;
    static const char *const expected[] = {"embeddings",
                                           "layers.0.attention.q",
                                           "layers.0.attention.k",
                                           "layers.0.attention.v",
                                           "layers.0.attention.out",
                                           "layers.0.feed_forward.out",
                                           "layers.0.out",
                                           "layers.1.attention.q",
                                           "layers.1.attention.k",
                                           "layers.1.attention.v",
                                           "layers.1.attention.out",
                                           "layers.1.feed_forward.out",
                                           "layers.1.out",
                                           "final_norm"};
    for (int i = 0; i < DECODERS; i++) {
        fr_model *model = model_of(decoders[i], false);
        fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
        seen s = {.count = 0};
        must(fr_tape_observe(tape, "*", note, &s, NULL), NULL);
        fr_batch batch = {.ids = ids_of(tape, 2, 5)};
        assert_non_null(fr_model_hidden(model, tape, &batch, NULL));
        assert_int_equal(s.count, sizeof expected / sizeof expected[0]);
        for (size_t k = 0; k < s.count; k++)
            assert_string_equal(s.names[k], expected[k]);
        fr_tape_destroy(tape);
        fr_model_destroy(model);
    }
}

/* Read ragged rows in pieces through a cache; every new token's hidden state must be what the whole
   row at once gives. Lengths of the pieces per row; -1 ends. */
static const int32_t pieces[][3] = {{4, 1, 6}, {1, 1, 1}, {0, 3, 2}, {5, 0, 1}};
enum { PIECES = 4, ROWS = 3, WHOLE = 10 };

static void check_cache(const char *recipe)
{
    fr_model *model = model_of(recipe, false);
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_error error = {0};
    fr_batch all = {.ids = ids_of(tape, ROWS, WHOLE)};
    fr_tensor *whole = fr_model_hidden(model, tape, &all, NULL);
    must(fr_tape_check(tape, &error), &error);
    const int32_t *ids = fr_tensor_host(all.ids);
    const float *expected = fr_tensor_host(whole);
    fr_cache *cache = fr_cache_create(model, ROWS, WHOLE + 1, &error);
    assert_non_null(cache);
    for (int step = 0; step < PIECES; step++) {
        int32_t longest = 0, given[ROWS * WHOLE] = {0};
        for (int b = 0; b < ROWS; b++)
            longest = pieces[step][b] > longest ? pieces[step][b] : longest;
        for (int b = 0; b < ROWS; b++)
            for (int32_t k = 0; k < pieces[step][b]; k++)
                given[b * longest + longest - pieces[step][b] + k] =
                    ids[b * WHOLE + fr_cache_length(cache, b) + k];
        fr_batch batch = {
            .ids = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){ROWS, longest}, given),
            .counts = pieces[step]};
        fr_tensor *hidden = fr_model_hidden(model, tape, &batch, cache);
        must(fr_tape_check(tape, &error), &error);
        const float *found = fr_tensor_host(hidden);
        for (int b = 0; b < ROWS; b++)
            for (int32_t k = 0; k < pieces[step][b]; k++) {
                int64_t column = longest - pieces[step][b] + k;
                int64_t place = fr_cache_length(cache, b) - pieces[step][b] + k;
                for (int c = 0; c < 16; c++)
                    assert_float_equal(found[(b * longest + column) * 16 + c],
                                       expected[(b * WHOLE + place) * 16 + c], 1e-5);
            }
    }
    fr_cache_destroy(cache);
    fr_tape_destroy(tape);
    fr_model_destroy(model);
}

static void test_ragged_rows_through_a_cache_give_what_whole_rows_give(void **state)
{
    (void)state;
    for (int i = 0; i < DECODERS; i++)
        check_cache(decoders[i]);
}

/* longrope reads texts longer than its original context (here 6) with other frequencies. */
static void test_a_text_that_outgrows_longrope_s_context_is_read_anew(void **state)
{
    (void)state;
    enum { LONG = 8, ORIGINAL = 6 };
    fr_model *model = model_of("kind: phi3, hidden_size: 16, num_hidden_layers: 2, vocab_size: 50, "
                               "rope_type: longrope, rope_original_context: 6, "
                               "rope_short_factor: [1, 2], rope_long_factor: [3, 4]",
                               false);
    assert_int_equal(model->reread, ORIGINAL);
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_batch all = {.ids = ids_of(tape, 1, LONG)};
    const float *expected = fr_tensor_host(fr_model_hidden(model, tape, &all, NULL));
    const int32_t *ids = fr_tensor_host(all.ids);
    for (int told = 0; told < 2; told++) {
        fr_cache *cache = fr_cache_create(model, 1, LONG, NULL);
        fr_batch piece = {.ids = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){1, 5}, ids),
                          .whole = told ? LONG : 0};
        assert_non_null(fr_model_hidden(model, tape, &piece, cache));
        piece.ids = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){1, 3}, ids + 5);
        const float *found = fr_tensor_host(fr_model_hidden(model, tape, &piece, cache));
        double worst = 0;
        for (int i = 0; i < 3 * 16; i++)
            worst = fmax(worst, fabs((double)found[i] - (double)expected[5 * 16 + i]));
        assert_true(told ? worst < 1e-5 : worst > 1e-3);
        fr_cache_destroy(cache);
    }
    fr_tape_destroy(tape);
    fr_model_destroy(model);
}

/* Logits of the last column after reading `count` ids (rows of `columns`). */
static const float *last_logits(fr_model *model, fr_tape *tape, fr_cache *cache, int64_t rows,
                                const int32_t *ids, const int32_t *counts)
{
    fr_batch batch = {.ids = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){rows, 1}, ids),
                      .counts = counts};
    fr_tensor *logits = fr_model_logits(model, tape, &batch, cache);
    return logits ? fr_tensor_host(logits) : NULL;
}

static void test_a_cache_forgets_and_drops_rows(void **state)
{
    (void)state;
    fr_model *model = model_of(LLAMA_RECIPE, false);
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_cache *cache = fr_cache_create(model, 3, 4, NULL);
    const int32_t first[] = {5, 6, 7}, second[] = {8, 9, 10}, wrong[] = {1, 1, 1};
    float expected[50];
    last_logits(model, tape, cache, 3, first, NULL);
    const float *logits = last_logits(model, tape, cache, 3, second, NULL);
    memcpy(expected, logits + 2 * 50, sizeof expected); /* of row 2: 7, 10 */
    fr_cache_clear(cache);
    assert_int_equal(fr_cache_length(cache, 1), 0);
    last_logits(model, tape, cache, 3, first, NULL);
    last_logits(model, tape, cache, 3, wrong, NULL);
    for (int b = 0; b < 3; b++)
        fr_cache_truncate(cache, b, 1);
    assert_int_equal(fr_cache_select(cache, (const int64_t[]){1, 0}, 2, NULL), FR_WRONG_CALL);
    must(fr_cache_select(cache, (const int64_t[]){0, 2}, 2, NULL), NULL);
    assert_int_equal(fr_cache_rows(cache), 2);
    logits = last_logits(model, tape, cache, 2, (const int32_t[]){8, 10}, NULL);
    must(fr_tape_check(tape, NULL), NULL);
    assert_memory_equal(logits + 50, expected, sizeof expected);
    fr_cache_destroy(cache);
    fr_tape_destroy(tape);
    fr_model_destroy(model);
}

static void test_a_cache_refuses_what_does_not_fit(void **state)
{
    (void)state;
    fr_model *model = model_of(LLAMA_RECIPE, false);
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false), *train = tape_of(FR_TAPE_TRAIN, false);
    fr_cache *cache = fr_cache_create(model, 2, 3, NULL);
    fr_error error = {0};
    fr_batch wide = {.ids = ids_of(tape, 2, 4)}, tall = {.ids = ids_of(tape, 3, 1)};
    assert_null(fr_model_hidden(model, tape, &wide, cache));
    assert_int_equal(fr_tape_check(tape, &error), FR_WRONG_CALL);
    contains(error.message, "0 of 3 positions");
    assert_int_equal(fr_cache_length(cache, 0), 0);
    fr_tape_reset(tape, 0);
    tall.ids = ids_of(tape, 3, 1);
    assert_null(fr_model_hidden(model, tape, &tall, cache));
    fr_tape_reset(tape, 0);
    fr_batch without = {.ids = ids_of(tape, 2, 2), .counts = (const int32_t[]){1, 2}};
    assert_null(fr_model_hidden(model, tape, &without, NULL));
    fr_batch recorded = {.ids = ids_of(train, 2, 1)};
    assert_null(fr_model_hidden(model, train, &recorded, cache));
    assert_null(fr_cache_create(model, 0, 3, &error));
    fr_cache_destroy(cache);
    fr_tape_destroy(tape);
    fr_tape_destroy(train);
    fr_model_destroy(model);
}

/* Gradients of a loss with every kind of optional input, into out (all parameters in order). */
static void gradients_of(const char *recipe, bool recompute, float *out)
{
    fr_model *model = model_of(recipe, false);
    model->recompute = recompute;
    must(fr_model_create_gradients(model, NULL), NULL);
    fr_tape *tape = fr_tape_create(
        &(fr_tape_options){.mode = FR_TAPE_TRAIN, .training = true, .seed = 4}, NULL);
    int32_t positions[12], segments[12];
    for (int i = 0; i < 12; i++) {
        positions[i] = i % 6 < 2 ? i % 6 : i % 6 - 2;
        segments[i] = i % 6 >= 2;
    }
    const int64_t shape[] = {2, 6};
    fr_batch batch = {.ids = ids_of(tape, 2, 6),
                      .positions = fr_tape_input(tape, FR_I32, 2, shape, positions),
                      .segments = fr_tape_input(tape, FR_I32, 2, shape, segments),
                      .targets = ids_of(tape, 2, 6)};
    fr_tensor *hidden = fr_model_hidden(model, tape, &batch, NULL);
    fr_tensor *loss = fr_linear_cross_entropy(tape, hidden, model->output->value, NULL,
                                              batch.targets, NULL, 0.1f, NULL);
    fr_error error = {0};
    must(fr_tape_backward(tape, loss, 1, &error), &error);
    for (size_t i = 0; i < model->parameter_count; i++) {
        const fr_tensor *gradient = model->parameters[i]->value->grad;
        memcpy(out, fr_tensor_host(gradient), fr_tensor_bytes(gradient));
        out += fr_tensor_count(gradient);
    }
    fr_tape_destroy(tape);
    fr_model_destroy(model);
}

static void test_recomputed_layers_give_the_same_gradients_bit_for_bit(void **state)
{
    (void)state;
    static float plain[20000], again[20000];
    gradients_of(GPT2_RECIPE ", resid_pdrop: 0.2, embd_pdrop: 0.2", false, plain);
    gradients_of(GPT2_RECIPE ", resid_pdrop: 0.2, embd_pdrop: 0.2", true, again);
    assert_memory_equal(plain, again, sizeof plain);
    for (int i = 0; i < DECODERS; i++) {
        gradients_of(decoders[i], false, plain);
        gradients_of(decoders[i], true, again);
        assert_memory_equal(plain, again, sizeof plain);
    }
}

static void test_documents_of_a_row_do_not_see_each_other(void **state)
{
    (void)state;
    const char *const recipes[] = {LLAMA_RECIPE, GPT2_RECIPE};
    for (int i = 0; i < 2; i++) {
        fr_model *model = model_of(recipes[i], false);
        fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
        const int64_t shape[] = {1, 7}, part[] = {1, 4};
        const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7}, segments[] = {0, 0, 0, 1, 1, 1, 1};
        const int32_t positions[] = {0, 1, 2, 0, 1, 2, 3};
        fr_batch packed = {.ids = fr_tape_input(tape, FR_I32, 2, shape, ids),
                           .positions = fr_tape_input(tape, FR_I32, 2, shape, positions),
                           .segments = fr_tape_input(tape, FR_I32, 2, shape, segments)};
        fr_batch alone = {.ids = fr_tape_input(tape, FR_I32, 2, part, ids + 3)};
        const float *a = fr_tensor_host(fr_model_hidden(model, tape, &packed, NULL));
        const float *b = fr_tensor_host(fr_model_hidden(model, tape, &alone, NULL));
        for (int k = 0; k < 4 * 16; k++)
            assert_float_equal(a[3 * 16 + k], b[k], 1e-6);
        fr_tape_destroy(tape);
        fr_model_destroy(model);
    }
}

static void test_attention_dropout_acts_in_training_alone(void **state)
{
    (void)state;
    const char *const recipes[][2] = {
        {GPT2_RECIPE, GPT2_RECIPE ", attn_pdrop: 0.5"},
        {LLAMA_RECIPE, LLAMA_RECIPE ", attention_dropout: 0.5"},
    };
    for (int i = 0; i < 2; i++) {
        float results[2][2][4 * 16]; /* without and with dropout, when reading and when training */
        for (int dropped = 0; dropped < 2; dropped++) {
            fr_model *model = model_of(recipes[i][dropped], false);
            for (int training = 0; training < 2; training++) {
                fr_tape *tape = fr_tape_create(&(fr_tape_options){.training = training}, NULL);
                fr_batch batch = {.ids = ids_of(tape, 1, 4)};
                fr_tensor *hidden = fr_model_hidden(model, tape, &batch, NULL);
                memcpy(results[dropped][training], fr_tensor_host(hidden), sizeof results[0][0]);
                fr_tape_destroy(tape);
            }
            fr_model_destroy(model);
        }
        assert_memory_equal(results[0][0], results[1][0], sizeof results[0][0]);
        assert_memory_not_equal(results[0][1], results[1][1], sizeof results[0][1]);
    }
}

static void test_rows_longer_than_learned_positions_are_refused(void **state)
{
    (void)state;
    fr_model *model = model_of(GPT2_RECIPE, false);
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_batch batch = {.ids = ids_of(tape, 1, 33)};
    assert_null(fr_model_hidden(model, tape, &batch, NULL));
    fr_error error = {0};
    assert_int_equal(fr_tape_check(tape, &error), FR_BAD_INPUT);
    contains(error.message, "33 tokens");
    fr_tape_destroy(tape);
    fr_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_model_of_shapes_has_the_same_parameters_and_no_data),
        cmocka_unit_test(test_intermediate_results_have_names),
        cmocka_unit_test(test_ragged_rows_through_a_cache_give_what_whole_rows_give),
        cmocka_unit_test(test_a_text_that_outgrows_longrope_s_context_is_read_anew),
        cmocka_unit_test(test_a_cache_forgets_and_drops_rows),
        cmocka_unit_test(test_a_cache_refuses_what_does_not_fit),
        cmocka_unit_test(test_recomputed_layers_give_the_same_gradients_bit_for_bit),
        cmocka_unit_test(test_documents_of_a_row_do_not_see_each_other),
        cmocka_unit_test(test_attention_dropout_acts_in_training_alone),
        cmocka_unit_test(test_rows_longer_than_learned_positions_are_refused),
    };
    return cmocka_run_group_tests_name("decoders", tests, NULL, NULL);
}
