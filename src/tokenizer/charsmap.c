/* charsmap.c: reading and asking the compiled rules of SentencePiece. */
#include "tokenizer/charsmap.h"
#include "tokenizer/utf8.h"

#include <string.h>

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *place = c ? strchr(digits, c) : NULL;
    return place ? (int)(place - digits) : -1;
}

static fr_status decode_base64(const char *text, size_t size, fr_buffer *out, fr_error *error)
{
    size_t end = size;
    while (end > 0 && size - end < 2 && text[end - 1] == '=')
        end--;
    uint32_t bits = 0;
    unsigned held = 0;
    if (size % 4 != 0)
        return fr_fail(error, FR_BAD_INPUT,
                       "%zu characters of base64 found, a multiple of 4 expected", size);
    for (size_t i = 0; i < end; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return fr_fail(error, FR_BAD_INPUT, "character %zu is no digit of base64", i);
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            char byte = (char)(bits >> held & 0xFF);
            fr_buffer_append(out, &byte, 1);
        }
    }
    return out->failed ? fr_fail(error, FR_NO_MEMORY, "no memory for a charsmap") : FR_OK;
}

static uint32_t little_endian(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

fr_status charsmap_read(charsmap *map, const char *base64, size_t size, fr_error *error)
{
    fr_buffer bytes = {0};
    *map = (charsmap){0};
    fr_status status = decode_base64(base64, size, &bytes, error);
    size_t trie = status == FR_OK && bytes.size >= 4 ? little_endian(bytes.data) / 4 * 4 : 0;
    if (status == FR_OK && (trie == 0 || trie > bytes.size - 4))
        status = fr_fail(error, FR_BAD_INPUT, "a charsmap of %zu bytes says that its trie has %zu",
                         bytes.size, trie);
    if (status == FR_OK) {
        const char *texts = bytes.data + 4 + trie;
        map->texts_size = bytes.size - 4 - trie;
        map->unit_count = trie / 4;
        map->units = fr_alloc_array(map->unit_count, sizeof *map->units, FR_MEMORY_OTHER);
        map->texts = fr_string_copy_n(texts, map->texts_size);
        if (!map->units || !map->texts)
            status = fr_fail(error, FR_NO_MEMORY, "no memory for a charsmap");
        else if (utf8_valid_run((const unsigned char *)texts, map->texts_size) != map->texts_size)
            status = fr_fail(error, FR_BAD_INPUT, "the texts of a charsmap are not UTF-8");
    }
    for (size_t i = 0; status == FR_OK && i < map->unit_count; i++)
        map->units[i] = little_endian(bytes.data + 4 + 4 * i);
    fr_buffer_free(&bytes);
    if (status != FR_OK)
        charsmap_free(map);
    return status;
}

void charsmap_free(charsmap *map)
{
    fr_free(map->units);
    fr_free(map->texts);
    *map = (charsmap){0};
}

/* A unit: bits 0-7 and 31 the label, 8 a leaf follows, 9 the offset is in steps of 256, 10-30
   the offset; of a leaf, bits 0-30 are the value. */
static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & UINT32_C(0x200)) >> 6);
}

const char *charsmap_find(const charsmap *map, const char *key, size_t size, size_t *found_size)
{
    size_t at = offset_of(map->units[0]);
    for (size_t i = 0; i < size && key[i]; i++) {
        unsigned char byte = (unsigned char)key[i];
        at ^= byte;
        if (at >= map->unit_count || (map->units[at] & UINT32_C(0x800000FF)) != byte)
            return NULL;
        uint32_t unit = map->units[at];
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1))
            continue;
        size_t value = at < map->unit_count ? map->units[at] & UINT32_C(0x7FFFFFFF) : SIZE_MAX;
        if (value > map->texts_size)
            return NULL;
        const char *text = map->texts + value;
        *found_size = strlen(text);
        return utf8_valid_run((const unsigned char *)text, *found_size) == *found_size ? text
                                                                                       : NULL;
    }
    return NULL;
}
