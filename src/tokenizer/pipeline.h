/* pipeline.h: what a tokenizer is made of, stage by stage.

   text -> added tokens apart -> normaliser -> other added tokens apart -> splits -> model ->
   post-processor -> ids. A tokenizer always comes from a tokenizer.json: training, the byte
   tokenizer and the readers of other files write one and read it back. So what is saved is, byte
   for byte, what was loaded, and a trained tokenizer cannot differ from its file. */
#ifndef FRUGAL_TOKENIZER_PIPELINE_H
#define FRUGAL_TOKENIZER_PIPELINE_H

#include "frugal/tokenizer.h"
#include "tokenizer/added.h"
#include "tokenizer/companions.h"
#include "tokenizer/decoder.h"
#include "tokenizer/model.h"
#include "tokenizer/normalize.h"
#include "tokenizer/post.h"
#include "tokenizer/split.h"

enum { MOST_SPLITS = 16 };

/* What one encode call works in. Calls take one from the tokenizer's pool and put it back, so
   that caches stay warm across calls and threads never share one. */
typedef struct encoder {
    model_scratch model;
    normalize_scratch normal;
    split_scratch split;
    aligned mended;                 /* text with bytes that are not UTF-8 replaced */
    aligned rewritten[MOST_SPLITS]; /* by the splits that rewrite */
    struct encoder *next;
} encoder;
typedef struct encoder_pool encoder_pool;
encoder_pool *encoder_pool_create(void);
void encoder_pool_destroy(encoder_pool *pool);

enum { TOKEN_KNOWN = 1, TOKEN_ADDED = 2, TOKEN_SPECIAL = 4 };

struct fr_tokenizer {
    char *json, *config; /* texts of tokenizer.json and tokenizer_config.json; config may be NULL */
    size_t json_size;
    companion companions[COMPANIONS];
    vocabulary tokens;     /* as the file spells them, added ones in normal form: what is decoded */
    unsigned char *traits; /* by id: of TOKEN_... */
    added_token *added;
    size_t added_count;
    added_set raw_added, normalized_added;
    normalizer *normalizers;
    size_t normalizer_count;
    split splits[MOST_SPLITS];
    size_t split_count;
    bool asks_origin; /* a split asks where its text came from */
    text_model model;
    post post;
    decode_step *decoders;
    size_t decoder_count;
    bool decodes_bytes;       /* the decoder gives the bytes of the model's tokens, one by one */
    fr_encode_options limits; /* of the file: truncation and padding */
    int32_t end_of_text;      /* -1: none */
    encoder_pool *pool;
};

/* For trimming: the blanks of tokens whose text is not the vocabulary's, in the order of the text:
   of added tokens, with those that they took, and of the unigram's unknown ones. */
typedef struct blank_note {
    size_t id; /* its place in the list of ids */
    uint32_t leading, trailing;
} blank_note;

/* Append the ids of one text without the post-processor's. `blanks`: NULL, or gets notes
   (blank_note). */
fr_status encode_one(const fr_tokenizer *tokenizer, const char *text, size_t size, int flags,
                     fr_buffer *blanks, fr_ids *ids, fr_error *error);
/* Give the pieces of a text (less than 4 GB) to `take` instead of the model: what there is to learn
   from. Special tokens in it are text. */
typedef fr_status piece_taker(void *taker, const char *text, size_t size, fr_error *error);
fr_status encode_pieces(const fr_tokenizer *tokenizer, const char *text, size_t size,
                        piece_taker *take, void *taker, fr_error *error);
/* Make room for offsets when they are asked for. */
fr_status ids_prepare(fr_ids *ids, bool offsets, fr_error *error);
/* Append one id that stands for no text. */
fr_status ids_add(fr_ids *ids, int32_t id, size_t begin, size_t end, fr_error *error);

/* Take over `json` and `config` (fr_alloc, zero-terminated; config may be NULL), also on
   failure. `name` stands for the file in messages. */
fr_status tokenizer_from_json(fr_tokenizer **tokenizer, char *json, size_t size, char *config,
                              const char *name, fr_error *error);

enum { PATTERN_GPT2, PATTERN_LLAMA3, PATTERN_NONE };
/* The split of one of fr_tokenizer_patterns; PATTERN_NONE gives a whole text as one piece
   (false). */
bool tokenizer_pattern_split(int pattern, split *out);

#endif
