/* split.h: how text is cut into the pieces that the model tokenizes one by one (the
   "pre-tokenizer" of a tokenizer.json).

   A pipeline holds a few splits; each cuts the pieces of the one before. The two patterns that
   nearly every byte-level vocabulary uses have matchers written by hand (an ASCII table,
   utf8proc for the rest), several times faster than a regular expression; other patterns go
   through PCRE2. All matchers take well-formed UTF-8; those by hand take time linear in it. */
#ifndef FRUGAL_TOKENIZER_SPLIT_H
#define FRUGAL_TOKENIZER_SPLIT_H

#include "frugal/base.h"

typedef enum split_kind {
    SPLIT_GPT2,        /* the pattern of GPT-2 */
    SPLIT_LLAMA3,      /* the pattern of Llama 3 (numbers by 3 digits) and Qwen2 (by 1) */
    SPLIT_REGEX,       /* any other pattern */
    SPLIT_DIGITS,      /* numeric characters apart, one by one or in runs */
    SPLIT_PREFIX_SPACE /* does not cut: puts a space in front of text that begins with none */
} split_kind;

typedef struct split_regex split_regex;

typedef struct split {
    split_kind kind;
    bool keep_matches, keep_gaps; /* which parts are pieces: both for "Isolated" */
    int digits;         /* SPLIT_LLAMA3: of a piece at most; SPLIT_DIGITS: 1 or 0 (whole runs) */
    split_regex *regex; /* SPLIT_REGEX: owned */
} split;

/* What a call of the PCRE2 matcher works in: one per thread, starts as {0}. */
typedef struct split_scratch {
    void *match_data, *context, *stack;
} split_scratch;
void split_scratch_free(split_scratch *scratch);

/* The first match that begins at or after `at` (< size): FR_OK with *begin == *end == size when
   there is none. */
fr_status split_next(const split *self, split_scratch *scratch, const char *text, size_t size,
                     size_t at, size_t *begin, size_t *end, fr_error *error);

/* The pattern texts; %d digits in SPLIT_LLAMA3. */
extern const char split_gpt2_pattern[], split_llama3_pattern[], split_qwen2_pattern[];

/* A split for a pattern: one of the known ones by hand, else PCRE2. `literal`: the text itself,
   not a pattern. What PCRE2 would understand otherwise than Oniguruma (which Hugging Face's
   tokenizers use) is refused by name. */
fr_status split_from_pattern(split *self, const char *pattern, size_t size, bool literal,
                             fr_error *error);
/* The same, always through PCRE2: the twin that the matchers by hand are checked against. */
fr_status split_from_regex(split *self, const char *pattern, size_t size, bool literal,
                           fr_error *error);
fr_status split_regex_next(const split_regex *regex, split_scratch *scratch, const char *text,
                           size_t size, size_t at, size_t *begin, size_t *end, fr_error *error);
void split_free(split *self);

/* White_Space and "word" characters as the added-token flags lstrip, rstrip and single_word mean
   them. */
bool split_is_space(uint32_t point);
bool split_is_word(uint32_t point);

#endif
