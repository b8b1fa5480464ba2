/* unigram_train.h: learning a unigram vocabulary: a large set of candidates, whose probabilities
   and number are brought down in turns.

   Kudo, arXiv 1804.10959, section 3.2, in the form that SentencePiece gave it. */
#ifndef FRUGAL_TOKENIZER_UNIGRAM_TRAIN_H
#define FRUGAL_TOKENIZER_UNIGRAM_TRAIN_H

#include "tokenizer/train.h"

/* A stretch of text without a character outside the alphabet, and how often it occurs. */
typedef struct segment {
    const char *text;
    uint32_t size;
    int64_t count;
} segment;

/* Tokens that are being learned; the first `alphabet` of them are characters, which stay. */
typedef struct unigram_tokens {
    lexicon list;
    double *score; /* of each: logarithm of its probability */
    size_t alphabet;
} unigram_tokens;
void unigram_tokens_free(unigram_tokens *self);

/* Append what repeats in the segments, up to `most` strings of 2 to `longest` characters: those
   with the largest (times seen x characters). Sets scores from the counts. */
fr_status unigram_candidates(unigram_tokens *tokens, const segment *segments, size_t count,
                             int64_t longest, size_t most, int64_t min_count, fr_error *error);
/* One pass of expectation maximisation; tokens that are expected less than half a time go. */
fr_status unigram_fit(unigram_tokens *tokens, const segment *segments, size_t count,
                      fr_error *error);
/* Keep `size` tokens: those whose loss would cost the likelihood most. */
fr_status unigram_prune(unigram_tokens *tokens, const segment *segments, size_t count, size_t size,
                        fr_error *error);

#endif
