/* folder.c: a model as a Hugging Face folder: config.json, generation_config.json, and the weights
   in model.safetensors or in the shards that an index lists (weights.c). */
#include "models/models.h"
#include "frugal/formats.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* Join, with the error told. */
static fr_status join(char **path, const char *folder, const char *name, fr_error *error)
{
    *path = fr_path_join(folder, name);
    return *path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", folder);
}

static void add_end(fr_model *model, int64_t id)
{
    for (size_t i = 0; i < model->end_count; i++)
        if (model->end_ids[i] == id)
            return;
    if (model->end_count < sizeof model->end_ids / sizeof model->end_ids[0])
        model->end_ids[model->end_count++] = id;
}

/* The ids that end a text: a number or a list of them; absent or null: none. */
static fr_status read_ends(fr_model *model, const json_t *json, const char *path, fr_error *error)
{
    const json_t *value = json_object_get(json, "eos_token_id");
    if (!value || json_is_null(value))
        return FR_OK;
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                              "eos_token_id is neither an id nor a list of ids");
        add_end(model, json_integer_value(id));
    }
    if (model->eos < 0 && model->end_count)
        model->eos = model->end_ids[0];
    return FR_OK;
}

/* bos and pad where config.json has none. */
static fr_status read_id(int64_t *id, const json_t *json, const char *name, const char *path,
                         fr_error *error)
{
    const json_t *value = json_object_get(json, name);
    if (*id >= 0 || !value || json_is_null(value))
        return FR_OK;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > INT32_MAX)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "%s is not an id", name);
    *id = number;
    return FR_OK;
}

static fr_status read_generation(fr_model *model, const char *folder, fr_error *error)
{
    char *path;
    FR_TRY(join(&path, folder, "generation_config.json", error));
    json_t *json = NULL;
    fr_status status = FR_OK;
    if (fr_path_exists(path) && (status = fr_json_load(&json, path, error)) == FR_OK)
        status = read_ends(model, json, path, error);
    if (status == FR_OK && json)
        status = read_id(&model->bos, json, "bos_token_id", path, error);
    if (status == FR_OK && json)
        status = read_id(&model->pad, json, "pad_token_id", path, error);
    json_decref(json);
    fr_free(path);
    return status;
}

/* Kind and configuration of a config.json. */
static fr_status read_kind(const fr_model_kind **kind, void **config, const json_t *json,
                           const char *path, fr_error *error)
{
    FR_TRY(fr_config_kind(kind, json, path, error));
    return fr_config_from_json(config, *kind, json, path, error);
}

static fr_status build_from_json(fr_model **model, const json_t *json,
                                 const fr_model_change *change, const char *path, fr_error *error)
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
    return status == FR_OK ? read_ends(*model, json, path, error) : status;
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
        status = build_from_json(model, json, change, path, error);
    json_decref(json);
    fr_free(path);
    return status;
}

fr_status fr_model_load_as(fr_model **out, const char *folder, const fr_model_change *change,
                           fr_error *error)
{
    *out = NULL;
    if (!fr_path_is_folder(folder))
        return fr_fail_at(error, FR_BAD_INPUT, folder, 0, "there is no such model folder");
    fr_model *model = NULL;
    fr_status status = read_config_file(&model, folder, change, error);
    if (status == FR_OK)
        status = read_generation(model, folder, error);
    if (status == FR_OK)
        status = fr_weights_load(model, folder, change->head != NULL, change->seed, error);
    if (status != FR_OK) {
        fr_model_destroy(model);
        return status;
    }
    *out = model;
    return FR_OK;
}

fr_status fr_model_load(fr_model **model, const char *folder, fr_error *error)
{
    return fr_model_load_as(model, folder, &(fr_model_change){0}, error);
}

/* ---- writing ---- */

/* The object as text in 15 digits, which show 1e-5 as it was written, or in 17 if one of its
   numbers needs them. Freed with free; NULL: no memory. */
static char *json_text(const json_t *json)
{
    const size_t layout = JSON_INDENT(2);
    char *text = json_dumps(json, layout | JSON_REAL_PRECISION(15));
    json_t *again = text ? json_loads(text, 0, NULL) : NULL;
    if (text && !json_equal(json, again)) {
        free(text);
        text = json_dumps(json, layout | JSON_REAL_PRECISION(17));
    }
    json_decref(again);
    return text;
}

/* Write the object (and release it) as FOLDER/NAME. `whole` false: something of it could not be
   made. */
static fr_status write_json(json_t *json, bool whole, const char *folder, const char *name,
                            fr_error *error)
{
    char *text = whole ? json_text(json) : NULL;
    json_decref(json);
    if (!text)
        return fr_fail(error, FR_NO_MEMORY, "cannot make %s of %s", name, folder);
    fr_buffer out = {0};
    fr_buffer_printf(&out, "%s\n", text);
    free(text);
    char *path = fr_path_join(folder, name);
    fr_status status = out.failed || !path
                           ? fr_fail(error, FR_NO_MEMORY, "no memory to write %s", name)
                           : fr_file_write(path, out.data, out.size, error);
    fr_free(path);
    fr_buffer_free(&out);
    return status;
}

static const char *torch_name(fr_dtype dtype)
{
    return dtype == FR_BF16 ? "bfloat16" : dtype == FR_F16 ? "float16" : "float32";
}

static fr_status write_config(const fr_model *model, const char *folder, fr_dtype dtype,
                              fr_error *error)
{
    json_t *json = json_object();
    fr_status status = fr_model_head_write(model, json, error);
    if (status == FR_OK)
        status = model->kind->write_config(model->config, json, error);
    if (status != FR_OK) {
        json_decref(json);
        return status;
    }
    bool whole = !json_object_set_new(json, "torch_dtype", json_string(torch_name(dtype)));
    return write_json(json, whole, folder, "config.json", error);
}

static json_t *id_json(int64_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

static fr_status write_generation(const fr_model *model, const char *folder, fr_error *error)
{
    json_t *json = json_object(), *ends = id_json(model->eos);
    if (model->end_count > 1) {
        json_decref(ends);
        ends = json_array();
        for (size_t i = 0; i < model->end_count; i++)
            json_array_append_new(ends, json_integer(model->end_ids[i]));
    }
    bool whole = !json_object_set_new(json, "bos_token_id", id_json(model->bos));
    whole &= !json_object_set_new(json, "eos_token_id", ends);
    whole &= !json_object_set_new(json, "pad_token_id", id_json(model->pad));
    return write_json(json, whole, folder, "generation_config.json", error);
}

/* A body's own file leaves the prefix out. */
static const char *stored_name(const fr_model *model, const fr_parameter *parameter)
{
    size_t prefix = strlen(model->kind->prefix);
    bool leave = model->head.task == FR_TASK_NONE &&
                 strncmp(parameter->name, model->kind->prefix, prefix) == 0;
    return parameter->name + (leave ? prefix : 0);
}

static fr_status write_weights(const fr_model *model, const char *folder, fr_dtype dtype,
                               fr_error *error)
{
    fr_safetensors_item *items =
        fr_alloc_array(model->parameter_count, sizeof *items, FR_MEMORY_OTHER);
    char *path = fr_path_join(folder, "model.safetensors");
    static const char *const metadata[] = {"format", "pt", NULL};
    fr_status status = FR_OK;
    if (!items || !path)
        status = fr_fail(error, FR_NO_MEMORY, "no memory to write the weights into %s", folder);
    for (size_t i = 0; i < model->parameter_count && status == FR_OK; i++) {
        const fr_parameter *parameter = model->parameters[i];
        bool turned = model->kind->stored_transposed && model->kind->stored_transposed(parameter);
        items[i] =
            (fr_safetensors_item){stored_name(model, parameter), parameter->value, dtype, turned};
    }
    if (status == FR_OK)
        status = fr_safetensors_write(path, items, model->parameter_count, metadata, NULL, error);
    fr_free(path);
    fr_free(items);
    return status;
}

fr_status fr_model_save(const fr_model *model, const char *folder, fr_dtype dtype, fr_error *error)
{
    if (dtype != FR_F32 && dtype != FR_BF16 && dtype != FR_F16)
        return fr_fail(error, FR_WRONG_CALL, "a model is stored as f32, bf16 or f16, not %s",
                       fr_dtype_name(dtype));
    FR_TRY(fr_folder_create(folder, error));
    FR_TRY(write_weights(model, folder, dtype, error));
    FR_TRY(write_generation(model, folder, error));
    return write_config(model, folder, dtype, error); /* last: with it the folder is a model */
}
