/* charset.c: see charset.h. The HTML parser only ever gets well-formed UTF-8, because on anything else it
   changes its mind about the encoding, or stops and loses the rest of the page. */
#include "data/charset.h"
#include "tokenizer/utf8.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void charset_open(charset *c, const char *name)
{
    if (!name || strncasecmp(name, "utf", 3) == 0)
        return;
    static const char *const western[] = {"iso-8859-1", "iso8859-1", "latin1",
                                          "l1",         "us-ascii",  "ascii"};
    for (size_t i = 0; i < sizeof western / sizeof western[0]; i++)
        if (strcasecmp(name, western[i]) == 0)
            name = "CP1252";
    iconv_t converter = iconv_open("UTF-8", name);
    c->converter = converter == (iconv_t)-1 ? NULL : converter;
}

void charset_close(charset *c)
{
    if (c->converter)
        iconv_close(c->converter);
    fr_buffer_free(&c->pending);
    *c = (charset){0};
}

/* Append as much of the bytes as is known to be whole; returns how much that was. */
static size_t repair(const char *bytes, size_t size, bool last, fr_buffer *out)
{
    const unsigned char *s = (const unsigned char *)bytes;
    size_t at = 0;
    while (at < size) {
        size_t from = at, length = 0;
        while (at < size && (length = utf8_length(s + at, size - at)) > 0)
            at += length;
        fr_buffer_append(out, bytes + from, at - from);
        if (at == size || (!last && size - at < 4))
            break; /* the end, or perhaps a character that is not complete */
        unsigned char c = s[at++];
        const char latin[2] = {(char)(0xC0 | c >> 6), (char)(0x80 | (c & 0x3F))};
        fr_buffer_append(out, latin, 2);
    }
    return at;
}

static size_t convert(iconv_t converter, char *bytes, size_t size, bool last, fr_buffer *out)
{
    char block[4096];
    char *in = bytes;
    size_t left = size;
    while (left) {
        char *to = block;
        size_t room = sizeof block;
        size_t result = iconv(converter, &in, &left, &to, &room);
        int problem = result == (size_t)-1 ? errno : 0;
        fr_buffer_append(out, block, sizeof block - room);
        if (problem == EINVAL && !last)
            break;
        if (problem == EILSEQ || problem == EINVAL) {
            fr_buffer_text(out, replacement);
            in++;
            left--;
        }
    }
    return size - left;
}

void charset_append(charset *c, const char *bytes, size_t size, bool last, fr_buffer *out)
{
    fr_buffer *p = &c->pending;
    fr_buffer_append(p, bytes, size);
    if (p->failed) {
        out->failed = true;
        return;
    }
    size_t used = c->converter ? convert(c->converter, p->data, p->size, last, out)
                               : repair(p->data, p->size, last, out);
    memmove(p->data, p->data + used, p->size - used);
    p->size -= used;
}

bool charset_declared(const char *page, size_t size, char *name, size_t room)
{
    static const char legal[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    for (size_t at = 0; at + 8 < size; at++) {
        if (strncasecmp(page + at, "charset", 7) != 0)
            continue;
        size_t i = at + 7, length = 0;
        while (i < size && page[i] && strchr(" \t\r\n=\"'", page[i]))
            i++;
        while (i < size && length + 1 < room && page[i] && strchr(legal, page[i]))
            name[length++] = page[i++];
        name[length] = 0;
        if (length)
            return true;
    }
    return false;
}
