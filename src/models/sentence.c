/* sentence.c: what a sentence-transformers folder has around its model (arXiv 1908.10084):
   modules.json lists the modules (a Transformer, then Pooling, perhaps Normalize) and their folders;
   sentence_bert_config.json says how long a text may be; config_sentence_transformers.json names
   prompts. Old folders name a pooling by true and false, new ones by pooling_mode. */
#include "models/models.h"
#include "nn/nn.h"

#include "frugal/formats.h"

#include <string.h>

const char *const fr_pooling_names[] = {"cls",          "max",       "mean", "mean_sqrt_len_tokens",
                                        "weightedmean", "lasttoken", NULL};
/* pooling_mode_NAME of old folders, in the order in which vectors stand behind each other. */
static const char *const old_names[FR_POOLINGS] = {
    "pooling_mode_cls_token",           "pooling_mode_max_tokens",
    "pooling_mode_mean_tokens",         "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken",
};

/* ---- files ---- */

/* FOLDER/PART/NAME as JSON; *json NULL when there is no such file. The path stays for messages, freed with fr_free. */
static fr_status open_json(json_t **json, char **path, const char *folder, const char *part,
                           const char *name, fr_error *error)
{
    *json = NULL;
    *path = *part ? fr_format("%s/%s/%s", folder, part, name) : fr_format("%s/%s", folder, name);
    if (!*path)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", folder);
    return fr_path_exists(*path) ? fr_json_load(json, *path, error) : FR_OK;
}

static bool says_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && !json_object_size(value));
}

/* Every field is one of `known`, or says nothing. */
static fr_status check_fields(const json_t *json, const char *const *known, const char *path,
                              fr_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json, name, value)
    {
        bool found = says_nothing(value);
        for (const char *const *entry = known; *entry && !found; entry++)
            found = strcmp(*entry, name) == 0;
        if (!found)
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0, "field '%.64s' is not supported",
                              name);
    }
    return FR_OK;
}

/* A field that may only have one value. */
static fr_status check_text(const json_t *json, const char *name, const char *expected,
                            const char *path, fr_error *error)
{
    const json_t *value = json_object_get(json, name);
    const char *text = json_string_value(value);
    if (!value || json_is_null(value) || (text && strcmp(text, expected) == 0))
        return FR_OK;
    return fr_fail_at(error, FR_UNSUPPORTED, path, 0, "%s other than '%s' is not supported", name,
                      expected);
}

/* ---- the model's module ---- */

static fr_status read_length(int64_t *tokens, const json_t *value, const char *path,
                             fr_error *error)
{
    if (!value || json_is_null(value))
        return FR_OK;
    double number = json_number_value(value); /* "no limit" is 1e30 in some tokenizers */
    if (!json_is_number(value) || number < 1)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "the longest text is not a number");
    *tokens = number > INT32_MAX ? 0 : (int64_t)number;
    return FR_OK;
}

static fr_status read_transformer(fr_sentence *s, const json_t *json, const char *path,
                                  fr_error *error)
{
    static const char *const known[] = {"max_seq_length", "transformer_task", "modality_config",
                                        "module_output_name", NULL};
    FR_TRY(check_fields(json, known, path, error));
    FR_TRY(check_text(json, "transformer_task", "feature-extraction", path, error));
    FR_TRY(check_text(json, "module_output_name", "token_embeddings", path, error));
    return read_length(&s->max_tokens, json_object_get(json, "max_seq_length"), path, error);
}

/* sentence_bert_config.json; where it gives no length, the tokenizer's. */
static fr_status load_transformer(fr_sentence *s, const char *folder, const char *part,
                                  fr_error *error)
{
    json_t *json;
    char *path;
    fr_free(s->model_path);
    if (!(s->model_path = fr_string_copy(part)))
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", folder);
    fr_status status = open_json(&json, &path, folder, part, "sentence_bert_config.json", error);
    if (status == FR_OK && json)
        status = read_transformer(s, json, path, error);
    json_decref(json);
    fr_free(path);
    if (status != FR_OK || s->max_tokens)
        return status;
    status = open_json(&json, &path, folder, part, "tokenizer_config.json", error);
    if (status == FR_OK && json)
        status =
            read_length(&s->max_tokens, json_object_get(json, "model_max_length"), path, error);
    json_decref(json);
    fr_free(path);
    return status;
}

/* ---- pooling ---- */

static fr_status add_mode(fr_sentence *s, const json_t *value, const char *path, fr_error *error)
{
    const char *name = json_string_value(value);
    for (int i = 0; name && i < FR_POOLINGS; i++)
        if (strcmp(name, fr_pooling_names[i]) == 0 && s->poolings < FR_POOLINGS) {
            s->pooling[s->poolings++] = (fr_pooling)i;
            return FR_OK;
        }
    return fr_fail_at(error, FR_UNSUPPORTED, path, 0, "pooling_mode '%.64s' is not supported",
                      name ? name : "");
}

static fr_status read_pooling(fr_sentence *s, const json_t *json, const char *path, fr_error *error)
{
    static const char *const known[] = {"word_embedding_dimension",
                                        "embedding_dimension",
                                        "pooling_mode",
                                        "include_prompt",
                                        "pooling_mode_cls_token",
                                        "pooling_mode_max_tokens",
                                        "pooling_mode_mean_tokens",
                                        "pooling_mode_mean_sqrt_len_tokens",
                                        "pooling_mode_weightedmean_tokens",
                                        "pooling_mode_lasttoken",
                                        NULL};
    FR_TRY(check_fields(json, known, path, error));
    if (json_is_false(json_object_get(json, "include_prompt")))
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "include_prompt false is not supported: a prompt counts as text");
    const json_t *mode = json_object_get(json, "pooling_mode");
    s->poolings = 0;
    if (json_is_array(mode))
        for (size_t i = 0; i < json_array_size(mode); i++)
            FR_TRY(add_mode(s, json_array_get(mode, i), path, error));
    else if (mode)
        return add_mode(s, mode, path, error);
    else
        for (int i = 0; i < FR_POOLINGS; i++)
            if (json_is_true(json_object_get(json, old_names[i])))
                s->pooling[s->poolings++] = (fr_pooling)i;
    if (!s->poolings)
        s->pooling[s->poolings++] = FR_POOLING_MEAN;
    return FR_OK;
}

static fr_status read_normalize(fr_sentence *s, const json_t *json, const char *path,
                                fr_error *error)
{
    s->normalize = true;
    FR_TRY(check_text(json, "module_input_name", "sentence_embedding", path, error));
    return check_text(json, "module_output_name", "sentence_embedding", path, error);
}

/* ---- modules.json ---- */

/* A folder's own part: no way out of it. */
static bool is_inside(const char *part)
{
    return part && part[0] != '/' && part[0] != '.' && !strstr(part, "..");
}

static fr_status load_part(fr_sentence *s, const char *folder, const char *part,
                           fr_status (*read)(fr_sentence *, const json_t *, const char *,
                                             fr_error *),
                           fr_error *error)
{
    json_t *json;
    char *path;
    fr_status status = open_json(&json, &path, folder, part, "config.json", error);
    if (status == FR_OK)
        status = read(s, json, path, error);
    json_decref(json);
    fr_free(path);
    return status;
}

static fr_status read_module(fr_sentence *s, const json_t *module, size_t number,
                             const char *folder, const char *path, fr_error *error)
{
    const char *type = json_string_value(json_object_get(module, "type"));
    const char *part = json_string_value(json_object_get(module, "path"));
    if (!type || !is_inside(part))
        return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                          "module %zu has no type, or no path inside the folder", number);
    const char *name = strrchr(type, '.') ? strrchr(type, '.') + 1 : type;
    if (strcmp(name, "Transformer") == 0 && number == 0)
        return load_transformer(s, folder, part, error);
    if (strcmp(name, "Pooling") == 0 && number == 1)
        return load_part(s, folder, part, read_pooling, error);
    if (strcmp(name, "Normalize") == 0 && number == 2)
        return load_part(s, folder, part, read_normalize, error);
    return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                      "module %zu is a '%.64s': supported are a Transformer, Pooling and perhaps "
                      "Normalize, in that order",
                      number, name);
}

static fr_status read_modules(fr_sentence *s, const char *folder, const char *path, fr_error *error)
{
    char *text;
    size_t size;
    FR_TRY(fr_file_read(path, 1 << 20, &text, &size, error));
    json_error_t where;
    json_t *list = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    fr_free(text);
    fr_status status = FR_OK;
    if (!list)
        return fr_fail_at(error, FR_BAD_INPUT, path, where.line, "%s", where.text);
    if (json_array_size(list) < 2)
        status = fr_fail_at(error, FR_BAD_INPUT, path, 0,
                            "expected a list of at least a Transformer and Pooling");
    for (size_t i = 0; i < json_array_size(list) && status == FR_OK; i++)
        status = read_module(s, json_array_get(list, i), i, folder, path, error);
    json_decref(list);
    return status;
}

/* The prompt that goes before every text, where config_sentence_transformers.json names one. */
static fr_status load_prompt(fr_sentence *s, const char *folder, fr_error *error)
{
    json_t *json;
    char *path;
    fr_status status =
        open_json(&json, &path, folder, "", "config_sentence_transformers.json", error);
    const char *name = json_string_value(json_object_get(json, "default_prompt_name"));
    if (status == FR_OK && name) {
        const char *prompt =
            json_string_value(json_object_get(json_object_get(json, "prompts"), name));
        if (!prompt)
            status = fr_fail_at(error, FR_BAD_INPUT, path, 0,
                                "prompts has none called '%.64s', the default", name);
        else if (*prompt && !(s->prompt = fr_string_copy(prompt)))
            status = fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    }
    json_decref(json);
    fr_free(path);
    return status;
}

bool fr_sentence_is_folder(const char *folder)
{
    char *path = fr_path_join(folder, "modules.json");
    bool there = path && fr_path_exists(path);
    fr_free(path);
    return there;
}

fr_status fr_sentence_load(fr_sentence *sentence, const char *folder, fr_error *error)
{
    *sentence = (fr_sentence){.pooling = {FR_POOLING_MEAN}, .poolings = 1};
    char *path = fr_path_join(folder, "modules.json");
    if (!path)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", folder);
    fr_status status = fr_sentence_is_folder(folder)
                           ? read_modules(sentence, folder, path, error)
                           : load_transformer(sentence, folder, "", error);
    if (status == FR_OK)
        status = load_prompt(sentence, folder, error);
    fr_free(path);
    if (status != FR_OK)
        fr_sentence_free(sentence);
    return status;
}

void fr_sentence_free(fr_sentence *sentence)
{
    fr_free(sentence->model_path);
    fr_free(sentence->prompt);
    *sentence = (fr_sentence){.poolings = 0};
}

/* ---- writing ---- */

static json_t *module_json(int number, const char *path, const char *type)
{
    char name[8];
    snprintf(name, sizeof name, "%d", number);
    return json_pack("{s:i, s:s, s:s, s:o}", "idx", number, "name", name, "path", path, "type",
                     json_sprintf("sentence_transformers.models.%s", type));
}

static fr_status save_modules(const fr_sentence *s, const char *folder, fr_error *error)
{
    json_t *list = json_array();
    json_array_append_new(list, module_json(0, "", "Transformer"));
    json_array_append_new(list, module_json(1, "1_Pooling", "Pooling"));
    if (s->normalize)
        json_array_append_new(list, module_json(2, "2_Normalize", "Normalize"));
    return fr_json_write(folder, "modules.json", list, error);
}

static fr_status save_pooling(const fr_sentence *s, const fr_model *model, const char *folder,
                              fr_error *error)
{
    json_t *json = json_object();
    json_object_set_new(json, "word_embedding_dimension", json_integer(model->width));
    for (int i = 0; i < FR_POOLINGS; i++) {
        bool used = false;
        for (int k = 0; k < s->poolings; k++)
            used |= (int)s->pooling[k] == i;
        json_object_set_new(json, old_names[i], json_boolean(used));
    }
    char *part = fr_path_join(folder, "1_Pooling");
    fr_status status = part ? fr_folder_create(part, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", folder);
    if (status == FR_OK)
        status = fr_json_write(part, "config.json", json, error);
    else
        json_decref(json);
    fr_free(part);
    return status;
}

static fr_status save_prompt(const fr_sentence *s, const char *folder, fr_error *error)
{
    json_t *json = s->prompt ? json_pack("{s:{s:s}, s:s}", "prompts", "default", s->prompt,
                                         "default_prompt_name", "default")
                             : json_pack("{s:{}, s:n}", "prompts", "default_prompt_name");
    return fr_json_write(folder, "config_sentence_transformers.json", json, error);
}

fr_status fr_sentence_save(const fr_sentence *sentence, const fr_model *model, const char *folder,
                           fr_error *error)
{
    int64_t tokens = sentence->max_tokens ? sentence->max_tokens : model->max_positions;
    FR_TRY(save_pooling(sentence, model, folder, error));
    FR_TRY(fr_json_write(
        folder, "sentence_bert_config.json",
        json_pack("{s:I, s:b}", "max_seq_length", (json_int_t)tokens, "do_lower_case", 0), error));
    FR_TRY(save_prompt(sentence, folder, error));
    return save_modules(sentence, folder, error); /* last: with it the folder is one of sentences */
}

/* ---- forward ---- */

fr_tensor *fr_sentence_pool(const fr_sentence *sentence, fr_tape *tape, fr_tensor *hidden,
                            fr_tensor *lengths)
{
    fr_tensor *parts[FR_POOLINGS] = {NULL};
    for (int i = 0; i < sentence->poolings; i++)
        parts[i] = fr_pool(tape, hidden, lengths, sentence->pooling[i]);
    fr_tensor *x =
        sentence->poolings > 1 ? fr_concat(tape, parts, sentence->poolings, 1) : parts[0];
    return sentence->normalize ? fr_normalize(tape, x) : x;
}
