/* chat.h: chat templates as rules, and which published text is which. */
#ifndef FRUGAL_DECODE_CHAT_H
#define FRUGAL_DECODE_CHAT_H

#include "frugal/chat.h"

enum { CHAT_ENDS = 4 };

typedef enum chat_system {
    CHAT_SYSTEM_TURN,  /* a turn of its own */
    CHAT_SYSTEM_FIRST, /* in front of the first user's text */
    CHAT_SYSTEM_LAST,  /* in front of the last user's text */
    CHAT_SYSTEM_NONE   /* there is no place for it */
} chat_system;

/* Texts hold CHAT_BOS and CHAT_EOS where the tokenizer's tokens stand. */
#define CHAT_BOS "\1"
#define CHAT_EOS "\2"

struct fr_chat_template {
    fr_kind base;
    const char *begin;                                        /* of the whole; NULL: nothing */
    const char *before[FR_CHAT_ROLES], *after[FR_CHAT_ROLES]; /* of a turn's text */
    chat_system system;
    const char *default_system;  /* where there is no system message; NULL: no system turn */
    bool trims[FR_CHAT_ROLES];   /* white space around a text goes */
    bool drops_thinking;         /* an earlier answer's text up to </think> goes */
    const char *prompt;          /* begins the answer; NULL: nothing does */
    const char *ends[CHAT_ENDS]; /* tokens that end an answer */
};

extern const fr_chat_template *const chat_templates[]; /* NULL-terminated */

/* The template that a text of Jinja is, known by its hash; NULL: none that is known. */
const fr_chat_template *chat_recognise(const char *jinja);

/* A rendered conversation: `spans` lists where the messages' own texts lie, in order, as pairs begin, end. */
typedef struct chat_text {
    fr_buffer text, spans; /* spans: size_t */
} chat_text;
fr_status chat_render(const fr_chat_template *template_, const char *bos, const char *eos,
                      const fr_chat_message *messages, size_t count, chat_text *out,
                      fr_error *error);
void chat_text_free(chat_text *text);

#endif
