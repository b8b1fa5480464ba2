/* test_encoders.c: what encoders compute does not depend on padding, on documents that share a row or on how a head came; what
   they cannot do is refused by name; folders of older programs are read. (That they compute what transformers does is
   test_peer_families' part.) */
#include "frugal/formats.h"
#include "models_help.h"

#include <unistd.h>

#define SIZES "hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, vocab_size: 50"

/* One recipe for each way in which an encoder may read. */
static const char *const encoders[] = {
    "kind: bert, " SIZES,
    "kind: roberta, " SIZES,
    "kind: xlm-roberta, " SIZES,
    "kind: electra, embedding_size: 8, " SIZES,
    "kind: distilbert, dim: 16, n_layers: 2, n_heads: 2, vocab_size: 50",
    "kind: mpnet, " SIZES,
    "kind: longformer, attention_window: 4, " SIZES,
    "kind: modernbert, local_attention: 4, global_attn_every_n_layers: 2, " SIZES,
};
enum { ENCODERS = sizeof encoders / sizeof *encoders, WIDTH = 16 };

/* The same with the head for a task. */
static fr_model *headed(const char *fields, fr_task task, bool shapes_only)
{
    char text[512];
    const fr_model_kind *kind;
    void *config;
    fr_model *model = NULL;
    fr_recipe *recipe;
    fr_error error = {0};
    snprintf(text, sizeof text, "model: {%s}\n", fields);
    must(fr_recipe_parse(&recipe, text, strlen(text), "test.yaml", &error), &error);
    must(fr_model_config_read(fr_recipe_section(recipe, "model"), &kind, &config, &error), &error);
    if (fr_model_class_find(kind, NULL, task))
        must(fr_model_create_as(&model, kind, config, &(fr_model_head){.task = task}, 3,
                                shapes_only, &error),
             &error);
    fr_model_config_free(kind, config);
    fr_recipe_free(recipe);
    return model;
}

/* ids that hold no padding id and no separator. */
static fr_tensor *text_of(fr_tape *tape, int64_t rows, int64_t columns)
{
    fr_tensor *ids = ids_of(tape, rows, columns);
    int32_t *id = fr_tensor_host(ids);
    for (int64_t i = 0; i < rows * columns; i++)
        id[i] = 5 + id[i] % 45;
    return ids;
}

static void same(const float *a, const float *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)a[i] - (double)b[i]) < 1e-5))
            fail_msg("number %lld is %g, and %g", (long long)i, (double)a[i], (double)b[i]);
}

/* ---- what a row gives ---- */

static void test_padding_changes_nothing_about_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < ENCODERS; i++) {
        fr_model *model = headed(encoders[i], FR_TASK_SEQUENCE_CLASSIFICATION, false);
        fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
        fr_batch alone = {.ids = text_of(tape, 1, 7)};
        int32_t rows[2 * 11];
        for (int t = 0; t < 11; t++) {
            rows[t] = 9;
            rows[11 + t] = t < 7 ? ((int32_t *)fr_tensor_host(alone.ids))[t] : (int32_t)model->pad;
            if (rows[11 + t] < 0)
                rows[11 + t] = 0;
        }
        const int64_t two = 2;
        fr_batch padded = {.ids = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){2, 11}, rows),
                           .lengths =
                               fr_tape_input(tape, FR_I32, 1, &two, (const int32_t[]){11, 7})};
        fr_outputs a, b;
        fr_error error = {0};
        fr_model_outputs(model, tape, &alone, &a);
        fr_model_outputs(model, tape, &padded, &b);
        must(fr_tape_check(tape, &error), &error);
        same(fr_tensor_host(fr_outputs_find(&a, "logits")),
             (float *)fr_tensor_host(fr_outputs_find(&b, "logits")) + 2, 2);
        same(fr_tensor_host(fr_outputs_find(&a, "last_hidden_state")),
             (float *)fr_tensor_host(fr_outputs_find(&b, "last_hidden_state")) + 11 * WIDTH,
             7 * WIDTH);
        fr_tape_destroy(tape);
        fr_model_destroy(model);
    }
}

static void test_documents_that_share_a_row_do_not_see_each_other(void **state)
{
    (void)state;
    for (int i = 0; i < ENCODERS; i++) {
        fr_model *model = headed(encoders[i], FR_TASK_MASKED_LM, false);
        fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
        fr_tensor *ids = text_of(tape, 1, 9);
        fr_batch packed = {.ids = ids,
                           .positions = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){1, 9},
                                                      (const int32_t[]){0, 1, 2, 3, 0, 1, 2, 3, 4}),
                           .segments = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){1, 9},
                                                     (const int32_t[]){0, 0, 0, 0, 1, 1, 1, 1, 1})};
        fr_batch second = {.ids = fr_tape_input(tape, FR_I32, 2, (const int64_t[]){1, 5},
                                                (int32_t *)fr_tensor_host(ids) + 4)};
        fr_error error = {0};
        fr_tensor *both = fr_model_hidden(model, tape, &packed, NULL);
        fr_tensor *one = fr_model_hidden(model, tape, &second, NULL);
        must(fr_tape_check(tape, &error), &error);
        same(fr_tensor_host(one), (float *)fr_tensor_host(both) + 4 * WIDTH, 5 * WIDTH);
        fr_tape_destroy(tape);
        fr_model_destroy(model);
    }
}

static void test_every_head_can_be_planned_without_weights(void **state)
{
    (void)state;
    static const fr_task tasks[] = {FR_TASK_NONE,
                                    FR_TASK_MASKED_LM,
                                    FR_TASK_PRETRAINING,
                                    FR_TASK_NEXT_SENTENCE,
                                    FR_TASK_SEQUENCE_CLASSIFICATION,
                                    FR_TASK_TOKEN_CLASSIFICATION,
                                    FR_TASK_MULTIPLE_CHOICE,
                                    FR_TASK_QUESTION_ANSWERING,
                                    FR_TASK_REPLACED_TOKEN};
    for (int i = 0; i < ENCODERS; i++)
        for (size_t k = 0; k < sizeof tasks / sizeof *tasks; k++) {
            fr_model *shapes = headed(encoders[i], tasks[k], true);
            if (!shapes)
                continue;
            fr_tape *tape = tape_of(FR_TAPE_TRAIN, true);
            fr_batch batch = {.ids = fr_tape_tensor(tape, FR_I32, 2, (const int64_t[]){4, 8}),
                              .choices = 2};
            fr_outputs out;
            fr_error error = {0};
            fr_model_outputs(shapes, tape, &batch, &out);
            must(fr_tape_check(tape, &error), &error);
            for (int n = 0; n < out.count; n++)
                assert_int_equal(out.items[n].tensor->shape[0],
                                 tasks[k] == FR_TASK_MULTIPLE_CHOICE && n == 0 ? 2 : 4);
            assert_true(fr_tape_forward_cost(tape).flops > 0);
            fr_tape_destroy(tape);
            fr_model_destroy(shapes);
        }
}

/* ---- training ---- */

static const char *const dropping[] = {
    "kind: bert, hidden_dropout_prob: 0.2, attention_probs_dropout_prob: 0.3, " SIZES,
    "kind: electra, embedding_size: 8, hidden_dropout_prob: 0.2, attention_probs_dropout_prob: "
    "0.3, " SIZES,
    "kind: distilbert, dim: 16, n_layers: 2, n_heads: 2, vocab_size: 50, dropout: 0.2, "
    "attention_dropout: 0.3, seq_classif_dropout: 0.1",
    "kind: mpnet, hidden_dropout_prob: 0.2, attention_probs_dropout_prob: 0.3, " SIZES,
    "kind: longformer, attention_window: 4, hidden_dropout_prob: 0.2, "
    "attention_probs_dropout_prob: 0.3, " SIZES,
    "kind: modernbert, local_attention: 4, attention_dropout: 0.2, mlp_dropout: 0.2, "
    "embedding_dropout: 0.1, classifier_dropout: 0.2, " SIZES,
};
enum { DROPPING = sizeof dropping / sizeof *dropping };

/* The gradient of the table of words for the sum of the logits at a step. */
static const float *word_gradient(fr_model *model, uint64_t step, bool training, bool recompute)
{
    fr_tape *tape =
        fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_TRAIN, .training = training}, NULL);
    fr_error error = {0};
    fr_outputs out;
    fr_tape_reset(tape, step);
    fr_batch batch = {.ids = text_of(tape, 2, 9)};
    model->recompute = recompute;
    fr_model_zero_gradients(model);
    fr_model_outputs(model, tape, &batch, &out);
    fr_tensor *logits = fr_outputs_find(&out, "logits");
    must(fr_tape_check(tape, &error), &error);
    fr_tensor *total = fr_sum(tape, fr_multiply(tape, logits, logits));
    must(fr_tape_backward(tape, total, 1, &error), &error);
    fr_tape_destroy(tape);
    return fr_tensor_host(model->parameters[0]->value->grad);
}

static void test_dropout_drops_in_training_alone_and_recomputes_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < DROPPING; i++) {
        fr_model *model = headed(dropping[i], FR_TASK_SEQUENCE_CLASSIFICATION, false);
        must(fr_model_create_gradients(model, NULL), NULL);
        float first[50 * WIDTH], calm[50 * WIDTH];
        size_t bytes = fr_tensor_bytes(model->parameters[0]->value);
        assert_true(bytes <= sizeof first);
        memcpy(first, word_gradient(model, 3, true, false), bytes);
        assert_memory_equal(word_gradient(model, 3, true, false), first, bytes);
        assert_memory_equal(word_gradient(model, 3, true, true), first, bytes);
        assert_memory_not_equal(word_gradient(model, 4, true, false), first, bytes);
        memcpy(calm, word_gradient(model, 3, false, false), bytes);
        assert_memory_equal(word_gradient(model, 4, false, true), calm, bytes);
        fr_model_destroy(model);
    }
}

/* ---- what is refused ---- */

static void refuses(fr_model *model, fr_tape *tape, const fr_batch *batch, const char *message)
{
    fr_outputs out;
    fr_error error = {0};
    fr_model_outputs(model, tape, batch, &out);
    assert_int_not_equal(fr_tape_check(tape, &error), FR_OK);
    contains(error.message, message);
    fr_tape_reset(tape, 0);
}

static void test_encoders_do_not_generate(void **state)
{
    (void)state;
    for (int i = 0; i < ENCODERS; i++) {
        fr_model *model = headed(encoders[i], FR_TASK_MASKED_LM, false);
        fr_cache *cache = fr_cache_create(model, 1, 8, NULL);
        fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
        fr_batch batch = {.ids = text_of(tape, 1, 4)};
        fr_error error = {0};
        assert_null(fr_model_logits(model, tape, &batch, cache));
        assert_int_equal(fr_tape_check(tape, &error), FR_UNSUPPORTED);
        contains(error.message, "is an encoder: it reads a text as a whole and does not generate");
        fr_tape_destroy(tape);
        fr_cache_destroy(cache);
        fr_model_destroy(model);
    }
}

static void test_rows_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_model *bert = model_of("kind: bert, max_position_embeddings: 6, " SIZES, false);
    refuses(bert, tape, &(fr_batch){.ids = text_of(tape, 1, 7)},
            "a row of 7 tokens is longer than the model's 6 positions");
    fr_model *roberta = model_of("kind: roberta, max_position_embeddings: 6, " SIZES, false);
    assert_int_equal(roberta->max_positions, 4);
    refuses(roberta, tape, &(fr_batch){.ids = text_of(tape, 1, 5)},
            "a row of 5 tokens is longer than the model's 4 positions");
    fr_model *mpnet = model_of("kind: mpnet, " SIZES, false);
    fr_batch typed = {.ids = text_of(tape, 1, 5), .types = text_of(tape, 1, 5)};
    refuses(mpnet, tape, &typed, "model mpnet has no token types");
    fr_model *choice = headed("kind: bert, " SIZES, FR_TASK_MULTIPLE_CHOICE, false);
    refuses(choice, tape, &(fr_batch){.ids = text_of(tape, 3, 5), .choices = 2},
            "3 rows are not a whole number of questions of 2 choices");
    fr_model *answer = headed("kind: longformer, " SIZES, FR_TASK_QUESTION_ANSWERING, false);
    refuses(answer, tape, &(fr_batch){.ids = text_of(tape, 1, 5)}, "has three separators (id 2)");
    fr_model *const models[] = {bert, roberta, mpnet, choice, answer};
    for (int i = 0; i < 5; i++)
        fr_model_destroy(models[i]);
    fr_tape_destroy(tape);
}

/* ---- folders ---- */

static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/frugal-encoders-XXXXXX", base ? base : P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fr_folder_remove(folder, NULL) == FR_OK ? 0 : -1;
}

static const char *in_folder(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Refused when config.json has `field` besides. */
static void refuses_field(const char *field, const char *message)
{
    char text[300];
    fr_model *model = NULL;
    fr_error error = {0};
    snprintf(text, sizeof text,
             "{\"model_type\": \"bert\", \"architectures\": [\"BertModel\"], \"vocab_size\": 50, "
             "\"hidden_size\": 24, %s}",
             field);
    must(fr_file_write(in_folder("config.json"), text, strlen(text), NULL), NULL);
    assert_int_not_equal(fr_model_load(&model, folder, &error), FR_OK);
    contains(error.message, message);
}

static void test_fields_that_would_make_it_another_model_are_refused(void **state)
{
    (void)state;
    refuses_field("\"is_decoder\": true", "is_decoder is true: only encoders are supported");
    refuses_field("\"add_cross_attention\": true", "field 'add_cross_attention'");
    refuses_field("\"position_embedding_type\": \"relative_key\"",
                  "position_embedding_type 'relative_key' is not supported");
    refuses_field("\"hidden_act\": \"mish\"", "'mish'");
    refuses_field("\"num_attention_heads\": 5", "does not divide");
    refuses_field("\"pad_token_id\": 50", "pad_token_id is not in the vocabulary");
}

/* model.safetensors of a body without pooler, with the names of norms that the first files had. */
static void write_as_of_old(const fr_model *model)
{
    fr_safetensors_item items[64];
    char names[64][128];
    size_t count = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const char *name = model->parameters[i]->name;
        if (strstr(name, "pooler"))
            continue;
        const char *end = strrchr(name, '.');
        bool norm = strstr(name, "LayerNorm") != NULL;
        const char *old = strcmp(end, ".weight") == 0 ? ".gamma" : ".beta";
        snprintf(names[count], sizeof names[count], "%.*s%s", (int)(end - name), name,
                 norm ? old : end);
        items[count] =
            (fr_safetensors_item){names[count], model->parameters[i]->value, FR_F32, false};
        count++;
    }
    int64_t one = 1;
    fr_tensor *places = fr_tensor_create(FR_I64, 1, &one, FR_MEMORY_OTHER);
    items[count++] = (fr_safetensors_item){"bert.embeddings.position_ids", places, FR_I64, false};
    must(fr_safetensors_write(in_folder("model.safetensors"), items, count, NULL, NULL, NULL),
         NULL);
    fr_tensor_free(places);
}

static void test_old_names_and_a_missing_pooler_are_taken(void **state)
{
    (void)state;
    fr_model *model = headed("kind: bert, " SIZES, FR_TASK_NONE, false), *again = NULL;
    fr_error error = {0};
    must(fr_model_save(model, folder, FR_F32, &error), &error);
    write_as_of_old(model);
    must(fr_model_load(&again, folder, &error), &error);
    assert_int_equal(again->parameter_count, model->parameter_count - 2);
    assert_null(fr_model_parameter(again, "bert.pooler.dense.weight"));
    fr_tape *tape = tape_of(FR_TAPE_NO_GRAD, false);
    fr_batch batch = {.ids = text_of(tape, 1, 6)};
    fr_outputs a, b;
    fr_model_outputs(model, tape, &batch, &a);
    fr_model_outputs(again, tape, &batch, &b);
    must(fr_tape_check(tape, &error), &error);
    assert_non_null(fr_outputs_find(&a, "pooler_output"));
    assert_null(fr_outputs_find(&b, "pooler_output"));
    same(fr_tensor_host(fr_outputs_find(&a, "last_hidden_state")),
         fr_tensor_host(fr_outputs_find(&b, "last_hidden_state")), 6 * WIDTH);
    must(fr_model_save(again, folder, FR_F32, &error), &error); /* and it is written without */
    fr_model_destroy(again);
    must(fr_model_load(&again, folder, &error), &error);
    fr_tape_destroy(tape);
    fr_model_destroy(again);
    fr_model_destroy(model);
}

/* Load the folder with a head of `labels`; returns how far the body's first numbers are from `model`'s. */
static fr_model *load_with(fr_task task, int64_t labels)
{
    fr_model *model = NULL;
    fr_error error = {0};
    const fr_model_head head = {.task = task, .labels = labels};
    must(fr_model_load_as(&model, folder, &(fr_model_change){.head = &head, .seed = 9}, &error),
         &error);
    return model;
}

static void test_a_head_of_another_task_or_size_begins_afresh(void **state)
{
    (void)state;
    for (int i = 0; i < ENCODERS; i++) {
        fr_model *model = headed(encoders[i], FR_TASK_MASKED_LM, false);
        must(fr_model_save(model, folder, FR_F32, NULL), NULL);
        fr_model *three = load_with(FR_TASK_SEQUENCE_CLASSIFICATION, 3);
        assert_int_equal(three->head.labels, 3);
        must(fr_model_save(three, folder, FR_F32, NULL), NULL);
        fr_model *five = load_with(FR_TASK_SEQUENCE_CLASSIFICATION, 5);
        const fr_tensor *words = model->parameters[0]->value;
        assert_memory_equal(fr_tensor_host((fr_tensor *)words),
                            fr_tensor_host(five->parameters[0]->value), fr_tensor_bytes(words));
        fr_model_destroy(five);
        fr_model_destroy(three);
        fr_model_destroy(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padding_changes_nothing_about_a_text),
        cmocka_unit_test(test_documents_that_share_a_row_do_not_see_each_other),
        cmocka_unit_test(test_every_head_can_be_planned_without_weights),
        cmocka_unit_test(test_dropout_drops_in_training_alone_and_recomputes_the_same),
        cmocka_unit_test(test_encoders_do_not_generate),
        cmocka_unit_test(test_rows_that_do_not_fit_are_refused),
        cmocka_unit_test_setup_teardown(test_fields_that_would_make_it_another_model_are_refused,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_old_names_and_a_missing_pooler_are_taken, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_a_head_of_another_task_or_size_begins_afresh,
                                        make_folder, remove_folder),
    };
    return cmocka_run_group_tests_name("encoders", tests, NULL, NULL);
}
