/* zip_help.h: makes zip archives of stored members in memory, for tests that then bend single bytes. */
#ifndef FRUGAL_TESTS_ZIP_HELP_H
#define FRUGAL_TESTS_ZIP_HELP_H

#include "frugal/base.h"

#include <string.h>

typedef struct zip_part {
    const char *name;
    const void *data;
    size_t size;
} zip_part;

/* Where things lie in what zip_make made. */
typedef struct zip_places {
    size_t local[8], data[8], central[8], end;
} zip_places;

static inline void zip_number(fr_buffer *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = i < 8 ? (char)(value >> (8 * i)) : 0;
        fr_buffer_append(out, &byte, 1);
    }
}

static inline void zip_make(fr_buffer *out, const zip_part *parts, size_t count, zip_places *places)
{
    for (size_t i = 0; i < count; i++) {
        places->local[i] = out->size;
        zip_number(out, 0x04034b50, 4);
        zip_number(out, 0, 14); /* version, flags, method, time, checksum */
        zip_number(out, parts[i].size, 4);
        zip_number(out, parts[i].size, 4);
        zip_number(out, strlen(parts[i].name), 2);
        zip_number(out, 0, 2);
        fr_buffer_text(out, parts[i].name);
        places->data[i] = out->size;
        fr_buffer_append(out, parts[i].data, parts[i].size);
    }
    size_t begin = out->size;
    for (size_t i = 0; i < count; i++) {
        places->central[i] = out->size;
        zip_number(out, 0x02014b50, 4);
        zip_number(out, 0, 16);
        zip_number(out, parts[i].size, 4);
        zip_number(out, parts[i].size, 4);
        zip_number(out, strlen(parts[i].name), 2);
        zip_number(out, 0, 12);
        zip_number(out, places->local[i], 4);
        fr_buffer_text(out, parts[i].name);
    }
    places->end = out->size;
    zip_number(out, 0x06054b50, 4);
    zip_number(out, 0, 4);
    zip_number(out, count, 2);
    zip_number(out, count, 2);
    zip_number(out, places->end - begin, 4);
    zip_number(out, begin, 4);
    zip_number(out, 0, 2);
}

#endif
