/* make.c: `frugal make`: the best model of this text for this budget. Nothing but a sequence of steps that exist one by one:
   data, plan, train, eval, generate; here is only the bookkeeping of the budget between them.

   OUT/run is the run folder, OUT/run/data the prepared text, OUT/run/make.json what a resumed job must know. The model's own files
   appear in OUT when they are done. */
#include "cli/cli.h"

#include "cli/data_options.h"
#include "cli/model_card.h"
#include "cli/training.h"
#include "frugal/plan.h"
#include "frugal/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES = 3, SAMPLE_TOKENS = 100 };

typedef struct make_options {
    char *budget, *out;
    double price_per_hour;
    int64_t seed;
    bool resume;
} make_options;

static const fr_option options[] = {
    {"budget", FR_OPTION_STRING, offsetof(make_options, budget),
     .help = "what may be spent: a time (90s, 5m, 2h), arithmetic (2e15flops), tokens (10Mtokens) "
             "or money (0.50EUR)"},
    {"out", FR_OPTION_STRING, offsetof(make_options, out),
     .help = "folder of the new model; OUT/run is its run folder"},
    {"price_per_hour", FR_OPTION_FLOAT, offsetof(make_options, price_per_hour),
     .unit = "money/hour", .maximum = 1e6,
     .help = "what an hour of this machine costs; needed for a budget in money, and reported"},
    {"seed", FR_OPTION_INT, offsetof(make_options, seed), .minimum = 0, .maximum = 1e15,
     .help = "of the split, the first weights, the order of the text and the samples"},
    {"resume", FR_OPTION_BOOL, offsetof(make_options, resume),
     .help = "go on with a job that was stopped"},
};

static void defaults(void *o)
{
    ((make_options *)o)->seed = 1;
}

static const fr_option_table table = {"make", options, sizeof options / sizeof *options,
                                      sizeof(make_options), defaults};

/* Everything that one job holds; freed in one place. */
typedef struct job {
    const cli_call *call;
    const make_options *options;
    char *run, *data; /* OUT/run, OUT/run/data */
    double start, cpu_start, joules_start;
    double spent_before; /* seconds of earlier sittings before their training */
    double price_per_hour;
    int64_t seed;
    fr_budget budget;
    fr_machine machine;
    fr_data_report report;
    char reason[sizeof((fr_sizing *)0)->reason];
    fr_recipe *recipe;
    fr_train_result trained;
    fr_model *model;
    fr_tokenizer *tokenizer;
    fr_evaluation held_out;
    fr_buffer samples[SAMPLES];
} job;

/* ---- the folder ------------------------------------------------------------------------------------------------------- */

static fr_status check_folder(const job *j, fr_error *error)
{
    const char *out = j->options->out;
    char *config = fr_path_join(out, "config.json");
    bool has_model = config && fr_path_exists(config);
    bool has_run = fr_path_exists(j->run);
    fr_free(config);
    if (has_model)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s already holds a model; choose another folder for --out", out);
    if (j->options->resume && !has_run)
        return fr_fail(error, FR_BAD_INPUT, "%s holds no run to go on with", out);
    if (!j->options->resume && has_run)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s already holds a run; go on with it: frugal make --out %s --resume, or "
                       "choose another folder",
                       out, out);
    if (!has_run && fr_path_exists(out) && !fr_path_is_folder(out))
        return fr_fail(error, FR_BAD_INPUT, "%s is a file; --out must name a folder", out);
    if (!has_run && fr_path_exists(out) && rmdir(out) != 0 && errno == ENOTEMPTY)
        return fr_fail(error, FR_BAD_INPUT, "%s is not empty; choose another folder for --out",
                       out);
    return FR_OK;
}

/* ---- what a resumed job must know ------------------------------------------------------------------------------------------ */

static fr_status write_json(const char *folder, const char *name, json_t *json, fr_error *error)
{
    char *path = fr_path_join(folder, name), *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    fr_status status = text && path ? fr_file_write(path, text, strlen(text), error)
                                    : fr_fail(error, FR_NO_MEMORY, "no memory for %s", name);
    free(text);
    fr_free(path);
    json_decref(json);
    return status;
}

static fr_status write_memory(const job *j, double training_seconds, fr_error *error)
{
    json_t *json =
        json_pack("{s:s, s:f, s:f, s:f, s:I, s:s}", "budget", j->options->budget, "price_per_hour",
                  j->options->price_per_hour, "spent_before_training",
                  j->spent_before + fr_seconds() - j->start, "training_seconds", training_seconds,
                  "seed", (json_int_t)j->options->seed, "reason", j->reason);
    return write_json(j->run, "make.json", json, error);
}

static fr_status read_memory(job *j, fr_error *error)
{
    char *path = fr_path_join(j->run, "make.json");
    char *text = NULL;
    size_t size = 0;
    fr_status status = path ? fr_file_read(path, 1 << 20, &text, &size, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory");
    if (status == FR_OK) {
        json_error_t where;
        json_t *json = json_loadb(text, size, 0, &where);
        const char *budget = NULL, *reason = NULL;
        json_int_t seed = 0;
        if (!json || json_unpack_ex(json, &where, 0, "{s:s, s:F, s:F, s:I, s:s}", "budget", &budget,
                                    "price_per_hour", &j->price_per_hour, "spent_before_training",
                                    &j->spent_before, "seed", &seed, "reason", &reason) != 0)
            status = fr_fail_at(error, FR_BAD_INPUT, path, where.line, "%s", where.text);
        else {
            snprintf(j->budget.text, sizeof j->budget.text, "%s", budget);
            snprintf(j->reason, sizeof j->reason, "%s", reason);
            j->seed = seed;
        }
        json_decref(json);
    }
    fr_free(text);
    fr_free(path);
    return status;
}

/* ---- the steps ---------------------------------------------------------------------------------------------------------------- */

static fr_status prepare_text(job *j, fr_error *error)
{
    cli_data_options data;
    FR_TRY(
        cli_data_options_read(&data, j->options->seed, j->call->words, j->call->word_count, error));
    fr_status status = fr_folder_create(j->run, error);
    if (status == FR_OK)
        status = fr_data_prepare(j->call->operands, j->call->operand_count, j->data, &data.data,
                                 data.ready, &data.tokenizer, cli_progress_library, NULL,
                                 &j->report, error);
    cli_data_options_free(&data);
    return status;
}

/* A recipe for the sizes; `data` NULL leaves its section out. */
static fr_status make_recipe(const job *j, const fr_sizing *sizing, const fr_budget *training,
                             const char *data, fr_recipe **recipe, fr_error *error)
{
    fr_buffer text = {0};
    fr_sizing_write_recipe(sizing, training, data, j->seed, &text);
    fr_status status = text.failed
                           ? fr_fail(error, FR_NO_MEMORY, "no memory for a recipe")
                           : fr_recipe_parse(recipe, text.data, text.size, "chosen recipe", error);
    fr_buffer_free(&text);
    for (size_t i = 0; status == FR_OK && i < j->call->word_count; i++)
        if (!cli_data_options_has_word(j->call->words[i]))
            status = fr_recipe_set_word(*recipe, j->call->words[i], error);
    return status;
}

/* A mistake in key=value words must show before the text is read: a dry run of the recipe that some other budget and text would
   give finds it. */
static fr_status check_words(const job *j, fr_error *error)
{
    enum { ANY_TOKENS = 1 << 20, ANY_VOCABULARY = 4096 };
    fr_machine machine = {.gemm_flops = 1e11};
    fr_sizing_request request = {{.kind = FR_BUDGET_TOKENS, .amount = ANY_TOKENS},
                                 &machine,
                                 ANY_TOKENS,
                                 ANY_VOCABULARY,
                                 fr_physical_memory()};
    fr_sizing sizing;
    fr_recipe *recipe = NULL;
    fr_train_plan plan;
    cli_data_options data;
    FR_TRY(cli_data_options_read(&data, j->seed, j->call->words, j->call->word_count, error));
    cli_data_options_free(&data);
    FR_TRY(fr_sizing_choose(&request, &sizing, error));
    fr_status status = make_recipe(j, &sizing, &request.budget, NULL, &recipe, error);
    if (status == FR_OK)
        status = fr_recipe_set(recipe, "model.vocab_size", "4096", error);
    if (status == FR_OK)
        status = fr_train_plan_make(recipe, 0, &plan, error);
    fr_recipe_free(recipe);
    return status;
}

/* Seconds to keep back for what follows training: scoring the held-out text, three samples, the files. */
static double seconds_after_training(const job *j, const fr_sizing *sizing)
{
    double scoring =
        (double)j->report.held_out_tokens * sizing->flops_per_token / 3 / sizing->flops_per_second;
    return 0.5 + 1.3 * scoring + 0.01 * j->budget.amount;
}

static fr_status choose_sizes(job *j, fr_error *error)
{
    fr_sizing_request request = {j->budget, &j->machine, j->report.train_tokens,
                                 j->report.vocabulary, fr_physical_memory()};
    fr_sizing sizing;
    if (j->budget.kind == FR_BUDGET_SECONDS) {
        double left = j->budget.amount - (fr_seconds() - j->start);
        request.budget.amount = left;
        FR_TRY(fr_sizing_choose(&request, &sizing, error));
        request.budget.amount = left - seconds_after_training(j, &sizing);
        if (request.budget.amount < 0.3 * j->budget.amount)
            return fr_fail(error, FR_BAD_INPUT,
                           "budget %s is too small for this text: preparing it took %.1f s, which "
                           "leaves %.1f s for training",
                           j->budget.text, fr_seconds() - j->start, request.budget.amount);
    }
    FR_TRY(fr_sizing_choose(&request, &sizing, error));
    memcpy(j->reason, sizing.reason, sizeof j->reason);
    FR_TRY(make_recipe(j, &sizing, &request.budget, j->data, &j->recipe, error));
    return write_memory(j, request.budget.amount, error);
}

static fr_status load_recipe(job *j, fr_error *error)
{
    char *path = fr_path_join(j->run, "recipe.yaml");
    fr_status status =
        path ? fr_recipe_load(&j->recipe, path, error) : fr_fail(error, FR_NO_MEMORY, "no memory");
    fr_free(path);
    return status;
}

static fr_status train(job *j, fr_error *error)
{
    fr_run_options run = {.folder = j->run,
                          .resume = j->options->resume,
                          .peak_flops = j->machine.gemm_flops,
                          .progress = cli_training_progress};
    fr_status status = fr_train(j->recipe, &run, &j->trained, error);
    if (status == FR_INTERRUPTED)
        return fr_fail(error, FR_INTERRUPTED,
                       "stopped; the state is saved. Go on with: frugal make --out %s --resume",
                       j->options->out);
    return status;
}

/* Move the finished model's files up to OUT, config.json last: with it the folder is a model. */
static fr_status publish(const job *j, fr_error *error)
{
    static const char *const names[] = {"generation_config.json", "model.safetensors",
                                        "tokenizer.json", "tokenizer_config.json", "config.json"};
    char *model = fr_path_join(j->run, "model");
    fr_status status = model ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory");
    for (size_t i = 0; status == FR_OK && i < sizeof names / sizeof *names; i++) {
        char *from = fr_path_join(model, names[i]), *to = fr_path_join(j->options->out, names[i]);
        if (!from || !to)
            status = fr_fail(error, FR_NO_MEMORY, "no memory");
        else if (rename(from, to) != 0)
            status = fr_fail_errno(error, "move to its place", from);
        fr_free(from);
        fr_free(to);
    }
    if (status == FR_OK)
        status = fr_folder_sync(j->options->out, error);
    if (status == FR_OK)
        status = fr_folder_remove(model, error);
    fr_free(model);
    return status;
}

/* One held-out document after another, from held_out.jsonl. */
static fr_status next_document(void *context, const char **text, size_t *size, fr_error *error)
{
    fr_document document = {0};
    FR_TRY(fr_source_next(context, &document, error));
    *text = document.text;
    *size = document.size;
    return FR_OK;
}

static fr_status evaluate(job *j, fr_error *error)
{
    char *path = fr_path_join(j->data, "held_out.jsonl");
    fr_source_options as_is = {0};
    fr_source *source = NULL;
    fr_status status = path ? fr_source_open(&source, (const char *const *)&path, 1, &as_is, error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory");
    cli_progress("scoring the held-out text");
    if (status == FR_OK)
        status = fr_evaluate(j->model, j->tokenizer, next_document, source, 0, &j->held_out, error);
    fr_source_close(source);
    fr_free(path);
    return status;
}

static bool keep_sample(void *context, int64_t row, const char *text, size_t size)
{
    fr_buffer_append(&((job *)context)->samples[row], text, size);
    return true;
}

static fr_status sample(job *j, fr_error *error)
{
    static const char *const prompts[SAMPLES] = {"", "", ""};
    fr_sampling_options how = {.temperature = 0.8,
                               .top_p = 0.95,
                               .repetition_penalty = 1,
                               .max_tokens = SAMPLE_TOKENS,
                               .seed = j->seed};
    return fr_generate(j->model, j->tokenizer, prompts, SAMPLES, &how, keep_sample, j, NULL, NULL,
                       error);
}

/* ---- the result --------------------------------------------------------------------------------------------------------------- */

static double seconds_so_far(const job *j)
{
    double here = fr_seconds() - j->start;
    return j->options->resume ? j->spent_before + fmax(here, j->trained.seconds) : here;
}

/* 0 when the machine does not tell. */
static double joules_so_far(const job *j)
{
    return fmax(0, fr_energy_joules() - j->joules_start);
}

static fr_status write_card(const job *j, fr_error *error)
{
    const char *samples[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = j->samples[i].data ? j->samples[i].data : "";
    const char *slash = strrchr(j->options->out, '/');
    cli_card card = {.name = slash && slash[1] ? slash + 1 : j->options->out,
                     .budget = j->budget.text,
                     .reason = j->reason,
                     .model = j->model,
                     .data = &j->report,
                     .train = &j->trained,
                     .held_out = &j->held_out,
                     .machine = &j->machine,
                     .samples = samples,
                     .sample_count = SAMPLES,
                     .seconds = seconds_so_far(j),
                     .cpu_seconds = fr_cpu_seconds() - j->cpu_start,
                     .price_per_hour = j->price_per_hour,
                     .joules = joules_so_far(j)};
    return cli_card_write(&card, j->options->out, error);
}

/* What --json prints and the report reads (keys: report.h). */
static json_t *result_json(const job *j)
{
    json_t *samples = json_array();
    for (int i = 0; i < SAMPLES; i++)
        json_array_append_new(samples, json_string(j->samples[i].data ? j->samples[i].data : ""));
    const fr_evaluation *e = &j->held_out;
    json_t *held_out = json_pack("{s:f, s:f, s:f, s:I, s:I}", "loss", e->loss, "perplexity",
                                 e->perplexity, "bits_per_byte", e->bits_per_byte, "tokens",
                                 (json_int_t)e->tokens, "bytes", (json_int_t)e->bytes);
    json_t *json = json_pack("{s:s, s:o, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:s, s:o}", "model",
                             j->options->out, "held_out", held_out, "parameters",
                             (json_int_t)fr_model_parameter_total(j->model), "tokens",
                             (json_int_t)j->trained.tokens, "flops", j->trained.flops, "seconds",
                             seconds_so_far(j), "cpu_seconds", fr_cpu_seconds() - j->cpu_start,
                             "joules", joules_so_far(j), "price_per_hour", j->price_per_hour,
                             "reason", j->reason, "samples", samples);
    return json;
}

static fr_status print_result(const job *j, fr_error *error)
{
    if (j->call->json)
        return cli_print_json(result_json(j), error);
    char a[24], b[24];
    for (int i = 0; i < SAMPLES; i++)
        FR_TRY(cli_print(error, "--- sample %d ---\n%s\n\n", i + 1,
                         j->samples[i].data ? j->samples[i].data : ""));
    return cli_print(
        error,
        "%s: %s parameters; held-out loss %.4f, perplexity %.2f, %.4f bits per byte; made in %s\n",
        j->options->out, cli_count_text((double)fr_model_parameter_total(j->model), a),
        j->held_out.loss, j->held_out.perplexity, j->held_out.bits_per_byte,
        cli_seconds_text(seconds_so_far(j), b));
}

/* ---- the sequence --------------------------------------------------------------------------------------------------------------- */

static fr_status begin(job *j, fr_error *error)
{
    FR_TRY(fr_budget_parse(j->options->budget, j->options->price_per_hour, &j->budget, error));
    FR_TRY(check_words(j, error));
    FR_TRY(prepare_text(j, error));
    FR_TRY(fr_machine_measure(0.3, &j->machine, error));
    return choose_sizes(j, error);
}

static fr_status go_on(job *j, fr_error *error)
{
    char *report = fr_path_join(j->data, "report.json");
    fr_status status = report ? read_memory(j, error) : fr_fail(error, FR_NO_MEMORY, "no memory");
    if (status == FR_OK)
        status = fr_data_report_read(report, &j->report, error);
    fr_free(report);
    FR_TRY(status);
    FR_TRY(fr_machine_measure(0.3, &j->machine, error));
    return load_recipe(j, error);
}

static fr_status finish(job *j, fr_error *error)
{
    FR_TRY(publish(j, error));
    FR_TRY(fr_model_load(&j->model, j->options->out, error));
    FR_TRY(fr_tokenizer_load(&j->tokenizer, j->options->out, error));
    FR_TRY(evaluate(j, error));
    FR_TRY(sample(j, error));
    FR_TRY(write_card(j, error));
    FR_TRY(write_json(j->run, "result.json", result_json(j), error));
    FR_TRY(fr_report_write(j->run, error));
    cli_progress_done("%s", "");
    return print_result(j, error);
}

static void free_job(job *j)
{
    for (int i = 0; i < SAMPLES; i++)
        fr_buffer_free(&j->samples[i]);
    fr_tokenizer_free(j->tokenizer);
    fr_model_destroy(j->model);
    fr_recipe_free(j->recipe);
    fr_free(j->data);
    fr_free(j->run);
}

static fr_status run_job(job *j, fr_error *error)
{
    j->run = fr_path_join(j->options->out, "run");
    j->data = j->run ? fr_path_join(j->run, "data") : NULL;
    if (!j->data)
        return fr_fail(error, FR_NO_MEMORY, "no memory");
    FR_TRY(check_folder(j, error));
    cli_progress_start(j->call->quiet);
    fr_status status = j->options->resume ? go_on(j, error) : begin(j, error);
    if (status == FR_OK)
        status = train(j, error);
    bool refused = status == FR_BAD_INPUT || status == FR_UNSUPPORTED;
    bool begun = fr_path_exists(j->data);
    if (!j->options->resume && (refused || (status != FR_OK && !begun)))
        fr_folder_remove(j->options->out, NULL); /* nothing was trained: leave nothing half made */
    FR_TRY(status);
    return finish(j, error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const make_options *o = call->options;
    if (!o->out)
        return fr_fail(error, FR_BAD_INPUT, "say where the model shall be written: --out DIR");
    if (!o->budget && !o->resume)
        return fr_fail(error, FR_BAD_INPUT, "say what may be spent: --budget 5m");
    if (call->operand_count == 0 && !o->resume)
        return fr_fail(error, FR_BAD_INPUT,
                       "name the text to learn from: frugal make TEXT... --budget 5m --out DIR");
    job j = {.price_per_hour = o->price_per_hour,
             .seed = o->seed,
             .joules_start = fr_energy_joules(),
             .call = call,
             .options = o,
             .start = fr_seconds(),
             .cpu_start = fr_cpu_seconds()};
    fr_status status = run_job(&j, error);
    free_job(&j);
    return status;
}

const cli_verb cli_make = {
    .name = "make",
    .usage = "TEXT... --budget 5m --out DIR [key=value ...]",
    .summary = "raw text and a budget in, a model that talks out",
    .help = "Cleans and deduplicates the text, holds some documents out, trains a tokenizer, "
            "measures this machine, chooses the\n"
            "sizes, trains, scores the held-out text, writes a Hugging Face model folder and "
            "prints three samples. Each step\n"
            "exists by itself: data, plan, train, eval, generate.\n\n"
            "TEXT is files or folders: plain text, Markdown, HTML, JSON lines, each also .gz, .zst "
            "or .xz.\n\n"
            "  frugal make books/ --budget 5m --out my-model\n"
            "  frugal make notes.md --budget 90s --out tiny train.length=128\n"
            "  frugal make --out my-model --resume\n",
    .options = &table,
    .least_operands = 0,
    .most_operands = SIZE_MAX,
    .takes_words = true,
    .run = run,
};
