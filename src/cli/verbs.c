/* verbs.c: the verbs of the program, in the order of `frugal help`. */
#include "cli/cli.h"

extern const cli_verb cli_help, cli_list, cli_tokenize, cli_train;

const cli_verb *const cli_verbs[] = {
    &cli_train,
    &cli_tokenize,
    &cli_list,
    &cli_help,
    NULL,
};
