/* recipe.c: a recipe of `frugal train`, read into structs and written back with every key.

   Sections: model (kind and its configuration, or from: FOLDER), data, objective, optimizer, schedule, train; lists: groups,
   phases, hooks. A recipe without phases is a recipe with one, whose stop rule is that of `train`. */
#include "train/trainer.h"

#include <string.h>

static const char *const known_sections[] = {"model",    "data",  "objective", "optimizer",
                                             "schedule", "train", "groups",    "phases",
                                             "hooks",    NULL};

static const fr_option source_options[] = {
    {"from", FR_OPTION_STRING, offsetof(fr_model_source, from), NULL, 0, 0, NULL,
     "Model folder to begin with."},
    {"new_head", FR_OPTION_BOOL, offsetof(fr_model_source, new_head), NULL, 0, 0, NULL,
     "Begin with a new head, although the folder has one of the same task."},
};
const fr_option_table fr_model_source_table = {"model", source_options,
                                               sizeof source_options / sizeof *source_options,
                                               sizeof(fr_model_source), NULL};

/* ---- reading ---- */

/* Choose from a registry and read the entry's options. */
static fr_status read_choice(const fr_section *section, const fr_registry *registry,
                             const char *fallback, const char *const *nested, fr_choice *out,
                             fr_error *error)
{
    out->kind = fr_section_kind(section, registry, fallback, error);
    if (!out->kind)
        return error ? error->status : FR_BAD_INPUT;
    const fr_option_table *table = &out->kind->options;
    out->options = fr_alloc(table->size ? table->size : 1, FR_MEMORY_OTHER);
    if (!out->options)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a recipe");
    return fr_options_read(table, out->options, section, true, nested, error);
}

static void free_choice(fr_choice *choice)
{
    if (choice->given || !choice->options)
        return;
    fr_options_free(&choice->kind->options, choice->options);
    fr_free(choice->options);
    choice->options = NULL;
}

void *fr_choice_give(fr_choice *choice)
{
    choice->given = true;
    return choice->options;
}

/* `model` is `from: FOLDER` with what belongs to it, or a kind with its configuration, which its own reader checks. */
static fr_status read_source(fr_train_recipe *out, fr_error *error)
{
    static const char *const nested[] = {"config", NULL};
    if (!out->model || !fr_section_child(out->model, "from"))
        return FR_OK;
    FR_TRY(fr_options_read(&fr_model_source_table, &out->source, out->model, false, nested, error));
    out->source.config = fr_section_child(out->model, "config");
    return FR_OK;
}

/* data.examples */
static fr_status read_examples(fr_train_recipe *out, const fr_section *section, fr_error *error)
{
    out->has_examples = section != NULL;
    return fr_options_read(&fr_example_option_table, &out->examples, section, false, NULL, error);
}

static fr_status read_groups(fr_train_recipe *out, const fr_recipe *recipe, fr_error *error)
{
    size_t count = fr_recipe_section_count(recipe, "groups");
    out->groups = fr_alloc_array(count, sizeof *out->groups, FR_MEMORY_OTHER);
    if (!out->groups)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a recipe");
    for (out->group_count = 0; out->group_count < count; out->group_count++)
        FR_TRY(fr_options_read(&fr_group_option_table, &out->groups[out->group_count],
                               fr_recipe_section_at(recipe, "groups", out->group_count), false,
                               NULL, error));
    return FR_OK;
}

static fr_status read_hooks(fr_train_recipe *out, const fr_recipe *recipe, fr_error *error)
{
    size_t count = fr_recipe_section_count(recipe, "hooks");
    out->hooks = fr_alloc_array(count, sizeof *out->hooks, FR_MEMORY_OTHER);
    if (!out->hooks)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a recipe");
    for (size_t i = 0; i < count; i++) {
        fr_choice *choice = &out->hooks[out->hook_count++];
        FR_TRY(read_choice(fr_recipe_section_at(recipe, "hooks", i), &fr_hooks, NULL, NULL, choice,
                           error));
        if (((const fr_hook_kind *)choice->kind)->standard)
            return fr_fail(error, FR_BAD_INPUT,
                           "hook '%s' is always there; its keys are in the section train",
                           choice->kind->name);
    }
    return FR_OK;
}

/* Zeros of a phase mean: as in the rest of the recipe. */
static fr_status complete_phase(const fr_train_recipe *recipe, fr_phase *phase, fr_error *error)
{
    fr_phase_options *o = &phase->options;
    const fr_train_options *train = &recipe->train;
    o->micro_batch = o->micro_batch ? o->micro_batch : train->micro_batch;
    o->accumulation = o->accumulation ? o->accumulation : train->accumulation;
    o->length = o->length ? o->length : train->length;
    if (!o->train && recipe->data.train && !(o->train = fr_string_copy(recipe->data.train)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for a recipe");
    return FR_OK;
}

static bool has_stop_rule(int64_t steps, int64_t tokens, double seconds, double flops)
{
    return steps > 0 || tokens > 0 || seconds > 0 || flops > 0;
}

static fr_status read_phases(fr_train_recipe *out, const fr_recipe *recipe, fr_error *error)
{
    static const char *const nested[] = {"schedule", NULL};
    size_t count = fr_recipe_section_count(recipe, "phases");
    const fr_train_options *train = &out->train;
    out->has_phases = count > 0;
    out->phase_count = 0;
    out->phases = fr_alloc_array(count ? count : 1, sizeof *out->phases, FR_MEMORY_OTHER);
    if (!out->phases)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a recipe");
    for (size_t i = 0; i < count; i++) {
        fr_phase *phase = &out->phases[out->phase_count++];
        fr_phase_options *o = &phase->options;
        const fr_section *section = fr_recipe_section_at(recipe, "phases", i);
        FR_TRY(fr_options_read(&fr_phase_option_table, o, section, false, nested, error));
        if (!has_stop_rule(o->steps, o->tokens, o->seconds, o->flops))
            return fr_fail(error, FR_BAD_INPUT,
                           "phase %zu has no end: give steps, tokens, seconds or flops", i + 1);
        const fr_section *schedule = fr_section_child(section, "schedule");
        if (schedule)
            FR_TRY(read_choice(schedule, &fr_schedules, "cosine", NULL, &phase->schedule, error));
        FR_TRY(complete_phase(out, phase, error));
    }
    if (count)
        return FR_OK;
    if (!has_stop_rule(train->steps, train->tokens, train->seconds, train->flops) &&
        train->epochs <= 0)
        return fr_fail(error, FR_BAD_INPUT,
                       "the recipe has no end: give train.steps, train.tokens, train.seconds, "
                       "train.flops or train.epochs");
    out->phase_count = 1;
    out->phases[0].options = (fr_phase_options){.steps = train->steps,
                                                .tokens = train->tokens,
                                                .seconds = train->seconds,
                                                .flops = train->flops,
                                                .lr_multiplier = 1};
    return complete_phase(out, &out->phases[0], error);
}

/* data.folder stands for what is not given. */
static fr_status complete_data(fr_train_data_options *data, fr_error *error)
{
    bool failed = false;
    if (data->folder && !data->train)
        failed |= !(data->train = fr_path_join(data->folder, "train"));
    if (data->folder && !data->tokenizer)
        failed |= !(data->tokenizer = fr_string_copy(data->folder));
    if (data->folder && !data->held_out.count) {
        data->held_out.items = fr_alloc(sizeof *data->held_out.items, FR_MEMORY_OTHER);
        failed |= !data->held_out.items ||
                  !(data->held_out.items[0] = fr_path_join(data->folder, "held_out"));
        data->held_out.count = !failed;
    }
    return failed ? fr_fail(error, FR_NO_MEMORY, "no memory for a recipe") : FR_OK;
}

static fr_status read_all(fr_train_recipe *out, const fr_recipe *recipe, fr_error *error)
{
    FR_TRY(fr_recipe_check_sections(recipe, known_sections, error));
    FR_TRY(fr_options_read(&fr_train_option_table, &out->train, fr_recipe_section(recipe, "train"),
                           false, NULL, error));
    static const char *const nested[] = {"examples", NULL};
    const fr_section *data = fr_recipe_section(recipe, "data");
    FR_TRY(fr_options_read(&fr_train_data_option_table, &out->data, data, false, nested, error));
    FR_TRY(complete_data(&out->data, error));
    FR_TRY(read_examples(out, data ? fr_section_child(data, "examples") : NULL, error));
    out->model = fr_recipe_section(recipe, "model");
    FR_TRY(read_source(out, error));
    FR_TRY(read_choice(fr_recipe_section(recipe, "objective"), &fr_objectives, "causal_lm", NULL,
                       &out->objective, error));
    FR_TRY(read_choice(fr_recipe_section(recipe, "optimizer"), &fr_optimizers, "adamw", NULL,
                       &out->optimizer, error));
    FR_TRY(read_choice(fr_recipe_section(recipe, "schedule"), &fr_schedules, "cosine", NULL,
                       &out->schedule, error));
    FR_TRY(read_groups(out, recipe, error));
    FR_TRY(read_phases(out, recipe, error));
    FR_TRY(read_hooks(out, recipe, error));
    if (out->train.final_weights == 1 && !out->train.keep_best)
        return fr_fail(error, FR_BAD_INPUT,
                       "train.final_weights: best needs train.keep_best: true");
    return FR_OK;
}

fr_status fr_train_recipe_read(fr_train_recipe *out, const fr_recipe *recipe, fr_error *error)
{
    *out = (fr_train_recipe){0};
    fr_status status = read_all(out, recipe, error);
    if (status != FR_OK)
        fr_train_recipe_free(out);
    return status;
}

void fr_train_recipe_free(fr_train_recipe *recipe)
{
    for (size_t i = 0; i < recipe->group_count; i++)
        fr_options_free(&fr_group_option_table, &recipe->groups[i]);
    for (size_t i = 0; i < recipe->phase_count; i++) {
        fr_options_free(&fr_phase_option_table, &recipe->phases[i].options);
        free_choice(&recipe->phases[i].schedule);
    }
    for (size_t i = 0; i < recipe->hook_count; i++)
        free_choice(&recipe->hooks[i]);
    free_choice(&recipe->objective);
    free_choice(&recipe->optimizer);
    free_choice(&recipe->schedule);
    fr_options_free(&fr_train_option_table, &recipe->train);
    fr_options_free(&fr_train_data_option_table, &recipe->data);
    fr_options_free(&fr_example_option_table, &recipe->examples);
    fr_options_free(&fr_model_source_table, &recipe->source);
    fr_model_head_free(&recipe->head);
    fr_free(recipe->groups);
    fr_free(recipe->phases);
    fr_free(recipe->hooks);
    *recipe = (fr_train_recipe){0};
}

/* ---- the model ---- */

static fr_status load_model(const fr_train_recipe *recipe, const fr_tokenizer *tokenizer,
                            bool shapes_only, fr_model **model, fr_error *error)
{
    uint64_t seed = (uint64_t)recipe->train.seed;
    if (!recipe->source.from) {
        int64_t vocabulary = tokenizer ? fr_tokenizer_size(tokenizer) : 0;
        int64_t end = tokenizer ? fr_tokenizer_end_of_text(tokenizer) : -1;
        return fr_model_create_from_section(model, recipe->model, &recipe->head, vocabulary, end,
                                            seed, shapes_only, error);
    }
    const fr_model_change change = {.head = &recipe->head,
                                    .seed = seed,
                                    .config = recipe->source.config,
                                    .shapes_only = shapes_only};
    FR_TRY(fr_model_load_as(model, recipe->source.from, &change, error));
    if (tokenizer && fr_tokenizer_size(tokenizer) > (*model)->vocabulary)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s has a vocabulary of %lld, the tokenizer of the data needs %lld",
                       recipe->source.from, (long long)(*model)->vocabulary,
                       (long long)fr_tokenizer_size(tokenizer));
    return FR_OK;
}

static fr_status check_lengths(const fr_train_recipe *recipe, const fr_model *model,
                               fr_error *error)
{
    const int64_t most = model->max_positions,
                  target = recipe->has_examples ? recipe->examples.target_length : 0;
    /* Pictures have as many positions as the model has. */
    bool text = ((const fr_objective_kind *)recipe->objective.kind)->examples != FR_EXAMPLES_IMAGES;
    for (size_t i = 0; most > 0 && text && i < recipe->phase_count; i++)
        if (recipe->phases[i].options.length > most)
            return fr_fail(error, FR_BAD_INPUT,
                           "length %lld is more than the model's %lld positions",
                           (long long)recipe->phases[i].options.length, (long long)most);
    if (most > 0 && target > most)
        return fr_fail(error, FR_BAD_INPUT,
                       "target_length %lld is more than the model's %lld positions",
                       (long long)target, (long long)most);
    return FR_OK;
}

fr_status fr_train_recipe_model(const fr_train_recipe *recipe, const fr_tokenizer *tokenizer,
                                bool shapes_only, fr_model **model, fr_error *error)
{
    *model = NULL;
    fr_status status = load_model(recipe, tokenizer, shapes_only, model, error);
    if (status == FR_OK) {
        (*model)->recompute = recipe->train.recompute;
        status = fr_groups_apply(recipe->groups, recipe->group_count, *model, error);
    }
    if (status == FR_OK)
        status = check_lengths(recipe, *model, error);
    if (status != FR_OK) {
        fr_model_destroy(*model);
        *model = NULL;
    }
    return status;
}

/* ---- writing ---- */

/* Keys that may change when a run goes on. */
static const char *const free_keys[] = {
    "steps",
    "tokens",
    "seconds",
    "flops",
    "epochs",
    "log_every",
    "eval_every",
    "evals",
    "eval_tokens",
    "checkpoint_every",
    "checkpoint_seconds",
    "keep_last",
    "keep_best",
    "patience",
    "min_improvement",
    "final_weights",
    "final_dtype",
    "tensorboard",
    "held_out",
};

static bool is_free(const char *name)
{
    for (size_t i = 0; i < sizeof free_keys / sizeof *free_keys; i++)
        if (strcmp(free_keys[i], name) == 0)
            return true;
    return false;
}

static void write_options(const fr_option_table *table, const void *options, int indent,
                          bool identity, fr_buffer *out)
{
    for (size_t i = 0; i < table->count; i++) {
        fr_option_table one = *table;
        one.options = &table->options[i];
        one.count = 1;
        if (!identity || !is_free(one.options->name))
            fr_options_write_yaml(&one, options, indent, out);
    }
}

static void write_choice(const char *section, const fr_choice *choice, bool identity,
                         fr_buffer *out)
{
    fr_buffer_printf(out, "%s:\n  kind: %s\n", section, choice->kind->name);
    write_options(&choice->kind->options, choice->options, 2, identity, out);
}

static void write_lists(const fr_train_recipe *recipe, bool identity, fr_buffer *out)
{
    if (recipe->group_count)
        fr_buffer_text(out, "groups:\n");
    for (size_t i = 0; i < recipe->group_count; i++) {
        fr_buffer_text(out, "  -\n");
        write_options(&fr_group_option_table, &recipe->groups[i], 4, identity, out);
    }
    if (recipe->has_phases)
        fr_buffer_text(out, "phases:\n");
    for (size_t i = 0; recipe->has_phases && i < recipe->phase_count; i++) {
        const fr_phase *phase = &recipe->phases[i];
        fr_buffer_text(out, "  -\n");
        write_options(&fr_phase_option_table, &phase->options, 4, identity, out);
        if (!phase->schedule.kind)
            continue;
        fr_buffer_printf(out, "    schedule:\n      kind: %s\n", phase->schedule.kind->name);
        write_options(&phase->schedule.kind->options, phase->schedule.options, 6, identity, out);
    }
    if (recipe->hook_count)
        fr_buffer_text(out, "hooks:\n");
    for (size_t i = 0; i < recipe->hook_count; i++) {
        fr_buffer_printf(out, "  - kind: %s\n", recipe->hooks[i].kind->name);
        write_options(&recipe->hooks[i].kind->options, recipe->hooks[i].options, 4, identity, out);
    }
}

fr_status fr_train_recipe_write(const fr_train_recipe *recipe, const fr_model *model, bool identity,
                                fr_buffer *out, fr_error *error)
{
    fr_buffer_text(out, "model:\n");
    if (recipe->source.from && !identity) {
        fr_options_write_yaml(&fr_model_source_table, &recipe->source, 2, out);
        fr_buffer_text(out, "  config:\n");
        write_options(&model->kind->base.options, model->config, 4, identity, out);
    } else {
        fr_buffer_printf(out, "  kind: %s\n", model->kind->base.name);
        write_options(&model->kind->base.options, model->config, 2, identity, out);
    }
    fr_buffer_text(out, "data:\n");
    write_options(&fr_train_data_option_table, &recipe->data, 2, identity, out);
    if (recipe->has_examples) {
        fr_buffer_text(out, "  examples:\n");
        write_options(&fr_example_option_table, &recipe->examples, 4, identity, out);
    }
    write_choice("objective", &recipe->objective, identity, out);
    write_choice("optimizer", &recipe->optimizer, identity, out);
    write_choice("schedule", &recipe->schedule, identity, out);
    fr_buffer_text(out, "train:\n");
    write_options(&fr_train_option_table, &recipe->train, 2, identity, out);
    write_lists(recipe, identity, out);
    return out->failed ? fr_fail(error, FR_NO_MEMORY, "no memory for the recipe") : FR_OK;
}
