/* encode_pair.c: a text, or two, as a model's input: cut to a length, special tokens around. */
#include "tokenizer/pipeline.h"

#include <string.h>

void fr_encoded_free(fr_encoded *encoded)
{
    fr_free(encoded->ids);
    fr_free(encoded->types);
    fr_free(encoded->begin);
    fr_free(encoded->end);
    *encoded = (fr_encoded){0};
}

static bool grow(void **list, size_t item, size_t capacity)
{
    void *grown = fr_realloc(*list, capacity * item, FR_MEMORY_DATA);
    if (grown)
        *list = grown;
    return grown != NULL;
}

static bool reserve(fr_encoded *encoded, size_t count)
{
    if (count <= encoded->capacity)
        return true;
    size_t capacity = count + count / 2 + 16;
    if (!grow((void **)&encoded->ids, sizeof *encoded->ids, capacity) ||
        !grow((void **)&encoded->types, sizeof *encoded->types, capacity) ||
        !grow((void **)&encoded->begin, sizeof *encoded->begin, capacity) ||
        !grow((void **)&encoded->end, sizeof *encoded->end, capacity))
        return false;
    encoded->capacity = capacity;
    return true;
}

static void add(fr_encoded *encoded, int32_t id, size_t begin, size_t end)
{
    size_t i = encoded->count++;
    encoded->ids[i] = id;
    encoded->types[i] = 0;
    encoded->begin[i] = begin;
    encoded->end[i] = end;
}

fr_status fr_tokenizer_encode_pair(const fr_tokenizer *tokenizer, const char *text, size_t size,
                                   const char *pair, size_t pair_size,
                                   const fr_encode_options *options, fr_encoded *encoded,
                                   fr_error *error)
{
    fr_ids ids = {0};
    (void)pair_size;
    if (pair)
        return fr_fail(error, FR_UNSUPPORTED, "this tokenizer has no template for two texts");
    FR_TRY(fr_tokenizer_encode(tokenizer, text, size, options->flags | FR_ENCODE_OFFSETS, &ids,
                               error));
    size_t special = tokenizer->prefix_count + tokenizer->suffix_count, count = ids.count,
           most = (size_t)options->max_length;
    if (most && count + special > most)
        count = most > special ? most - special : 0;
    encoded->count = 0;
    if (!reserve(encoded, count + special)) {
        fr_ids_free(&ids);
        return fr_fail(error, FR_NO_MEMORY, "no memory for the ids of a text");
    }
    for (size_t i = 0; i < tokenizer->prefix_count; i++)
        add(encoded, tokenizer->prefix[i], 0, 0);
    for (size_t i = 0; i < count; i++)
        add(encoded, ids.ids[i], ids.begin[i], ids.end[i]);
    for (size_t i = 0; i < tokenizer->suffix_count; i++)
        add(encoded, tokenizer->suffix[i], 0, 0);
    fr_ids_free(&ids);
    return FR_OK;
}
