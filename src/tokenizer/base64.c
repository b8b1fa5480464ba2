/* base64.c: strict both ways: padding must be there, unused bits must be zero, nothing else may
   stand between. So every byte string has one spelling. */
#include "tokenizer/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(const unsigned char *bytes, size_t size, fr_buffer *out)
{
    for (size_t i = 0; i < size; i += 3) {
        unsigned left = size - i < 3 ? (unsigned)(size - i) : 3;
        unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        fr_buffer_append(out, text, 4);
    }
}

/* The value of a digit, -1 for anything else. */
static int value_of(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

static bool read_group(const char text[4], bool last, fr_buffer *out)
{
    unsigned group = 0, count = 4;
    if (last)
        count -= (unsigned)(text[3] == '=') + (unsigned)(text[3] == '=' && text[2] == '=');
    for (unsigned i = 0; i < count; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return false;
        group |= (unsigned)value << (18 - 6 * i);
    }
    unsigned bytes = count - 1; /* two digits hold one byte, three hold two */
    if (group & ((1u << (24 - 8 * bytes)) - 1) & 0xFFFFFF)
        return false;
    char three[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
    fr_buffer_append(out, three, bytes);
    return true;
}

bool base64_read(const char *text, size_t size, fr_buffer *out)
{
    size_t before = out->size;
    bool fine = size % 4 == 0;
    for (size_t i = 0; fine && i < size; i += 4)
        fine = read_group(text + i, i + 4 == size, out);
    if (!fine)
        out->size = before;
    return fine;
}
