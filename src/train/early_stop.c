/* early_stop.c: stop when the held-out loss has not fallen for `patience` evaluations. Prechelt, "Early Stopping, But When?",
   1998, criterion UP in its simplest form. */
#include "train/trainer.h"

static fr_status evaluated(fr_hook *hook, fr_error *error)
{
    (void)error;
    fr_trainer *trainer = hook->trainer;
    int64_t patience = trainer->options.patience;
    if (patience > 0 && trainer->position.evaluations_since_best >= patience)
        trainer->stop = "patience";
    return FR_OK;
}

const fr_hook_kind fr_hook_early_stop = {
    .base = {.name = "early_stop",
             .summary = "Stop when the held-out loss no longer falls (train.patience).",
             .source = "Prechelt 1998",
             .options = {.name = "hooks.early_stop"}},
    .standard = true,
    .evaluated = evaluated,
};
