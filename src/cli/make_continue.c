/* make_continue.c: `frugal make --from MODEL`: no sizes are chosen; the model's own shape, tokenizer and context stay, and the budget
   buys steps.

   The rate rises again to a peak well below that of a new model and falls to zero (re-warming, arXiv 2308.04014): high enough to learn
   the new text within the budget, low enough not to lose the old. docs/sizing.md says what was measured. */
#include "cli/make_job.h"

#include "frugal/formats.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEAST_STEPS = 20, LONGEST = 1024, TOKENS_PER_STEP = 4096 };

/* AdamW's peak rate times the width (docs/sizing.md). */
static const double RATE_TIMES_WIDTH = 0.64;

/* bf16 and f16 folders stay what they are. */
static const char *stored_dtype(const char *folder)
{
    char *path = fr_path_join(folder, "config.json");
    json_t *config = NULL;
    const char *dtype = "f32";
    if (path && fr_json_load(&config, path, NULL) == FR_OK) {
        const char *now = json_string_value(json_object_get(config, "dtype")),
                   *before = json_string_value(json_object_get(config, "torch_dtype"));
        const char *said = now ? now : before ? before : "";
        dtype = strcmp(said, "bfloat16") == 0  ? "bf16"
                : strcmp(said, "float16") == 0 ? "f16"
                                               : "f32";
    }
    json_decref(config);
    fr_free(path);
    return dtype;
}

fr_status make_continue_check(const make_job *j, fr_error *error)
{
    const char *from = j->asked.from;
    fr_model_head head;
    fr_tokenizer *tokenizer;
    if (!fr_path_is_folder(from))
        return fr_fail_at(error, FR_BAD_INPUT, from, 0,
                          "there is no such model folder (a GGUF file becomes one: frugal convert "
                          "FILE.gguf FOLDER)");
    FR_TRY(fr_model_folder_head(&head, from, error));
    fr_task task = head.task;
    fr_model_head_free(&head);
    if (task == FR_TASK_SEQ2SEQ_LM)
        return fr_fail_at(error, FR_UNSUPPORTED, from, 0,
                          "an encoder-decoder learns from texts with targets, not from plain text: "
                          "frugal train with objective seq2seq_lm (docs/fine-tuning.md)");
    if (task != FR_TASK_CAUSAL_LM)
        return fr_fail_at(error, FR_UNSUPPORTED, from, 0,
                          "a model for task %s does not continue text; to train it go through "
                          "frugal data and frugal train with the objective for its task "
                          "(docs/fine-tuning.md)",
                          fr_task_names[task]);
    for (size_t i = 0; i < j->asked.words.count; i++)
        if (strncmp(j->asked.words.items[i], "tokenizer.", 10) == 0)
            return fr_fail(error, FR_BAD_INPUT, "%s: the tokenizer of --from is kept",
                           j->asked.words.items[i]);
    FR_TRY(fr_tokenizer_load(&tokenizer, from, error));
    fr_tokenizer_free(tokenizer);
    return FR_OK;
}

/* Rows that fill a step, in micro-batches of at most 8. */
static void shape_batch(const fr_model *model, int64_t text_tokens, fr_sizing *sizing)
{
    sizing->length = model->max_positions < LONGEST ? model->max_positions : LONGEST;
    while (sizing->length > 64 && sizing->length * 64 > text_tokens)
        sizing->length /= 2;
    int64_t rows = TOKENS_PER_STEP / sizing->length;
    rows = rows < 1 ? 1 : rows;
    sizing->micro_batch = rows < 8 ? rows : 8;
    sizing->accumulation = (rows + sizing->micro_batch - 1) / sizing->micro_batch;
}

static void write_path(const char *key, const char *path, fr_buffer *text)
{
    fr_buffer_printf(text, "  %s: \"", key);
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            fr_buffer_text(text, "\\");
        fr_buffer_append(text, path, 1);
    }
    fr_buffer_text(text, "\"\n");
}

static void write_recipe(const make_job *j, const fr_sizing *s, const fr_budget *training,
                         const char *data, fr_buffer *text)
{
    fr_buffer_text(text, "model:\n");
    write_path("from", j->asked.from, text);
    if (data) {
        fr_buffer_text(text, "data:\n");
        write_path("folder", data, text);
    }
    fr_buffer_printf(text,
                     "objective:\n  kind: causal_lm\noptimizer:\n  kind: adamw\n  lr: %g\n"
                     "  weight_decay: %g\nschedule:\n  kind: cosine\n  warmup: 0.05\n  final: 0\n",
                     s->adamw_rate, s->weight_decay);
    fr_buffer_printf(text,
                     "train:\n  length: %lld\n  micro_batch: %lld\n  accumulation: %lld\n  seed: "
                     "%lld\n  evals: 8\n  eval_tokens: 8192\n  checkpoint_seconds: 120\n"
                     "  final_weights: best\n  final_dtype: %s\n",
                     (long long)s->length, (long long)s->micro_batch, (long long)s->accumulation,
                     (long long)j->asked.seed, stored_dtype(j->asked.from));
    if (training->kind == FR_BUDGET_SECONDS)
        fr_buffer_printf(text, "  seconds: %.2f\n", training->amount);
    else if (training->kind == FR_BUDGET_FLOPS)
        fr_buffer_printf(text, "  flops: %.6g\n", training->amount);
    else
        fr_buffer_printf(text, "  tokens: %.0f\n", training->amount);
    fr_buffer_text(text, "hooks:\n  - kind: samples\n");
}

fr_status make_continue_recipe(const make_job *j, const fr_sizing *sizing,
                               const fr_budget *training, const char *data, fr_recipe **recipe,
                               fr_error *error)
{
    fr_buffer text = {0};
    write_recipe(j, sizing, training, data, &text);
    fr_status status = text.failed
                           ? fr_fail(error, FR_NO_MEMORY, "no memory for a recipe")
                           : fr_recipe_parse(recipe, text.data, text.size, "chosen recipe", error);
    fr_buffer_free(&text);
    return status;
}

static void explain(fr_sizing *s, int64_t text_tokens)
{
    snprintf(s->reason, sizeof s->reason,
             "Continues a model of %.2fM parameters. The budget buys about %.2g FLOPs at %.0f "
             "GFLOP/s: %.0f steps, %.3g tokens, %.1f passes over the text; AdamW rises to %.2g and "
             "falls to zero.",
             (double)s->parameters * 1e-6, s->flops, s->flops_per_second * 1e-9, s->steps,
             s->tokens, s->tokens / (double)(text_tokens > 0 ? text_tokens : 1), s->adamw_rate);
}

/* What the budget buys, from a dry run of a step. */
static fr_status work_out(const make_job *j, const fr_budget *training, fr_sizing *s,
                          fr_error *error)
{
    fr_recipe *recipe = NULL;
    fr_train_plan plan;
    fr_status status = make_continue_recipe(j, s, training, NULL, &recipe, error);
    if (status == FR_OK)
        status = fr_train_plan_make(recipe, 0, &plan, error);
    fr_recipe_free(recipe);
    FR_TRY(status);
    double step_tokens = (double)plan.tokens_per_step;
    s->parameters = plan.parameters;
    s->flops_per_token = plan.flops_per_step / step_tokens;
    s->flops_per_second = fr_sizing_rate(s->hidden, &j->machine);
    s->flops = training->kind == FR_BUDGET_SECONDS ? training->amount * s->flops_per_second
               : training->kind == FR_BUDGET_FLOPS ? training->amount
                                                   : training->amount * s->flops_per_token;
    s->tokens = s->flops / s->flops_per_token;
    s->steps = s->tokens / step_tokens;
    s->epochs = j->report.train_tokens > 0 ? s->tokens / (double)j->report.train_tokens : 0;
    return FR_OK;
}

fr_status make_continue_size(const make_job *j, const fr_budget *training, fr_sizing *s,
                             fr_error *error)
{
    fr_model *model;
    *s = (fr_sizing){.weight_decay = 0.1};
    if (training->amount <= 0)
        return fr_fail(error, FR_BAD_INPUT,
                       "budget %s is too small: nothing of it is left for training",
                       j->budget.text);
    FR_TRY(fr_model_load_shapes(&model, j->asked.from, error));
    s->hidden = model->width;
    s->layers = model->layers;
    s->adamw_rate = RATE_TIMES_WIDTH / (double)model->width;
    shape_batch(model, j->report.train_tokens, s);
    fr_model_destroy(model);
    FR_TRY(work_out(j, training, s, error));
    /* Few steps of a slow model: smaller ones. */
    while (s->steps < LEAST_STEPS && s->micro_batch * s->accumulation > 1) {
        if (s->accumulation > 1)
            s->accumulation = (s->accumulation + 1) / 2;
        else
            s->micro_batch /= 2;
        FR_TRY(work_out(j, training, s, error));
    }
    if (s->steps < LEAST_STEPS)
        return fr_fail(error, FR_BAD_INPUT,
                       "budget %s is too small: it pays for %.0f steps of %s, at least %d are "
                       "needed",
                       j->budget.text, floor(s->steps), j->asked.from, LEAST_STEPS);
    explain(s, j->report.train_tokens);
    return FR_OK;
}
