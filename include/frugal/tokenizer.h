/* tokenizer.h: bytes <-> ids, as Hugging Face's tokenizer.json says. */
#ifndef FRUGAL_TOKENIZER_H
#define FRUGAL_TOKENIZER_H

#include "frugal/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fr_tokenizer fr_tokenizer; /* immutable after load or train: threads may share it */

/* A growing list of token ids; offsets (when asked for) are byte positions [begin, end) in the input. Starts as {0}. */
typedef struct fr_ids {
    int32_t *ids;
    size_t *begin, *end; /* NULL unless offsets were asked for */
    size_t count, capacity;
} fr_ids;
void fr_ids_clear(fr_ids *ids);
void fr_ids_free(fr_ids *ids);

/* path: a GGUF file, a tokenizer.json, or a model folder with one (tokenizer_config.json beside it says which token ends a text). Byte-level BPE files of
   the GPT-2, GPT-NeoX, Llama 3 and Qwen2 kind give the ids that Hugging Face's tokenizers gives; what is not supported is refused by
   name. "truncation" and "padding" in the file are the caller's affair and not looked at. Which characters are letters or digits is
   told by the Unicode tables of the installed PCRE2 and utf8proc: text with characters that are newer than those (Debian 12's PCRE2
   knows Unicode 14) may be cut differently elsewhere. */
fr_status fr_tokenizer_load(fr_tokenizer **tokenizer, const char *path, fr_error *error);
/* Is there a tokenizer to load? Models may come without one. */
bool fr_tokenizer_exists(const char *path);
void fr_tokenizer_free(fr_tokenizer *tokenizer);
/* Write tokenizer.json and tokenizer_config.json into a folder, so that transformers' AutoTokenizer gives the same ids, and the files
   that lay beside them (special_tokens_map.json, added_tokens.json, chat_template.jinja, chat_template.json): what was loaded, byte for
   byte, but for model_max_length where it is not `max_length`. max_length 0: leave that as it came. */
fr_status fr_tokenizer_save(const fr_tokenizer *tokenizer, const char *folder, int64_t max_length,
                            fr_error *error);
/* The text of tokenizer_config.json or of one of the files beside it, as it was loaded; NULL: there was none. */
const char *fr_tokenizer_file(const fr_tokenizer *tokenizer, const char *name);
/* The values of a GGUF file (formats.h) that describe the tokenizer, for a model with `vocabulary` entries whose texts begin with `bos`
   and end with `eos` (-1: none). What llama.cpp does not do is refused by name. */
struct fr_gguf_draft;
fr_status fr_tokenizer_gguf(const fr_tokenizer *tokenizer, int64_t vocabulary, int64_t bos,
                            int64_t eos, struct fr_gguf_draft *draft, fr_error *error);
/* One of the ids 0..255, nothing to learn; plus the end-of-text token as id 256. */
fr_status fr_tokenizer_create_bytes(fr_tokenizer **tokenizer, fr_error *error);

typedef struct fr_tokenizer_options {
    int64_t
        vocabulary; /* entries including the 256 bytes and the special tokens; 0: let the caller's rule choose */
    int pattern;        /* index into fr_tokenizer_patterns */
    int64_t sample;     /* bytes of text to learn from at most */
    int64_t min_count;  /* a pair seen less often is not merged */
    fr_strings special; /* special tokens: the last ids; the first of them is end-of-text */
} fr_tokenizer_options;
/* How text is cut before merging: "gpt2", "llama3", "none"; NULL-terminated. */
extern const char *const fr_tokenizer_patterns[];
void fr_tokenizer_options_defaults(void *options);

/* Gives the next document: FR_OK with *text NULL at the end. The text stays valid until the next call. */
typedef fr_status fr_text_next(void *context, const char **text, size_t *size, fr_error *error);
/* Byte-level BPE: deterministic (ties by smaller pair of ids), the same on any number of threads. */
fr_status fr_tokenizer_train(fr_tokenizer **tokenizer, const fr_tokenizer_options *options,
                             fr_text_next *next, void *context, fr_error *error);

/* A kind of tokenizer that can be made from text. `options` is what its table fills. */
typedef struct fr_tokenizer_kind {
    fr_kind base;
    fr_status (*train)(fr_tokenizer **tokenizer, const void *options, fr_text_next *next,
                       void *context, fr_error *error);
} fr_tokenizer_kind;
/* Entries: bpe (fr_tokenizer_options), byte (no options). */
extern const fr_registry fr_tokenizers;

enum {
    FR_ENCODE_OFFSETS = 1,
    FR_ENCODE_SPECIAL_AS_TEXT = 2,
    FR_ENCODE_ADD_SPECIAL = 4 /* run the post-processor */
};
/* Append the ids of `text`. Any bytes are allowed, also zeros; runs of bytes that are not UTF-8 are pieces of their own. Without a
   normaliser in the file, decoding gives the same bytes back. Added tokens in the text are recognised; FR_ENCODE_SPECIAL_AS_TEXT
   takes those that are special for text (so that a corpus cannot inject them). Offsets are of the whole token, never trimmed; where
   a normaliser has changed something they cover the stretch that was normalised together. Time is linear in the size (n log n for one piece).
   Errors: FR_BAD_INPUT for a byte without a token, which only vocabularies without 0xC0, 0xC1, 0xF5.. can give. */
fr_status fr_tokenizer_encode(const fr_tokenizer *tokenizer, const char *text, size_t size,
                              int flags, fr_ids *ids, fr_error *error);
/* What a text, or two, become as a model's input: special tokens of the post-processor around them. Starts as {0}. */
typedef struct fr_encoded {
    int32_t *ids, *types;
    size_t *begin,
        *end; /* bytes of the text (or of the pair, where types tell); both 0 for special tokens */
    size_t count, capacity;
} fr_encoded;
void fr_encoded_free(fr_encoded *encoded);
typedef struct fr_encode_options {
    int flags; /* FR_ENCODE_SPECIAL_AS_TEXT; special tokens are added and offsets made always */
    int64_t
        max_length; /* tokens, special ones included; 0: no limit. The end of the longer of the two texts is cut, token by token */
} fr_encode_options;
/* Replace what `encoded` holds by the ids of `text` and of `pair` (NULL: one text alone). */
fr_status fr_tokenizer_encode_pair(const fr_tokenizer *tokenizer, const char *text, size_t size,
                                   const char *pair, size_t pair_size,
                                   const fr_encode_options *options, fr_encoded *encoded,
                                   fr_error *error);
/* Append the bytes of ids; special tokens are left out when `skip_special`. An id outside the vocabulary is an error. */
fr_status fr_tokenizer_decode(const fr_tokenizer *tokenizer, const int32_t *ids, size_t count,
                              bool skip_special, fr_buffer *text, fr_error *error);
/* The bytes of one token (not terminated), NULL for an unknown id. */
const char *fr_tokenizer_bytes(const fr_tokenizer *tokenizer, int32_t id, size_t *size);
int64_t fr_tokenizer_size(const fr_tokenizer *tokenizer); /* vocabulary size: largest id + 1 */
int32_t fr_tokenizer_id(const fr_tokenizer *tokenizer,
                        const char *token); /* of an added or special token, -1: none */
int32_t fr_tokenizer_end_of_text(const fr_tokenizer *tokenizer); /* -1: none */
bool fr_tokenizer_is_special(const fr_tokenizer *tokenizer, int32_t id);

#ifdef __cplusplus
}
#endif
#endif
