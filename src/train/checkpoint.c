/* checkpoint.c: the state of a run on disk, so that a kill at any instant loses nothing that was saved.

   A checkpoint is a folder step-00000123 with
     state.safetensors   every tensor of the state tree, by name
     state.json          {"format": 1, "step": 123, "files": {"state.safetensors": XXH3}, "integers": {name: [..]},
                          "reals": {name: ["0x1.8p+1", ..]}, "identity": text, "xxh3": XXH3 of this object without that key}
   Reals are hexadecimal, so that every bit returns. It is written under a temporary name, made durable, and renamed: a folder of
   the right name is whole, unless the disk itself damages it, which the hashes show. Old ones go only after the new one is durable. */
#include "train/trainer.h"

#include "frugal/formats.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FORMAT = 1 };
static const char prefix[] = "step-";
static const char temporary[] = ".step-";
static const char tensors_name[] = "state.safetensors";

/* ---- hashes ---- */

static json_t *hash_text(uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return json_string(text);
}

/* Of the object in one canonical spelling; false when there is no memory. */
static bool object_hash(const json_t *object, uint64_t *hash)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    if (text)
        *hash = XXH3_64bits(text, strlen(text));
    free(text);
    return text != NULL;
}

static bool same_hash(const json_t *text, uint64_t hash)
{
    const char *found = json_string_value(text);
    return found && strtoull(found, NULL, 16) == hash && strlen(found) == 16;
}

/* ---- writing ---- */

static fr_status write_tensors(const char *path, const fr_state *state, uint64_t *hash,
                               fr_error *error)
{
    size_t count = 0;
    fr_safetensors_item *items =
        fr_alloc_array(fr_state_count(state), sizeof *items, FR_MEMORY_OTHER);
    if (!items)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a checkpoint");
    for (size_t i = 0; i < fr_state_count(state); i++) {
        const fr_state_entry *entry = fr_state_at(state, i);
        if (entry->type == FR_STATE_TENSOR)
            items[count++] = (fr_safetensors_item){
                .name = entry->name, .tensor = entry->tensor, .stored_as = entry->tensor->dtype};
    }
    fr_status status = fr_safetensors_write(path, items, count, NULL, hash, error);
    fr_free(items);
    return status;
}

static json_t *real_text(double value)
{
    char text[48];
    snprintf(text, sizeof text, "%a", value);
    return json_string(text);
}

static void pack_values(const fr_state *state, json_t *integers, json_t *reals)
{
    for (size_t i = 0; i < fr_state_count(state); i++) {
        const fr_state_entry *entry = fr_state_at(state, i);
        if (entry->type == FR_STATE_TENSOR)
            continue;
        json_t *list = json_array();
        for (size_t k = 0; k < entry->count; k++)
            json_array_append_new(list, entry->type == FR_STATE_I64 ? json_integer(entry->i64[k])
                                                                    : real_text(entry->f64[k]));
        json_object_set_new(entry->type == FR_STATE_I64 ? integers : reals, entry->name, list);
    }
}

static fr_status write_values(const char *path, int64_t step, const fr_state *state,
                              const char *identity, uint64_t tensors_hash, fr_error *error)
{
    json_t *integers = json_object(), *reals = json_object();
    pack_values(state, integers, reals);
    json_t *object = json_pack("{s:i, s:I, s:{s:o}, s:o, s:o, s:s}", "format", FORMAT, "step",
                               (json_int_t)step, "files", tensors_name, hash_text(tensors_hash),
                               "integers", integers, "reals", reals, "identity", identity);
    uint64_t hash = 0;
    char *text = NULL;
    if (object && object_hash(object, &hash) &&
        json_object_set_new(object, "xxh3", hash_text(hash)) == 0)
        text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
    fr_status status = text ? fr_file_write(path, text, strlen(text), error)
                            : fr_fail(error, FR_NO_MEMORY,
                                      "no memory for a checkpoint (or its text is not UTF-8)");
    free(text);
    json_decref(object);
    return status;
}

static fr_status write_files(const char *folder, int64_t step, const fr_state *state,
                             const char *identity, fr_error *error)
{
    uint64_t hash = 0;
    char *tensors = fr_path_join(folder, tensors_name),
         *values = fr_path_join(folder, "state.json");
    fr_status status =
        tensors && values ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a checkpoint");
    if (status == FR_OK)
        status = write_tensors(tensors, state, &hash, error);
    if (status == FR_OK)
        status = write_values(values, step, state, identity, hash, error);
    if (status == FR_OK)
        status = fr_folder_sync(folder, error);
    fr_free(tensors);
    fr_free(values);
    return status;
}

/* Put the finished folder in its place; what stood there (a damaged one of the same step) goes. */
static fr_status put_in_place(const char *from, const char *to, const char *folder, fr_error *error)
{
    FR_TRY(fr_folder_remove(to, error));
    if (rename(from, to) != 0)
        return fr_fail_errno(error, "rename to", to);
    return fr_folder_sync(folder, error);
}

fr_status fr_checkpoint_write(const char *folder, int64_t step, const fr_state *state,
                              const char *identity, fr_error *error)
{
    char *from = fr_format("%s/%s%08lld.tmp", folder, temporary, (long long)step);
    char *to = fr_format("%s/%s%08lld", folder, prefix, (long long)step);
    fr_status status =
        from && to ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a checkpoint");
    if (status == FR_OK)
        status = fr_folder_remove(from, error);
    if (status == FR_OK)
        status = fr_folder_create(from, error);
    if (status == FR_OK)
        status = write_files(from, step, state, identity, error);
    if (status == FR_OK)
        status = put_in_place(from, to, folder, error);
    if (status != FR_OK && from)
        fr_folder_remove(from, NULL);
    fr_free(from);
    fr_free(to);
    return status;
}

/* ---- finding ---- */

typedef struct step_list {
    int64_t *steps;
    size_t count;
} step_list;

static int descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* The number in "step-00000123", or -1. */
static int64_t step_of(const char *name)
{
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return -1;
    const char *digits = name + sizeof prefix - 1;
    size_t length = strlen(digits);
    if (length < 8 || length > 18 || strspn(digits, "0123456789") != length)
        return -1;
    return strtoll(digits, NULL, 10);
}

/* The steps that have a folder, newest first; none when `folder` is missing. */
static fr_status list_steps(const char *folder, step_list *list, fr_error *error)
{
    *list = (step_list){0};
    DIR *directory = opendir(folder);
    if (!directory)
        return errno == ENOENT ? FR_OK : fr_fail_errno(error, "open", folder);
    fr_status status = FR_OK;
    for (struct dirent *entry; status == FR_OK && (entry = readdir(directory));) {
        int64_t step = step_of(entry->d_name);
        if (step < 0)
            continue;
        int64_t *more = fr_realloc(list->steps, (list->count + 1) * sizeof *more, FR_MEMORY_OTHER);
        if (more) {
            list->steps = more;
            list->steps[list->count++] = step;
        } else {
            status = fr_fail(error, FR_NO_MEMORY, "no memory to list %s", folder);
        }
    }
    closedir(directory);
    if (list->count)
        qsort(list->steps, list->count, sizeof *list->steps, descending);
    return status;
}

/* state.json of a checkpoint, its own hash checked; a new reference, or NULL with the error. */
static json_t *read_values(const char *path, fr_error *error)
{
    json_error_t place;
    uint64_t hash = 0;
    char *file = fr_path_join(path, "state.json");
    json_t *object = file ? json_load_file(file, JSON_REJECT_DUPLICATES, &place) : NULL;
    if (!object) {
        fr_fail(error, FR_BAD_INPUT, "%s: cannot be read: %s", file ? file : path,
                file ? place.text : "no memory");
        fr_free(file);
        return NULL;
    }
    json_t *stated = json_incref(json_object_get(object, "xxh3"));
    json_object_del(object, "xxh3");
    bool whole = stated && object_hash(object, &hash) && same_hash(stated, hash);
    json_decref(stated);
    if (whole && json_integer_value(json_object_get(object, "format")) != FORMAT) {
        fr_fail(error, FR_UNSUPPORTED, "%s: format %lld, this program reads format %d", file,
                (long long)json_integer_value(json_object_get(object, "format")), FORMAT);
        whole = false;
    } else if (!whole) {
        fr_fail(error, FR_BAD_INPUT, "%s: damaged: its hash does not fit", file);
    }
    if (!whole) {
        json_decref(object);
        object = NULL;
    }
    fr_free(file);
    return object;
}

/* Every file listed has the hash that is stated. */
static fr_status check_files(const char *path, const json_t *object, fr_error *error)
{
    const char *name;
    json_t *stated, *files = json_object_get(object, "files");
    fr_status status =
        json_object_size(files) ? FR_OK : fr_fail(error, FR_BAD_INPUT, "%s: lists no files", path);
    json_object_foreach(files, name, stated)
    {
        uint64_t hash = 0;
        char *file = fr_path_join(path, name);
        if (status == FR_OK)
            status =
                file ? fr_file_hash(file, &hash, error) : fr_fail(error, FR_NO_MEMORY, "no memory");
        if (status == FR_OK && !same_hash(stated, hash))
            status =
                fr_fail(error, FR_BAD_INPUT, "%s: damaged: its hash is %016" PRIx64 ", expected %s",
                        file, hash, json_string_value(stated));
        fr_free(file);
    }
    return status;
}

/* Whether the checkpoint is whole; its identity on request. */
static fr_status check(const char *path, char **identity, fr_error *error)
{
    json_t *object = read_values(path, error);
    if (!object)
        return error ? error->status : FR_BAD_INPUT;
    fr_status status = check_files(path, object, error);
    const char *text = json_string_value(json_object_get(object, "identity"));
    if (status == FR_OK && identity && !(*identity = fr_string_copy(text ? text : "")))
        status = fr_fail(error, FR_NO_MEMORY, "no memory");
    json_decref(object);
    return status;
}

fr_status fr_checkpoint_latest(const char *folder, char **path, int64_t *step, char **identity,
                               fr_error *error)
{
    step_list list;
    *path = NULL;
    if (identity)
        *identity = NULL;
    fr_status status = list_steps(folder, &list, error);
    for (size_t i = 0; status == FR_OK && i < list.count && !*path; i++) {
        fr_error damage = {0};
        *path = fr_format("%s/%s%08lld", folder, prefix, (long long)list.steps[i]);
        if (!*path) {
            status = fr_fail(error, FR_NO_MEMORY, "no memory");
        } else if (check(*path, identity, &damage) == FR_OK) {
            if (step)
                *step = list.steps[i];
        } else {
            fr_log(FR_LOG_WARNING, "checkpoint passed over: %s", damage.message);
            fr_free(*path);
            *path = NULL;
        }
    }
    fr_free(list.steps);
    return status;
}

/* ---- reading ---- */

static fr_status read_tensor(const fr_safetensors *file, const char *path,
                             const fr_state_entry *entry, fr_error *error)
{
    const fr_safetensors_entry *found = fr_safetensors_find(file, entry->name);
    fr_tensor *tensor = entry->tensor;
    if (!found)
        return fr_fail(error, FR_BAD_INPUT, "%s: has no tensor '%s'", path, entry->name);
    bool same = found->dtype == tensor->dtype && found->rank == tensor->rank;
    for (int axis = 0; same && axis < tensor->rank; axis++)
        same = found->shape[axis] == tensor->shape[axis];
    if (!same || found->bytes != fr_tensor_bytes(tensor)) {
        char text[128];
        return fr_fail(error, FR_BAD_INPUT, "%s: tensor '%s' has another shape or type than %s %s",
                       path, entry->name, fr_tensor_shape_text(tensor, text, sizeof text),
                       fr_dtype_name(tensor->dtype));
    }
    if (found->bytes)
        memcpy(fr_tensor_host(tensor), found->data, found->bytes);
    return FR_OK;
}

static fr_status read_numbers(const json_t *object, const char *path, const fr_state_entry *entry,
                              fr_error *error)
{
    bool integer = entry->type == FR_STATE_I64;
    json_t *list =
        json_object_get(json_object_get(object, integer ? "integers" : "reals"), entry->name);
    if (json_array_size(list) != entry->count)
        return fr_fail(error, FR_BAD_INPUT, "%s/state.json: '%s' has %zu numbers, expected %zu",
                       path, entry->name, json_array_size(list), entry->count);
    for (size_t k = 0; k < entry->count; k++) {
        json_t *item = json_array_get(list, k);
        const char *text = json_string_value(item);
        if (integer ? !json_is_integer(item) : !text)
            return fr_fail(error, FR_BAD_INPUT, "%s/state.json: '%s' is not a list of numbers",
                           path, entry->name);
        if (integer)
            entry->i64[k] = json_integer_value(item);
        else
            entry->f64[k] = strtod(text, NULL);
    }
    return FR_OK;
}

static fr_status read_entries(const char *path, const fr_safetensors *file, const json_t *object,
                              const fr_state *state, const char *begin, fr_error *error)
{
    for (size_t i = 0; i < fr_state_count(state); i++) {
        const fr_state_entry *entry = fr_state_at(state, i);
        if (strncmp(entry->name, begin, strlen(begin)) != 0)
            continue;
        if (entry->type == FR_STATE_TENSOR)
            FR_TRY(read_tensor(file, path, entry, error));
        else
            FR_TRY(read_numbers(object, path, entry, error));
    }
    return FR_OK;
}

fr_status fr_checkpoint_read(const char *path, const fr_state *state, const char *begin,
                             fr_error *error)
{
    fr_error damage = {0};
    fr_safetensors *file = NULL;
    char *tensors = fr_path_join(path, tensors_name);
    json_t *object = tensors ? read_values(path, &damage) : NULL;
    fr_status status = FR_OK;
    if (!tensors)
        status = fr_fail(error, FR_NO_MEMORY, "no memory");
    else if (!object)
        status = fr_fail(error, damage.status, "%s", damage.message);
    if (status == FR_OK)
        status = fr_safetensors_open(&file, tensors, error);
    if (status == FR_OK)
        status = read_entries(path, file, object, state, begin, error);
    if (file)
        fr_safetensors_close(file);
    json_decref(object);
    fr_free(tensors);
    return status;
}

/* ---- removing ---- */

fr_status fr_checkpoint_prune(const char *folder, int64_t newest, int64_t keep_last, int64_t best,
                              fr_error *error)
{
    step_list list;
    int64_t kept = 0;
    fr_status status = list_steps(folder, &list, error);
    for (size_t i = 0; status == FR_OK && i < list.count; i++) {
        if (list.steps[i] > newest || kept++ < keep_last || list.steps[i] == best)
            continue;
        /* Under another name first: a folder half removed must not look like a checkpoint. */
        char *path = fr_format("%s/%s%08lld", folder, prefix, (long long)list.steps[i]);
        char *gone = fr_format("%s/%s%08lld.tmp", folder, temporary, (long long)list.steps[i]);
        if (!path || !gone)
            status = fr_fail(error, FR_NO_MEMORY, "no memory");
        else if (rename(path, gone) != 0)
            status = fr_fail_errno(error, "rename", path);
        else
            status = fr_folder_remove(gone, error);
        fr_free(path);
        fr_free(gone);
    }
    fr_free(list.steps);
    return status;
}

fr_status fr_checkpoint_clean(const char *folder, fr_error *error)
{
    DIR *directory = opendir(folder);
    if (!directory)
        return errno == ENOENT ? FR_OK : fr_fail_errno(error, "open", folder);
    fr_status status = FR_OK;
    for (struct dirent *entry; status == FR_OK && (entry = readdir(directory));) {
        if (strncmp(entry->d_name, temporary, sizeof temporary - 1) != 0)
            continue;
        char *path = fr_path_join(folder, entry->d_name);
        status = path ? fr_folder_remove(path, error) : fr_fail(error, FR_NO_MEMORY, "no memory");
        fr_free(path);
    }
    closedir(directory);
    return status;
}
