/* aligned.c: rewriting text with the way back. */
#include "tokenizer/aligned.h"
#include "tokenizer/utf8.h"

#include <string.h>

passage passage_part(const passage *whole, size_t begin, size_t end)
{
    passage part = *whole;
    part.text = whole->text + begin;
    part.size = end - begin;
    if (whole->origin) {
        part.origin = whole->origin + begin;
        part.base = begin < whole->size ? part.origin->begin : whole->base;
    } else {
        part.base = (uint32_t)(whole->base + begin);
    }
    return part;
}

span passage_origin(const passage *p, size_t at)
{
    if (p->origin)
        return p->origin[at];
    size_t begin = at, end = at + 1;
    if (!p->bytewise) {
        while (begin > 0 && ((unsigned char)p->text[begin] & 0xC0) == 0x80)
            begin--;
        while (end < p->size && ((unsigned char)p->text[end] & 0xC0) == 0x80)
            end++;
    }
    return (span){(uint32_t)(p->base + begin), (uint32_t)(p->base + end)};
}

void aligned_free(aligned *self)
{
    fr_free(self->text);
    fr_free(self->origin);
    *self = (aligned){0};
}

/* Room for `more` bytes (and their places). */
static bool reserve(aligned *a, size_t more, bool tracked)
{
    size_t wanted = a->size + more;
    if (a->failed)
        return false;
    if (wanted >= a->capacity) {
        size_t capacity = wanted + wanted / 2 + 64;
        char *text = fr_realloc(a->text, capacity, FR_MEMORY_OTHER);
        a->failed = !text;
        if (!text)
            return false;
        a->text = text;
        a->capacity = capacity;
    }
    if (tracked && a->origin_capacity < a->capacity) {
        span *origin = fr_realloc(a->origin, a->capacity * sizeof *origin, FR_MEMORY_OTHER);
        a->failed = !origin;
        if (!origin)
            return false;
        a->origin = origin;
        a->origin_capacity = a->capacity;
    }
    return true;
}

rewriting rewriting_start(const passage *from, aligned *to)
{
    to->size = 0;
    to->failed = false;
    rewriting r = {from, to, 0};
    reserve(to, from->size + from->size / 8, from->tracked);
    return r;
}

void rewriting_insert(rewriting *r, const char *text, size_t size, span where)
{
    aligned *to = r->to;
    if (!reserve(to, size, r->from->tracked))
        return;
    memcpy(to->text + to->size, text, size);
    for (size_t i = 0; r->from->tracked && i < size; i++)
        to->origin[to->size + i] = where;
    to->size += size;
}

span rewriting_before(const rewriting *r)
{
    if (!r->from->tracked)
        return (span){0, 0};
    return r->at > 0 ? passage_origin(r->from, r->at - 1) : (span){r->from->base, r->from->base};
}

/* Bytes of the character that is read next. */
static size_t next_length(const rewriting *r)
{
    const unsigned char *text = (const unsigned char *)r->from->text;
    return r->at < r->from->size ? utf8_length(text + r->at, r->from->size - r->at) : 0;
}

void rewriting_put(rewriting *r, uint32_t point, int64_t change)
{
    unsigned char text[4];
    size_t length = utf8_encode(point, text);
    span where = {0, 0};
    if (change > 0 || r->at >= r->from->size) {
        where = rewriting_before(r);
    } else {
        if (r->from->tracked)
            where = passage_origin(r->from, r->at);
        for (; change <= 0; change++)
            r->at += next_length(r);
    }
    rewriting_insert(r, (const char *)text, length, where);
}

void rewriting_keep(rewriting *r, size_t size)
{
    aligned *to = r->to;
    if (!reserve(to, size, r->from->tracked))
        return;
    memcpy(to->text + to->size, r->from->text + r->at, size);
    if (r->from->tracked && r->from->origin) {
        memcpy(to->origin + to->size, r->from->origin + r->at, size * sizeof *to->origin);
    } else if (r->from->tracked) {
        for (size_t i = 0; i < size; i++)
            to->origin[to->size + i] = passage_origin(r->from, r->at + i);
    }
    to->size += size;
    r->at += size;
}

void rewriting_skip(rewriting *r, size_t size)
{
    r->at += size;
}

fr_status rewriting_finish(const rewriting *r, passage *result, fr_error *error)
{
    if (r->to->failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory to rewrite %zu bytes of text",
                       r->from->size);
    passage p = *r->from;
    p.text = r->to->text;
    p.size = r->to->size;
    p.origin = p.tracked ? r->to->origin : NULL;
    p.bytewise = false;
    *result = p;
    return FR_OK;
}
