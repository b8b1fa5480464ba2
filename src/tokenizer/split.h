/* split.h: how text is cut into the pieces that the model tokenizes one by one (the
   "pre-tokenizer" of a tokenizer.json).

   A pipeline holds a few splits; each cuts the pieces of the one before. A split finds matches;
   what stands between them are gaps; and either may be a piece, be left out, or be joined to its
   neighbour. A few splits do not cut but rewrite the piece (a space in front, bytes as characters,
   blanks as another mark). The two patterns that nearly every byte-level vocabulary uses have
   matchers written by hand (an ASCII table, utf8proc for the rest), several times faster than a
   regular expression; other patterns go through PCRE2. All matchers take well-formed UTF-8; those
   by hand take time linear in it. */
#ifndef FRUGAL_TOKENIZER_SPLIT_H
#define FRUGAL_TOKENIZER_SPLIT_H

#include "frugal/base.h"

typedef enum split_kind {
    SPLIT_GPT2,        /* the pattern of GPT-2 */
    SPLIT_LLAMA3,      /* the pattern of Llama 3 (numbers by 3 digits) and Qwen2 (by 1) */
    SPLIT_REGEX,       /* any other pattern */
    SPLIT_DIGITS,      /* numeric characters apart, one by one or in runs */
    SPLIT_SPACES,      /* runs of blanks */
    SPLIT_PUNCTUATION, /* each sign */
    SPLIT_CHARACTER,   /* each occurrence of one character */
    SPLIT_WORDS,       /* runs of word characters; runs of others that are not blank */
    SPLIT_LENGTH,      /* so many characters each */
    /* These rewrite: */
    SPLIT_PREFIX_SPACE, /* a space in front of text that begins with none */
    SPLIT_BYTE_LEVEL,   /* bytes as characters of byte_level.h */
    SPLIT_METASPACE     /* spaces as a mark, perhaps one in front */
} split_kind;

typedef enum split_join {
    SPLIT_APART,         /* keep_matches and keep_gaps say what is kept */
    SPLIT_WITH_PREVIOUS, /* a match belongs to the gap before it, */
    SPLIT_WITH_NEXT,     /* or behind it */
    SPLIT_RUNS           /* neighbouring matches are one piece */
} split_join;

typedef enum split_prepend { PREPEND_ALWAYS, PREPEND_NEVER, PREPEND_FIRST } split_prepend;

typedef struct split_regex split_regex;

typedef struct split {
    split_kind kind;
    bool keep_matches, keep_gaps; /* which parts are pieces: both for "Isolated" */
    split_join join;
    bool invert;           /* with join: matches are gaps, and gaps matches */
    int digits;            /* LLAMA3: of a piece at most; DIGITS: 1 or 0 (whole runs) */
    int64_t length;        /* LENGTH: in characters */
    char mark[5];          /* CHARACTER, METASPACE: as UTF-8 */
    split_prepend prepend; /* METASPACE */
    split_regex *regex;    /* REGEX: owned */
} split;

/* What a call of the PCRE2 matcher works in: one per thread, starts as {0}. */
typedef struct split_scratch {
    void *match_data, *context, *stack;
} split_scratch;
void split_scratch_free(split_scratch *scratch);

/* True for the kinds that rewrite. */
bool split_rewrites(const split *self);

/* Where the search goes on, and where the last match ended (there no empty match may follow). */
typedef struct split_cursor {
    size_t at, last_end;
} split_cursor;
#define SPLIT_CURSOR_START                                                                         \
    {                                                                                              \
        0, SIZE_MAX                                                                                \
    }

/* The next match at or after the cursor, which moves behind it. *found is false when there is
   none. Only patterns match nothing (*begin == *end), which is a cut between two gaps. */
fr_status split_next(const split *self, split_scratch *scratch, const char *text, size_t size,
                     split_cursor *cursor, size_t *begin, size_t *end, bool *found,
                     fr_error *error);
/* The end of the match that begins at `at` (< size); for GPT2 and LLAMA3, which match
   everywhere. */
size_t split_match_end(const split *self, const char *text, size_t size, size_t at);

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
void split_free(split *self);

/* Patterns alone (split_regex.c, split_pattern.c). */
fr_status split_regex_create(split_regex **regex, const char *pattern, size_t size, bool literal,
                             fr_error *error);
void split_regex_free(split_regex *regex);
fr_status split_regex_find(const split_regex *regex, split_scratch *scratch, const char *text,
                           size_t size, split_cursor *cursor, size_t *begin, size_t *end,
                           bool *found, fr_error *error);
/* Append `pattern`, written for Oniguruma, as PCRE2 must read it. */
fr_status split_pattern_translate(const char *pattern, size_t size, fr_buffer *out,
                                  fr_error *error);

#endif
