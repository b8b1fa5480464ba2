/* utf8.h: well-formed UTF-8, as table 3-7 of the Unicode standard says: no overlong forms, no
   surrogates, at most U+10FFFF.

   Text that comes in may hold any bytes. The pipeline cuts it into well-formed runs, on which
   patterns and normalisation work without further checks, and runs of bytes that belong to no
   well-formed sequence. */
#ifndef FRUGAL_TOKENIZER_UTF8_H
#define FRUGAL_TOKENIZER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Length (1 to 4) of the well-formed sequence at text[0], 0 when none begins there. size is at
   least 1. */
static inline size_t utf8_length(const unsigned char *text, size_t size)
{
    unsigned char lead = text[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (size < length)
        return 0;
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

/* The code point of the well-formed sequence at text[0]; its length in *length. */
static inline uint32_t utf8_decode(const unsigned char *text, size_t *length)
{
    uint32_t lead = text[0];
    if (lead < 0x80) {
        *length = 1;
        return lead;
    }
    if (lead < 0xE0) {
        *length = 2;
        return (lead & 0x1F) << 6 | (text[1] & 0x3Fu);
    }
    if (lead < 0xF0) {
        *length = 3;
        return (lead & 0x0F) << 12 | (text[1] & 0x3Fu) << 6 | (text[2] & 0x3Fu);
    }
    *length = 4;
    return (lead & 0x07) << 18 | (text[1] & 0x3Fu) << 12 | (text[2] & 0x3Fu) << 6 |
           (text[3] & 0x3Fu);
}

/* Bytes of the code point that ends just before `at` (at > 0) in well-formed text. */
static inline size_t utf8_length_before(const unsigned char *text, size_t at)
{
    size_t length = 1;
    while (length < at && length < 4 && (text[at - length] & 0xC0) == 0x80)
        length++;
    return length;
}

/* Write a code point (not a surrogate, at most U+10FFFF); returns the length. */
static inline size_t utf8_encode(uint32_t point, unsigned char text[4])
{
    if (point < 0x80) {
        text[0] = (unsigned char)point;
        return 1;
    }
    if (point < 0x800) {
        text[0] = (unsigned char)(0xC0 | point >> 6);
        text[1] = (unsigned char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        text[0] = (unsigned char)(0xE0 | point >> 12);
        text[1] = (unsigned char)(0x80 | (point >> 6 & 0x3F));
        text[2] = (unsigned char)(0x80 | (point & 0x3F));
        return 3;
    }
    text[0] = (unsigned char)(0xF0 | point >> 18);
    text[1] = (unsigned char)(0x80 | (point >> 12 & 0x3F));
    text[2] = (unsigned char)(0x80 | (point >> 6 & 0x3F));
    text[3] = (unsigned char)(0x80 | (point & 0x3F));
    return 4;
}

/* Bytes at the start of text that are well-formed. */
static inline size_t utf8_valid_run(const unsigned char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint64_t eight;
        while (size - at >= 8 && (memcpy(&eight, text + at, 8), !(eight & 0x8080808080808080u)))
            at += 8;
        if (at == size)
            break;
        size_t length = utf8_length(text + at, size - at);
        if (length == 0)
            break;
        at += length;
    }
    return at;
}

/* Bytes at the start of text at which no well-formed sequence begins. */
static inline size_t utf8_invalid_run(const unsigned char *text, size_t size)
{
    size_t at = 0;
    while (at < size && utf8_length(text + at, size - at) == 0)
        at++;
    return at;
}

#endif
