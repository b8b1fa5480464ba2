/* settings.h: what lies beside a vocabulary: tokenizer_config.json, and the older files that it
   replaced, special_tokens_map.json and added_tokens.json. */
#ifndef FRUGAL_TOKENIZER_SETTINGS_H
#define FRUGAL_TOKENIZER_SETTINGS_H

#include "frugal/base.h"

#include <jansson.h>

/* The special tokens that have a part to play, in the order in which transformers adds them. */
typedef enum named_token {
    TOKEN_BOS,
    TOKEN_EOS,
    TOKEN_UNK,
    TOKEN_SEP,
    TOKEN_PAD,
    TOKEN_CLS,
    TOKEN_MASK,
    NAMED_TOKENS
} named_token;
extern const char *const named_token_keys[NAMED_TOKENS]; /* "bos_token", ... */

typedef struct settings {
    json_t *root; /* an object, also when there is no file */
    bool found;   /* tokenizer_config.json exists */
    /* The tokenizer's class as transformers names it, without "Fast"; chosen by config.json's
       model_type when tokenizer_config.json names none. "" when neither tells. */
    char class_name[64];
} settings;

/* Read what `folder` has. */
fr_status settings_read(settings *out, const char *folder, fr_error *error);
void settings_free(settings *self);

fr_status settings_bool(const settings *self, const char *key, bool absent, bool *out,
                        fr_error *error);
/* NULL when the key is absent or null. */
fr_status settings_string(const settings *self, const char *key, const char **out, fr_error *error);
/* The text of a named token, `absent` (may be NULL) when the file does not name one. */
const char *settings_token(const settings *self, named_token which, const char *absent);

#endif
