/* test_verify.c: each thing that can be wrong with a model folder is found, and nothing in a good one. */
#include "folder_help.h"

#include "frugal/hub.h"

#include <math.h>

enum { SHARD = 12000 };

static void verify(fr_verification *found)
{
    fr_error error = {0};
    if (fr_folder_verify(folder, found, &error) != FR_OK)
        fail_msg("%s", error.message);
}

/* The folder has `count` problems, one of them of this check and with these words. */
static void expect(size_t count, const char *check, const char *words)
{
    fr_verification found;
    bool there = false;
    fr_buffer all = {0};
    verify(&found);
    for (size_t i = 0; i < found.count; i++) {
        const fr_finding *f = &found.findings[i];
        fr_buffer_printf(&all, "%s %s: %s\n", fr_finding_level_name(f->level), f->check, f->text);
        there |= f->level == FR_FINDING_PROBLEM && strcmp(f->check, check) == 0 &&
                 strstr(f->text, words);
    }
    if (!there || found.problems != count)
        fail_msg("expected %zu problems, one of them %s '%s'; got\n%s", count, check, words,
                 all.data);
    fr_buffer_free(&all);
    fr_verification_free(&found);
}

static void expect_good(void)
{
    fr_verification found;
    verify(&found);
    for (size_t i = 0; i < found.count; i++)
        if (found.findings[i].level == FR_FINDING_PROBLEM)
            fail_msg("%s: %s", found.findings[i].check, found.findings[i].text);
    assert_int_equal(found.problems, 0);
    assert_true(found.count >= 7);
    fr_verification_free(&found);
}

static void test_nothing_is_wrong_with_a_folder_that_was_written_here(void **state)
{
    (void)state;
    write_folder(0);
    expect_good();
    write_folder(SHARD);
    expect_good();
}

static void test_json_that_readers_take_differently_is_found(void **state)
{
    (void)state;
    write_folder(0);
    write_text("special_tokens_map.json", "{\"eos_token\": \"a\", \"eos_token\": \"b\"}");
    expect(1, "json", "special_tokens_map.json:1: duplicate object key");
    write_folder(0);
    write_text("other.json", "[1, 2");
    expect(1, "json", "other.json:1");
    write_text("other.json", "[1, 2]");
    expect_good();
}

static void test_names_links_and_code_are_found(void **state)
{
    (void)state;
    write_folder(0);
    write_text("a;b", "");
    expect(1, "files", "'a;b' is not a plain name");
    write_folder(0);
    char *link = fr_path_join(folder, "notes");
    assert_int_equal(symlink(outside, link), 0);
    expect(1, "files", "notes is a link that leaves the folder");
    unlink(link);
    assert_int_equal(symlink("nothing", link), 0);
    expect(1, "files", "notes is a link to nothing");
    fr_free(link);
    write_folder(0);
    write_text("modeling.py", "import os");
    expect_good(); /* a note */
    set_field("tokenizer_config.json", "auto_map", json_pack("{s:s}", "AutoTokenizer", "a.B"));
    expect(1, "files", "tokenizer_config.json has an auto_map");
    write_folder(0);
    write_text("model.safetensors.index.json", "{}");
    expect(1, "files", "both model.safetensors and an index");
}

static void test_configurations_that_are_not_known_are_found(void **state)
{
    (void)state;
    write_folder(0);
    set_field("config.json", "model_type", json_string("mystery"));
    expect(1, "config", "model_type 'mystery' is not supported");
    write_folder(0);
    set_field("config.json", "new_trick", json_true());
    expect(1, "config", "'new_trick' is not supported");
}

static void test_weights_that_do_not_fit_are_found(void **state)
{
    (void)state;
    write_folder(0);
    set_field("config.json", "num_hidden_layers", json_integer(3));
    expect(1, "weights", "are missing");
    set_field("config.json", "num_hidden_layers", json_integer(1));
    expect(1, "weights", "does not belong to the model");
    write_folder(0);
    set_field("config.json", "intermediate_size", json_integer(32));
    expect(1, "weights", "has shape");
}

static void test_numbers_that_are_not_finite_are_counted_and_named(void **state)
{
    (void)state;
    write_folder(0);
    fr_model *model = make_model();
    float *numbers = fr_tensor_host(fr_model_parameter(model, "model.norm.weight")->value);
    numbers[0] = NAN;
    numbers[1] = INFINITY;
    numbers[2] = -INFINITY;
    assert_int_equal(fr_model_save(model, folder, FR_F32, NULL), FR_OK);
    expect(1, "numbers", "'model.norm.weight' holds 1 NaN and 2 infinite of 16 numbers");
    assert_int_equal(fr_model_save(model, folder, FR_F16, NULL), FR_OK);
    expect(1, "numbers", "1 NaN and 2 infinite");
    fr_model_destroy(model);
}

static void test_an_index_that_errs_is_found(void **state)
{
    (void)state;
    write_folder(SHARD);
    set_field("model.safetensors.index.json", "metadata:total_size", json_integer(5));
    expect(1, "index", "total_size is 5, but the tensors have");
    write_folder(SHARD);
    char *path = fr_path_join(folder, "model.safetensors.index.json");
    json_t *json;
    assert_int_equal(fr_json_load(&json, path, NULL), FR_OK);
    json_object_del(json_object_get(json, "weight_map"), "model.norm.weight");
    assert_int_equal(fr_json_write(folder, "model.safetensors.index.json", json, NULL), FR_OK);
    expect(1, "index", "'model.norm.weight' of");
    set_field("model.safetensors.index.json", "weight_map:model.norm.weight",
              json_string("../model.safetensors"));
    expect(1, "weights", "is not the name of a file of this folder");
    fr_free(path);
}

static void test_tokenizers_that_do_not_fit_are_found(void **state)
{
    (void)state;
    write_folder(0);
    write_text("tokenizer.json", "{\"model\": 3}");
    expect(1, "tokenizer", "tokenizer.json");
    write_folder(0);
    set_field("tokenizer_config.json", "eos_token", json_null());
    set_field("config.json", "eos_token_id", json_integer(13));
    set_field("generation_config.json", "eos_token_id", json_integer(13));
    expect_good(); /* the tokenizer says nothing */
    set_field("tokenizer_config.json", "eos_token", json_string("<|endoftext|>"));
    expect(1, "special_tokens", "ends a text with id 256, but config.json");
    write_folder(0);
    write_text("special_tokens_map.json", "{\"eos_token\": {\"content\": \"</s>\"}}");
    expect(1, "special_tokens",
           "eos_token is '<|endoftext|>' in tokenizer_config.json, but '</s>'");
    write_folder(0);
    set_field("generation_config.json", "eos_token_id", json_pack("[i, i]", 256, 4000));
    expect(1, "special_tokens", "eos_token_id 4000 is not an id");
}

static void test_what_is_no_folder_is_an_error(void **state)
{
    (void)state;
    fr_verification found;
    assert_int_equal(fr_folder_verify("/nowhere/at/all", &found, NULL), FR_BAD_INPUT);
    fr_verification_free(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_wrong_with_a_folder_that_was_written_here),
        cmocka_unit_test(test_json_that_readers_take_differently_is_found),
        cmocka_unit_test(test_names_links_and_code_are_found),
        cmocka_unit_test(test_configurations_that_are_not_known_are_found),
        cmocka_unit_test(test_weights_that_do_not_fit_are_found),
        cmocka_unit_test(test_numbers_that_are_not_finite_are_counted_and_named),
        cmocka_unit_test(test_an_index_that_errs_is_found),
        cmocka_unit_test(test_tokenizers_that_do_not_fit_are_found),
        cmocka_unit_test(test_what_is_no_folder_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
