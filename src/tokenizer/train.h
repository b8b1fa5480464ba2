/* train.h: what learning a vocabulary goes through: documents -> sample -> counted pieces ->
   merges. */
#ifndef FRUGAL_TOKENIZER_TRAIN_H
#define FRUGAL_TOKENIZER_TRAIN_H

#include "tokenizer/lexicon.h"
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
    const char *text; /* NULL: an empty place of the table */
    uint32_t size, hash;
    int64_t count;
} counted_piece;
typedef struct piece_counts {
    counted_piece *places; /* open addressing, at most half full */
    size_t capacity, count;
    fr_arena *texts; /* of pieces that are not in the sample; NULL: all are */
    char *room;      /* left in its last block */
    size_t room_size;
} piece_counts;
/* Count the pieces that a pattern cuts the sample into; parallel, exact. */
fr_status piece_counts_make(piece_counts *out, const sample *text, int pattern, fr_error *error);
/* The same for the pieces that a tokenizer hands to its model. */
fr_status piece_counts_cut(piece_counts *out, const sample *text, const fr_tokenizer *cutter,
                           fr_error *error);
void piece_counts_free(piece_counts *self);

/* The pieces in the order of their bytes: what floating-point sums depend on. */
fr_status piece_counts_sort(const piece_counts *self, const counted_piece ***sorted,
                            fr_error *error);

/* ---- merges (bpe, wordpiece) ---- */

/* What is merged: bytes or characters; `inside` stands in front of symbols that do not begin a
   piece. */
typedef struct spelling {
    bool bytes;
    const char *inside; /* "##" or "" */
} spelling;
/* Learned merges: pairs of ids, and the tokens they make. */
typedef struct learned {
    lexicon tokens;   /* the alphabet first */
    uint32_t *merges; /* (merge_count, 2) */
    size_t merge_count;
} learned;
/* The 256 bytes, in byte_level_order. */
bool alphabet_of_bytes(lexicon *tokens);
/* The characters of the pieces, each as often as the spelling writes it, in order: the fewest of
   the commonest that cover the share `coverage` of the text, at most `most` tokens. */
fr_status alphabet_of_pieces(lexicon *tokens, const piece_counts *pieces, const char *inside,
                             double coverage, size_t most, fr_error *error);
/* Merge the most frequent pair (ties: the smaller pair of ids) until there are `size` tokens or
   no pair is seen min_count times. `out` holds the alphabet. */
fr_status learn_merges(learned *out, const piece_counts *pieces, const spelling *how, size_t size,
                       int64_t min_count, fr_error *error);
void learned_free(learned *self);

/* ---- what the kinds share (learn_kinds.c) ---- */

/* Complain about a vocabulary that cannot hold `fixed` tokens and the special ones, and about
   special tokens that are too short or named twice. */
fr_status learn_check(const fr_tokenizer_options *options, size_t fixed, fr_error *error);

extern const fr_tokenizer_kind bpe_kind, byte_kind, sentencepiece_bpe_kind, unigram_kind,
    wordpiece_kind;

/* Rows that every kind's table has. */
#define LEARN_OPTION_VOCABULARY                                                                    \
    {                                                                                              \
        "vocabulary", FR_OPTION_INT, offsetof(fr_tokenizer_options, vocabulary), "tokens", 0,      \
            1 << 24, NULL,                                                                         \
            "Entries including the special tokens and single bytes; 0 chooses by the amount of "   \
            "text."                                                                                \
    }
#define LEARN_OPTION_SAMPLE                                                                        \
    {                                                                                              \
        "sample", FR_OPTION_BYTES, offsetof(fr_tokenizer_options, sample), "bytes", 1, 1 << 30,    \
            NULL, "Bytes of text to learn from at most, drawn evenly from all documents."          \
    }
#define LEARN_OPTION_MIN_COUNT                                                                     \
    {                                                                                              \
        "min_count", FR_OPTION_INT, offsetof(fr_tokenizer_options, min_count), "times", 1, 1e15,   \
            NULL, "A pair that is seen less often is not merged."                                  \
    }
#define LEARN_OPTION_SPECIAL                                                                       \
    {                                                                                              \
        "special", FR_OPTION_STRINGS, offsetof(fr_tokenizer_options, special), NULL, 0, 0, NULL,   \
            "Special tokens, whose ids follow all others; the first ends a text."                  \
    }
#define LEARN_OPTION_COVERAGE                                                                      \
    {                                                                                              \
        "coverage", FR_OPTION_FLOAT, offsetof(fr_tokenizer_options, coverage), NULL, 0.5, 1, NULL, \
            "Share of the text whose characters get tokens of their own, the commonest first."     \
    }

#endif
