/* model.c: which model encodes a piece, and what they share. */
#include "tokenizer/model.h"

void model_free(text_model *self)
{
    fr_free(self->tokens.bytes);
    fr_free(self->tokens.start);
    fr_free(self->is_member);
    token_table_free(&self->table);
    token_trie_free(&self->trie);
    fr_free(self->unknown_name);
    bpe_free(&self->merges);
    fr_free(self->prefix);
    fr_free(self->suffix);
    fr_free(self->crossings);
    fr_free(self->scores);
    *self = (text_model){0};
}

void model_scratch_free(model_scratch *scratch)
{
    bpe_scratch_free(&scratch->merges);
    fr_free(scratch->paths);
    fr_buffer_free(&scratch->text);
    fr_buffer_free(&scratch->spans);
}

fr_status token_list_add(token_list *list, int32_t id, size_t begin, size_t end, fr_error *error)
{
    FR_TRY(fr_ids_reserve(list->ids, 1, error));
    list->ids->ids[list->ids->count++] = id;
    if (list->spans) {
        span where = {(uint32_t)begin, (uint32_t)end};
        fr_buffer_append(list->spans, &where, sizeof where);
        if (list->spans->failed)
            return fr_fail(error, FR_NO_MEMORY, "no memory for the offsets of tokens");
    }
    return FR_OK;
}

fr_status model_fail_unknown(const text_model *self, const char *text, size_t size, fr_error *error)
{
    return fr_fail(error, FR_BAD_INPUT,
                   "'%.*s' has no token, and the token for the unknown%s%s is %s",
                   (int)(size < 40 ? size : 40), text, self->unknown_name ? " " : "",
                   self->unknown_name ? self->unknown_name : "",
                   self->unknown_name ? "not in the vocabulary" : "not named in the file");
}

static fr_status wordlevel_encode(const text_model *self, const char *piece, size_t size,
                                  token_list *out, fr_error *error)
{
    int32_t id = token_table_find(&self->table, piece, size);
    if (id < 0)
        id = self->unknown;
    return id < 0 ? model_fail_unknown(self, piece, size, error)
                  : token_list_add(out, id, 0, size, error);
}

/* Tokens of a byte-level vocabulary are the bytes that they stand for. */
static fr_status bytes_encode(const text_model *self, model_scratch *scratch, const char *piece,
                              size_t size, size_t slack, token_list *out, fr_error *error)
{
    size_t before = out->ids->count;
    FR_TRY(bpe_encode(&self->merges, &scratch->merges, piece, size, slack, out->ids, error));
    if (!out->spans)
        return FR_OK;
    const size_t *start = self->tokens.start;
    span where = {0, 0};
    for (size_t i = before; i < out->ids->count; i++) {
        int32_t id = out->ids->ids[i];
        where.begin = where.end;
        where.end += (uint32_t)(start[id + 1] - start[id]);
        fr_buffer_append(out->spans, &where, sizeof where);
    }
    return out->spans->failed ? fr_fail(error, FR_NO_MEMORY, "no memory for the offsets of tokens")
                              : FR_OK;
}

fr_status model_encode(const text_model *self, model_scratch *scratch, const char *piece,
                       size_t size, size_t slack, bool places, fr_ids *ids, fr_error *error)
{
    token_list out = {ids, places ? &scratch->spans : NULL};
    if (places)
        fr_buffer_clear(&scratch->spans);
    switch (self->kind) {
    case MODEL_BYTES:
        return bytes_encode(self, scratch, piece, size, slack, &out, error);
    case MODEL_BPE:
        return bpe_text_encode(self, scratch, piece, size, &out, error);
    case MODEL_UNIGRAM:
        return unigram_encode(self, scratch, piece, size, &out, error);
    case MODEL_WORDPIECE:
        return wordpiece_encode(self, piece, size, &out, error);
    case MODEL_WORDLEVEL:
        break;
    }
    return wordlevel_encode(self, piece, size, &out, error);
}
