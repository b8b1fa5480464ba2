/* alphabet.c: the symbols that a vocabulary begins with. */
#include "tokenizer/byte_level.h"
#include "tokenizer/train.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { POINTS = 0x110000 };

bool alphabet_of_bytes(lexicon *tokens)
{
    unsigned char order[256];
    byte_level_order(order);
    for (int i = 0; i < 256; i++)
        if (!lexicon_add(tokens, (const char *)&order[i], 1))
            return false;
    return true;
}

typedef struct seen {
    int64_t count;
    uint32_t point;
} seen;

/* How often each character begins a piece, and how often it stands inside one. */
static void count_points(const piece_counts *pieces, int64_t *first, int64_t *inside)
{
    for (size_t i = 0; i < pieces->capacity; i++) {
        const counted_piece *piece = &pieces->places[i];
        const unsigned char *text = (const unsigned char *)piece->text;
        for (size_t at = 0, length; text && at < piece->size; at += length) {
            length = utf8_length(text + at, piece->size - at);
            if (length == 0) { /* not UTF-8: no character */
                length = 1;
                continue;
            }
            (at ? inside : first)[utf8_decode(text + at, &length)] += piece->count;
        }
    }
}

/* The commonest first; then the smaller one. */
static int compare_seen(const void *a, const void *b)
{
    const seen *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->point < y->point ? -1 : x->point > y->point;
}

static int compare_points(const void *a, const void *b)
{
    const seen *x = a, *y = b;
    return x->point < y->point ? -1 : x->point > y->point;
}

/* How many of the sorted characters are taken. */
static size_t choose(const seen *list, size_t count, const int64_t *inside, bool marked,
                     double coverage, size_t most)
{
    double total = 0, covered = 0;
    for (size_t i = 0; i < count; i++)
        total += (double)list[i].count;
    size_t tokens = 0, i = 0;
    while (i < count && covered < coverage * total) {
        tokens += marked && inside[list[i].point] ? 2 : 1;
        if (tokens > most)
            break;
        covered += (double)list[i++].count;
    }
    return i;
}

static bool add_points(lexicon *tokens, const seen *list, size_t count, const char *mark)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char text[4];
        fr_buffer whole = {0};
        fr_buffer_text(&whole, mark);
        fr_buffer_append(&whole, text, utf8_encode(list[i].point, text));
        bool fine = !whole.failed && lexicon_add(tokens, whole.data, whole.size);
        fr_buffer_free(&whole);
        if (!fine)
            return false;
    }
    return true;
}

fr_status alphabet_of_pieces(lexicon *tokens, const piece_counts *pieces, const char *inside,
                             double coverage, size_t most, fr_error *error)
{
    int64_t *first = fr_alloc_array(POINTS, sizeof *first, FR_MEMORY_DATA);
    int64_t *within = fr_alloc_array(POINTS, sizeof *within, FR_MEMORY_DATA);
    seen *list = fr_alloc_array(POINTS, sizeof *list, FR_MEMORY_DATA);
    bool fine = first && within && list;
    if (fine) {
        count_points(pieces, first, within);
        size_t count = 0, marked = 0;
        for (uint32_t point = 1; point < POINTS; point++) /* zeros cannot stand in a file */
            if (first[point] + within[point])
                list[count++] = (seen){first[point] + within[point], point};
        qsort(list, count, sizeof *list, compare_seen);
        count = choose(list, count, within, *inside, coverage, most);
        qsort(list, count, sizeof *list, compare_points);
        fine = add_points(tokens, list, count, "");
        for (size_t i = 0; i < count; i++)
            if (within[list[i].point])
                list[marked++] = list[i];
        fine = fine && (!*inside || add_points(tokens, list, marked, inside));
    }
    fr_free(first);
    fr_free(within);
    fr_free(list);
    return fine ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for an alphabet");
}
