/* bpe.h: byte-pair encoding on bytes (byte-level vocabularies), and merging for all vocabularies.

   A piece starts as its bytes; of all neighbours that a merge joins, the merge that was learned
   first is done at its leftmost place, until none is left. Sennrich et al., arXiv 1508.07909; on
   bytes: Radford et al. 2019, section 2.2. */
#ifndef FRUGAL_TOKENIZER_BPE_H
#define FRUGAL_TOKENIZER_BPE_H

#include "frugal/tokenizer.h"
#include "tokenizer/vocabulary.h"

typedef struct bpe_merge {
    uint64_t pair;     /* left id << 32 | right id; BPE_NO_PAIR in an empty place */
    uint32_t rank, id; /* the smaller rank goes first */
} bpe_merge;
#define BPE_NO_PAIR UINT64_MAX
#define BPE_NO_RANK UINT32_MAX

typedef struct bpe {
    const vocabulary *tokens; /* of the tokenizer, not owned */
    int32_t byte_id[256];     /* -1: no token (only bytes that no UTF-8 text has) */
    bpe_merge *merges;        /* open addressing, at most half full */
    size_t mask;              /* places - 1 */
    size_t merge_count;
    const token_table *whole; /* a piece in it stays whole ("ignore_merges"); not owned, NULL: no */
} bpe;

/* What encoding works in: one per thread, starts as {0}. The cache remembers the ids of short
   pieces: text repeats its words, so most pieces cost one look. */
enum { BPE_CACHE_BYTES = 24, BPE_CACHE_IDS = 8, BPE_CACHE_PLACES = 1 << 15 };
typedef struct bpe_cached {
    uint64_t key[BPE_CACHE_BYTES / 8]; /* padded with zeros */
    uint32_t size, count;              /* size 0: empty */
    int32_t ids[BPE_CACHE_IDS];
} bpe_cached;
typedef struct bpe_scratch {
    bpe_cached *cache;
    int32_t *ids;      /* symbols of a long piece, with links to the neighbours */
    uint32_t *lengths; /* of symbols, in bytes */
    uint32_t *next, *previous;
    uint64_t *heap;
    size_t capacity;
} bpe_scratch;
void bpe_scratch_free(bpe_scratch *scratch);

/* merges: `count` of them with rank == place, ids checked by the caller; of a pair named twice
   the last counts, as in the peer. */
fr_status bpe_build(bpe *model, const vocabulary *tokens, const bpe_merge *merges, size_t count,
                    const token_table *whole, fr_error *error);
void bpe_free(bpe *model);

/* Append the ids of one piece. `slack`: bytes that may be read from piece on (at least size). */
fr_status bpe_encode(const bpe *model, bpe_scratch *scratch, const char *piece, size_t size,
                     size_t slack, fr_ids *ids, fr_error *error);
/* Room for `count` symbols in the scratch. */
fr_status bpe_reserve(bpe_scratch *scratch, size_t count, fr_error *error);
/* Merge the `count` symbols of the scratch from `from` on (ids and lengths), in place; returns how
   many are left. */
size_t bpe_merge_symbols(const bpe *model, bpe_scratch *scratch, size_t from, size_t count);
/* True when a merge joins the two. */
bool bpe_joins(const bpe *model, int32_t left, int32_t right);
/* Make room for `more` ids. */
fr_status fr_ids_reserve(fr_ids *ids, size_t more, fr_error *error);

#endif
