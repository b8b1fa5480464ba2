/* chat_render.c: a conversation as text, by a template's rules (chat_templates.c). */
#include "decode/chat.h"

#include <string.h>

typedef struct rendering {
    const fr_chat_template *rules;
    const char *bos, *eos;
    chat_text *out;
} rendering;

/* A template's own text. */
static void put(rendering *r, const char *text)
{
    for (; text && *text; text++)
        if (*text == CHAT_BOS[0])
            fr_buffer_text(&r->out->text, r->bos);
        else if (*text == CHAT_EOS[0])
            fr_buffer_text(&r->out->text, r->eos);
        else
            fr_buffer_append(&r->out->text, text, 1);
}

static void put_message(rendering *r, const char *text, size_t size)
{
    const size_t span[2] = {r->out->text.size, r->out->text.size + size};
    fr_buffer_append(&r->out->text, text, size);
    fr_buffer_append(&r->out->spans, span, sizeof span);
}

/* ---- white space, as Python's strip knows it ---- */

/* Length of the white space character that `text` begins with; 0: none. */
static size_t space_at(const char *text, size_t size)
{
    static const char *const wide[] = {
        "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
        "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
        "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
    if (size == 0)
        return 0;
    if (text[0] && strchr(" \t\n\v\f\r\x1C\x1D\x1E\x1F", text[0]))
        return 1;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        size_t length = strlen(wide[i]);
        if (size >= length && memcmp(text, wide[i], length) == 0)
            return length;
    }
    return 0;
}

static void trim(const char **text, size_t *size)
{
    enum { WIDEST = 3 };
    size_t length;
    while ((length = space_at(*text, *size)) > 0) {
        *text += length;
        *size -= length;
    }
    for (size_t back = 1; back <= WIDEST && back <= *size;)
        if (space_at(*text + *size - back, back) == back) {
            *size -= back;
            back = 1;
        } else
            back++;
}

/* ---- turns ---- */

static void put_text(rendering *r, fr_chat_role role, const char *text)
{
    size_t size = strlen(text);
    if (r->rules->trims[role])
        trim(&text, &size);
    put_message(r, text, size);
}

static void put_turn(rendering *r, fr_chat_role role, const char *text)
{
    put(r, r->rules->before[role]);
    put_text(r, role, text);
    put(r, r->rules->after[role]);
}

/* A user's turn with the system's text in front of the user's. Where texts are trimmed, both are together. */
static void put_joined(rendering *r, const char *system, const char *text)
{
    size_t size = strlen(text), length;
    put(r, r->rules->before[FR_CHAT_USER]);
    put(r, r->rules->before[FR_CHAT_SYSTEM]);
    put_message(r, system, strlen(system));
    put(r, r->rules->after[FR_CHAT_SYSTEM]);
    const char *end = text + size;
    if (r->rules->trims[FR_CHAT_USER]) { /* the end alone: the system's part is in front */
        const char *inner = text;
        length = size;
        trim(&inner, &length);
        end = length ? inner + length : text;
    }
    put_message(r, text, (size_t)(end - text));
    put(r, r->rules->after[FR_CHAT_USER]);
}

/* What follows the thinking of an answer. */
static const char *without_thinking(const char *text)
{
    static const char mark[] = "</think>";
    const char *found = NULL;
    for (const char *next = text; (next = strstr(next, mark)) != NULL; next += sizeof mark - 1)
        found = next + sizeof mark - 1;
    return found ? found + strspn(found, "\n") : text;
}

static fr_status check(const fr_chat_template *rules, const fr_chat_message *messages, size_t count,
                       fr_error *error)
{
    size_t first = count > 0 && messages[0].role == FR_CHAT_SYSTEM;
    for (size_t i = first; i < count; i++)
        if (messages[i].role != ((i - first) % 2 == 0 ? FR_CHAT_USER : FR_CHAT_ASSISTANT))
            return fr_fail(error, FR_WRONG_CALL, "user and assistant must take turns");
    if (count == first || messages[count - 1].role != FR_CHAT_USER)
        return fr_fail(error, FR_WRONG_CALL, "a conversation to be answered ends with its user");
    if (first && rules->system == CHAT_SYSTEM_NONE)
        return fr_fail(error, FR_UNSUPPORTED,
                       "chat template '%s' has no place for a system text: say it in the first "
                       "message",
                       rules->base.name);
    return FR_OK;
}

fr_status chat_render(const fr_chat_template *rules, const char *bos, const char *eos,
                      const fr_chat_message *messages, size_t count, chat_text *out,
                      fr_error *error)
{
    rendering r = {rules, bos, eos, out};
    FR_TRY(check(rules, messages, count, error));
    size_t first = messages[0].role == FR_CHAT_SYSTEM;
    const char *system = first ? messages[0].text : rules->default_system;
    put(&r, rules->begin);
    if (system && rules->system == CHAT_SYSTEM_TURN)
        put_turn(&r, FR_CHAT_SYSTEM, system);
    size_t joined = rules->system == CHAT_SYSTEM_FIRST ? first : count - 1;
    bool joins = system && rules->system != CHAT_SYSTEM_TURN;
    for (size_t i = first; i < count; i++) {
        const char *text = messages[i].text;
        if (rules->drops_thinking && messages[i].role == FR_CHAT_ASSISTANT)
            text = without_thinking(text);
        if (joins && i == joined)
            put_joined(&r, system, text);
        else
            put_turn(&r, messages[i].role, text);
    }
    put(&r, rules->prompt);
    return out->text.failed || out->spans.failed
               ? fr_fail(error, FR_NO_MEMORY, "no memory for a conversation")
               : FR_OK;
}

void chat_text_free(chat_text *text)
{
    fr_buffer_free(&text->text);
    fr_buffer_free(&text->spans);
}

fr_status fr_chat_render(const fr_chat_template *rules, const char *bos, const char *eos,
                         const fr_chat_message *messages, size_t count, fr_buffer *text,
                         fr_error *error)
{
    chat_text out = {0};
    fr_status status = chat_render(rules, bos, eos, messages, count, &out, error);
    if (status == FR_OK)
        fr_buffer_append(text, out.text.data, out.text.size);
    chat_text_free(&out);
    return status;
}
