/* split.c: the matchers written by hand: the two patterns that byte-level vocabularies use, and
   the classes of characters that others cut at.

   A pattern is an ordered choice, tried at one position after the other; since each of the two
   matches at every position, a matcher only has to say where the match that begins at `at` ends.
   What the alternatives do is spelled out beside the code. No match looks at a character more
   than twice before it is consumed, so that the whole is linear. */
#include "tokenizer/split.h"
#include "tokenizer/characters.h"
#include "tokenizer/utf8.h"

#include <string.h>

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

static int class_of(uint32_t point)
{
    if (point < 0x80)
        return ascii_class[point];
    if (is_letter(point))
        return LETTER;
    if (is_number(point))
        return NUMBER;
    return is_space(point) ? SPACE : OTHER;
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

/* ---- classes of characters ------------------------------------------------------------------- */

/* The next run of characters of the class, or the first one of it alone. */
static bool next_of_class(view v, size_t at, bool belongs(uint32_t point), bool single,
                          size_t *begin, size_t *end)
{
    size_t length = 0;
    while (at < v.size && !belongs(utf8_decode(v.text + at, &length)))
        at += length;
    *begin = *end = at;
    if (at == v.size)
        return false;
    do
        *end += length;
    while (!single && *end < v.size && belongs(utf8_decode(v.text + *end, &length)));
    return true;
}

static bool is_sign(uint32_t point)
{
    return !is_word(point) && !is_space(point);
}

/* `\w+|[^\w\s]+` */
static bool next_word(view v, size_t at, size_t *begin, size_t *end)
{
    size_t length = 0;
    while (at < v.size && is_space(utf8_decode(v.text + at, &length)))
        at += length;
    if (at == v.size)
        return false;
    bool word = is_word(utf8_decode(v.text + at, &length));
    return next_of_class(v, at, word ? is_word : is_sign, false, begin, end);
}

static bool next_character(view v, size_t at, const char *mark, size_t *begin, size_t *end)
{
    size_t length = strlen(mark);
    while (at < v.size) {
        const unsigned char *place = memchr(v.text + at, (unsigned char)mark[0], v.size - at);
        if (!place)
            return false;
        at = (size_t)(place - v.text);
        if (v.size - at >= length && !memcmp(place, mark, length)) {
            *begin = at;
            *end = at + length;
            return true;
        }
        at++;
    }
    return false;
}

static bool next_length(view v, size_t at, int64_t characters, size_t *begin, size_t *end)
{
    *begin = at;
    for (size_t length; characters > 0 && at < v.size; characters--, at += length)
        utf8_decode(v.text + at, &length);
    *end = at;
    return at > *begin;
}

/* ---- all of them ----------------------------------------------------------------------------- */

bool split_rewrites(const split *self)
{
    return self->kind == SPLIT_PREFIX_SPACE || self->kind == SPLIT_BYTE_LEVEL ||
           self->kind == SPLIT_METASPACE;
}

size_t split_match_end(const split *self, const char *text, size_t size, size_t at)
{
    view v = {(const unsigned char *)text, size};
    return self->kind == SPLIT_GPT2 ? gpt2_end(v, at) : llama3_end(v, at, self->digits);
}

fr_status split_next(const split *self, split_scratch *scratch, const char *text, size_t size,
                     split_cursor *cursor, size_t *begin, size_t *end, bool *found, fr_error *error)
{
    view v = {(const unsigned char *)text, size};
    size_t at = cursor->at;
    switch (self->kind) {
    case SPLIT_REGEX:
        return split_regex_find(self->regex, scratch, text, size, cursor, begin, end, found, error);
    case SPLIT_GPT2:
    case SPLIT_LLAMA3:
        *begin = at;
        *found = at < size;
        *end = *found ? split_match_end(self, text, size, at) : at;
        break;
    case SPLIT_DIGITS:
        *found = next_of_class(v, at, is_number, self->digits == 1, begin, end);
        break;
    case SPLIT_SPACES:
        *found = next_of_class(v, at, is_space, false, begin, end);
        break;
    case SPLIT_PUNCTUATION:
        *found = next_of_class(v, at, is_punctuation, true, begin, end);
        break;
    case SPLIT_CHARACTER:
        *found = next_character(v, at, self->mark, begin, end);
        break;
    case SPLIT_WORDS:
        *found = next_word(v, at, begin, end);
        break;
    case SPLIT_LENGTH:
        *found = next_length(v, at, self->length, begin, end);
        break;
    case SPLIT_PREFIX_SPACE:
    case SPLIT_BYTE_LEVEL:
    case SPLIT_METASPACE:
        *found = false;
        break;
    }
    if (*found)
        cursor->at = cursor->last_end = *end;
    return FR_OK;
}

fr_status split_from_pattern(split *self, const char *pattern, size_t size, bool literal,
                             fr_error *error)
{
    static const struct known {
        const char *pattern;
        split_kind kind;
        int digits;
    } known[] = {{split_gpt2_pattern, SPLIT_GPT2, 0},
                 {split_llama3_pattern, SPLIT_LLAMA3, 3},
                 {split_qwen2_pattern, SPLIT_LLAMA3, 1}};
    *self = (split){.keep_matches = true, .keep_gaps = true};
    for (size_t i = 0; !literal && i < sizeof known / sizeof *known; i++)
        if (size == strlen(known[i].pattern) && !memcmp(pattern, known[i].pattern, size)) {
            self->kind = known[i].kind;
            self->digits = known[i].digits;
            return FR_OK;
        }
    return split_from_regex(self, pattern, size, literal, error);
}

fr_status split_from_regex(split *self, const char *pattern, size_t size, bool literal,
                           fr_error *error)
{
    *self = (split){.kind = SPLIT_REGEX, .keep_matches = true, .keep_gaps = true};
    return split_regex_create(&self->regex, pattern, size, literal, error);
}

void split_free(split *self)
{
    split_regex_free(self->regex);
    self->regex = NULL;
}
