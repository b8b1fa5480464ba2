/* piece_counts.c: how often each piece occurs in the sample.

   Text repeats its words: 100 MB of English hold a few hundred thousand different pieces, and
   merging works on those. Every thread counts into a table of its own, and the tables are added
   up. What comes later depends on the set of pieces and their counts only, not on their order in
   the table, so the number of threads cannot be seen in the result. */
#include "tokenizer/train.h"
#include "tokenizer/utf8.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_piece(const char *text, size_t size)
{
    uint64_t hash = size * 0x9E3779B97F4A7C15u;
    for (; size >= 8; text += 8, size -= 8) {
        uint64_t eight;
        memcpy(&eight, text, 8);
        hash = (hash ^ eight) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, text, size);
    hash = (hash ^ rest) * 0xC4CEB9FE1A85EC53u;
    return hash ^ hash >> 29;
}

static counted_piece *find(const piece_counts *counts, const char *text, size_t size, uint32_t hash)
{
    size_t mask = counts->capacity - 1, at = hash & mask;
    for (;; at = (at + 1) & mask) {
        counted_piece *place = &counts->places[at];
        if (!place->text ||
            (place->hash == hash && place->size == size && !memcmp(place->text, text, size)))
            return place;
    }
}

static bool grow(piece_counts *counts)
{
    piece_counts bigger = {.capacity = counts->capacity ? counts->capacity * 2 : 1 << 12,
                           .count = counts->count};
    bigger.places = fr_alloc_array(bigger.capacity, sizeof *bigger.places, FR_MEMORY_DATA);
    if (!bigger.places)
        return false;
    for (size_t i = 0; i < counts->capacity; i++) {
        const counted_piece *piece = &counts->places[i];
        if (piece->text)
            *find(&bigger, piece->text, piece->size, piece->hash) = *piece;
    }
    fr_free(counts->places);
    *counts = bigger;
    return true;
}

static bool add(piece_counts *counts, const char *text, size_t size, uint32_t hash, int64_t times)
{
    if (counts->count * 2 >= counts->capacity && !grow(counts))
        return false;
    counted_piece *place = find(counts, text, size, hash);
    if (!place->text) {
        *place = (counted_piece){text, (uint32_t)size, hash, 0};
        counts->count++;
    }
    place->count += times;
    return true;
}

static bool add_piece(piece_counts *counts, const char *text, size_t size)
{
    /* Parts of a sample are far below 4 GB. The table is indexed by the low bits of the hash's
       upper half. */
    return add(counts, text, size, (uint32_t)(hash_piece(text, size) >> 32), 1);
}

/* The pieces of a part, cut as encoding cuts it. The patterns by hand cannot fail and need no
   scratch. */
static bool count_part(piece_counts *counts, const sample_part *part, int pattern)
{
    split cut;
    bool cuts = tokenizer_pattern_split(pattern, &cut);
    const unsigned char *bytes = (const unsigned char *)part->text;
    for (size_t at = 0, run; at < part->size; at += run) {
        run = utf8_valid_run(bytes + at, part->size - at);
        if (run == 0 || !cuts) {
            if (run == 0)
                run = utf8_invalid_run(bytes + at, part->size - at);
            if (!add_piece(counts, part->text + at, run))
                return false;
            continue;
        }
        for (size_t begin = 0, end; begin < run; begin = end) {
            end = split_match_end(&cut, part->text + at, run, begin);
            if (!add_piece(counts, part->text + at + begin, end - begin))
                return false;
        }
    }
    return true;
}

fr_status piece_counts_make(piece_counts *out, const sample *text, int pattern, fr_error *error)
{
    *out = (piece_counts){0};
    int threads = fr_threads();
    piece_counts *counts = fr_alloc_array((size_t)threads, sizeof *counts, FR_MEMORY_DATA);
    bool fine = counts;
    if (fine) {
#pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(&& : fine)
        for (size_t i = 0; i < text->count; i++)
            fine = fine && !fr_interrupted() &&
                   count_part(&counts[omp_get_thread_num()], &text->parts[i], pattern);
        for (int i = 0; i < threads; i++) {
            for (size_t k = 0; k < counts[i].capacity; k++) {
                const counted_piece *piece = &counts[i].places[k];
                if (fine && piece->text)
                    fine = add(out, piece->text, piece->size, piece->hash, piece->count);
            }
            piece_counts_free(&counts[i]);
        }
    }
    fr_free(counts);
    if (fine)
        return FR_OK;
    return fr_interrupted()
               ? fr_fail(error, FR_INTERRUPTED, "interrupted while counting text for the tokenizer")
               : fr_fail(error, FR_NO_MEMORY, "no memory to count the pieces of %zu bytes",
                         text->bytes);
}

/* ---- pieces of a pipeline -------------------------------------------------------------------- */

enum { TEXT_BLOCK = 1 << 16 };

/* Text that lives as long as the table. */
static char *keep_text(piece_counts *counts, const char *text, size_t size)
{
    if (!counts->texts && !(counts->texts = fr_arena_create(FR_MEMORY_DATA)))
        return NULL;
    char *copy = counts->room;
    if (size > counts->room_size) {
        size_t block = size > TEXT_BLOCK ? size : TEXT_BLOCK;
        copy = fr_arena_alloc(counts->texts, block);
        if (!copy)
            return NULL;
        counts->room = copy;
        counts->room_size = block;
    }
    memcpy(copy, text, size);
    counts->room += size;
    counts->room_size -= size;
    return copy;
}

/* The same as `add` for text that does not stay where it is. */
static bool add_copy(piece_counts *counts, const char *text, size_t size, uint32_t hash,
                     int64_t times)
{
    if (counts->count * 2 >= counts->capacity && !grow(counts))
        return false;
    counted_piece *place = find(counts, text, size, hash);
    if (!place->text) {
        char *copy = keep_text(counts, text, size);
        if (!copy)
            return false;
        *place = (counted_piece){copy, (uint32_t)size, hash, 0};
        counts->count++;
    }
    place->count += times;
    return true;
}

static fr_status take_piece(void *context, const char *text, size_t size, fr_error *error)
{
    uint32_t hash = (uint32_t)(hash_piece(text, size) >> 32);
    return add_copy(context, text, size, hash, 1)
               ? FR_OK
               : fr_fail(error, FR_NO_MEMORY, "no memory to count pieces of text");
}

static bool add_all(piece_counts *out, const piece_counts *from)
{
    for (size_t i = 0; i < from->capacity; i++) {
        const counted_piece *piece = &from->places[i];
        if (piece->text && !add_copy(out, piece->text, piece->size, piece->hash, piece->count))
            return false;
    }
    return true;
}

fr_status piece_counts_cut(piece_counts *out, const sample *text, const fr_tokenizer *cutter,
                           fr_error *error)
{
    *out = (piece_counts){0};
    int threads = fr_threads();
    piece_counts *counts = fr_alloc_array((size_t)threads, sizeof *counts, FR_MEMORY_DATA);
    bool fine = counts;
    if (fine) {
#pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(&& : fine)
        for (size_t i = 0; i < text->count; i++)
            fine = fine && !fr_interrupted() &&
                   encode_pieces(cutter, text->parts[i].text, text->parts[i].size, take_piece,
                                 &counts[omp_get_thread_num()], NULL) == FR_OK;
        for (int i = 0; i < threads; i++) {
            fine = fine && add_all(out, &counts[i]);
            piece_counts_free(&counts[i]);
        }
    }
    fr_free(counts);
    if (fine)
        return FR_OK;
    return fr_interrupted()
               ? fr_fail(error, FR_INTERRUPTED, "interrupted while counting text for the tokenizer")
               : fr_fail(error, FR_NO_MEMORY, "no memory to count the pieces of %zu bytes",
                         text->bytes);
}

/* ---- order ----------------------------------------------------------------------------------- */

static int compare_pieces(const void *a, const void *b)
{
    const counted_piece *x = *(const counted_piece *const *)a,
                        *y = *(const counted_piece *const *)b;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    return order ? order : x->size < y->size ? -1 : x->size > y->size;
}

fr_status piece_counts_sort(const piece_counts *self, const counted_piece ***sorted,
                            fr_error *error)
{
    size_t count = 0;
    *sorted = fr_alloc_array(self->count + 1, sizeof **sorted, FR_MEMORY_DATA);
    if (!*sorted)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu pieces of text", self->count);
    for (size_t i = 0; i < self->capacity; i++)
        if (self->places[i].text)
            (*sorted)[count++] = &self->places[i];
    if (count)
        qsort(*sorted, count, sizeof(counted_piece *), compare_pieces);
    return FR_OK;
}

void piece_counts_free(piece_counts *self)
{
    fr_arena_destroy(self->texts);
    fr_free(self->places);
    *self = (piece_counts){0};
}
