/* cache.c: the keys and values of what a model has read, for decoding.

   Per layer one tensor of keys and one of values, (rows, capacity, Hkv*D): the places of a row lie
   together, and attention reads the whole block with `lengths` saying how much of each row exists.
   New tokens stand at the right end of a batch's rows (model.h), so that attention's own rule,
   query t of T stands at place lengths[b] - T + t, is right for ragged rows as well: padding gets a
   place before the row's new tokens (or before its beginning), and its results are not used.

   An encoder-decoder's cache holds its memory, too: per layer the keys and values of the encoder's
   states, (rows, S, Hkv*D), made once per text. Room for it is found when it comes, for only then
   is S known. */
#include "nn/nn.h"

#include <string.h>

struct fr_cache {
    int64_t rows, capacity, width; /* width: Hkv*D */
    int64_t layers;
    fr_tensor **keys, **values;               /* per layer (rows, capacity, width) */
    fr_tensor *lengths;                       /* (rows) i32 */
    int64_t memory_capacity;                  /* S; 0: there is no memory */
    fr_tensor **memory_keys, **memory_values; /* per layer (rows, S, width) */
    fr_tensor *memory_lengths;                /* (rows) i32 */
    const int32_t *counts;                    /* of the step under way; NULL: all */
    int64_t columns;                          /* T of the step under way */
};

size_t fr_cache_bytes(const fr_model *model, int64_t rows, int64_t capacity)
{
    return (size_t)(2 * model->layers * rows * capacity * model->kv_heads * model->head_dim) *
           sizeof(float);
}

static bool allocate(fr_cache *cache)
{
    cache->keys = fr_alloc_array((size_t)cache->layers, sizeof(fr_tensor *), FR_MEMORY_CACHE);
    cache->values = fr_alloc_array((size_t)cache->layers, sizeof(fr_tensor *), FR_MEMORY_CACHE);
    cache->memory_keys =
        fr_alloc_array((size_t)cache->layers, sizeof(fr_tensor *), FR_MEMORY_CACHE);
    cache->memory_values =
        fr_alloc_array((size_t)cache->layers, sizeof(fr_tensor *), FR_MEMORY_CACHE);
    cache->lengths = fr_tensor_create(FR_I32, 1, &cache->rows, FR_MEMORY_CACHE);
    cache->memory_lengths = fr_tensor_create(FR_I32, 1, &cache->rows, FR_MEMORY_CACHE);
    if (!cache->keys || !cache->values || !cache->memory_keys || !cache->memory_values ||
        !cache->lengths || !cache->memory_lengths)
        return false;
    const int64_t shape[] = {cache->rows, cache->capacity, cache->width};
    for (int64_t i = 0; i < cache->layers; i++) {
        cache->keys[i] = fr_tensor_create(FR_F32, 3, shape, FR_MEMORY_CACHE);
        cache->values[i] = fr_tensor_create(FR_F32, 3, shape, FR_MEMORY_CACHE);
        if (!cache->keys[i] || !cache->values[i])
            return false;
    }
    return true;
}

fr_cache *fr_cache_create(const fr_model *model, int64_t rows, int64_t capacity, fr_error *error)
{
    if (rows < 1 || capacity < 1 || capacity > INT32_MAX) {
        fr_fail(error, FR_WRONG_CALL, "a cache of %lld rows of %lld positions", (long long)rows,
                (long long)capacity);
        return NULL;
    }
    fr_cache *cache = fr_alloc(sizeof *cache, FR_MEMORY_CACHE);
    if (cache) {
        cache->rows = rows;
        cache->capacity = capacity;
        cache->layers = model->layers;
        cache->width = model->kv_heads * model->head_dim;
        if (allocate(cache))
            return cache;
    }
    fr_cache_destroy(cache);
    fr_fail(error, FR_NO_MEMORY, "no memory for a cache of %lld rows of %lld positions (%zu bytes)",
            (long long)rows, (long long)capacity, fr_cache_bytes(model, rows, capacity));
    return NULL;
}

void fr_cache_destroy(fr_cache *cache)
{
    if (!cache)
        return;
    for (int64_t i = 0; i < cache->layers; i++) {
        if (cache->keys)
            fr_tensor_free(cache->keys[i]);
        if (cache->values)
            fr_tensor_free(cache->values[i]);
        if (cache->memory_keys)
            fr_tensor_free(cache->memory_keys[i]);
        if (cache->memory_values)
            fr_tensor_free(cache->memory_values[i]);
    }
    fr_tensor_free(cache->lengths);
    fr_tensor_free(cache->memory_lengths);
    fr_free(cache->memory_keys);
    fr_free(cache->memory_values);
    fr_free(cache->keys);
    fr_free(cache->values);
    fr_free(cache);
}

static int32_t *lengths(const fr_cache *cache)
{
    return fr_tensor_host(cache->lengths);
}

static int32_t *memory_lengths(const fr_cache *cache)
{
    return fr_tensor_host(cache->memory_lengths);
}

void fr_cache_clear(fr_cache *cache)
{
    memset(lengths(cache), 0, fr_tensor_bytes(cache->lengths));
    memset(memory_lengths(cache), 0, fr_tensor_bytes(cache->memory_lengths));
}

int64_t fr_cache_rows(const fr_cache *cache)
{
    return cache->rows;
}

int64_t fr_cache_capacity(const fr_cache *cache)
{
    return cache->capacity;
}

int64_t fr_cache_length(const fr_cache *cache, int64_t row)
{
    return lengths(cache)[row];
}

void fr_cache_truncate(fr_cache *cache, int64_t row, int64_t length)
{
    if (length < lengths(cache)[row])
        lengths(cache)[row] = (int32_t)(length < 0 ? 0 : length);
}

/* ---- memory ---- */

/* `count` columns of row `from_row` of a memory into row `to_row` of another. */
static void copy_memory_row(fr_tensor *to, int64_t to_row, const fr_tensor *from, int64_t from_row,
                            int64_t count)
{
    int64_t width = to->shape[2];
    memmove((float *)fr_tensor_host(to) + to_row * to->shape[1] * width,
            (const float *)fr_tensor_host(from) + from_row * from->shape[1] * width,
            (size_t)(count * width) * sizeof(float));
}

/* A wider one takes the place of *memory. */
static bool widen(const fr_cache *cache, fr_tensor **memory, int64_t capacity)
{
    const int64_t shape[] = {cache->rows, capacity, cache->width};
    fr_tensor *wide = fr_tensor_create(FR_F32, 3, shape, FR_MEMORY_CACHE);
    if (!wide)
        return false;
    for (int64_t b = 0; *memory && b < cache->rows; b++)
        copy_memory_row(wide, b, *memory, b, memory_lengths(cache)[b]);
    fr_tensor_free(*memory);
    *memory = wide;
    return true;
}

/* Room for `capacity` states per row. False: no memory; the cache is as it was, or clear it. */
static bool make_memory(fr_cache *cache, int64_t capacity)
{
    if (capacity <= cache->memory_capacity)
        return true;
    for (int64_t i = 0; i < cache->layers; i++)
        if (!widen(cache, &cache->memory_keys[i], capacity) ||
            !widen(cache, &cache->memory_values[i], capacity))
            return false;
    cache->memory_capacity = capacity;
    return true;
}

bool fr_cache_memorise(fr_cache *cache, fr_tape *tape, int layer, const fr_tensor *keys,
                       const fr_tensor *values, const fr_tensor *existing)
{
    int64_t columns = keys->shape[1];
    if (keys->shape[0] != cache->rows || keys->shape[2] != cache->width ||
        !fr_tensor_same_shape(keys, values)) {
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "a cache of %lld rows cannot keep the states of %lld encoded ones",
                     (long long)cache->rows, (long long)keys->shape[0]);
        return false;
    }
    if (!make_memory(cache, columns)) {
        fr_tape_fail(tape, FR_NO_MEMORY, "no memory to keep %lld encoded states of %lld rows",
                     (long long)columns, (long long)cache->rows);
        return false;
    }
    for (int64_t b = 0; fr_tensor_host(keys) && b < cache->rows; b++) {
        const int32_t *counts = existing ? fr_tensor_host(existing) : NULL;
        memory_lengths(cache)[b] = counts ? counts[b] : (int32_t)columns;
        copy_memory_row(cache->memory_keys[layer], b, keys, b, columns);
        copy_memory_row(cache->memory_values[layer], b, values, b, columns);
    }
    return true;
}

bool fr_cache_recall(const fr_cache *cache, fr_tape *tape, int layer, fr_tensor **keys,
                     fr_tensor **values, fr_tensor **existing)
{
    if (!cache->memory_capacity) {
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "the cache holds nothing of an encoder: fr_model_encode comes first");
        return false;
    }
    *keys = cache->memory_keys[layer];
    *values = cache->memory_values[layer];
    *existing = cache->memory_lengths;
    return true;
}

/* ---- rows ---- */

/* Copy what exists of a row; the caches' widths and layers agree and it fits. */
static void copy_row(fr_cache *to, int64_t to_row, const fr_cache *from, int64_t from_row)
{
    int32_t length = lengths(from)[from_row];
    int64_t begin = from_row * from->capacity * from->width;
    int64_t place = to_row * to->capacity * to->width;
    size_t bytes = (size_t)(length * from->width) * sizeof(float);
    for (int64_t i = 0; i < from->layers; i++) {
        memcpy((float *)fr_tensor_host(to->keys[i]) + place,
               (const float *)fr_tensor_host(from->keys[i]) + begin, bytes);
        memcpy((float *)fr_tensor_host(to->values[i]) + place,
               (const float *)fr_tensor_host(from->values[i]) + begin, bytes);
    }
    lengths(to)[to_row] = length;
    int32_t states = memory_lengths(from)[from_row];
    for (int64_t i = 0; from->memory_capacity && i < from->layers; i++) {
        copy_memory_row(to->memory_keys[i], to_row, from->memory_keys[i], from_row, states);
        copy_memory_row(to->memory_values[i], to_row, from->memory_values[i], from_row, states);
    }
    memory_lengths(to)[to_row] = states;
}

fr_status fr_cache_copy_row(fr_cache *to, int64_t to_row, const fr_cache *from, int64_t from_row,
                            fr_error *error)
{
    if (to == from || to->layers != from->layers || to->width != from->width || to_row < 0 ||
        to_row >= to->rows || from_row < 0 || from_row >= from->rows ||
        lengths(from)[from_row] > to->capacity)
        return fr_fail(error, FR_WRONG_CALL,
                       "row %lld of a cache cannot become row %lld of another: they differ in "
                       "layers, width or capacity, or there is no such row",
                       (long long)from_row, (long long)to_row);
    if (!make_memory(to, from->memory_capacity))
        return fr_fail(error, FR_NO_MEMORY, "no memory to copy a row of a cache");
    copy_row(to, to_row, from, from_row);
    return FR_OK;
}

fr_status fr_cache_select(fr_cache *cache, const int64_t *rows, int64_t count, fr_error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (rows[i] < (i ? rows[i - 1] + 1 : 0) || rows[i] >= cache->rows)
            return fr_fail(error, FR_WRONG_CALL, "cache rows to keep must rise from 0 to %lld",
                           (long long)cache->rows - 1);
    for (int64_t i = 0; i < count; i++)
        if (rows[i] != i)
            copy_row(cache, i, cache, rows[i]);
    cache->rows = count;
    cache->lengths->shape[0] = count;
    cache->memory_lengths->shape[0] = count;
    for (int64_t i = 0; i < cache->layers; i++) {
        cache->keys[i]->shape[0] = cache->values[i]->shape[0] = count;
        if (cache->memory_capacity)
            cache->memory_keys[i]->shape[0] = cache->memory_values[i]->shape[0] = count;
    }
    return FR_OK;
}

/* ---- as layers see it ---- */

static bool fits(const fr_cache *cache, fr_tape *tape, const fr_batch *batch)
{
    int64_t rows = batch->ids->shape[0], columns = batch->ids->shape[1];
    if (fr_tape_records(tape) || batch->segments || rows != cache->rows) {
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "a cache of %lld rows needs a tape without gradients and as many rows of ids "
                     "without segments; there are %lld",
                     (long long)cache->rows, (long long)rows);
        return false;
    }
    for (int64_t b = 0; b < rows; b++) {
        int64_t count = batch->counts ? batch->counts[b] : columns;
        if (count < 0 || count > columns || lengths(cache)[b] + count > cache->capacity) {
            fr_tape_fail(tape, FR_WRONG_CALL,
                         "row %lld of the cache holds %d of %lld positions; %lld of %lld columns "
                         "cannot be added",
                         (long long)b, lengths(cache)[b], (long long)cache->capacity,
                         (long long)count, (long long)columns);
            return false;
        }
    }
    return true;
}

/* Column t of row b stands at place lengths[b] - T + t; padding before the row's beginning at 0. */
static fr_tensor *places(const fr_cache *cache, fr_tape *tape)
{
    fr_tensor *positions =
        fr_tape_tensor(tape, FR_I32, 2, (const int64_t[]){cache->rows, cache->columns});
    int32_t *numbers = positions ? fr_tensor_host(positions) : NULL;
    if (numbers)
        for (int64_t b = 0; b < cache->rows; b++)
            for (int64_t t = 0; t < cache->columns; t++) {
                int64_t place = lengths(cache)[b] - cache->columns + t;
                numbers[b * cache->columns + t] = (int32_t)(place < 0 ? 0 : place);
            }
    return positions;
}

bool fr_cache_begin(fr_cache *cache, fr_tape *tape, const fr_batch *batch, fr_tensor **positions)
{
    if (!fits(cache, tape, batch))
        return false;
    cache->counts = batch->counts;
    cache->columns = batch->ids->shape[1];
    for (int64_t b = 0; b < cache->rows; b++)
        lengths(cache)[b] += (int32_t)(batch->counts ? batch->counts[b] : cache->columns);
    *positions = batch->positions ? batch->positions : places(cache, tape);
    return *positions != NULL;
}

/* Copy the last counts[b] columns of each row behind what the row held. */
static void store(const fr_cache *cache, fr_tensor *all, const fr_tensor *now)
{
    const float *from = fr_tensor_host(now);
    float *to = fr_tensor_host(all);
    if (!from)
        return; /* a shape-only tape */
    int64_t width = cache->width;
    for (int64_t b = 0; b < cache->rows; b++) {
        int64_t count = cache->counts ? cache->counts[b] : cache->columns;
        int64_t begin = lengths(cache)[b] - count;
        memcpy(to + (b * cache->capacity + begin) * width,
               from + ((b + 1) * cache->columns - count) * width,
               (size_t)(count * width) * sizeof(float));
    }
}

bool fr_cache_append(fr_cache *cache, fr_tape *tape, int layer, fr_tensor **keys,
                     fr_tensor **values, fr_tensor **existing)
{
    const int64_t shape[] = {cache->rows, cache->columns, cache->width};
    const fr_tensor *parts[] = {*keys, *values};
    for (int i = 0; i < 2; i++)
        if (parts[i]->rank != 3 || memcmp(parts[i]->shape, shape, sizeof shape) != 0) {
            fr_tape_fail(tape, FR_WRONG_CALL,
                         "layer %d: a replaced key or value does not fit the cache", layer);
            return false;
        }
    store(cache, cache->keys[layer], *keys);
    store(cache, cache->values[layer], *values);
    *keys = cache->keys[layer];
    *values = cache->values[layer];
    *existing = cache->lengths;
    return true;
}
