/* bpe.c: applying merges: a cache for short pieces, a plain loop for pieces of a few dozen
   bytes, a heap for longer ones.

   The plain loop is quadratic and unbeaten on words; the heap keeps a megabyte of one letter at
   n log n. */
#include "tokenizer/bpe.h"

#include <string.h>

enum { SHORT_PIECE = 40 }; /* bytes; measured: from here the heap wins */

/* ---- tables ---------------------------------------------------------------------------------- */

/* The merge of two neighbours; an empty place when there is none. */
static inline const bpe_merge *find_merge(const bpe *model, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t at = token_mix(pair) & model->mask;
    while (model->merges[at].pair != pair && model->merges[at].pair != BPE_NO_PAIR)
        at = (at + 1) & model->mask;
    return &model->merges[at];
}

static size_t table_places(size_t entries)
{
    size_t places = 16;
    while (places < entries * 2)
        places *= 2;
    return places;
}

static fr_status build_merges(bpe *model, const bpe_merge *merges, size_t count, fr_error *error)
{
    size_t places = table_places(count);
    model->mask = places - 1;
    model->merge_count = count;
    model->merges = fr_alloc_array(places, sizeof *model->merges, FR_MEMORY_OTHER);
    if (!model->merges)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu merges", count);
    for (size_t i = 0; i < places; i++)
        model->merges[i] = (bpe_merge){BPE_NO_PAIR, BPE_NO_RANK, 0};
    for (size_t i = 0; i < count; i++) {
        int32_t left = (int32_t)(merges[i].pair >> 32), right = (int32_t)(uint32_t)merges[i].pair;
        size_t place = (size_t)(find_merge(model, left, right) - model->merges);
        model->merges[place] = merges[i];
    }
    return FR_OK;
}

fr_status bpe_build(bpe *model, const vocabulary *tokens, const bpe_merge *merges, size_t count,
                    const token_table *whole, fr_error *error)
{
    model->tokens = tokens;
    model->whole = whole;
    return build_merges(model, merges, count, error);
}

void bpe_free(bpe *model)
{
    fr_free(model->merges);
    *model = (bpe){0};
}

bool bpe_joins(const bpe *model, int32_t left, int32_t right)
{
    return find_merge(model, left, right)->pair != BPE_NO_PAIR;
}

void bpe_scratch_free(bpe_scratch *scratch)
{
    fr_free(scratch->cache);
    fr_free(scratch->ids);
    fr_free(scratch->lengths);
    fr_free(scratch->next);
    fr_free(scratch->previous);
    fr_free(scratch->heap);
    *scratch = (bpe_scratch){0};
}

/* ---- merging --------------------------------------------------------------------------------- */

/* A short piece in ids[0 .. size), already symbols; returns how many are left. Their lengths
   only where somebody asks. */
static inline size_t merge_short(const bpe *model, int32_t *ids, uint32_t *lengths, size_t size)
{
    const bpe_merge *joins[SHORT_PIECE]; /* joins[i]: of ids[i] and ids[i + 1] */
    for (size_t i = 0; i + 1 < size; i++)
        joins[i] = find_merge(model, ids[i], ids[i + 1]);
    while (size > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < size; i++)
            if (joins[i]->rank < joins[best]->rank)
                best = i;
        if (joins[best]->rank == BPE_NO_RANK)
            break;
        ids[best] = (int32_t)joins[best]->id;
        size--;
        memmove(&ids[best + 1], &ids[best + 2], (size - best - 1) * sizeof *ids);
        if (lengths) {
            lengths[best] += lengths[best + 1];
            memmove(&lengths[best + 1], &lengths[best + 2], (size - best - 1) * sizeof *lengths);
        }
        if (best + 1 < size)
            memmove(&joins[best], &joins[best + 1], (size - best - 1) * sizeof(const bpe_merge *));
        if (best > 0)
            joins[best - 1] = find_merge(model, ids[best - 1], ids[best]);
        if (best + 1 < size)
            joins[best] = find_merge(model, ids[best], ids[best + 1]);
    }
    return size;
}

/* A binary heap of rank << 32 | place: the smallest first. */
static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    uint64_t value = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= value)
            break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

static void sift_up(uint64_t *heap, size_t at)
{
    uint64_t value = heap[at];
    while (at > 0 && heap[(at - 1) / 2] > value) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = value;
}

fr_status bpe_reserve(bpe_scratch *scratch, size_t size, fr_error *error)
{
    if (size <= scratch->capacity)
        return FR_OK;
    bpe_cached *cache = scratch->cache;
    scratch->cache = NULL;
    bpe_scratch_free(scratch);
    scratch->cache = cache;
    scratch->ids = fr_alloc_array(size, sizeof *scratch->ids, FR_MEMORY_OTHER);
    scratch->lengths = fr_alloc_array(size, sizeof *scratch->lengths, FR_MEMORY_OTHER);
    scratch->next = fr_alloc_array(size, sizeof *scratch->next, FR_MEMORY_OTHER);
    scratch->previous = fr_alloc_array(size, sizeof *scratch->previous, FR_MEMORY_OTHER);
    /* Every merge takes one entry off and puts at most two on, so that there are never more than
       2 * size. */
    scratch->heap = fr_alloc_array(size, 2 * sizeof *scratch->heap, FR_MEMORY_OTHER);
    if (!scratch->ids || !scratch->lengths || !scratch->next || !scratch->previous ||
        !scratch->heap)
        return fr_fail(error, FR_NO_MEMORY, "no memory to encode a piece of %zu bytes", size);
    scratch->capacity = size;
    return FR_OK;
}

enum { NOWHERE = UINT32_MAX >> 1, GONE = -1 };

/* A long piece: symbols in ids, GONE where one was joined to the one before. */
static inline void merge_long(const bpe *model, bpe_scratch *s, int32_t *ids, uint32_t *lengths,
                              size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        s->next[i] = i + 1 < size ? (uint32_t)i + 1 : NOWHERE;
        s->previous[i] = i > 0 ? (uint32_t)i - 1 : NOWHERE;
        uint32_t rank = i + 1 < size ? find_merge(model, ids[i], ids[i + 1])->rank : BPE_NO_RANK;
        if (rank != BPE_NO_RANK)
            s->heap[count++] = (uint64_t)rank << 32 | i;
    }
    for (size_t i = count / 2; i-- > 0;)
        sift_down(s->heap, count, i);
    while (count > 0) {
        uint64_t top = s->heap[0];
        s->heap[0] = s->heap[--count];
        if (count)
            sift_down(s->heap, count, 0);
        uint32_t at = (uint32_t)top, right = s->next[at];
        if (ids[at] == GONE || right == NOWHERE)
            continue;
        const bpe_merge *join = find_merge(model, ids[at], ids[right]);
        if (join->rank != top >> 32) /* a neighbour has changed since */
            continue;
        ids[at] = (int32_t)join->id;
        ids[right] = GONE;
        if (lengths)
            lengths[at] += lengths[right];
        s->next[at] = s->next[right];
        if (s->next[at] != NOWHERE)
            s->previous[s->next[at]] = at;
        uint32_t starts[2] = {s->previous[at], at};
        for (int i = 0; i < 2; i++) {
            uint32_t start = starts[i];
            if (start == NOWHERE || s->next[start] == NOWHERE)
                continue;
            uint32_t rank = find_merge(model, ids[start], ids[s->next[start]])->rank;
            if (rank == BPE_NO_RANK)
                continue;
            s->heap[count] = (uint64_t)rank << 32 | start;
            sift_up(s->heap, count++);
        }
    }
}

size_t bpe_merge_symbols(const bpe *model, bpe_scratch *scratch, size_t from, size_t count)
{
    int32_t *ids = scratch->ids + from;
    uint32_t *lengths = scratch->lengths + from;
    size_t kept = 0;
    if (count <= SHORT_PIECE)
        return merge_short(model, ids, lengths, count);
    merge_long(model, scratch, ids, lengths, count);
    for (size_t i = 0; i < count; i++)
        if (ids[i] != GONE) {
            ids[kept] = ids[i];
            lengths[kept++] = lengths[i];
        }
    return kept;
}

static fr_status refuse_byte(const bpe *model, const char *piece, fr_error *error)
{
    while (model->byte_id[(unsigned char)*piece] >= 0)
        piece++;
    return fr_fail(error, FR_BAD_INPUT,
                   "byte 0x%02X has no token in this vocabulary, which holds UTF-8 only",
                   (unsigned char)*piece);
}

/* Without the cache. Room for `size` ids is there. */
static fr_status merge_piece(const bpe *model, bpe_scratch *scratch, const char *piece, size_t size,
                             fr_ids *ids, fr_error *error)
{
    if (model->whole) {
        int32_t whole = token_table_find(model->whole, piece, size);
        if (whole >= 0) {
            ids->ids[ids->count++] = whole;
            return FR_OK;
        }
    }
    bool plain = model->merge_count == 0, brief = size <= SHORT_PIECE;
    if (!plain && !brief)
        FR_TRY(bpe_reserve(scratch, size, error));
    int32_t *out = ids->ids + ids->count, *work = plain || brief ? out : scratch->ids;
    int32_t signs = 0;
    for (size_t i = 0; i < size; i++)
        signs |= work[i] = model->byte_id[(unsigned char)piece[i]];
    if (signs < 0)
        return refuse_byte(model, piece, error);
    if (plain) {
        ids->count += size;
    } else if (brief) {
        ids->count += merge_short(model, out, NULL, size);
    } else {
        merge_long(model, scratch, scratch->ids, NULL, size);
        for (size_t i = 0; i < size; i++)
            if (scratch->ids[i] != GONE)
                ids->ids[ids->count++] = scratch->ids[i];
    }
    return FR_OK;
}

/* ---- the cache ------------------------------------------------------------------------------- */

static inline void load_key(uint64_t key[BPE_CACHE_BYTES / 8], const char *piece, size_t size,
                            size_t slack)
{
    if (slack >= BPE_CACHE_BYTES) { /* three loads and masks instead of a copy of variable length */
        memcpy(key, piece, BPE_CACHE_BYTES);
        static const uint64_t keep[9] = {0,          0xFF,         0xFFFF,         0xFFFFFF,
                                         0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF,
                                         UINT64_MAX};
        key[0] &= keep[size < 8 ? size : 8];
        key[1] &= keep[size < 8 ? 0 : size < 16 ? size - 8 : 8];
        key[2] &= keep[size < 16 ? 0 : size - 16];
    } else {
        memset(key, 0, BPE_CACHE_BYTES);
        memcpy(key, piece, size);
    }
}

static inline bool cached_is(const bpe_cached *entry, const uint64_t key[BPE_CACHE_BYTES / 8],
                             size_t size)
{
    return entry->size == size && entry->key[0] == key[0] && entry->key[1] == key[1] &&
           entry->key[2] == key[2];
}

static inline void append_cached(const bpe_cached *entry, fr_ids *ids)
{
    memcpy(ids->ids + ids->count, entry->ids, sizeof entry->ids); /* room for all is there */
    ids->count += entry->count;
}

fr_status bpe_encode(const bpe *model, bpe_scratch *scratch, const char *piece, size_t size,
                     size_t slack, fr_ids *ids, fr_error *error)
{
    if (size > NOWHERE)
        return fr_fail(error, FR_UNSUPPORTED, "a piece of %zu bytes is more than %d can be encoded",
                       size, NOWHERE);
    if (ids->capacity - ids->count < size + BPE_CACHE_IDS)
        FR_TRY(fr_ids_reserve(ids, size + BPE_CACHE_IDS, error));
    if (size > BPE_CACHE_BYTES || model->merge_count == 0)
        return merge_piece(model, scratch, piece, size, ids, error);
    if (!scratch->cache) {
        scratch->cache = fr_alloc_array(BPE_CACHE_PLACES, sizeof *scratch->cache, FR_MEMORY_OTHER);
        if (!scratch->cache)
            return fr_fail(error, FR_NO_MEMORY, "no memory for the cache of the tokenizer");
    }
    uint64_t key[BPE_CACHE_BYTES / 8];
    load_key(key, piece, size, slack);
    size_t place = token_mix(token_mix(key[0] ^ size) + token_mix(key[1]) * 3 + key[2]) &
                   (BPE_CACHE_PLACES - 1);
    bpe_cached *first = &scratch->cache[place], *second = &scratch->cache[place ^ 1];
    if (cached_is(first, key, size)) {
        append_cached(first, ids);
        return FR_OK;
    }
    if (cached_is(second, key, size)) {
        append_cached(second, ids);
        return FR_OK;
    }
    size_t before = ids->count;
    FR_TRY(merge_piece(model, scratch, piece, size, ids, error));
    size_t count = ids->count - before;
    if (count <=
        BPE_CACHE_IDS) { /* the newcomer takes the first place, which moves to the second */
        *second = *first;
        memcpy(first->key, key, sizeof key);
        first->size = (uint32_t)size;
        first->count = (uint32_t)count;
        memcpy(first->ids, ids->ids + before, count * sizeof *first->ids);
    }
    return FR_OK;
}
