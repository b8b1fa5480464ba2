/* json_reader.h: reading a tokenizer.json: what its parts share. */
#ifndef FRUGAL_TOKENIZER_JSON_READER_H
#define FRUGAL_TOKENIZER_JSON_READER_H

#include "tokenizer/pipeline.h"

#include <jansson.h>

/* The tokenizer being filled, the file's name, where errors go. */
typedef struct reader {
    fr_tokenizer *tokenizer;
    const char *name;
    fr_error *error;
    bool byte_level; /* the ByteLevel pre-tokenizer has been read */
} reader;

#define BAD(reader, ...) fr_fail_at((reader)->error, FR_BAD_INPUT, (reader)->name, 0, __VA_ARGS__)
#define UNSUPPORTED(reader, ...)                                                                   \
    fr_fail_at((reader)->error, FR_UNSUPPORTED, (reader)->name, 0, __VA_ARGS__)
#define NO_MEMORY(reader)                                                                          \
    fr_fail_at((reader)->error, FR_NO_MEMORY, (reader)->name, 0, "no memory for the tokenizer")

/* "an object", "nothing": for messages. */
const char *json_kind_name(const json_t *value);
/* `object` must be one, and every key of it in `known` (NULL-terminated). */
fr_status json_check_keys(const reader *r, const char *where, json_t *object,
                          const char *const *known);
/* A truth value; `absent` when the key is not there. */
fr_status json_read_bool(const reader *r, const char *where, const json_t *object, const char *key,
                         bool absent, bool *out);
fr_status json_read_string(const reader *r, const char *where, const json_t *object,
                           const char *key, const char **out);

/* "added_tokens": the list alone; and, when the normaliser is known, the sets that are searched
   for. */
fr_status json_read_added(reader *r, json_t *list);
fr_status json_build_added_sets(reader *r);
/* "model": vocabulary and merges; the added tokens must have been read. */
fr_status json_read_model(reader *r, json_t *model);
/* "normalizer", "pre_tokenizer", "post_processor", "decoder". */
fr_status json_read_stages(reader *r, json_t *root);

#endif
