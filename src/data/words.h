/* words.h: words and runs of five words, as filters and near-duplicate search see them. */
#ifndef FRUGAL_DATA_WORDS_H
#define FRUGAL_DATA_WORDS_H

#include "frugal/base.h"

enum { SHINGLE = 5 };

/* One thread's working memory. Starts as {0}; scratch_free ends it. */
typedef struct scratch {
    uint64_t *shingles;
    size_t count, room;
    uint64_t *set; /* for counting distinct numbers: set_size slots in use of set_room */
    size_t set_size, set_room;
} scratch;
void scratch_free(scratch *s);

typedef struct word_counts {
    size_t characters; /* without white space */
    size_t letters;    /* of those: letters and digits of any script */
    size_t longest;    /* bytes of the longest run of ASCII without white space */
} word_counts;

/* Count characters, and put the hashes of the document's 5-word shingles into s->shingles: one for
   each word from the fifth on, or one for all words when there are fewer. Of a very long document
   only the first two million. false: no memory. */
bool words_scan(scratch *s, const char *text, size_t size, word_counts *counts);

/* Begin counting at most `count` numbers, then tell for each whether it is new. */
bool distinct_begin(scratch *s, size_t count);
bool distinct_add(scratch *s, uint64_t number);

#endif
