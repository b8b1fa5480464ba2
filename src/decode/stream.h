/* stream.h: bytes of tokens in, text that may be shown out. */
#ifndef FRUGAL_DECODE_STREAM_H
#define FRUGAL_DECODE_STREAM_H

#include "frugal/decode.h"

/* The text of one row. Starts as {0} with `stop` set. */
typedef struct text_stream {
    const fr_strings *stop;
    fr_buffer pending; /* bytes not given out yet */
    fr_buffer ready; /* valid UTF-8 of the last call, for the caller to give out; empty: nothing */
} text_stream;

/* Append a token's bytes and fill `ready`; true when a stop string is complete (what came before it
   is in `ready`). */
bool text_stream_push(text_stream *stream, const char *bytes, size_t size);
/* The row is over: all that was held back becomes ready. */
void text_stream_end(text_stream *stream);
void text_stream_free(text_stream *stream);

#endif
