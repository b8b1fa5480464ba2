/* words.c: words without knowing the language.

   A word is a run of letters and digits; ASCII letters are folded to lower case. Scripts that do
   not put spaces between words (Chinese, Japanese, Korean syllables, Thai, Lao, Khmer, Burmese) and
   everything in the higher planes (emoji) give one word per character. Everything else separates.
   Bytes that are not valid UTF-8 count as letters: text in an old encoding is text.

   The hash of a run of five words is a polynomial over the words' hashes, kept up as the run slides
   (Rabin, Karp 1987), then mixed. */
#include "data/words.h"

#include <string.h>

enum { SHINGLES_MOST = 2000000 };

void scratch_free(scratch *s)
{
    fr_free(s->shingles);
    fr_free(s->set);
    *s = (scratch){0};
}

/* ---- characters ---- */

typedef enum char_class { CLASS_SPACE, CLASS_SEPARATOR, CLASS_LETTER, CLASS_ALONE } char_class;

static char_class ascii_class(unsigned char c)
{
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return CLASS_SPACE;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter ? CLASS_LETTER : CLASS_SEPARATOR;
}

static char_class code_class(unsigned code)
{
    if (code < 0xC0) /* Latin-1 punctuation */
        return code == 0xA0 ? CLASS_SPACE : CLASS_SEPARATOR;
    if ((code >= 0x2000 && code <= 0x206F) || (code >= 0x2190 && code <= 0x2BFF) ||
        (code >= 0x3000 && code <= 0x303F))
        return code == 0x3000 ? CLASS_SPACE : CLASS_SEPARATOR; /* punctuation, arrows, drawing */
    bool unspaced = (code >= 0xE00 && code <= 0xEFF) || (code >= 0x1000 && code <= 0x109F) ||
                    (code >= 0x1780 && code <= 0x17FF) || code >= 0x2E80;
    return unspaced ? CLASS_ALONE : CLASS_LETTER;
}

/* The class of the character at the front of `size` > 0 bytes, which begins with a byte over 127;
   *length its bytes. */
static char_class wide_class(const unsigned char *text, size_t size, size_t *length)
{
    unsigned char lead = text[0];
    size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    *length = 1;
    if (lead < 0xC2 || lead > 0xF4 || n > size)
        return CLASS_LETTER;
    unsigned code = lead & (0x7FU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return CLASS_LETTER;
        code = code << 6 | (text[i] & 0x3F);
    }
    *length = n;
    return code_class(code);
}

/* ---- shingles ---- */

static const uint64_t base = 0x9E3779B97F4A7C15U; /* odd: the polynomial's variable, modulo 2^64 */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93U;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93U;
    return x ^ x >> 32;
}

typedef struct slide {
    uint64_t last[SHINGLE]; /* word hashes, a ring */
    uint64_t sum, base5;
    size_t words;
} slide;

static void add_word(scratch *s, slide *w, uint64_t hash)
{
    uint64_t *oldest = &w->last[w->words % SHINGLE];
    w->sum = w->sum * base + hash - *oldest * w->base5;
    *oldest = hash;
    if (++w->words >= SHINGLE && s->count < s->room)
        s->shingles[s->count++] = mix(w->sum);
}

static bool reserve_shingles(scratch *s, size_t size)
{
    size_t most = size / 2 + 1; /* the shortest word and what parts it from the next */
    most = most < SHINGLES_MOST ? most : SHINGLES_MOST;
    s->count = 0;
    if (most <= s->room)
        return true;
    fr_free(s->shingles);
    s->shingles = fr_alloc_array(most, sizeof *s->shingles, FR_MEMORY_DATA);
    s->room = s->shingles ? most : 0;
    return s->shingles != NULL;
}

bool words_scan(scratch *s, const char *text, size_t size, word_counts *counts)
{
    const unsigned char *t = (const unsigned char *)text;
    const uint64_t empty = 0xCBF29CE484222325U, prime = 0x100000001B3U; /* FNV-1a */
    slide w = {.base5 = base * base * base * base * base};
    uint64_t hash = empty;
    size_t run = 0;
    *counts = (word_counts){0};
    if (!reserve_shingles(s, size))
        return false;
    for (size_t at = 0, length; at < size; at += length) {
        length = 1;
        char_class class =
            t[at] < 128 ? ascii_class(t[at]) : wide_class(t + at, size - at, &length);
        run = t[at] < 128 && class != CLASS_SPACE ? run + 1 : 0;
        counts->longest = run > counts->longest ? run : counts->longest;
        counts->characters += class != CLASS_SPACE;
        counts->letters += class >= CLASS_LETTER;
        if (class != CLASS_LETTER && hash != empty) {
            add_word(s, &w, hash);
            hash = empty;
        }
        if (class < CLASS_LETTER)
            continue;
        for (size_t i = 0; i < length; i++) {
            unsigned char c = t[at + i];
            hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32U : c)) * prime;
        }
        if (class == CLASS_ALONE) {
            add_word(s, &w, hash);
            hash = empty;
        }
    }
    if (hash != empty)
        add_word(s, &w, hash);
    if (w.words && w.words < SHINGLE)
        s->shingles[s->count++] = mix(w.sum);
    return true;
}

/* ---- distinct numbers ---- */

bool distinct_begin(scratch *s, size_t count)
{
    size_t room = 64;
    while (room < 2 * count)
        room *= 2;
    s->set_size = room;
    if (room > s->set_room) {
        fr_free(s->set);
        s->set = fr_alloc_array(room, sizeof *s->set, FR_MEMORY_DATA);
        s->set_room = s->set ? room : 0;
        return s->set != NULL;
    }
    memset(s->set, 0, room * sizeof *s->set);
    return true;
}

bool distinct_add(scratch *s, uint64_t number)
{
    size_t mask = s->set_size - 1;
    number += number == 0; /* 0 is a free slot */
    for (size_t slot = number & mask;; slot = (slot + 1) & mask) {
        if (s->set[slot] == number)
            return false;
        if (s->set[slot] == 0) {
            s->set[slot] = number;
            return true;
        }
    }
}
