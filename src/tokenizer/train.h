/* train.h: what learning a vocabulary goes through: documents -> sample -> counted pieces ->
   merges. */
#ifndef FRUGAL_TOKENIZER_TRAIN_H
#define FRUGAL_TOKENIZER_TRAIN_H

#include "tokenizer/pipeline.h"

/* Text to learn from: documents, long ones in several parts. */
typedef struct sample_part {
    char *text; /* owned */
    size_t size;
    uint64_t key; /* drawn for its number: the parts with the smallest keys stay */
} sample_part;
typedef struct sample {
    sample_part *parts; /* a heap while it is drawn: the largest key first */
    size_t count, capacity;
    size_t bytes;
} sample;
/* Draw at most `limit` bytes evenly from all documents; memory is bounded by it. */
fr_status sample_draw(sample *out, int64_t limit, fr_text_next *next, void *context,
                      fr_error *error);
void sample_free(sample *self);

/* A piece of text and how often the sample has it. */
typedef struct counted_piece {
    const char *text; /* in the sample; NULL: an empty place of the table */
    uint32_t size, hash;
    int64_t count;
} counted_piece;
typedef struct piece_counts {
    counted_piece *places; /* open addressing, at most half full */
    size_t capacity, count;
} piece_counts;
/* Count the pieces that a pattern cuts the sample into; parallel, exact. */
fr_status piece_counts_make(piece_counts *out, const sample *text, int pattern, fr_error *error);
void piece_counts_free(piece_counts *self);

/* Learned merges: pairs of ids, and the tokens they make. */
typedef struct learned {
    vocabulary tokens; /* the 256 bytes first, in byte_level_order */
    uint32_t *merges;  /* (merge_count, 2) */
    size_t merge_count;
} learned;
/* Merge the most frequent pair (ties: the smaller pair of ids) until there are `size` tokens or
   no pair is seen min_count times. */
fr_status learn_merges(learned *out, const piece_counts *pieces, size_t size, int64_t min_count,
                       fr_error *error);
void learned_free(learned *self);

#endif
