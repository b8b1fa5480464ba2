/* arguments.h: the words of a command line, sorted into a verb, its options, its operands and its key=value words. */
#ifndef FRUGAL_CLI_ARGUMENTS_H
#define FRUGAL_CLI_ARGUMENTS_H

#include "cli/cli.h"

typedef struct cli_arguments {
    const cli_verb *verb; /* NULL: none was given */
    bool help, version;
    int threads; /* 0: not given */
    cli_call call;
    const char **list; /* operands, then words: call points into it */
} cli_arguments;

/* FR_BAD_INPUT with a message that names the nearest verb or option. arguments->verb is set as soon as it is known, also on
   failure. cli_arguments_free in every case. */
fr_status cli_arguments_read(cli_arguments *arguments, int count, char **words, fr_error *error);
void cli_arguments_free(cli_arguments *arguments);
/* "max_tokens" -> "--max-tokens", into text. */
enum { CLI_OPTION_TEXT = 96 };
const char *cli_option_text(const char *name, char text[CLI_OPTION_TEXT]);
/* The options that every verb has, as help. */
extern const char cli_common_options[];

#endif
