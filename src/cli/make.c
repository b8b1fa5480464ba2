/* make.c: `frugal make`: the best model of this text for this budget. Nothing but a sequence of steps that exist one by one:
   data, plan, train, eval, generate; here is only the bookkeeping of the budget between them.

   OUT/run is the run folder, OUT/run/data the prepared text, OUT/run/make.json what was asked for: written first, so that a job that was
   killed at any instant goes on, and each step that is not done whole is done again. The model's own files appear in OUT when they are
   done, README.md last: with it the job is over. */
#include "cli/cli.h"

#include "cli/data_options.h"
#include "cli/make_job.h"
#include "cli/training.h"
#include "frugal/plan.h"

#include <dirent.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLE_TOKENS = 100 };

static const fr_option options[] = {
    {"budget", FR_OPTION_STRING, offsetof(make_options, budget),
     .help = "what may be spent: a time (90s, 5m, 2h), arithmetic (2e15flops), tokens (10Mtokens) "
             "or money (0.50EUR)"},
    {"out", FR_OPTION_STRING, offsetof(make_options, out),
     .help = "folder of the new model; OUT/run is its run folder"},
    {"from", FR_OPTION_STRING, offsetof(make_options, from),
     .help = "continue this model instead of making a new one; its tokenizer is kept"},
    {"price_per_hour", FR_OPTION_FLOAT, offsetof(make_options, price_per_hour),
     .unit = "money/hour", .maximum = 1e6,
     .help = "what an hour of this machine costs; needed for a budget in money, and reported"},
    {"seed", FR_OPTION_INT, offsetof(make_options, seed), .minimum = 0, .maximum = 1e15,
     .help = "of the split, the first weights, the order of the text and the samples"},
    {"resume", FR_OPTION_BOOL, offsetof(make_options, resume),
     .help = "go on with a job that was stopped, with the text, the budget and the words it was "
             "begun with"},
};

enum { DEFAULT_SEED = 1 };

static void defaults(void *o)
{
    ((make_options *)o)->seed = DEFAULT_SEED;
}

static const fr_option_table table = {"make", options, sizeof options / sizeof *options,
                                      sizeof(make_options), defaults};

/* ---- the folder ------------------------------------------------------------------------------------------------------- */

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory");
}

static bool holds(const char *folder, const char *name)
{
    char *path = fr_path_join(folder, name);
    bool there = path && fr_path_exists(path);
    fr_free(path);
    return there;
}

/* "frugal make --out OUT --resume", as a shell takes it. */
static const char *resume_command(const make_job *j, fr_buffer *text)
{
    fr_buffer_text(text, "frugal make --out ");
    cli_shell_word(j->out, text);
    fr_buffer_text(text, " --resume");
    return text->failed ? "frugal make --out ... --resume" : text->data;
}

/* OUT as it was named, without "/" behind; OUT/run; OUT/run/data. */
static fr_status name_folders(make_job *j, fr_error *error)
{
    size_t length = strlen(j->options->out);
    while (length > 1 && j->options->out[length - 1] == '/')
        length--;
    j->out = fr_string_copy_n(j->options->out, length);
    j->run = j->out ? fr_path_join(j->out, "run") : NULL;
    j->data = j->run ? fr_path_join(j->run, "data") : NULL;
    return j->data ? FR_OK : no_memory(error);
}

static fr_status check_folder(make_job *j, fr_error *error)
{
    const char *out = j->out;
    bool begun = holds(j->run, "make.json"), done = holds(out, "README.md");
    j->out_was_there = fr_path_is_folder(out);
    if (j->options->resume && begun && done)
        return fr_fail(error, FR_BAD_INPUT, "%s holds a finished model: nothing is left to do",
                       out);
    if (j->options->resume && !begun)
        return fr_fail(error, FR_BAD_INPUT, "%s holds no run to go on with", out);
    if (j->options->resume)
        return FR_OK;
    if (done || (holds(out, "config.json") && !begun))
        return fr_fail(error, FR_BAD_INPUT,
                       "%s already holds a model; choose another folder for --out", out);
    if (begun) {
        fr_buffer command = {0};
        fr_fail(error, FR_BAD_INPUT,
                "%s already holds a run; go on with it: %s, or choose another folder", out,
                resume_command(j, &command));
        fr_buffer_free(&command);
        return FR_BAD_INPUT;
    }
    if (fr_path_exists(out) && !j->out_was_there)
        return fr_fail(error, FR_BAD_INPUT, "%s is a file; --out must name a folder", out);
    if (j->out_was_there && !fr_folder_is_empty(out))
        return fr_fail(error, FR_BAD_INPUT, "%s is not empty; choose another folder for --out",
                       out);
    return FR_OK;
}

/* Nothing was trained: leave nothing half made. */
static void remove_folder(const make_job *j)
{
    fr_folder_remove(j->run, NULL);
    if (!j->out_was_there)
        rmdir(j->out);
}

/* ---- the steps ---------------------------------------------------------------------------------------------------------------- */

/* What the options of preparing text are for this job. Scoring the held-out text must not eat a small budget: 4 KiB for each second,
   but enough for two documents. */
static fr_status data_options(const make_job *j, cli_data_options *data, fr_error *error)
{
    const double seconds = j->budget.kind == FR_BUDGET_SECONDS ? j->budget.amount
                           : j->budget.kind == FR_BUDGET_FLOPS ? j->budget.amount / 5e10
                                                               : INFINITY;
    const fr_strings *words = &j->asked.words;
    FR_TRY(cli_data_options_read(data, j->asked.seed, (const char *const *)words->items,
                                 words->count, error));
    bool said = false;
    for (size_t i = 0; i < words->count; i++)
        said |= strncmp(words->items[i], "data.held_out_max=", 18) == 0;
    if (!said)
        data->data.held_out_max =
            (int64_t)fmin((double)data->data.held_out_max, fmax(64 << 10, seconds * (4 << 10)));
    return FR_OK;
}

static fr_status prepare_text(make_job *j, fr_error *error)
{
    cli_data_options data;
    const cli_call *call = j->call;
    const fr_strings *asked = &j->asked.texts;
    bool named = call->operand_count > 0; /* then by the names that the user gave */
    FR_TRY(data_options(j, &data, error));
    fr_tokenizer *kept = NULL; /* of --from */
    fr_status status = j->asked.from ? fr_tokenizer_load(&kept, j->asked.from, error) : FR_OK;
    if (status == FR_OK)
        status = fr_data_prepare(named ? call->operands : (const char *const *)asked->items,
                                 named ? call->operand_count : asked->count, j->data, &data.data,
                                 kept ? kept : data.ready, &data.tokenizer, cli_progress_library,
                                 NULL, &j->report, error);
    fr_tokenizer_free(kept);
    cli_data_options_free(&data);
    return status;
}

/* A recipe for the sizes; `data` NULL leaves its section out. */
static fr_status make_recipe(const make_job *j, const fr_sizing *sizing, const fr_budget *training,
                             const char *data, fr_recipe **recipe, fr_error *error)
{
    fr_buffer text = {0};
    fr_status status;
    if (j->asked.from) {
        status = make_continue_recipe(j, sizing, training, data, recipe, error);
    } else {
        fr_sizing_write_recipe(sizing, training, data, j->asked.seed, &text);
        status = text.failed
                     ? fr_fail(error, FR_NO_MEMORY, "no memory for a recipe")
                     : fr_recipe_parse(recipe, text.data, text.size, "chosen recipe", error);
        fr_buffer_free(&text);
    }
    for (size_t i = 0; status == FR_OK && i < j->asked.words.count; i++)
        if (!cli_data_options_has_word(j->asked.words.items[i]))
            status = fr_recipe_set_word(*recipe, j->asked.words.items[i], error);
    return status;
}

/* A mistake in key=value words must show before the text is read: a dry run of the recipe that some other budget and text would
   give finds it. */
static fr_status check_words(const make_job *j, fr_error *error)
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
    FR_TRY(data_options(j, &data, error));
    cli_data_options_free(&data);
    if (j->asked.from)
        sizing = (fr_sizing){.length = 1, .micro_batch = 1, .accumulation = 1, .adamw_rate = 1e-4};
    else
        FR_TRY(fr_sizing_choose(&request, &sizing, error));
    fr_status status = make_recipe(j, &sizing, &request.budget, NULL, &recipe, error);
    if (status == FR_OK && !j->asked.from)
        status = fr_recipe_set(recipe, "model.vocab_size", "4096", error);
    if (status == FR_OK)
        status = fr_train_plan_make(recipe, 0, &plan, error);
    fr_recipe_free(recipe);
    return status;
}

/* Seconds to keep back for what follows training. Scoring: documents longer than the context are read in windows that overlap by
   half, so twice, and reading costs a third of learning. Samples: every token reads all weights once. Then the files. */
static double seconds_after_training(const make_job *j, const fr_sizing *sizing)
{
    double scoring = (double)j->report.held_out_tokens * 2 * sizing->flops_per_token / 3 /
                     sizing->flops_per_second;
    double weights = 4 * (double)sizing->parameters / j->machine.stream_bytes;
    double talking = SAMPLE_TOKENS * (weights + 1e-4 * (double)sizing->layers);
    return 0.3 + 1.1 * (scoring + talking) + 0.01 * j->budget.amount;
}

static fr_status size_up(const make_job *j, const fr_sizing_request *request, fr_sizing *sizing,
                         fr_error *error)
{
    return j->asked.from ? make_continue_size(j, &request->budget, sizing, error)
                         : fr_sizing_choose(request, sizing, error);
}

static fr_status choose_sizes(make_job *j, fr_error *error)
{
    fr_sizing_request request = {j->budget, &j->machine, j->report.train_tokens,
                                 j->report.vocabulary, fr_physical_memory()};
    fr_sizing sizing;
    if (j->budget.kind == FR_BUDGET_SECONDS) {
        double spent = j->asked.spent + fr_seconds() - j->start, left = j->budget.amount - spent;
        request.budget.amount = fmax(left, 0);
        FR_TRY(size_up(j, &request, &sizing, error));
        request.budget.amount = left - seconds_after_training(j, &sizing);
        if (request.budget.amount < 0.3 * j->budget.amount)
            return fr_fail(error, FR_BAD_INPUT,
                           "budget %s is too small for this text: preparing it took %.1f s, which "
                           "leaves %.1f s for training",
                           j->budget.text, spent, fmax(request.budget.amount, 0));
    }
    FR_TRY(size_up(j, &request, &sizing, error));
    fr_free(j->asked.reason);
    j->asked.reason = fr_string_copy(sizing.reason);
    return j->asked.reason ? make_recipe(j, &sizing, &request.budget, j->data, &j->recipe, error)
                           : no_memory(error);
}

static fr_status load_recipe(make_job *j, fr_error *error)
{
    char *path = fr_path_join(j->run, "recipe.yaml");
    fr_status status = path ? fr_recipe_load(&j->recipe, path, error) : no_memory(error);
    fr_free(path);
    return status;
}

/* make.json says for the next sitting what this one took so far. */
static fr_status train(make_job *j, fr_error *error)
{
    fr_run_options run = {.folder = j->run,
                          .locked = true,
                          .resume = true, /* or begin */
                          .peak_flops = j->machine.gemm_flops,
                          .progress = cli_training_progress};
    j->asked.spent += fr_seconds() - j->start;
    FR_TRY(make_request_write(&j->asked, j->run, error));
    FR_TRY(fr_train(j->recipe, &run, &j->trained, error));
    j->trained_at = fr_seconds();
    return FR_OK;
}

static fr_status move_up(const make_job *j, const char *model, const char *name, fr_error *error)
{
    char *from = fr_path_join(model, name), *to = fr_path_join(j->out, name);
    fr_status status = from && to ? FR_OK : no_memory(error);
    if (status == FR_OK && rename(from, to) != 0)
        status = fr_fail_errno(error, "move to its place", from);
    fr_free(from);
    fr_free(to);
    return status;
}

/* Move the finished model's files up to OUT, config.json last: with it the folder is a model. */
static fr_status publish(const make_job *j, fr_error *error)
{
    static const char last[] = "config.json";
    char *model = fr_path_join(j->run, "model");
    DIR *folder = model ? opendir(model) : NULL;
    fr_status status = FR_OK;
    if (!folder)
        status = model ? fr_fail_errno(error, "open folder", model) : no_memory(error);
    const struct dirent *entry;
    while (status == FR_OK && folder && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, last) != 0)
            status = move_up(j, model, entry->d_name, error);
    if (folder)
        closedir(folder);
    if (status == FR_OK)
        status = move_up(j, model, last, error);
    if (status == FR_OK)
        status = fr_folder_sync(j->out, error);
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

fr_status make_evaluate(const make_job *j, fr_model *model, const fr_tokenizer *tokenizer,
                        fr_evaluation *result, fr_error *error)
{
    char *path = fr_path_join(j->data, "held_out.jsonl");
    fr_source_options as_is = {0};
    fr_source *source = NULL;
    fr_status status = path ? fr_source_open(&source, (const char *const *)&path, 1, &as_is, error)
                            : no_memory(error);
    cli_progress("scoring the held-out text");
    if (status == FR_OK)
        status = fr_evaluate(model, tokenizer, next_document, source, 0, result, error);
    fr_source_close(source);
    fr_free(path);
    return status;
}

/* How the model that is continued does on the text it is to learn. */
static fr_status evaluate_before(make_job *j, fr_error *error)
{
    fr_model *model;
    fr_tokenizer *tokenizer = NULL;
    FR_TRY(fr_model_load(&model, j->asked.from, error));
    fr_status status = fr_tokenizer_load(&tokenizer, j->asked.from, error);
    if (status == FR_OK)
        status = make_evaluate(j, model, tokenizer, &j->before, error);
    fr_tokenizer_free(tokenizer);
    fr_model_destroy(model);
    return status;
}

static bool keep_sample(void *context, int64_t row, const char *text, size_t size)
{
    fr_buffer_append(&((make_job *)context)->samples[row], text, size);
    return true;
}

static fr_status sample(make_job *j, fr_error *error)
{
    static const char *const prompts[MAKE_SAMPLES] = {"", "", ""};
    fr_sampling_options how = {.temperature = 0.8,
                               .top_p = 0.95,
                               .repetition_penalty = 1,
                               .max_tokens = SAMPLE_TOKENS,
                               .seed = j->asked.seed};
    return fr_generate(j->model, j->tokenizer, prompts, MAKE_SAMPLES, &how, keep_sample, j, NULL,
                       NULL, error);
}

/* ---- the sequence --------------------------------------------------------------------------------------------------------------- */

/* What is said on the command line, as a request; with `all` what was not said too. */
static fr_status said(const make_job *j, bool all, make_request *request, fr_error *error)
{
    const make_options *o = j->options;
    *request = (make_request){.price_per_hour = o->price_per_hour,
                              .seed = all || o->seed != DEFAULT_SEED ? o->seed : -1};
    char *absolute = o->from ? realpath(o->from, NULL) : NULL;
    const char *from = absolute ? absolute : o->from;
    bool whole = (!o->budget || (request->budget = fr_string_copy(o->budget))) &&
                 (!from || (request->from = fr_string_copy(from)));
    free(absolute);
    if (!whole)
        return no_memory(error);
    return make_request_take(request, j->call->operands, j->call->operand_count, j->call->words,
                             j->call->word_count, error);
}

/* Everything that can be refused before the text is read is. */
static fr_status begin(make_job *j, fr_error *error)
{
    FR_TRY(said(j, true, &j->asked, error));
    FR_TRY(fr_budget_parse(j->asked.budget, j->asked.price_per_hour, &j->budget, error));
    if (j->asked.from)
        FR_TRY(make_continue_check(j, error));
    FR_TRY(check_words(j, error));
    FR_TRY(fr_folder_create(j->run, error));
    FR_TRY(fr_lock_folder(&j->lock, j->run, error));
    return make_request_write(&j->asked, j->run, error);
}

static fr_status go_on(make_job *j, fr_error *error)
{
    make_request again;
    FR_TRY(fr_lock_folder(&j->lock, j->run, error));
    FR_TRY(make_request_read(&j->asked, j->run, error));
    fr_status status = said(j, false, &again, error);
    if (status == FR_OK)
        status = make_request_agree(&j->asked, &again, error);
    make_request_free(&again);
    FR_TRY(status);
    return fr_budget_parse(j->asked.budget, j->asked.price_per_hour, &j->budget, error);
}

/* The prepared text, the machine and the recipe: what earlier sittings made is taken, the rest is made. */
static fr_status prepare(make_job *j, fr_error *error)
{
    char *report = fr_path_join(j->data, "report.json");
    fr_status status = !report                  ? no_memory(error)
                       : fr_path_exists(report) ? fr_data_report_read(report, &j->report, error)
                                                : prepare_text(j, error);
    fr_free(report);
    FR_TRY(status);
    FR_TRY(fr_machine_measure(0.3, &j->machine, error));
    if (j->asked.from)
        FR_TRY(evaluate_before(j, error));
    return holds(j->run, "recipe.yaml") ? load_recipe(j, error) : choose_sizes(j, error);
}

static fr_status finish(make_job *j, fr_error *error)
{
    FR_TRY(publish(j, error));
    FR_TRY(fr_model_load(&j->model, j->out, error));
    FR_TRY(fr_tokenizer_load(&j->tokenizer, j->out, error));
    FR_TRY(make_evaluate(j, j->model, j->tokenizer, &j->held_out, error));
    FR_TRY(sample(j, error));
    FR_TRY(make_result_write(j, error));
    cli_progress_done("%s", "");
    return make_result_print(j, error);
}

static void free_job(make_job *j)
{
    for (int i = 0; i < MAKE_SAMPLES; i++)
        fr_buffer_free(&j->samples[i]);
    fr_tokenizer_free(j->tokenizer);
    fr_model_destroy(j->model);
    fr_recipe_free(j->recipe);
    if (j->lock)
        fr_lock_release(j->lock);
    make_request_free(&j->asked);
    fr_free(j->data);
    fr_free(j->run);
    fr_free(j->out);
}

static fr_status run_sequence(make_job *j, fr_error *error)
{
    fr_status status = prepare(j, error);
    if (status == FR_OK)
        status = train(j, error);
    bool refused = status == FR_BAD_INPUT || status == FR_UNSUPPORTED;
    bool failed = status != FR_OK && status != FR_INTERRUPTED && !fr_path_exists(j->data);
    if (!j->options->resume && (refused || failed))
        remove_folder(j);
    return status == FR_OK ? finish(j, error) : status;
}

static fr_status run_job(make_job *j, fr_error *error)
{
    FR_TRY(name_folders(j, error));
    FR_TRY(check_folder(j, error));
    cli_progress_start(j->call->quiet);
    FR_TRY(j->options->resume ? go_on(j, error) : begin(j, error));
    fr_status status = run_sequence(j, error);
    if (status == FR_INTERRUPTED) {
        fr_buffer command = {0};
        fr_fail(error, FR_INTERRUPTED, "stopped; what was done is saved. Go on with: %s",
                resume_command(j, &command));
        fr_buffer_free(&command);
    }
    return status;
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const make_options *o = call->options;
    if (!o->out || !*o->out)
        return fr_fail(error, FR_BAD_INPUT, "say where the model shall be written: --out DIR");
    if (!o->budget && !o->resume)
        return fr_fail(error, FR_BAD_INPUT, "say what may be spent: --budget 5m");
    if (call->operand_count == 0 && !o->resume)
        return fr_fail(error, FR_BAD_INPUT,
                       "name the text to learn from: frugal make TEXT... --budget 5m --out DIR");
    make_job j = {.call = call,
                  .options = o,
                  .start = fr_seconds(),
                  .cpu_start = fr_cpu_seconds(),
                  .joules_start = fr_energy_joules()};
    fr_status status = run_job(&j, error);
    free_job(&j);
    return status;
}

const cli_verb cli_make = {
    .name = "make",
    .usage = "TEXT... --budget 5m --out DIR [--from MODEL] [key=value ...]",
    .summary = "raw text and a budget in, a model that talks out",
    .help =
        "Cleans and deduplicates the text, holds some documents out, trains a tokenizer, "
        "measures this machine, chooses the\n"
        "sizes, trains, scores the held-out text, writes a Hugging Face model folder and "
        "prints three samples. Each step\n"
        "exists by itself: data, plan, train, eval, generate.\n\n"
        "TEXT is files or folders: plain text, Markdown, HTML, JSON lines, each also .gz, .zst "
        "or .xz.\n\n"
        "  frugal make books/ --budget 5m --out my-model\n"
        "With --from MODEL no new model is made: an open one, or one of yours, goes on with this "
        "text. Its shape, tokenizer and\n"
        "context stay; the held-out text is scored before and after.\n\n"
        "  frugal make notes.md --budget 90s --out tiny train.length=128\n"
        "  frugal make manuals/ --from my-model --budget 10m --out my-manuals\n"
        "  frugal make --out my-model --resume\n",
    .options = &table,
    .least_operands = 0,
    .most_operands = SIZE_MAX,
    .takes_words = true,
    .run = run,
};
