/* registries.c: every table of names and options that `frugal list` and `frugal help` know. */
#include "cli/cli.h"
#include "frugal/chat.h"
#include "frugal/data.h"
#include "frugal/decode.h"
#include "frugal/model.h"
#include "frugal/tokenizer.h"
#include "frugal/train.h"

const fr_registry *const cli_registries[] = {
    &fr_sources,      &fr_filters,        &fr_tokenizers, &fr_models,
    &fr_weight_forms, &fr_objectives,     &fr_optimizers, &fr_schedules,
    &fr_hooks,        &fr_chat_templates, NULL,
};

const cli_section cli_sections[] = {
    {&fr_train_option_table, "the run: its length, steps, evaluation, checkpoints and logs"},
    {&fr_train_data_option_table, "what a recipe trains on and how its text is cut into rows"},
    {&fr_phase_option_table, "a list of stages, each with what it changes"},
    {&fr_group_option_table, "parameters by name: their own rate and decay, or frozen"},
    {&fr_data_option_table, "preparing text: cleaning, filters, duplicates, the held-out part"},
    {&fr_sampling_option_table, "how tokens are picked from a model's predictions"},
    {NULL, NULL},
};
