/* verify_tokens.c: the tokenizer of a model folder, and whether the files agree on the special tokens.

   A model that ends its texts with one id and a tokenizer that believes in another is the commonest way in which a good model seems
   broken. */
#include "hub/verify.h"

#include <string.h>

static bool has(const verifying *v, const char *name)
{
    char *path = fr_path_join(v->folder, name);
    bool there = path && fr_path_exists(path);
    fr_free(path);
    return there;
}

static bool has_tokenizer(const verifying *v)
{
    static const char *const names[] = {
        "tokenizer.json", "tokenizer.model",         "vocab.json",           "vocab.txt",
        "spiece.model",   "sentencepiece.bpe.model", "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (has(v, names[i]))
            return true;
    return false;
}

static void check_vocabulary(verifying *v)
{
    int64_t size = fr_tokenizer_size(v->tokenizer);
    if (v->model && v->model->vocabulary > 0 && size > v->model->vocabulary)
        verify_report(v, "tokenizer", FR_FINDING_PROBLEM,
                      "the tokenizer has %lld ids, but the model knows %lld", (long long)size,
                      (long long)v->model->vocabulary);
    else
        verify_report(
            v, "tokenizer", FR_FINDING_GOOD, "%lld ids%s", (long long)size,
            v->model && v->model->vocabulary > size ? ", fewer than the model has room for" : "");
}

/* ---- special tokens ---- */

/* A token is a string, or an object with its content. NULL: not told. */
static const char *token_text(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

/* special_tokens_map.json says the same as tokenizer_config.json. */
static size_t compare_maps(verifying *v)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
    json_t *config = verify_load(v, "tokenizer_config.json");
    json_t *map = verify_load(v, "special_tokens_map.json");
    size_t problems = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *a = token_text(config, keys[i]), *b = token_text(map, keys[i]);
        if (a && b && strcmp(a, b) != 0) {
            problems++;
            verify_report(v, "special_tokens", FR_FINDING_PROBLEM,
                          "%s is '%.60s' in tokenizer_config.json, but '%.60s' in "
                          "special_tokens_map.json",
                          keys[i], a, b);
        }
    }
    json_decref(config);
    json_decref(map);
    return problems;
}

static bool ends_text(const fr_model *model, int64_t id)
{
    for (size_t i = 0; i < model->end_count; i++)
        if (model->end_ids[i] == id)
            return true;
    return false;
}

static size_t check_id(verifying *v, const char *name, int64_t id, int64_t least)
{
    if (id < v->model->vocabulary && id >= least)
        return 0;
    verify_report(v, "special_tokens", FR_FINDING_PROBLEM,
                  "%s %lld is not an id of the model, which has %lld", name, (long long)id,
                  (long long)v->model->vocabulary);
    return 1;
}

static size_t check_ids(verifying *v)
{
    const fr_model *m = v->model;
    size_t problems = 0;
    if (m->vocabulary == 0)
        return 0;
    problems += check_id(v, "bos_token_id", m->bos, -1);
    problems += check_id(v, "pad_token_id", m->pad, -1);
    for (size_t i = 0; i < m->end_count; i++)
        problems += check_id(v, "eos_token_id", m->end_ids[i], 0);
    return problems;
}

/* The token that ends a text is one of the model's. */
static size_t compare_ends(verifying *v)
{
    int32_t end = v->tokenizer ? fr_tokenizer_end_of_text(v->tokenizer) : -1;
    if (!v->model->output || end < 0 || v->model->end_count == 0 || ends_text(v->model, end))
        return 0;
    verify_report(v, "special_tokens", FR_FINDING_PROBLEM,
                  "the tokenizer ends a text with id %d, but config.json and "
                  "generation_config.json with %lld",
                  (int)end, (long long)v->model->end_ids[0]);
    return 1;
}

void verify_tokens(verifying *v)
{
    fr_error error = {0};
    if (!has_tokenizer(v))
        verify_report(v, "tokenizer", FR_FINDING_NOTE, "there is none");
    else if (fr_tokenizer_load(&v->tokenizer, v->folder, &error) != FR_OK)
        verify_report_error(v, "tokenizer", &error);
    else
        check_vocabulary(v);
    size_t problems = compare_maps(v);
    if (v->model)
        problems += check_ids(v) + compare_ends(v);
    if (problems == 0 && (v->model || v->tokenizer))
        verify_report(v, "special_tokens", FR_FINDING_GOOD, "the files agree");
}
