/* blueprint.h: a tokenizer.json in the making.

   Whoever reads another format, or learns a tokenizer, fills a blueprint and hands it to the one
   loader (pipeline.h: tokenizer_from_json). So what was read can be saved as tokenizer.json, and
   cannot differ from its file. */
#ifndef FRUGAL_TOKENIZER_BLUEPRINT_H
#define FRUGAL_TOKENIZER_BLUEPRINT_H

#include "frugal/tokenizer.h"
#include "tokenizer/settings.h"
#include "tokenizer/lexicon.h"

/* Starts as {0}. Parts that stay NULL are written as null. Where json_pack failed for lack of
   memory a part is NULL too: set them with blueprint_set, which remembers. */
typedef struct blueprint {
    lexicon tokens;   /* of the model first, then added ones */
    bool byte_level;  /* tokens hold bytes, to be written in the visible alphabet */
    fr_buffer model;  /* the JSON of "model" */
    json_t *added;    /* a list of added tokens */
    lexicon declared; /* those in it */
    json_t *normalizer, *pre_tokenizer, *post_processor, *decoder;
    bool failed; /* no memory on the way */
} blueprint;
void blueprint_free(blueprint *self);

/* Put `value` (owned from now on; NULL: no memory) into a part. */
void blueprint_set(blueprint *self, json_t **part, json_t *value);
/* Append `value` (owned from now on; NULL: no memory) to a list. */
void blueprint_append(blueprint *self, json_t *list, json_t *value);

/* Text in JSON's quotes; well-formed UTF-8 without zero bytes. */
void blueprint_quote(fr_buffer *out, const char *text, size_t size);

/* ---- models; all tokens of the list are the vocabulary ---- */

typedef struct blueprint_bpe {
    const char *unk_token;          /* NULL: none */
    const char *end_of_word_suffix; /* NULL: none */
    bool fuse_unk, byte_fallback, ignore_merges;
} blueprint_bpe;
/* Merges are `count` pairs of ids, (count, 2) ... */
void blueprint_write_bpe(blueprint *self, const blueprint_bpe *form, const uint32_t *merges,
                         size_t count);
/* ... or already the JSON of a list. */
void blueprint_write_bpe_json(blueprint *self, const blueprint_bpe *form, const fr_buffer *merges);
/* score: one for each token. */
void blueprint_write_unigram(blueprint *self, const double *score, size_t unk_id,
                             bool byte_fallback);
void blueprint_write_wordpiece(blueprint *self, const char *unk_token, const char *prefix,
                               int64_t longest_word);

/* ---- added tokens ---- */

typedef struct blueprint_added {
    const char *content;
    bool special, normalized, lstrip, rstrip, single_word;
} blueprint_added;
/* Declare a token of the vocabulary an added one, or append it to the tokens; a second
   declaration of a token changes nothing. */
void blueprint_add(blueprint *self, const blueprint_added *token);
/* What transformers adds for a configuration: "added_tokens_decoder", the named tokens
   (`absent`: what the class takes where the configuration names none; entries may be NULL), and
   the lists "additional_special_tokens" and "extra_special_tokens". Ids that the configuration
   tells must be those that come out. */
fr_status blueprint_add_configured(blueprint *self, const settings *from,
                                   const char *const absent[NAMED_TOKENS], fr_error *error);

/* ---- stages ---- */

/* TemplateProcessing for one text and for two: words are tokens, "$A" and "$B". */
fr_status blueprint_template(blueprint *self, const char *const *single, const char *const *pair,
                             fr_error *error);
/* The beginning and end that "add_bos_token" and "add_eos_token" ask for. */
fr_status blueprint_add_ends(blueprint *self, const settings *from,
                             const char *const absent[NAMED_TOKENS], fr_error *error);
/* A BERT-like pair of the tokens around a text, [NAME, id]. */
json_t *blueprint_token_pair(blueprint *self, const char *token);

/* ---- the end ---- */

/* The tokenizer, and a configuration that says of it what `from` said, with the class `name` and
   its tokens; `from` NULL: none. The blueprint is empty afterwards. `file` stands for it in messages. */
fr_status blueprint_finish(blueprint *self, fr_tokenizer **tokenizer, const settings *from,
                           const char *class_name, const char *const absent[NAMED_TOKENS],
                           const char *file, fr_error *error);

#endif
