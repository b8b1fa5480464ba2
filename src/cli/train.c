/* train.c: `frugal train`: any training that a recipe describes, in a run folder. */
#include "cli/cli.h"
#include "cli/training.h"

#include "frugal/formats.h"
#include "frugal/machine.h"
#include "frugal/report.h"
#include "frugal/train.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>

typedef struct train_verb_options {
    char *out;
    bool resume;
} train_verb_options;

static const fr_option options[] = {
    {"out", FR_OPTION_STRING, offsetof(train_verb_options, out), .help = "the run folder"},
    {"resume", FR_OPTION_BOOL, offsetof(train_verb_options, resume),
     .help = "go on where the newest whole checkpoint of the run folder is"},
};

static const fr_option_table table = {"train", options, sizeof options / sizeof *options,
                                      sizeof(train_verb_options), NULL};

static fr_status print_result(const cli_call *call, const fr_train_result *r, fr_error *error)
{
    const train_verb_options *o = call->options;
    char tokens[24], time[24], flops[24];
    if (call->json)
        return cli_print_json(
            json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:I, s:o}", "run", o->out,
                      "stopped_by", r->stopped_by, "steps", (json_int_t)r->step, "tokens",
                      (json_int_t)r->tokens, "seconds", r->seconds, "flops", r->flops, "loss",
                      fr_json_real(r->loss), "held_out_loss", fr_json_real(r->held_out_loss),
                      "best_loss", fr_json_real(r->best_loss), "best_step",
                      (json_int_t)r->best_step, "tokens_per_second",
                      fr_json_real(r->tokens_per_second)),
            error);
    FR_TRY(cli_print(error, "%lld steps, %s tokens in %s, %sFLOP: loss %.4f", (long long)r->step,
                     cli_count_text((double)r->tokens, tokens), cli_seconds_text(r->seconds, time),
                     cli_count_text(r->flops, flops), r->loss));
    if (isfinite(r->held_out_loss))
        FR_TRY(cli_print(error, ", held-out %.4f (best %.4f at step %lld)", r->held_out_loss,
                         r->best_loss, (long long)r->best_step));
    if (r->figure)
        FR_TRY(cli_print(error, ", %s %.4f", r->figure, r->figure_value));
    return cli_print(error, "\nmodel: %s/model\nreport: %s/report.html\n", o->out, o->out);
}

static fr_status read_recipe(const cli_call *call, fr_recipe **recipe, fr_error *error)
{
    FR_TRY(fr_recipe_load(recipe, call->operands[0], error));
    for (size_t i = 0; i < call->word_count; i++)
        FR_TRY(fr_recipe_set_word(*recipe, call->words[i], error));
    return FR_OK;
}

static fr_status train(const cli_call *call, const fr_recipe *recipe, fr_train_result *result,
                       fr_error *error)
{
    const train_verb_options *o = call->options;
    fr_machine machine;
    cli_progress_start(call->quiet);
    FR_TRY(fr_machine_measure(0.2, &machine, error));
    fr_run_options run = {.folder = o->out,
                          .resume = o->resume,
                          .peak_flops = machine.gemm_flops,
                          .progress = cli_training_progress};
    fr_status status = fr_train(recipe, &run, result, error);
    if (status == FR_INTERRUPTED) {
        fr_report_write(o->out, NULL);
        return fr_fail(error, FR_INTERRUPTED,
                       "stopped after step %lld, the state is saved. Go on with: frugal train "
                       "%s/recipe.yaml --out %s --resume",
                       (long long)result->step, o->out, o->out);
    }
    FR_TRY(status);
    cli_progress_done(NULL);
    return fr_report_write(o->out, error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const train_verb_options *o = call->options;
    fr_recipe *recipe = NULL;
    fr_train_result result = {0};
    if (!o->out || !*o->out)
        return fr_fail(error, FR_BAD_INPUT, "where to? give --out RUN, a folder for the run");
    fr_status status = read_recipe(call, &recipe, error);
    if (status == FR_OK)
        status = train(call, recipe, &result, error);
    fr_recipe_free(recipe);
    return status == FR_OK ? print_result(call, &result, error) : status;
}

const cli_verb cli_train = {
    .name = "train",
    .usage = "RECIPE.yaml [key=value ...] --out RUN [--resume]",
    .summary = "train a model as a recipe says",
    .help = "Words set keys of the recipe: train.steps=500 optimizer.lr=2e-3. Ctrl-C finishes the "
            "step, saves, and says\n"
            "how to go on. A killed run goes on with --resume and ends with the same weights, bit "
            "for bit, when its\n"
            "stop rule is steps, tokens or FLOPs.\n\n"
            "  frugal data TEXT --out DATA\n"
            "  frugal train recipes/small.yaml data.folder=DATA --out RUN\n",
    .options = &table,
    .least_operands = 1,
    .most_operands = 1,
    .takes_words = true,
    .run = run,
};
