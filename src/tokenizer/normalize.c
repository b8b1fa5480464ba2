/* normalize.c: NFC with utf8proc, cut into short stretches so that offsets stay exact where
   nothing changes.

   A stretch begins at a character that neither is a mark nor joins the one before it (a Hangul
   vowel or final consonant, a Kirat Rai vowel sign), so normalising stretch by stretch gives the
   normal form of the whole. Source: Unicode annex 15. */
#include "tokenizer/normalize.h"
#include "tokenizer/utf8.h"

#include <utf8proc.h>

void normalized_clear(normalized *out)
{
    fr_buffer_clear(&out->text);
    fr_buffer_clear(&out->begin);
    fr_buffer_clear(&out->end);
}

void normalized_free(normalized *out)
{
    fr_buffer_free(&out->text);
    fr_buffer_free(&out->begin);
    fr_buffer_free(&out->end);
}

bool normalized_failed(const normalized *out)
{
    return out->text.failed || out->begin.failed || out->end.failed;
}

void normalized_append(normalized *out, const char *text, size_t size, size_t begin, size_t end,
                       bool each)
{
    fr_buffer_append(&out->text, text, size);
    for (size_t i = 0; i < size; i++) {
        size_t from = each ? begin + i : begin, to = each ? begin + i + 1 : end;
        fr_buffer_append(&out->begin, &from, sizeof from);
        fr_buffer_append(&out->end, &to, sizeof to);
    }
}

bool nfc_is_plain(const char *text, size_t size)
{
    /* Characters below U+0300 are in normal form and join nothing; their bytes are below 0xCC. */
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0xCC)
            return false;
    return true;
}

/* True when a stretch may begin at this character. */
static bool begins_stretch(uint32_t point)
{
    if (point < 0x300)
        return true;
    if ((point >= 0x1160 && point <= 0x11FF) || (point >= 0x16D40 && point <= 0x16D7F))
        return false;
    switch (utf8proc_category((utf8proc_int32_t)point)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return false;
    default:
        return true;
    }
}

static fr_status append_stretch(normalized *out, const char *text, size_t size, size_t base,
                                fr_error *error)
{
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size,
                                           &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (length < 0)
        return fr_fail(error, length == UTF8PROC_ERROR_NOMEM ? FR_NO_MEMORY : FR_UNSUPPORTED,
                       "cannot normalise %zu bytes at byte %zu: %s", size, base,
                       utf8proc_errmsg(length));
    bool same = (size_t)length == size && memcmp(composed, text, size) == 0;
    normalized_append(out, (const char *)composed, (size_t)length, base, base + size, same);
    free(composed);
    return FR_OK;
}

fr_status nfc_append(normalized *out, const char *text, size_t size, size_t base, fr_error *error)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t plain = 0; /* where a stretch of single characters below U+0300 begins */
    for (size_t at = 0; at < size;) {
        size_t length, end, next_length = 0;
        uint32_t point = utf8_decode(bytes + at, &length);
        end = at + length;
        while (end < size && !begins_stretch(utf8_decode(bytes + end, &next_length)))
            end += next_length;
        if (point >= 0x300 || end > at + length) {
            normalized_append(out, text + plain, at - plain, base + plain, 0, true);
            FR_TRY(append_stretch(out, text + at, end - at, base + at, error));
            plain = end;
        }
        at = end;
    }
    normalized_append(out, text + plain, size - plain, base + plain, 0, true);
    if (normalized_failed(out))
        return fr_fail(error, FR_NO_MEMORY, "no memory to normalise %zu bytes", size);
    return FR_OK;
}
