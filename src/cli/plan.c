/* plan.c: `frugal plan`: what a run will cost, before anything is spent. Of a recipe: a dry run through shapes alone. Of a prepared
   text and a budget: the sizes that `frugal make` would choose, why, and the same dry run of the recipe that results. */
#include "cli/cli.h"

#include "frugal/machine.h"
#include "frugal/plan.h"
#include "frugal/train.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef struct plan_options {
    char *budget;
    double price_per_hour;
    char *recipe;
} plan_options;

static const fr_option options[] = {
    {"budget", FR_OPTION_STRING, offsetof(plan_options, budget), .unit = NULL,
     .help = "choose sizes for DATA and this budget: a time (5m), arithmetic (2e15flops), tokens "
             "(10Mtokens) or money"},
    {"price_per_hour", FR_OPTION_FLOAT, offsetof(plan_options, price_per_hour),
     .unit = "money/hour", .maximum = 1e6,
     .help =
         "what an hour of this machine costs, for budgets in money and for the cost of the plan"},
    {"recipe", FR_OPTION_STRING, offsetof(plan_options, recipe),
     .help = "write the chosen recipe to this file"},
};

static const fr_option_table table = {"plan", options, sizeof options / sizeof *options,
                                      sizeof(plan_options), NULL};

/* The figures of a plan that people ask for, as JSON. */
static json_t *plan_json(const fr_train_plan *plan, const fr_machine *machine,
                         double price_per_hour)
{
    json_t *bytes = json_object();
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        if (plan->bytes[kind])
            json_object_set_new(bytes, fr_memory_kind_name((fr_memory_kind)kind),
                                json_integer((json_int_t)plan->bytes[kind]));
    json_object_set_new(bytes, "total", json_integer((json_int_t)plan->total_bytes));
    json_t *json = json_pack(
        "{s:I, s:I, s:I, s:f, s:I, s:I, s:f, s:f, s:o, s:I, s:{s:i, s:s, s:f, s:f}}", "parameters",
        (json_int_t)plan->parameters, "trained", (json_int_t)plan->trained, "tokens_per_step",
        (json_int_t)plan->tokens_per_step, "flops_per_step", plan->flops_per_step, "steps",
        (json_int_t)plan->steps, "tokens", (json_int_t)plan->tokens, "flops", plan->flops,
        "seconds", plan->seconds, "peak_bytes", bytes, "checkpoint_bytes",
        (json_int_t)plan->checkpoint_bytes, "machine", "threads", machine->threads, "isa",
        machine->isa, "gemm_flops_per_second", machine->gemm_flops, "stream_bytes_per_second",
        machine->stream_bytes);
    if (price_per_hour > 0)
        json_object_set_new(json, "money", json_real(plan->seconds / 3600 * price_per_hour));
    return json;
}

static fr_status print_plan(const fr_train_plan *plan, const fr_machine *machine,
                            double price_per_hour, fr_error *error)
{
    char a[24], b[24], c[24];
    FR_TRY(cli_print(error, "parameters   %s (%s of them train)\n",
                     cli_count_text((double)plan->parameters, a),
                     cli_count_text((double)plan->trained, b)));
    FR_TRY(cli_print(error, "a step       %s tokens, %sFLOP\n",
                     cli_count_text((double)plan->tokens_per_step, a),
                     cli_count_text(plan->flops_per_step, b)));
    FR_TRY(cli_print(error, "the run      %s steps, %s tokens, %sFLOP\n",
                     cli_count_text((double)plan->steps, a),
                     cli_count_text((double)plan->tokens, b), cli_count_text(plan->flops, c)));
    FR_TRY(cli_print(error,
                     "time         %s on this machine (%d threads, %s kernels, %.0f GFLOP/s in "
                     "matrix products)\n",
                     cli_seconds_text(plan->seconds, a), machine->threads, machine->isa,
                     machine->gemm_flops * 1e-9));
    if (price_per_hour > 0)
        FR_TRY(cli_print(error, "money        %.4f at %g an hour\n",
                         plan->seconds / 3600 * price_per_hour, price_per_hour));
    FR_TRY(
        cli_print(error, "memory       %s at most:", cli_bytes_text((double)plan->total_bytes, a)));
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        if (plan->bytes[kind])
            FR_TRY(cli_print(error, " %s %s", fr_memory_kind_name((fr_memory_kind)kind),
                             cli_bytes_text((double)plan->bytes[kind], a)));
    return cli_print(error, "\ncheckpoint   %s on disk\n",
                     cli_bytes_text((double)plan->checkpoint_bytes, a));
}

/* What there is to train on in a folder of `frugal data`. */
static fr_status read_data(const char *folder, int64_t *tokens, int64_t *vocabulary,
                           fr_error *error)
{
    char *prefix = fr_path_join(folder, "train");
    fr_shard *shard = NULL;
    fr_tokenizer *tokenizer = NULL;
    fr_status status =
        prefix ? fr_shard_open(&shard, prefix, error) : fr_fail(error, FR_NO_MEMORY, "no memory");
    if (status == FR_OK)
        status = fr_tokenizer_load(&tokenizer, folder, error);
    if (status == FR_OK) {
        *tokens = fr_shard_tokens(shard);
        *vocabulary = fr_tokenizer_size(tokenizer);
    }
    fr_tokenizer_free(tokenizer);
    fr_shard_close(shard);
    fr_free(prefix);
    return status;
}

/* Twice: the first dry run tells the model's width, on which the rate of a training step depends. */
static fr_status make_plan(const fr_recipe *recipe, const fr_machine *machine, fr_train_plan *plan,
                           fr_error *error)
{
    FR_TRY(fr_train_plan_make(recipe, 0, plan, error));
    return fr_train_plan_make(recipe, fr_sizing_rate(plan->width, machine), plan, error);
}

/* The recipe that the sizing rule gives for a folder of `frugal data`. */
static fr_status choose(const char *folder, const plan_options *o, const fr_machine *machine,
                        fr_sizing *sizing, fr_recipe **recipe, fr_error *error)
{
    fr_sizing_request request = {.machine = machine, .memory = fr_physical_memory()};
    FR_TRY(fr_budget_parse(o->budget, o->price_per_hour, &request.budget, error));
    FR_TRY(read_data(folder, &request.text_tokens, &request.vocabulary, error));
    FR_TRY(fr_sizing_choose(&request, sizing, error));
    fr_buffer text = {0};
    fr_sizing_write_recipe(sizing, &request.budget, folder, 1, &text);
    fr_status status = text.failed
                           ? fr_fail(error, FR_NO_MEMORY, "no memory for a recipe")
                           : fr_recipe_parse(recipe, text.data, text.size, "chosen recipe", error);
    if (status == FR_OK && o->recipe)
        status = fr_file_write(o->recipe, text.data, text.size, error);
    fr_buffer_free(&text);
    return status;
}

static fr_status read_recipe(const cli_call *call, fr_recipe **recipe, fr_error *error)
{
    const plan_options *o = call->options;
    if (o->recipe)
        return fr_fail(error, FR_BAD_INPUT,
                       "--recipe writes a chosen recipe; it goes with --budget and a DATA folder");
    return fr_recipe_load(recipe, call->operands[0], error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const plan_options *o = call->options;
    fr_machine machine = {0};
    fr_sizing sizing = {0};
    fr_recipe *recipe = NULL;
    fr_train_plan plan = {0};
    FR_TRY(fr_machine_measure(0.3, &machine, error));
    fr_status status = o->budget ? choose(call->operands[0], o, &machine, &sizing, &recipe, error)
                                 : read_recipe(call, &recipe, error);
    for (size_t i = 0; status == FR_OK && i < call->word_count; i++)
        status = fr_recipe_set_word(recipe, call->words[i], error);
    if (status == FR_OK)
        status = make_plan(recipe, &machine, &plan, error);
    fr_recipe_free(recipe);
    FR_TRY(status);
    if (call->json) {
        json_t *json = plan_json(&plan, &machine, o->price_per_hour);
        if (o->budget)
            json_object_set_new(json, "reason", json_string(sizing.reason));
        return cli_print_json(json, error);
    }
    if (o->budget)
        FR_TRY(cli_print(error, "%s\n\n", sizing.reason));
    return print_plan(&plan, &machine, o->price_per_hour, error);
}

const cli_verb cli_plan = {
    .name = "plan",
    .usage = "RECIPE.yaml [key=value ...] | DATA --budget 5m [key=value ...]",
    .summary = "what a run will cost, from a dry run",
    .help = "Nothing is trained: the model's shapes are walked through once and floating-point "
            "operations and bytes are\n"
            "counted. The time comes from the rate of matrix products that is measured on this "
            "machine now.\n\n"
            "  frugal plan recipes/small.yaml data.folder=DATA train.steps=2000\n"
            "  frugal plan recipes/small.yaml model.vocab_size=8192         without any data\n"
            "  frugal plan DATA --budget 30m --recipe mine.yaml    the sizes that `frugal make` "
            "would choose, and why\n",
    .options = &table,
    .least_operands = 1,
    .most_operands = 1,
    .takes_words = true,
    .run = run,
};
