/* eval.h: what the two sides of `frugal eval` share. */
#ifndef FRUGAL_CLI_EVAL_H
#define FRUGAL_CLI_EVAL_H

#include "cli/cli.h"
#include "frugal/examples.h"

/* Judge the model on labelled examples; `length` 0: the model's context. predictions: a file to write, or NULL. */
fr_status cli_eval_examples(const cli_call *call, fr_example_form form, int64_t length,
                            int64_t rows, const char *predictions, fr_error *error);

#endif
