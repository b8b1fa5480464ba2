/* safetensors_write.c: writing safetensors files (safetensors.c describes them).

   Tensors stand in the order given, but those of larger elements before those of smaller ones, and
   the header is padded with spaces to a multiple of 8, so that every tensor lies aligned to its
   element in the file and a reader may map it. Numbers are converted in chunks of a fixed size:
   writing a model takes no second copy of it. */
#include "frugal/formats.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16, /* numbers converted at a time */ ALIGNMENT = 8 };

static const char *dtype_name(fr_dtype dtype)
{
    switch (dtype) {
    case FR_F32:
        return "F32";
    case FR_BF16:
        return "BF16";
    case FR_F16:
        return "F16";
    case FR_I32:
        return "I32";
    case FR_I64:
        return "I64";
    case FR_U8:
        return "U8";
    case FR_F64:
        return "F64";
    case FR_I16:
        return "I16";
    case FR_I8:
        return "I8";
    case FR_Q8_0: /* the format knows no blocks */
    case FR_Q4_0:
    case FR_Q4_K:
    case FR_Q6_K:
    case FR_DTYPES:
        break;
    }
    return NULL;
}

static fr_dtype stored_dtype(const fr_safetensors_item *item)
{
    return item->tensor->dtype == FR_F32 ? item->stored_as : item->tensor->dtype;
}

static size_t stored_bytes(const fr_safetensors_item *item)
{
    return (size_t)fr_tensor_count(item->tensor) * fr_dtype_size(stored_dtype(item));
}

static fr_status check_item(const fr_safetensors_item *item, fr_error *error)
{
    bool is_float =
        item->stored_as == FR_F32 || item->stored_as == FR_BF16 || item->stored_as == FR_F16;
    if (!item->tensor || !fr_tensor_host(item->tensor))
        return fr_fail(error, FR_WRONG_CALL, "tensor '%s' to be written has no data", item->name);
    if (item->tensor->dtype == FR_F32 && !is_float)
        return fr_fail(error, FR_WRONG_CALL, "tensor '%s' is f32 and cannot be stored as %s",
                       item->name, fr_dtype_name(item->stored_as));
    if (fr_dtype_block(item->tensor->dtype) > 1)
        return fr_fail(error, FR_UNSUPPORTED,
                       "tensor '%s' is %s, which safetensors files do not hold", item->name,
                       fr_dtype_name(item->tensor->dtype));
    if (item->transposed && (item->tensor->dtype != FR_F32 || item->tensor->rank != 2))
        return fr_fail(error, FR_WRONG_CALL, "tensor '%s' is no f32 matrix to be transposed",
                       item->name);
    return FR_OK;
}

/* The header's entry of one tensor at `begin`. */
static json_t *describe(const fr_safetensors_item *item, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < item->tensor->rank; i++)
        json_array_append_new(shape,
                              json_integer(item->tensor->shape[item->transposed ? 1 - i : i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(stored_dtype(item)), "shape",
                     shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + stored_bytes(item)));
}

/* `order` lists the items as they will lie in the file. NULL: no memory, or a bad name. */
static json_t *describe_all(const fr_safetensors_item *const *order, size_t count,
                            const char *const *metadata)
{
    json_t *header = json_object();
    if (metadata && metadata[0]) {
        json_t *pairs = json_object();
        bool whole = true;
        for (size_t i = 0; metadata[i]; i += 2)
            whole &= !json_object_set_new(pairs, metadata[i], json_string(metadata[i + 1]));
        whole &= !json_object_set_new(header, "__metadata__", pairs);
        if (!whole) {
            json_decref(header);
            return NULL;
        }
    }
    size_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        if (json_object_get(header, order[i]->name) ||
            json_object_set_new(header, order[i]->name, describe(order[i], begin)) != 0) {
            json_decref(header);
            return NULL;
        }
        begin += stored_bytes(order[i]);
    }
    return header;
}

static fr_status write_header(fr_writer *writer, const json_t *header, fr_error *error)
{
    char *text = json_dumps(header, JSON_COMPACT);
    if (!text)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the header of a safetensors file");
    size_t size = strlen(text), padded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    unsigned char length[ALIGNMENT];
    for (int i = 0; i < ALIGNMENT; i++)
        length[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    fr_writer_write(writer, length, sizeof length);
    fr_writer_write(writer, text, size);
    fr_writer_write(writer, "        ", padded - size);
    free(text);
    return FR_OK;
}

/* A matrix (rows, columns) of f32 as (columns, rows): by blocks of whole rows of the file (or parts of
   one row), so that what is read lies together. */
static void write_transposed(fr_writer *writer, const fr_tensor *matrix, fr_dtype to, float *chunk)
{
    const float *data = fr_tensor_host(matrix);
    int64_t rows = matrix->shape[0], columns = matrix->shape[1];
    int64_t width = rows < CHUNK ? rows : CHUNK, height = width ? CHUNK / width : 1;
    for (int64_t column = 0; column < columns; column += height)
        for (int64_t row = 0; row < rows; row += width) {
            int64_t high = columns - column < height ? columns - column : height;
            int64_t wide = rows - row < width ? rows - row : width;
            for (int64_t j = 0; j < wide; j++)
                for (int64_t i = 0; i < high; i++)
                    chunk[i * wide + j] = data[(row + j) * columns + column + i];
            fr_convert(chunk + CHUNK, to, chunk, FR_F32, high * wide);
            fr_writer_write(writer, chunk + CHUNK, (size_t)(high * wide) * fr_dtype_size(to));
        }
}

/* chunk holds CHUNK f32 numbers, twice. */
static void write_data(fr_writer *writer, const fr_safetensors_item *item, float *chunk)
{
    const fr_tensor *tensor = item->tensor;
    const char *data = fr_tensor_host(tensor);
    fr_dtype from = tensor->dtype, to = stored_dtype(item);
    if (item->transposed) {
        write_transposed(writer, tensor, to, chunk);
        return;
    }
    if (from == to) {
        fr_writer_write(writer, data, stored_bytes(item));
        return;
    }
    int64_t count = fr_tensor_count(tensor);
    for (int64_t i = 0; i < count; i += CHUNK) {
        int64_t part = count - i < CHUNK ? count - i : CHUNK;
        fr_convert(chunk, to, data + (size_t)i * fr_dtype_size(from), from, part);
        fr_writer_write(writer, chunk, (size_t)part * fr_dtype_size(to));
    }
}

/* Larger elements first, else as given. */
static void arrange(const fr_safetensors_item *items, size_t count,
                    const fr_safetensors_item **order)
{
    size_t placed = 0;
    for (size_t size = 8; size > 0; size /= 2)
        for (size_t i = 0; i < count; i++)
            if (fr_dtype_size(stored_dtype(&items[i])) == size)
                order[placed++] = &items[i];
}

static fr_status write_arranged(fr_writer *writer, const fr_safetensors_item *const *order,
                                size_t count, const char *const *metadata, fr_error *error)
{
    json_t *header = describe_all(order, count, metadata);
    if (!header)
        return fr_fail(error, FR_WRONG_CALL,
                       "the names of tensors and metadata to be written are not unique or not "
                       "UTF-8");
    fr_status status = write_header(writer, header, error);
    json_decref(header);
    FR_TRY(status);
    float *chunk = fr_alloc_array(2 * CHUNK, sizeof *chunk, FR_MEMORY_OTHER);
    if (!chunk)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write a safetensors file");
    for (size_t i = 0; i < count && !fr_writer_failed(writer); i++)
        write_data(writer, order[i], chunk);
    fr_free(chunk);
    return FR_OK;
}

fr_status fr_safetensors_write(const char *path, const fr_safetensors_item *items, size_t count,
                               const char *const *metadata, uint64_t *hash, fr_error *error)
{
    for (size_t i = 0; i < count; i++)
        FR_TRY(check_item(&items[i], error));
    const fr_safetensors_item **order = fr_alloc_array(count + 1, sizeof *order, FR_MEMORY_OTHER);
    if (!order)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", path);
    arrange(items, count, order);
    fr_writer *writer = NULL;
    fr_status status = fr_writer_open(&writer, path, error);
    if (status == FR_OK)
        status = write_arranged(writer, order, count, metadata, error);
    fr_free(order);
    if (status != FR_OK) {
        fr_writer_abandon(writer);
        return status;
    }
    if (hash)
        *hash = fr_writer_hash(writer);
    return fr_writer_commit(writer, error);
}
