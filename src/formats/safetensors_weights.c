/* safetensors_weights.c: a safetensors file as a container of weights. */
#include "formats/weight_file.h"

#include <string.h>

static fr_status open_file(fr_weight_file *file, fr_error *error)
{
    fr_safetensors *own;
    FR_TRY(fr_safetensors_open(&own, file->path, error));
    file->own = own;
    size_t count = fr_safetensors_count(own);
    file->tensors = fr_alloc_array(count + 1, sizeof *file->tensors, FR_MEMORY_OTHER);
    if (!file->tensors)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu tensors of %s", count, file->path);
    for (size_t i = 0; i < count; i++) {
        const fr_safetensors_entry *entry = fr_safetensors_at(own, i);
        fr_stored_tensor *tensor = &file->tensors[i];
        tensor->name = entry->name;
        tensor->rank = entry->rank;
        memcpy(tensor->shape, entry->shape, sizeof tensor->shape);
        tensor->bytes = entry->bytes;
        tensor->data = entry->data;
        stored_tensor_set_plain(tensor, entry->dtype, NULL);
    }
    file->count = count;
    return FR_OK;
}

static void close_file(fr_weight_file *file)
{
    fr_safetensors_close(file->own);
}

const weight_container weight_container_safetensors = {"safetensors", NULL, open_file, close_file};
