/* verbs.c: the verbs of the program, in the order of `frugal help`. */
#include "cli/cli.h"

extern const cli_verb cli_convert, cli_data, cli_embed, cli_eval, cli_forward, cli_generate,
    cli_help, cli_hub, cli_list, cli_make, cli_plan, cli_report, cli_tokenize, cli_train;

const cli_verb *const cli_verbs[] = {
    &cli_make,     &cli_data,  &cli_plan,    &cli_train,    &cli_eval,
    &cli_generate, &cli_embed, &cli_convert, &cli_tokenize, &cli_forward,
    &cli_report,   &cli_hub,   &cli_list,    &cli_help,     NULL,
};
