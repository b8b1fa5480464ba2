/* split_regex.c: patterns through PCRE2 (compiled to machine code where the library can).

   Files are written for Oniguruma's syntax. The two agree on most of what pre-tokenizers use,
   but not on everything: \h is a hexadecimal digit there and a blank here, [a[bc]] is a union
   there, {,3} and {1,3}+ mean other things, ^ and $ see lines, and \s here includes U+180E. So a
   pattern is first translated by a list of what is known to mean the same; \s and \S are written
   out, and everything that is not on the list is refused by name. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/split.h"

#include <pcre2.h>
#include <string.h>

struct split_regex {
    pcre2_code *code;
};

/* The members of White_Space, and of everything else, as they stand inside a class. */
static const char blanks[] = "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}"
                             "\\x{202F}\\x{205F}\\x{3000}";
static const char not_blanks[] =
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}!-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"
    "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}"
    "\\x{3001}-\\x{D7FF}\\x{E000}-\\x{10FFFF}";

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
    bool letter_or_digit = (letter >= '0' && letter <= '9') || (letter >= 'A' && letter <= 'Z') ||
                           (letter >= 'a' && letter <= 'z');
    if (letter == 0 || (letter_or_digit && !strchr("dDpPrntfvx", letter))) {
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

static fr_status translate(const char *pattern, size_t size, fr_buffer *out, fr_error *error)
{
    bool in_class = false;
    size_t class_start = 0;
    for (size_t at = 0; at < size;) {
        char c = pattern[at];
        const char *rest = pattern + at;
        size_t left = size - at;
        if (c == '\\') {
            FR_TRY(translate_escape(pattern, size, &at, in_class, out, error));
            continue;
        }
        if (in_class) {
            if (c == '[')
                return refuse(error, pattern, size, at, "a class inside a class");
            if (left >= 2 && c == '&' && rest[1] == '&')
                return refuse(error, pattern, size, at, "&& inside a class");
            if (c == ']' && at == class_start)
                return refuse(error, pattern, size, at, "] as the first member of a class");
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
            class_start = at + 1 < size && rest[1] == '^' ? at + 2 : at + 1;
        } else if (c == '(' && left >= 2 && rest[1] == '?' && !known_group(rest + 2, left - 2)) {
            return refuse(error, pattern, size, at, "this kind of group");
        } else if (c == '(' && left >= 2 && rest[1] == '*') {
            return refuse(error, pattern, size, at, "(*");
        } else if (c == '{' && left >= 2 && rest[1] == ',') {
            return refuse(error, pattern, size, at, "{,");
        } else if (c == '}' && left >= 2 && rest[1] == '+') {
            return refuse(error, pattern, size, at, "}+");
        }
        fr_buffer_append(out, &c, 1);
        at++;
    }
    return FR_OK;
}

static fr_status compile(split_regex *regex, const char *pattern, size_t size, bool literal,
                         fr_error *error)
{
    fr_buffer text = {0};
    fr_status status = FR_OK;
    uint32_t options = PCRE2_UTF;
    if (literal) {
        options |= PCRE2_LITERAL;
        fr_buffer_append(&text, pattern, size);
    } else {
        options |= PCRE2_UCP | PCRE2_MULTILINE;
        status = translate(pattern, size, &text, error);
    }
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (status == FR_OK && (text.failed || !context))
        status = fr_fail(error, FR_NO_MEMORY, "no memory for a pattern");
    if (status == FR_OK) {
        int number;
        PCRE2_SIZE place;
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        regex->code =
            pcre2_compile((PCRE2_SPTR)text.data, text.size, options, &number, &place, context);
        if (!regex->code) {
            PCRE2_UCHAR message[160];
            pcre2_get_error_message(number, message, sizeof message);
            status = fr_fail(error, FR_BAD_INPUT, "the pattern '%.*s' cannot be compiled: %s",
                             (int)(size < 120 ? size : 120), pattern, (const char *)message);
        }
    }
    pcre2_compile_context_free(context);
    fr_buffer_free(&text);
    if (status != FR_OK)
        return status;
    /* Where the library cannot make machine code, pcre2_match interprets. */
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    return FR_OK;
}

fr_status split_from_regex(split *self, const char *pattern, size_t size, bool literal,
                           fr_error *error)
{
    *self = (split){.kind = SPLIT_REGEX, .keep_matches = true, .keep_gaps = true};
    self->regex = fr_alloc(sizeof *self->regex, FR_MEMORY_OTHER);
    if (!self->regex)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a pattern");
    fr_status status = compile(self->regex, pattern, size, literal, error);
    if (status != FR_OK)
        split_free(self);
    return status;
}

void split_free(split *self)
{
    if (self->regex) {
        pcre2_code_free(self->regex->code);
        fr_free(self->regex);
        self->regex = NULL;
    }
}

void split_scratch_free(split_scratch *scratch)
{
    pcre2_match_data_free(scratch->match_data);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    *scratch = (split_scratch){0};
}

static fr_status prepare_scratch(split_scratch *scratch, fr_error *error)
{
    if (scratch->stack)
        return FR_OK;
    split_scratch_free(scratch);
    /* One pair: where the whole match is. Patterns with groups need no more for that. */
    scratch->match_data = pcre2_match_data_create(1, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    scratch->stack = pcre2_jit_stack_create((size_t)32 * 1024, (size_t)1024 * 1024, NULL);
    if (!scratch->match_data || !scratch->context || !scratch->stack) {
        split_scratch_free(scratch);
        return fr_fail(error, FR_NO_MEMORY, "no memory for matching a pattern");
    }
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return FR_OK;
}

static int match_once(const split_regex *regex, split_scratch *scratch, const char *text,
                      size_t size, size_t at)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int result = pcre2_match(regex->code, subject, size, at, PCRE2_NO_UTF_CHECK,
                             scratch->match_data, scratch->context);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter works on the heap */
        result = pcre2_match(regex->code, subject, size, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                             scratch->match_data, scratch->context);
    return result;
}

fr_status split_regex_next(const split_regex *regex, split_scratch *scratch, const char *text,
                           size_t size, size_t at, size_t *begin, size_t *end, fr_error *error)
{
    FR_TRY(prepare_scratch(scratch, error));
    do { /* an empty match cuts nothing: go on behind the next character */
        int result = match_once(regex, scratch, text, size, at);
        if (result == PCRE2_ERROR_NOMATCH) {
            *begin = *end = size;
            return FR_OK;
        }
        if (result < 0) {
            PCRE2_UCHAR message[160];
            pcre2_get_error_message(result, message, sizeof message);
            return fr_fail(error, FR_UNSUPPORTED,
                           "the tokenizer's pattern gave up at byte %zu of %zu: %s", at, size,
                           (const char *)message);
        }
        const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(scratch->match_data);
        *begin = pair[0];
        *end = pair[1];
        at = *end;
        if (*begin == *end) {
            at++;
            while (at < size && ((unsigned char)text[at] & 0xC0) == 0x80)
                at++;
        }
    } while (*begin == *end && at < size);
    if (*begin == *end)
        *begin = *end = size;
    return FR_OK;
}
