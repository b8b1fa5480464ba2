/* split.c: the hand-written matchers of the two patterns that byte-level vocabularies use, and
   of digits.

   A pattern is an ordered choice, tried at one position after the other; since each of the two
   matches at every position, a matcher only has to say where the match that begins at `at` ends.
   What the alternatives do is spelled out beside the code. No match looks at a character more
   than twice before it is consumed, so that the whole is linear. */
#include "tokenizer/split.h"
#include "tokenizer/utf8.h"

#include <string.h>
#include <utf8proc.h>

const char split_gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char split_llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char split_qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* ---- character classes ----------------------------------------------------------------------- */

enum { OTHER = 0, LETTER = 1, NUMBER = 2, SPACE = 4, NEWLINE = 8, BLANK = SPACE | NEWLINE };

#define L LETTER
#define N NUMBER
#define S SPACE
#define R NEWLINE
static const unsigned char ascii_class[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, R, S, S, R, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, N, N, N, N, N, N, N, N, N, N, 0, 0, 0, 0, 0, 0,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0};
#undef L
#undef N
#undef S
#undef R

bool split_is_space(uint32_t point)
{
    if (point < 0x80)
        return (point >= 9 && point <= 13) || point == 32;
    return point == 0x85 || point == 0xA0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
           point == 0x202F || point == 0x205F || point == 0x3000;
}

/* Alphabetic, mark, decimal digit, connector: Unicode's UTS 18, annex C. */
bool split_is_word(uint32_t point)
{
    switch (utf8proc_category((utf8proc_int32_t)point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* circled and squared Latin letters are symbols, yet alphabetic; so are the joiners */
        return (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) ||
               (point >= 0x1F150 && point <= 0x1F169) || (point >= 0x1F170 && point <= 0x1F189) ||
               point == 0x200C || point == 0x200D;
    }
}

static int class_of(uint32_t point)
{
    if (point < 0x80)
        return ascii_class[point];
    switch (utf8proc_category((utf8proc_int32_t)point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return NUMBER;
    default:
        return split_is_space(point) ? SPACE : OTHER;
    }
}

typedef struct view {
    const unsigned char *text;
    size_t size;
} view;

static inline int class_at(view v, size_t at, size_t *length)
{
    unsigned char byte = v.text[at];
    if (byte < 0x80) {
        *length = 1;
        return ascii_class[byte];
    }
    return class_of(utf8_decode(v.text + at, length));
}

/* Where the run of characters of one class that begins at `at` ends. */
static inline size_t run_end(view v, size_t at, int class)
{
    while (at < v.size) {
        unsigned char byte = v.text[at];
        if (byte < 0x80) {
            if (ascii_class[byte] != class)
                break;
            at++;
        } else {
            size_t length;
            if (class_of(utf8_decode(v.text + at, &length)) != class)
                break;
            at += length;
        }
    }
    return at;
}

/* The same for white space of both kinds; *last_newline: one past the last \r or \n in it, or
   `at`. */
static size_t blank_end(view v, size_t at, size_t *last_newline)
{
    *last_newline = at;
    while (at < v.size) {
        size_t length;
        int class = class_at(v, at, &length);
        if (!(class & BLANK))
            break;
        at += length;
        if (class == NEWLINE)
            *last_newline = at;
    }
    return at;
}

/* \s+(?!\S)|\s+ where a blank run ends at `end`: all of it at the end of the text; otherwise the
   last blank is left for the word behind it, unless it is the only one. */
static size_t blank_match_end(view v, size_t at, size_t end)
{
    if (end == v.size)
        return end;
    size_t without_last = end - utf8_length_before(v.text, end);
    return without_last > at ? without_last : end;
}

/* Where 's, 't, 're, 've, 'm, 'll or 'd at `at` ends, `at` when none is there. Without case, s
   is also U+017F. */
static size_t contraction_end(view v, size_t at, bool caseless)
{
    size_t left = v.size - at;
    const unsigned char *text = v.text + at;
    if (left < 2 || text[0] != '\'')
        return at;
    unsigned char fold = caseless ? 0x20 : 0;
    unsigned char first = text[1] | fold;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return at + 2;
    if (left < 3)
        return at;
    unsigned char second = text[2] | fold;
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
        (first == 'l' && second == 'l'))
        return at + 3;
    return caseless && text[1] == 0xC5 && text[2] == 0xBF ? at + 3 : at;
}

/* ---- GPT-2 ----------------------------------------------------------------------------------- */

static size_t gpt2_end(view v, size_t at)
{
    size_t length, end = contraction_end(v, at, false);
    if (end > at)
        return end;
    /* ` ?\p{L}+`, ` ?\p{N}+`, ` ?[^\s\p{L}\p{N}]+`: one space may stand in front of a run of one
       class. */
    size_t start = v.text[at] == ' ' ? at + 1 : at;
    if (start < v.size) {
        int class = class_at(v, start, &length);
        if (!(class & BLANK)) {
            switch (class) { /* one loop for each class, so that the compiler knows it */
            case LETTER:
                return run_end(v, start + length, LETTER);
            case NUMBER:
                return run_end(v, start + length, NUMBER);
            default:
                return run_end(v, start + length, OTHER);
            }
        }
    }
    size_t newline;
    return blank_match_end(v, at, blank_end(v, at, &newline));
}

/* ---- Llama 3, Qwen2 -------------------------------------------------------------------------- */

static size_t llama3_end(view v, size_t at, int digits)
{
    size_t length, next_length, end = contraction_end(v, at, true);
    if (end > at)
        return end;
    int class = class_at(v, at, &length);
    size_t next = at + length;
    if (class == LETTER)
        return run_end(v, next, LETTER);
    if (class == NUMBER) {
        for (int i = 1; i < digits && next < v.size; i++) {
            if (class_at(v, next, &length) != NUMBER)
                break;
            next += length;
        }
        return next;
    }
    int next_class = next < v.size ? class_at(v, next, &next_length) : SPACE;
    /* `[^\r\n\p{L}\p{N}]?\p{L}+`: any one character but a newline may stand in front of letters. */
    if (class != NEWLINE && next_class == LETTER)
        return run_end(v, next + next_length, LETTER);
    /* ` ?[^\s\p{L}\p{N}]+[\r\n]*` */
    if (class == OTHER || (v.text[at] == ' ' && next_class == OTHER))
        return run_end(v, run_end(v, next, OTHER), NEWLINE);
    /* `\s*[\r\n]+`: up to the last newline among the blanks, then the rest. */
    size_t newline;
    end = blank_end(v, at, &newline);
    return newline > at ? newline : blank_match_end(v, at, end);
}

/* ---- digits ---------------------------------------------------------------------------------- */

static void next_number(view v, size_t at, bool single, size_t *begin, size_t *end)
{
    size_t length = 0;
    while (at < v.size && class_at(v, at, &length) != NUMBER)
        at += length;
    *begin = at;
    if (at == v.size)
        *end = at;
    else
        *end = single ? at + length : run_end(v, at, NUMBER);
}

fr_status split_next(const split *self, split_scratch *scratch, const char *text, size_t size,
                     size_t at, size_t *begin, size_t *end, fr_error *error)
{
    view v = {(const unsigned char *)text, size};
    *begin = at;
    switch (self->kind) {
    case SPLIT_GPT2:
        *end = gpt2_end(v, at);
        return FR_OK;
    case SPLIT_LLAMA3:
        *end = llama3_end(v, at, self->digits);
        return FR_OK;
    case SPLIT_DIGITS:
        next_number(v, at, self->digits == 1, begin, end);
        return FR_OK;
    case SPLIT_REGEX:
        return split_regex_next(self->regex, scratch, text, size, at, begin, end, error);
    case SPLIT_PREFIX_SPACE:
        break;
    }
    *begin = *end = size;
    return FR_OK;
}

fr_status split_from_pattern(split *self, const char *pattern, size_t size, bool literal,
                             fr_error *error)
{
    *self = (split){.keep_matches = true, .keep_gaps = true};
    if (!literal && size == strlen(split_gpt2_pattern) &&
        !memcmp(pattern, split_gpt2_pattern, size)) {
        self->kind = SPLIT_GPT2;
        return FR_OK;
    }
    self->kind = SPLIT_LLAMA3;
    if (!literal && size == strlen(split_llama3_pattern) &&
        !memcmp(pattern, split_llama3_pattern, size)) {
        self->digits = 3;
        return FR_OK;
    }
    if (!literal && size == strlen(split_qwen2_pattern) &&
        !memcmp(pattern, split_qwen2_pattern, size)) {
        self->digits = 1;
        return FR_OK;
    }
    return split_from_regex(self, pattern, size, literal, error);
}
