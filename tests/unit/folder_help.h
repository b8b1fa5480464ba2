/* folder_help.h: a small model folder to be bent: config.json, weights in two shards, a byte tokenizer. */
#ifndef FRUGAL_TESTS_FOLDER_HELP_H
#define FRUGAL_TESTS_FOLDER_HELP_H

#include "frugal/formats.h"
#include "frugal/model.h"
#include "frugal/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static char folder[300], outside[300];

static inline int make_folders(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    char top[256];
    snprintf(top, sizeof top, "%s/frugal-folder-XXXXXX", base ? base : P_tmpdir);
    if (!mkdtemp(top))
        return -1;
    snprintf(folder, sizeof folder, "%s/model", top);
    snprintf(outside, sizeof outside, "%s/outside", top);
    return fr_folder_create(folder, NULL) == FR_OK && fr_folder_create(outside, NULL) == FR_OK ? 0
                                                                                               : -1;
}

static inline int remove_folders(void **state)
{
    (void)state;
    *strrchr(folder, '/') = 0;
    return fr_folder_remove(folder, NULL) == FR_OK ? 0 : -1;
}

static inline fr_model *make_model(void)
{
    static const char text[] =
        "model: {kind: llama, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, "
        "num_key_value_heads: 1, intermediate_size: 24, max_position_embeddings: 64}\n";
    fr_recipe *recipe;
    fr_model *model;
    fr_error error = {0};
    assert_int_equal(fr_recipe_parse(&recipe, text, sizeof text - 1, "test", NULL), FR_OK);
    if (fr_model_create_from_section(&model, fr_recipe_section(recipe, "model"), NULL, 257, 256, 7,
                                     false, &error) != FR_OK)
        fail_msg("%s", error.message);
    fr_recipe_free(recipe);
    return model;
}

/* Make the folder anew; shard_bytes as in fr_model_save_options. */
static inline void write_folder(int64_t shard_bytes)
{
    fr_model *model = make_model();
    fr_tokenizer *tokenizer;
    assert_int_equal(fr_folder_remove(folder, NULL), FR_OK);
    const fr_model_save_options how = {.dtype = FR_F32, .shard_bytes = shard_bytes};
    assert_int_equal(fr_model_save_as(model, folder, &how, NULL), FR_OK);
    assert_int_equal(fr_tokenizer_create_bytes(&tokenizer, NULL), FR_OK);
    assert_int_equal(fr_tokenizer_save(tokenizer, folder, 64, NULL), FR_OK);
    fr_tokenizer_free(tokenizer);
    fr_model_destroy(model);
}

static inline void write_text(const char *name, const char *text)
{
    char *path = fr_path_join(folder, name);
    assert_int_equal(fr_file_write(path, text, strlen(text), NULL), FR_OK);
    fr_free(path);
}

static inline char *read_text(const char *name)
{
    char *path = fr_path_join(folder, name), *text;
    size_t size;
    assert_int_equal(fr_file_read(path, 0, &text, &size, NULL), FR_OK);
    fr_free(path);
    return text;
}

static inline bool holds(const char *name)
{
    char *path = fr_path_join(folder, name);
    bool there = fr_path_exists(path);
    fr_free(path);
    return there;
}

/* FIELD of FOLDER/NAME becomes `value` (released); dots descend one level. */
static inline void set_field(const char *name, const char *field, json_t *value)
{
    char *path = fr_path_join(folder, name);
    json_t *json, *place;
    assert_int_equal(fr_json_load(&json, path, NULL), FR_OK);
    const char *dot = strchr(field, ':');
    char first[64] = "";
    if (dot)
        snprintf(first, sizeof first, "%.*s", (int)(dot - field), field);
    place = dot ? json_object_get(json, first) : json;
    assert_int_equal(json_object_set_new(place, dot ? dot + 1 : field, value), 0);
    assert_int_equal(fr_json_write(folder, name, json, NULL), FR_OK);
    fr_free(path);
}

#endif
