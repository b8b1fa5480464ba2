/* unigram.c: the most probable way to cut a piece into tokens. Kudo, arXiv 1804.10959; the walk is
   Viterbi's over byte positions, in one pass.

   score(end) = max over tokens that end there of score(start) + log p(token). Of ways that are
   equally good the one that was found first stays: starts from left to right, at one start short
   tokens before long ones. A character that no token covers alone costs 10 more than the least
   probable token. Neighbouring unknown characters become one unknown token. */
#include "tokenizer/model.h"
#include "tokenizer/utf8.h"

#define NOT_REACHED UINT32_MAX

static fr_status prepare_paths(model_scratch *scratch, size_t size, fr_error *error)
{
    if (size + 1 > scratch->path_capacity) {
        best_path *paths = fr_alloc_array(size + 1, sizeof *paths, FR_MEMORY_OTHER);
        if (!paths)
            return fr_fail(error, FR_NO_MEMORY, "no memory to encode a piece of %zu bytes", size);
        fr_free(scratch->paths);
        scratch->paths = paths;
        scratch->path_capacity = size + 1;
    }
    for (size_t i = 0; i <= size; i++)
        scratch->paths[i] = (best_path){0, 0, NOT_REACHED};
    return FR_OK;
}

static void offer(best_path *end, double score, int32_t id, size_t start)
{
    if (end->start == NOT_REACHED || score > end->score)
        *end = (best_path){score, id, (uint32_t)start};
}

/* All tokens that begin at `start`. */
static fr_status extend(const text_model *self, best_path *paths, const char *piece, size_t size,
                        size_t start, size_t character, fr_error *error)
{
    double here = paths[start].score;
    bool alone = false; /* a token of the character alone was found */
    uint32_t node = 0;
    for (size_t at = start; at < size; at++) {
        node = token_trie_step(&self->trie, node, (unsigned char)piece[at]);
        if (!node)
            break;
        int32_t id = self->trie.ids[node];
        if (id < 0)
            continue;
        offer(&paths[at + 1], self->scores[id] + here, id, start);
        alone |= at + 1 - start == character;
    }
    if (alone)
        return FR_OK;
    if (self->unknown < 0)
        return model_fail_unknown(self, piece + start, character, error);
    offer(&paths[start + character], self->unknown_score + here, self->unknown, start);
    return FR_OK;
}

/* A stretch of text as a token, as bytes, or as the unknown. */
static fr_status add_stretch(const text_model *self, const char *piece, size_t begin, size_t end,
                             token_list *out, fr_error *error)
{
    int32_t id = token_table_find(&self->table, piece + begin, end - begin);
    if (id >= 0)
        return token_list_add(out, id, begin, end, error);
    bool bytes = self->byte_fallback;
    for (size_t i = begin; bytes && i < end; i++)
        bytes = self->byte_id[(unsigned char)piece[i]] >= 0;
    if (!bytes && self->unknown < 0)
        return model_fail_unknown(self, piece + begin, end - begin, error);
    if (!bytes)
        return token_list_add(out, self->unknown, begin, end, error);
    for (size_t i = begin; i < end; i++)
        FR_TRY(token_list_add(out, self->byte_id[(unsigned char)piece[i]], begin, end, error));
    return FR_OK;
}

fr_status unigram_encode(const text_model *self, model_scratch *scratch, const char *piece,
                         size_t size, token_list *out, fr_error *error)
{
    if (size >= NOT_REACHED)
        return fr_fail(error, FR_UNSUPPORTED, "a piece of %zu bytes is more than can be encoded",
                       size);
    FR_TRY(prepare_paths(scratch, size, error));
    best_path *paths = scratch->paths;
    for (size_t at = 0, length; at < size; at += length) {
        utf8_decode((const unsigned char *)piece + at, &length);
        FR_TRY(extend(self, paths, piece, size, at, length, error));
    }
    /* The way back, turned around: `start` becomes the end of the token that follows. */
    uint32_t next = NOT_REACHED;
    for (uint32_t end = (uint32_t)size; end > 0;) {
        uint32_t start = paths[end].start;
        paths[end].start = next;
        next = end;
        end = start;
    }
    for (uint32_t begin = 0; begin < size;) {
        uint32_t end = next;
        bool unknown = paths[end].id == self->unknown;
        next = paths[end].start;
        while (unknown && end < size && paths[next].id == self->unknown) {
            end = next;
            next = paths[end].start;
        }
        FR_TRY(add_stretch(self, piece, begin, end, out, error));
        begin = end;
    }
    return FR_OK;
}
