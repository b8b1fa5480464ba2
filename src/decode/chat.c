/* chat.c: a chat template with the tokenizer that encodes it.

   Nothing that a user writes may become a special token: a text with <|im_end|> in it would end its turn and could speak for others.
   The whole conversation is encoded at once, as others do, because pieces may join across the borders of messages. If the special
   tokens that come out are exactly those of the template, this is the result. If not, a message holds one, and the conversation is
   encoded piece by piece: the template's text with its tokens, the messages' as plain text. */
#include "decode/chat.h"

#include <jansson.h>
#include <string.h>

struct fr_chat {
    const fr_chat_template *rules;
    const fr_tokenizer *tokenizer;
    char *bos, *eos; /* texts of the tokens, "" when there is none */
    int32_t ends[CHAT_ENDS];
    size_t end_count;
};

/* ---- which template ---- */

/* The Jinja text of "chat_template": a string, or a list of named ones, of which "default" counts. */
static const char *template_text(const json_t *json)
{
    const json_t *value = json_object_get(json, "chat_template");
    if (!json_is_array(value))
        return json_string_value(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(entry, "template"));
    }
    return NULL;
}

static fr_status refuse(const char *jinja, const char *where, const char *file, fr_error *error)
{
    fr_buffer known = {0};
    for (const fr_kind *const *entry = fr_chat_templates.entries; *entry; entry++)
        fr_buffer_printf(&known, "%s%s", known.size ? ", " : "", (*entry)->name);
    jinja += strspn(jinja, " \t\r\n");
    fr_fail_at(
        error, FR_UNSUPPORTED, where, 0,
        "the chat template of %s is not one that is known; it begins '%.*s'. Choose one with "
        "--template (known: %s)",
        file, (int)(strcspn(jinja, "\r\n") < 60 ? strcspn(jinja, "\r\n") : 60), jinja,
        known.failed ? "..." : known.data);
    fr_buffer_free(&known);
    return FR_UNSUPPORTED;
}

static fr_status recognise(fr_chat *chat, const json_t *config, const char *where, fr_error *error)
{
    const char *file = "chat_template.jinja", *jinja = fr_tokenizer_file(chat->tokenizer, file);
    json_t *other = NULL;
    if (!jinja) {
        file = "tokenizer_config.json";
        jinja = template_text(config);
    }
    if (!jinja) {
        file = "chat_template.json";
        const char *text = fr_tokenizer_file(chat->tokenizer, file);
        other = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
        jinja = template_text(other);
    }
    fr_status status = FR_OK;
    if (!jinja)
        status = fr_fail_at(error, FR_BAD_INPUT, where, 0,
                            "the tokenizer has no chat template: the model may not have been made "
                            "for conversations. Choose a template with --template");
    else if (!(chat->rules = chat_recognise(jinja)))
        status = refuse(jinja, where, file, error);
    json_decref(other);
    return status;
}

/* ---- tokens ---- */

static char *token_text(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    return fr_string_copy(json_is_string(value) ? json_string_value(value) : "");
}

static void add_end(fr_chat *chat, const char *token)
{
    int32_t id = token && *token ? fr_tokenizer_id(chat->tokenizer, token) : -1;
    if (id >= 0 && chat->end_count < CHAT_ENDS)
        chat->ends[chat->end_count++] = id;
}

static fr_status fill(fr_chat *chat, const char *name, const char *where, fr_error *error)
{
    const char *text = fr_tokenizer_file(chat->tokenizer, "tokenizer_config.json");
    json_t *config = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    fr_status status = FR_OK;
    if (!name)
        status = recognise(chat, config, where, error);
    else if (!(chat->rules = (const fr_chat_template *)fr_registry_require(&fr_chat_templates, name,
                                                                           NULL, 0, error)))
        status = FR_BAD_INPUT;
    if (status == FR_OK) {
        chat->bos = token_text(config, "bos_token");
        chat->eos = token_text(config, "eos_token");
        if (!chat->bos || !chat->eos)
            status = fr_fail(error, FR_NO_MEMORY, "no memory for a chat");
    }
    for (size_t i = 0; i < CHAT_ENDS && status == FR_OK; i++)
        add_end(chat, chat->rules->ends[i]);
    json_decref(config);
    return status;
}

fr_status fr_chat_create(fr_chat **out, const fr_tokenizer *tokenizer, const char *name,
                         const char *where, fr_error *error)
{
    *out = NULL;
    fr_chat *chat = fr_alloc(sizeof *chat, FR_MEMORY_OTHER);
    if (!chat)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a chat");
    chat->tokenizer = tokenizer;
    fr_status status = fill(chat, name, where, error);
    if (status == FR_OK)
        *out = chat;
    else
        fr_chat_destroy(chat);
    return status;
}

void fr_chat_destroy(fr_chat *chat)
{
    if (!chat)
        return;
    fr_free(chat->bos);
    fr_free(chat->eos);
    fr_free(chat);
}

const char *fr_chat_name(const fr_chat *chat)
{
    return chat->rules->base.name;
}

const int32_t *fr_chat_ends(const fr_chat *chat, size_t *count)
{
    *count = chat->end_count;
    return chat->ends;
}

/* ---- encoding ---- */

/* Visit the template's parts and the messages of a rendered text in order. */
static fr_status encode_parts(const fr_chat *chat, const chat_text *text, bool messages,
                              fr_ids *ids, fr_error *error)
{
    size_t at = 0, pairs = text->spans.size / (2 * sizeof(size_t));
    for (size_t i = 0; i <= pairs; i++) {
        size_t span[2] = {text->text.size, text->text.size};
        if (i < pairs)
            memcpy(span, text->spans.data + i * sizeof span, sizeof span);
        FR_TRY(fr_tokenizer_encode(chat->tokenizer, text->text.data + at, span[0] - at, 0, ids,
                                   error));
        if (messages)
            FR_TRY(fr_tokenizer_encode(chat->tokenizer, text->text.data + span[0],
                                       span[1] - span[0], FR_ENCODE_SPECIAL_AS_TEXT, ids, error));
        at = span[1];
    }
    return FR_OK;
}

/* The next special token from *at on; -1: none. */
static int32_t next_special(const fr_chat *chat, const fr_ids *ids, size_t *at)
{
    while (*at < ids->count) {
        int32_t id = ids->ids[(*at)++];
        if (fr_tokenizer_is_special(chat->tokenizer, id))
            return id;
    }
    return -1;
}

static bool same_specials(const fr_chat *chat, const fr_ids *a, const fr_ids *b)
{
    size_t in_a = 0, in_b = 0;
    int32_t id;
    do {
        id = next_special(chat, a, &in_a);
        if (next_special(chat, b, &in_b) != id)
            return false;
    } while (id >= 0);
    return true;
}

static fr_status encode_text(const fr_chat *chat, const chat_text *text, fr_ids *ids,
                             fr_error *error)
{
    fr_ids own = {0}, whole = {0};
    fr_status status = encode_parts(chat, text, false, &own, error);
    if (status == FR_OK)
        status = fr_tokenizer_encode(chat->tokenizer, text->text.data, text->text.size, 0, &whole,
                                     error);
    if (status == FR_OK && same_specials(chat, &own, &whole))
        status =
            fr_tokenizer_encode(chat->tokenizer, text->text.data, text->text.size, 0, ids, error);
    else if (status == FR_OK)
        status = encode_parts(chat, text, true, ids, error);
    fr_ids_free(&own);
    fr_ids_free(&whole);
    return status;
}

fr_status fr_chat_encode(const fr_chat *chat, const fr_chat_message *messages, size_t count,
                         fr_ids *ids, fr_error *error)
{
    chat_text text = {0};
    fr_status status =
        chat_render(chat->rules, chat->bos, chat->eos, messages, count, &text, error);
    if (status == FR_OK)
        status = encode_text(chat, &text, ids, error);
    chat_text_free(&text);
    return status;
}
