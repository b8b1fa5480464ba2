/* lexicon.c: tokens found by their bytes, through a hash that can be cut.

   The hash of a token is a polynomial in its bytes, so that the hashes of all its beginnings and
   ends come from one walk over it: finding every way to cut a token in two known ones costs its
   length, not the square of it. Files may hold tokens of any length. */
#include "tokenizer/lexicon.h"

#include <stdlib.h>
#include <string.h>

#define BASE UINT64_C(0x9E3779B97F4A7C15)

static uint64_t step(uint64_t hash, char byte)
{
    return hash * BASE + (unsigned char)byte + 1;
}

static uint64_t hash_bytes(const char *bytes, size_t size)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < size; i++)
        hash = step(hash, bytes[i]);
    return hash;
}

/* Where the search for a hash begins: its high bits know all bytes. */
static size_t first_place(uint64_t hash, size_t mask)
{
    return (size_t)((hash ^ hash >> 32) * UINT64_C(0xD6E8FEB86659FD93) >> 24) & mask;
}

static int64_t find(const lexicon *list, uint64_t hash, const char *bytes, size_t size)
{
    if (!list->places)
        return -1;
    for (size_t at = first_place(hash, list->mask); list->places[at]; at = (at + 1) & list->mask) {
        size_t id = list->places[at] - 1, start = list->start[id];
        if (list->start[id + 1] - start == size &&
            (size == 0 || memcmp(list->bytes.data + start, bytes, size) == 0))
            return (int64_t)id;
    }
    return -1;
}

int64_t lexicon_find(const lexicon *list, const char *bytes, size_t size)
{
    return find(list, hash_bytes(bytes, size), bytes, size);
}

static void place(lexicon *list, size_t id)
{
    size_t start = list->start[id];
    uint64_t hash = hash_bytes(list->bytes.data + start, list->start[id + 1] - start);
    size_t at = first_place(hash, list->mask);
    while (list->places[at])
        at = (at + 1) & list->mask;
    list->places[at] = (uint32_t)id + 1;
}

static bool grow(lexicon *list)
{
    size_t capacity = list->capacity ? 2 * list->capacity : 512;
    size_t *start = fr_realloc(list->start, (capacity + 1) * sizeof *start, FR_MEMORY_OTHER);
    if (!start)
        return false;
    list->start = start;
    uint32_t *places = fr_alloc_array(2 * capacity, sizeof *places, FR_MEMORY_OTHER);
    if (!places)
        return false;
    fr_free(list->places);
    list->places = places;
    list->mask = 2 * capacity - 1;
    list->capacity = capacity;
    for (size_t id = 0; id < list->count; id++)
        place(list, id);
    return true;
}

bool lexicon_add(lexicon *list, const char *bytes, size_t size)
{
    if (list->count == INT32_MAX || (list->count == list->capacity && !grow(list)))
        return false;
    fr_buffer_append(&list->bytes, bytes, size);
    if (list->bytes.failed)
        return false;
    list->start[list->count + 1] = list->bytes.size;
    place(list, list->count++);
    return true;
}

const char *lexicon_get(const lexicon *list, size_t id, size_t *size)
{
    *size = list->start[id + 1] - list->start[id];
    return list->bytes.data ? list->bytes.data + list->start[id] : "";
}

void lexicon_free(lexicon *list)
{
    fr_buffer_free(&list->bytes);
    fr_free(list->start);
    fr_free(list->places);
    *list = (lexicon){0};
}

/* ---- merges ---------------------------------------------------------------------------------- */

typedef struct search {
    const lexicon *list;
    const double *score;
    const bool *usable;
    bool characters;
    token_merge *merges;
    size_t count, capacity, bytes;
} search;

static bool append(search *s, const token_merge *merge)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 1024;
        token_merge *merges = fr_realloc(s->merges, capacity * sizeof *merges, FR_MEMORY_OTHER);
        if (!merges)
            return false;
        s->merges = merges;
        s->capacity = capacity;
    }
    s->merges[s->count++] = *merge;
    return true;
}

static bool is_usable(const search *s, int64_t id)
{
    return id >= 0 && (!s->usable || s->usable[id]);
}

/* All cuts of one token. */
static fr_status cut(search *s, size_t id, fr_error *error)
{
    size_t size;
    const char *text = lexicon_get(s->list, id, &size);
    uint64_t whole = hash_bytes(text, size), left = 0, power = 1;
    for (size_t i = 1; i < size; i++)
        power *= BASE; /* to the number of bytes in the right part */
    uint64_t inverse = BASE;
    for (int i = 0; i < 5; i++)
        inverse *= 2 - BASE * inverse; /* Newton: the inverse of an odd number modulo 2^64 */
    for (size_t at = 1; at < size; at++, power *= inverse) {
        left = step(left, text[at - 1]);
        if (s->characters && ((unsigned char)text[at] & 0xC0) == 0x80)
            continue;
        int64_t l = find(s->list, left, text, at);
        if (!is_usable(s, l))
            continue;
        int64_t r = find(s->list, whole - left * power, text + at, size - at);
        if (!is_usable(s, r))
            continue;
        s->bytes += size;
        if (s->count == MOST_MERGES || s->bytes > MOST_MERGE_BYTES)
            return fr_fail(error, FR_UNSUPPORTED,
                           "a vocabulary that implies more than %d merges or %d bytes of them is "
                           "not supported",
                           MOST_MERGES, MOST_MERGE_BYTES);
        if (!append(s, &(token_merge){s->score ? s->score[id] : 0, (uint32_t)id, (uint32_t)l,
                                      (uint32_t)r, (uint32_t)at}))
            return fr_fail(error, FR_NO_MEMORY, "no memory for the merges of a vocabulary");
    }
    return FR_OK;
}

static int compare_ids(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_by_id(const void *a, const void *b)
{
    const token_merge *x = a, *y = b;
    return x->id != y->id ? compare_ids(x->id, y->id) : compare_ids(x->left_size, y->left_size);
}

static int compare_by_score(const void *a, const void *b)
{
    const token_merge *x = a, *y = b;
    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return compare_by_id(a, b);
}

static int compare_by_parts(const void *a, const void *b)
{
    const token_merge *x = a, *y = b;
    if (x->id != y->id)
        return compare_ids(x->id, y->id);
    return x->left != y->left ? compare_ids(x->left, y->left) : compare_ids(x->right, y->right);
}

fr_status lexicon_merges(const lexicon *list, token_merge_order order, const double *score,
                         const bool *usable, bool characters, token_merge **merges, size_t *count,
                         fr_error *error)
{
    static int (*const compare[])(const void *, const void *) = {compare_by_id, compare_by_score,
                                                                 compare_by_parts};
    search s = {.list = list, .score = score, .usable = usable, .characters = characters};
    fr_status status = FR_OK;
    for (size_t id = 0; status == FR_OK && id < list->count; id++)
        if (is_usable(&s, (int64_t)id))
            status = cut(&s, id, error);
    if (status != FR_OK) {
        fr_free(s.merges);
        return status;
    }
    if (s.count)
        qsort(s.merges, s.count, sizeof *s.merges, compare[order]);
    *merges = s.merges;
    *count = s.count;
    return FR_OK;
}
