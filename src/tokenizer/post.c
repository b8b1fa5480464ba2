/* post.c: templates, and blanks off the offsets. */
#include "tokenizer/post.h"
#include "tokenizer/characters.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/utf8.h"

#include <string.h>

void post_free(post *self)
{
    fr_free(self->single.parts);
    fr_free(self->pair.parts);
}

fr_status post_template_add(post_template *self, post_part part, fr_error *error)
{
    post_part *parts = fr_realloc(self->parts, (self->count + 1) * sizeof *parts, FR_MEMORY_OTHER);
    if (!parts)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a template");
    parts[self->count++] = part;
    self->parts = parts;
    return FR_OK;
}

size_t post_template_added(const post_template *self)
{
    size_t added = 0;
    for (size_t i = 0; i < self->count; i++)
        added += self->parts[i].text < 0;
    return added;
}

/* ---- trimming -------------------------------------------------------------------------------- */

/* What a token's blanks are looked for in. */
typedef struct spelled {
    const char *text;
    size_t size;
    bool bytes; /* a blank is the byte 0x20 and nothing else */
} spelled;

static bool is_blank(const spelled *s, size_t at, size_t length)
{
    enum { BYTE_LEVEL_SPACE = 0x120 };
    if (s->bytes)
        return s->text[at] == ' ';
    const unsigned char *here = (const unsigned char *)s->text + at;
    if (utf8_length(here, s->size - at) != length)
        return false;
    uint32_t point = utf8_decode(here, &length);
    return is_space(point) || point == BYTE_LEVEL_SPACE;
}

static size_t leading_blanks(const spelled *s)
{
    size_t count = 0, length;
    for (size_t at = 0; at < s->size; at += length, count++) {
        length = s->bytes ? 1 : utf8_length((const unsigned char *)s->text + at, s->size - at);
        if (!length || !is_blank(s, at, length))
            break;
    }
    return count;
}

static size_t trailing_blanks(const spelled *s)
{
    size_t count = 0, length;
    for (size_t at = s->size; at > 0; at -= length, count++) {
        length = s->bytes ? 1 : utf8_length_before((const unsigned char *)s->text, at);
        if (!is_blank(s, at - length, length))
            break;
    }
    return count;
}

void post_count_blanks(const char *text, size_t size, uint32_t *leading, uint32_t *trailing)
{
    spelled s = {text, size, false};
    *leading = (uint32_t)leading_blanks(&s);
    *trailing = (uint32_t)trailing_blanks(&s);
}

/* `count` characters of the text further, at most to `limit`. */
static size_t forward(const char *text, size_t at, size_t count, size_t limit)
{
    while (count-- > 0 && at < limit) {
        size_t length = utf8_length((const unsigned char *)text + at, limit - at);
        at += length ? length : 1;
    }
    return at;
}

/* `count` characters back; `at` itself when there are not so many. */
static size_t backward(const char *text, size_t at, size_t count)
{
    size_t place = at;
    while (count > 0 && place > 0) {
        size_t length = utf8_length_before((const unsigned char *)text, place);
        if (utf8_length((const unsigned char *)text + place - length, length) != length)
            length = 1;
        place -= length;
        count--;
    }
    return count ? at : place;
}

/* The blanks of a token: those of the vocabulary's text, if no note says otherwise. */
static blank_note blanks_of(const fr_tokenizer *t, const fr_ids *ids, size_t i,
                            const blank_note *note)
{
    const vocabulary *v = &t->model.tokens;
    size_t start = v->start[ids->ids[i]];
    spelled s = {v->bytes + start, v->start[ids->ids[i] + 1] - start, t->model.kind == MODEL_BYTES};
    if (note && note->id == i)
        return *note;
    return (blank_note){i, (uint32_t)leading_blanks(&s), (uint32_t)trailing_blanks(&s)};
}

static void trim(const fr_tokenizer *t, bool keeps_first, const char *text, const fr_buffer *blanks,
                 fr_ids *ids, size_t first)
{
    const blank_note *notes = (const blank_note *)(const void *)blanks->data;
    size_t count = blanks->size / sizeof *notes, next = 0;
    for (size_t i = first; i < ids->count; i++) {
        size_t *begin = &ids->begin[i], *end = &ids->end[i];
        while (next < count && notes[next].id < i)
            next++;
        blank_note token = blanks_of(t, ids, i, next < count ? &notes[next] : NULL);
        bool own = (i == first || *begin == 0) && keeps_first && token.leading == 1;
        if (token.leading && !own)
            *begin = forward(text, *begin, token.leading, *end);
        if (token.trailing) {
            size_t back = backward(text, *end, token.trailing);
            *end = back > *begin ? back : *begin;
        }
    }
}

void post_trim(const fr_tokenizer *tokenizer, const char *text, const fr_buffer *blanks,
               fr_ids *ids, size_t first)
{
    for (size_t i = 0; i < tokenizer->post.trim_count; i++)
        trim(tokenizer, tokenizer->post.trims[i], text, blanks, ids, first);
}
