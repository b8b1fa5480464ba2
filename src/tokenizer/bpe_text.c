/* bpe_text.c: byte-pair encoding on characters, as SentencePiece and CLIP use it.

   A piece starts as its characters, each with the prefix of what does not begin a piece and the
   suffix of what ends one; a character without a token becomes its bytes ("<0x0A>"), or the
   unknown. Then merges are done as in bpe.h.

   Vocabularies of SentencePiece's kind see whole texts as one piece. So a piece is first cut where
   no merge can reach across: between two symbols that stand side by side in no merged token. */
#include "tokenizer/model.h"
#include "tokenizer/utf8.h"

#include <stdio.h>
#include <string.h>

/* ---- cuts ------------------------------------------------------------------------------------ */

static size_t crossing_place(const text_model *self, uint64_t pair)
{
    size_t at = token_mix(pair) & self->crossing_mask;
    while (self->crossings[at] != pair && self->crossings[at] != UINT64_MAX)
        at = (at + 1) & self->crossing_mask;
    return at;
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* Symbols that are not a character: what they are merged to says nothing about their text. */
static bool is_odd(const text_model *self, uint32_t id)
{
    bool odd = (int32_t)id == self->unknown;
    for (int byte = 0; self->byte_fallback && byte < 256; byte++)
        odd |= self->byte_id[byte] == (int32_t)id;
    return odd;
}

static int32_t first_symbol(const text_model *self, uint32_t id)
{
    const vocabulary *v = &self->tokens;
    const char *text = v->bytes + v->start[id];
    size_t length;
    utf8_decode((const unsigned char *)text, &length);
    return token_table_find(&self->table, text, length);
}

static int32_t last_symbol(const text_model *self, uint32_t id)
{
    const vocabulary *v = &self->tokens;
    const char *text = v->bytes + v->start[id];
    size_t size = v->start[id + 1] - v->start[id];
    size_t length = utf8_length_before((const unsigned char *)text, size);
    return token_table_find(&self->table, text + size - length, length);
}

static fr_status find_crossings(text_model *self, const bpe_merge *merges, size_t count,
                                fr_error *error)
{
    size_t places = 16;
    while (places < 2 * count)
        places *= 2;
    for (size_t i = 0; i < count; i++) {
        uint32_t left = (uint32_t)(merges[i].pair >> 32), right = (uint32_t)merges[i].pair;
        bool empty = self->tokens.start[left + 1] == self->tokens.start[left] ||
                     self->tokens.start[right + 1] == self->tokens.start[right];
        if (empty || is_odd(self, left) || is_odd(self, right))
            return FR_OK; /* unknown: no cuts */
    }
    self->crossing_mask = places - 1;
    self->crossings = fr_alloc_array(places, sizeof *self->crossings, FR_MEMORY_OTHER);
    if (!self->crossings)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu merges", count);
    memset(self->crossings, 0xFF, places * sizeof *self->crossings);
    for (size_t i = 0; i < count; i++) {
        int32_t left = last_symbol(self, (uint32_t)(merges[i].pair >> 32));
        int32_t right = first_symbol(self, (uint32_t)merges[i].pair);
        if (left < 0 || right < 0) /* its characters are no symbols: it never comes to be */
            continue;
        uint64_t pair = pair_of(left, right);
        self->crossings[crossing_place(self, pair)] = pair;
    }
    return FR_OK;
}

fr_status bpe_text_prepare(text_model *self, const bpe_merge *merges, size_t count, fr_error *error)
{
    return self->prefix || self->suffix ? FR_OK : find_crossings(self, merges, count, error);
}

/* ---- symbols --------------------------------------------------------------------------------- */

/* Unknown characters that wait for what comes next. */
typedef struct waiting {
    bool any;
    uint32_t length;
} waiting;

static void add_symbol(bpe_scratch *s, size_t *count, int32_t id, uint32_t length)
{
    s->ids[*count] = id;
    s->lengths[(*count)++] = length;
}

/* True when all bytes of the symbol have tokens, which are then added. */
static bool add_bytes(const text_model *self, bpe_scratch *s, size_t *count, const char *symbol,
                      size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (self->byte_id[(unsigned char)symbol[i]] < 0)
            return false;
    for (size_t i = 0; i < size; i++)
        add_symbol(s, count, self->byte_id[(unsigned char)symbol[i]], 1);
    return true;
}

static fr_status add_character(const text_model *self, bpe_scratch *s, size_t *count,
                               waiting *unknown, const char *symbol, size_t size, size_t length,
                               fr_error *error)
{
    int32_t id = token_table_find(&self->table, symbol, size);
    if (id >= 0) {
        if (unknown->any)
            add_symbol(s, count, self->unknown, unknown->length);
        unknown->any = false;
        add_symbol(s, count, id, (uint32_t)length);
        return FR_OK;
    }
    if (self->byte_fallback && add_bytes(self, s, count, symbol, size))
        return FR_OK; /* before the unknown that waits: so does the peer */
    if (!self->unknown_name)
        return FR_OK; /* left out */
    if (self->unknown < 0)
        return model_fail_unknown(self, symbol, size, error);
    if (unknown->any && !self->fuse_unknown) {
        add_symbol(s, count, self->unknown, unknown->length);
        unknown->length = 0;
    }
    unknown->length = (unknown->any ? unknown->length : 0) + (uint32_t)length;
    unknown->any = true;
    return FR_OK;
}

/* The symbols of a piece into the scratch. */
static fr_status spell(const text_model *self, model_scratch *scratch, const char *piece,
                       size_t size, size_t *count, fr_error *error)
{
    waiting unknown = {0};
    fr_buffer *text = &scratch->text;
    *count = 0;
    for (size_t at = 0, length; at < size; at += length) {
        utf8_decode((const unsigned char *)piece + at, &length);
        const char *symbol = piece + at;
        size_t symbol_size = length;
        bool prefixed = self->prefix && at > 0, suffixed = self->suffix && at + length == size;
        if (prefixed || suffixed) {
            fr_buffer_clear(text);
            fr_buffer_text(text, prefixed ? self->prefix : "");
            fr_buffer_append(text, symbol, length);
            fr_buffer_text(text, suffixed ? self->suffix : "");
            if (text->failed)
                return fr_fail(error, FR_NO_MEMORY, "no memory to encode %zu bytes", size);
            symbol = text->data;
            symbol_size = text->size;
        }
        FR_TRY(add_character(self, &scratch->merges, count, &unknown, symbol, symbol_size, length,
                             error));
    }
    if (unknown.any)
        add_symbol(&scratch->merges, count, self->unknown, unknown.length);
    return FR_OK;
}

fr_status bpe_text_encode(const text_model *self, model_scratch *scratch, const char *piece,
                          size_t size, token_list *out, fr_error *error)
{
    bpe_scratch *s = &scratch->merges;
    size_t count, place = 0;
    size_t extra =
        (self->prefix ? strlen(self->prefix) : 0) + (self->suffix ? strlen(self->suffix) : 0);
    int32_t whole = self->merges.whole ? token_table_find(&self->table, piece, size) : -1;
    if (whole >= 0)
        return token_list_add(out, whole, 0, size, error);
    if (size >= UINT32_MAX / 2 / (1 + extra))
        return fr_fail(error, FR_UNSUPPORTED, "a piece of %zu bytes is more than can be encoded",
                       size);
    FR_TRY(bpe_reserve(s, size * (1 + extra) + 1, error));
    FR_TRY(spell(self, scratch, piece, size, &count, error));
    for (size_t from = 0, to; from < count; from = to) {
        to = from + 1;
        while (to < count &&
               (!self->crossings ||
                self->crossings[crossing_place(self, pair_of(s->ids[to - 1], s->ids[to]))] !=
                    UINT64_MAX))
            to++;
        size_t left = bpe_merge_symbols(&self->merges, s, from, to - from);
        for (size_t i = from; i < from + left; i++) {
            FR_TRY(token_list_add(out, s->ids[i], place, place + s->lengths[i], error));
            place += s->lengths[i];
        }
    }
    return FR_OK;
}
