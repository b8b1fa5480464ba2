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

/* ---- declarations ---- */

static bool begins(const char *page, size_t size, size_t at, const char *word)
{
    size_t length = strlen(word);
    return size - at >= length && strncasecmp(page + at, word, length) == 0;
}

static size_t skip_blanks(const char *page, size_t size, size_t at)
{
    while (at < size && page[at] && strchr(" \t\r\n\f", page[at]))
        at++;
    return at;
}

/* The value of `key` = value in page[at..end): quoted or not, itself inside a quoted value or not. */
static bool find_value(const char *page, size_t at, size_t end, const char *key, char *name,
                       size_t room)
{
    static const char legal[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    for (; at < end; at++) {
        if (!begins(page, end, at, key))
            continue;
        size_t i = skip_blanks(page, end, at + strlen(key)), length = 0;
        if (i == end || page[i] != '=')
            continue;
        i = skip_blanks(page, end, i + 1);
        i += i < end && (page[i] == '"' || page[i] == '\'');
        i = skip_blanks(page, end, i);
        while (i < end && length + 1 < room && page[i] && strchr(legal, page[i]))
            name[length++] = page[i++];
        name[length] = 0;
        if (length)
            return true;
    }
    return false;
}

/* Where `word` begins at or after `at`; size: nowhere. */
static size_t find(const char *page, size_t size, size_t at, const char *word)
{
    const char *found = at < size ? memmem(page + at, size - at, word, strlen(word)) : NULL;
    return found ? (size_t)(found - page) : size;
}

bool charset_declared(const char *page, size_t size, char *name, size_t room)
{
    for (size_t at = 0; at < size; at++) {
        if (begins(page, size, at, "<!--")) {
            at = find(page, size, at + 2, "-->");
        } else if (begins(page, size, at, "<meta") &&
                   (skip_blanks(page, size, at + 5) > at + 5 || begins(page, size, at, "<meta/"))) {
            size_t end = find(page, size, at, ">");
            if (find_value(page, at + 5, end, "charset", name, room))
                return true;
            at = end;
        }
    }
    size_t begin = begins(page, size, 0, "\xef\xbb\xbf") ? 3 : 0;
    return begins(page, size, begin, "<?xml") &&
           find_value(page, begin, find(page, size, begin, "?>"), "encoding", name, room);
}
