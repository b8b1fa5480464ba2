/* hub.c: `frugal hub`: model folders as packages. Its verbs are in hub_verbs; each is a file of its own (hub_verify.c). */
#include "cli/cli.h"

extern const cli_verb cli_hub_verify;

static const cli_verb *const hub_verbs[] = {&cli_hub_verify, NULL};

const cli_verb cli_hub = {
    .name = "hub",
    .usage = "VERB ...",
    .summary = "model folders as packages: check one",
    .verbs = hub_verbs,
};
