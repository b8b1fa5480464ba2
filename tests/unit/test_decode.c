/* Generation and evaluation with small random models. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "decode/stream.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 12, CONTEXT = 64, MODELS = 3 };

static fr_tokenizer *tokenizer;
static fr_model *models[MODELS]; /* llama, gpt2, one that reads texts longer than 16 otherwise */

static fr_model *make_model(const char *section)
{
    fr_error error;
    fr_recipe *recipe;
    fr_model *model;
    if (fr_recipe_parse(&recipe, section, strlen(section), "test", &error) != FR_OK ||
        fr_model_create_from_section(
            &model, fr_recipe_section(recipe, "model"), NULL, fr_tokenizer_size(tokenizer),
            fr_tokenizer_end_of_text(tokenizer), 11, false, &error) != FR_OK) {
        print_error("%s\n", error.message);
        return NULL;
    }
    fr_recipe_free(recipe);
    /* Random models are almost uniform; larger weights make them choose. */
    for (size_t i = 0; i < model->parameter_count; i++) {
        float *weight = fr_tensor_host(model->parameters[i]->value);
        for (int64_t j = 0;
             model->parameters[i]->init_std > 0 && j < fr_tensor_count(model->parameters[i]->value);
             j++)
            weight[j] *= 6;
    }
    return model;
}

static int make_models(void **state)
{
    (void)state;
    if (fr_tokenizer_create_bytes(&tokenizer, NULL) != FR_OK)
        return -1;
    models[0] = make_model(
        "model: {kind: llama, hidden_size: 48, intermediate_size: 96, num_hidden_layers: 2, "
        "num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 64}");
    models[1] =
        make_model("model: {kind: gpt2, n_embd: 48, n_layer: 2, n_head: 4, n_positions: 64}");
    models[2] = make_model(
        "model: {kind: phi3, hidden_size: 48, intermediate_size: 96, num_hidden_layers: 2, "
        "num_attention_heads: 8, max_position_embeddings: 64, rope_type: longrope, "
        "rope_original_context: 16, rope_short_factor: [1, 1, 1], rope_long_factor: [2, 5, 9]}");
    return models[0] && models[1] && models[2] ? 0 : -1;
}

static int free_models(void **state)
{
    (void)state;
    for (int m = 0; m < MODELS; m++)
        fr_model_destroy(models[m]);
    fr_tokenizer_free(tokenizer);
    return 0;
}

/* ---- generation ------------------------------------------------------------------------------ */

typedef struct texts {
    fr_buffer rows[ROWS];
    int64_t pieces;
    int64_t stop_row; /* told to stop after its first piece; -1: none */
} texts;

static bool collect(void *context, int64_t row, const char *text, size_t size)
{
    texts *t = context;
    assert_true(size > 0);
    fr_buffer_append(&t->rows[row], text, size);
    t->pieces++;
    return row != t->stop_row;
}

static void free_texts(texts *t)
{
    for (int i = 0; i < ROWS; i++)
        fr_buffer_free(&t->rows[i]);
    *t = (texts){.stop_row = -1};
}

static const char *text_of(const texts *t, int row)
{
    return t->rows[row].data ? t->rows[row].data : "";
}

static fr_sampling_options sampling(void)
{
    return (fr_sampling_options){
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .max_tokens = 40, .seed = 5};
}

static const char *const prompts[ROWS] = {
    "The ship", "A",   "",         "The ship", "Gr\xc3\xbc\xc3\x9fr aus", "0123456789", "x",
    "yy",       "zzz", "The ship", "wwwww",    "The end of it all"};

static void generate(fr_model *model, const char *const *list, size_t count,
                     const fr_sampling_options *options, texts *out, fr_generate_row *rows)
{
    fr_error error = {0};
    fr_generate_result result;
    fr_status status =
        fr_generate(model, tokenizer, list, count, options, collect, out, rows, &result, &error);
    if (status != FR_OK)
        fail_msg("%s", error.message);
}

static void test_a_rows_text_does_not_depend_on_the_other_rows(void **state)
{
    (void)state;
    fr_sampling_options options = sampling();
    for (int m = 0; m < 2; m++) {
        texts all = {.stop_row = -1}, some = {.stop_row = -1};
        generate(models[m], prompts, ROWS, &options, &all, NULL);
        for (size_t count = 1; count < ROWS; count += 2) {
            generate(models[m], prompts, count, &options, &some, NULL);
            for (size_t i = 0; i < count; i++)
                assert_string_equal(text_of(&some, (int)i), text_of(&all, (int)i));
            free_texts(&some);
        }
        /* The same row among strangers. */
        const char *strangers[] = {"something else", "A", "and a rather longer prompt than before",
                                   "The ship"};
        generate(models[m], strangers, 4, &options, &some, NULL);
        assert_string_equal(text_of(&some, 1), text_of(&all, 1));
        assert_string_equal(text_of(&some, 3), text_of(&all, 3));
        assert_string_not_equal(text_of(&all, 0),
                                text_of(&all, 3)); /* rows draw their own numbers */
        free_texts(&some);
        free_texts(&all);
    }
}

static void test_text_does_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    fr_sampling_options options = sampling();
    int threads = fr_threads();
    for (int m = 0; m < 2; m++) {
        texts one = {.stop_row = -1}, more = {.stop_row = -1};
        fr_threads_set(1);
        generate(models[m], prompts, ROWS, &options, &one, NULL);
        fr_threads_set(3);
        generate(models[m], prompts, ROWS, &options, &more, NULL);
        for (int i = 0; i < ROWS; i++)
            assert_string_equal(text_of(&one, i), text_of(&more, i));
        free_texts(&one);
        free_texts(&more);
    }
    fr_threads_set(threads);
}

/* The id of the largest logit after ids, computed without a cache. */
static int32_t likeliest(fr_model *model, const int32_t *ids, int64_t count)
{
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, NULL);
    fr_batch batch = {.ids = fr_tape_input(tape, FR_I32, 2, (int64_t[]){1, count}, ids)};
    fr_tensor *logits = fr_model_logits(model, tape, &batch, NULL);
    assert_int_equal(fr_tape_check(tape, NULL), FR_OK);
    const float *row = (const float *)fr_tensor_host(logits) + (count - 1) * model->vocabulary;
    int32_t best = 0;
    for (int32_t i = 1; i < model->vocabulary; i++)
        if (row[i] > row[best])
            best = i;
    fr_tape_destroy(tape);
    return best;
}

static void test_greedy_text_is_what_the_model_gives_without_a_cache(void **state)
{
    (void)state;
    fr_sampling_options options = sampling();
    options.temperature = 0;
    options.max_tokens = 20;
    for (int m = 0; m < MODELS; m++) {
        texts out = {.stop_row = -1};
        fr_generate_row rows[2];
        generate(models[m], (const char *[]){"ab", "The ship"}, 2, &options, &out, rows);
        int32_t ids[CONTEXT];
        int64_t count = 0;
        for (const char *p = "The ship"; *p; p++)
            ids[count++] = (unsigned char)*p;
        fr_strings none = {0};
        text_stream expected = {.stop = &none};
        fr_buffer bytes = {0};
        bool ended = false;
        for (int i = 0; i < 20 && !ended; i++) {
            int32_t id = likeliest(models[m], ids, count);
            ended = id == fr_tokenizer_end_of_text(tokenizer);
            if (!ended)
                fr_buffer_append(&bytes, &(char){(char)(ids[count++] = id)}, 1);
        }
        assert_int_equal(rows[1].end, ended ? FR_END_OF_TEXT : FR_END_TOKENS);
        assert_int_equal(rows[1].new_tokens, count - 8 + ended);
        text_stream_push(&expected, bytes.data, bytes.size);
        fr_buffer_clear(&bytes);
        fr_buffer_append(&bytes, expected.ready.data, expected.ready.size);
        text_stream_end(&expected);
        if (expected.ready.size)
            fr_buffer_append(&bytes, expected.ready.data, expected.ready.size);
        assert_string_equal(text_of(&out, 1), bytes.data);
        fr_buffer_free(&bytes);
        text_stream_free(&expected);
        free_texts(&out);
    }
}

/* Logits (V) of one more token for row 0 of `rows` rows that hold different prompts. */
static void step_logits(fr_model *model, int64_t rows, float *logits)
{
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, NULL);
    fr_cache *cache = fr_cache_create(model, rows, CONTEXT, NULL),
             *reader = fr_cache_create(model, 1, CONTEXT, NULL);
    int32_t ids[CONTEXT], next[8];
    for (int64_t b = 0; b < rows; b++) {
        int64_t count = 5 + 7 * b;
        for (int64_t i = 0; i < count; i++)
            ids[i] = (int32_t)((i * 31 + b * 17 + 3) % 256);
        fr_cache_clear(reader);
        fr_tape_reset(tape, 0);
        fr_batch batch = {.ids = fr_tape_input(tape, FR_I32, 2, (int64_t[]){1, count}, ids)};
        assert_non_null(fr_model_hidden(model, tape, &batch, reader));
        assert_int_equal(fr_cache_copy_row(cache, b, reader, 0, NULL), FR_OK);
        next[b] = (int32_t)(b * 11 + 40);
    }
    fr_tape_reset(tape, 0);
    fr_batch batch = {.ids = fr_tape_input(tape, FR_I32, 2, (int64_t[]){rows, 1}, next)};
    fr_tensor *result = fr_model_logits(model, tape, &batch, cache);
    assert_int_equal(fr_tape_check(tape, NULL), FR_OK);
    memcpy(logits, fr_tensor_host(result), (size_t)model->vocabulary * sizeof *logits);
    fr_cache_destroy(cache);
    fr_cache_destroy(reader);
    fr_tape_destroy(tape);
}

static void test_logits_of_a_row_have_the_same_bits_in_a_batch_of_any_size(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        float alone[512], together[512];
        step_logits(models[m], 1, alone);
        for (int64_t rows = 2; rows <= 8; rows++) {
            step_logits(models[m], rows, together);
            assert_memory_equal(alone, together, (size_t)models[m]->vocabulary * sizeof *alone);
        }
    }
}

static void test_rows_end_for_the_reason_they_report(void **state)
{
    (void)state;
    fr_sampling_options options = sampling();
    texts out = {.stop_row = -1};
    fr_generate_row rows[ROWS];
    options.max_tokens = 7;
    generate(models[0], prompts, ROWS, &options, &out, rows);
    for (int i = 0; i < ROWS; i++)
        assert_true(rows[i].end == FR_END_OF_TEXT ||
                    (rows[i].end == FR_END_TOKENS && rows[i].new_tokens == 7));
    free_texts(&out);

    options.max_tokens = 0;
    generate(models[0], prompts, ROWS, &options, &out, rows);
    int full = 0;
    for (int i = 0; i < ROWS; i++) {
        if (rows[i].end == FR_END_CONTEXT) {
            assert_int_equal(rows[i].prompt_tokens + rows[i].new_tokens, CONTEXT);
            full++;
        } else
            assert_int_equal(rows[i].end, FR_END_OF_TEXT);
    }
    assert_true(full > 0);
    free_texts(&out);

    options.max_tokens = 30;
    out.stop_row = 1;
    generate(models[0], prompts, 3, &options, &out, rows);
    assert_int_equal(rows[1].end, FR_END_CALLER);
    assert_true(rows[1].new_tokens < 10);
    free_texts(&out);
}

static void test_a_stop_string_ends_the_text_before_it(void **state)
{
    (void)state;
    fr_sampling_options options = sampling();
    texts free_text = {.stop_row = -1}, out = {.stop_row = -1};
    fr_generate_row rows[1];
    generate(models[1], prompts, 1, &options, &free_text, NULL);
    const char *text = text_of(&free_text, 0);
    /* Two neighbouring plain characters somewhere in the text. */
    size_t at = 5;
    while (text[at + 1] && ((unsigned char)text[at] >= 0x80 || (unsigned char)text[at + 1] >= 0x80))
        at++;
    assert_true(text[at] && text[at + 1]);
    char stop[3] = {text[at], text[at + 1], 0};
    options.stop = (fr_strings){(char *[]){"never comes", stop}, 2};
    generate(models[1], prompts, 1, &options, &out, rows);
    assert_int_equal(rows[0].end, FR_END_STOP);
    size_t expected = (size_t)(strstr(text, stop) - text);
    assert_int_equal(strlen(text_of(&out, 0)), expected);
    assert_memory_equal(text_of(&out, 0), text, expected);
    free_texts(&free_text);
    free_texts(&out);
}

static void test_a_prompt_that_fills_the_context_is_refused_before_any_text(void **state)
{
    (void)state;
    fr_error error;
    char long_prompt[CONTEXT + 1];
    memset(long_prompt, 'a', CONTEXT);
    long_prompt[CONTEXT] = 0;
    fr_sampling_options options = sampling();
    texts out = {.stop_row = -1};
    assert_int_equal(fr_generate(models[0], tokenizer, (const char *[]){"fine", long_prompt}, 2,
                                 &options, collect, &out, NULL, NULL, &error),
                     FR_BAD_INPUT);
    assert_int_equal(out.pieces, 0);
    assert_non_null(strstr(error.message, "prompt 2 has 64 tokens"));
}

/* The model of a longer table than its tokenizer's, whose decoder makes the text. */
static void test_ids_beyond_the_tokenizer_give_no_text(void **state)
{
    (void)state;
    fr_error error = {0};
    fr_tokenizer *small;
    fr_generate_row row;
    fr_sampling_options options = sampling();
    texts out = {.stop_row = -1};
    static const char words[] =
        "{\"version\": \"1.0\", \"added_tokens\": [], \"model\": {\"type\": \"WordLevel\", "
        "\"unk_token\": \"a\", \"vocab\": {\"a\": 0, \"the\": 1}}}";
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/frugal-words-%d.json", base ? base : P_tmpdir, (int)getpid());
    assert_int_equal(fr_file_write(path, words, sizeof words - 1, &error), FR_OK);
    assert_int_equal(fr_tokenizer_load(&small, path, &error), FR_OK);
    remove(path);
    assert_false(fr_tokenizer_decodes_bytes(small));
    if (fr_generate(models[0], small, (const char *[]){"the"}, 1, &options, collect, &out, &row,
                    NULL, &error) != FR_OK)
        fail_msg("%s", error.message);
    assert_true(row.new_tokens > 1);
    free_texts(&out);
    fr_tokenizer_free(small);
}

static void test_an_interruption_gives_out_the_text_so_far(void **state)
{
    (void)state;
    fr_error error;
    fr_sampling_options options = sampling();
    texts out = {.stop_row = -1};
    fr_generate_row rows[2];
    fr_interrupt_request();
    assert_int_equal(
        fr_generate(models[0], tokenizer, prompts, 2, &options, collect, &out, rows, NULL, &error),
        FR_INTERRUPTED);
    fr_interrupt_clear();
    assert_int_equal(rows[0].end, FR_END_CALLER);
    free_texts(&out);
}

static bool count_allocations(void *context, int64_t row, const char *text, size_t size)
{
    (void)row, (void)text, (void)size;
    uint64_t *seen = context; /* calls, allocations at the 30th, at the last */
    seen[0]++;
    seen[seen[0] <= 30 ? 1 : 2] = fr_allocation_count();
    return true;
}

static void test_a_steady_state_allocates_nothing(void **state)
{
    (void)state;
    fr_sampling_options options = sampling();
    options.max_tokens = 60;
    options.top_k = 20;
    uint64_t seen[3] = {0};
    const char *const one[] = {"a", "b", "c"};
    assert_int_equal(fr_generate(models[0], tokenizer, one, 3, &options, count_allocations, seen,
                                 NULL, NULL, NULL),
                     FR_OK);
    assert_true(seen[0] > 40);
    assert_int_equal(seen[1], seen[2]);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

/* Summed nats of one document by the definition: each window alone, full logits, softmax in double.
 */
static double nats_by_hand(fr_model *model, const char *text, int64_t length)
{
    int64_t count = (int64_t)strlen(text);
    int32_t *s = malloc((size_t)(count + 1) * sizeof *s);
    s[0] = (int32_t)model->bos;
    for (int64_t i = 0; i < count; i++)
        s[i + 1] = (unsigned char)text[i];
    double nats = 0;
    int64_t stride = length > 1 ? length / 2 : 1;
    for (int64_t end = count < length ? count : length, scored = 0;
         scored<count; scored = end, end = end + stride> count ? count : end + stride) {
        int64_t begin = end > length ? end - length : 0;
        fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, NULL);
        fr_batch batch = {
            .ids = fr_tape_input(tape, FR_I32, 2, (int64_t[]){1, end - begin}, s + begin)};
        const float *logits = fr_tensor_host(fr_model_logits(model, tape, &batch, NULL));
        for (int64_t target = scored + 1; target <= end; target++) {
            const float *row = logits + (target - 1 - begin) * model->vocabulary;
            double sum = 0, top = row[0];
            for (int64_t v = 1; v < model->vocabulary; v++)
                top = fmax(top, row[v]);
            for (int64_t v = 0; v < model->vocabulary; v++)
                sum += exp(row[v] - top);
            nats += top + log(sum) - row[s[target]];
        }
        fr_tape_destroy(tape);
    }
    free(s);
    return nats;
}

typedef struct documents {
    const char *const *list;
    size_t count, next;
} documents;

static fr_status next_document(void *context, const char **text, size_t *size, fr_error *error)
{
    (void)error;
    documents *d = context;
    *text = d->next < d->count ? d->list[d->next++] : NULL;
    *size = *text ? strlen(*text) : 0;
    return FR_OK;
}

static const char *const library[] = {
    "A short one.",
    "",
    "A longer document that does not fit into one window of the length that is asked for here, and "
    "goes on for a while so that "
    "several windows overlap; each of its tokens must be scored once and once only.",
    "b",
    "Exactly one window long, 32 byte",
    "One window and a single byte more",
};
enum { DOCUMENTS = sizeof library / sizeof *library };

static void test_every_token_is_scored_once_in_windows_that_overlap(void **state)
{
    (void)state;
    for (int m = 0; m < MODELS; m++)
        for (int64_t length = 1; length <= CONTEXT;
             length = length < 3 ? length + 1 : length * 2 + length % 2) {
            fr_error error;
            fr_evaluation result;
            documents all = {library, DOCUMENTS, 0};
            if (fr_evaluate(models[m], tokenizer, next_document, &all, length, &result, &error) !=
                FR_OK)
                fail_msg("%s", error.message);
            double nats = 0;
            int64_t bytes = 0;
            for (size_t i = 0; i < DOCUMENTS; i++) {
                nats += nats_by_hand(models[m], library[i], length);
                bytes += (int64_t)strlen(library[i]);
            }
            assert_int_equal(result.tokens, bytes);
            assert_int_equal(result.bytes, bytes);
            assert_int_equal(result.documents, DOCUMENTS);
            assert_true(fabs(result.nats - nats) < 1e-5 * nats);
            assert_true(fabs(result.bits_per_byte - nats / log(2) / (double)bytes) < 1e-4);
            assert_true(fabs(result.perplexity - exp(result.loss)) < 1e-9 * result.perplexity);
        }
}

static void test_nats_are_those_that_transformers_gives_on_the_same_windows(void **state)
{
    (void)state;
    json_t *fixture = json_load_file("tests/fixtures/evaluation.json", 0, NULL), *expected;
    assert_non_null(fixture);
    const char *name;
    int64_t length = json_integer_value(json_object_get(fixture, "length"));
    assert_int_equal(json_object_size(json_object_get(fixture, "models")), 7);
    json_object_foreach(json_object_get(fixture, "models"), name, expected)
    {
        fr_error error;
        fr_model *model;
        fr_evaluator *evaluator;
        fr_evaluation result;
        char path[128];
        snprintf(path, sizeof path, "tests/fixtures/models/%s", name);
        if (fr_model_load(&model, path, &error) != FR_OK)
            fail_msg("%s", error.message);
        assert_int_equal(fr_evaluator_create(&evaluator, model, tokenizer, length, &error), FR_OK);
        size_t document_count = json_array_size(expected);
        for (size_t d = 0; d < document_count; d++) {
            int32_t ids[64];
            int64_t count =
                json_integer_value(json_array_get(json_object_get(fixture, "sizes"), d));
            for (int32_t i = 0; i < count; i++)
                ids[i] = (7 * i * i + 5 * (int32_t)d + 3) % 32;
            assert_int_equal(
                fr_evaluator_add_ids(evaluator, (int64_t)d, ids, (size_t)count, count, &error),
                FR_OK);
        }
        for (size_t d = 0; d < document_count; d++) {
            assert_int_equal(fr_evaluator_result(evaluator, (int64_t)d, &result, &error), FR_OK);
            double nats = json_number_value(json_array_get(expected, d));
            if (fabs(result.nats - nats) > 1e-5 * nats)
                fail_msg("%s, document %zu: %.8f nats, transformers has %.8f", name, d, result.nats,
                         nats);
        }
        fr_evaluator_destroy(evaluator);
        fr_model_destroy(model);
    }
    json_decref(fixture);
}

static void test_groups_are_counted_apart_and_sum_to_the_whole(void **state)
{
    (void)state;
    fr_evaluator *evaluator;
    assert_int_equal(fr_evaluator_create(&evaluator, models[0], tokenizer, 16, NULL), FR_OK);
    for (size_t i = 0; i < DOCUMENTS; i++)
        assert_int_equal(
            fr_evaluator_add(evaluator, (int64_t)(i % 3), library[i], strlen(library[i]), NULL),
            FR_OK);
    fr_evaluation all, one;
    double nats = 0;
    assert_int_equal(fr_evaluator_result(evaluator, -1, &all, NULL), FR_OK);
    for (int64_t g = 0; g < 3; g++) {
        assert_int_equal(fr_evaluator_result(evaluator, g, &one, NULL), FR_OK);
        double expected =
            nats_by_hand(models[0], library[g], 16) + nats_by_hand(models[0], library[g + 3], 16);
        assert_true(fabs(one.nats - expected) < 1e-5 * expected);
        nats += one.nats;
    }
    assert_true(fabs(nats - all.nats) < 1e-9 * nats);
    /* Ids given directly count the same. */
    int32_t ids[64];
    for (size_t i = 0; i < strlen(library[0]); i++)
        ids[i] = (unsigned char)library[0][i];
    assert_int_equal(fr_evaluator_add_ids(evaluator, 3, ids, strlen(library[0]), 12, NULL), FR_OK);
    assert_int_equal(fr_evaluator_result(evaluator, 3, &one, NULL), FR_OK);
    assert_true(fabs(one.nats - nats_by_hand(models[0], library[0], 16)) < 1e-5 * one.nats);
    fr_evaluator_destroy(evaluator);
}

static void test_evaluation_is_the_same_on_any_number_of_threads(void **state)
{
    (void)state;
    int threads = fr_threads();
    fr_evaluation result[2];
    for (int i = 0; i < 2; i++) {
        documents all = {library, DOCUMENTS, 0};
        fr_threads_set(1 + 2 * i);
        assert_int_equal(
            fr_evaluate(models[0], tokenizer, next_document, &all, 0, &result[i], NULL), FR_OK);
    }
    fr_threads_set(threads);
    assert_true(result[0].nats == result[1].nats);
}

static void test_ids_and_windows_beyond_the_model_are_refused(void **state)
{
    (void)state;
    fr_error error;
    fr_evaluator *evaluator;
    assert_int_equal(fr_evaluator_create(&evaluator, models[0], tokenizer, CONTEXT + 1, &error),
                     FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "65"));
    assert_int_equal(fr_evaluator_create(&evaluator, models[0], tokenizer, 0, &error), FR_OK);
    int32_t ids[] = {1, 100000};
    assert_int_equal(fr_evaluator_add_ids(evaluator, 0, ids, 2, 2, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "100000"));
    fr_evaluator_destroy(evaluator);
}

/* ---- encoder-decoders ---- */

static fr_tensor *ids_on(fr_tape *tape, int64_t rows, int64_t columns, const int32_t *ids)
{
    return fr_tape_input(tape, FR_I32, 2, (int64_t[]){rows, columns}, ids);
}

/* What the cache keeps of the encoder is what the decoder reads without one, for rows of any length. */
static void test_a_decoder_s_steps_through_a_cache_give_what_whole_rows_give(void **state)
{
    (void)state;
    enum { SOURCE = 5, TARGET = 4 };
    static const char *const sections[] = {
        "model: {kind: t5, d_model: 16, d_kv: 4, num_layers: 1, num_heads: 2}",
        "model: {kind: bart, model_type: mbart, d_model: 16, encoder_layers: 1, decoder_layers: "
        "2}"};
    static const int32_t source[2 * SOURCE] = {5, 6, 7, 8, 9, 9, 8, 7, 0, 0};
    static const int32_t target[2 * TARGET] = {1, 2, 3, 4, 4, 3, 2, 1}, lengths[] = {SOURCE, 3};
    for (int m = 0; m < 2; m++) {
        fr_model *model = make_model(sections[m]);
        fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, NULL);
        fr_cache *cache = fr_cache_create(model, 2, TARGET, NULL);
        assert_non_null(cache);
        fr_batch batch = {.ids = ids_on(tape, 2, SOURCE, source),
                          .lengths = fr_tape_input(tape, FR_I32, 1, (int64_t[]){2}, lengths),
                          .decoder_ids = ids_on(tape, 2, TARGET, target)};
        const float *whole = fr_tensor_host(fr_model_hidden(model, tape, &batch, NULL));
        assert_true(fr_model_encode(model, tape, &batch, cache));
        for (int t = 0; t < TARGET; t++) {
            const int32_t now[] = {target[t], target[TARGET + t]};
            fr_batch step = {.decoder_ids = ids_on(tape, 2, 1, now)};
            const float *part = fr_tensor_host(fr_model_hidden(model, tape, &step, cache));
            for (int k = 0; k < 16; k++)
                for (int b = 0; b < 2; b++)
                    assert_float_equal(part[b * 16 + k], whole[(b * TARGET + t) * 16 + k], 1e-4);
        }
        fr_cache_destroy(cache);
        fr_tape_destroy(tape);
        fr_model_destroy(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rows_text_does_not_depend_on_the_other_rows),
        cmocka_unit_test(test_text_does_not_depend_on_the_number_of_threads),
        cmocka_unit_test(test_greedy_text_is_what_the_model_gives_without_a_cache),
        cmocka_unit_test(test_logits_of_a_row_have_the_same_bits_in_a_batch_of_any_size),
        cmocka_unit_test(test_rows_end_for_the_reason_they_report),
        cmocka_unit_test(test_a_stop_string_ends_the_text_before_it),
        cmocka_unit_test(test_a_prompt_that_fills_the_context_is_refused_before_any_text),
        cmocka_unit_test(test_ids_beyond_the_tokenizer_give_no_text),
        cmocka_unit_test(test_an_interruption_gives_out_the_text_so_far),
        cmocka_unit_test(test_a_steady_state_allocates_nothing),
        cmocka_unit_test(test_every_token_is_scored_once_in_windows_that_overlap),
        cmocka_unit_test(test_nats_are_those_that_transformers_gives_on_the_same_windows),
        cmocka_unit_test(test_groups_are_counted_apart_and_sum_to_the_whole),
        cmocka_unit_test(test_evaluation_is_the_same_on_any_number_of_threads),
        cmocka_unit_test(test_ids_and_windows_beyond_the_model_are_refused),
        cmocka_unit_test(test_a_decoder_s_steps_through_a_cache_give_what_whole_rows_give),
    };
    return cmocka_run_group_tests(tests, make_models, free_models);
}
