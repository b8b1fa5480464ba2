/* normalize.c: the steps of a normaliser. */
#include "tokenizer/normalize.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/characters.h"
#include "tokenizer/utf8.h"

#include <string.h>
#include <utf8proc.h>

void normalizer_free(normalizer *self)
{
    fr_free(self->text);
    split_regex_free(self->regex);
    charsmap_free(&self->map);
}

void normalize_scratch_free(normalize_scratch *scratch)
{
    aligned_free(&scratch->texts[0]);
    aligned_free(&scratch->texts[1]);
    fr_buffer_free(&scratch->points);
    split_scratch_free(&scratch->split);
}

static uint32_t next_point(const rewriting *r, size_t *length)
{
    return utf8_decode((const unsigned char *)r->from->text + r->at, length);
}

/* ---- steps that look at one character -------------------------------------------------------- */

/* Drop the characters that `drops` names. */
static void drop(rewriting *r, bool drops(uint32_t point))
{
    size_t length;
    while (r->at < r->from->size) {
        if (drops(next_point(r, &length)))
            rewriting_skip(r, length);
        else
            rewriting_keep(r, length);
    }
}

static void lowercase(rewriting *r)
{
    size_t length;
    while (r->at < r->from->size) {
        uint32_t point = next_point(r, &length), low;
        if (point == 0x130) { /* the one letter that becomes two */
            rewriting_put(r, 'i', 0);
            rewriting_put(r, 0x307, 1);
            continue;
        }
        if (point < 0x80)
            low = point >= 'A' && point <= 'Z' ? point + ('a' - 'A') : point;
        else
            low = (uint32_t)utf8proc_tolower((utf8proc_int32_t)point);
        if (low == point)
            rewriting_keep(r, length);
        else
            rewriting_put(r, low, 0);
    }
}

static void clean(rewriting *r)
{
    size_t length;
    while (r->at < r->from->size) {
        uint32_t point = next_point(r, &length);
        bool blank = point == '\t' || point == '\n' || point == '\r';
        if (point == 0 || point == 0xFFFD || (!blank && is_control(point)))
            rewriting_skip(r, length);
        else if (is_space(point))
            rewriting_put(r, ' ', 0);
        else
            rewriting_keep(r, length);
    }
}

static void space_ideographs(rewriting *r)
{
    size_t length;
    while (r->at < r->from->size) {
        uint32_t point = next_point(r, &length);
        if (!is_ideograph(point)) {
            rewriting_keep(r, length);
            continue;
        }
        rewriting_put(r, ' ', 0);
        rewriting_put(r, point, 1);
        rewriting_put(r, ' ', 1);
    }
}

/* The rules of Google's NMT, as SentencePiece has them. */
static void nmt(rewriting *r)
{
    size_t length;
    while (r->at < r->from->size) {
        uint32_t p = next_point(r, &length);
        bool goes = (p >= 1 && p <= 8) || p == 0xB || (p >= 0xE && p <= 0x1F) || p == 0x7F ||
                    p == 0x8F || p == 0x9F;
        bool blank = p == 9 || p == 0xA || p == 0xC || p == 0xD || p == 0x1680 ||
                     (p >= 0x200B && p <= 0x200F) || p == 0x2028 || p == 0x2029 || p == 0x2581 ||
                     p == 0xFEFF || p == 0xFFFD;
        if (goes)
            rewriting_skip(r, length);
        else if (blank)
            rewriting_put(r, ' ', 0);
        else
            rewriting_keep(r, length);
    }
}

void normalize_byte_level(rewriting *r)
{
    const unsigned char *text = (const unsigned char *)r->from->text;
    while (r->at < r->from->size) {
        size_t at = r->at, length;
        utf8_decode(text + at, &length);
        for (size_t i = 0; i < length; i++)
            rewriting_put(r, byte_level_character(text[at + i]), i > 0);
    }
}

/* ---- the others ------------------------------------------------------------------------------ */

static void strip(const normalizer *step, rewriting *r)
{
    const unsigned char *text = (const unsigned char *)r->from->text;
    size_t begin = 0, end = r->from->size, length;
    while (step->left && begin < end && is_space(utf8_decode(text + begin, &length)))
        begin += length;
    while (step->right && end > begin) {
        size_t last = end - utf8_length_before(text, end);
        if (!is_space(utf8_decode(text + last, &length)))
            break;
        end = last;
    }
    rewriting_skip(r, begin);
    rewriting_keep(r, end - begin);
}

void normalize_prepend(rewriting *r, const char *text, size_t size)
{
    size_t length;
    if (r->from->size == 0)
        return;
    uint32_t first = next_point(r, &length);
    for (size_t at = 0, one; at < size; at += one)
        rewriting_put(r, utf8_decode((const unsigned char *)text + at, &one), at > 0);
    rewriting_put(r, first, 1);
    r->at = length;
    rewriting_keep(r, r->from->size - length);
}

static fr_status replace(const normalizer *step, split_scratch *scratch, rewriting *r,
                         fr_error *error)
{
    const passage *from = r->from;
    split_cursor cursor = SPLIT_CURSOR_START;
    size_t begin, end;
    while (from->size) {
        bool found;
        FR_TRY(split_regex_find(step->regex, scratch, from->text, from->size, &cursor, &begin, &end,
                                &found, error));
        if (!found)
            break;
        rewriting_keep(r, begin - r->at);
        rewriting_skip(r, end - begin);
        rewriting_insert(r, step->text, step->text_size, rewriting_before(r));
    }
    rewriting_keep(r, from->size - r->at);
    return FR_OK;
}

/* What the compiled rules make of one part of the text; false: nothing. The last characters of
   the replacement answer for a change of length. */
static bool apply_rule(const charsmap *map, fr_buffer *points, const char *part, size_t size)
{
    size_t new_size, old_count = 0, new_count = 0, length;
    const char *text = charsmap_find(map, part, size, &new_size);
    if (!text)
        return false;
    for (size_t at = 0; at < size; at += length, old_count++)
        utf8_decode((const unsigned char *)part + at, &length);
    for (size_t at = 0; at < new_size; at += length, new_count++) {
        int64_t entry[2] = {utf8_decode((const unsigned char *)text + at, &length), 0};
        fr_buffer_append(points, entry, sizeof entry);
    }
    int64_t(*entries)[2] = (int64_t(*)[2])(void *)points->data;
    size_t count = points->size / sizeof *entries;
    if (points->failed)
        return true;
    for (size_t i = old_count; i < new_count; i++)
        entries[count - 1 - (i - old_count)][1] = 1;
    if (new_count < old_count && count > 0)
        entries[count - 1][1] -= (int64_t)(old_count - new_count);
    return true;
}

static void keep_character(fr_buffer *points, const char *part, size_t *length)
{
    int64_t entry[2] = {utf8_decode((const unsigned char *)part, length), 0};
    fr_buffer_append(points, entry, sizeof entry);
}

/* Rules are asked for whole grapheme clusters of up to 5 bytes, then for single characters: the
   peer's way, which is not SentencePiece's own. */
static void apply_charsmap(const charsmap *map, fr_buffer *points, rewriting *r)
{
    enum { LONG_CLUSTER = 6 };
    const char *text = r->from->text;
    const unsigned char *bytes = (const unsigned char *)text;
    size_t size = r->from->size;
    bool changed = false;
    fr_buffer_clear(points);
    for (size_t begin = 0, end; begin < size; begin = end) {
        size_t length;
        utf8proc_int32_t state = 0;
        utf8proc_int32_t last = (utf8proc_int32_t)utf8_decode(bytes + begin, &length), next;
        for (end = begin + length; end < size; end += length, last = next) {
            next = (utf8proc_int32_t)utf8_decode(bytes + end, &length);
            if (utf8proc_grapheme_break_stateful(last, next, &state))
                break;
        }
        if (end - begin < LONG_CLUSTER && apply_rule(map, points, text + begin, end - begin)) {
            changed = true;
            continue;
        }
        for (size_t at = begin; at < end; at += length) {
            utf8_decode(bytes + at, &length);
            if (apply_rule(map, points, text + at, length))
                changed = true;
            else
                keep_character(points, text + at, &length);
        }
    }
    if (!changed) {
        rewriting_keep(r, size);
        return;
    }
    const int64_t(*entries)[2] = (const int64_t(*)[2])(const void *)points->data;
    for (size_t i = 0; !points->failed && i < points->size / sizeof *entries; i++)
        rewriting_put(r, (uint32_t)entries[i][0], entries[i][1]);
    r->to->failed |= points->failed;
}

/* ---- all together ---------------------------------------------------------------------------- */

static bool has_other_than_ascii(const char *text, size_t size)
{
    return !normalize_form_is_plain(NORMALIZE_NFD, text, size);
}

/* True when a glance says that the step leaves the text as it is. */
static bool leaves(const normalizer *step, const passage *p)
{
    switch (step->kind) {
    case NORMALIZE_NFC:
    case NORMALIZE_NFD:
    case NORMALIZE_NFKC:
    case NORMALIZE_NFKD:
        return normalize_form_is_plain(step->kind, p->text, p->size);
    case NORMALIZE_STRIP_MARKS:
    case NORMALIZE_STRIP_ACCENTS:
    case NORMALIZE_IDEOGRAPHS:
        return !has_other_than_ascii(p->text, p->size);
    default:
        return p->size == 0;
    }
}

static fr_status run_step(const normalizer *step, normalize_scratch *scratch, rewriting *r,
                          fr_error *error)
{
    switch (step->kind) {
    case NORMALIZE_NFC:
    case NORMALIZE_NFD:
    case NORMALIZE_NFKC:
    case NORMALIZE_NFKD:
        normalize_form(step->kind, &scratch->points, r);
        break;
    case NORMALIZE_LOWERCASE:
        lowercase(r);
        break;
    case NORMALIZE_STRIP:
        strip(step, r);
        break;
    case NORMALIZE_STRIP_MARKS:
        drop(r, is_mark);
        break;
    case NORMALIZE_STRIP_ACCENTS:
        drop(r, is_mark_nonspacing);
        break;
    case NORMALIZE_CLEAN:
        clean(r);
        break;
    case NORMALIZE_IDEOGRAPHS:
        space_ideographs(r);
        break;
    case NORMALIZE_PREPEND:
        normalize_prepend(r, step->text, step->text_size);
        break;
    case NORMALIZE_REPLACE:
        return replace(step, &scratch->split, r, error);
    case NORMALIZE_NMT:
        nmt(r);
        break;
    case NORMALIZE_BYTE_LEVEL:
        normalize_byte_level(r);
        break;
    case NORMALIZE_CHARSMAP:
        apply_charsmap(&step->map, &scratch->points, r);
        break;
    }
    return FR_OK;
}

fr_status normalize(const normalizer *steps, size_t count, normalize_scratch *scratch,
                    passage *text, fr_error *error)
{
    size_t turn = 0;
    for (size_t i = 0; i < count; i++) {
        if (leaves(&steps[i], text))
            continue;
        passage before = *text;
        rewriting r = rewriting_start(&before, &scratch->texts[turn++ % 2]);
        FR_TRY(run_step(&steps[i], scratch, &r, error));
        FR_TRY(rewriting_finish(&r, text, error));
    }
    return FR_OK;
}
