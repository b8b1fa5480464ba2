/* format.h: a kind of text file: how its bytes become text. One file per kind, its descriptor last;
   formats.c lists them. */
#ifndef FRUGAL_DATA_FORMAT_H
#define FRUGAL_DATA_FORMAT_H

#include "frugal/data.h"

typedef struct format {
    fr_kind base;
    const char *const
        *endings; /* of file names, with the dot, NULL-terminated; NULL: every other name */
    /* Whole-file kinds: append the text of the next bytes. `last`: no bytes follow. `state` starts
       as NULL and is freed by close. NULL: the bytes are the text. A file is one document, cut at
       paragraph ends when it is long. */
    fr_status (*convert)(void **state, const char *path, const char *bytes, size_t size, bool last,
                         fr_buffer *text, fr_error *error);
    void (*close)(void *state);
    /* Record kinds: one line -> the text of one document (replaces what is in `text`). NULL for
       whole-file kinds. */
    fr_status (*record)(const char *line, size_t size, const fr_source_options *options,
                        const char *path, int64_t line_number, fr_buffer *text, fr_error *error);
} format;

extern const format format_text, format_markdown, format_html, format_jsonl;
/* The format of a file, by its name without the packing's ending. */
const format *format_of(const char *name, size_t length);

#endif
