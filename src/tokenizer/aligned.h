/* aligned.h: text that stages rewrite, with the way back to the bytes of the input.

   Every byte of a passage knows the stretch of the input that it came from. While nothing has
   been rewritten that needs no table: a byte came from the character that it is part of. A stage
   that rewrites reads one passage and writes the next, character by character, and says of each
   what it stands for: `change` 0 takes the place of the next character, a negative one also of
   so many characters behind it, a positive one is an addition and came from where the byte
   before came from. These are the rules of Hugging Face's NormalizedString, so that offsets agree
   with its. Tables are written only when somebody asks for offsets. */
#ifndef FRUGAL_TOKENIZER_ALIGNED_H
#define FRUGAL_TOKENIZER_ALIGNED_H

#include "frugal/base.h"

typedef struct span {
    uint32_t begin, end;
} span;

/* A piece of text on its way. */
typedef struct passage {
    const char *text;
    size_t size;
    const span *origin; /* of each byte; NULL: nothing was rewritten, or nobody asks */
    uint32_t base;      /* where the passage began in the input before it was rewritten */
    bool tracked;       /* somebody asks where bytes came from */
    bool bytewise;      /* not UTF-8: every byte is a character of its own */
} passage;

/* Bytes `begin` to `end` as a passage of their own. */
passage passage_part(const passage *whole, size_t begin, size_t end);
/* Where byte `at` came from. */
span passage_origin(const passage *p, size_t at);

/* A growing text with its table. Starts as {0}. */
typedef struct aligned {
    char *text;
    span *origin;
    size_t size, capacity, origin_capacity;
    bool failed; /* no memory: sticky until the next rewriting */
} aligned;
void aligned_free(aligned *self);

/* One rewriting: `from` is read, `to` is written. */
typedef struct rewriting {
    const passage *from;
    aligned *to;
    size_t at; /* in from */
} rewriting;
rewriting rewriting_start(const passage *from, aligned *to);
/* A character, as told above. */
void rewriting_put(rewriting *r, uint32_t point, int64_t change);
/* Bytes that all came from `where`; nothing is read. */
void rewriting_insert(rewriting *r, const char *text, size_t size, span where);
/* The next bytes as they are. */
void rewriting_keep(rewriting *r, size_t size);
/* Leave the next bytes out. */
void rewriting_skip(rewriting *r, size_t size);
/* What an addition here would be said to come from. */
span rewriting_before(const rewriting *r);
fr_status rewriting_finish(const rewriting *r, passage *result, fr_error *error);

#endif
