/* chat.h: conversations as the text that a model was trained to continue. docs/generation.md says the same for users. */
#ifndef FRUGAL_CHAT_H
#define FRUGAL_CHAT_H

#include "frugal/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fr_chat_role {
    FR_CHAT_SYSTEM,
    FR_CHAT_USER,
    FR_CHAT_ASSISTANT,
    FR_CHAT_ROLES
} fr_chat_role;
typedef struct fr_chat_message {
    fr_chat_role role;
    const char *text;
} fr_chat_message;

/* How a family of models writes a conversation down. An entry of fr_chat_templates begins with its fr_kind. */
typedef struct fr_chat_template fr_chat_template;
extern const fr_registry
    fr_chat_templates; /* chatml, llama2, llama3, mistral-v1, gemma, phi3, zephyr... */

/* The text of a conversation and what begins the answer, as transformers' apply_chat_template renders it: an optional system message,
   then user and assistant in turn, a user last. bos and eos are the texts of the tokenizer's tokens. FR_UNSUPPORTED when the template
   has no place for a system text. */
fr_status fr_chat_render(const fr_chat_template *template_, const char *bos, const char *eos,
                         const fr_chat_message *messages, size_t count, fr_buffer *text,
                         fr_error *error);

/* A template with the tokenizer that encodes it. */
typedef struct fr_chat fr_chat;
/* The template called `name`, or (NULL) the one that the tokenizer's files hold, recognised by its text: chat_template.jinja,
   "chat_template" of tokenizer_config.json, chat_template.json. One that is not known is refused, with what it begins with, and
   `where` for its place. The tokenizer must outlive the chat. */
fr_status fr_chat_create(fr_chat **chat, const fr_tokenizer *tokenizer, const char *name,
                         const char *where, fr_error *error);
void fr_chat_destroy(fr_chat *chat);
const char *fr_chat_name(const fr_chat *chat);
/* Append the ids of a conversation and of what begins the answer. Special tokens of the template become their ids; what looks like
   one in a message is text, and cannot end a turn or begin another. */
fr_status fr_chat_encode(const fr_chat *chat, const fr_chat_message *messages, size_t count,
                         fr_ids *ids, fr_error *error);
/* Ids that end an answer besides those of the model. */
const int32_t *fr_chat_ends(const fr_chat *chat, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
