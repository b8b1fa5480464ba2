/* sampling_options.h: the rows of an option table that fill fr_sampling_options, for every struct that holds one. */
#ifndef FRUGAL_DECODE_SAMPLING_OPTIONS_H
#define FRUGAL_DECODE_SAMPLING_OPTIONS_H

#include "frugal/decode.h"

void sampling_defaults(fr_sampling_options *options);

/* `holder` is the options struct, `member` the place of fr_sampling_options in it with a dot behind ("sampling."), or nothing
   when the struct is fr_sampling_options itself. */
/* clang-format off */
#define SAMPLING_OPTIONS(holder, member) \
    {"temperature", FR_OPTION_FLOAT, offsetof(holder, member temperature), NULL, 0, 100, NULL, \
     "logits are divided by it: below 1 plays safe, above 1 dares; 0 always takes the likeliest token"}, \
    {"top_k", FR_OPTION_INT, offsetof(holder, member top_k), "tokens", 0, 1e9, NULL, \
     "draw from the k likeliest tokens only; 0 turns it off"}, \
    {"top_p", FR_OPTION_FLOAT, offsetof(holder, member top_p), NULL, 0, 1, NULL, \
     "draw from the fewest likeliest tokens whose probabilities together reach p; 1 turns it off"}, \
    {"min_p", FR_OPTION_FLOAT, offsetof(holder, member min_p), NULL, 0, 1, NULL, \
     "drop tokens less likely than this fraction of the likeliest; 0 turns it off"}, \
    {"repetition_penalty", FR_OPTION_FLOAT, offsetof(holder, member repetition_penalty), NULL, 0.01, 100, NULL, \
     "divide positive and multiply negative logits of tokens that were there already by it; 1 turns it off"}, \
    {"max_tokens", FR_OPTION_INT, offsetof(holder, member max_tokens), "tokens", 0, 1e9, NULL, \
     "new tokens at most; 0: as many as the model's context holds"}, \
    {"stop", FR_OPTION_STRINGS, offsetof(holder, member stop), NULL, 0, 0, NULL, \
     "a string that ends the text and is not printed; may be given more than once"}, \
    {"seed", FR_OPTION_INT, offsetof(holder, member seed), NULL, 0, 0, NULL, \
     "of the draws: the same seed gives the same text"}
/* clang-format on */

#endif
