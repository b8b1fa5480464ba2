/* learn_kinds.h: how a kind of tokenizer on characters learns. */
#ifndef FRUGAL_TOKENIZER_LEARN_KINDS_H
#define FRUGAL_TOKENIZER_LEARN_KINDS_H

#include "tokenizer/blueprint.h"
#include "tokenizer/train.h"

typedef struct learn_method {
    /* Set normalizer, pre_tokenizer and decoder. */
    void (*stages)(blueprint *out, const fr_tokenizer_options *options);
    /* Fill tokens and model. */
    fr_status (*learn)(blueprint *out, const fr_tokenizer_options *options,
                       const piece_counts *pieces, fr_error *error);
    /* Add the special tokens and make the tokenizer. */
    fr_status (*finish)(fr_tokenizer **tokenizer, blueprint *out,
                        const fr_tokenizer_options *options, fr_error *error);
} learn_method;

fr_status learn_with(fr_tokenizer **tokenizer, const learn_method *method,
                     const fr_tokenizer_options *options, fr_text_next *next, void *context,
                     fr_error *error);

/* The plain finish: special tokens behind all others, the first ends a text. */
fr_status learn_finish(fr_tokenizer **tokenizer, blueprint *out,
                       const fr_tokenizer_options *options, fr_error *error);
void learn_add_special(blueprint *out, const fr_strings *special);
/* "<0x00>" to "<0xFF>". */
bool learn_add_bytes(lexicon *tokens);
/* The stages of SentencePiece's kind (learn_sentencepiece.c). */
void learn_blank_stages(blueprint *out, const fr_tokenizer_options *options);

#endif
