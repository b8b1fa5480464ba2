/* test_gguf_models.c: models and tokenizers go into GGUF files and come back; weights that stay as they are stored compute what the
   unpacked ones do. */
#include "frugal/decode.h"
#include "frugal/formats.h"
#include "gguf_help.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(fr_status status, const fr_error *error)
{
    if (status != FR_OK)
        fail_msg("%s", error->message);
}

static fr_model *load(const char *from)
{
    fr_model *model;
    fr_error error = {0};
    must(fr_model_load(&model, from, &error), &error);
    return model;
}

static fr_model *open_as(const char *from, fr_weights weights)
{
    fr_model *model;
    fr_error error = {0};
    must(fr_model_open(&model, from, weights, &error), &error);
    return model;
}

static void save(const fr_model *model, const fr_tokenizer *tokenizer, fr_dtype dtype)
{
    fr_error error = {0};
    must(fr_gguf_save(model, tokenizer, path, dtype, &error), &error);
}

/* Logits (2, 12, V) of fixed ids, freed with fr_free. */
static float *logits_of(fr_model *model, int64_t *count)
{
    enum { ROWS = 2, COLUMNS = 12 };
    int32_t ids[ROWS * COLUMNS];
    fr_error error = {0};
    for (int i = 0; i < ROWS * COLUMNS; i++)
        ids[i] = (7 * i * i + 3 * i + 1) % (int32_t)(model->vocabulary - 1);
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, NULL);
    fr_batch batch = {.ids = fr_tape_input(tape, FR_I32, 2, (int64_t[]){ROWS, COLUMNS}, ids)};
    fr_tensor *logits = fr_model_logits(model, tape, &batch, NULL);
    must(fr_tape_check(tape, &error), &error);
    *count = fr_tensor_count(logits);
    float *copy = fr_alloc_array((size_t)*count, sizeof *copy, FR_MEMORY_OTHER);
    memcpy(copy, fr_tensor_host(logits), (size_t)*count * sizeof *copy);
    fr_tape_destroy(tape);
    return copy;
}

/* |a - b| against the root mean square of b. */
static double apart(fr_model *a, fr_model *b)
{
    int64_t count, other;
    float *x = logits_of(a, &count), *y = logits_of(b, &other);
    double square = 0, most = 0;
    assert_int_equal(count, other);
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)x[i] - (double)y[i]);
        most = difference > most ? difference : most;
        square += (double)y[i] * (double)y[i] / (double)count;
    }
    fr_free(x);
    fr_free(y);
    return most / sqrt(square);
}

/* ---- every family ---- */

static const char *const families[] = {
    "models/gpt2",         "models/llama",       "models/llama-biases", "models/mistral",
    "families/qwen3-tied", "families/mixtral",   "families/neox",       "families/olmo2",
    "families/phi3",       "families/llama-yarn"};

static void test_every_family_comes_back_as_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char from[300];
        snprintf(from, sizeof from, "tests/fixtures/%s", families[i]);
        fr_model *model = load(from);
        save(model, NULL, FR_F32);
        fr_model *back = load(path), *stored = open_as(path, FR_WEIGHTS_STORED);
        assert_int_equal(back->parameter_count, model->parameter_count);
        for (size_t p = 0; p < model->parameter_count; p++) {
            const fr_parameter *one = model->parameters[p], *other = back->parameters[p];
            assert_string_equal(one->name, other->name);
            assert_memory_equal(fr_tensor_host(one->value), fr_tensor_host(other->value),
                                fr_tensor_bytes(one->value));
        }
        assert_true(apart(back, model) == 0);
        assert_true(apart(stored, model) == 0);
        assert_true(model->bos == back->bos && model->eos == back->eos);
        fr_model_destroy(model);
        fr_model_destroy(back);
        fr_model_destroy(stored);
    }
}

/* ---- stored weights ---- */

#define RECIPE                                                                                     \
    "kind: llama, model_type: llama, hidden_size: 256, intermediate_size: 512, "                   \
    "num_hidden_layers: 2, num_key_value_heads: 2, vocab_size: 300, tie_word_embeddings: "

static fr_model *make(const char *fields)
{
    char text[512];
    fr_error error = {0};
    fr_recipe *recipe;
    fr_model *model = NULL;
    snprintf(text, sizeof text, "model: {%s}\n", fields);
    must(fr_recipe_parse(&recipe, text, strlen(text), "test.yaml", &error), &error);
    must(fr_model_create_from_section(&model, fr_recipe_section(recipe, "model"), NULL, 0, -1, 3,
                                      false, &error),
         &error);
    fr_recipe_free(recipe);
    return model;
}

static const fr_dtype dtypes[] = {FR_F32, FR_F16, FR_BF16, FR_Q8_0, FR_Q4_0, FR_Q4_K, FR_Q6_K};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static void test_stored_weights_compute_what_unpacked_ones_do(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        fr_model *model = make(tied ? RECIPE "true" : RECIPE "false");
        for (int d = 0; d < DTYPES; d++) {
            save(model, NULL, dtypes[d]);
            fr_model *stored = open_as(path, FR_WEIGHTS_STORED);
            fr_model *unpacked = open_as(path, FR_WEIGHTS_F32);
            assert_true(apart(stored, unpacked) < 1e-5);
            assert_string_equal(stored->linears[0]->weight->kind->base.name,
                                dtypes[d] == FR_F32 ? "dense" : fr_dtype_name(dtypes[d]));
            fr_model_destroy(stored);
            fr_model_destroy(unpacked);
        }
        fr_model_destroy(model);
    }
}

static void test_stored_weights_take_the_memory_of_vectors_alone(void **state)
{
    (void)state;
    fr_model *model = make("kind: gpt2, n_embd: 256, n_layer: 2, n_head: 4, n_positions: 16, "
                           "vocab_size: 300");
    save(model, NULL, FR_Q4_K);
    fr_model_destroy(model);
    size_t before = fr_memory_now(FR_MEMORY_WEIGHTS);
    model = open_as(path, FR_WEIGHTS_STORED);
    size_t taken = fr_memory_now(FR_MEMORY_WEIGHTS) - before;
    assert_true(taken < (size_t)fr_model_parameter_total(model) / 20 * sizeof(float));
    for (size_t i = 0; i < model->parameter_count; i++) /* nothing of it trains */
        assert_true(model->parameters[i]->value->rank < 2 ||
                    model->parameters[i]->value->dtype == FR_F32 ||
                    !model->parameters[i]->value->requires_grad);
    fr_model_destroy(model);
    assert_int_equal(fr_memory_now(FR_MEMORY_WEIGHTS), before);
}

/* What stands before a stored matrix gets the gradient that it gets through the unpacked one. */
static void test_gradients_go_through_stored_weights(void **state)
{
    (void)state;
    enum { ROWS = 12, IN = 256, OUT = 64 };
    static float numbers[OUT * IN], x[ROWS * IN], dy[ROWS * OUT];
    static unsigned char blocks[2 * OUT * IN];
    fr_random_fill_normal(numbers, OUT * IN, 1, 1, FR_RANDOM_TEST, 0);
    fr_random_fill_normal(x, ROWS * IN, 1, 1, FR_RANDOM_TEST, 1);
    fr_random_fill_normal(dy, ROWS * OUT, 1, 1, FR_RANDOM_TEST, 2);
    for (int d = 3; d < DTYPES; d++) {
        fr_error error = {0};
        fr_convert(blocks, dtypes[d], numbers, FR_F32, OUT * IN);
        fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_TRAIN}, NULL);
        fr_tensor *weights[2] = {
            fr_tensor_create_over(dtypes[d], 2, (int64_t[]){OUT, IN}, blocks),
            fr_tensor_create(FR_F32, 2, (int64_t[]){OUT, IN}, FR_MEMORY_WEIGHTS)};
        fr_convert(fr_tensor_host(weights[1]), FR_F32, blocks, dtypes[d], OUT * IN);
        fr_tensor *gradients[2];
        for (int i = 0; i < 2; i++) {
            fr_tensor *input = fr_tape_input(tape, FR_F32, 2, (int64_t[]){ROWS, IN}, x);
            input->requires_grad = true;
            weights[i]->requires_grad = true; /* asks in vain where it is stored in blocks */
            fr_tensor *y = fr_linear(tape, input, weights[i], NULL);
            must(fr_tape_backward_from(
                     tape, y, fr_tape_input(tape, FR_F32, 2, (int64_t[]){ROWS, OUT}, dy), &error),
                 &error);
            gradients[i] = input->grad;
        }
        assert_null(weights[0]->grad);
        const float *a = fr_tensor_host(gradients[0]), *b = fr_tensor_host(gradients[1]);
        for (int i = 0; i < ROWS * IN; i++)
            assert_true(fabs((double)a[i] - (double)b[i]) < 1e-4);
        fr_tape_destroy(tape);
        fr_tensor_free(weights[0]);
        fr_tensor_free(weights[1]->grad);
        weights[1]->grad = NULL;
        fr_tensor_free(weights[1]);
    }
}

static void test_operators_that_do_not_read_blocks_refuse_them(void **state)
{
    (void)state;
    static unsigned char blocks[34 * 4];
    fr_error error = {0};
    fr_tensor *weight = fr_tensor_create_over(FR_Q8_0, 2, (int64_t[]){4, 32}, blocks);
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, NULL);
    assert_null(fr_slice(tape, weight, 0, 0, 2));
    assert_int_equal(fr_tape_check(tape, &error), FR_WRONG_CALL);
    assert_non_null(strstr(error.message, "slice: input 1 is stored as q8_0"));
    fr_tape_destroy(tape);
    fr_tensor_free(weight);
    assert_null(fr_tensor_create_over(FR_Q8_0, 2, (int64_t[]){4, 33}, blocks));
}

/* ---- types ---- */

static const char *type_in_file(const char *name)
{
    fr_gguf *file;
    fr_error error = {0};
    must(fr_gguf_open(&file, path, &error), &error);
    const fr_gguf_entry *entry = fr_gguf_find(file, name);
    const char *type = entry ? fr_dtype_name(entry->dtype) : "none";
    fr_gguf_close(file);
    return type;
}

static void test_rows_that_are_no_whole_blocks_take_another_type(void **state)
{
    (void)state;
    fr_model *model = make("kind: llama, model_type: llama, hidden_size: 96, intermediate_size: "
                           "272, num_hidden_layers: 1, vocab_size: 50, tie_word_embeddings: false");
    save(model, NULL, FR_Q4_K);
    assert_string_equal(type_in_file("blk.0.attn_q.weight"), "q8_0");  /* rows of 96 */
    assert_string_equal(type_in_file("blk.0.ffn_down.weight"), "f16"); /* rows of 272 */
    assert_string_equal(type_in_file("blk.0.attn_norm.weight"), "f32");
    fr_model_destroy(model);
    model = make(RECIPE "false");
    save(model, NULL, FR_Q4_K);
    assert_string_equal(type_in_file("token_embd.weight"), "q4_k");
    assert_string_equal(type_in_file("output.weight"), "q6_k");
    fr_model_destroy(model);
    model = make(RECIPE "true");
    save(model, NULL, FR_Q4_0);
    assert_string_equal(type_in_file("token_embd.weight"), "q6_k");
    assert_string_equal(type_in_file("output.weight"), "none");
    fr_model_destroy(model);
}

static void test_what_llama_cpp_would_compute_otherwise_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *part;
    } models[] = {{"kind: llama, model_type: qwen2, use_sliding_window: true, sliding_window: 8, "
                   "vocab_size: 50",
                   "sliding_window"},
                  {"kind: llama, hidden_act: gelu, vocab_size: 50", "hidden_act"},
                  {"kind: gpt2, scale_attn_by_inverse_layer_idx: true, vocab_size: 50",
                   "scale_attn_by_inverse_layer_idx"},
                  {"kind: gpt2, activation_function: relu, vocab_size: 50", "activation_function"}};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        fr_error error = {0};
        fr_model *model = make(models[i].fields);
        assert_int_equal(fr_gguf_save(model, NULL, path, FR_F32, &error), FR_UNSUPPORTED);
        if (!strstr(error.message, models[i].part))
            fail_msg("'%s' does not say '%s'", error.message, models[i].part);
        assert_false(fr_path_exists(path));
        fr_model_destroy(model);
    }
}

static void test_a_file_that_is_no_model_is_refused_by_name(void **state)
{
    (void)state;
    fr_model *model;
    fr_error error = {0};
    assert_int_equal(fr_model_load(&model, "tests/fixtures/gguf/types.gguf", &error),
                     FR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "architecture 'test'"));
    assert_non_null(strstr(error.message, "llama"));
    fr_model_head head = {.task = FR_TASK_SEQUENCE_CLASSIFICATION, .labels = 2};
    fr_model *made = make(RECIPE "true");
    save(made, NULL, FR_F32);
    fr_model_destroy(made);
    assert_int_equal(fr_model_load_as(&model, path, &(fr_model_change){.head = &head}, &error),
                     FR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "another head"));
}

/* ---- positions ---- */

static void test_scaled_positions_come_back(void **state)
{
    (void)state;
    static const char *const scalings[] = {
        "rope_type: linear, rope_factor: 4",
        "rope_type: llama3, rope_factor: 8, rope_low_freq_factor: 1, rope_high_freq_factor: 4, "
        "rope_original_context: 64",
        "rope_type: llama3, rope_factor: 32, rope_low_freq_factor: 2, rope_high_freq_factor: 16, "
        "rope_original_context: 512"};
    for (int i = 0; i < 3; i++) {
        char fields[400];
        snprintf(fields, sizeof fields, "%strue, %s", RECIPE, scalings[i]);
        fr_model *model = make(fields);
        save(model, NULL, FR_F32);
        fr_model *back = load(path);
        assert_true(apart(back, model) < 1e-6);
        fr_model_destroy(model);
        fr_model_destroy(back);
    }
}

/* ---- tokenizers ---- */

/* Make the tokenizer.json in the file unfindable, so that the lists for llama.cpp must do. */
static void hide_whole_tokenizer(void)
{
    static const char key[] = "tokenizer.huggingface.json";
    char *data;
    size_t size;
    must(fr_file_read(path, 0, &data, &size, NULL), NULL);
    char *found = memmem(data, size, key, strlen(key));
    assert_non_null(found);
    found[0] = 'x';
    must(fr_file_write(path, data, size, NULL), NULL);
    fr_free(data);
}

static void same_ids(const fr_tokenizer *a, const fr_tokenizer *b, const char *text)
{
    fr_ids one = {0}, other = {0};
    fr_error error = {0};
    must(fr_tokenizer_encode(a, text, strlen(text), FR_ENCODE_ADD_SPECIAL, &one, &error), &error);
    must(fr_tokenizer_encode(b, text, strlen(text), FR_ENCODE_ADD_SPECIAL, &other, &error), &error);
    assert_int_equal(one.count, other.count);
    assert_memory_equal(one.ids, other.ids, one.count * sizeof *one.ids);
    fr_ids_free(&one);
    fr_ids_free(&other);
}

static const char *const texts[] = {"The quick brown fox, it's 1234567 years old.\n\n  Yes!",
                                    "<|endoftext|>na\xC3\xAFve \xE4\xBD\xA0\xE5\xA5\xBD\tx+=1;",
                                    "   three spaces   and 'll \xF0\x9F\x98\x80", ""};

static void test_tokenizers_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama3", "qwen2"};
    for (int i = 0; i < 3; i++) {
        char from[300], fields[300];
        fr_error error = {0};
        fr_tokenizer *tokenizer, *back;
        snprintf(from, sizeof from, "tests/fixtures/tokenizer_%s", names[i]);
        must(fr_tokenizer_load(&tokenizer, from, &error), &error);
        fr_ids around = {0};
        must(fr_tokenizer_encode(tokenizer, "", 0, FR_ENCODE_ADD_SPECIAL, &around, &error), &error);
        snprintf(fields, sizeof fields,
                 "kind: llama, hidden_size: 16, num_hidden_layers: 1, vocab_size: %lld, "
                 "bos_token_id: %d, eos_token_id: %d",
                 (long long)fr_tokenizer_size(tokenizer) + 3, around.count ? around.ids[0] : -1,
                 around.count ? around.ids[around.count - 1] : -1);
        fr_ids_free(&around);
        fr_model *model = make(fields);
        save(model, tokenizer, FR_F32);
        for (int hidden = 0; hidden < 2; hidden++) {
            must(fr_tokenizer_load(&back, path, &error), &error);
            for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
                same_ids(tokenizer, back, texts[t]);
            fr_tokenizer_free(back);
            if (!hidden)
                hide_whole_tokenizer();
        }
        fr_tokenizer_free(tokenizer);
        fr_model_destroy(model);
    }
}

static void test_tokenizers_are_made_of_llama_cpp_s_lists(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
        int32_t ids[8];
        size_t count;
    } cases[] = {
        /* <|end|>, then "the", " the", " ", "c", "a", "t" */
        {"tests/fuzz/gguf/bpe.gguf", "the the cat", {30, 28, 29, 26, 2, 0, 19}, 7},
        /* <s>, "_the", "_the", "_", "c", "a", <0xC3>; the piece t h e was joined by its score */
        {"tests/fuzz/gguf/sentencepiece.gguf", "the the ca", {1, 288, 288, 285, 261, 259}, 6}};
    for (int i = 0; i < 2; i++) {
        fr_tokenizer *tokenizer;
        fr_error error = {0};
        fr_ids ids = {0};
        fr_buffer text = {0};
        must(fr_tokenizer_load(&tokenizer, cases[i].file, &error), &error);
        must(fr_tokenizer_encode(tokenizer, cases[i].text, strlen(cases[i].text),
                                 FR_ENCODE_ADD_SPECIAL, &ids, &error),
             &error);
        assert_int_equal(ids.count, cases[i].count);
        assert_memory_equal(ids.ids, cases[i].ids, ids.count * sizeof *ids.ids);
        must(fr_tokenizer_decode(tokenizer, ids.ids, ids.count, true, &text, &error), &error);
        assert_string_equal(text.data, cases[i].text);
        fr_buffer_free(&text);
        fr_ids_free(&ids);
        fr_tokenizer_free(tokenizer);
    }
}

static void test_a_file_without_a_tokenizer_says_so(void **state)
{
    (void)state;
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    fr_model *model = make(RECIPE "true");
    save(model, NULL, FR_F32);
    fr_model_destroy(model);
    assert_false(fr_tokenizer_exists(path));
    assert_int_equal(fr_tokenizer_load(&tokenizer, path, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "no tokenizer"));
    assert_true(fr_tokenizer_exists("tests/fuzz/gguf/bpe.gguf"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_every_family_comes_back_as_it_was),
        TEST(test_stored_weights_compute_what_unpacked_ones_do),
        TEST(test_stored_weights_take_the_memory_of_vectors_alone),
        TEST(test_gradients_go_through_stored_weights),
        TEST(test_operators_that_do_not_read_blocks_refuse_them),
        TEST(test_rows_that_are_no_whole_blocks_take_another_type),
        TEST(test_what_llama_cpp_would_compute_otherwise_is_refused),
        TEST(test_a_file_that_is_no_model_is_refused_by_name),
        TEST(test_scaled_positions_come_back),
        TEST(test_tokenizers_come_back),
        TEST(test_tokenizers_are_made_of_llama_cpp_s_lists),
        TEST(test_a_file_without_a_tokenizer_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
