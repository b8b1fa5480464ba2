/* byte_level.h: the alphabet in which byte-level vocabularies are written.

   A tokenizer.json must hold text, but tokens are byte strings. So every byte has a visible
   character: printable bytes of Latin-1 stand for themselves, the other 68 bytes are U+0100,
   U+0101, ... in order (space is U+0120). Introduced with GPT-2 (Radford et al. 2019, section
   2.2). */
#ifndef FRUGAL_TOKENIZER_BYTE_LEVEL_H
#define FRUGAL_TOKENIZER_BYTE_LEVEL_H

#include "frugal/base.h"

enum { BYTE_LEVEL_END = 0x144 }; /* one past the last character of the alphabet */

/* The character of a byte. */
uint32_t byte_level_character(unsigned char byte);
/* The byte of a character, -1 for one outside the alphabet. */
int byte_level_byte(uint32_t character);
/* The bytes in the order of their characters: the usual order of ids in byte-level vocabularies. */
void byte_level_order(unsigned char order[256]);
/* Append bytes written in the alphabet (as UTF-8). */
void byte_level_write(const char *bytes, size_t size, fr_buffer *out);
/* Append the bytes that `text` (well-formed UTF-8) is written for; false, with nothing appended,
   when a character is outside the alphabet. */
bool byte_level_read(const char *text, size_t size, fr_buffer *out);

#endif
