/* token_text.h: a token as a person may read it. */
#ifndef FRUGAL_CLI_TOKEN_TEXT_H
#define FRUGAL_CLI_TOKEN_TEXT_H

#include "frugal/tokenizer.h"

/* Append the token's text in double quotes, escaped as in C; byte by byte in hexadecimal where it
   is not UTF-8 by itself. An id that the tokenizer does not have appends nothing. */
void cli_token_text(fr_buffer *out, const fr_tokenizer *tokenizer, int32_t id);

#endif
