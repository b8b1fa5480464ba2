/* split_pattern.c: patterns written for Oniguruma, as PCRE2 must read them.

   The two agree on most of what pre-tokenizers use, but not on everything: \h is a hexadecimal
   digit there and a blank here, [a[bc]] is a union there, {,3} and {1,3}+ mean other things, ^ and
   $ see lines, \s here includes U+180E, \w there includes marks. So a pattern is translated by a
   list of what is known to mean the same; \s, \w and \b are written out, a class inside a class
   is spelled into it, and everything that is not on the list is refused by name. */
#include "tokenizer/split.h"

#include <string.h>

/* The members of White_Space, and of everything else, as they stand inside a class. */
static const char blanks[] = "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}"
                             "\\x{202F}\\x{205F}\\x{3000}";
static const char not_blanks[] =
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}!-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"
    "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}"
    "\\x{3001}-\\x{D7FF}\\x{E000}-\\x{10FFFF}";

/* What \w is there: alphabetic, marks, decimal digits, connectors, and in Latin-1 all digits. */
static const char word[] =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}"
    "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";

static fr_status refuse(fr_error *error, const char *pattern, size_t size, size_t at,
                        const char *what)
{
    int shown = (int)(size < 120 ? size : 120);
    return fr_fail(error, FR_UNSUPPORTED, "%s at byte %zu of the pattern '%.*s' is not supported",
                   what, at, shown, pattern);
}

/* The escape at pattern[at] == '\\'; *at moves behind it. */
static fr_status translate_escape(const char *pattern, size_t size, size_t *at, bool in_class,
                                  fr_buffer *out, fr_error *error)
{
    size_t start = *at;
    char letter = start + 1 < size ? pattern[start + 1] : 0;
    *at = start + 2;
    if (letter == 's' || letter == 'S') {
        if (in_class)
            fr_buffer_text(out, letter == 's' ? blanks : not_blanks);
        else
            fr_buffer_printf(out, "[%s%s]", letter == 's' ? "" : "^", blanks);
        return FR_OK;
    }
    if (letter == 'w' || (letter == 'W' && !in_class)) {
        fr_buffer_printf(out, in_class ? "%s" : letter == 'w' ? "[%s]" : "[^%s]", word);
        return FR_OK;
    }
    if ((letter == 'b' || letter == 'B') && !in_class) {
        fr_buffer_printf(out,
                         letter == 'b' ? "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))"
                                       : "(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s]))",
                         word, word, word, word);
        return FR_OK;
    }
    bool letter_or_digit = (letter >= '0' && letter <= '9') || (letter >= 'A' && letter <= 'Z') ||
                           (letter >= 'a' && letter <= 'z');
    bool end_of_text = (letter == 'A' || letter == 'z') && !in_class; /* the same in both */
    if (letter == 0 || (letter_or_digit && !end_of_text && !strchr("dDpPrntfvx", letter))) {
        char name[] = {'\\', letter, 0};
        return refuse(error, pattern, size, start, name);
    }
    if (letter == 'v') { /* the vertical tab there, any vertical blank here */
        fr_buffer_text(out, "\\x0B");
        return FR_OK;
    }
    if (*at < size && pattern[*at] == '{' && strchr("pPx", letter)) { /* \p{L}, \x{2028} */
        while (*at < size && pattern[*at] != '}')
            ++*at;
        *at += *at < size;
    }
    fr_buffer_append(out, pattern + start, *at - start);
    return FR_OK;
}

/* What may follow "(?": groups, look around, atomic groups and the flag i. */
static bool known_group(const char *rest, size_t size)
{
    static const char *const known[] = {":", "=", "!", "<=", "<!", ">", "i:", "-i:", "i)", "-i)"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i]);
        if (length <= size && !memcmp(rest, known[i], length))
            return true;
    }
    return false;
}

/* A bracket inside a class. A class inside it is a union, so that its members may stand in the
   outer one; where they would make a range with their neighbours there, it is refused. */
static fr_status translate_bracket(const char *pattern, size_t size, size_t at, int *depth,
                                   fr_error *error)
{
    char before = at > 0 ? pattern[at - 1] : 0, behind = at + 1 < size ? pattern[at + 1] : 0;
    if (pattern[at] == '[') {
        if (behind == '^' || behind == ':' || behind == ']' || behind == '-' || before == '-')
            return refuse(error, pattern, size, at, "this kind of class inside a class");
        ++*depth;
        return FR_OK;
    }
    if (*depth > 1 && (before == '-' || behind == '-'))
        return refuse(error, pattern, size, at, "this kind of class inside a class");
    --*depth;
    return FR_OK;
}

/* A character outside of classes that PCRE2 would take for something else. */
static fr_status check_plain(const char *pattern, size_t size, size_t at, fr_error *error)
{
    const char *rest = pattern + at;
    size_t left = size - at;
    char next = left >= 2 ? rest[1] : 0;
    if (*rest == '(' && next == '?' && !known_group(rest + 2, left - 2))
        return refuse(error, pattern, size, at, "this kind of group");
    if (*rest == '(' && next == '*')
        return refuse(error, pattern, size, at, "(*");
    if (*rest == '{' && next == ',')
        return refuse(error, pattern, size, at, "{,");
    if (*rest == '}' && next == '+')
        return refuse(error, pattern, size, at, "}+");
    return FR_OK;
}

fr_status split_pattern_translate(const char *pattern, size_t size, fr_buffer *out, fr_error *error)
{
    int depth = 0; /* of classes */
    size_t class_start = 0;
    for (size_t at = 0; at < size;) {
        char c = pattern[at];
        if (c == '\\') {
            FR_TRY(translate_escape(pattern, size, &at, depth > 0, out, error));
            continue;
        }
        if (depth > 0) {
            if (c == '&' && at + 1 < size && pattern[at + 1] == '&')
                return refuse(error, pattern, size, at, "&& inside a class");
            if (c == ']' && at == class_start)
                return refuse(error, pattern, size, at, "] as the first member of a class");
            bool inner = c == '[' || (c == ']' && depth > 1);
            if (c == '[' || c == ']')
                FR_TRY(translate_bracket(pattern, size, at, &depth, error));
            at++;
            if (!inner)
                fr_buffer_append(out, &c, 1);
            continue;
        }
        if (c == '[') {
            depth = 1;
            class_start = at + 1 < size && pattern[at + 1] == '^' ? at + 2 : at + 1;
        }
        FR_TRY(check_plain(pattern, size, at, error));
        fr_buffer_append(out, &c, 1);
        at++;
    }
    return FR_OK;
}
