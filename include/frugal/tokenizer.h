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

/* path: a GGUF file, a tokenizer.json, or a model folder with one (tokenizer_config.json beside it says which token ends a text). Ids and
   offsets are those that Hugging Face's tokenizers gives (docs/tokenizers.md has the table of parts); what is not supported is refused by
   name. Which characters are letters or digits is
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

/* What the kinds of tokenizers that learn from text are told; each kind's table says which of it. */
typedef struct fr_tokenizer_options {
    const struct fr_tokenizer_kind *kind; /* set by the kind's defaults; NULL: bpe */
    int64_t vocabulary; /* entries including the special tokens; 0: let the caller's rule choose */
    int64_t sample;     /* bytes of text to learn from at most */
    fr_strings special; /* special tokens: the last ids; the first of them is end-of-text */
    int pattern;        /* bpe: index into fr_tokenizer_patterns */
    int64_t min_count;  /* a pair seen less often is not merged */
    double coverage;    /* share of the text whose characters get tokens of their own */
    bool byte_fallback; /* unigram: bytes for all other characters, else they are unknown */
    bool lower_case;    /* wordpiece: also without accents */
    int64_t longest;    /* unigram: characters of a token at most */
    int64_t candidates; /* unigram: tokens to begin with */
    double shrink;      /* unigram: share of the tokens that a round keeps */
    int64_t passes;     /* unigram: over the text in a round */
} fr_tokenizer_options;
/* How text is cut before merging: "gpt2", "llama3", "none"; NULL-terminated. */
extern const char *const fr_tokenizer_patterns[];
void fr_tokenizer_options_defaults(void *options); /* of bpe */

/* Gives the next document: FR_OK with *text NULL at the end. The text stays valid until the next call. */
typedef fr_status fr_text_next(void *context, const char **text, size_t *size, fr_error *error);
/* Learn a tokenizer of the kind that the options name: deterministic, the same on any number of threads. */
fr_status fr_tokenizer_train(fr_tokenizer **tokenizer, const fr_tokenizer_options *options,
                             fr_text_next *next, void *context, fr_error *error);

/* A kind of tokenizer that can be made from text. `options` is what its table fills. */
typedef struct fr_tokenizer_kind {
    fr_kind base;
    fr_status (*train)(fr_tokenizer **tokenizer, const void *options, fr_text_next *next,
                       void *context, fr_error *error);
} fr_tokenizer_kind;
/* Entries: bpe, sentencepiece_bpe, unigram, wordpiece (all with fr_tokenizer_options), byte (no options). */
extern const fr_registry fr_tokenizers;

enum {
    FR_ENCODE_OFFSETS = 1,
    FR_ENCODE_SPECIAL_AS_TEXT = 2,
    FR_ENCODE_ADD_SPECIAL = 4 /* run the post-processor */
};
/* Append the ids of `text`. Any bytes are allowed, also zeros. For byte-level models runs of bytes that are not UTF-8 are pieces of
   their own; for others such a byte is U+FFFD. Without a normaliser in a byte-level file, decoding gives the same bytes back. Added tokens in the text are recognised; FR_ENCODE_SPECIAL_AS_TEXT
   takes those that are special for text (so that a corpus cannot inject them). Offsets are those of Hugging Face's
   library, in bytes: of whole characters, also for tokens that are a part of one; through what the normaliser changed; without blanks
   where the post-processor trims them; 0 and 0 for what it adds. Time is linear in the size (n log n for one piece).
   Errors: FR_BAD_INPUT for text without a token where the vocabulary has none for the unknown, and for a byte without a token, which only
   byte-level vocabularies without 0xC0, 0xC1, 0xF5.. can give. */
fr_status fr_tokenizer_encode(const fr_tokenizer *tokenizer, const char *text, size_t size,
                              int flags, fr_ids *ids, fr_error *error);
/* Append the text of ids, by the decoder of the file; special tokens are left out when `skip_special`. A byte-level decoder gives the
   bytes as they are, which may be no UTF-8. An id outside the vocabulary is an error. */
fr_status fr_tokenizer_decode(const fr_tokenizer *tokenizer, const int32_t *ids, size_t count,
                              bool skip_special, fr_buffer *text, fr_error *error);
/* The bytes of one token (not terminated), NULL for an unknown id: what it decodes to where the decoder of the file is ByteLevel, else
   as the vocabulary spells it. */
const char *fr_tokenizer_bytes(const fr_tokenizer *tokenizer, int32_t id, size_t *size);
/* Is the decoder of the file ByteLevel, so that a text is its tokens' bytes one behind the other? */
bool fr_tokenizer_decodes_bytes(const fr_tokenizer *tokenizer);
int64_t fr_tokenizer_size(const fr_tokenizer *tokenizer); /* vocabulary size: largest id + 1 */
int32_t fr_tokenizer_id(const fr_tokenizer *tokenizer,
                        const char *token); /* of an added or special token, -1: none */
int32_t fr_tokenizer_end_of_text(const fr_tokenizer *tokenizer); /* -1: none */
bool fr_tokenizer_is_special(const fr_tokenizer *tokenizer, int32_t id);

/* What a text, or two, become as a model's input. Starts as {0}. */
typedef struct fr_encoded {
    int32_t *ids,
        *types; /* types: which part of the template a token belongs to ("token_type_ids") */
    size_t *begin,
        *end;      /* bytes of the text that it is from; both 0 for tokens that are from none */
    int8_t *texts; /* 0 or 1: from the first or second text; -1: from neither */
    unsigned char *special;   /* 1: put there by the post-processor or by padding */
    unsigned char *attention; /* 0: padding */
    size_t count, capacity;
} fr_encoded;
void fr_encoded_free(fr_encoded *encoded);
/* How long it may be, as "truncation" and "padding" of a tokenizer.json say it. */
typedef enum fr_truncation {
    FR_TRUNCATE_LONGEST_FIRST,
    FR_TRUNCATE_ONLY_FIRST,
    FR_TRUNCATE_ONLY_SECOND
} fr_truncation;
typedef struct fr_encode_options {
    int flags; /* FR_ENCODE_SPECIAL_AS_TEXT, FR_ENCODE_ADD_SPECIAL; offsets are made always */
    int64_t max_length; /* tokens at most, with those that the post-processor adds; 0: no limit */
    fr_truncation truncation;
    bool truncate_left; /* the beginnings go, not the ends */
    int64_t stride;     /* for who cuts a long text into windows that overlap; not used here */
    bool pads;
    bool pad_left;
    int64_t pad_length;   /* 0: as it comes; who makes batches pads them with fr_encoded_pad */
    int64_t pad_multiple; /* 0: any */
    int32_t pad_id, pad_type;
} fr_encode_options;
/* What the file says (no flags): neither truncation nor padding, for most. */
const fr_encode_options *fr_tokenizer_limits(const fr_tokenizer *tokenizer);
/* Replace what `encoded` holds by the ids of `text`, or of `text` and `pair` (NULL: one text alone): truncated, in the post-processor's
   order with its types and special tokens, padded, all as Hugging Face's library does. Errors: FR_BAD_INPUT when the text that may be
   truncated is shorter than what must go. */
fr_status fr_tokenizer_encode_pair(const fr_tokenizer *tokenizer, const char *text, size_t size,
                                   const char *pair, size_t pair_size,
                                   const fr_encode_options *options, fr_encoded *encoded,
                                   fr_error *error);
/* Pad to `length` tokens, rounded up to options->pad_multiple. Longer ones stay. */
fr_status fr_encoded_pad(fr_encoded *encoded, size_t length, const fr_encode_options *options,
                         fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
