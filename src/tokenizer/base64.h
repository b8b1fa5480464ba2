/* base64.h: bytes written in 64 printable characters, four for three bytes. RFC 4648, section 4. */
#ifndef FRUGAL_TOKENIZER_BASE64_H
#define FRUGAL_TOKENIZER_BASE64_H

#include "frugal/base.h"

void base64_write(const unsigned char *bytes, size_t size, fr_buffer *out);
/* Append what `text` stands for; false, with nothing appended, when it is not whole groups of four
   with their padding. */
bool base64_read(const char *text, size_t size, fr_buffer *out);

#endif
