/* lexicon.h: tokens in the order of their ids, found by their bytes; and the merges that a list
   without merges implies. */
#ifndef FRUGAL_TOKENIZER_LEXICON_H
#define FRUGAL_TOKENIZER_LEXICON_H

#include "frugal/base.h"

/* Token i is bytes.data[start[i]] .. bytes.data[start[i + 1]]. Starts as {0}. */
typedef struct lexicon {
    fr_buffer bytes;
    size_t *start; /* (count + 1) */
    size_t count, capacity;
    uint32_t *places; /* id + 1 by hash, 0: empty; at most half full */
    size_t mask;
} lexicon;

/* Append a token, which must not be there yet; false: no memory. */
bool lexicon_add(lexicon *list, const char *bytes, size_t size);
/* The id of a token, -1 when it is not there. */
int64_t lexicon_find(const lexicon *list, const char *bytes, size_t size);
const char *lexicon_get(const lexicon *list, size_t id, size_t *size);
void lexicon_free(lexicon *list);

typedef struct token_merge {
    double score;
    uint32_t id, left, right; /* left and right joined are the token `id` */
    uint32_t left_size;
} token_merge;

typedef enum token_merge_order {
    MERGES_BY_ID,    /* smaller id first, then the shorter left part */
    MERGES_BY_SCORE, /* larger score first, then as above */
    MERGES_BY_PARTS  /* smaller id first, then smaller ids of the parts */
} token_merge_order;

/* All ways to make a token of two others, in the order in which they would have been learned.
   `score` (only MERGES_BY_SCORE) and `usable` (NULL: all are) have an entry for each token.
   Parts end between characters when `characters`. At most MOST_MERGES, with MOST_MERGE_BYTES of
   text in all: more is refused. *merges is freed with fr_free. */
enum { MOST_MERGES = 1 << 24, MOST_MERGE_BYTES = 1 << 28 };
fr_status lexicon_merges(const lexicon *list, token_merge_order order, const double *score,
                         const bool *usable, bool characters, token_merge **merges, size_t *count,
                         fr_error *error);

#endif
