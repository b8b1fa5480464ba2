/* duplicates.h: the documents that were kept, and whether a new one is among them, exactly or
   nearly. */
#ifndef FRUGAL_DATA_DUPLICATES_H
#define FRUGAL_DATA_DUPLICATES_H

#include "data/words.h"

enum { MINIMA = 48 };

typedef struct fingerprint {
    uint64_t low, high; /* XXH3 (128 bit) of the text */
    uint8_t minima[MINIMA];
    bool comparable; /* it has words, so minima say something */
} fingerprint;
void fingerprint_of(const scratch *shingles, const char *text, size_t size, fingerprint *f);
/* Estimated Jaccard similarity of the two documents' shingles. */
double fingerprint_similarity(const fingerprint *a, const fingerprint *b);

/* What is remembered of a kept document, besides its minima. */
typedef struct kept_document {
    uint64_t low, high, bytes;
} kept_document;

typedef enum verdict { VERDICT_NEW, VERDICT_EXACT, VERDICT_NEAR } verdict;
typedef struct duplicates duplicates;
fr_status duplicates_create(duplicates **d, bool exact, bool near, double similarity,
                            fr_error *error);
/* Compare with all documents kept before; a new one is kept. */
fr_status duplicates_add(duplicates *d, const fingerprint *f, size_t bytes, verdict *result,
                         fr_error *error);
size_t duplicates_kept(const duplicates *d, const kept_document **documents);
/* Give up what only comparing needs; the list of kept documents stays. */
void duplicates_finish(duplicates *d);
void duplicates_destroy(duplicates *d); /* NULL is allowed */

#endif
