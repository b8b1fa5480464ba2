/* model.h: what turns a piece of text into ids (the "model" of a tokenizer.json).

   bytes: byte-pair encoding whose tokens are byte strings (bpe.h), the fast way for byte-level
   vocabularies; bpe: the same on characters, as SentencePiece and CLIP use it; unigram, wordpiece,
   wordlevel. Every model does what Hugging Face's tokenizers does with it, ties and all. */
#ifndef FRUGAL_TOKENIZER_MODEL_H
#define FRUGAL_TOKENIZER_MODEL_H

#include "tokenizer/aligned.h"
#include "tokenizer/bpe.h"

typedef enum model_kind {
    MODEL_BYTES,
    MODEL_BPE,
    MODEL_UNIGRAM,
    MODEL_WORDPIECE,
    MODEL_WORDLEVEL
} model_kind;

typedef struct text_model {
    model_kind kind;
    vocabulary tokens;    /* as the model sees them: bytes (MODEL_BYTES) or text */
    bool *is_member;      /* by id: may come out of the model */
    token_table table;    /* of the members */
    token_trie trie;      /* UNIGRAM, WORDPIECE */
    char *unknown_name;   /* NULL: none */
    int32_t unknown;      /* its id, -1: not in the vocabulary */
    int32_t byte_id[256]; /* of <0x00>, ..., -1: none */
    bool byte_fallback, fuse_unknown;
    bpe merges;            /* BYTES, BPE */
    char *prefix, *suffix; /* BPE: of symbols that do not begin, or that end, a piece; NULL: none.
                              WORDPIECE: the prefix */
    uint64_t *crossings;   /* BPE: pairs of symbols that merges reach across (a table, see
                              bpe_text.c); NULL: not known */
    size_t crossing_mask;
    int64_t most_characters; /* WORDPIECE: of a piece; longer ones are unknown */
    double *scores;          /* UNIGRAM */
    double unknown_score;
} text_model;
void model_free(text_model *self);

/* The best way to a place in a piece (unigram). */
typedef struct best_path {
    double score;
    int32_t id;
    uint32_t start; /* UINT32_MAX: not reached */
} best_path;

/* What encoding works in: one per thread, starts as {0}. */
typedef struct model_scratch {
    bpe_scratch merges;
    best_path *paths;
    size_t path_capacity;
    fr_buffer text;
    fr_buffer spans; /* of span: where in the piece each new token is; only on request */
} model_scratch;
void model_scratch_free(model_scratch *scratch);

/* Append the ids of one piece (not empty). `slack`: bytes that may be read from piece on (at
   least size). With `places`, scratch->spans holds a span for each new id. */
fr_status model_encode(const text_model *self, model_scratch *scratch, const char *piece,
                       size_t size, size_t slack, bool places, fr_ids *ids, fr_error *error);

/* ---- for the files of the models ------------------------------------------------------------- */

typedef struct token_list {
    fr_ids *ids;
    fr_buffer *spans; /* NULL: nobody asks */
} token_list;
fr_status token_list_add(token_list *list, int32_t id, size_t begin, size_t end, fr_error *error);
/* Without a token for a piece of text and without one for the unknown. */
fr_status model_fail_unknown(const text_model *self, const char *text, size_t size,
                             fr_error *error);

fr_status bpe_text_prepare(text_model *self, const bpe_merge *merges, size_t count,
                           fr_error *error);
fr_status bpe_text_encode(const text_model *self, model_scratch *scratch, const char *piece,
                          size_t size, token_list *out, fr_error *error);
fr_status unigram_encode(const text_model *self, model_scratch *scratch, const char *piece,
                         size_t size, token_list *out, fr_error *error);
fr_status wordpiece_encode(const text_model *self, const char *piece, size_t size, token_list *out,
                           fr_error *error);

#endif
