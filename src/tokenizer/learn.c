/* learn.c: learning merges.

   All different pieces stand one behind the other as a row of symbols with links to their
   neighbours inside the piece. A round takes the most frequent pair off the heap and visits only
   its own places, from left to right; around each, four counts change. So the whole costs about
   as much as the text has places, not (merges x text).

   Order and ties are those of Hugging Face's BpeTrainer (count, then the smaller pair of ids,
   bytes numbered in the order of their visible characters), so that both learn the same merges.
   As there, two merges may spell the same token; they share its id. */
#include "tokenizer/byte_level.h"
#include "tokenizer/train.h"
#include "tokenizer/pair_table.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX
#define GONE    UINT32_MAX

typedef struct learner {
    learned *out;
    size_t size; /* tokens wanted */
    fr_buffer bytes;
    uint32_t *by_bytes; /* token id + 1 by hash of its bytes */
    size_t mask;

    uint32_t *symbol; /* (positions): id, or GONE when joined to the symbol before */
    uint32_t *next, *previous;
    uint32_t *piece; /* number of the piece: whose count is the weight */
    int64_t *weight;
    size_t positions;

    pair_table pairs;
    uint64_t *touched; /* pairs whose count has grown in this round */
    size_t touched_count, touched_capacity;
    uint32_t *places; /* of the pair of this round */
    size_t place_room;
    uint32_t round;
} learner;

/* ---- tokens ---------------------------------------------------------------------------------- */

static uint64_t hash_bytes(const char *bytes, size_t size)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a: a few thousand calls in all */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
    return hash;
}

/* The id of the token with these bytes, which is new unless it has been spelled before. bytes
   may lie in the vocabulary. */
static uint32_t token_of(learner *l, const char *bytes, size_t size)
{
    vocabulary *tokens = &l->out->tokens;
    size_t at = hash_bytes(bytes, size) & l->mask;
    for (; l->bytes.data && l->by_bytes[at]; at = (at + 1) & l->mask) {
        size_t id = l->by_bytes[at] - 1, start = tokens->start[id];
        if (tokens->start[id + 1] - start == size && !memcmp(l->bytes.data + start, bytes, size))
            return (uint32_t)id;
    }
    fr_buffer_append(&l->bytes, bytes, size);
    tokens->start[tokens->count + 1] = l->bytes.size;
    l->by_bytes[at] = (uint32_t)++tokens->count;
    return (uint32_t)tokens->count - 1;
}

static bool prepare_tokens(learner *l)
{
    size_t places = 1024;
    while (places < 2 * l->size)
        places *= 2;
    l->mask = places - 1;
    l->by_bytes = fr_alloc_array(places, sizeof *l->by_bytes, FR_MEMORY_OTHER);
    l->out->tokens.start =
        fr_alloc_array(l->size + 1, sizeof *l->out->tokens.start, FR_MEMORY_OTHER);
    if (!l->by_bytes || !l->out->tokens.start)
        return false;
    unsigned char order[256];
    byte_level_order(order);
    for (int i = 0; i < 256; i++)
        token_of(l, (const char *)&order[i], 1);
    return true;
}

/* The token that two others make, copied first: appending moves the bytes that it reads. */
static uint32_t joined_token(learner *l, uint32_t left, uint32_t right, fr_buffer *work)
{
    const size_t *start = l->out->tokens.start;
    fr_buffer_clear(work);
    fr_buffer_append(work, l->bytes.data + start[left], start[left + 1] - start[left]);
    fr_buffer_append(work, l->bytes.data + start[right], start[right + 1] - start[right]);
    return work->failed ? 0 : token_of(l, work->data, work->size);
}

/* ---- symbols --------------------------------------------------------------------------------- */

static bool prepare_symbols(learner *l, const piece_counts *pieces)
{
    for (size_t i = 0; i < pieces->capacity; i++)
        l->positions += pieces->places[i].size;
    size_t n = l->positions + 1;
    l->symbol = fr_alloc_array(n, sizeof *l->symbol, FR_MEMORY_DATA);
    l->next = fr_alloc_array(n, sizeof *l->next, FR_MEMORY_DATA);
    l->previous = fr_alloc_array(n, sizeof *l->previous, FR_MEMORY_DATA);
    l->piece = fr_alloc_array(n, sizeof *l->piece, FR_MEMORY_DATA);
    l->weight = fr_alloc_array(pieces->count + 1, sizeof *l->weight, FR_MEMORY_DATA);
    if (!l->symbol || !l->next || !l->previous || !l->piece || !l->weight)
        return false;
    unsigned char order[256];
    uint32_t id_of[256];
    byte_level_order(order);
    for (uint32_t i = 0; i < 256; i++)
        id_of[order[i]] = i;
    uint32_t at = 0, number = 0;
    for (size_t i = 0; i < pieces->capacity; i++) {
        const counted_piece *piece = &pieces->places[i];
        if (!piece->text)
            continue;
        l->weight[number] = piece->count;
        for (uint32_t k = 0; k < piece->size; k++, at++) {
            l->symbol[at] = id_of[(unsigned char)piece->text[k]];
            l->previous[at] = k > 0 ? at - 1 : NOWHERE;
            l->next[at] = k + 1 < piece->size ? at + 1 : NOWHERE;
            l->piece[at] = number;
        }
        number++;
    }
    return true;
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static void count_first_pairs(learner *l)
{
    for (size_t at = 0; at < l->positions; at++) {
        if (l->next[at] == NOWHERE)
            continue;
        pair_record *record =
            pair_table_get(&l->pairs, pair_of(l->symbol[at], l->symbol[l->next[at]]));
        if (!record)
            return;
        record->count += l->weight[l->piece[at]];
        pair_table_add_place(&l->pairs, record, (uint32_t)at);
    }
    for (size_t i = 0; i < l->pairs.capacity; i++)
        if (l->pairs.records[i].pair != PAIR_NONE)
            pair_table_queue(&l->pairs, l->pairs.records[i].pair, l->pairs.records[i].count);
}

/* ---- a round --------------------------------------------------------------------------------- */

static void take_from(learner *l, uint32_t left, uint32_t right, int64_t weight)
{
    pair_record *record = pair_table_get(&l->pairs, pair_of(left, right));
    if (record)
        record->count -= weight;
}

static void add_to(learner *l, uint32_t left, uint32_t right, int64_t weight, uint32_t position)
{
    pair_record *record = pair_table_get(&l->pairs, pair_of(left, right));
    if (!record)
        return;
    record->count += weight;
    pair_table_add_place(&l->pairs, record, position);
    if (record->queued == l->round)
        return;
    record->queued = l->round;
    if (l->touched_count == l->touched_capacity) {
        size_t capacity = l->touched_capacity ? l->touched_capacity * 2 : 1024;
        uint64_t *touched = fr_realloc(l->touched, capacity * sizeof *touched, FR_MEMORY_DATA);
        if (!touched) {
            l->pairs.failed = true;
            return;
        }
        l->touched = touched;
        l->touched_capacity = capacity;
    }
    l->touched[l->touched_count++] = record->pair;
}

static void join_at(learner *l, uint32_t at, uint32_t left, uint32_t right, uint32_t id)
{
    uint32_t other = l->next[at];
    if (l->symbol[at] != left || other == NOWHERE || l->symbol[other] != right)
        return; /* this place went into another merge */
    int64_t weight = l->weight[l->piece[at]];
    uint32_t before = l->previous[at], behind = l->next[other];
    if (before != NOWHERE) {
        take_from(l, l->symbol[before], left, weight);
        add_to(l, l->symbol[before], id, weight, before);
    }
    if (behind != NOWHERE) {
        take_from(l, right, l->symbol[behind], weight);
        add_to(l, id, l->symbol[behind], weight, at);
        l->previous[behind] = at;
    }
    l->symbol[at] = id;
    l->symbol[other] = GONE;
    l->next[at] = behind;
}

static int compare_places(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* All places of the pair, from left to right. They are noted in that order, except for tokens
   that were spelled twice. */
static size_t places_of(learner *l, uint64_t pair)
{
    pair_record *record = pair_table_get(&l->pairs, pair);
    if (!record)
        return 0;
    size_t count = pair_table_take_places(&l->pairs, record, l->places, l->place_room);
    if (count > l->place_room) {
        uint32_t *places = fr_realloc(l->places, count * sizeof *places, FR_MEMORY_DATA);
        if (!places) {
            l->pairs.failed = true;
            return 0;
        }
        l->places = places;
        l->place_room = count;
        pair_table_take_places(&l->pairs, record, places, count);
    }
    for (size_t i = 1; i < count; i++)
        if (l->places[i - 1] > l->places[i]) {
            qsort(l->places, count, sizeof *l->places, compare_places);
            break;
        }
    return count;
}

static void merge(learner *l, uint64_t pair, fr_buffer *work)
{
    uint32_t left = (uint32_t)(pair >> 32), right = (uint32_t)pair;
    uint32_t id = joined_token(l, left, right, work);
    l->out->merges[2 * l->out->merge_count] = left;
    l->out->merges[2 * l->out->merge_count + 1] = right;
    l->out->merge_count++;
    l->round++;
    l->touched_count = 0;
    size_t count = places_of(l, pair);
    for (size_t i = 0; i < count && !l->pairs.failed; i++)
        join_at(l, l->places[i], left, right, id);
    pair_record *record = pair_table_get(&l->pairs, pair);
    if (record)
        record->count = 0;
    for (size_t i = 0; i < l->touched_count && !l->pairs.failed; i++) {
        record = pair_table_get(&l->pairs, l->touched[i]);
        if (record && record->count > 0)
            pair_table_queue(&l->pairs, record->pair, record->count);
    }
}

/* ---- all rounds ------------------------------------------------------------------------------ */

static bool has_room(learner *l, size_t *capacity)
{
    if (l->out->merge_count < *capacity)
        return true;
    *capacity = *capacity ? *capacity * 2 : 1024;
    uint32_t *merges = fr_realloc(l->out->merges, *capacity * 2 * sizeof *merges, FR_MEMORY_OTHER);
    if (merges)
        l->out->merges = merges;
    return merges;
}

static fr_status run(learner *l, int64_t min_count, fr_error *error)
{
    fr_buffer work = {0};
    size_t capacity = 0;
    bool fine = true;
    while (fine && l->out->tokens.count < l->size && !fr_interrupted()) {
        pair_entry top = pair_table_pop(&l->pairs);
        if (top.pair == PAIR_NONE)
            break;
        const pair_record *record = pair_table_get(&l->pairs, top.pair);
        fine = record;
        if (fine && record->count != top.count) { /* fell since, or merged already */
            if (record->count > 0)
                pair_table_queue(&l->pairs, top.pair, record->count);
            continue;
        }
        if (top.count < (min_count > 1 ? min_count : 1))
            break;
        fine = fine && has_room(l, &capacity);
        if (fine)
            merge(l, top.pair, &work);
        fine = fine && !l->pairs.failed && !work.failed && !l->bytes.failed;
    }
    fr_buffer_free(&work);
    if (fr_interrupted())
        return fr_fail(error, FR_INTERRUPTED, "interrupted while learning the tokenizer's merges");
    return fine ? FR_OK
                : fr_fail(error, FR_NO_MEMORY, "no memory to learn merges from %zu bytes of pieces",
                          l->positions);
}

fr_status learn_merges(learned *out, const piece_counts *pieces, size_t size, int64_t min_count,
                       fr_error *error)
{
    *out = (learned){0};
    learner l = {.out = out, .size = size};
    fr_status status = FR_OK;
    if (!prepare_tokens(&l) || !prepare_symbols(&l, pieces))
        status = fr_fail(error, FR_NO_MEMORY, "no memory to learn merges from %zu bytes of pieces",
                         l.positions);
    if (status == FR_OK) {
        count_first_pairs(&l);
        status = run(&l, min_count, error);
    }
    out->tokens.bytes = l.bytes.data;
    fr_free(l.by_bytes);
    fr_free(l.symbol);
    fr_free(l.next);
    fr_free(l.previous);
    fr_free(l.piece);
    fr_free(l.weight);
    fr_free(l.touched);
    fr_free(l.places);
    pair_table_free(&l.pairs);
    return status;
}

void learned_free(learned *self)
{
    fr_free(self->tokens.bytes);
    fr_free(self->tokens.start);
    fr_free(self->merges);
    *self = (learned){0};
}
