/* tokenizer.c: lists of ids, decoding, and the small questions about a tokenizer. */
#include "tokenizer/pipeline.h"

#include <string.h>

/* ---- ids ------------------------------------------------------------------------------------- */

void fr_ids_clear(fr_ids *ids)
{
    ids->count = 0;
}

void fr_ids_free(fr_ids *ids)
{
    fr_free(ids->ids);
    fr_free(ids->begin);
    fr_free(ids->end);
    *ids = (fr_ids){0};
}

static size_t *grow_places(size_t *places, size_t capacity)
{
    if (capacity > SIZE_MAX / sizeof *places)
        return NULL;
    return fr_realloc(places, capacity * sizeof *places, FR_MEMORY_OTHER);
}

fr_status fr_ids_reserve(fr_ids *ids, size_t more, fr_error *error)
{
    if (ids->capacity - ids->count >= more)
        return FR_OK;
    size_t capacity = ids->count + more;
    if (capacity < ids->capacity + ids->capacity / 2)
        capacity = ids->capacity + ids->capacity / 2;
    int32_t *list = NULL;
    if (capacity <= SIZE_MAX / sizeof *list)
        list = fr_realloc(ids->ids, capacity * sizeof *list, FR_MEMORY_OTHER);
    bool grown = list;
    if (list)
        ids->ids = list;
    if (grown && ids->begin) {
        size_t *begin = grow_places(ids->begin, capacity);
        if (begin)
            ids->begin = begin;
        size_t *end = grow_places(ids->end, capacity);
        if (end)
            ids->end = end;
        grown = begin && end;
    }
    if (!grown)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu token ids", capacity);
    ids->capacity = capacity;
    return FR_OK;
}

/* ---- decoding -------------------------------------------------------------------------------- */

static bool is_known(const fr_tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->tokens.count && t->traits[id] & TOKEN_KNOWN;
}

const char *fr_tokenizer_bytes(const fr_tokenizer *tokenizer, int32_t id, size_t *size)
{
    const vocabulary *tokens =
        tokenizer->decodes_bytes ? &tokenizer->model.tokens : &tokenizer->tokens;
    if (!is_known(tokenizer, id))
        return NULL;
    *size = tokens->start[id + 1] - tokens->start[id];
    return tokens->bytes + tokens->start[id];
}

bool fr_tokenizer_decodes_bytes(const fr_tokenizer *tokenizer)
{
    return tokenizer->decodes_bytes;
}

/* The tokens as a list of texts, in `list`, or one behind the other in its text. */
static fr_status list_tokens(const fr_tokenizer *t, const int32_t *ids, size_t count,
                             bool skip_special, text_list *list, fr_error *error)
{
    for (size_t i = 0; i < count; i++) {
        size_t size;
        const char *bytes = fr_tokenizer_bytes(t, ids[i], &size);
        if (!bytes)
            return fr_fail(
                error, FR_BAD_INPUT, "token %zu has id %d; the vocabulary has ids 0 to %zu%s", i,
                (int)ids[i], t->tokens.count - 1,
                ids[i] >= 0 && (size_t)ids[i] < t->tokens.count ? ", without this one" : "");
        if (skip_special && t->traits[ids[i]] & TOKEN_SPECIAL)
            continue;
        if (!t->decoder_count && text_list_count(list))
            fr_buffer_text(&list->text, " ");
        fr_buffer_append(&list->text, bytes, size);
        if (!t->decodes_bytes)
            text_list_close(list);
    }
    return FR_OK;
}

fr_status fr_tokenizer_decode(const fr_tokenizer *tokenizer, const int32_t *ids, size_t count,
                              bool skip_special, fr_buffer *text, fr_error *error)
{
    text_list list = {0};
    fr_status status = list_tokens(tokenizer, ids, count, skip_special, &list, error);
    if (status == FR_OK && !tokenizer->decodes_bytes && text_list_count(&list))
        status = decode_texts(tokenizer->decoders, tokenizer->decoder_count, &list, error);
    if (status == FR_OK)
        fr_buffer_append(text, list.text.data ? list.text.data : "", list.text.size);
    if (status == FR_OK && (list.text.failed || list.ends.failed || text->failed))
        status = fr_fail(error, FR_NO_MEMORY, "no memory to decode %zu tokens", count);
    text_list_free(&list);
    return status;
}

/* ---- questions ------------------------------------------------------------------------------- */

int64_t fr_tokenizer_size(const fr_tokenizer *tokenizer)
{
    return (int64_t)tokenizer->tokens.count;
}

int32_t fr_tokenizer_id(const fr_tokenizer *tokenizer, const char *token)
{
    for (size_t i = 0; i < tokenizer->added_count; i++)
        if (!strcmp(tokenizer->added[i].content, token))
            return tokenizer->added[i].id;
    return -1;
}

int32_t fr_tokenizer_end_of_text(const fr_tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}

bool fr_tokenizer_is_special(const fr_tokenizer *tokenizer, int32_t id)
{
    return is_known(tokenizer, id) && tokenizer->traits[id] & TOKEN_SPECIAL;
}

void fr_tokenizer_free(fr_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        fr_free(tokenizer->added[i].content);
        fr_free(tokenizer->added[i].pattern);
    }
    for (size_t i = 0; i < tokenizer->normalizer_count; i++)
        normalizer_free(&tokenizer->normalizers[i]);
    for (size_t i = 0; i < tokenizer->decoder_count; i++)
        decoder_free(&tokenizer->decoders[i]);
    for (size_t i = 0; i < tokenizer->split_count; i++)
        split_free(&tokenizer->splits[i]);
    added_set_free(&tokenizer->raw_added);
    added_set_free(&tokenizer->normalized_added);
    model_free(&tokenizer->model);
    post_free(&tokenizer->post);
    encoder_pool_destroy(tokenizer->pool);
    fr_free(tokenizer->added);
    fr_free(tokenizer->normalizers);
    fr_free(tokenizer->decoders);
    fr_free(tokenizer->traits);
    fr_free(tokenizer->tokens.bytes);
    fr_free(tokenizer->tokens.start);
    fr_free(tokenizer->json);
    fr_free(tokenizer->config);
    companions_free(tokenizer->companions);
    fr_free(tokenizer);
}
