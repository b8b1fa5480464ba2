/* file.c: a tokenizer from its files and back.

   tokenizer.json describes the pipeline; tokenizer_config.json beside it says which token ends a
   text. What is saved is what was loaded, byte for byte; only model_max_length in the
   configuration is the caller's. */
#include "tokenizer/gguf.h"
#include "tokenizer/json_reader.h"
#include "tokenizer/read.h"

#include <stdlib.h>
#include <string.h>

static const char tokenizer_name[] = "tokenizer.json", config_name[] = "tokenizer_config.json";

/* ---- reading --------------------------------------------------------------------------------- */

/* tokenizer.json may hold the character NUL in its vocabulary. */
static fr_status parse(const char *text, size_t size, const char *name, json_t **root,
                       fr_error *error)
{
    json_error_t wrong;
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
    if (!*root && json_error_code(&wrong) == json_error_out_of_memory)
        return fr_fail_at(error, FR_NO_MEMORY, name, 0, "no memory to read it");
    if (!*root)
        return fr_fail_at(error, FR_BAD_INPUT, name, wrong.line, "not JSON: %s", wrong.text);
    if (!json_is_object(*root)) {
        const char *kind = json_kind_name(*root);
        json_decref(*root);
        return fr_fail_at(error, FR_BAD_INPUT, name, 0, "%s found, an object expected", kind);
    }
    return FR_OK;
}

static fr_status read_pipeline(reader *r, json_t *root)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    FR_TRY(json_check_keys(r, "the file", root, known));
    /* In this order: added tokens are normalised, and the model's kind hangs on the splits. */
    FR_TRY(json_read_added(r, json_object_get(root, "added_tokens")));
    FR_TRY(json_read_normalizer(r, json_object_get(root, "normalizer")));
    FR_TRY(json_build_added_sets(r));
    FR_TRY(json_read_splits(r, json_object_get(root, "pre_tokenizer")));
    FR_TRY(json_read_model(r, json_object_get(root, "model")));
    FR_TRY(json_read_post(r, json_object_get(root, "post_processor")));
    FR_TRY(json_read_decoder(r, json_object_get(root, "decoder")));
    return json_read_limits(r, json_object_get(root, "truncation"),
                            json_object_get(root, "padding"));
}

/* The id of "eos_token", which is a string or an added token's object. */
static fr_status read_end_of_text(const fr_tokenizer *t, const char *config, int32_t *id,
                                  fr_error *error)
{
    json_t *root;
    FR_TRY(fr_json_parse(&root, config, strlen(config), config_name, error));
    const json_t *token = json_object_get(root, "eos_token");
    if (json_is_object(token))
        token = json_object_get(token, "content");
    fr_status status = FR_OK;
    *id = -1;
    if (json_is_string(token)) {
        *id = fr_tokenizer_id(t, json_string_value(token));
        if (*id < 0)
            status = fr_fail_at(error, FR_BAD_INPUT, config_name, 0,
                                "eos_token '%.60s' is not among the added tokens of %s",
                                json_string_value(token), tokenizer_name);
    } else if (token && !json_is_null(token)) {
        status = fr_fail_at(error, FR_BAD_INPUT, config_name, 0,
                            "eos_token: %s found, a string expected", json_kind_name(token));
    }
    json_decref(root);
    return status;
}

static fr_status fill(fr_tokenizer *t, const char *name, fr_error *error)
{
    /* How the end of a text is called where no configuration says it. */
    static const char *const names[] = {"<|endoftext|>", "<|end_of_text|>", "</s>"};
    json_t *root;
    FR_TRY(parse(t->json, t->json_size, name, &root, error));
    reader r = {.tokenizer = t, .name = name, .error = error};
    fr_status status = read_pipeline(&r, root);
    json_decref(root);
    t->end_of_text = -1;
    if (status == FR_OK && t->config)
        status = read_end_of_text(t, t->config, &t->end_of_text, error);
    for (size_t i = 0;
         status == FR_OK && !t->config && t->end_of_text < 0 && i < sizeof names / sizeof *names;
         i++)
        t->end_of_text = fr_tokenizer_id(t, names[i]);
    return status;
}

fr_status tokenizer_from_json(fr_tokenizer **tokenizer, char *json, size_t size, char *config,
                              const char *name, fr_error *error)
{
    fr_tokenizer *t = fr_alloc(sizeof *t, FR_MEMORY_OTHER);
    *tokenizer = NULL;
    if (!t) {
        fr_free(json);
        fr_free(config);
        return fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    }
    t->json = json;
    t->json_size = size;
    t->config = config;
    t->pool = encoder_pool_create();
    fr_status status =
        t->pool ? fill(t, name, error) : fr_fail(error, FR_NO_MEMORY, "no memory for a tokenizer");
    if (status == FR_OK)
        *tokenizer = t;
    else
        fr_tokenizer_free(t);
    return status;
}

/* The configuration that lies beside the file, when there is one. */
static fr_status load_config(const char *folder, char **config, fr_error *error)
{
    char *path = fr_path_join(folder, config_name);
    size_t size;
    fr_status status = path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    if (status == FR_OK && fr_path_exists(path))
        status = fr_file_read(path, 0, config, &size, error);
    fr_free(path);
    return status;
}

/* That of a GGUF file. */
static fr_status load_gguf(fr_tokenizer **tokenizer, const char *path, fr_error *error)
{
    fr_gguf *file;
    FR_TRY(fr_gguf_open(&file, path, error));
    fr_status status = tokenizer_from_gguf(tokenizer, file, error);
    fr_gguf_close(file);
    return status;
}

static bool gguf_has_tokenizer(const char *path)
{
    fr_gguf *file;
    const char *name = "none";
    size_t size = 4;
    if (fr_gguf_open(&file, path, NULL) != FR_OK)
        return true; /* loading says what is wrong */
    fr_gguf_text(fr_gguf_value_find(file, "tokenizer.ggml.model"), &name, &size);
    bool there = size != 4 || memcmp(name, "none", size) != 0;
    fr_gguf_close(file);
    return there;
}

bool fr_tokenizer_exists(const char *path)
{
    char *found;
    if (fr_gguf_locate(path, &found, NULL) != FR_OK)
        return true;
    bool gguf = found != NULL;
    if (!gguf && !(found = fr_path_join(path, tokenizer_name)))
        return true;
    bool there = gguf ? gguf_has_tokenizer(found) : fr_path_exists(found) || read_is_there(path);
    fr_free(found);
    return there;
}

/* The files beside it; without them there is no tokenizer. */
static fr_status load_companions(fr_tokenizer **tokenizer, const char *folder, fr_error *error)
{
    fr_status status = companions_load((*tokenizer)->companions, folder, error);
    if (status == FR_OK)
        return FR_OK;
    fr_tokenizer_free(*tokenizer);
    *tokenizer = NULL;
    return status;
}

fr_status fr_tokenizer_load(fr_tokenizer **tokenizer, const char *path, fr_error *error)
{
    *tokenizer = NULL;
    char *gguf;
    FR_TRY(fr_gguf_locate(path, &gguf, error));
    if (gguf) {
        fr_status status = load_gguf(tokenizer, gguf, error);
        fr_free(gguf);
        return status;
    }
    if (read_is_older(path)) {
        FR_TRY(read_tokenizer_files(tokenizer, path, error));
        return fr_path_is_folder(path) ? load_companions(tokenizer, path, error) : FR_OK;
    }
    const char *slash = strrchr(path, '/');
    bool is_folder = fr_path_is_folder(path);
    char *folder = is_folder
                       ? fr_string_copy(path)
                       : fr_string_copy_n(slash ? path : ".",
                                          slash == path || !slash ? 1 : (size_t)(slash - path));
    char *file = is_folder ? fr_path_join(path, tokenizer_name) : fr_string_copy(path);
    char *json = NULL, *config = NULL;
    size_t size = 0;
    fr_status status =
        folder && file ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    if (status == FR_OK)
        status = fr_file_read(file, 0, &json, &size, error);
    if (status == FR_OK)
        status = load_config(folder, &config, error);
    if (status == FR_OK) {
        status = tokenizer_from_json(tokenizer, json, size, config, file, error);
    } else {
        fr_free(json);
        fr_free(config);
    }
    if (status == FR_OK)
        status = load_companions(tokenizer, folder, error);
    fr_free(folder);
    fr_free(file);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

static fr_status save_as(const char *folder, const char *name, const char *text, size_t size,
                         fr_error *error)
{
    char *path = fr_path_join(folder, name);
    fr_status status = path ? fr_file_write(path, text, size, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    fr_free(path);
    return status;
}

/* A configuration for a tokenizer that came without one. */
static json_t *new_config(const fr_tokenizer *t)
{
    json_t *root = json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "clean_up_tokenization_spaces", 0);
    for (size_t i = 0; i < t->added_count; i++)
        if (t->added[i].id == t->end_of_text) {
            /* One token ends a text, begins the next and fills what is left of a batch. */
            json_object_set_new(root, "bos_token", json_string(t->added[i].content));
            json_object_set_new(root, "eos_token", json_string(t->added[i].content));
            json_object_set_new(root, "pad_token", json_string(t->added[i].content));
        }
    return root;
}

/* The text of tokenizer_config.json, freed with free: as it was loaded, but for a limit that has changed. */
static fr_status config_text(const fr_tokenizer *t, int64_t max_length, char **text,
                             fr_error *error)
{
    json_t *root = NULL;
    if (t->config)
        FR_TRY(fr_json_parse(&root, t->config, strlen(t->config), config_name, error));
    else
        root = new_config(t);
    const json_t *limit = json_object_get(root, "model_max_length");
    bool same = t->config && (max_length == 0 || json_integer_value(limit) == max_length);
    if (max_length > 0)
        json_object_set_new(root, "model_max_length", json_integer(max_length));
    *text = same ? strdup(t->config) : json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return *text ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for %s", config_name);
}

fr_status fr_tokenizer_save(const fr_tokenizer *tokenizer, const char *folder, int64_t max_length,
                            fr_error *error)
{
    char *text;
    FR_TRY(config_text(tokenizer, max_length, &text, error));
    fr_status status = fr_folder_create(folder, error);
    if (status == FR_OK)
        status = save_as(folder, tokenizer_name, tokenizer->json, tokenizer->json_size, error);
    if (status == FR_OK)
        status = save_as(folder, config_name, text, strlen(text), error);
    if (status == FR_OK)
        status = companions_save(tokenizer->companions, folder, error);
    free(text);
    return status;
}

/* ---- beside it ------------------------------------------------------------------------------- */

const char *fr_tokenizer_file(const fr_tokenizer *tokenizer, const char *name)
{
    if (strcmp(name, config_name) == 0)
        return tokenizer->config;
    for (int i = 0; i < COMPANIONS; i++)
        if (strcmp(name, companion_names[i]) == 0)
            return tokenizer->companions[i].text;
    return NULL;
}
