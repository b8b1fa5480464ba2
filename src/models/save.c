/* save.c: a model as a Hugging Face folder.

   A folder may hold an earlier model, in one file or in other shards, and a save may be killed at any instant. So config.json, without
   which a folder is no model, goes first and comes back last: between the two a reader finds no model rather than the shards of one
   and the index of another. Files of weights that the new model does not have are removed before it comes back.

   Shards are filled in the order of the parameters, each up to the size asked for, and named as everywhere:
   model-00001-of-00003.safetensors. The index lists them. */
#include "models/models.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char single_name[] = "model.safetensors",
                  index_name[] = "model.safetensors.index.json", config_name[] = "config.json";

/* ---- JSON ---- */

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

fr_status fr_model_json_write(json_t *json, bool whole, const char *folder, const char *name,
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

/* ---- config.json ---- */

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
        status = fr_config_write(model->kind, model->config, json, error);
    if (status != FR_OK) {
        json_decref(json);
        return status;
    }
    bool whole = !json_object_set_new(json, "torch_dtype", json_string(torch_name(dtype))) &&
                 (!model->kept || !json_object_update_missing(json, model->kept));
    return fr_model_json_write(json, whole, folder, config_name, error);
}

/* ---- weights ---- */

/* A body's own file leaves the prefix out. */
static const char *stored_name(const fr_model *model, const fr_parameter *parameter)
{
    size_t prefix = strlen(model->kind->prefix);
    bool leave = model->head.task == FR_TASK_NONE &&
                 strncmp(parameter->name, model->kind->prefix, prefix) == 0;
    return parameter->name + (leave ? prefix : 0);
}

typedef struct saving {
    const fr_model *model;
    const char *folder;
    const fr_model_save_options *options;
    fr_safetensors_item *items; /* one for each parameter */
    size_t *ends;               /* (shards): the first item of the next */
    size_t shards;
    int64_t total; /* bytes */
    fr_error *error;
} saving;

/* Cut the items into shards: each holds as many as fit, and at least one. */
static void cut(saving *s)
{
    int64_t filled = 0;
    for (size_t i = 0; i < s->model->parameter_count; i++) {
        int64_t bytes =
            fr_tensor_count(s->items[i].tensor) * (int64_t)fr_dtype_size(s->options->dtype);
        if (filled > 0 && s->options->shard_bytes > 0 && bytes > s->options->shard_bytes - filled) {
            s->ends[s->shards++] = i;
            filled = 0;
        }
        filled += bytes;
        s->total += bytes;
    }
    s->ends[s->shards++] = s->model->parameter_count;
}

static const char *shard_name(const saving *s, size_t number, char name[64])
{
    if (s->shards == 1)
        return single_name;
    snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", number + 1, s->shards);
    return name;
}

static fr_status write_shards(const saving *s)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    char name[64];
    for (size_t i = 0, first = 0; i < s->shards; first = s->ends[i++]) {
        char *path = fr_path_join(s->folder, shard_name(s, i, name));
        fr_status status = path ? fr_safetensors_write(path, s->items + first, s->ends[i] - first,
                                                       metadata, NULL, s->error)
                                : fr_fail(s->error, FR_NO_MEMORY, "no memory for a path");
        fr_free(path);
        FR_TRY(status);
    }
    return FR_OK;
}

static fr_status write_index(const saving *s)
{
    json_t *map = json_object();
    bool whole = true;
    char name[64];
    for (size_t i = 0, first = 0; i < s->shards; first = s->ends[i++])
        for (size_t k = first; k < s->ends[i]; k++)
            whole &=
                !json_object_set_new(map, s->items[k].name, json_string(shard_name(s, i, name)));
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)s->total,
                              "weight_map", map);
    return fr_model_json_write(index, whole && index, s->folder, index_name, s->error);
}

/* Of the weights that this room writes, those that do not belong to what was written now. */
static bool is_stale(const saving *s, const char *name)
{
    char own[64];
    size_t number, count;
    int length = 0;
    if (strcmp(name, single_name) == 0)
        return s->shards > 1;
    if (strcmp(name, index_name) == 0)
        return s->shards == 1;
    int read = sscanf(name, "model-%5zu-of-%5zu.safetensors%n", &number, &count, &length);
    return read == 2 && (size_t)length == strlen(name) &&
           (s->shards == 1 || number < 1 || number > s->shards ||
            strcmp(name, shard_name(s, number - 1, own)) != 0);
}

static fr_status remove_stale(const saving *s)
{
    DIR *folder = opendir(s->folder);
    if (!folder)
        return fr_fail_errno(s->error, "open folder", s->folder);
    const struct dirent *entry;
    fr_status status = FR_OK;
    while (status == FR_OK && (entry = readdir(folder)) != NULL)
        if (is_stale(s, entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0) != 0)
            status = fr_fail_errno(s->error, "remove the old weights in", s->folder);
    closedir(folder);
    return status;
}

static fr_status write_weights(saving *s)
{
    const fr_model *model = s->model;
    size_t count = model->parameter_count;
    s->items = fr_alloc_array(count, sizeof *s->items, FR_MEMORY_OTHER);
    s->ends = fr_alloc_array(count + 1, sizeof *s->ends, FR_MEMORY_OTHER);
    if (!s->items || !s->ends)
        return fr_fail(s->error, FR_NO_MEMORY, "no memory to write the weights into %s", s->folder);
    for (size_t i = 0; i < count; i++) {
        const fr_parameter *parameter = model->parameters[i];
        bool turned = model->kind->stored_transposed && model->kind->stored_transposed(parameter);
        s->items[i] = (fr_safetensors_item){stored_name(model, parameter), parameter->value,
                                            s->options->dtype, turned};
    }
    cut(s);
    FR_TRY(write_shards(s));
    if (s->shards > 1)
        FR_TRY(write_index(s));
    return remove_stale(s);
}

/* ---- the whole ---- */

/* Take the folder's config.json away: from here on it is no model. */
static fr_status withdraw(const char *folder, fr_error *error)
{
    char *path = fr_path_join(folder, config_name);
    fr_status status = path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    if (path && unlink(path) == 0)
        status = fr_folder_sync(folder, error);
    else if (path && errno != ENOENT)
        status = fr_fail_errno(error, "replace", path);
    fr_free(path);
    return status;
}

fr_status fr_model_save_as(const fr_model *model, const char *folder,
                           const fr_model_save_options *options, fr_error *error)
{
    fr_dtype dtype = options->dtype;
    if (dtype != FR_F32 && dtype != FR_BF16 && dtype != FR_F16)
        return fr_fail(error, FR_WRONG_CALL, "a model is stored as f32, bf16 or f16, not %s",
                       fr_dtype_name(dtype));
    saving s = {.model = model, .folder = folder, .options = options, .error = error};
    FR_TRY(fr_folder_create(folder, error));
    FR_TRY(withdraw(folder, error));
    fr_status status = write_weights(&s);
    fr_free(s.items);
    fr_free(s.ends);
    FR_TRY(status);
    FR_TRY(fr_generation_write(model, folder, error));
    if (model->sentence)
        FR_TRY(fr_sentence_save(model->sentence, model, folder, error));
    return write_config(model, folder, dtype, error); /* last: with it the folder is a model */
}

fr_status fr_model_save(const fr_model *model, const char *folder, fr_dtype dtype, fr_error *error)
{
    return fr_model_save_as(model, folder, &(fr_model_save_options){.dtype = dtype}, error);
}
