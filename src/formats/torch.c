/* torch.c: a PyTorch state dict (pytorch_model.bin, model.pt) as a container of weights.

   Two layouts. Since version 1.6 torch.save writes a zip archive of stored members:

       NAME/data.pkl       the pickle: a dict from names to tensors, each a view of a storage
       NAME/data/KEY       the bytes of storage KEY
       NAME/byteorder      "little" (newer versions)

   Before that, pickles stand one behind the other: a magic number, the version 1001, facts about the system, the dict, a list of the
   storages' keys; then for each key 8 bytes with its number of elements, and its bytes.

   The dict is the file itself, or, in checkpoints, its entry "state_dict", "model_state_dict" or "model". Tensors may share a storage
   (tied weights), may be transposed or parts of a larger one: strides are honoured. Source: torch/serialization.py. */
#include "formats/pickle.h"
#include "formats/text.h"
#include "formats/weight_file.h"
#include "formats/zip.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_PICKLE = 64 << 20, LEGACY_VERSION = 1001 };

/* A pickle of the number 0x1950a86a20f9469cfc6c. */
static const unsigned char legacy_magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                             0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

typedef struct stored_bytes {
    const char *key;
    const unsigned char *data;
    size_t size;
} stored_bytes;

typedef struct torch_file {
    fr_arena *arena; /* names, and the pickle's values while it is read */
    zip_archive archive;
    char *root;             /* the archive's folder; NULL: the older layout */
    stored_bytes *storages; /* of the older layout, sorted by key */
    size_t storage_count;
} torch_file;

/* ---- storages ---- */

static int by_key(const void *left, const void *right)
{
    return strcmp(((const stored_bytes *)left)->key, ((const stored_bytes *)right)->key);
}

/* The bytes of a storage, whose number must be the one that the pickle says. */
static fr_status find_storage(const fr_weight_file *file, const pickle_storage *storage,
                              const unsigned char **data, fr_error *error)
{
    const torch_file *own = file->own;
    stored_bytes found = {.key = storage->key};
    bool there = false;
    if (own->root) {
        char *name = fr_format("%s/data/%s", own->root, storage->key);
        if (!name)
            return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", file->path);
        const zip_member *member = zip_find(&own->archive, name);
        fr_free(name);
        if ((there = member != NULL))
            found = (stored_bytes){storage->key, member->data, member->size};
    } else {
        const stored_bytes *member =
            bsearch(&found, own->storages, own->storage_count, sizeof found, by_key);
        if ((there = member && member->data))
            found = *member;
    }
    if (!there)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "storage '%.40s', which a tensor is a view of, is missing", storage->key);
    size_t bytes;
    if (__builtin_mul_overflow((size_t)storage->count, fr_dtype_size(storage->dtype), &bytes) ||
        bytes != found.size)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "storage '%.40s' has %zu bytes, but the pickle says %lld elements of %s",
                          storage->key, found.size, (long long)storage->count,
                          fr_dtype_name(storage->dtype));
    *data = found.data;
    return FR_OK;
}

/* ---- the dict ---- */

static bool holds_tensors(const pickle_value *dict)
{
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (dict->items[i + 1]->type == PICKLE_TENSOR)
            return true;
    return false;
}

static const pickle_value *entry(const pickle_value *dict, const char *name)
{
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (dict->items[i]->type == PICKLE_TEXT && strcmp(dict->items[i]->text, name) == 0)
            return dict->items[i + 1];
    return NULL;
}

/* The dict of tensors in what the file holds. */
static fr_status find_dict(const pickle_value *top, const pickle_value **dict, const char *path,
                           fr_error *error)
{
    static const char *const wrappers[] = {"state_dict", "model_state_dict", "model"};
    if (top->type != PICKLE_DICT)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0, "holds %s, expected a state dict",
                          pickle_type_name(top->type));
    *dict = top;
    if (holds_tensors(top))
        return FR_OK;
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
        const pickle_value *inner = entry(top, wrappers[i]);
        if (inner && inner->type == PICKLE_DICT && holds_tensors(inner)) {
            *dict = inner;
            return FR_OK;
        }
    }
    return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                      "holds no tensors, neither directly nor under 'state_dict', "
                      "'model_state_dict' or 'model'");
}

static fr_status add_tensor(fr_weight_file *file, const pickle_value *name,
                            const pickle_value *value, fr_error *error)
{
    if (name->type != PICKLE_TEXT)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "the state dict has %s for a name, expected a text",
                          pickle_type_name(name->type));
    if (value->type != PICKLE_TENSOR)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                          "'%.80s' of the state dict is %s, expected a tensor", name->text,
                          pickle_type_name(value->type));
    const pickle_tensor *from = value->tensor;
    const unsigned char *data = NULL;
    FR_TRY(find_storage(file, from->storage, &data, error));
    fr_stored_tensor *tensor = &file->tensors[file->count++];
    size_t size = fr_dtype_size(from->storage->dtype);
    tensor->name = name->text;
    tensor->rank = from->rank;
    tensor->bytes = size;
    for (int i = 0; i < from->rank; i++) {
        tensor->shape[i] = from->shape[i];
        tensor->bytes *= (size_t)from->shape[i];
    }
    tensor->data = data ? data + (size_t)from->offset * size : NULL;
    stored_tensor_set_plain(tensor, from->storage->dtype, from->strides);
    return FR_OK;
}

static fr_status list_tensors(fr_weight_file *file, const pickle_value *top, fr_error *error)
{
    const pickle_value *dict;
    FR_TRY(find_dict(top, &dict, file->path, error));
    file->tensors = fr_alloc_array(dict->count / 2 + 1, sizeof *file->tensors, FR_MEMORY_OTHER);
    if (!file->tensors)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the tensors of %s", file->path);
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        FR_TRY(add_tensor(file, dict->items[i], dict->items[i + 1], error));
    return FR_OK;
}

/* ---- the archive ---- */

static const zip_member *member_of(const torch_file *own, const char *name)
{
    char *path = fr_format("%s/%s", own->root, name);
    const zip_member *member = path ? zip_find(&own->archive, path) : NULL;
    fr_free(path);
    return member;
}

/* The archive's one folder is the one with the pickle. */
static fr_status find_root(torch_file *own, const char *path, fr_error *error)
{
    for (size_t i = 0; i < own->archive.count; i++) {
        const char *name = own->archive.members[i].name, *slash = strchr(name, '/');
        if (!slash || strcmp(slash, "/data.pkl") != 0)
            continue;
        if (own->root)
            return fr_fail_at(error, FR_BAD_INPUT, path, 0, "there are several data.pkl");
        own->root = fr_string_copy_n(name, (size_t)(slash - name));
        if (!own->root)
            return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    }
    if (!own->root)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                          "a zip archive without data.pkl is not a file of torch.save");
    return FR_OK;
}

static fr_status check_kind(const torch_file *own, const char *path, fr_error *error)
{
    for (size_t i = 0; i < own->archive.count; i++)
        if (strstr(own->archive.members[i].name, "/code/") ||
            fr_string_ends(own->archive.members[i].name, "/constants.pkl"))
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                              "a TorchScript program ('%.80s') is not read; save its state dict",
                              own->archive.members[i].name);
    const zip_member *order = member_of(own, "byteorder");
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "its byte order is '%.*s'; only little is read",
                          (int)(order->size < 16 ? order->size : 16), (const char *)order->data);
    return FR_OK;
}

static fr_status read_pickle(fr_weight_file *file, const unsigned char *data, size_t size,
                             size_t *used, const char *where, pickle_value **value, fr_error *error)
{
    torch_file *own = file->own;
    return pickle_read(value, data, size < LARGEST_PICKLE ? size : LARGEST_PICKLE, used, own->arena,
                       file->path, where, error);
}

static fr_status open_archive(fr_weight_file *file, fr_error *error)
{
    torch_file *own = file->own;
    FR_TRY(zip_open(&own->archive, &file->map, file->path, error));
    FR_TRY(find_root(own, file->path, error));
    FR_TRY(check_kind(own, file->path, error));
    const zip_member *member = member_of(own, "data.pkl");
    if (!member || member->size > LARGEST_PICKLE)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0, "data.pkl is larger than %d MB",
                          LARGEST_PICKLE >> 20);
    pickle_value *top;
    size_t used;
    FR_TRY(read_pickle(file, member->data, member->size, &used, "data.pkl", &top, error));
    if (used != member->size)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "data.pkl goes on for %zu bytes behind its end", member->size - used);
    return list_tensors(file, top, error);
}

/* ---- the older layout ---- */

/* The storages that tensors of the dict use, each once, sorted; where their bytes lie is not known yet. The pickle says how large an
   element is. */
static fr_status list_storages(fr_weight_file *file, const pickle_value *dict, fr_error *error)
{
    torch_file *own = file->own;
    own->storages = fr_alloc_array(dict->count / 2 + 1, sizeof *own->storages, FR_MEMORY_OTHER);
    if (!own->storages)
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", file->path);
    size_t count = 0, unique = 0;
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (dict->items[i + 1]->type == PICKLE_TENSOR) {
            const pickle_storage *storage = dict->items[i + 1]->tensor->storage;
            own->storages[count++] =
                (stored_bytes){storage->key, NULL, fr_dtype_size(storage->dtype)};
        }
    qsort(own->storages, count, sizeof *own->storages, by_key);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || by_key(&own->storages[i], &own->storages[i - 1]) != 0)
            own->storages[unique++] = own->storages[i];
    own->storage_count = unique;
    return FR_OK;
}

/* The bytes of a storage begin at *at, which moves behind them. */
static fr_status place_storage(fr_weight_file *file, const pickle_value *key, size_t *at,
                               fr_error *error)
{
    const torch_file *own = file->own;
    const unsigned char *data = file->map.data;
    size_t left = file->map.size - *at, bytes;
    if (key->type != PICKLE_TEXT)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "a storage's key is %s",
                          pickle_type_name(key->type));
    const stored_bytes wanted = {.key = key->text};
    stored_bytes *storage =
        bsearch(&wanted, own->storages, own->storage_count, sizeof wanted, by_key);
    if (!storage || storage->data)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0, "storage '%.40s' %s", key->text,
                          storage ? "is there twice" : "belongs to no tensor of the state dict");
    uint64_t count = 0;
    for (size_t i = 0; i < 8 && left >= 8; i++)
        count |= (uint64_t)data[*at + i] << (8 * i);
    if (left < 8 || __builtin_mul_overflow(count, storage->size, &bytes) || bytes > left - 8)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "storage '%.40s' claims %llu elements, but %zu bytes are left", key->text,
                          (unsigned long long)count, left);
    storage->data = data + *at + 8;
    storage->size = bytes;
    *at += 8 + bytes;
    return FR_OK;
}

static fr_status place_storages(fr_weight_file *file, const pickle_value *dict,
                                const pickle_value *keys, size_t at, fr_error *error)
{
    if (keys->type != PICKLE_LIST)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "the storages' keys are %s",
                          pickle_type_name(keys->type));
    FR_TRY(list_storages(file, dict, error));
    for (size_t i = 0; i < keys->count; i++)
        FR_TRY(place_storage(file, keys->items[i], &at, error));
    if (at == file->map.size)
        return FR_OK;
    return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                      "the file goes on for %zu bytes behind its last storage",
                      file->map.size - at);
}

static fr_status open_legacy(fr_weight_file *file, fr_error *error)
{
    enum { VERSION, SYSTEM, DICT, KEYS, PICKLES };
    static const char *const names[PICKLES] = {"the version", "the facts about the system",
                                               "the state dict", "the list of storages"};
    pickle_value *values[PICKLES];
    size_t at = sizeof legacy_magic, used = 0;
    for (int i = 0; i < PICKLES; i++, at += used) {
        FR_TRY(read_pickle(file, file->map.data + at, file->map.size - at, &used, names[i],
                           &values[i], error));
        if (i == VERSION && (values[i]->type != PICKLE_INT || values[i]->number != LEGACY_VERSION))
            return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0, "its layout is not version %d",
                              LEGACY_VERSION);
    }
    const pickle_value *little =
        values[SYSTEM]->type == PICKLE_DICT ? entry(values[SYSTEM], "little_endian") : NULL;
    if (!little || little->type != PICKLE_BOOL || !little->number)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                          "its numbers are not little-endian");
    const pickle_value *dict;
    FR_TRY(find_dict(values[DICT], &dict, file->path, error));
    FR_TRY(place_storages(file, dict, values[KEYS], at, error));
    return list_tensors(file, values[DICT], error);
}

/* ---- the container ---- */

static bool starts_with(const fr_map *map, const void *bytes, size_t size)
{
    return map->size >= size && memcmp(map->data, bytes, size) == 0;
}

static bool is_pickle(const fr_map *map)
{
    return map->size >= 2 && map->data[0] == 0x80 && map->data[1] <= 5;
}

static bool recognises(const fr_map *map)
{
    return starts_with(map, "PK\3\4", 4) || starts_with(map, legacy_magic, sizeof legacy_magic) ||
           (is_pickle(map) && !(map->size > 8 && map->data[8] == '{')); /* not a length */
}

static fr_status open_file(fr_weight_file *file, fr_error *error)
{
    torch_file *own = file->own = fr_alloc(sizeof *own, FR_MEMORY_OTHER);
    if (!own || !(own->arena = fr_arena_create(FR_MEMORY_OTHER)))
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", file->path);
    if (starts_with(&file->map, "PK", 2))
        return open_archive(file, error);
    if (starts_with(&file->map, legacy_magic, sizeof legacy_magic))
        return open_legacy(file, error);
    return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                      "a bare pickle is not a file of torch.save");
}

static void close_file(fr_weight_file *file)
{
    torch_file *own = file->own;
    if (!own)
        return;
    zip_close(&own->archive);
    fr_free(own->root);
    fr_free(own->storages);
    fr_arena_destroy(own->arena);
    fr_free(own);
}

const weight_container weight_container_torch = {"torch", recognises, open_file, close_file};
