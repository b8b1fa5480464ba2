/* byte_level.c: the byte-level alphabet, computed from its rule. */
#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

static bool stands_for_itself(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t byte_level_character(unsigned char byte)
{
    if (stands_for_itself(byte))
        return byte;
    /* The bytes that do not: 0..0x20, 0x7F..0xA0, 0xAD. */
    uint32_t number = byte <= 0x20 ? byte : byte <= 0xA0 ? byte - 0x7Fu + 33 : 67;
    return 0x100 + number;
}

int byte_level_byte(uint32_t character)
{
    if (character < 0x100)
        return stands_for_itself(character) ? (int)character : -1;
    uint32_t number = character - 0x100;
    if (number < 33)
        return (int)number;
    if (number < 67)
        return (int)(number - 33 + 0x7F);
    return number == 67 ? 0xAD : -1;
}

void byte_level_order(unsigned char order[256])
{
    size_t count = 0;
    for (uint32_t character = 0; character < BYTE_LEVEL_END; character++) {
        int byte = byte_level_byte(character);
        if (byte >= 0)
            order[count++] = (unsigned char)byte;
    }
}

void byte_level_write(const char *bytes, size_t size, fr_buffer *out)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char text[4];
        size_t length = utf8_encode(byte_level_character((unsigned char)bytes[i]), text);
        fr_buffer_append(out, text, length);
    }
}

bool byte_level_read(const char *text, size_t size, fr_buffer *out)
{
    size_t before = out->size;
    for (size_t at = 0, length; at < size; at += length) {
        int byte = byte_level_byte(utf8_decode((const unsigned char *)text + at, &length));
        if (byte < 0) {
            out->size = before;
            return false;
        }
        char one = (char)byte;
        fr_buffer_append(out, &one, 1);
    }
    return true;
}
