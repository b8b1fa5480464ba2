/* decoder.h: tokens -> text (the "decoder" of a tokenizer.json): a chain of steps, each of which
   makes another list of texts out of a list of texts. What the last one leaves is joined. */
#ifndef FRUGAL_TOKENIZER_DECODER_H
#define FRUGAL_TOKENIZER_DECODER_H

#include "tokenizer/split.h"

typedef enum decoder_kind {
    DECODE_BYTE_LEVEL,    /* characters of byte_level.h as bytes; all texts become one */
    DECODE_METASPACE,     /* the mark as a space, dropped in the first text */
    DECODE_WORDPIECE,     /* a space before each text but those that go on */
    DECODE_BPE,           /* a space for the suffix that ends words */
    DECODE_BYTE_FALLBACK, /* <0x0A> as a byte */
    DECODE_FUSE,          /* one text of all */
    DECODE_STRIP,         /* up to `start` and `stop` times the mark off the ends of each text */
    DECODE_REPLACE,
    DECODE_CTC
} decoder_kind;

typedef struct decode_step {
    decoder_kind kind;
    bool drop_first;     /* METASPACE: the marks of the first text go */
    bool cleanup;        /* WORDPIECE, CTC: no space before punctuation and the like */
    char *text;          /* METASPACE, STRIP: the mark; WORDPIECE: prefix; BPE: suffix; REPLACE:
                               what is put there; CTC: padding. Owned */
    char *delimiter;     /* CTC: between words. Owned */
    int64_t start, stop; /* STRIP */
    split_regex *regex;  /* REPLACE: owned */
} decode_step;
void decoder_free(decode_step *self);

/* A list of texts. Starts as {0}. */
typedef struct text_list {
    fr_buffer text;
    fr_buffer ends; /* of size_t: where in `text` each one ends */
} text_list;
void text_list_clear(text_list *list);
void text_list_free(text_list *list);
size_t text_list_count(const text_list *list);
const char *text_list_get(const text_list *list, size_t i, size_t *size);
/* The text appended to list->text since the last one is one more. */
void text_list_close(text_list *list);

/* Do all steps; `list` holds the result. */
fr_status decode_texts(const decode_step *steps, size_t count, text_list *list, fr_error *error);

#endif
