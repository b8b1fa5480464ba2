/* batch.c: micro-batches on the host: named arrays whose memory is used again. */
#include "frugal/batch.h"
#include "frugal/operators.h"

#include <string.h>

void fr_micro_batch_free(fr_micro_batch *micro)
{
    for (int i = 0; i < FR_FIELDS; i++)
        fr_free(micro->fields[i].data);
    *micro = (fr_micro_batch){.tokens = 0};
}

void fr_micro_batch_clear(fr_micro_batch *micro)
{
    for (int i = 0; i < FR_FIELDS; i++)
        micro->fields[i].rank = 0;
    micro->tokens = micro->targets = 0;
}

void fr_micro_batch_shape(fr_micro_batch *micro, fr_field field, fr_dtype dtype, int rank,
                          const int64_t *shape)
{
    fr_host_array *array = &micro->fields[field];
    array->dtype = dtype;
    array->rank = rank;
    memcpy(array->shape, shape, (size_t)rank * sizeof *shape);
}

void *fr_micro_batch_set(fr_micro_batch *micro, fr_field field, fr_dtype dtype, int rank,
                         const int64_t *shape)
{
    fr_host_array *array = &micro->fields[field];
    size_t bytes = fr_dtype_size(dtype);
    for (int i = 0; i < rank; i++)
        bytes *= (size_t)shape[i];
    if (bytes > array->capacity) {
        void *grown = fr_realloc(array->data, bytes, FR_MEMORY_DATA);
        if (!grown)
            return NULL;
        array->data = grown;
        array->capacity = bytes;
    }
    fr_micro_batch_shape(micro, field, dtype, rank, shape);
    return array->data;
}

void *fr_micro_batch_get(const fr_micro_batch *micro, fr_field field)
{
    return micro->fields[field].rank ? micro->fields[field].data : NULL;
}

int64_t fr_micro_batch_count_targets(const fr_micro_batch *micro)
{
    const fr_host_array *array = &micro->fields[FR_FIELD_TARGETS];
    const int32_t *targets = fr_micro_batch_get(micro, FR_FIELD_TARGETS);
    int64_t count = 0;
    for (int64_t i = 0; targets && i < array->shape[0] * array->shape[1]; i++)
        count += targets[i] != FR_IGNORE;
    return count;
}

fr_batch fr_micro_batch_put(const fr_micro_batch *micro, fr_tape *tape)
{
    fr_tensor *tensors[FR_FIELDS] = {0};
    for (int i = 0; i < FR_FIELDS; i++) {
        const fr_host_array *array = &micro->fields[i];
        if (array->rank)
            tensors[i] =
                array->data
                    ? fr_tape_input(tape, array->dtype, array->rank, array->shape, array->data)
                    : fr_tape_tensor(tape, array->dtype, array->rank, array->shape);
    }
    return (fr_batch){.ids = tensors[FR_FIELD_IDS],
                      .positions = tensors[FR_FIELD_POSITIONS],
                      .segments = tensors[FR_FIELD_SEGMENTS],
                      .targets = tensors[FR_FIELD_TARGETS],
                      .weights = tensors[FR_FIELD_WEIGHTS],
                      .lengths = tensors[FR_FIELD_LENGTHS],
                      .types = tensors[FR_FIELD_TYPES],
                      .decoder_ids = tensors[FR_FIELD_DECODER_IDS],
                      .pixels = tensors[FR_FIELD_PIXELS],
                      .labels = tensors[FR_FIELD_LABELS]};
}

void fr_batch_source_destroy(fr_batch_source *source)
{
    if (!source)
        return;
    source->kind->destroy(source);
    fr_free(source->identity);
    fr_free(source);
}
