/* help.h: what `frugal help` writes, for main.c. */
#ifndef FRUGAL_CLI_HELP_H
#define FRUGAL_CLI_HELP_H

#include "cli/cli.h"

/* Append the list of verbs. */
void cli_help_overview(fr_buffer *out);
/* Append a verb's usage, help and options. */
void cli_help_verb(const cli_verb *verb, fr_buffer *out);

#endif
