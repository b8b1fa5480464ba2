/* fuzz_tokenizer.h: what every tokenizer must do, wherever it came from. */
#ifndef FRUGAL_TESTS_FUZZ_TOKENIZER_H
#define FRUGAL_TESTS_FUZZ_TOKENIZER_H

#include "fuzz.h"

#include "frugal/tokenizer.h"

#include <string.h>

/* Offsets lie inside the text, and ids can be decoded. */
static inline void check_encoding(const fr_tokenizer *tokenizer, const char *text, size_t size,
                                  int flags)
{
    fr_ids ids = {0};
    fr_buffer back = {0};
    fr_error error = {0};
    if (fr_tokenizer_encode(tokenizer, text, size, flags | FR_ENCODE_OFFSETS, &ids, &error) ==
        FR_OK) {
        for (size_t i = 0; i < ids.count; i++)
            MUST(ids.begin[i] <= ids.end[i] && ids.end[i] <= size);
        MUST(fr_tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back, &error) == FR_OK);
    } else {
        MUST(error.message[0]);
    }
    fr_ids_free(&ids);
    fr_buffer_free(&back);
}

/* What a reader left behind: a tokenizer that works, or a message. */
static inline void check_loaded(fr_status status, fr_tokenizer *tokenizer, const fr_error *error)
{
    static const char text[] =
        "Hello  W\xC3\xB6rld\n12345 <s> \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80\xFF"
        "don't \xE2\x96\x81 e\xCC\x81";
    if (status != FR_OK) {
        MUST(!tokenizer && error->message[0]);
        MUST(status == FR_BAD_INPUT || status == FR_UNSUPPORTED);
        return;
    }
    check_encoding(tokenizer, text, sizeof text - 1, 0);
    check_encoding(tokenizer, text, sizeof text - 1,
                   FR_ENCODE_ADD_SPECIAL | FR_ENCODE_SPECIAL_AS_TEXT);
    check_encoding(tokenizer, text, 0, FR_ENCODE_ADD_SPECIAL);
    fr_tokenizer_free(tokenizer);
}

#endif
