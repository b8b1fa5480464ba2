/* safetensors.c: reading safetensors files.

   A file is 8 bytes (little-endian length N of the header), N bytes of JSON, then the tensors'
   bytes:

       {"__metadata__": {"format": "pt"},
        "NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}

   Offsets count from the end of the header. The file is memory-mapped, so opening costs the header
   alone, and a tensor is read from the disk when it is used. Everything that the header says is
   checked before anyone may follow it: each tensor's size against its shape and dtype, and all
   tensors together against the file, which they must cover without overlap, hole or rest (the
   format's own rule, so that one file has one reading). Source: the format's description in the
   repository huggingface/safetensors. */
#include "frugal/formats.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100 * 1000 * 1000 };

struct fr_safetensors {
    fr_map map;
    char *path;
    json_t *header;                 /* owns the names and the metadata */
    fr_safetensors_entry *entries;  /* in the header's order */
    fr_safetensors_entry **by_name; /* sorted by name */
    size_t count;
};

static const struct {
    const char *name;
    fr_dtype dtype;
} dtypes[] = {{"F32", FR_F32}, {"BF16", FR_BF16}, {"F16", FR_F16}, {"F64", FR_F64},
              {"I32", FR_I32}, {"I64", FR_I64},   {"I16", FR_I16}, {"I8", FR_I8},
              {"U8", FR_U8},   {"BOOL", FR_U8}};

/* ---- one entry ---- */

static fr_status read_dtype(const fr_safetensors *file, fr_safetensors_entry *entry,
                            const json_t *value, fr_error *error)
{
    const char *name = json_string_value(value);
    if (!name)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "tensor '%s' has no dtype",
                          entry->name);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            entry->dtype = dtypes[i].dtype;
            return FR_OK;
        }
    return fr_fail_at(
        error, FR_UNSUPPORTED, file->path, 0,
        "tensor '%s' has dtype '%.32s'; known are F64, F32, BF16, F16, I64, I32, I16, I8, U8, BOOL",
        entry->name, name);
}

/* The shape, and in entry->bytes what it must take. */
static fr_status read_shape(const fr_safetensors *file, fr_safetensors_entry *entry,
                            const json_t *value, fr_error *error)
{
    if (!json_is_array(value))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "tensor '%s' has no shape",
                          entry->name);
    size_t rank = json_array_size(value);
    if (rank > FR_MAX_RANK)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                          "tensor '%s' has %zu axes; at most %d are supported", entry->name, rank,
                          FR_MAX_RANK);
    entry->rank = (int)rank;
    size_t count = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *extent = json_array_get(value, i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                              "tensor '%s': axis %zu of its shape is not a count", entry->name, i);
        entry->shape[i] = json_integer_value(extent);
        if (__builtin_mul_overflow(count, (size_t)entry->shape[i], &count))
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                              "tensor '%s' has an impossible shape", entry->name);
    }
    if (__builtin_mul_overflow(count, fr_dtype_size(entry->dtype), &entry->bytes))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "tensor '%s' has an impossible shape",
                          entry->name);
    return FR_OK;
}

/* Where the bytes lie; `data` and `size` are the part of the file behind the header. */
static fr_status read_offsets(const fr_safetensors *file, fr_safetensors_entry *entry,
                              const json_t *value, const unsigned char *data, size_t size,
                              fr_error *error)
{
    const json_t *first = json_array_get(value, 0), *last = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "tensor '%s': data_offsets are not two integers", entry->name);
    long long begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (unsigned long long)end > size)
        return fr_fail_at(
            error, FR_BAD_INPUT, file->path, 0,
            "tensor '%s' claims bytes %lld to %lld, but the file has %zu bytes of data",
            entry->name, begin, end, size);
    if ((size_t)(end - begin) != entry->bytes)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "tensor '%s' has %lld bytes, but its shape and dtype need %zu",
                          entry->name, end - begin, entry->bytes);
    entry->data = data + begin;
    return FR_OK;
}

static fr_status read_entry(const fr_safetensors *file, fr_safetensors_entry *entry,
                            const json_t *value, const unsigned char *data, size_t size,
                            fr_error *error)
{
    if (!json_is_object(value))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "tensor '%s' is not an object",
                          entry->name);
    const char *key;
    json_t *ignored;
    json_object_foreach((json_t *)value, key,
                        ignored) if (strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 &&
                                     strcmp(key, "data_offsets") !=
                                         0) return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                                                              "tensor '%s': unknown key '%.64s'",
                                                              entry->name, key);
    FR_TRY(read_dtype(file, entry, json_object_get(value, "dtype"), error));
    FR_TRY(read_shape(file, entry, json_object_get(value, "shape"), error));
    return read_offsets(file, entry, json_object_get(value, "data_offsets"), data, size, error);
}

/* ---- the whole ---- */

static int by_place(const void *left, const void *right)
{
    const fr_safetensors_entry *a = *(fr_safetensors_entry *const *)left;
    const fr_safetensors_entry *b = *(fr_safetensors_entry *const *)right;
    if (a->data != b->data)
        return (const char *)a->data < (const char *)b->data ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes); /* empty ones first */
}

static int by_name(const void *left, const void *right)
{
    return strcmp((*(fr_safetensors_entry *const *)left)->name,
                  (*(fr_safetensors_entry *const *)right)->name);
}

/* The tensors cover the data exactly. Uses by_name as scratch before it is sorted by name. */
static fr_status check_cover(fr_safetensors *file, const unsigned char *data, size_t size,
                             fr_error *error)
{
    qsort(file->by_name, file->count, sizeof(fr_safetensors_entry *), by_place);
    size_t covered = 0;
    for (size_t i = 0; i < file->count; i++) {
        const fr_safetensors_entry *entry = file->by_name[i];
        size_t begin = (size_t)((const unsigned char *)entry->data - data);
        if (begin != covered)
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                              "tensor '%s' begins at byte %zu of the data, but the one before ends "
                              "at %zu: tensors %s",
                              entry->name, begin, covered,
                              begin < covered ? "overlap" : "leave a hole");
        covered += entry->bytes;
    }
    if (covered != size)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "the file has %zu bytes of data, but its tensors end at %zu", size,
                          covered);
    return FR_OK;
}

static fr_status check_metadata(const fr_safetensors *file, const json_t *metadata, fr_error *error)
{
    if (!json_is_object(metadata))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "__metadata__ is not an object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)metadata, key, value) if (
        !json_is_string(value)) return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                                                  "__metadata__: '%.64s' is not a string", key);
    return FR_OK;
}

/* Parse the header between its length and the data. */
static fr_status parse_header(fr_safetensors *file, size_t length, fr_error *error)
{
    json_error_t where;
    file->header = json_loadb((const char *)file->map.data + LENGTH_BYTES, length,
                              JSON_REJECT_DUPLICATES, &where);
    if (!file->header)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "header, byte %d: %s",
                          where.position + LENGTH_BYTES, where.text);
    if (!json_is_object(file->header))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "the header is not a JSON object");
    size_t keys = json_object_size(file->header);
    file->entries = fr_alloc_array(keys + 1, sizeof *file->entries, FR_MEMORY_OTHER);
    file->by_name = fr_alloc_array(keys + 1, sizeof *file->by_name, FR_MEMORY_OTHER);
    if (!file->entries || !file->by_name)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu tensors of %s", keys, file->path);
    return FR_OK;
}

static fr_status read_header(fr_safetensors *file, fr_error *error)
{
    if (file->map.size < LENGTH_BYTES)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "%zu bytes are too few for a safetensors file", file->map.size);
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)file->map.data[i] << (8 * i);
    if (length > HEADER_LIMIT || length > file->map.size - LENGTH_BYTES)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "the header should take %llu bytes, but the file has %zu and a header at "
                          "most %d: truncated, or not a safetensors file",
                          (unsigned long long)length, file->map.size, HEADER_LIMIT);
    FR_TRY(parse_header(file, (size_t)length, error));
    const unsigned char *data = file->map.data + LENGTH_BYTES + length;
    size_t size = file->map.size - LENGTH_BYTES - (size_t)length;
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            FR_TRY(check_metadata(file, value, error));
            continue;
        }
        fr_safetensors_entry *entry = &file->entries[file->count];
        entry->name = name;
        file->by_name[file->count++] = entry;
        FR_TRY(read_entry(file, entry, value, data, size, error));
    }
    FR_TRY(check_cover(file, data, size, error));
    qsort(file->by_name, file->count, sizeof(fr_safetensors_entry *), by_name);
    return FR_OK;
}

fr_status fr_safetensors_open(fr_safetensors **out, const char *path, fr_error *error)
{
    *out = NULL;
    fr_safetensors *file = fr_alloc(sizeof *file, FR_MEMORY_OTHER);
    if (!file || !(file->path = fr_string_copy(path))) {
        fr_safetensors_close(file);
        return fr_fail(error, FR_NO_MEMORY, "no memory to open %s", path);
    }
    fr_status status = fr_map_open(&file->map, path, error);
    if (status == FR_OK)
        status = read_header(file, error);
    if (status != FR_OK) {
        fr_safetensors_close(file);
        return status;
    }
    *out = file;
    return FR_OK;
}

void fr_safetensors_close(fr_safetensors *file)
{
    if (!file)
        return;
    fr_map_close(&file->map);
    json_decref(file->header);
    fr_free(file->entries);
    fr_free(file->by_name);
    fr_free(file->path);
    fr_free(file);
}

size_t fr_safetensors_count(const fr_safetensors *file)
{
    return file->count;
}

const fr_safetensors_entry *fr_safetensors_at(const fr_safetensors *file, size_t index)
{
    return index < file->count ? &file->entries[index] : NULL;
}

const fr_safetensors_entry *fr_safetensors_find(const fr_safetensors *file, const char *name)
{
    size_t low = 0, high = file->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->by_name[middle]->name);
        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *fr_safetensors_metadata(const fr_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}
