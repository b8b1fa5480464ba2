/* normalize.h: what is done to text before it is cut (the "normalizer" of a tokenizer.json).

   A normaliser is a list of steps, each of which rewrites a passage (aligned.h). Sequence and
   BertNormalizer of the file become several steps. Normal forms are of the Unicode version that
   the installed utf8proc knows. */
#ifndef FRUGAL_TOKENIZER_NORMALIZE_H
#define FRUGAL_TOKENIZER_NORMALIZE_H

#include "tokenizer/aligned.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/split.h"

typedef enum normalizer_kind {
    NORMALIZE_NFC,
    NORMALIZE_NFD,
    NORMALIZE_NFKC,
    NORMALIZE_NFKD,
    NORMALIZE_LOWERCASE,
    NORMALIZE_STRIP,         /* blanks at the ends */
    NORMALIZE_STRIP_MARKS,   /* all of category M ("StripAccents") */
    NORMALIZE_STRIP_ACCENTS, /* Mn (of BertNormalizer, behind NFD) */
    NORMALIZE_CLEAN,         /* BertNormalizer: controls go, blanks become spaces */
    NORMALIZE_IDEOGRAPHS,    /* BertNormalizer: blanks around them */
    NORMALIZE_PREPEND,       /* text in front, unless nothing is there */
    NORMALIZE_REPLACE,       /* text for what a pattern matches */
    NORMALIZE_NMT,
    NORMALIZE_BYTE_LEVEL, /* bytes as characters of byte_level.h */
    NORMALIZE_CHARSMAP    /* "Precompiled" */
} normalizer_kind;

typedef struct normalizer {
    normalizer_kind kind;
    bool left, right; /* STRIP */
    char *text;       /* PREPEND, REPLACE: owned */
    size_t text_size;
    split_regex *regex; /* REPLACE: owned */
    charsmap map;       /* CHARSMAP */
} normalizer;
void normalizer_free(normalizer *self);

/* What a call works in: one per thread, starts as {0}. */
typedef struct normalize_scratch {
    aligned texts[2];
    fr_buffer points;
    split_scratch split;
} normalize_scratch;
void normalize_scratch_free(normalize_scratch *scratch);

/* Do all steps. *text (well-formed UTF-8) becomes what they leave: unchanged, or in the scratch
   until the next call. */
fr_status normalize(const normalizer *steps, size_t count, normalize_scratch *scratch,
                    passage *text, fr_error *error);

/* Steps that the splits have, too. */
void normalize_byte_level(rewriting *r);
void normalize_prepend(rewriting *r, const char *text, size_t size);

/* Unicode's normal forms (normalize_forms.c). The buffer is one to work in. */
void normalize_form(normalizer_kind form, fr_buffer *work, rewriting *r);
/* True when every byte says at a glance that the form leaves the text as it is. */
bool normalize_form_is_plain(normalizer_kind form, const char *text, size_t size);

#endif
