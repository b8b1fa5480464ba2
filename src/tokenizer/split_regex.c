/* split_regex.c: patterns through PCRE2 (compiled to machine code where the library can). */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/split.h"

#include <pcre2.h>

struct split_regex {
    pcre2_code *code;
};

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
        status = split_pattern_translate(pattern, size, &text, error);
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

fr_status split_regex_create(split_regex **regex, const char *pattern, size_t size, bool literal,
                             fr_error *error)
{
    split_regex *made = fr_alloc(sizeof *made, FR_MEMORY_OTHER);
    *regex = NULL;
    if (!made)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a pattern");
    fr_status status = compile(made, pattern, size, literal, error);
    if (status == FR_OK)
        *regex = made;
    else
        split_regex_free(made);
    return status;
}

void split_regex_free(split_regex *regex)
{
    if (regex)
        pcre2_code_free(regex->code);
    fr_free(regex);
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

/* One past the character at `at`. */
static size_t behind_character(const char *text, size_t size, size_t at)
{
    at++;
    while (at < size && ((unsigned char)text[at] & 0xC0) == 0x80)
        at++;
    return at;
}

fr_status split_regex_find(const split_regex *regex, split_scratch *scratch, const char *text,
                           size_t size, split_cursor *cursor, size_t *begin, size_t *end,
                           bool *found, fr_error *error)
{
    FR_TRY(prepare_scratch(scratch, error));
    *found = false;
    while (cursor->at <= size) {
        int result = match_once(regex, scratch, text, size, cursor->at);
        if (result == PCRE2_ERROR_NOMATCH)
            return FR_OK;
        if (result < 0) {
            PCRE2_UCHAR message[160];
            pcre2_get_error_message(result, message, sizeof message);
            return fr_fail(error, FR_UNSUPPORTED,
                           "the tokenizer's pattern gave up at byte %zu of %zu: %s", cursor->at,
                           size, (const char *)message);
        }
        const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(scratch->match_data);
        if (pair[0] > pair[1]) /* \K in a look behind; patterns with it are refused */
            return FR_OK;
        if (pair[0] == pair[1] && pair[1] == cursor->last_end) {
            /* Nothing, right behind the last match: search on behind the next character. */
            cursor->at = behind_character(text, size, cursor->at);
            continue;
        }
        *begin = pair[0];
        *end = cursor->at = cursor->last_end = pair[1];
        *found = true;
        return FR_OK;
    }
    return FR_OK;
}
