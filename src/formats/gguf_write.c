/* gguf_write.c: writing GGUF files (gguf.c describes them).

   Values are appended to the header as they come; tensors are noted with a function that gives
   their rows as f32, so that a model is turned, permuted, shifted and quantised a few rows at a
   time, and a file takes no second copy of it. */
#include "frugal/formats.h"

#include <math.h>
#include <string.h>

enum { ALIGNMENT = 32, CHUNK = 1 << 18 /* numbers converted at a time, at least a row */ };
static const float largest_f16 = 65504.0F;

typedef struct tensor {
    char *name;
    fr_dtype dtype;
    int rank;
    int64_t shape[FR_MAX_RANK];
    fr_gguf_rows *rows;
    void *context;
} tensor;

struct fr_gguf_draft {
    fr_buffer values;
    uint64_t value_count;
    char **keys; /* to find one that comes twice */
    tensor *tensors;
    size_t tensor_count, key_count;
    bool no_memory;
    const char *twice; /* a key or name that came a second time */
};

/* ---- bytes ---- */

static void put_number(fr_buffer *out, uint64_t number, int size)
{
    unsigned char bytes[8];
    for (int i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    fr_buffer_append(out, bytes, (size_t)size);
}

static void put_string(fr_buffer *out, const char *text, size_t size)
{
    put_number(out, size, 8);
    fr_buffer_append(out, text, size);
}

static uint32_t float_bits(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* A list with room for one more than `count`: it doubles at powers of two. NULL: no memory. */
static void *reserve(void *list, size_t count, size_t size)
{
    if (count && (count & (count - 1)))
        return list;
    return fr_realloc(list, (count ? 2 * count : 1) * size, FR_MEMORY_OTHER);
}

/* ---- collecting ---- */

fr_gguf_draft *fr_gguf_draft_create(void)
{
    return fr_alloc(sizeof(fr_gguf_draft), FR_MEMORY_OTHER);
}

void fr_gguf_draft_free(fr_gguf_draft *draft)
{
    if (!draft)
        return;
    for (size_t i = 0; i < draft->key_count; i++)
        fr_free(draft->keys[i]);
    for (size_t i = 0; i < draft->tensor_count; i++) {
        fr_free(draft->tensors[i].name);
        fr_free(draft->tensors[i].context);
    }
    fr_buffer_free(&draft->values);
    fr_free(draft->keys);
    fr_free(draft->tensors);
    fr_free(draft);
}

static void begin_value(fr_gguf_draft *draft, const char *key, fr_gguf_kind kind)
{
    for (size_t i = 0; i < draft->key_count; i++)
        if (strcmp(draft->keys[i], key) == 0)
            draft->twice = draft->keys[i];
    char **keys = reserve(draft->keys, draft->key_count, sizeof *keys);
    char *copy = fr_string_copy(key);
    if (keys)
        draft->keys = keys;
    if (keys && copy)
        draft->keys[draft->key_count++] = copy;
    else
        fr_free(copy);
    draft->no_memory |= !keys || !copy;
    put_string(&draft->values, key, strlen(key));
    put_number(&draft->values, (uint64_t)kind, 4);
    draft->value_count++;
}

void fr_gguf_put_u32(fr_gguf_draft *draft, const char *key, uint32_t number)
{
    begin_value(draft, key, FR_GGUF_U32);
    put_number(&draft->values, number, 4);
}

void fr_gguf_put_f32(fr_gguf_draft *draft, const char *key, float number)
{
    begin_value(draft, key, FR_GGUF_F32);
    put_number(&draft->values, float_bits(number), 4);
}

void fr_gguf_put_bool(fr_gguf_draft *draft, const char *key, bool flag)
{
    begin_value(draft, key, FR_GGUF_BOOL);
    put_number(&draft->values, flag, 1);
}

void fr_gguf_put_text(fr_gguf_draft *draft, const char *key, const char *text, size_t size)
{
    begin_value(draft, key, FR_GGUF_STRING);
    put_string(&draft->values, text, size);
}

void fr_gguf_put_array(fr_gguf_draft *draft, const char *key, fr_gguf_kind element, uint64_t count)
{
    begin_value(draft, key, FR_GGUF_ARRAY);
    put_number(&draft->values, (uint64_t)element, 4);
    put_number(&draft->values, count, 8);
}

void fr_gguf_add_i32(fr_gguf_draft *draft, int32_t number)
{
    put_number(&draft->values, (uint32_t)number, 4);
}

void fr_gguf_add_f32(fr_gguf_draft *draft, float number)
{
    put_number(&draft->values, float_bits(number), 4);
}

void fr_gguf_add_text(fr_gguf_draft *draft, const char *text, size_t size)
{
    put_string(&draft->values, text, size);
}

void fr_gguf_put_tensor(fr_gguf_draft *draft, const char *name, fr_dtype dtype, int rank,
                        const int64_t *shape, fr_gguf_rows *rows, const void *context, size_t size)
{
    for (size_t i = 0; i < draft->tensor_count; i++)
        if (strcmp(draft->tensors[i].name, name) == 0)
            draft->twice = draft->tensors[i].name;
    tensor *tensors = reserve(draft->tensors, draft->tensor_count, sizeof *tensors);
    if (tensors)
        draft->tensors = tensors;
    tensor made = {fr_string_copy(name), dtype, rank, {0}, rows, fr_alloc(size, FR_MEMORY_OTHER)};
    if (!tensors || !made.name || !made.context) {
        draft->no_memory = true;
        fr_free(made.name);
        fr_free(made.context);
        return;
    }
    memcpy(made.shape, shape, (size_t)rank * sizeof *shape);
    memcpy(made.context, context, size);
    draft->tensors[draft->tensor_count++] = made;
}

/* ---- tensors ---- */

/* Types of tensors, by the file's numbers; -1: none. */
static int type_number(fr_dtype dtype)
{
    switch (dtype) {
    case FR_F32:
        return 0;
    case FR_F16:
        return 1;
    case FR_Q4_0:
        return 2;
    case FR_Q8_0:
        return 8;
    case FR_Q4_K:
        return 12;
    case FR_Q6_K:
        return 14;
    case FR_BF16:
        return 30;
    default:
        return -1;
    }
}

static int64_t extent(const tensor *t, int begin, int end)
{
    int64_t product = 1;
    for (int i = begin; i < end; i++)
        product *= t->shape[i];
    return product;
}

static int64_t width_of(const tensor *t)
{
    return extent(t, t->rank - 1, t->rank);
}

static size_t padded(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t bytes_of(const tensor *t)
{
    return fr_dtype_bytes(t->dtype, extent(t, 0, t->rank));
}

static fr_status check_tensor(const tensor *t, fr_error *error)
{
    if (type_number(t->dtype) < 0 || t->rank < 1 || t->rank > FR_MAX_RANK)
        return fr_fail(error, FR_WRONG_CALL, "tensor '%s' cannot be %s with %d axes in a GGUF file",
                       t->name, fr_dtype_name(t->dtype), t->rank);
    if (width_of(t) % fr_dtype_block(t->dtype))
        return fr_fail(error, FR_WRONG_CALL,
                       "tensor '%s' has rows of %lld numbers, which are not whole blocks of %s",
                       t->name, (long long)width_of(t), fr_dtype_name(t->dtype));
    return FR_OK;
}

static void put_tensor_header(fr_buffer *out, const tensor *t, size_t offset)
{
    put_string(out, t->name, strlen(t->name));
    put_number(out, (uint64_t)t->rank, 4);
    for (int i = t->rank - 1; i >= 0; i--)
        put_number(out, (uint64_t)t->shape[i], 8);
    put_number(out, (uint64_t)type_number(t->dtype), 4);
    put_number(out, offset, 8);
}

/* Numbers that their type cannot hold would become infinities, or anything. */
static fr_status check_numbers(const tensor *t, const float *numbers, int64_t count,
                               fr_error *error)
{
    if (t->dtype == FR_F32 || t->dtype == FR_BF16)
        return FR_OK;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(numbers[i]) || (t->dtype == FR_F16 && fabsf(numbers[i]) > largest_f16))
            return fr_fail(error, FR_BAD_INPUT, "tensor '%s' holds %g, which %s cannot store",
                           t->name, (double)numbers[i], fr_dtype_name(t->dtype));
    return FR_OK;
}

/* wide, stored: room for a chunk. */
static fr_status write_tensor(fr_writer *writer, const tensor *t, float *wide, void *stored,
                              int64_t chunk, fr_error *error)
{
    int64_t width = width_of(t), rows = extent(t, 0, t->rank - 1), height = chunk / width;
    for (int64_t row = 0; row < rows && !fr_writer_failed(writer); row += height) {
        int64_t count = rows - row < height ? rows - row : height;
        FR_TRY(t->rows(t->context, row, count, wide, error));
        FR_TRY(check_numbers(t, wide, count * width, error));
        fr_convert(stored, t->dtype, wide, FR_F32, count * width);
        fr_writer_write(writer, stored, fr_dtype_bytes(t->dtype, count * width));
    }
    static const char zeros[ALIGNMENT];
    fr_writer_write(writer, zeros, padded(bytes_of(t)) - bytes_of(t));
    return FR_OK;
}

static fr_status write_tensors(const fr_gguf_draft *draft, fr_writer *writer, fr_error *error)
{
    int64_t chunk = CHUNK;
    for (size_t i = 0; i < draft->tensor_count; i++)
        chunk = width_of(&draft->tensors[i]) > chunk ? width_of(&draft->tensors[i]) : chunk;
    float *wide = fr_alloc_array((size_t)chunk, sizeof *wide, FR_MEMORY_OTHER);
    float *stored = fr_alloc_array((size_t)chunk, sizeof *stored, FR_MEMORY_OTHER);
    fr_status status =
        wide && stored ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory to write a GGUF file");
    for (size_t i = 0; i < draft->tensor_count && status == FR_OK; i++)
        status = write_tensor(writer, &draft->tensors[i], wide, stored, chunk, error);
    fr_free(wide);
    fr_free(stored);
    return status;
}

/* ---- the whole ---- */

static fr_status write_header(const fr_gguf_draft *draft, fr_writer *writer, fr_error *error)
{
    fr_buffer header = {0};
    fr_buffer_append(&header, "GGUF", 4);
    put_number(&header, 3, 4);
    put_number(&header, draft->tensor_count, 8);
    put_number(&header, draft->value_count, 8);
    fr_buffer_append(&header, draft->values.data, draft->values.size);
    size_t offset = 0;
    for (size_t i = 0; i < draft->tensor_count; i++) {
        put_tensor_header(&header, &draft->tensors[i], offset);
        offset += padded(bytes_of(&draft->tensors[i]));
    }
    static const char zeros[ALIGNMENT];
    fr_buffer_append(&header, zeros, padded(header.size) - header.size);
    fr_status status =
        header.failed ? fr_fail(error, FR_NO_MEMORY, "no memory for a GGUF file's header") : FR_OK;
    if (status == FR_OK)
        fr_writer_write(writer, header.data, header.size);
    fr_buffer_free(&header);
    return status;
}

fr_status fr_gguf_draft_write(const fr_gguf_draft *draft, const char *path, fr_error *error)
{
    if (draft->no_memory || draft->values.failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", path);
    if (draft->twice)
        return fr_fail(error, FR_WRONG_CALL, "%s: '%s' was given twice", path, draft->twice);
    for (size_t i = 0; i < draft->tensor_count; i++)
        FR_TRY(check_tensor(&draft->tensors[i], error));
    fr_writer *writer = NULL;
    FR_TRY(fr_writer_open(&writer, path, error));
    fr_status status = write_header(draft, writer, error);
    if (status == FR_OK)
        status = write_tensors(draft, writer, error);
    if (status != FR_OK) {
        fr_writer_abandon(writer);
        return status;
    }
    return fr_writer_commit(writer, error);
}
