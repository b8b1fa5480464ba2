/* generation.c: generation_config.json: which ids end a text, and settings of sampling that are kept as they came.

   The file belongs to who made the model. What frugal knows of it is the special ids; the text is kept, and written again byte for
   byte as long as these ids are what it says. */
#include "models/models.h"

#include <string.h>

static const char file_name[] = "generation_config.json";

/* ---- reading ---- */

static bool has_end(const fr_model *model, int64_t id)
{
    for (size_t i = 0; i < model->end_count; i++)
        if (model->end_ids[i] == id)
            return true;
    return false;
}

static void add_end(fr_model *model, int64_t id)
{
    if (!has_end(model, id) && model->end_count < sizeof model->end_ids / sizeof model->end_ids[0])
        model->end_ids[model->end_count++] = id;
}

/* eos_token_id is a number or a list of them. */
static size_t end_count(const json_t *value)
{
    return !value || json_is_null(value) ? 0 : json_is_array(value) ? json_array_size(value) : 1;
}

static const json_t *end_at(const json_t *value, size_t index)
{
    return json_is_array(value) ? json_array_get(value, index) : value;
}

fr_status fr_generation_read_ends(fr_model *model, const json_t *json, const char *path,
                                  fr_error *error)
{
    const json_t *value = json_object_get(json, "eos_token_id");
    for (size_t i = 0; i < end_count(value); i++) {
        const json_t *id = end_at(value, i);
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

/* What the file alone says where there is one, whatever config.json said before there were such files. */
static fr_status read_forced(fr_model *model, const json_t *json, const char *path, fr_error *error)
{
    int64_t start = -1;
    model->forced_bos = model->forced_eos = -1;
    FR_TRY(read_id(&start, json, "decoder_start_token_id", path, error));
    if (start >= 0)
        model->decoder_start = start;
    FR_TRY(read_id(&model->forced_bos, json, "forced_bos_token_id", path, error));
    return read_id(&model->forced_eos, json, "forced_eos_token_id", path, error);
}

static fr_status read_text(fr_model *model, const char *path, fr_error *error)
{
    json_t *json;
    size_t size;
    FR_TRY(fr_file_read(path, 0, &model->generation, &size, error));
    FR_TRY(fr_json_parse(&json, model->generation, size, path, error));
    fr_status status = fr_generation_read_ends(model, json, path, error);
    if (status == FR_OK)
        status = read_id(&model->bos, json, "bos_token_id", path, error);
    if (status == FR_OK)
        status = read_id(&model->pad, json, "pad_token_id", path, error);
    if (status == FR_OK && model->kind->encode)
        status = read_forced(model, json, path, error);
    json_decref(json);
    return status;
}

fr_status fr_generation_read(fr_model *model, const char *folder, fr_error *error)
{
    char *path = fr_path_join(folder, file_name);
    fr_status status = path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    if (path && fr_path_exists(path))
        status = read_text(model, path, error);
    fr_free(path);
    return status;
}

/* ---- writing ---- */

static json_t *id_json(int64_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

static bool put_id(json_t *json, const char *name, int64_t id)
{
    return id < 0 || !json_object_set_new(json, name, json_integer(id));
}

static json_t *ends_json(const fr_model *model)
{
    if (model->end_count < 2)
        return id_json(model->eos);
    json_t *ends = json_array();
    for (size_t i = 0; i < model->end_count; i++)
        json_array_append_new(ends, json_integer(model->end_ids[i]));
    return ends;
}

/* Does the object say the id? A field that is not there says nothing against it. */
static bool says_id(const json_t *json, const char *name, int64_t id)
{
    const json_t *value = json_object_get(json, name);
    return !value || json_is_null(value) || json_integer_value(value) == id;
}

/* The model's ends are those of the object, and that of config.json. */
static bool says_ends(const json_t *json, const fr_model *model)
{
    const json_t *value = json_object_get(json, "eos_token_id");
    size_t count = end_count(value);
    for (size_t i = 0; i < count && i < sizeof model->end_ids / sizeof model->end_ids[0]; i++)
        if (!has_end(model, json_integer_value(end_at(value, i))))
            return false;
    for (size_t i = 0; i < model->end_count; i++) {
        bool said = model->end_ids[i] == model->eos;
        for (size_t k = 0; k < count && !said; k++)
            said = json_integer_value(end_at(value, k)) == model->end_ids[i];
        if (!said)
            return false;
    }
    return true;
}

/* The text as it came; NULL: there is none, or ids have changed since. */
static json_t *loaded(const fr_model *model, bool *same)
{
    json_t *json = NULL;
    if (model->generation && fr_json_parse(&json, model->generation, strlen(model->generation),
                                           file_name, NULL) != FR_OK)
        json = NULL;
    *same = json && says_id(json, "bos_token_id", model->bos) &&
            says_id(json, "pad_token_id", model->pad) && says_ends(json, model);
    return json ? json : json_object();
}

static fr_status write_text(const fr_model *model, const char *folder, fr_error *error)
{
    char *path = fr_path_join(folder, file_name);
    fr_status status =
        path ? fr_file_write(path, model->generation, strlen(model->generation), error)
             : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    fr_free(path);
    return status;
}

fr_status fr_generation_write(const fr_model *model, const char *folder, fr_error *error)
{
    if (!model->generation && !model->output)
        return FR_OK; /* it generates nothing */
    bool same;
    json_t *json = loaded(model, &same);
    if (same) {
        json_decref(json);
        return write_text(model, folder, error);
    }
    bool whole = !json_object_set_new(json, "bos_token_id", id_json(model->bos));
    whole &= !json_object_set_new(json, "eos_token_id", ends_json(model));
    whole &= !json_object_set_new(json, "pad_token_id", id_json(model->pad));
    whole &= put_id(json, "decoder_start_token_id", model->decoder_start);
    whole &= put_id(json, "forced_bos_token_id", model->forced_bos);
    whole &= put_id(json, "forced_eos_token_id", model->forced_eos);
    return fr_model_json_write(json, whole, folder, file_name, error);
}
