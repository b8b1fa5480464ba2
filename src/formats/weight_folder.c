/* weight_folder.c: which files of a model folder hold its weights.

   One file, or shards that an index lists: {"metadata": {"total_size": BYTES}, "weight_map": {TENSOR: FILE}}. An index comes from
   outside, so the files that it names must be of the folder itself: a plain name, and no link that leads out. The one exception is the
   download cache of Hugging Face's hub, where snapshots/REVISION holds links to ../../blobs. */
#include "frugal/formats.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which they are looked for. */
static const struct {
    const char *name;
    bool is_index;
} layouts[] = {
    {"model.safetensors", false}, {"model.safetensors.index.json", true},
    {"pytorch_model.bin", false}, {"pytorch_model.bin.index.json", true},
    {"model.pt", false},          {"model.pth", false},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

/* ---- names ---- */

/* Cut the last part off; false: there is none. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return false;
    *slash = 0;
    return true;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* REPOSITORY/snapshots/REVISION and REPOSITORY/blobs/HASH */
static bool is_hub_cache(char *folder, char *target)
{
    bool named = go_up(folder) && strcmp(last_part(folder), "snapshots") == 0 && go_up(folder) &&
                 go_up(target) && strcmp(last_part(target), "blobs") == 0 && go_up(target);
    return named && strcmp(folder, target) == 0;
}

bool fr_folder_holds(const char *folder, const char *name)
{
    char real_folder[PATH_MAX], real_target[PATH_MAX];
    if (!*name || name[0] == '.' || strchr(name, '/'))
        return false;
    char *path = fr_path_join(folder, name);
    bool known = path && realpath(folder, real_folder) && realpath(path, real_target);
    fr_free(path);
    if (!known)
        return true; /* there is nothing there: opening it will say so */
    size_t length = strlen(real_folder);
    if (strncmp(real_folder, real_target, length) == 0 &&
        (real_target[length] == '/' || strcmp(real_folder, "/") == 0))
        return true;
    return is_hub_cache(real_folder, real_target);
}

/* ---- the index ---- */

/* The files that a weight_map names, each once: an object from name to number. */
static fr_status list_shards(const json_t *map, json_t *numbers, const char *folder,
                             const char *path, fr_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (name && json_object_get(numbers, name))
            continue;
        if (!name || !fr_folder_holds(folder, name))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                              "tensor '%.64s': '%.64s' is not the name of a file of this folder",
                              tensor, name ? name : "");
        json_int_t number = (json_int_t)json_object_size(numbers);
        if (json_object_set_new(numbers, name, json_integer(number)) != 0)
            return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    }
    return FR_OK;
}

static fr_status open_file(fr_weight_folder *f, const char *folder, const char *name,
                           fr_error *error)
{
    char *path = fr_path_join(folder, name);
    if (!path)
        return fr_fail(error, FR_NO_MEMORY, "no memory to open the weights");
    fr_status status = fr_weight_file_open(&f->files[f->count], path, error);
    fr_free(path);
    f->count += status == FR_OK;
    return status;
}

static fr_status allocate(fr_weight_folder *f, size_t count, fr_error *error)
{
    f->files = fr_alloc_array(count, sizeof(fr_weight_file *), FR_MEMORY_OTHER);
    return f->files ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory to open the weights");
}

static fr_status open_shards(fr_weight_folder *f, const char *folder, const json_t *numbers,
                             fr_error *error)
{
    const char *name;
    json_t *number;
    FR_TRY(allocate(f, json_object_size(numbers), error));
    json_object_foreach((json_t *)numbers, name, number) FR_TRY(open_file(f, folder, name, error));
    return FR_OK;
}

/* The index tells the truth: each tensor lies in the file that it names. */
static fr_status check_map(const fr_weight_folder *f, const json_t *map, const json_t *numbers,
                           const char *path, fr_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)map, tensor, value)
    {
        const char *name = json_string_value(value);
        size_t number = (size_t)json_integer_value(json_object_get(numbers, name));
        if (!fr_weight_file_find(f->files[number], tensor))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                              "tensor '%.64s' is not in %.64s, where the index has it", tensor,
                              name);
    }
    return FR_OK;
}

static fr_status read_index(fr_weight_folder *f, const char *folder, const json_t *index,
                            json_t *numbers, fr_error *error)
{
    const json_t *map = json_object_get(index, "weight_map");
    const json_t *size = json_object_get(json_object_get(index, "metadata"), "total_size");
    if (!numbers)
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", f->index);
    if (!json_object_size(map))
        return fr_fail_at(error, FR_BAD_INPUT, f->index, 0, "there is no weight_map");
    f->total_size = json_is_number(size) ? (int64_t)json_number_value(size) : -1;
    FR_TRY(list_shards(map, numbers, folder, f->index, error));
    FR_TRY(open_shards(f, folder, numbers, error));
    return check_map(f, map, numbers, f->index, error);
}

static fr_status open_index(fr_weight_folder *f, const char *folder, const char *name,
                            fr_error *error)
{
    json_t *index = NULL, *numbers = json_object();
    f->index = fr_path_join(folder, name);
    fr_status status = f->index ? fr_json_load(&index, f->index, error)
                                : fr_fail(error, FR_NO_MEMORY, "no memory to open the weights");
    if (status == FR_OK)
        status = read_index(f, folder, index, numbers, error);
    json_decref(index);
    json_decref(numbers);
    return status;
}

/* ---- the folder ---- */

static bool holds(const char *folder, const char *name)
{
    char *path = fr_path_join(folder, name);
    bool there = path && fr_path_exists(path);
    fr_free(path);
    return there;
}

static fr_status open_layout(fr_weight_folder *f, const char *folder, int layout, fr_error *error)
{
    if (layouts[layout].is_index)
        return open_index(f, folder, layouts[layout].name, error);
    FR_TRY(allocate(f, 1, error));
    return open_file(f, folder, layouts[layout].name, error);
}

fr_status fr_weight_folder_open(fr_weight_folder *f, const char *folder, fr_error *error)
{
    *f = (fr_weight_folder){.total_size = -1};
    int layout = 0;
    while (layout < LAYOUTS && !holds(folder, layouts[layout].name))
        layout++;
    if (layout == LAYOUTS)
        return fr_fail_at(error, FR_BAD_INPUT, folder, 0,
                          "there is neither model.safetensors nor pytorch_model.bin nor an index "
                          "of either (weights in other formats are not read)");
    fr_status status = open_layout(f, folder, layout, error);
    if (status != FR_OK)
        fr_weight_folder_close(f);
    return status;
}

void fr_weight_folder_close(fr_weight_folder *f)
{
    for (size_t i = 0; i < f->count; i++)
        fr_weight_file_close(f->files[i]);
    fr_free((void *)f->files);
    fr_free(f->index);
    *f = (fr_weight_folder){.total_size = -1};
}
