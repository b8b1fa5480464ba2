/* version.h: what `frugal --version` says. */
#ifndef FRUGAL_CLI_VERSION_H
#define FRUGAL_CLI_VERSION_H

#include "cli/cli.h"

fr_status cli_print_version(bool json, fr_error *error);

#endif
