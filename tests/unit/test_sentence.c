/* test_sentence.c: states of tokens become vectors as sentence-transformers' modules say; its folders are read, refused and
   written. */
#include "frugal/decode.h"
#include "models_help.h"

#include <unistd.h>

/* ---- pooling ---- */

enum { ROWS = 2, TOKENS = 3, WIDTH = 2 };
/* The second row has two tokens and one of padding. */
static const float states[] = {1, 5, 3, -4, 2, 8, -1, -2, -3, -6, 100, 100};

static fr_tensor *pool(fr_tape *tape, fr_pooling mode)
{
    const int64_t rows = ROWS;
    fr_tensor *x = fr_tape_input(tape, FR_F32, 3, (const int64_t[]){ROWS, TOKENS, WIDTH}, states);
    fr_tensor *lengths = fr_tape_input(tape, FR_I32, 1, &rows, (const int32_t[]){3, 2});
    return fr_pool(tape, x, lengths, mode);
}

static void gives(fr_pooling mode, const float expected[ROWS * WIDTH])
{
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    const float *found = fr_tensor_host(pool(tape, mode));
    for (int i = 0; i < ROWS * WIDTH; i++)
        if (!(fabsf(found[i] - expected[i]) < 1e-5F))
            fail_msg("%s: number %d is %g, not %g", fr_pooling_names[mode], i, (double)found[i],
                     (double)expected[i]);
    fr_tape_destroy(tape);
}

static void test_each_pooling_gives_its_vector_and_leaves_padding_out(void **state)
{
    (void)state;
    gives(FR_POOLING_CLS, (const float[]){1, 5, -1, -2});
    gives(FR_POOLING_MAX, (const float[]){3, 8, -1, -2});
    gives(FR_POOLING_MEAN, (const float[]){2, 3, -2, -4});
    gives(FR_POOLING_MEAN_SQRT,
          (const float[]){6 / sqrtf(3), 9 / sqrtf(3), -4 / sqrtf(2), -8 / sqrtf(2)});
    gives(FR_POOLING_WEIGHTED_MEAN, (const float[]){13.0F / 6, 21.0F / 6, -7.0F / 3, -14.0F / 3});
    gives(FR_POOLING_LAST, (const float[]){2, 8, -3, -6});
}

static void test_gradients_flow_to_the_tokens_that_were_pooled(void **state)
{
    (void)state;
    static const float expected[FR_POOLINGS][ROWS * TOKENS] = {
        [FR_POOLING_CLS] = {1, 0, 0, 1, 0, 0},
        [FR_POOLING_MAX] = {0, 1, 0, 1, 0, 0}, /* of the first column */
        [FR_POOLING_MEAN] = {1 / 3.0F, 1 / 3.0F, 1 / 3.0F, 0.5F, 0.5F, 0},
        [FR_POOLING_MEAN_SQRT] = {0.57735F, 0.57735F, 0.57735F, 0.70711F, 0.70711F, 0},
        [FR_POOLING_WEIGHTED_MEAN] = {1 / 6.0F, 2 / 6.0F, 3 / 6.0F, 1 / 3.0F, 2 / 3.0F, 0},
        [FR_POOLING_LAST] = {0, 0, 1, 0, 1, 0}};
    for (int mode = 0; mode < FR_POOLINGS; mode++) {
        const int64_t rows = ROWS;
        fr_tape *tape = tape_of(FR_TAPE_TRAIN, false);
        fr_tensor *x =
            fr_tape_input(tape, FR_F32, 3, (const int64_t[]){ROWS, TOKENS, WIDTH}, states);
        x->requires_grad = true;
        fr_tensor *lengths = fr_tape_input(tape, FR_I32, 1, &rows, (const int32_t[]){3, 2});
        fr_tensor *total = fr_sum(tape, fr_pool(tape, x, lengths, (fr_pooling)mode));
        must(fr_tape_backward(tape, total, 1, NULL), NULL);
        const float *gradient = fr_tensor_host(x->grad);
        for (int i = 0; i < ROWS * TOKENS; i++)
            assert_true(fabsf(gradient[i * WIDTH] - expected[mode][i]) < 1e-5F);
        fr_tape_destroy(tape);
    }
}

static void test_vectors_get_length_one(void **state)
{
    (void)state;
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_tensor *x = fr_tape_input(tape, FR_F32, 2, (const int64_t[]){3, 2},
                                 (const float[]){3, 4, 0, 0, -1e-3F, 0});
    const float *unit = fr_tensor_host(fr_normalize(tape, x));
    static const float expected[] = {0.6F, 0.8F, 0, 0, -1, 0};
    for (int i = 0; i < 6; i++)
        assert_true(fabsf(unit[i] - expected[i]) < 1e-6F);
    fr_tape_destroy(tape);
}

/* ---- folders ---- */

static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/frugal-sentence-XXXXXX", base ? base : P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fr_folder_remove(folder, NULL) == FR_OK ? 0 : -1;
}

static void put(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    must(fr_file_write(path, text, strlen(text), NULL), NULL);
}

#define TRANSFORMER                                                                                \
    "{\"idx\": 0, \"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"}"
#define POOLING                                                                                    \
    "{\"idx\": 1, \"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}"
#define NORMALIZE                                                                                  \
    "{\"idx\": 2, \"path\": \"2_Normalize\", \"type\": "                                           \
    "\"sentence_transformers.models.Normalize\"}"

static void begin(const char *modules, const char *pooling)
{
    char path[400];
    must(fr_folder_remove(folder, NULL), NULL);
    snprintf(path, sizeof path, "%s/1_Pooling", folder);
    must(fr_folder_create(path, NULL), NULL);
    put("modules.json", modules);
    put("1_Pooling/config.json", pooling);
}

static fr_sentence load(void)
{
    fr_sentence sentence;
    fr_error error = {0};
    must(fr_sentence_load(&sentence, folder, &error), &error);
    return sentence;
}

static void refuses(const char *message)
{
    fr_sentence sentence;
    fr_error error = {0};
    assert_int_not_equal(fr_sentence_load(&sentence, folder, &error), FR_OK);
    contains(error.message, message);
}

static void test_old_and_new_folders_say_the_same(void **state)
{
    (void)state;
    begin("[" TRANSFORMER "," POOLING "," NORMALIZE "]",
          "{\"word_embedding_dimension\": 384, \"pooling_mode_cls_token\": true, "
          "\"pooling_mode_max_tokens\": false, \"pooling_mode_mean_tokens\": true}");
    put("sentence_bert_config.json", "{\"max_seq_length\": 128, \"do_lower_case\": false}");
    put("config_sentence_transformers.json",
        "{\"prompts\": {\"query\": \"query: \"}, \"default_prompt_name\": \"query\"}");
    fr_sentence old = load();
    assert_int_equal(old.poolings, 2);
    assert_int_equal(old.pooling[0], FR_POOLING_CLS);
    assert_int_equal(old.pooling[1], FR_POOLING_MEAN);
    assert_true(old.normalize);
    assert_int_equal(old.max_tokens, 128);
    assert_string_equal(old.prompt, "query: ");
    fr_sentence_free(&old);
    begin("[" TRANSFORMER "," POOLING "]",
          "{\"embedding_dimension\": 384, \"pooling_mode\": [\"cls\", \"lasttoken\"], "
          "\"include_prompt\": true}");
    put("tokenizer_config.json", "{\"model_max_length\": 256}");
    fr_sentence new = load();
    assert_int_equal(new.poolings, 2);
    assert_int_equal(new.pooling[1], FR_POOLING_LAST);
    assert_false(new.normalize);
    assert_int_equal(new.max_tokens, 256);
    assert_null(new.prompt);
    fr_sentence_free(&new);
}

static void test_a_plain_folder_is_pooled_by_its_mean(void **state)
{
    (void)state;
    must(fr_folder_remove(folder, NULL), NULL);
    must(fr_folder_create(folder, NULL), NULL);
    fr_sentence plain = load();
    assert_int_equal(plain.poolings, 1);
    assert_int_equal(plain.pooling[0], FR_POOLING_MEAN);
    assert_int_equal(plain.max_tokens, 0);
    assert_string_equal(plain.model_path, "");
    fr_sentence_free(&plain);
}

static void test_what_would_give_other_vectors_is_refused(void **state)
{
    (void)state;
    begin("[" TRANSFORMER "," POOLING
          ",{\"path\": \"2_Dense\", \"type\": \"sentence_transformers.models.Dense\"}]",
          "{}");
    refuses("module 2 is a 'Dense'");
    begin("[{\"path\": \"\", \"type\": \"sentence_transformers.models.CLIPModel\"}," POOLING "]",
          "{}");
    refuses("module 0 is a 'CLIPModel'");
    begin("[{\"path\": \"../other\", \"type\": \"a.Transformer\"}," POOLING "]", "{}");
    refuses("no path inside the folder");
    begin("[" TRANSFORMER "]", "{}");
    refuses("at least a Transformer and Pooling");
    begin("{}", "{}");
    refuses("expected a list");
    begin("[" TRANSFORMER "," POOLING "]", "{\"pooling_mode\": \"attention\"}");
    refuses("pooling_mode 'attention'");
    begin("[" TRANSFORMER "," POOLING "]", "{\"include_prompt\": false}");
    refuses("include_prompt false");
    begin("[" TRANSFORMER "," POOLING "]", "{\"new_way\": 3}");
    refuses("field 'new_way'");
    begin("[" TRANSFORMER "," POOLING "]", "{}");
    put("sentence_bert_config.json", "{\"do_lower_case\": true}");
    refuses("field 'do_lower_case'");
    put("sentence_bert_config.json", "{\"max_seq_length\": \"long\"}");
    refuses("the longest text is not a number");
    put("sentence_bert_config.json", "{}");
    put("config_sentence_transformers.json", "{\"default_prompt_name\": \"query\"}");
    refuses("prompts has none called 'query'");
}

static void test_what_is_written_says_the_same_again(void **state)
{
    (void)state;
    char prompt[] = "query: ";
    const fr_sentence sentence = {.pooling = {FR_POOLING_MEAN, FR_POOLING_WEIGHTED_MEAN},
                                  .poolings = 2,
                                  .normalize = true,
                                  .max_tokens = 77,
                                  .prompt = prompt};
    fr_error error = {0};
    fr_model *model =
        model_of("kind: bert, hidden_size: 8, num_hidden_layers: 1, vocab_size: 9", true);
    must(fr_folder_remove(folder, NULL), NULL);
    must(fr_folder_create(folder, NULL), NULL);
    must(fr_sentence_save(&sentence, model, folder, &error), &error);
    fr_sentence again = load();
    assert_int_equal(again.poolings, 2);
    assert_memory_equal(again.pooling, sentence.pooling, 2 * sizeof *again.pooling);
    assert_true(again.normalize);
    assert_int_equal(again.max_tokens, 77);
    assert_string_equal(again.prompt, prompt);
    fr_sentence_free(&again);
    fr_model_destroy(model);
}

static void replace(const char *name, const char *from, const char *to)
{
    char path[400];
    char *text;
    size_t size;
    fr_buffer out = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    must(fr_file_read(path, 0, &text, &size, NULL), NULL);
    char *at = strstr(text, from);
    assert_non_null(at);
    fr_buffer_printf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    must(fr_file_write(path, out.data, out.size, NULL), NULL);
    fr_buffer_free(&out);
    fr_free(text);
}

/* As all-mpnet-base-v2, whose config.json names a class with a head that the file does not hold. */
static void test_a_folder_of_sentences_is_a_body_with_a_vector_and_stays_one(void **state)
{
    (void)state;
    fr_error error = {0};
    fr_model *model, *again;
    must(try_recipe(&model, "kind: mpnet, hidden_size: 8, num_hidden_layers: 1, vocab_size: 50", 1,
                    false, &error),
         &error);
    must(fr_folder_remove(folder, NULL), NULL);
    must(fr_model_save(model, folder, FR_F32, &error), &error);
    const fr_sentence mean = {.pooling = {FR_POOLING_MEAN}, .poolings = 1, .normalize = true};
    must(fr_sentence_save(&mean, model, folder, &error), &error);
    fr_model_destroy(model);
    const fr_model_head none = {.task = FR_TASK_NONE};
    must(fr_model_load_as(&model, folder, &(fr_model_change){.head = &none}, &error), &error);
    assert_non_null(model->sentence);
    must(fr_model_save(model, folder, FR_F32, &error), &error);
    replace("config.json", "MPNetModel", "MPNetForMaskedLM");
    must(fr_model_load(&again, folder, &error), &error);
    assert_int_equal(again->head.task, FR_TASK_NONE);
    assert_true(again->sentence && again->sentence->normalize);
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_outputs outputs;
    fr_batch batch = {.ids = ids_of(tape, 2, 5)};
    fr_model_outputs(again, tape, &batch, &outputs);
    must(fr_tape_check(tape, &error), &error);
    fr_tensor *found = fr_outputs_find(&outputs, "sentence_embedding");
    fr_tensor *expected = fr_normalize(
        tape, fr_pool(tape, fr_outputs_find(&outputs, "last_hidden_state"), NULL, FR_POOLING_MEAN));
    assert_memory_equal(fr_tensor_host(found), fr_tensor_host(expected), fr_tensor_bytes(expected));
    fr_tape_destroy(tape);
    fr_model_destroy(again);
    fr_model_destroy(model);
}

/* ---- texts ---- */

static void test_each_text_gets_its_own_vector_in_whatever_company(void **state)
{
    (void)state;
    static const char *const texts[] = {"one", "a much longer text than the others", "two",
                                        "a much longer text than", "three words here"};
    enum { TEXTS = sizeof texts / sizeof *texts, C = 8 };
    fr_error error = {0};
    fr_tokenizer *tokenizer;
    must(fr_tokenizer_create_bytes(&tokenizer, &error), &error);
    fr_model *model =
        model_of("kind: bert, hidden_size: 8, num_hidden_layers: 2, vocab_size: 257", false);
    const fr_sentence sentence = {
        .pooling = {FR_POOLING_MEAN, FR_POOLING_MAX}, .poolings = 2, .max_tokens = 23};
    float together[TEXTS][2 * C], alone[2 * C];
    must(fr_embed(model, tokenizer, &sentence, texts, TEXTS, together[0], &error), &error);
    for (int i = 0; i < TEXTS; i++) {
        must(fr_embed(model, tokenizer, &sentence, &texts[i], 1, alone, &error), &error);
        for (int c = 0; c < 2 * C; c++)
            assert_true(fabsf(alone[c] - together[i][c]) < 1e-5F);
    }
    /* the long one was cut where the other ends */
    for (int c = 0; c < 2 * C; c++)
        assert_true(fabsf(together[1][c] - together[3][c]) < 1e-5F);
    assert_true(fabsf(together[0][0] - together[2][0]) > 1e-4F);
    const char *const empty = "";
    assert_int_equal(fr_embed(model, tokenizer, &sentence, &empty, 1, alone, &error), FR_BAD_INPUT);
    contains(error.message, "text 1 has no tokens");
    fr_model_destroy(model);
    fr_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_pooling_gives_its_vector_and_leaves_padding_out),
        cmocka_unit_test(test_gradients_flow_to_the_tokens_that_were_pooled),
        cmocka_unit_test(test_vectors_get_length_one),
        cmocka_unit_test(test_old_and_new_folders_say_the_same),
        cmocka_unit_test(test_a_plain_folder_is_pooled_by_its_mean),
        cmocka_unit_test(test_what_would_give_other_vectors_is_refused),
        cmocka_unit_test(test_what_is_written_says_the_same_again),
        cmocka_unit_test(test_each_text_gets_its_own_vector_in_whatever_company),
        cmocka_unit_test(test_a_folder_of_sentences_is_a_body_with_a_vector_and_stays_one),
    };
    return cmocka_run_group_tests_name("sentence encoders", tests, make_folder, remove_folder);
}
