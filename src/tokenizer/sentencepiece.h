/* sentencepiece.h: what a SentencePiece model file holds. Kudo and Richardson, arXiv 1808.06226;
   the fields: sentencepiece_model.proto of its source. */
#ifndef FRUGAL_TOKENIZER_SENTENCEPIECE_H
#define FRUGAL_TOKENIZER_SENTENCEPIECE_H

#include "tokenizer/read.h"
#include "tokenizer/lexicon.h"

typedef enum piece_type {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN = 2,
    PIECE_CONTROL = 3,
    PIECE_USER_DEFINED = 4,
    PIECE_UNUSED = 5,
    PIECE_BYTE = 6
} piece_type;
enum { SENTENCEPIECE_UNIGRAM = 1, SENTENCEPIECE_BPE = 2 };

typedef struct sentencepiece {
    lexicon pieces;
    double *score;       /* of each */
    unsigned char *type; /* of each: piece_type */
    size_t capacity;
    int model_type;
    int64_t unk_id, bos_id, eos_id;          /* bos_id, eos_id: -1: none */
    char *unk_piece, *bos_piece, *eos_piece; /* fr_free */
    const unsigned char *charsmap;           /* in the file; NULL: none */
    size_t charsmap_size;
    bool byte_fallback, dummy_prefix, remove_extra_spaces, escape_spaces;
} sentencepiece;

/* Check and read a model; `out` points into the input. */
fr_status sentencepiece_read(sentencepiece *out, const read_input *input, fr_error *error);
void sentencepiece_free(sentencepiece *self);

#endif
