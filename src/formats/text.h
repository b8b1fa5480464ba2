/* text.h: is a stretch of a file text that C strings and JSON can hold? */
#ifndef FRUGAL_FORMATS_TEXT_H
#define FRUGAL_FORMATS_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* UTF-8 without a zero byte. */
static inline bool is_plain_text(const char *text, size_t size)
{
    json_t *string = memchr(text, 0, size) ? NULL : json_stringn(text, size);
    json_decref(string);
    return string != NULL;
}

#endif
