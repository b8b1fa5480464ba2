/* conversation.h: `frugal generate --chat`. */
#ifndef FRUGAL_CLI_CONVERSATION_H
#define FRUGAL_CLI_CONVERSATION_H

#include "cli/cli.h"
#include "frugal/decode.h"

typedef struct cli_conversation_options {
    bool chat;
    char *system, *template_name; /* may be NULL */
} cli_conversation_options;

/* One answer when there is a second operand or a pipe, else a conversation on the terminal. */
fr_status cli_converse(const cli_call *call, fr_model *model, const fr_tokenizer *tokenizer,
                       const fr_sampling_options *sampling, const cli_conversation_options *options,
                       fr_error *error);

#endif
