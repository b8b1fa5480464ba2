/* normalize.h: canonical composition (NFC) with the way back to the bytes it came from. */
#ifndef FRUGAL_TOKENIZER_NORMALIZE_H
#define FRUGAL_TOKENIZER_NORMALIZE_H

#include "frugal/base.h"

/* Normalised text; byte i came from bytes [begin[i], end[i]) of the source. Starts as {0}. */
typedef struct normalized {
    fr_buffer text;
    fr_buffer begin, end; /* of size_t */
} normalized;
void normalized_clear(normalized *out);
void normalized_free(normalized *out);
/* Append bytes that all came from [begin, end), or, when `each`, one by one from begin, begin +
   1, ... */
void normalized_append(normalized *out, const char *text, size_t size, size_t begin, size_t end,
                       bool each);
bool normalized_failed(const normalized *out);

/* True when every byte says at a glance that NFC leaves the text (well-formed UTF-8) as it is. */
bool nfc_is_plain(const char *text, size_t size);
/* Append the NFC of well-formed text that stands at `base` in the source. */
fr_status nfc_append(normalized *out, const char *text, size_t size, size_t base, fr_error *error);

#endif
