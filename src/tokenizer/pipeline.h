/* pipeline.h: what a tokenizer is made of, stage by stage.

   text -> added tokens apart -> well-formed and other bytes apart -> normaliser -> splits ->
   model -> post-processor -> ids. A tokenizer always comes from a tokenizer.json: training and
   the byte tokenizer write one and read it back. So what is saved is, byte for byte, what was
   loaded, and a trained tokenizer cannot differ from its file. */
#ifndef FRUGAL_TOKENIZER_PIPELINE_H
#define FRUGAL_TOKENIZER_PIPELINE_H

#include "frugal/tokenizer.h"
#include "tokenizer/added.h"
#include "tokenizer/bpe.h"
#include "tokenizer/companions.h"
#include "tokenizer/normalize.h"
#include "tokenizer/split.h"

enum { MOST_SPLITS = 16 };

/* What one encode call works in. Calls take one from the tokenizer's pool and put it back, so
   that caches stay warm across calls and threads never share one. */
typedef struct encoder {
    bpe_scratch model;
    split_scratch split;
    normalized normal, prefixed;
    struct encoder *next;
} encoder;
typedef struct encoder_pool encoder_pool;
encoder_pool *encoder_pool_create(void);
void encoder_pool_destroy(encoder_pool *pool);

struct fr_tokenizer {
    char *json, *config; /* texts of tokenizer.json and tokenizer_config.json; config may be NULL */
    size_t json_size;
    companion companions[COMPANIONS];
    vocabulary tokens;
    bool *special; /* by id */
    added_token *added;
    size_t added_count;
    added_set raw_added, normalized_added;
    bool nfc;
    split splits[MOST_SPLITS];
    size_t split_count;
    bpe model;
    int32_t *prefix, *suffix; /* ids that the post-processor puts around a text */
    size_t prefix_count, suffix_count;
    int32_t end_of_text; /* -1: none */
    encoder_pool *pool;
};

/* Take over `json` and `config` (fr_alloc, zero-terminated; config may be NULL), also on
   failure. `name` stands for the file in messages. */
fr_status tokenizer_from_json(fr_tokenizer **tokenizer, char *json, size_t size, char *config,
                              const char *name, fr_error *error);

/* What a byte-level tokenizer of ours is: enough to write its tokenizer.json. */
typedef struct tokenizer_draft {
    const vocabulary *tokens; /* without the special ones, which follow */
    const uint32_t *merges;   /* (merge_count, 2): ids; the joined token is found by its bytes */
    size_t merge_count;
    int pattern;               /* index into fr_tokenizer_patterns */
    const fr_strings *special; /* the first is end-of-text */
} tokenizer_draft;
/* Write the draft as JSON and make a tokenizer of it. */
fr_status tokenizer_from_draft(fr_tokenizer **tokenizer, const tokenizer_draft *draft,
                               fr_error *error);

enum { PATTERN_GPT2, PATTERN_LLAMA3, PATTERN_NONE };
/* The split of one of fr_tokenizer_patterns; PATTERN_NONE gives a whole text as one piece
   (false). */
bool tokenizer_pattern_split(int pattern, split *out);

#endif
