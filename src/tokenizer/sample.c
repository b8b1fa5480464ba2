/* sample.c: an even sample of a stream of documents whose length nobody knows, in bounded
   memory.

   Every document gets a number drawn for its place in the stream; those with the smallest
   numbers stay, as many as fit. That is an even sample without replacement at every moment
   (Vitter's reservoir with the keys kept), and it depends on nothing but the documents. A long
   document is taken apart first, in front of a blank, where no pattern of ours joins: one book
   is many parts, so that a corpus of few long documents is sampled evenly too. */
#include "tokenizer/train.h"

#include <string.h>

enum { PART_BYTES = 1 << 20 };
static const uint64_t sample_seed =
    0x746F6B656E73; /* "tokens": not the run's, so that a tokenizer depends on the text alone */

static void sift_up(sample_part *parts, size_t at)
{
    sample_part part = parts[at];
    for (; at > 0 && parts[(at - 1) / 2].key < part.key; at = (at - 1) / 2)
        parts[at] = parts[(at - 1) / 2];
    parts[at] = part;
}

static void sift_down(sample_part *parts, size_t count, size_t at)
{
    sample_part part = parts[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && parts[child + 1].key > parts[child].key)
            child++;
        if (parts[child].key <= part.key)
            break;
        parts[at] = parts[child];
    }
    parts[at] = part;
}

static void drop_largest_key(sample *s)
{
    s->bytes -= s->parts[0].size;
    fr_free(s->parts[0].text);
    s->parts[0] = s->parts[--s->count];
    if (s->count)
        sift_down(s->parts, s->count, 0);
}

static fr_status keep(sample *s, const char *text, size_t size, uint64_t key, fr_error *error)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 256;
        sample_part *parts = fr_realloc(s->parts, capacity * sizeof *parts, FR_MEMORY_DATA);
        if (!parts)
            return fr_fail(error, FR_NO_MEMORY, "no memory for %zu documents", capacity);
        s->parts = parts;
        s->capacity = capacity;
    }
    char *copy = fr_alloc(size, FR_MEMORY_DATA);
    if (!copy)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a document of %zu bytes", size);
    memcpy(copy, text, size);
    s->parts[s->count] = (sample_part){copy, size, key};
    s->bytes += size;
    sift_up(s->parts, s->count++);
    return FR_OK;
}

static fr_status offer(sample *s, const char *text, size_t size, size_t limit, uint64_t number,
                       fr_error *error)
{
    uint32_t bits[4];
    fr_random_bits(sample_seed, FR_RANDOM_SHUFFLE, 0, number, bits);
    uint64_t key = (uint64_t)bits[0] << 32 | bits[1];
    while (s->count && s->bytes + size > limit && s->parts[0].key > key)
        drop_largest_key(s);
    return s->bytes + size <= limit ? keep(s, text, size, key, error) : FR_OK;
}

/* True when no pattern makes one piece of what meets here: a visible character and a space, or a
   letter or digit and a newline. */
static bool may_cut(char before, char behind)
{
    bool visible = before > ' ' && before < 0x7F;
    bool word = visible &&
                ((before | 0x20) >= 'a' ? (before | 0x20) <= 'z' : before >= '0' && before <= '9');
    return (visible && behind == ' ') || (word && behind == '\n');
}

/* How much of a document the next part takes, at most `most` bytes. */
static size_t part_size(const char *text, size_t size, size_t most)
{
    if (size <= most)
        return size;
    for (size_t end = most; end > most / 2; end--)
        if (may_cut(text[end - 1], text[end]))
            return end;
    for (size_t end = most; end + 4 > most && end > 1; end--)
        if (((unsigned char)text[end] & 0xC0) != 0x80) /* a character begins here */
            return end;
    return most;
}

fr_status sample_draw(sample *out, int64_t limit, fr_text_next *next, void *context,
                      fr_error *error)
{
    *out = (sample){0};
    size_t bytes = limit > 0 ? (size_t)limit : 1, most = bytes < PART_BYTES ? bytes : PART_BYTES;
    for (uint64_t number = 0;;) {
        const char *text;
        size_t size;
        FR_TRY(next(context, &text, &size, error));
        if (!text)
            return FR_OK;
        if (fr_interrupted())
            return fr_fail(error, FR_INTERRUPTED,
                           "interrupted while reading text for the tokenizer");
        for (size_t part; size > 0; text += part, size -= part) {
            part = part_size(text, size, most);
            FR_TRY(offer(out, text, part, bytes, number++, error));
        }
    }
}

void sample_free(sample *self)
{
    for (size_t i = 0; i < self->count; i++)
        fr_free(self->parts[i].text);
    fr_free(self->parts);
    *self = (sample){0};
}
