/* gguf.c: reading GGUF files, in which ggml's programs keep models.

   After the letters GGUF, a version, and two counts come pairs of key and typed value (what the
   model is, its tokenizer), then a description of each tensor, then, aligned, the tensors' bytes:

       "GGUF" u32 version, u64 tensors, u64 values
       value:  string key, u32 type, the value; array: u32 type, u64 count, elements
       tensor: string name, u32 rank, u64 extents (fastest first), u32 type, u64 offset
       string: u64 bytes, the bytes

   All numbers are little endian; numbers stand where they stand, unaligned. The file is mapped and
   walked once: every count is compared with the bytes that are left before anything is allocated
   for it, and tensors must follow each other without overlap or hole but for the alignment, so that
   one file has one reading. Source: docs/gguf.md in the repository ggml-org/ggml. */
#include "frugal/formats.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_KEY = 65535, LONGEST_NAME = 255, DEEPEST = 8, LARGEST_ALIGNMENT = 1 << 20 };
/* The least that a value (key, type, one byte) and a tensor (name, rank, type, offset) take. */
enum { LEAST_VALUE = 8 + 4 + 1, LEAST_TENSOR = 8 + 4 + 4 + 8 };

struct fr_gguf {
    fr_map map;
    char *path;
    fr_gguf_value *values, **values_by_key;
    fr_gguf_entry *entries, **entries_by_name;
    uint64_t *offsets; /* of entries, from the beginning of the data */
    size_t value_count, entry_count;
    size_t at; /* the walk */
    uint64_t alignment;
};

/* ---- types ---- */

static const struct {
    const char *name;
    size_t size; /* 0: not fixed */
} kinds[FR_GGUF_KINDS] = {
    [FR_GGUF_U8] = {"u8", 1},       [FR_GGUF_I8] = {"i8", 1},     [FR_GGUF_U16] = {"u16", 2},
    [FR_GGUF_I16] = {"i16", 2},     [FR_GGUF_U32] = {"u32", 4},   [FR_GGUF_I32] = {"i32", 4},
    [FR_GGUF_F32] = {"f32", 4},     [FR_GGUF_BOOL] = {"bool", 1}, [FR_GGUF_STRING] = {"string", 0},
    [FR_GGUF_ARRAY] = {"array", 0}, [FR_GGUF_U64] = {"u64", 8},   [FR_GGUF_I64] = {"i64", 8},
    [FR_GGUF_F64] = {"f64", 8},
};

/* Types of tensors by the file's numbers. FR_DTYPES: known, and not read here. */
static const struct {
    const char *name;
    fr_dtype dtype;
} types[] = {
    [0] = {"F32", FR_F32},        [1] = {"F16", FR_F16},         [2] = {"Q4_0", FR_Q4_0},
    [3] = {"Q4_1", FR_DTYPES},    [6] = {"Q5_0", FR_DTYPES},     [7] = {"Q5_1", FR_DTYPES},
    [8] = {"Q8_0", FR_Q8_0},      [9] = {"Q8_1", FR_DTYPES},     [10] = {"Q2_K", FR_DTYPES},
    [11] = {"Q3_K", FR_DTYPES},   [12] = {"Q4_K", FR_Q4_K},      [13] = {"Q5_K", FR_DTYPES},
    [14] = {"Q6_K", FR_Q6_K},     [15] = {"Q8_K", FR_DTYPES},    [16] = {"IQ2_XXS", FR_DTYPES},
    [17] = {"IQ2_XS", FR_DTYPES}, [18] = {"IQ3_XXS", FR_DTYPES}, [19] = {"IQ1_S", FR_DTYPES},
    [20] = {"IQ4_NL", FR_DTYPES}, [21] = {"IQ3_S", FR_DTYPES},   [22] = {"IQ2_S", FR_DTYPES},
    [23] = {"IQ4_XS", FR_DTYPES}, [24] = {"I8", FR_DTYPES},      [25] = {"I16", FR_DTYPES},
    [26] = {"I32", FR_I32},       [27] = {"I64", FR_I64},        [28] = {"F64", FR_DTYPES},
    [29] = {"IQ1_M", FR_DTYPES},  [30] = {"BF16", FR_BF16},      [34] = {"TQ1_0", FR_DTYPES},
    [35] = {"TQ2_0", FR_DTYPES},  [39] = {"MXFP4", FR_DTYPES},
};
enum { TYPES = sizeof types / sizeof types[0] };

static uint64_t little_endian(const unsigned char *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    return number;
}

/* ---- the walk ---- */

static fr_status truncated(const fr_gguf *file, const char *what, fr_error *error)
{
    return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                      "%s at byte %zu would end behind the file's %zu bytes", what, file->at,
                      file->map.size);
}

static size_t left(const fr_gguf *file)
{
    return file->map.size - file->at;
}

static fr_status read_number(fr_gguf *file, size_t size, uint64_t *number, const char *what,
                             fr_error *error)
{
    *number = 0;
    if (left(file) < size)
        return truncated(file, what, error);
    *number = little_endian(file->map.data + file->at, size);
    file->at += size;
    return FR_OK;
}

static fr_status read_string(fr_gguf *file, const char **text, uint64_t *size, const char *what,
                             fr_error *error)
{
    *text = NULL;
    FR_TRY(read_number(file, 8, size, what, error));
    if (*size > left(file))
        return truncated(file, what, error);
    *text = (const char *)file->map.data + file->at;
    file->at += (size_t)*size;
    return FR_OK;
}

/* A key or a name: short, without zeros. Copied, to end with one. */
static fr_status read_word(fr_gguf *file, const char **word, size_t longest, const char *what,
                           fr_error *error)
{
    const char *text;
    uint64_t size;
    size_t begin = file->at;
    FR_TRY(read_string(file, &text, &size, what, error));
    if (size == 0 || size > longest || memchr(text, 0, (size_t)size))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "%s at byte %zu has %llu bytes, 1 to %zu without zeros expected", what,
                          begin, (unsigned long long)size, longest);
    *word = fr_string_copy_n(text, (size_t)size);
    return *word ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory to read %s", file->path);
}

static fr_status read_kind(fr_gguf *file, fr_gguf_kind *kind, const char *key, fr_error *error)
{
    uint64_t number;
    FR_TRY(read_number(file, 4, &number, "the type of a value", error));
    if (number >= FR_GGUF_KINDS)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                          "value '%.64s' has type %llu; known are 0 to %d", key,
                          (unsigned long long)number, FR_GGUF_KINDS - 1);
    *kind = (fr_gguf_kind)number;
    return FR_OK;
}

static fr_status skip_array(fr_gguf *file, fr_gguf_value *value, int depth, fr_error *error);

/* Step over `count` elements of a kind. */
static fr_status skip(fr_gguf *file, fr_gguf_kind kind, uint64_t count, const char *key, int depth,
                      fr_error *error)
{
    size_t size = kinds[kind].size;
    if (size) {
        if (count > left(file) / size)
            return truncated(file, "an array", error);
        for (uint64_t i = 0; kind == FR_GGUF_BOOL && i < count; i++)
            if (file->map.data[file->at + i] > 1)
                return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                                  "value '%.64s' is %d, a bool is 0 or 1", key,
                                  file->map.data[file->at + i]);
        file->at += (size_t)count * size;
        return FR_OK;
    }
    for (uint64_t i = 0; i < count; i++) {
        const char *text;
        uint64_t bytes;
        fr_gguf_value inner = {.key = key};
        if (kind == FR_GGUF_STRING)
            FR_TRY(read_string(file, &text, &bytes, "a string", error));
        else
            FR_TRY(skip_array(file, &inner, depth + 1, error));
    }
    return FR_OK;
}

static fr_status skip_array(fr_gguf *file, fr_gguf_value *value, int depth, fr_error *error)
{
    if (depth > DEEPEST)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                          "value '%.64s' is an array nested deeper than %d", value->key, DEEPEST);
    FR_TRY(read_kind(file, &value->element, value->key, error));
    FR_TRY(read_number(file, 8, &value->count, "an array", error));
    value->data = file->map.data + file->at;
    return skip(file, value->element, value->count, value->key, depth, error);
}

static fr_status read_value(fr_gguf *file, fr_gguf_value *value, fr_error *error)
{
    FR_TRY(read_word(file, &value->key, LONGEST_KEY, "a key", error));
    FR_TRY(read_kind(file, &value->kind, value->key, error));
    value->count = 1;
    value->data = file->map.data + file->at;
    if (value->kind == FR_GGUF_ARRAY)
        return skip_array(file, value, 1, error);
    if (value->kind != FR_GGUF_STRING)
        return skip(file, value->kind, 1, value->key, 0, error);
    const char *text;
    FR_TRY(read_string(file, &text, &value->count, "a string", error));
    value->data = (const unsigned char *)text;
    return FR_OK;
}

/* ---- tensors ---- */

static fr_status read_extents(fr_gguf *file, fr_gguf_entry *entry, fr_error *error)
{
    uint64_t rank, count = 1;
    FR_TRY(read_number(file, 4, &rank, "the rank of a tensor", error));
    if (rank > FR_MAX_RANK)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                          "tensor '%s' has %llu axes; at most %d are supported", entry->name,
                          (unsigned long long)rank, FR_MAX_RANK);
    entry->rank = (int)rank;
    for (int i = entry->rank - 1; i >= 0; i--) {
        uint64_t extent;
        FR_TRY(read_number(file, 8, &extent, "the shape of a tensor", error));
        if (extent == 0 || extent > ((uint64_t)1 << 48) / count)
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                              "tensor '%s' has an impossible shape: an axis of %llu", entry->name,
                              (unsigned long long)extent);
        count *= extent;
        entry->shape[i] = (int64_t)extent;
    }
    entry->bytes = (size_t)count; /* numbers; read_type makes bytes of them */
    return FR_OK;
}

static fr_status read_type(fr_gguf *file, fr_gguf_entry *entry, fr_error *error)
{
    uint64_t number;
    FR_TRY(read_number(file, 4, &number, "the type of a tensor", error));
    const char *name = number < TYPES ? types[number].name : NULL;
    if (!name || types[number].dtype == FR_DTYPES)
        return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                          "tensor '%s' has type %s (%llu); read are F32, F16, BF16, Q8_0, Q4_0, "
                          "Q4_K, Q6_K, I32, I64",
                          entry->name, name ? name : "unknown", (unsigned long long)number);
    entry->dtype = types[number].dtype;
    int64_t width = entry->rank ? entry->shape[entry->rank - 1] : 1;
    if (width % fr_dtype_block(entry->dtype))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "tensor '%s' has rows of %lld numbers, which are not whole blocks of %s",
                          entry->name, (long long)width, name);
    entry->bytes = fr_dtype_bytes(entry->dtype, (int64_t)entry->bytes);
    return FR_OK;
}

static fr_status read_tensor(fr_gguf *file, size_t index, fr_error *error)
{
    fr_gguf_entry *entry = &file->entries[index];
    FR_TRY(read_word(file, &entry->name, LONGEST_NAME, "a tensor's name", error));
    FR_TRY(read_extents(file, entry, error));
    FR_TRY(read_type(file, entry, error));
    FR_TRY(read_number(file, 8, &file->offsets[index], "the offset of a tensor", error));
    if (file->offsets[index] % file->alignment)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "tensor '%s' begins at byte %llu of the data, not at a multiple of %llu",
                          entry->name, (unsigned long long)file->offsets[index],
                          (unsigned long long)file->alignment);
    return FR_OK;
}

/* ---- the whole ---- */

static int by_key(const void *left_value, const void *right_value)
{
    return strcmp((*(fr_gguf_value *const *)left_value)->key,
                  (*(fr_gguf_value *const *)right_value)->key);
}

static int by_name(const void *left_entry, const void *right_entry)
{
    return strcmp((*(fr_gguf_entry *const *)left_entry)->name,
                  (*(fr_gguf_entry *const *)right_entry)->name);
}

static int by_place(const void *left_entry, const void *right_entry)
{
    const fr_gguf_entry *a = *(fr_gguf_entry *const *)left_entry;
    const fr_gguf_entry *b = *(fr_gguf_entry *const *)right_entry;
    return ((const char *)a->data > (const char *)b->data) -
           ((const char *)a->data < (const char *)b->data);
}

/* An array for `count` things that take at least `least` bytes of the file each; *by its pointers. */
static fr_status reserve(const fr_gguf *file, uint64_t count, size_t least, size_t size, void **all,
                         void **by, const char *what, fr_error *error)
{
    if (count > left(file) / least)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "%llu %s are claimed, for which %zu bytes are too few",
                          (unsigned long long)count, what, left(file));
    *all = fr_alloc_array((size_t)count + 1, size, FR_MEMORY_OTHER);
    *by = fr_alloc_array((size_t)count + 1, sizeof(void *), FR_MEMORY_OTHER);
    if (!*all || !*by)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %llu %s of %s",
                       (unsigned long long)count, what, file->path);
    return FR_OK;
}

static fr_status read_values(fr_gguf *file, uint64_t count, fr_error *error)
{
    FR_TRY(reserve(file, count, LEAST_VALUE, sizeof *file->values, (void **)&file->values,
                   (void **)&file->values_by_key, "values", error));
    for (uint64_t i = 0; i < count; i++) {
        file->values_by_key[i] = &file->values[i];
        file->value_count++; /* its key is freed whatever comes */
        FR_TRY(read_value(file, &file->values[i], error));
    }
    qsort(file->values_by_key, file->value_count, sizeof(fr_gguf_value *), by_key);
    for (size_t i = 1; i < file->value_count; i++)
        if (strcmp(file->values_by_key[i - 1]->key, file->values_by_key[i]->key) == 0)
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "key '%.64s' comes twice",
                              file->values_by_key[i]->key);
    return FR_OK;
}

static fr_status read_alignment(fr_gguf *file, fr_error *error)
{
    const fr_gguf_value *value = fr_gguf_value_find(file, "general.alignment");
    int64_t number = 32;
    if (value && (!fr_gguf_int(value, &number) || number < 1 || number > LARGEST_ALIGNMENT ||
                  (number & (number - 1))))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "general.alignment is not a power of two up to %d", LARGEST_ALIGNMENT);
    file->alignment = (uint64_t)number;
    return FR_OK;
}

static fr_status read_tensors(fr_gguf *file, uint64_t count, fr_error *error)
{
    FR_TRY(reserve(file, count, LEAST_TENSOR, sizeof *file->entries, (void **)&file->entries,
                   (void **)&file->entries_by_name, "tensors", error));
    file->offsets = fr_alloc_array((size_t)count + 1, sizeof *file->offsets, FR_MEMORY_OTHER);
    if (!file->offsets)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the tensors of %s", file->path);
    for (size_t i = 0; i < count; i++) {
        file->entries_by_name[i] = &file->entries[i];
        file->entry_count++;
        FR_TRY(read_tensor(file, i, error));
    }
    qsort(file->entries_by_name, file->entry_count, sizeof(fr_gguf_entry *), by_name);
    for (size_t i = 1; i < file->entry_count; i++)
        if (strcmp(file->entries_by_name[i - 1]->name, file->entries_by_name[i]->name) == 0)
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "tensor '%s' comes twice",
                              file->entries_by_name[i]->name);
    return FR_OK;
}

static size_t align(const fr_gguf *file, size_t place)
{
    return (place + (size_t)file->alignment - 1) & ~((size_t)file->alignment - 1);
}

/* Where the bytes lie. */
static fr_status place_tensors(const fr_gguf *file, size_t data, fr_error *error)
{
    size_t size = data < file->map.size ? file->map.size - data : 0;
    for (size_t i = 0; i < file->entry_count; i++) {
        fr_gguf_entry *entry = &file->entries[i];
        if (file->offsets[i] > size || entry->bytes > size - file->offsets[i])
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                              "tensor '%s' claims %zu bytes from byte %llu of the data, which has "
                              "%zu: truncated, or not such a file",
                              entry->name, entry->bytes, (unsigned long long)file->offsets[i],
                              size);
        entry->data = file->map.data + data + file->offsets[i];
    }
    return FR_OK;
}

/* The tensors cover the data, but for what aligns them. */
static fr_status check_cover(const fr_gguf *file, size_t data, fr_error *error)
{
    fr_gguf_entry **order =
        fr_alloc_array(file->entry_count + 1, sizeof(fr_gguf_entry *), FR_MEMORY_OTHER);
    if (!order)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the tensors of %s", file->path);
    memcpy(order, file->entries_by_name, file->entry_count * sizeof(fr_gguf_entry *));
    qsort(order, file->entry_count, sizeof(fr_gguf_entry *), by_place);
    size_t covered = 0; /* from `data` on */
    fr_status status = FR_OK;
    for (size_t i = 0; i < file->entry_count && status == FR_OK; i++) {
        size_t begin = (size_t)((const unsigned char *)order[i]->data - file->map.data) - data;
        if (begin != align(file, covered))
            status = fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                                "tensor '%s' begins at byte %zu of the data, but the one before "
                                "ends at %zu: tensors %s",
                                order[i]->name, begin, covered,
                                begin < covered ? "overlap" : "leave a hole");
        covered = begin + order[i]->bytes;
    }
    fr_free(order);
    FR_TRY(status);
    if (file->map.size > align(file, data + covered))
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0,
                          "the file has %zu bytes behind its last tensor",
                          file->map.size - data - covered);
    return FR_OK;
}

static fr_status read_version(fr_gguf *file, fr_error *error)
{
    uint64_t version;
    if (file->map.size < 4 || memcmp(file->map.data, "GGUF", 4) != 0)
        return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "this is no GGUF file");
    file->at = 4;
    FR_TRY(read_number(file, 4, &version, "the version", error));
    if (version == 2 || version == 3)
        return FR_OK;
    return fr_fail_at(error, FR_UNSUPPORTED, file->path, 0,
                      "GGUF version %llu%s; read are 2 and 3, little endian",
                      (unsigned long long)version,
                      version && version % 65536 == 0 ? " (a big-endian file)" : "");
}

static fr_status read_all(fr_gguf *file, fr_error *error)
{
    uint64_t tensors, values;
    FR_TRY(read_version(file, error));
    FR_TRY(read_number(file, 8, &tensors, "the number of tensors", error));
    FR_TRY(read_number(file, 8, &values, "the number of values", error));
    FR_TRY(read_values(file, values, error));
    FR_TRY(read_alignment(file, error));
    FR_TRY(read_tensors(file, tensors, error));
    size_t data = align(file, file->at);
    FR_TRY(place_tensors(file, data, error));
    return check_cover(file, data, error);
}

fr_status fr_gguf_open(fr_gguf **out, const char *path, fr_error *error)
{
    *out = NULL;
    fr_gguf *file = fr_alloc(sizeof *file, FR_MEMORY_OTHER);
    if (!file || !(file->path = fr_string_copy(path))) {
        fr_gguf_close(file);
        return fr_fail(error, FR_NO_MEMORY, "no memory to open %s", path);
    }
    fr_status status = fr_map_open(&file->map, path, error);
    if (status == FR_OK)
        status = read_all(file, error);
    if (status != FR_OK) {
        fr_gguf_close(file);
        return status;
    }
    *out = file;
    return FR_OK;
}

void fr_gguf_close(fr_gguf *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->value_count; i++)
        fr_free((void *)file->values[i].key);
    for (size_t i = 0; i < file->entry_count; i++)
        fr_free((void *)file->entries[i].name);
    fr_map_close(&file->map);
    fr_free(file->values);
    fr_free(file->values_by_key);
    fr_free(file->entries);
    fr_free(file->entries_by_name);
    fr_free(file->offsets);
    fr_free(file->path);
    fr_free(file);
}

const char *fr_gguf_path(const fr_gguf *file)
{
    return file->path;
}

/* ---- what was read ---- */

size_t fr_gguf_count(const fr_gguf *file)
{
    return file->entry_count;
}

const fr_gguf_entry *fr_gguf_at(const fr_gguf *file, size_t index)
{
    return index < file->entry_count ? &file->entries[index] : NULL;
}

const fr_gguf_entry *fr_gguf_find(const fr_gguf *file, const char *name)
{
    fr_gguf_entry wanted = {.name = name}, *key = &wanted;
    fr_gguf_entry **found =
        bsearch(&key, file->entries_by_name, file->entry_count, sizeof(fr_gguf_entry *), by_name);
    return found ? *found : NULL;
}

size_t fr_gguf_value_count(const fr_gguf *file)
{
    return file->value_count;
}

const fr_gguf_value *fr_gguf_value_at(const fr_gguf *file, size_t index)
{
    return index < file->value_count ? &file->values[index] : NULL;
}

const fr_gguf_value *fr_gguf_value_find(const fr_gguf *file, const char *key)
{
    fr_gguf_value wanted = {.key = key}, *pointer = &wanted;
    fr_gguf_value **found =
        bsearch(&pointer, file->values_by_key, file->value_count, sizeof(fr_gguf_value *), by_key);
    return found ? *found : NULL;
}

static bool integer_at(fr_gguf_kind kind, const unsigned char *data, int64_t *number)
{
    bool is_signed =
        kind == FR_GGUF_I8 || kind == FR_GGUF_I16 || kind == FR_GGUF_I32 || kind == FR_GGUF_I64;
    bool is_unsigned =
        kind == FR_GGUF_U8 || kind == FR_GGUF_U16 || kind == FR_GGUF_U32 || kind == FR_GGUF_U64;
    if (!is_signed && !is_unsigned)
        return false;
    size_t bits = 8 * kinds[kind].size;
    uint64_t raw = little_endian(data, kinds[kind].size);
    if (is_unsigned && raw > INT64_MAX)
        return false;
    if (is_signed && bits < 64 && (raw >> (bits - 1) & 1))
        raw |= ~(uint64_t)0 << bits;
    memcpy(number, &raw, sizeof *number);
    return true;
}

static bool real_at(fr_gguf_kind kind, const unsigned char *data, double *number)
{
    int64_t integer;
    float narrow;
    if (kind == FR_GGUF_F32) {
        uint32_t bits = (uint32_t)little_endian(data, 4);
        memcpy(&narrow, &bits, sizeof narrow);
        *number = (double)narrow;
    } else if (kind == FR_GGUF_F64) {
        uint64_t bits = little_endian(data, 8);
        memcpy(number, &bits, sizeof *number);
    } else if (integer_at(kind, data, &integer)) {
        *number = (double)integer;
    } else {
        return false;
    }
    return true;
}

bool fr_gguf_int(const fr_gguf_value *value, int64_t *number)
{
    return value && integer_at(value->kind, value->data, number);
}

bool fr_gguf_real(const fr_gguf_value *value, double *number)
{
    return value && real_at(value->kind, value->data, number);
}

bool fr_gguf_bool(const fr_gguf_value *value, bool *flag)
{
    if (!value || value->kind != FR_GGUF_BOOL)
        return false;
    *flag = value->data[0] != 0;
    return true;
}

bool fr_gguf_text(const fr_gguf_value *value, const char **text, size_t *size)
{
    if (!value || value->kind != FR_GGUF_STRING)
        return false;
    *text = (const char *)value->data;
    *size = (size_t)value->count;
    return true;
}

static bool has_next(const fr_gguf_items *items)
{
    return items->value && items->value->kind == FR_GGUF_ARRAY &&
           items->index < items->value->count;
}

bool fr_gguf_next_text(fr_gguf_items *items, const char **text, size_t *size)
{
    if (!has_next(items) || items->value->element != FR_GGUF_STRING)
        return false;
    const unsigned char *at = items->value->data + items->offset;
    *size = (size_t)little_endian(at, 8);
    *text = (const char *)at + 8;
    items->offset += 8 + *size;
    items->index++;
    return true;
}

bool fr_gguf_next_int(fr_gguf_items *items, int64_t *number)
{
    if (!has_next(items) ||
        !integer_at(items->value->element, items->value->data + items->offset, number))
        return false;
    items->offset += kinds[items->value->element].size;
    items->index++;
    return true;
}

bool fr_gguf_next_real(fr_gguf_items *items, double *number)
{
    if (!has_next(items) ||
        !real_at(items->value->element, items->value->data + items->offset, number))
        return false;
    items->offset += kinds[items->value->element].size;
    items->index++;
    return true;
}
