/* learn.c: learning merges.

   All different pieces stand one behind the other as a row of symbols with links to their
   neighbours inside the piece. A round takes the most frequent pair off the heap and visits only
   its own places, from left to right; around each, four counts change. So the whole costs about
   as much as the text has places, not (merges x text).

   A symbol is a byte or a character; WordPiece marks those that do not begin a word, and a token
   loses the mark of its right part. Order and ties are those of Hugging Face's BpeTrainer (count, then the smaller pair of ids,
   bytes numbered in the order of their visible characters), so that both learn the same merges.
   As there, two merges may spell the same token; they share its id. */
#include "tokenizer/byte_level.h"
#include "tokenizer/pair_table.h"
#include "tokenizer/train.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE   UINT32_MAX
#define GONE      UINT32_MAX
#define NO_SYMBOL UINT32_MAX

typedef struct learner {
    const spelling *how;
    learned *out;
    size_t size; /* tokens wanted */
    uint32_t byte_id[256];
    bool failed; /* no memory for a token */

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

/* ---- tokens and symbols ---------------------------------------------------------------------- */

/* The token that two others make, which is new unless it has been spelled before; spelled out in
   `work` first: appending moves the bytes that it reads. */
static uint32_t joined_token(learner *l, uint32_t left, uint32_t right, fr_buffer *work)
{
    lexicon *tokens = &l->out->tokens;
    size_t size, inside = strlen(l->how->inside);
    const char *text = lexicon_get(tokens, left, &size);
    fr_buffer_clear(work);
    fr_buffer_append(work, text, size);
    text = lexicon_get(tokens, right, &size);
    fr_buffer_append(work, text + inside, size - inside);
    if (work->failed)
        return 0;
    int64_t known = lexicon_find(tokens, work->data, work->size);
    if (known >= 0)
        return (uint32_t)known;
    l->failed = !lexicon_add(tokens, work->data, work->size);
    return (uint32_t)tokens->count - 1;
}

/* The symbol at text[0] and how many bytes it stands for; NO_SYMBOL for a character outside the
   alphabet. `work` is a buffer to work in. */
static uint32_t symbol_at(learner *l, const char *text, size_t left, bool first, size_t *size,
                          fr_buffer *work)
{
    if (l->how->bytes) {
        *size = 1;
        return l->byte_id[(unsigned char)*text];
    }
    *size = utf8_length((const unsigned char *)text, left);
    *size += *size == 0;
    const char *inside = first ? "" : l->how->inside;
    fr_buffer_clear(work);
    fr_buffer_text(work, inside);
    fr_buffer_append(work, text, *size);
    int64_t id = work->failed ? -1 : lexicon_find(&l->out->tokens, work->data, work->size);
    return id < 0 ? NO_SYMBOL : (uint32_t)id;
}

/* Symbols of a piece, with links to their neighbours. A character without a symbol cuts: nothing
   is joined over it. */
static void spell(learner *l, const counted_piece *piece, uint32_t number, fr_buffer *work)
{
    uint32_t last = NOWHERE;
    for (size_t k = 0, size; k < piece->size; k += size) {
        uint32_t id = symbol_at(l, piece->text + k, piece->size - k, k == 0, &size, work);
        if (id == NO_SYMBOL) {
            last = NOWHERE;
            continue;
        }
        uint32_t at = (uint32_t)l->positions++;
        l->symbol[at] = id;
        l->previous[at] = last;
        l->next[at] = NOWHERE;
        l->piece[at] = number;
        if (last != NOWHERE)
            l->next[last] = at;
        last = at;
    }
}

static bool prepare(learner *l, const piece_counts *pieces)
{
    unsigned char order[256];
    byte_level_order(order);
    for (uint32_t i = 0; i < 256; i++)
        l->byte_id[order[i]] = i;
    size_t n = 1;
    for (size_t i = 0; i < pieces->capacity; i++)
        n += pieces->places[i].size;
    l->symbol = fr_alloc_array(n, sizeof *l->symbol, FR_MEMORY_DATA);
    l->next = fr_alloc_array(n, sizeof *l->next, FR_MEMORY_DATA);
    l->previous = fr_alloc_array(n, sizeof *l->previous, FR_MEMORY_DATA);
    l->piece = fr_alloc_array(n, sizeof *l->piece, FR_MEMORY_DATA);
    l->weight = fr_alloc_array(pieces->count + 1, sizeof *l->weight, FR_MEMORY_DATA);
    if (!l->symbol || !l->next || !l->previous || !l->piece || !l->weight)
        return false;
    fr_buffer work = {0};
    uint32_t number = 0;
    for (size_t i = 0; i < pieces->capacity; i++) {
        const counted_piece *piece = &pieces->places[i];
        if (!piece->text)
            continue;
        l->weight[number] = piece->count;
        spell(l, piece, number++, &work);
    }
    bool fine = !work.failed;
    fr_buffer_free(&work);
    return fine;
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
        fine = fine && !l->pairs.failed && !work.failed && !l->failed;
    }
    fr_buffer_free(&work);
    if (fr_interrupted())
        return fr_fail(error, FR_INTERRUPTED, "interrupted while learning the tokenizer's merges");
    return fine ? FR_OK
                : fr_fail(error, FR_NO_MEMORY, "no memory to learn merges from %zu bytes of pieces",
                          l->positions);
}

fr_status learn_merges(learned *out, const piece_counts *pieces, const spelling *how, size_t size,
                       int64_t min_count, fr_error *error)
{
    learner l = {.how = how, .out = out, .size = size};
    fr_status status = FR_OK;
    if (!prepare(&l, pieces))
        status = fr_fail(error, FR_NO_MEMORY, "no memory to learn merges from %zu bytes of pieces",
                         l.positions);
    if (status == FR_OK) {
        count_first_pairs(&l);
        status = run(&l, min_count, error);
    }
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
    lexicon_free(&self->tokens);
    fr_free(self->merges);
    *self = (learned){0};
}
