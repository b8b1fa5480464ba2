/* settings.c: reading what lies beside a vocabulary, as transformers does.

   The older files count only where tokenizer_config.json has no "added_tokens_decoder". What they
   say is put into the configuration in today's form, so that there is one place to look and
   nothing is lost when the tokenizer is saved. */
#include "tokenizer/settings.h"
#include "frugal/formats.h"
#include "tokenizer/json_reader.h"

#include <string.h>

const char *const named_token_keys[NAMED_TOKENS] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

static const char config_name[] = "tokenizer_config.json";

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory for %s", config_name);
}

/* A JSON object in a folder; *root NULL when there is no such file. */
static fr_status read_object(const char *folder, const char *name, json_t **root, fr_error *error)
{
    *root = NULL;
    char *path = fr_path_join(folder, name);
    fr_status status = path ? FR_OK : no_memory(error);
    if (status == FR_OK && fr_path_exists(path))
        status = fr_json_load(root, path, error);
    fr_free(path);
    return status;
}

/* ---- the class ------------------------------------------------------------------------------- */

/* Tokenizers of model types, as transformers takes them where a folder does not say which it has. */
static const char *const class_of_model[][2] = {{"bart", "RobertaTokenizer"},
                                                {"bert", "BertTokenizer"},
                                                {"clip", "CLIPTokenizer"},
                                                {"distilbert", "BertTokenizer"},
                                                {"electra", "BertTokenizer"},
                                                {"gemma", "GemmaTokenizer"},
                                                {"gemma2", "GemmaTokenizer"},
                                                {"gpt2", "GPT2Tokenizer"},
                                                {"llama", "TokenizersBackend"},
                                                {"longformer", "RobertaTokenizer"},
                                                {"mbart", "MBartTokenizer"},
                                                {"mistral", "TokenizersBackend"},
                                                {"mixtral", "TokenizersBackend"},
                                                {"mpnet", "MPNetTokenizer"},
                                                {"phi3", "TokenizersBackend"},
                                                {"qwen2", "Qwen2Tokenizer"},
                                                {"qwen3", "Qwen2Tokenizer"},
                                                {"qwen3_moe", "Qwen2Tokenizer"},
                                                {"roberta", "RobertaTokenizer"},
                                                {"t5", "T5Tokenizer"},
                                                {"xlm-roberta", "XLMRobertaTokenizer"}};

static fr_status read_class(settings *s, const char *folder, fr_error *error)
{
    const char *name;
    FR_TRY(settings_string(s, "tokenizer_class", &name, error));
    json_t *config = NULL;
    if (!name) {
        FR_TRY(read_object(folder, "config.json", &config, error));
        const char *type = json_string_value(json_object_get(config, "model_type"));
        for (size_t i = 0; type && i < sizeof class_of_model / sizeof *class_of_model; i++)
            if (strcmp(type, class_of_model[i][0]) == 0)
                name = class_of_model[i][1];
    }
    json_decref(config);
    size_t length = name ? strlen(name) : 0;
    if (length >= sizeof s->class_name)
        return fr_fail_at(error, FR_UNSUPPORTED, config_name, 0,
                          "tokenizer_class '%.60s...' is not supported", name);
    if (length > 4 && strcmp(name + length - 4, "Fast") == 0)
        length -= 4;
    if (length)
        memcpy(s->class_name, name, length);
    s->class_name[length] = 0;
    return FR_OK;
}

/* ---- the older files ------------------------------------------------------------------------- */

static bool is_special(const settings *s, const char *token)
{
    for (int i = 0; i < NAMED_TOKENS; i++) {
        const char *text = settings_token(s, (named_token)i, NULL);
        if (text && strcmp(text, token) == 0)
            return true;
    }
    return false;
}

/* {"token": id} as {"id": {"content": "token", ...}}. */
static fr_status take_added(settings *s, json_t *added, fr_error *error)
{
    json_t *entries = json_object(), *id;
    const char *token;
    json_object_foreach(added, token, id)
    {
        char number[24];
        if (!json_is_integer(id)) {
            json_decref(entries);
            return fr_fail_at(error, FR_BAD_INPUT, "added_tokens.json", 0,
                              "'%.60s' has %s for an id", token, json_kind_name(id));
        }
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
        bool special = is_special(s, token);
        json_object_set_new(entries, number,
                            json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", token, "lstrip",
                                      0, "rstrip", 0, "single_word", 0, "normalized", !special,
                                      "special", special));
    }
    return json_object_set_new(s->root, "added_tokens_decoder", entries) ? no_memory(error) : FR_OK;
}

static fr_status read_older(settings *s, const char *folder, fr_error *error)
{
    json_t *map, *added;
    FR_TRY(read_object(folder, "special_tokens_map.json", &map, error));
    int failed = map ? json_object_update(s->root, map) : 0;
    json_decref(map);
    if (failed)
        return no_memory(error);
    FR_TRY(read_object(folder, "added_tokens.json", &added, error));
    fr_status status = added ? take_added(s, added, error) : FR_OK;
    json_decref(added);
    return status;
}

fr_status settings_read(settings *out, const char *folder, fr_error *error)
{
    *out = (settings){0};
    FR_TRY(read_object(folder, config_name, &out->root, error));
    out->found = out->root;
    if (!out->root)
        out->root = json_object();
    fr_status status = out->root ? FR_OK : no_memory(error);
    if (status == FR_OK && !json_object_get(out->root, "added_tokens_decoder"))
        status = read_older(out, folder, error);
    if (status == FR_OK)
        status = read_class(out, folder, error);
    if (status != FR_OK)
        settings_free(out);
    return status;
}

void settings_free(settings *self)
{
    json_decref(self->root);
    *self = (settings){0};
}

/* ---- questions ------------------------------------------------------------------------------- */

fr_status settings_bool(const settings *self, const char *key, bool absent, bool *out,
                        fr_error *error)
{
    const json_t *value = json_object_get(self->root, key);
    *out = absent;
    if (!value || json_is_null(value))
        return FR_OK;
    if (!json_is_boolean(value))
        return fr_fail_at(error, FR_BAD_INPUT, config_name, 0,
                          "%s: %s found, true or false expected", key, json_kind_name(value));
    *out = json_is_true(value);
    return FR_OK;
}

fr_status settings_string(const settings *self, const char *key, const char **out, fr_error *error)
{
    const json_t *value = json_object_get(self->root, key);
    *out = json_string_value(value);
    if (value && !*out && !json_is_null(value))
        return fr_fail_at(error, FR_BAD_INPUT, config_name, 0, "%s: %s found, a string expected",
                          key, json_kind_name(value));
    return FR_OK;
}

const char *settings_token(const settings *self, named_token which, const char *absent)
{
    const json_t *value = json_object_get(self->root, named_token_keys[which]);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    return json_is_string(value) ? json_string_value(value) : absent;
}
