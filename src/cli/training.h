/* training.h: what the verbs that train share. */
#ifndef FRUGAL_CLI_TRAINING_H
#define FRUGAL_CLI_TRAINING_H

#include "frugal/train.h"

/* fr_train_progress_function: step, loss, tokens/s, share of the machine's peak, memory, time left, cost so far, in one line. */
void cli_training_progress(void *context, const fr_train_progress *progress);

#endif
