/* gguf.h: what writing a tokenizer into a GGUF file and reading it from there share: the ways of cutting text that llama.cpp knows. */
#ifndef FRUGAL_TOKENIZER_GGUF_H
#define FRUGAL_TOKENIZER_GGUF_H

#include "frugal/formats.h"
#include "tokenizer/pipeline.h"

#include <jansson.h>

/* Types of tokens, by the file's numbers. */
enum { GGUF_NORMAL = 1, GGUF_UNKNOWN, GGUF_CONTROL, GGUF_USER_DEFINED, GGUF_UNUSED, GGUF_BYTE };

/* How byte-level text is cut, by llama.cpp's name (tokenizer.ggml.pre). */
typedef struct gguf_cut {
    const char *name;
    const char *pattern; /* of a Split before ByteLevel; NULL: ByteLevel's own, which is GPT-2's */
    bool digits;         /* each digit is cut off first */
    bool whole_words;    /* a piece that is a token is not merged ("ignore_merges") */
    bool
        composed; /* the families that use it compose characters first (NFC), which llama.cpp leaves out */
    const char *const *also; /* other names of the same, NULL-terminated; NULL: none */
} gguf_cut;
extern const gguf_cut
    gguf_cuts[]; /* ended by an empty one; when written, the first that fits counts */

/* A tokenizer from an open file. */
fr_status tokenizer_from_gguf(fr_tokenizer **tokenizer, const fr_gguf *file, fr_error *error);

#endif
