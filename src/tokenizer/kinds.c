/* kinds.c: the tokenizers that can be made. */
#include "tokenizer/train.h"

static const fr_kind *const entries[] = {&bpe_kind.base,     &sentencepiece_bpe_kind.base,
                                         &unigram_kind.base, &wordpiece_kind.base,
                                         &byte_kind.base,    NULL};
const fr_registry fr_tokenizers = {"tokenizer", "bytes <-> ids", entries};
