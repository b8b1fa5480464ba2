/* stream.h: the bytes of a text file, decompressed and in UTF-8, a piece at a time. */
#ifndef FRUGAL_DATA_STREAM_H
#define FRUGAL_DATA_STREAM_H

#include "frugal/base.h"

/* How a file is packed, by the end of its name: ".gz", ".zst", ".xz". */
typedef enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD, PACKING_XZ } packing;
/* The packing, and the length of `name` without that ending. */
packing packing_of(const char *name, size_t *stem);

/* Unpacks one kind of compressed stream. step consumes input and produces output, at least one of
   them when it can; `boundary` is true after it when the input so far is a whole number of members.
   */
typedef struct unpacker {
    const unsigned char *in;
    size_t in_size;
    unsigned char *out;
    size_t out_size;
    bool boundary;
    void *own;
} unpacker;
fr_status unpacker_open(unpacker *u, packing kind, fr_error *error);
/* `last`: no input follows. On failure `reason` says what is wrong, in words that follow "FILE:
   byte N: ". */
fr_status unpacker_step(unpacker *u, packing kind, bool last, const char **reason);
void unpacker_close(unpacker *u, packing kind);

typedef struct text_stream text_stream;
fr_status text_stream_open(text_stream **stream, const char *path, fr_error *error);
/* Up to `capacity` bytes (at least 16); *got 0 at the end. A byte-order mark is dropped, UTF-16
   with one becomes UTF-8. */
fr_status text_stream_read(text_stream *stream, char *out, size_t capacity, size_t *got,
                           fr_error *error);
uint64_t text_stream_position(const text_stream *stream); /* bytes of the file read so far */
void text_stream_close(text_stream *stream);              /* NULL is allowed */

#endif
