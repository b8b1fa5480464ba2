/* charset.h: bytes in a declared encoding -> well-formed UTF-8, as the pages of the web need it. */
#ifndef FRUGAL_DATA_CHARSET_H
#define FRUGAL_DATA_CHARSET_H

#include "frugal/base.h"

typedef struct charset {
    void *converter;   /* of iconv; NULL: the bytes are UTF-8 */
    fr_buffer pending; /* bytes that may be the beginning of a character */
} charset;

/* `name` NULL or unknown: UTF-8. As browsers do, Latin-1 and ASCII mean Windows-1252, and UTF-16 in a
   page that could be read this far means UTF-8. Starts from {0}. */
void charset_open(charset *c, const char *name);
/* Append the next bytes to `out`; `last`: none follow. Nothing is lost: a byte that is no UTF-8 becomes
   the Latin-1 character of its number, one that has no meaning in another encoding U+FFFD. */
void charset_append(charset *c, const char *bytes, size_t size, bool last, fr_buffer *out);
void charset_close(charset *c);
/* The name that a page declares in its first bytes: "charset=" in a <meta> tag outside comments (the
   prescan of HTML's living standard, 13.2.3.2), else "encoding=" in an XML declaration at its
   beginning. The word elsewhere, as in a script's tag or in the text, declares nothing. false: none. */
bool charset_declared(const char *page, size_t size, char *name, size_t room);

#endif
