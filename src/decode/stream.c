/* stream.c: what of a row's text may be shown while it is being made.

   Tokens are pieces of bytes: a character may begin in one and end in the next, and a stop string
   may be spread over several. So bytes wait in `pending` until it is certain what they are:

       - the end of `pending` that could still grow into a stop string waits;
       - an unfinished character at the end of the rest waits.

   Bytes that cannot be a part of a character become U+FFFD, one for each maximal beginning of a
   character that broke off (Unicode 15, section 3.9, "substitution of maximal subparts"), which is
   what other tokenizers print. */
#include "decode/stream.h"

#include <string.h>

/* Length of the character at `text`; 0: it may still become one; -n: n bytes that never will. */
static int character(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4)
        return -1;
    /* The second byte's range keeps out overlong forms, surrogates and what lies above U+10FFFF. */
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= size)
            return 0;
        if (text[i] < low || text[i] > high)
            return -i;
        low = 0x80, high = 0xBF;
    }
    return length;
}

/* Move the first `count` pending bytes to `ready` as characters; at the end also an unfinished one.
 */
static void give(text_stream *stream, size_t count, bool end)
{
    const unsigned char *text = (const unsigned char *)stream->pending.data;
    size_t done = 0;
    while (done < count) {
        int length = character(text + done, count - done);
        if (length == 0 && !end)
            break;
        if (length > 0)
            fr_buffer_append(&stream->ready, text + done, (size_t)length);
        else
            fr_buffer_text(&stream->ready, "\xEF\xBF\xBD");
        done += length > 0 ? (size_t)length : length < 0 ? (size_t)-length : count - done;
    }
    if (!done)
        return;
    memmove(stream->pending.data, stream->pending.data + done, stream->pending.size - done);
    stream->pending.size -= done;
}

/* Place of the earliest complete stop string, or SIZE_MAX; `held` receives how many bytes at the
   end may begin one. */
static size_t find_stop(const text_stream *stream, size_t *held)
{
    const fr_buffer *pending = &stream->pending;
    for (size_t place = 0; place < pending->size; place++)
        for (size_t i = 0; i < stream->stop->count; i++) {
            const char *stop = stream->stop->items[i];
            size_t length = strlen(stop), rest = pending->size - place;
            if (length == 0 ||
                memcmp(pending->data + place, stop, length < rest ? length : rest) != 0)
                continue;
            if (*held == 0)
                *held = rest;
            if (length <= rest)
                return place;
        }
    return SIZE_MAX;
}

bool text_stream_push(text_stream *stream, const char *bytes, size_t size)
{
    fr_buffer_clear(&stream->ready);
    fr_buffer_append(&stream->pending, bytes, size);
    if (stream->pending.failed)
        return false;
    size_t held = 0, place = find_stop(stream, &held);
    if (place != SIZE_MAX) {
        stream->pending.size = place;
        give(stream, place, true);
        return true;
    }
    give(stream, stream->pending.size - held, false);
    return false;
}

void text_stream_end(text_stream *stream)
{
    fr_buffer_clear(&stream->ready);
    give(stream, stream->pending.size, true);
}

void text_stream_free(text_stream *stream)
{
    fr_buffer_free(&stream->pending);
    fr_buffer_free(&stream->ready);
}
