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
/* A truth value; `absent` when the key is not there or null. */
fr_status json_read_bool(const reader *r, const char *where, const json_t *object, const char *key,
                         bool absent, bool *out);
/* A text without zero bytes. */
fr_status json_read_string(const reader *r, const char *where, const json_t *object,
                           const char *key, const char **out);
/* A copy of one, not longer than a few dozen bytes; NULL when the key is not there or null. */
fr_status json_read_short(const reader *r, const char *where, const json_t *object, const char *key,
                          char **out);
/* A whole number from `least` to `most`; `absent` when the key is not there or null. */
fr_status json_read_count(const reader *r, const char *where, const json_t *object, const char *key,
                          int64_t least, int64_t most, int64_t absent, int64_t *out);
/* One of `names` (NULL-terminated): its number; -1 when the key is not there or null. */
fr_status json_read_choice(const reader *r, const char *where, const json_t *object,
                           const char *key, const char *const *names, int *out);

/* {"String": ...} or {"Regex": ...} of a Split or Replace. */
fr_status json_read_pattern(const reader *r, const char *where, const json_t *object,
                            const char **text, bool *literal);

/* A kind of stage and who reads it. */
typedef struct stage_reader {
    const char *type;
    fr_status (*read)(reader *r, const char *where, json_t *object);
} stage_reader;
/* A stage of one of `kinds` (ended by a NULL type), or a Sequence of such, whose list has the key
   `list`; null and nothing are no stages. */
fr_status json_read_stages(reader *r, const char *where, json_t *object, const char *list,
                           const stage_reader *kinds);

/* The parts of the file, in the order in which they must be read. */
fr_status json_read_added(reader *r, json_t *list);
fr_status json_read_normalizer(reader *r, json_t *object);
fr_status json_read_splits(reader *r, json_t *object);
fr_status json_read_model(reader *r, json_t *model);
fr_status json_read_post(reader *r, json_t *object);
fr_status json_read_decoder(reader *r, json_t *object);
fr_status json_read_limits(reader *r, json_t *truncation, json_t *padding);
fr_status json_build_added_sets(reader *r);

/* A score as the peer reads it: perhaps one bit off (json_score.c). */
double json_score(double value);
/* Merges of a byte-pair model (json_merges.c). */
fr_status json_read_merges(reader *r, json_t *vocab, const json_t *list, bool whole_pieces);

#endif
