/* forward.h: what the files of `frugal forward` share. */
#ifndef FRUGAL_CLI_FORWARD_H
#define FRUGAL_CLI_FORWARD_H

#include "cli/cli.h"

#include "frugal/formats.h"
#include "frugal/model.h"
#include "frugal/tokenizer.h"

enum { FORWARD_MOST_NAME = 96 };

typedef struct forward_options {
    char *ids, *decoder_ids, *types, *lengths, *pixels, *out, *tap;
    fr_strings text, image;
    int64_t choices;
    int weights; /* fr_weights */
} forward_options;

typedef struct kept {
    char name[FORWARD_MOST_NAME];
    const fr_tensor *value;
} kept;

typedef struct forward {
    const cli_call *call;
    const forward_options *options;
    fr_model *model;
    fr_tokenizer *tokenizer; /* NULL: the folder has none */
    fr_tape *tape;
    fr_safetensors *pixels;
    fr_batch batch;
    fr_outputs outputs;
    kept *taps; /* in the order of computing; their tensors live on the tape */
    size_t tap_count, tap_room;
    bool tap_failed;
} forward;

/* forward_input.c: fill f->batch from the options. */
fr_status forward_read_input(forward *f, fr_error *error);
/* forward_summary.c: shapes, and what the outputs mean where that can be said. */
fr_status forward_print_text(const forward *f, fr_error *error);
fr_status forward_print_json(const forward *f, fr_error *error);

#endif
