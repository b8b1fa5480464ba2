/* test_model_folder.c: what a model folder says comes back when it is written again, in one file or in shards, and an index cannot lead
   out of its folder. */
#include "folder_help.h"

enum { SMALL_SHARD = 12000 };

static bool same_weights(const fr_model *a, const fr_model *b)
{
    for (size_t i = 0; i < a->parameter_count; i++)
        if (memcmp(fr_tensor_host(a->parameters[i]->value), fr_tensor_host(b->parameters[i]->value),
                   fr_tensor_bytes(a->parameters[i]->value)) != 0)
            return false;
    return a->parameter_count == b->parameter_count;
}

static fr_model *load(void)
{
    fr_model *model;
    fr_error error = {0};
    if (fr_model_load(&model, folder, &error) != FR_OK)
        fail_msg("%s", error.message);
    return model;
}

static void refuse(const char *words)
{
    fr_model *model;
    fr_error error = {0};
    fr_status status = fr_model_load(&model, folder, &error);
    if (status == FR_OK || !strstr(error.message, words))
        fail_msg("expected '%s', got '%s'", words, error.message);
}

static void test_shards_hold_the_same_model_as_one_file(void **state)
{
    (void)state;
    write_folder(0);
    assert_true(holds("model.safetensors"));
    fr_model *one = load();
    write_folder(SMALL_SHARD);
    assert_false(holds("model.safetensors"));
    assert_true(holds("model-00001-of-00003.safetensors"));
    fr_weight_folder weights;
    assert_int_equal(fr_weight_folder_open(&weights, folder, NULL), FR_OK);
    assert_int_equal(weights.count, 3);
    int64_t bytes = 0;
    for (size_t i = 0; i < weights.count; i++) {
        int64_t here = 0;
        for (size_t k = 0; k < fr_weight_file_count(weights.files[i]); k++)
            here += (int64_t)fr_weight_file_at(weights.files[i], k)->bytes;
        assert_true(here <= SMALL_SHARD || fr_weight_file_count(weights.files[i]) == 1);
        bytes += here;
    }
    assert_int_equal(weights.total_size, bytes);
    assert_int_equal(bytes, fr_model_parameter_total(one) * 4);
    fr_weight_folder_close(&weights);
    fr_model *shards = load();
    assert_true(same_weights(one, shards));
    fr_model_destroy(one);
    fr_model_destroy(shards);
}

static void test_a_save_removes_the_weights_of_the_one_before(void **state)
{
    (void)state;
    fr_model *model = make_model();
    write_folder(SMALL_SHARD);
    write_text("model-00001-of-00009.safetensors", "from long ago");
    write_text("model-notes.safetensors", "not ours");
    assert_int_equal(fr_model_save(model, folder, FR_BF16, NULL), FR_OK);
    assert_true(holds("model.safetensors"));
    assert_false(holds("model.safetensors.index.json"));
    assert_false(holds("model-00001-of-00003.safetensors"));
    assert_false(holds("model-00001-of-00009.safetensors"));
    assert_true(holds("model-notes.safetensors"));
    const fr_model_save_options how = {.dtype = FR_F32, .shard_bytes = SMALL_SHARD};
    assert_int_equal(fr_model_save_as(model, folder, &how, NULL), FR_OK);
    assert_false(holds("model.safetensors"));
    fr_model *again = load();
    assert_true(same_weights(model, again));
    fr_model_destroy(again);
    fr_model_destroy(model);
}

/* A save that cannot be finished leaves no model rather than a mixture of two. */
static void test_a_save_that_fails_leaves_no_config(void **state)
{
    (void)state;
    write_folder(0);
    char *blocked = fr_path_join(folder, "model.safetensors");
    unlink(blocked);
    assert_int_equal(fr_folder_create(blocked, NULL), FR_OK);
    fr_model *model = make_model();
    assert_int_not_equal(fr_model_save(model, folder, FR_F32, NULL), FR_OK);
    assert_false(holds("config.json"));
    refuse("config.json");
    fr_model_destroy(model);
    fr_free(blocked);
}

static void test_generation_settings_come_back_byte_for_byte(void **state)
{
    (void)state;
    static const char text[] =
        "{ \"temperature\": 0.60, \"top_p\":0.9,\n \"eos_token_id\": [256, 13],"
        "\"do_sample\": true, \"transformers_version\": \"4.1\" }";
    write_folder(0);
    write_text("generation_config.json", text);
    fr_model *model = load();
    assert_int_equal(model->end_count, 2);
    assert_int_equal(fr_model_save(model, folder, FR_F32, NULL), FR_OK);
    char *again = read_text("generation_config.json");
    assert_string_equal(again, text);
    fr_free(again);
    model->end_ids[1] = 14; /* the model ends otherwise now: only that is written anew */
    assert_int_equal(fr_model_save(model, folder, FR_F32, NULL), FR_OK);
    char *path = fr_path_join(folder, "generation_config.json");
    json_t *json;
    assert_int_equal(fr_json_load(&json, path, NULL), FR_OK);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(json, "eos_token_id"), 1)),
                     14);
    assert_true(json_real_value(json_object_get(json, "temperature")) == 0.6);
    json_decref(json);
    fr_free(path);
    fr_model_destroy(model);
}

static void test_fields_of_the_configuration_that_change_nothing_are_kept(void **state)
{
    (void)state;
    write_folder(0);
    set_field("config.json", "task_specific_params", json_pack("{s:{s:i}}", "chat", "n", 3));
    set_field("config.json", "_name_or_path", json_string("somewhere"));
    set_field("config.json", "torch_dtype", json_string("float16"));
    fr_model *model = load();
    assert_int_equal(fr_model_save(model, folder, FR_BF16, NULL), FR_OK);
    char *path = fr_path_join(folder, "config.json");
    json_t *json;
    assert_int_equal(fr_json_load(&json, path, NULL), FR_OK);
    assert_int_equal(
        json_integer_value(json_object_get(
            json_object_get(json_object_get(json, "task_specific_params"), "chat"), "n")),
        3);
    assert_string_equal(json_string_value(json_object_get(json, "_name_or_path")), "somewhere");
    assert_string_equal(json_string_value(json_object_get(json, "torch_dtype")), "bfloat16");
    json_decref(json);
    fr_free(path);
    fr_model_destroy(model);
}

static void test_files_beside_a_tokenizer_go_where_it_goes(void **state)
{
    (void)state;
    static const char config[] = "{\"eos_token\":  \"<|endoftext|>\", \"model_max_length\": 64,\n"
                                 "\"chat_template\": \"{{ x }}\"}";
    write_folder(0);
    write_text("special_tokens_map.json", "{ \"eos_token\": \"<|endoftext|>\" }");
    write_text("chat_template.jinja", "{{ y }}\n");
    write_text("tokenizer_config.json", config);
    fr_tokenizer *tokenizer;
    assert_int_equal(fr_tokenizer_load(&tokenizer, folder, NULL), FR_OK);
    assert_string_equal(fr_tokenizer_file(tokenizer, "chat_template.jinja"), "{{ y }}\n");
    assert_null(fr_tokenizer_file(tokenizer, "added_tokens.json"));
    write_folder(0);
    assert_int_equal(fr_tokenizer_save(tokenizer, folder, 0, NULL), FR_OK);
    char *map = read_text("special_tokens_map.json"), *jinja = read_text("chat_template.jinja");
    char *again = read_text("tokenizer_config.json");
    assert_string_equal(map, "{ \"eos_token\": \"<|endoftext|>\" }");
    assert_string_equal(jinja, "{{ y }}\n");
    assert_string_equal(again, config);
    fr_free(map);
    fr_free(jinja);
    fr_free(again);
    fr_tokenizer_free(tokenizer);
}

/* ---- what an index may name ---- */

static void test_an_index_cannot_lead_out_of_its_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"../outside/x.safetensors", "/etc/passwd", "a/b", ".hidden",
                                        ""};
    write_folder(SMALL_SHARD);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        set_field("model.safetensors.index.json", "weight_map:model.norm.weight",
                  json_string(names[i]));
        refuse("is not the name of a file of this folder");
    }
    set_field("model.safetensors.index.json", "weight_map:model.norm.weight", json_integer(3));
    refuse("is not the name of a file of this folder");
    set_field("model.safetensors.index.json", "weight_map:model.norm.weight",
              json_string("model-00001-of-00003.safetensors"));
    refuse("'model.norm.weight' is not in model-00001-of-00003.safetensors");
    set_field("model.safetensors.index.json", "weight_map", json_object());
    refuse("there is no weight_map");
}

static void move_shard(const char *target, const char *link_text)
{
    char *shard = fr_path_join(folder, "model-00002-of-00003.safetensors");
    assert_int_equal(rename(shard, target), 0);
    assert_int_equal(symlink(link_text, shard), 0);
    fr_free(shard);
}

static void test_a_shard_may_be_a_link_only_inside_its_folder(void **state)
{
    (void)state;
    write_folder(SMALL_SHARD);
    char *inside = fr_path_join(folder, "elsewhere"), *away = fr_path_join(outside, "shard");
    move_shard(inside, "elsewhere");
    fr_model_destroy(load());
    write_folder(SMALL_SHARD);
    move_shard(away, away);
    refuse("is not the name of a file of this folder");
    fr_free(inside);
    fr_free(away);
}

/* REPOSITORY/snapshots/REVISION/FILE -> ../../blobs/HASH */
static void test_links_of_the_download_cache_are_followed(void **state)
{
    (void)state;
    char kept[sizeof folder];
    char *repository = fr_path_join(outside, "models--x"),
         *blobs = fr_path_join(repository, "blobs");
    char *blob = fr_path_join(blobs, "0123");
    memcpy(kept, folder, sizeof kept);
    assert_int_equal(fr_folder_create(blobs, NULL), FR_OK);
    snprintf(folder, sizeof folder, "%.200s/snapshots/abc", repository);
    write_folder(SMALL_SHARD);
    move_shard(blob, "../../blobs/0123");
    fr_model_destroy(load());
    memcpy(folder, kept, sizeof folder);
    fr_free(repository);
    fr_free(blobs);
    fr_free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_hold_the_same_model_as_one_file),
        cmocka_unit_test(test_a_save_removes_the_weights_of_the_one_before),
        cmocka_unit_test(test_a_save_that_fails_leaves_no_config),
        cmocka_unit_test(test_generation_settings_come_back_byte_for_byte),
        cmocka_unit_test(test_fields_of_the_configuration_that_change_nothing_are_kept),
        cmocka_unit_test(test_files_beside_a_tokenizer_go_where_it_goes),
        cmocka_unit_test(test_an_index_cannot_lead_out_of_its_folder),
        cmocka_unit_test(test_a_shard_may_be_a_link_only_inside_its_folder),
        cmocka_unit_test(test_links_of_the_download_cache_are_followed),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
