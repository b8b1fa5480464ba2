/* data_options.h: what the verbs that prepare text share: the sections `data` and `tokenizer` as key=value words. */
#ifndef FRUGAL_CLI_DATA_OPTIONS_H
#define FRUGAL_CLI_DATA_OPTIONS_H

#include "frugal/data.h"

typedef struct cli_data_options {
    fr_data_options data;
    const fr_kind *tokenizer_kind;  /* bpe, byte */
    fr_tokenizer_options tokenizer; /* of bpe */
    fr_tokenizer *ready;            /* of kinds that have nothing to learn, else NULL */
} cli_data_options;

/* True when a word sets an option of preparing text ("data.near=false", "tokenizer.vocabulary=8k"); others are for training. */
bool cli_data_options_has_word(const char *word);
/* Defaults, `seed`, then the words of preparing text; other words are passed over. */
fr_status cli_data_options_read(cli_data_options *options, int64_t seed, const char *const *words,
                                size_t count, fr_error *error);
void cli_data_options_free(cli_data_options *options);

#endif
