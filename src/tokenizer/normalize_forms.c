/* normalize_forms.c: NFC, NFD, NFKC, NFKD, told character by character.

   Unicode annex 15: decompose, order marks by combining class, and, for the C forms, compose
   again. utf8proc knows the decompositions, classes and compositions; the walk is written out
   here because offsets need to know which characters became which. What each character says it
   stands for (aligned.h) follows Hugging Face's fork of unicode-normalization: the first
   character of a decomposition takes the place of the decomposed one, the others are additions;
   a composition takes the place of all that went into it.

   Work goes stretch by stretch. A stretch begins at a character that neither is a mark nor joins
   the one before it (a Hangul vowel or final consonant, a Kirat Rai vowel sign), so that the
   forms of stretches are the form of the whole. */
#include "tokenizer/normalize.h"
#include "tokenizer/characters.h"
#include "tokenizer/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

typedef struct symbol {
    utf8proc_int32_t point;
    int64_t change;
    int class;    /* canonical combining class */
    size_t place; /* before marks were ordered */
} symbol;

static bool composes(normalizer_kind form)
{
    return form == NORMALIZE_NFC || form == NORMALIZE_NFKC;
}

static bool is_compatible(normalizer_kind form)
{
    return form == NORMALIZE_NFKC || form == NORMALIZE_NFKD;
}

bool normalize_form_is_plain(normalizer_kind form, const char *text, size_t size)
{
    /* Characters below U+0300 (whose bytes are below 0xCC) are in NFC and join nothing. */
    unsigned char least = form == NORMALIZE_NFC ? 0xCC : 0x80;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= least)
            return false;
    return true;
}

static int class_of(utf8proc_int32_t point)
{
    return utf8proc_get_property(point)->combining_class;
}

/* The full decomposition of a character; returns its length. */
enum { LONGEST_DECOMPOSITION = 32 }; /* U+FDFA has 18 */
static size_t parts_of(uint32_t point, bool compatible,
                       utf8proc_int32_t parts[LONGEST_DECOMPOSITION])
{
    int options = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t count = utf8proc_decompose_char(
        (utf8proc_int32_t)point, parts, LONGEST_DECOMPOSITION, (utf8proc_option_t)options, NULL);
    if (count >= 1 && count <= LONGEST_DECOMPOSITION)
        return (size_t)count;
    parts[0] = (utf8proc_int32_t)point;
    return 1;
}

/* True when a stretch may begin at this character. */
static bool begins_stretch(uint32_t point, bool compatible)
{
    if (point < 0x300)
        return true;
    /* Half-width marks and Hangul letters of the compatibility blocks stand for such as join. */
    if (compatible && point >= 0x3131) {
        utf8proc_int32_t parts[LONGEST_DECOMPOSITION];
        parts_of(point, true, parts);
        point = (uint32_t)parts[0];
    }
    if ((point >= 0x1160 && point <= 0x11FF) || (point >= 0x16D40 && point <= 0x16D7F))
        return false;
    return !is_mark(point);
}

static void decompose(fr_buffer *out, uint32_t point, bool compatible)
{
    utf8proc_int32_t parts[LONGEST_DECOMPOSITION];
    size_t count = parts_of(point, compatible, parts), place = out->size / sizeof(symbol);
    for (size_t i = 0; i < count; i++) {
        symbol s = {parts[i], i > 0, class_of(parts[i]), place + i};
        fr_buffer_append(out, &s, sizeof s);
    }
}

static int compare_marks(const void *a, const void *b)
{
    const symbol *left = a, *right = b;
    if (left->class != right->class)
        return left->class < right->class ? -1 : 1;
    return left->place < right->place ? -1 : 1;
}

/* Runs of marks by class; those of one class stay in their order. */
static void order_marks(symbol *list, size_t count)
{
    for (size_t begin = 0, end; begin < count; begin = end) {
        end = begin + 1;
        while (list[begin].class && end < count && list[end].class)
            end++;
        if (end - begin > 1)
            qsort(list + begin, end - begin, sizeof *list, compare_marks);
    }
}

/* The character that two compose to, 0: none. */
static utf8proc_int32_t compose(utf8proc_int32_t first, utf8proc_int32_t second)
{
    utf8proc_int32_t pair[2] = {first, second};
    return utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE) == 1 ? pair[0] : 0;
}

/* Compose in place; returns how many are left. A mark is blocked from the last starter by one of
   its own or a higher class between them. */
static size_t compose_marks(symbol *list, size_t count)
{
    size_t kept = 0, starter = SIZE_MAX;
    int last = 0; /* class of the last symbol kept behind the starter, 0: none */
    for (size_t i = 0; i < count; i++) {
        symbol s = list[i];
        bool blocked = starter == SIZE_MAX || (last && last >= s.class);
        utf8proc_int32_t joined = blocked ? 0 : compose(list[starter].point, s.point);
        if (joined) {
            list[starter].point = joined;
            list[starter].change += s.change - 1;
            continue;
        }
        last = s.class;
        if (!s.class)
            starter = kept;
        list[kept++] = s;
    }
    return kept;
}

static void put_stretch(normalizer_kind form, fr_buffer *work, rewriting *r, size_t end)
{
    const unsigned char *text = (const unsigned char *)r->from->text;
    fr_buffer_clear(work);
    for (size_t at = r->at, length; at < end; at += length)
        decompose(work, utf8_decode(text + at, &length), is_compatible(form));
    if (work->failed) {
        r->to->failed = true;
        return;
    }
    symbol *list = (symbol *)(void *)work->data;
    size_t count = work->size / sizeof *list;
    order_marks(list, count);
    if (composes(form))
        count = compose_marks(list, count);
    for (size_t i = 0; i < count; i++)
        rewriting_put(r, (uint32_t)list[i].point, list[i].change);
    r->at = end;
}

void normalize_form(normalizer_kind form, fr_buffer *work, rewriting *r)
{
    const unsigned char *text = (const unsigned char *)r->from->text;
    size_t size = r->from->size, at = 0, plain = 0;
    bool compatible = is_compatible(form);
    uint32_t unchanged = form == NORMALIZE_NFC ? 0x300 : 0x80;
    while (at < size) {
        size_t length, next_length = 0;
        uint32_t point = utf8_decode(text + at, &length);
        size_t end = at + length;
        while (end < size && !begins_stretch(utf8_decode(text + end, &next_length), compatible))
            end += next_length;
        if (point >= unchanged || end > at + length) {
            rewriting_keep(r, at - plain);
            put_stretch(form, work, r, end);
            plain = end;
        }
        at = end;
    }
    rewriting_keep(r, size - plain);
}
