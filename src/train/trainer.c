/* trainer.c: how a run begins, goes on and ends.

   Nothing is written before everything that can be checked was: recipe, tokenizer, plan against memory, data, model. Then the folder
   is locked, and either begun or taken up at its newest whole checkpoint. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

/* ---- clock and progress ---- */

void fr_trainer_tick(fr_trainer *trainer)
{
    double now = fr_seconds(), passed = now - trainer->own->clock;
    trainer->own->clock = now;
    trainer->position.seconds += passed;
    trainer->position.phase_seconds += passed;
}

static double smooth_loss(const fr_position *at)
{
    return at->smooth_weight > 0 ? at->smooth_loss / at->smooth_weight : NAN;
}

static double tokens_per_second(const fr_trainer *trainer)
{
    const struct fr_trainer_own *own = trainer->own;
    return own->training_seconds > 0 ? (double)own->trained_tokens / own->training_seconds : NAN;
}

void fr_trainer_report(fr_trainer *trainer, const char *activity)
{
    struct fr_trainer_own *own = trainer->own;
    const fr_position *at = &trainer->position;
    if (!own->run.progress)
        return;
    bool known = trainer->peak_flops > 0 && own->step_seconds > 0;
    fr_train_progress p = {
        .phase = fr_trainer_phase(trainer)->name,
        .activity = activity,
        .step = at->step,
        .steps = fr_run_steps(trainer),
        .loss = smooth_loss(at),
        .held_out_loss = at->held_out_loss,
        .tokens_per_second =
            own->step_seconds > 0 ? (double)trainer->last.tokens / own->step_seconds : NAN,
        .peak_share = known ? trainer->last.flops / own->step_seconds / trainer->peak_flops : NAN,
        .seconds = at->seconds,
        .seconds_left = fr_run_seconds_left(trainer),
        .flops = at->flops,
        .tokens = at->tokens,
        .fraction = fr_trainer_fraction(trainer),
    };
    p.figure = fr_domains_figure(trainer, &p.figure_value);
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        p.memory += fr_memory_now((fr_memory_kind)kind);
    own->run.progress(own->run.context, &p);
}

/* ---- the state tree ---- */

static fr_status register_position(fr_trainer *trainer, fr_error *error)
{
    fr_position *at = &trainer->position;
    const struct {
        const char *name;
        int64_t *value;
    } integers[] = {
        {"step", &at->step},
        {"tokens", &at->tokens},
        {"micro_batches", &at->micro_batches},
        {"loader_number", &at->loader_number},
        {"loader_phase", &at->loader_phase},
        {"phase", &at->phase},
        {"phase_step", &at->phase_step},
        {"phase_tokens", &at->phase_tokens},
        {"evaluations", &at->evaluations},
        {"evaluated_step", &at->evaluated_step},
        {"evaluations_since_best", &at->evaluations_since_best},
        {"best_step", &at->best_step},
    };
    const struct {
        const char *name;
        double *value;
    } reals[] = {
        {"seconds", &at->seconds},
        {"flops", &at->flops},
        {"phase_seconds", &at->phase_seconds},
        {"phase_flops", &at->phase_flops},
        {"step_flops", &at->step_flops},
        {"smooth_loss", &at->smooth_loss},
        {"smooth_weight", &at->smooth_weight},
        {"held_out_loss", &at->held_out_loss},
        {"best_loss", &at->best_loss},
    };
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        FR_TRY(fr_state_i64(trainer->state, integers[i].value, 1, error, "train.%s",
                            integers[i].name));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        FR_TRY(fr_state_f64(trainer->state, reals[i].value, 1, error, "train.%s", reals[i].name));
    return FR_OK;
}

static fr_status build_state(fr_trainer *trainer, fr_error *error)
{
    trainer->position = (fr_position){.evaluated_step = -1,
                                      .best_step = -1,
                                      .held_out_loss = NAN,
                                      .best_loss = NAN,
                                      .step_flops = trainer->own->plan.flops_per_step};
    trainer->state = fr_state_create();
    if (!trainer->state)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the state of the run");
    FR_TRY(fr_model_state(trainer->model, trainer->state, error));
    FR_TRY(fr_optimizer_state(trainer->optimizer, trainer->state, error));
    if (trainer->objective->kind->state)
        FR_TRY(trainer->objective->kind->state(trainer->objective, trainer->state, error));
    return register_position(trainer, error);
}

/* ---- making the parts ---- */

static fr_status create_tapes(fr_trainer *trainer, fr_error *error)
{
    fr_tape_options training = {
        .mode = FR_TAPE_TRAIN, .training = true, .seed = (uint64_t)trainer->options.seed};
    fr_tape_options evaluation = {.mode = FR_TAPE_NO_GRAD, .seed = (uint64_t)trainer->options.seed};
    trainer->own->tape = fr_tape_create(&training, error);
    trainer->own->evaluation_tape = fr_tape_create(&evaluation, error);
    if (!trainer->own->tape || !trainer->own->evaluation_tape)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the tapes");
    return fr_plan_reserve(trainer, error);
}

static fr_status create_learner(fr_trainer *trainer, fr_error *error)
{
    fr_train_recipe *recipe = &trainer->own->recipe;
    FR_TRY(fr_train_recipe_model(recipe, trainer->tokenizer, false, &trainer->model, error));
    FR_TRY(fr_model_create_gradients(trainer->model, error));
    FR_TRY(fr_objective_create(
        &trainer->objective, (const fr_objective_kind *)recipe->objective.kind,
        fr_choice_give(&recipe->objective), trainer->model, trainer->tokenizer, error));
    FR_TRY(fr_optimizer_create(&trainer->optimizer,
                               (const fr_optimizer_kind *)recipe->optimizer.kind,
                               fr_choice_give(&recipe->optimizer), trainer->model, recipe->groups,
                               recipe->group_count, error));
    return create_tapes(trainer, error);
}

/* What a run that goes on must share with the one that began, and the size of its data. */
static fr_status make_identity(fr_trainer *trainer, fr_error *error)
{
    fr_buffer text = {0};
    fr_status status =
        fr_train_recipe_write(&trainer->own->recipe, trainer->model, true, &text, error);
    fr_buffer_printf(&text, "# data: %s\n", trainer->own->source->identity);
    if (status == FR_OK && (text.failed || !(trainer->own->identity = fr_string_copy(text.data))))
        status = fr_fail(error, FR_NO_MEMORY, "no memory for the recipe");
    fr_buffer_free(&text);
    return status;
}

/* ---- beginning and going on ---- */

static bool has_run(const fr_trainer *trainer)
{
    char *recipe = fr_path_join(trainer->folder, "recipe.yaml");
    bool there = fr_path_exists(trainer->own->checkpoints) || (recipe && fr_path_exists(recipe));
    fr_free(recipe);
    return there;
}

/* Name the first line that differs. */
static fr_status compare_identity(const fr_trainer *trainer, const char *path, const char *then,
                                  fr_error *error)
{
    const char *now = trainer->own->identity;
    if (strcmp(now, then) == 0)
        return FR_OK;
    const char *a = now, *b = then;
    for (size_t i = 0; now[i] && now[i] == then[i]; i++)
        if (now[i] == '\n')
            a = now + i + 1, b = then + i + 1;
    a += strspn(a, " ");
    b += strspn(b, " ");
    return fr_fail(error, FR_BAD_INPUT,
                   "%s was made by another recipe: it had '%.*s', now it is '%.*s'. Only stop "
                   "rules, logging, evaluation "
                   "and checkpoint keys may change when a run goes on; start the other one in a "
                   "folder of its own",
                   path, (int)strcspn(b, "\n"), b, (int)strcspn(a, "\n"), a);
}

static fr_status go_on(fr_trainer *trainer, const char *path, const char *identity, fr_error *error)
{
    FR_TRY(compare_identity(trainer, path, identity, error));
    FR_TRY(fr_checkpoint_read(path, trainer->state, "", error));
    const fr_position *at = &trainer->position;
    if (at->phase < 0 || at->phase >= (int64_t)trainer->own->recipe.phase_count || at->step < 0)
        return fr_fail(error, FR_BAD_INPUT, "%s: phase %lld, the recipe has %zu", path,
                       (long long)at->phase, trainer->own->recipe.phase_count);
    trainer->own->saved_step = at->step;
    fr_log(FR_LOG_INFO, "going on after step %lld (%s)", (long long)at->step, path);
    if (at->phase == 0)
        return FR_OK;
    fr_phase_close(trainer);
    return fr_phase_open(trainer, error);
}

static fr_status take_folder(fr_trainer *trainer, fr_error *error)
{
    struct fr_trainer_own *own = trainer->own;
    char *path = NULL, *identity = NULL;
    FR_TRY(fr_folder_create(trainer->folder, error));
    if (!own->run.locked)
        FR_TRY(fr_lock_folder(&own->lock, trainer->folder, error));
    if (has_run(trainer) && !own->run.resume)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s already holds a run: --resume goes on with it, or choose another folder",
                       trainer->folder);
    FR_TRY(fr_folder_create(own->checkpoints, error));
    FR_TRY(fr_folder_clean(trainer->folder, error));
    FR_TRY(fr_checkpoint_clean(own->checkpoints, error));
    fr_status status = fr_checkpoint_latest(own->checkpoints, &path, NULL, &identity, error);
    if (status == FR_OK && path)
        status = go_on(trainer, path, identity, error);
    fr_free(path);
    fr_free(identity);
    return status;
}

static fr_status create_parts(fr_trainer *trainer, const fr_recipe *recipe, fr_error *error)
{
    struct fr_trainer_own *own = trainer->own;
    FR_TRY(fr_train_recipe_read(&own->recipe, recipe, error));
    trainer->options = own->recipe.train;
    trainer->data = own->recipe.data;
    FR_TRY(fr_run_data_open(&own->data, &own->recipe, error));
    trainer->tokenizer = own->data.tokenizer;
    FR_TRY(fr_plan_from_recipe(&own->recipe, &own->data, 0, &own->plan, error));
    FR_TRY(fr_plan_check_memory(&own->plan, error));
    FR_TRY(create_learner(trainer, error));
    FR_TRY(fr_run_data_encode(&own->data, &own->recipe, trainer->model, error));
    fr_memory_reset_peaks(); /* of what measured the machine, prepared the text, planned */
    FR_TRY(fr_phases_check(trainer, error));
    FR_TRY(fr_phase_open(trainer, error));
    FR_TRY(fr_domains_open(trainer, error));
    FR_TRY(make_identity(trainer, error));
    FR_TRY(build_state(trainer, error));
    FR_TRY(fr_hooks_create(trainer, error));
    FR_TRY(take_folder(trainer, error));
    FR_TRY(fr_folder_write_recipe(trainer, error));
    FR_TRY(fr_folder_write_machine(trainer, error));
    return fr_hooks_fire(trainer, FR_BEGIN, error);
}

fr_status fr_trainer_create(fr_trainer **out, const fr_recipe *recipe, const fr_run_options *run,
                            fr_error *error)
{
    *out = NULL;
    fr_trainer *trainer = fr_alloc(sizeof *trainer, FR_MEMORY_OTHER);
    struct fr_trainer_own *own = trainer ? fr_alloc(sizeof *own, FR_MEMORY_OTHER) : NULL;
    if (!own) {
        fr_free(trainer);
        return fr_fail(error, FR_NO_MEMORY, "no memory for the trainer");
    }
    trainer->own = own;
    own->run = *run;
    own->clock = fr_seconds();
    own->saved_step = -1;
    trainer->peak_flops = run->peak_flops;
    trainer->folder = fr_string_copy(run->folder);
    own->checkpoints = trainer->folder ? fr_path_join(trainer->folder, "checkpoints") : NULL;
    fr_status status = own->checkpoints ? create_parts(trainer, recipe, error)
                                        : fr_fail(error, FR_NO_MEMORY, "no memory for the trainer");
    if (status == FR_OK)
        *out = trainer;
    else
        fr_trainer_destroy(trainer);
    return status;
}

void fr_trainer_destroy(fr_trainer *trainer)
{
    if (!trainer)
        return;
    struct fr_trainer_own *own = trainer->own;
    fr_hooks_destroy(trainer);
    fr_domains_close(trainer);
    fr_phase_close(trainer);
    fr_micro_batch_free(&own->evaluated);
    if (own->tape)
        fr_tape_destroy(own->tape);
    if (own->evaluation_tape)
        fr_tape_destroy(own->evaluation_tape);
    fr_optimizer_destroy(trainer->optimizer);
    fr_objective_destroy(trainer->objective);
    if (trainer->state)
        fr_state_destroy(trainer->state);
    if (trainer->model)
        fr_model_destroy(trainer->model);
    fr_run_data_close(&own->data);
    fr_train_recipe_free(&own->recipe);
    if (own->lock)
        fr_lock_release(own->lock);
    fr_free(own->identity);
    fr_free(own->checkpoints);
    fr_free(own);
    fr_free(trainer->folder);
    fr_free(trainer);
}

/* ---- ending ---- */

static void fill_result(const fr_trainer *trainer, fr_train_result *result)
{
    const fr_position *at = &trainer->position;
    const char *word = trainer->stop ? trainer->stop : fr_run_over(trainer);
    *result = (fr_train_result){.step = at->step,
                                .tokens = at->tokens,
                                .seconds = at->seconds,
                                .flops = at->flops,
                                .loss = smooth_loss(at),
                                .held_out_loss = at->held_out_loss,
                                .best_loss = at->best_loss,
                                .best_step = at->best_step,
                                .tokens_per_second = tokens_per_second(trainer)};
    result->figure = fr_domains_figure(trainer, &result->figure_value);
    strncpy(result->stopped_by, word ? word : "", sizeof result->stopped_by - 1);
}

/* The best evaluation's weights, when they are wanted and are not those of now. */
static fr_status take_best(fr_trainer *trainer, fr_error *error)
{
    const fr_position *at = &trainer->position;
    if (trainer->options.final_weights != 1 || at->best_step < 0 || at->best_step == at->step)
        return FR_OK;
    char *path = fr_format("%s/step-%08lld", trainer->own->checkpoints, (long long)at->best_step);
    fr_status status = path ? fr_checkpoint_read(path, trainer->state, "model.", error)
                            : fr_fail(error, FR_NO_MEMORY, "no memory");
    fr_free(path);
    return status;
}

fr_status fr_trainer_finish(fr_trainer *trainer, fr_train_result *result, fr_error *error)
{
    FR_TRY(fr_hooks_fire(trainer, FR_END, error));
    fr_train_result mine;
    fill_result(trainer, &mine);
    FR_TRY(take_best(trainer, error));
    FR_TRY(fr_folder_write_model(trainer, error));
    fr_trainer_tick(trainer);
    mine.seconds = trainer->position.seconds;
    FR_TRY(fr_folder_write_summary(trainer, &mine, error));
    fr_trainer_report(trainer, "done");
    if (result)
        *result = mine;
    return FR_OK;
}

fr_status fr_train(const fr_recipe *recipe, const fr_run_options *run, fr_train_result *result,
                   fr_error *error)
{
    fr_trainer *trainer;
    bool more = true;
    FR_TRY(fr_trainer_create(&trainer, recipe, run, error));
    fr_status status = FR_OK;
    while (status == FR_OK && more)
        status = fr_trainer_step(trainer, &more, error);
    if (status == FR_OK)
        status = fr_trainer_finish(trainer, result, error);
    else if (result)
        fill_result(trainer, result);
    fr_trainer_destroy(trainer);
    return status;
}
