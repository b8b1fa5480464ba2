/* wordpiece.c: the longest token that begins a piece, then the longest that goes on (written with
   a prefix, "##"), and so on; a piece that cannot be covered so is unknown as a whole. Wu et al.,
   arXiv 1609.08144, section 4.1; Devlin et al., arXiv 1810.04805.

   The walk through the trie finds the longest token in one go, so that the time is the length of
   the piece times the length of the tokens. */
#include "tokenizer/model.h"
#include "tokenizer/utf8.h"

static fr_status add_unknown(const text_model *self, const char *piece, size_t size,
                             token_list *out, fr_error *error)
{
    return self->unknown < 0 ? model_fail_unknown(self, piece, size, error)
                             : token_list_add(out, self->unknown, 0, size, error);
}

/* The end of the longest token from `begin` on, walking from `node`; `begin` when there is none. */
static size_t longest(const text_model *self, uint32_t node, const char *piece, size_t size,
                      size_t begin, int32_t *id)
{
    size_t end = begin;
    for (size_t at = begin; at < size; at++) {
        node = token_trie_step(&self->trie, node, (unsigned char)piece[at]);
        if (!node)
            break;
        if (self->trie.ids[node] >= 0) {
            *id = self->trie.ids[node];
            end = at + 1;
        }
    }
    return end;
}

/* The node behind the prefix; false: no token goes on. */
static bool find_prefix(const text_model *self, uint32_t *node)
{
    *node = 0;
    for (const char *c = self->prefix; *c; c++) {
        *node = token_trie_step(&self->trie, *node, (unsigned char)*c);
        if (!*node)
            return false;
    }
    return true;
}

fr_status wordpiece_encode(const text_model *self, const char *piece, size_t size, token_list *out,
                           fr_error *error)
{
    int64_t characters = 0;
    for (size_t i = 0; i < size; i++)
        characters += ((unsigned char)piece[i] & 0xC0) != 0x80;
    if (characters > self->most_characters)
        return add_unknown(self, piece, size, out, error);
    size_t ids_before = out->ids->count, spans_before = out->spans ? out->spans->size : 0;
    uint32_t prefix = 0;
    bool goes_on = find_prefix(self, &prefix);
    for (size_t at = 0; at < size;) {
        int32_t id = -1;
        size_t end = at == 0 || goes_on ? longest(self, at ? prefix : 0, piece, size, at, &id) : at;
        if (end == at) {
            out->ids->count = ids_before;
            if (out->spans)
                out->spans->size = spans_before;
            return add_unknown(self, piece, size, out, error);
        }
        FR_TRY(token_list_add(out, id, at, end, error));
        at = end;
    }
    return FR_OK;
}
