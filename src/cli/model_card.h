/* model_card.h: the README.md of a model that `frugal make` wrote. */
#ifndef FRUGAL_CLI_MODEL_CARD_H
#define FRUGAL_CLI_MODEL_CARD_H

#include "frugal/data.h"
#include "frugal/decode.h"
#include "frugal/machine.h"
#include "frugal/train.h"

typedef struct cli_card {
    const char *name;   /* of the folder */
    const char *budget; /* as the user wrote it */
    const char *reason; /* why these sizes */
    const fr_model *model;
    const fr_data_report *data;
    const fr_train_result *train;
    const fr_evaluation *held_out, *before; /* before: of the model that was continued, or NULL */
    const char *from;                       /* that model, or NULL */
    const fr_machine *machine;
    const char *const *samples;
    size_t sample_count;
    double seconds, cpu_seconds; /* of everything, raw text to samples; CPU 0: not known */
    double joules;               /* 0: the machine does not tell */
    double price_per_hour;       /* 0: not given */
} cli_card;

/* Write FOLDER/README.md: front matter for model hubs, the data, the cost, the held-out figures, samples, how to use it. */
fr_status cli_card_write(const cli_card *card, const char *folder, fr_error *error);

#endif
