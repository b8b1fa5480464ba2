/* folder.c: a model from a Hugging Face folder: config.json, generation_config.json (generation.c), and the files of weights
   (weights.c). */
#include "frugal/formats.h"
#include "models/gguf.h"
#include "models/models.h"

/* ---- reading ---- */

/* Join, with the error told. */
static fr_status join(char **path, const char *folder, const char *name, fr_error *error)
{
    *path = fr_path_join(folder, name);
    return *path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", folder);
}

/* Kind and configuration of a config.json. */
static fr_status read_kind(const fr_model_kind **kind, void **config, const json_t *json,
                           const char *path, fr_error *error)
{
    FR_TRY(fr_config_kind(kind, json, path, error));
    return fr_config_from_json(config, *kind, json, path, error);
}

fr_status fr_model_from_json(fr_model **model, const json_t *json, const fr_model_change *change,
                             const char *path, fr_error *error)
{
    const fr_model_kind *kind;
    void *config;
    fr_model_head own;
    FR_TRY(read_kind(&kind, &config, json, path, error));
    fr_status status = fr_options_update(&kind->base.options, config, change->config, error);
    if (status == FR_OK &&
        (status = fr_model_head_read(&own, kind, config, json, path, error)) == FR_OK) {
        status =
            fr_model_build(model, kind, config, change->head ? change->head : &own, true, error);
        if (status != FR_OK)
            fr_error_prefix(error, "%s", path);
        fr_model_head_free(&own);
    }
    fr_model_config_free(kind, config);
    if (status == FR_OK)
        status = fr_config_keep(&(*model)->kept, kind, json, error);
    return status == FR_OK ? fr_generation_read_ends(*model, json, path, error) : status;
}

fr_status fr_model_folder_head(fr_model_head *head, const char *folder, fr_error *error)
{
    char *path;
    json_t *json = NULL;
    const fr_model_kind *kind;
    void *config;
    *head = (fr_model_head){0};
    FR_TRY(join(&path, folder, "config.json", error));
    fr_status status = fr_json_load(&json, path, error);
    if (status == FR_OK && (status = read_kind(&kind, &config, json, path, error)) == FR_OK) {
        status = fr_model_head_read(head, kind, config, json, path, error);
        fr_model_config_free(kind, config);
    }
    if (status != FR_OK)
        fr_model_head_free(head);
    json_decref(json);
    fr_free(path);
    return status;
}

static fr_status read_config_file(fr_model **model, const char *folder,
                                  const fr_model_change *change, fr_error *error)
{
    char *path;
    FR_TRY(join(&path, folder, "config.json", error));
    json_t *json = NULL;
    fr_status status = fr_json_load(&json, path, error);
    if (status == FR_OK)
        status = fr_model_from_json(model, json, change, path, error);
    json_decref(json);
    fr_free(path);
    return status;
}

static fr_status load_sentence(fr_model *model, const char *folder, fr_error *error)
{
    if (!(model->sentence = fr_alloc(sizeof *model->sentence, FR_MEMORY_OTHER)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for a sentence encoder");
    return fr_sentence_load(model->sentence, folder, error);
}

/* Of a sentence-transformers folder only the body is meant, whatever class config.json names: many do not hold its head. */
static const fr_model_head body = {.task = FR_TASK_NONE};
static fr_model_change changes_of(const fr_model_change *change, const char *folder)
{
    fr_model_change own = *change;
    if (!own.head && fr_sentence_is_folder(folder))
        own.head = &body;
    return own;
}

static fr_status load_shapes(fr_model **model, const char *folder, const fr_model_change *change,
                             fr_error *error)
{
    *model = NULL;
    if (!fr_path_is_folder(folder))
        return fr_fail_at(error, FR_BAD_INPUT, folder, 0, "there is no such model folder");
    fr_status status = read_config_file(model, folder, change, error);
    if (status == FR_OK)
        status = fr_generation_read(*model, folder, error);
    if (status == FR_OK && (*model)->head.task == FR_TASK_NONE && fr_sentence_is_folder(folder))
        status = load_sentence(*model, folder, error);
    if (status != FR_OK) {
        fr_model_destroy(*model);
        *model = NULL;
    }
    return status;
}

fr_status fr_model_load_shapes(fr_model **model, const char *folder, fr_error *error)
{
    const fr_model_change change = changes_of(&(fr_model_change){0}, folder);
    return load_shapes(model, folder, &change, error);
}

fr_status fr_model_load_as(fr_model **model, const char *folder, const fr_model_change *change,
                           fr_error *error)
{
    char *gguf;
    *model = NULL;
    FR_TRY(fr_gguf_locate(folder, &gguf, error));
    if (gguf) {
        fr_status loaded = fr_gguf_load(model, gguf, change, FR_WEIGHTS_F32, error);
        fr_free(gguf);
        return loaded;
    }
    const fr_model_change own = changes_of(change, folder);
    FR_TRY(load_shapes(model, folder, &own, error));
    fr_status status = own.shapes_only
                           ? FR_OK
                           : fr_weights_load(*model, folder, own.head != NULL, own.seed, error);
    if (status != FR_OK) {
        fr_model_destroy(*model);
        *model = NULL;
    }
    return status;
}

fr_status fr_model_load(fr_model **model, const char *folder, fr_error *error)
{
    return fr_model_load_as(model, folder, &(fr_model_change){0}, error);
}

const char *const fr_weights_names[] = {"f32", "stored", NULL};

fr_status fr_model_open(fr_model **model, const char *path, fr_weights weights, fr_error *error)
{
    *model = NULL;
    char *gguf;
    FR_TRY(fr_gguf_locate(path, &gguf, error));
    if (!gguf)
        return fr_model_load(model, path, error);
    fr_status status = fr_gguf_load(model, gguf, &(fr_model_change){0}, weights, error);
    fr_free(gguf);
    return status;
}
