/* weight_file.c: one door for weights, whatever container holds them.

   A container lists its tensors (name, shape, how to read numbers as f32); the rest of the program sees this list alone. Which
   container a file is, its first bytes say, because names lie: a pytorch_model.bin may be either layout of PyTorch. */
#include "formats/weight_file.h"

#include <stdlib.h>
#include <string.h>

/* The last takes what no other recognises. */
static const weight_container *const containers[] = {&weight_container_torch,
                                                     &weight_container_safetensors};

/* ---- plain numbers ---- */

static bool is_contiguous(const fr_stored_tensor *t)
{
    int64_t step = 1;
    for (int i = t->rank; i-- > 0; step *= t->shape[i])
        if (t->shape[i] != 1 && t->strides[i] != step)
            return false;
    return true;
}

/* Element `index` in row-major order lies this many elements behind the first. */
static int64_t place_of(const fr_stored_tensor *t, int64_t index)
{
    int64_t place = 0;
    for (int i = t->rank; i-- > 0; index /= t->shape[i])
        place += index % t->shape[i] * t->strides[i];
    return place;
}

void stored_tensor_read_plain(const fr_stored_tensor *t, int64_t begin, int64_t count, float *out)
{
    enum { PIECE = 2048 };
    _Alignas(64) char raw[PIECE * sizeof(double)]; /* the map is not aligned */
    const size_t size = fr_dtype_size(t->dtype);
    const char *data = t->data;
    const bool contiguous = is_contiguous(t);
    for (int64_t done = 0; done < count; done += PIECE) {
        int64_t part = count - done < PIECE ? count - done : PIECE, first = begin + done;
        if (contiguous)
            memcpy(raw, data + (size_t)first * size, (size_t)part * size);
        for (int64_t i = 0; i < part && !contiguous; i++)
            memcpy(raw + (size_t)i * size, data + (size_t)place_of(t, first + i) * size, size);
        fr_convert(out + done, FR_F32, raw, t->dtype, part);
    }
}

void stored_tensor_set_plain(fr_stored_tensor *t, fr_dtype dtype, const int64_t *strides)
{
    bool is_real = dtype == FR_F32 || dtype == FR_F16 || dtype == FR_BF16 || dtype == FR_F64;
    t->dtype = dtype;
    t->type = fr_dtype_name(dtype);
    t->read = is_real ? stored_tensor_read_plain : NULL;
    int64_t step = 1;
    for (int i = t->rank; i-- > 0; step *= t->shape[i])
        t->strides[i] = strides ? strides[i] : step;
}

/* ---- the file ---- */

static int by_name(const void *left, const void *right)
{
    return strcmp((*(const fr_stored_tensor *const *)left)->name,
                  (*(const fr_stored_tensor *const *)right)->name);
}

static fr_status sort(fr_weight_file *file, fr_error *error)
{
    file->by_name = fr_alloc_array(file->count + 1, sizeof(fr_stored_tensor *), FR_MEMORY_OTHER);
    if (!file->by_name)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu tensors of %s", file->count,
                       file->path);
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensors[i];
    qsort((void *)file->by_name, file->count, sizeof *file->by_name, by_name);
    for (size_t i = 1; i < file->count; i++)
        if (strcmp(file->by_name[i]->name, file->by_name[i - 1]->name) == 0)
            return fr_fail_at(error, FR_BAD_INPUT, file->path, 0, "tensor '%.80s' is there twice",
                              file->by_name[i]->name);
    return FR_OK;
}

static fr_status fill(fr_weight_file *file, const char *path, fr_error *error)
{
    file->path = fr_string_copy(path);
    if (!file->path)
        return fr_fail(error, FR_NO_MEMORY, "no memory to open %s", path);
    FR_TRY(fr_map_open(&file->map, path, error));
    size_t last = sizeof containers / sizeof *containers - 1, i = 0;
    while (i < last && !containers[i]->recognises(&file->map))
        i++;
    file->container = containers[i];
    FR_TRY(file->container->open(file, error));
    return sort(file, error);
}

fr_status fr_weight_file_open(fr_weight_file **out, const char *path, fr_error *error)
{
    *out = NULL;
    fr_weight_file *file = fr_alloc(sizeof *file, FR_MEMORY_OTHER);
    if (!file)
        return fr_fail(error, FR_NO_MEMORY, "no memory to open %s", path);
    fr_status status = fill(file, path, error);
    if (status == FR_OK)
        *out = file;
    else
        fr_weight_file_close(file);
    return status;
}

void fr_weight_file_close(fr_weight_file *file)
{
    if (!file)
        return;
    if (file->container)
        file->container->close(file);
    fr_map_close(&file->map);
    fr_free((void *)file->by_name);
    fr_free(file->tensors);
    fr_free(file->path);
    fr_free(file);
}

size_t fr_weight_file_count(const fr_weight_file *file)
{
    return file->count;
}

const fr_stored_tensor *fr_weight_file_at(const fr_weight_file *file, size_t index)
{
    return index < file->count ? &file->tensors[index] : NULL;
}

const fr_stored_tensor *fr_weight_file_find(const fr_weight_file *file, const char *name)
{
    const fr_stored_tensor key = {.name = name}, *pointer = &key;
    const fr_stored_tensor **found = NULL;
    if (file->count)
        found = bsearch(&pointer, (const void *)file->by_name, file->count, sizeof *file->by_name,
                        by_name);
    return found ? *found : NULL;
}

const char *fr_weight_file_path(const fr_weight_file *file)
{
    return file->path;
}

const char *fr_weight_file_format(const fr_weight_file *file)
{
    return file->container->name;
}
