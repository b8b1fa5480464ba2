/* json_model.c: the vocabulary and the merges of a tokenizer.json.

   Nothing in the file is trusted: ids must be 0, 1, ... without holes or twins over the
   vocabulary and the added tokens together, all bytes of UTF-8 must be there, and merges must
   name tokens. */
#include "tokenizer/byte_level.h"
#include "tokenizer/json_reader.h"

#include <stdio.h>
#include <string.h>

/* ---- vocabulary ------------------------------------------------------------------------------ */

/* One entry of the vocabulary before the ids are known to be right. */
typedef struct entry {
    const char *text; /* NULL: no token has this id yet */
    bool in_model;
} entry;

static fr_status claim(reader *r, entry *entries, size_t count, const char *where, const char *text,
                       json_int_t id, bool in_model)
{
    if (id < 0 || (size_t)id >= count)
        return BAD(r, "%s: '%.60s' has id %lld; %zu tokens must have the ids 0 to %zu", where, text,
                   (long long)id, count, count - 1);
    if (entries[id].text)
        return BAD(r, "%s: '%.60s' has id %lld, which '%.60s' has too", where, text, (long long)id,
                   entries[id].text);
    entries[id] = (entry){text, in_model};
    return FR_OK;
}

static fr_status claim_all(reader *r, json_t *vocab, entry *entries, size_t count)
{
    const char *text;
    json_t *value;
    json_object_foreach(vocab, text, value)
    {
        if (!json_is_integer(value))
            return BAD(r, "model.vocab: '%.60s' has %s for an id", text, json_kind_name(value));
        FR_TRY(claim(r, entries, count, "model.vocab", text, json_integer_value(value), true));
    }
    for (size_t i = 0; i < r->tokenizer->added_count; i++) {
        const added_token *token = &r->tokenizer->added[i];
        char where[40];
        snprintf(where, sizeof where, "added_tokens[%zu]", i);
        const json_t *id = json_object_get(vocab, token->content);
        if (!id)
            FR_TRY(claim(r, entries, count, where, token->content, token->id, false));
        else if (json_integer_value(id) != token->id)
            return BAD(r, "%s: '%.60s' has id %d, but %lld in model.vocab", where, token->content,
                       (int)token->id, (long long)json_integer_value(id));
    }
    return FR_OK;
}

/* The bytes of all tokens; is_piece[id]: written in the byte-level alphabet, so that it may come
   out of the model. */
static fr_status spell_out(reader *r, const entry *entries, size_t count, bool *is_piece)
{
    vocabulary *tokens = &r->tokenizer->tokens;
    fr_buffer bytes = {0};
    tokens->start = fr_alloc_array(count + 1, sizeof *tokens->start, FR_MEMORY_OTHER);
    for (size_t id = 0; tokens->start && id < count; id++) {
        size_t length = strlen(entries[id].text);
        is_piece[id] =
            entries[id].in_model && length && byte_level_read(entries[id].text, length, &bytes);
        if (!is_piece[id])
            fr_buffer_append(&bytes, entries[id].text, length);
        tokens->start[id + 1] = bytes.size;
    }
    tokens->bytes = bytes.data;
    tokens->count = count;
    return bytes.failed || !tokens->start ? NO_MEMORY(r) : FR_OK;
}

static fr_status find_bytes(reader *r, const bool *is_piece)
{
    bpe *model = &r->tokenizer->model;
    const vocabulary *tokens = &r->tokenizer->tokens;
    for (int byte = 0; byte < 256; byte++)
        model->byte_id[byte] = -1;
    for (size_t id = 0; id < tokens->count; id++)
        if (is_piece[id] && tokens->start[id + 1] - tokens->start[id] == 1)
            model->byte_id[(unsigned char)tokens->bytes[tokens->start[id]]] = (int32_t)id;
    for (unsigned byte = 0; byte < 256; byte++) {
        /* These occur in no UTF-8 text; vocabularies learned from text alone lack them. */
        bool never_in_utf8 = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
        if (model->byte_id[byte] < 0 && !never_in_utf8)
            return UNSUPPORTED(r,
                               "model.vocab has no token for byte 0x%02X; a vocabulary must have "
                               "one for every byte of UTF-8 text",
                               byte);
    }
    return FR_OK;
}

/* ---- merges ---------------------------------------------------------------------------------- */

static fr_status token_id(reader *r, json_t *vocab, const char *text, size_t number, uint32_t *id)
{
    const json_t *value = json_object_get(vocab, text);
    if (!value)
        return BAD(r, "model.merges[%zu]: '%.60s' is not in model.vocab", number, text);
    *id = (uint32_t)json_integer_value(value);
    return FR_OK;
}

/* A merge is "left right" or ["left", "right"]. `text` is a buffer to work in. */
static fr_status read_merge(reader *r, json_t *vocab, const json_t *value, size_t number,
                            fr_buffer *text, bpe_merge *out)
{
    const char *left, *right;
    size_t left_size;
    if (json_is_array(value) && json_array_size(value) == 2 &&
        json_is_string(json_array_get(value, 0)) && json_is_string(json_array_get(value, 1))) {
        left = json_string_value(json_array_get(value, 0));
        right = json_string_value(json_array_get(value, 1));
        left_size = strlen(left);
    } else {
        left = json_string_value(value);
        right = left ? strchr(left, ' ') : NULL;
        if (!right || strchr(right + 1, ' '))
            return BAD(r, "model.merges[%zu]: %s%.60s%s found, two tokens expected", number,
                       left ? "'" : "", left ? left : json_kind_name(value), left ? "'" : "");
        left_size = (size_t)(right++ - left);
    }
    uint32_t left_id = 0, right_id = 0;
    fr_buffer_clear(text);
    fr_buffer_append(text, left, left_size);
    if (text->failed)
        return NO_MEMORY(r);
    FR_TRY(token_id(r, vocab, text->data, number, &left_id));
    FR_TRY(token_id(r, vocab, right, number, &right_id));
    fr_buffer_text(text, right);
    if (text->failed)
        return NO_MEMORY(r);
    FR_TRY(token_id(r, vocab, text->data, number, &out->id));
    out->pair = (uint64_t)left_id << 32 | right_id;
    out->rank = (uint32_t)number;
    return FR_OK;
}

static fr_status read_merges(reader *r, json_t *vocab, const json_t *list, const bool *is_piece,
                             bool whole_pieces)
{
    if (!json_is_array(list))
        return BAD(r, "model.merges: %s found, a list expected", json_kind_name(list));
    size_t count = json_array_size(list);
    if (count >= UINT32_MAX)
        return BAD(r, "model.merges: %zu entries found", count);
    bpe_merge *merges = fr_alloc_array(count + 1, sizeof *merges, FR_MEMORY_OTHER);
    fr_buffer text = {0};
    fr_status status = merges ? FR_OK : NO_MEMORY(r);
    for (size_t i = 0; status == FR_OK && i < count; i++)
        status = read_merge(r, vocab, json_array_get(list, i), i, &text, &merges[i]);
    if (status == FR_OK) {
        status = bpe_build(&r->tokenizer->model, &r->tokenizer->tokens, merges, count,
                           whole_pieces ? is_piece : NULL, r->error);
        if (status != FR_OK)
            fr_error_prefix(r->error, "%s", r->name);
    }
    fr_buffer_free(&text);
    fr_free(merges);
    return status;
}

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

/* ---- model ----------------------------------------------------------------------------------- */

static fr_status check_model(reader *r, json_t *model)
{
    /* unk_token, fuse_unk and byte_fallback say what to do with characters without a token; with
       all bytes in the vocabulary there are none, so they change nothing. */
    static const char *const known[] = {"type",
                                        "dropout",
                                        "unk_token",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "fuse_unk",
                                        "byte_fallback",
                                        "ignore_merges",
                                        "vocab",
                                        "merges",
                                        NULL};
    if (!json_is_object(model))
        return BAD(r, "model: %s found, an object expected", json_kind_name(model));
    const json_t *type = json_object_get(model, "type");
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0))
        return UNSUPPORTED(r, "model.type '%.60s' is not supported (supported: BPE)",
                           json_is_string(type) ? json_string_value(type) : json_kind_name(type));
    FR_TRY(json_check_keys(r, "model", model, known));
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout && !json_is_null(dropout) &&
        !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return UNSUPPORTED(r, "model.dropout is not supported");
    static const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++)
        if (!is_empty(json_object_get(model, empty[i])))
            return UNSUPPORTED(r, "model.%s is not supported", empty[i]);
    if (!json_is_object(json_object_get(model, "vocab")))
        return BAD(r, "model.vocab: %s found, an object expected",
                   json_kind_name(json_object_get(model, "vocab")));
    return FR_OK;
}

fr_status json_read_model(reader *r, json_t *model)
{
    FR_TRY(check_model(r, model));
    fr_tokenizer *t = r->tokenizer;
    json_t *vocab = json_object_get(model, "vocab");
    size_t count = json_object_size(vocab);
    for (size_t i = 0; i < t->added_count; i++)
        if (!json_object_get(vocab, t->added[i].content))
            count++;
    if (count == 0 || count > INT32_MAX)
        return BAD(r, "model.vocab: %zu tokens found", count);
    bool whole_pieces;
    FR_TRY(json_read_bool(r, "model", model, "ignore_merges", false, &whole_pieces));
    entry *entries = fr_alloc_array(count, sizeof *entries, FR_MEMORY_OTHER);
    bool *is_piece = fr_alloc_array(count, sizeof *is_piece, FR_MEMORY_OTHER);
    t->special = fr_alloc_array(count, sizeof *t->special, FR_MEMORY_OTHER);
    fr_status status = entries && is_piece && t->special ? FR_OK : NO_MEMORY(r);
    if (status == FR_OK)
        status = claim_all(r, vocab, entries, count);
    if (status == FR_OK)
        status = spell_out(r, entries, count, is_piece);
    if (status == FR_OK)
        status = find_bytes(r, is_piece);
    if (status == FR_OK)
        status = read_merges(r, vocab, json_object_get(model, "merges"), is_piece, whole_pieces);
    for (size_t i = 0; status == FR_OK && i < t->added_count; i++)
        t->special[t->added[i].id] = t->added[i].special;
    fr_free(entries);
    fr_free(is_piece);
    return status;
}
