/* phase.c: where a run is in its phases: stop rules, progress, the schedule, and the data that a phase reads.

   Progress is the largest share of a limit that is reached. By steps, tokens or FLOPs it is a pure function of the position; by
   seconds it follows the clock, and keeps back the time that the last evaluation and checkpoint took, so that the budget holds
   with everything included. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

const fr_phase_options *fr_trainer_phase(const fr_trainer *trainer)
{
    return &trainer->own->recipe.phases[trainer->position.phase].options;
}

static int64_t tokens_per_step(const fr_trainer *trainer)
{
    const fr_phase_options *phase = fr_trainer_phase(trainer);
    return phase->micro_batch * phase->accumulation * phase->length;
}

/* ---- stop rules ---- */

typedef struct limit {
    const char *name;
    double done, limit; /* limit 0: not used */
    double one;         /* what a step adds, 0: not known */
} limit;
enum { LIMITS = 5, SECONDS = 2 };

/* The time that must be left for what comes after the last step. */
static double reserve(const fr_trainer *trainer)
{
    bool last = trainer->position.phase + 1 == (int64_t)trainer->own->recipe.phase_count;
    return last ? 1.2 * trainer->own->evaluation_seconds + 2 * trainer->own->saving_seconds : 0;
}

static double time_limit(const fr_trainer *trainer, double seconds)
{
    return seconds > 0 ? fmax(seconds - reserve(trainer), 1e-3) : 0;
}

/* A step that would end too late is not begun. */
static double time_done(const fr_trainer *trainer, double seconds)
{
    return seconds + trainer->own->step_seconds;
}

/* Epochs of the data that the current phase reads. */
static limit epochs_limit(const fr_trainer *trainer)
{
    double epoch = (double)trainer->own->source->per_epoch;
    return (limit){"epochs", (double)trainer->position.loader_number / epoch,
                   trainer->options.epochs, (double)trainer->own->micro_count / epoch};
}

static void phase_limits(const fr_trainer *trainer, limit limits[LIMITS])
{
    const fr_phase_options *o = fr_trainer_phase(trainer);
    const fr_position *at = &trainer->position;
    limits[0] = (limit){"steps", (double)at->phase_step, (double)o->steps, 1};
    limits[1] = (limit){"tokens", (double)at->phase_tokens, (double)o->tokens,
                        (double)tokens_per_step(trainer)};
    limits[SECONDS] = (limit){"seconds", at->phase_seconds, time_limit(trainer, o->seconds),
                              trainer->own->step_seconds};
    limits[3] = (limit){"flops", at->phase_flops, o->flops, at->step_flops};
    /* A recipe without phases is a phase that ends as the run does. */
    limits[4] = trainer->own->recipe.has_phases ? (limit){.name = "epochs"} : epochs_limit(trainer);
}

/* The stop rule in `train`, over all phases. */
static void run_limits(const fr_trainer *trainer, limit limits[LIMITS])
{
    const fr_train_options *o = &trainer->options;
    const fr_position *at = &trainer->position;
    limits[0] = (limit){"steps", (double)at->step, (double)o->steps, 1};
    limits[1] =
        (limit){"tokens", (double)at->tokens, (double)o->tokens, (double)tokens_per_step(trainer)};
    limits[SECONDS] = (limit){"seconds", at->seconds, time_limit(trainer, o->seconds),
                              trainer->own->step_seconds};
    limits[3] = (limit){"flops", at->flops, o->flops, at->step_flops};
    limits[4] = epochs_limit(trainer);
}

static double progress(const limit limits[LIMITS])
{
    double most = 0;
    for (int i = 0; i < LIMITS; i++)
        if (limits[i].limit > 0)
            most = fmax(most, fmin(1, limits[i].done / limits[i].limit));
    return most;
}

/* Steps that are left, NaN when no rule tells. */
static double steps_left(const limit limits[LIMITS])
{
    double least = NAN;
    for (int i = 0; i < LIMITS; i++)
        if (limits[i].limit > 0 && limits[i].one > 0)
            least = fmin(least, fmax(0, ceil((limits[i].limit - limits[i].done) / limits[i].one)));
    return least;
}

static const char *over(const fr_trainer *trainer, limit limits[LIMITS])
{
    limits[SECONDS].done = time_done(trainer, limits[SECONDS].done);
    for (int i = 0; i < LIMITS; i++)
        if (limits[i].limit > 0 && limits[i].done >= limits[i].limit)
            return limits[i].name;
    return NULL;
}

double fr_phase_progress(const fr_trainer *trainer)
{
    limit limits[LIMITS];
    phase_limits(trainer, limits);
    return progress(limits);
}

const char *fr_phase_over(const fr_trainer *trainer)
{
    limit limits[LIMITS];
    phase_limits(trainer, limits);
    return over(trainer, limits);
}

const char *fr_run_over(const fr_trainer *trainer)
{
    limit limits[LIMITS];
    run_limits(trainer, limits);
    const char *word = over(trainer, limits);
    bool last = trainer->position.phase + 1 == (int64_t)trainer->own->recipe.phase_count;
    return word ? word : last ? fr_phase_over(trainer) : NULL;
}

int64_t fr_phase_steps(const fr_trainer *trainer)
{
    limit limits[LIMITS];
    phase_limits(trainer, limits);
    double left = steps_left(limits);
    return isnan(left) ? 0 : trainer->position.phase_step + (int64_t)left;
}

/* Steps left of the whole run, NaN when not known. */
static double run_steps_left(const fr_trainer *trainer)
{
    limit limits[LIMITS];
    phase_limits(trainer, limits);
    double left = steps_left(limits);
    const fr_train_recipe *recipe = &trainer->own->recipe;
    for (size_t i = (size_t)trainer->position.phase + 1; i < recipe->phase_count; i++)
        left += recipe->phases[i].options.steps > 0 ? (double)recipe->phases[i].options.steps : NAN;
    run_limits(trainer, limits);
    return fmin(left, steps_left(limits));
}

int64_t fr_run_steps(const fr_trainer *trainer)
{
    double left = run_steps_left(trainer);
    return isnan(left) ? 0 : trainer->position.step + (int64_t)left;
}

double fr_run_seconds_left(const fr_trainer *trainer)
{
    limit limits[LIMITS];
    double left = INFINITY;
    phase_limits(trainer, limits);
    if (trainer->own->recipe.phase_count == 1 && limits[SECONDS].limit > 0)
        left = limits[SECONDS].limit - limits[SECONDS].done + reserve(trainer);
    run_limits(trainer, limits);
    if (limits[SECONDS].limit > 0)
        left = fmin(left, limits[SECONDS].limit - limits[SECONDS].done + reserve(trainer));
    double steps = run_steps_left(trainer);
    const struct fr_trainer_own *own = trainer->own;
    if (!isnan(steps) &&
        own->steps > 0) /* at the pace of this process, evaluations and checkpoints included */
        left = fmin(left, steps * (fr_seconds() - own->began) / (double)own->steps);
    return isfinite(left) ? fmax(0, left) : NAN;
}

double fr_trainer_fraction(const fr_trainer *trainer)
{
    limit limits[LIMITS];
    run_limits(trainer, limits);
    double phases = (double)trainer->own->recipe.phase_count;
    return fmax(progress(limits),
                ((double)trainer->position.phase + fr_phase_progress(trainer)) / phases);
}

double fr_phase_rate(const fr_trainer *trainer)
{
    const fr_train_recipe *recipe = &trainer->own->recipe;
    const fr_phase *phase = &recipe->phases[trainer->position.phase];
    const fr_choice *choice = phase->schedule.kind ? &phase->schedule : &recipe->schedule;
    const fr_schedule_kind *schedule = (const fr_schedule_kind *)choice->kind;
    return phase->options.lr_multiplier *
           schedule->value(choice->options, fr_phase_progress(trainer),
                           trainer->position.phase_step, fr_phase_steps(trainer));
}

/* ---- data ---- */

static fr_status make_buffers(fr_trainer *trainer, fr_error *error)
{
    struct fr_trainer_own *own = trainer->own;
    int64_t count = fr_trainer_phase(trainer)->accumulation;
    own->micro = fr_alloc_array((size_t)count, sizeof *own->micro, FR_MEMORY_DATA);
    own->losses = fr_alloc_array((size_t)count, sizeof(double), FR_MEMORY_OTHER);
    if (!own->micro || !own->losses)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the batches of a step");
    own->micro_count = count;
    return fr_gradient_tree_init(&own->tree, trainer->model, count, error);
}

/* An id that the model does not have is better said now than in the middle of the run; a very large shard is not read twice,
   the embedding finds it there. */
static fr_status check_shard(const fr_trainer *trainer, const char *path, fr_error *error)
{
    const int64_t small = 1 << 28;
    fr_shard *shard;
    FR_TRY(fr_shard_open(&shard, path, error));
    int64_t largest = fr_shard_tokens(shard) <= small ? fr_shard_max_id(shard) : -1;
    fr_shard_close(shard);
    if (largest < trainer->model->vocabulary)
        return FR_OK;
    return fr_fail(error, FR_BAD_INPUT,
                   "%s.bin: holds the id %lld, the model's vocabulary has %lld", path,
                   (long long)largest, (long long)trainer->model->vocabulary);
}

fr_status fr_phases_check(const fr_trainer *trainer, fr_error *error)
{
    const fr_train_recipe *recipe = &trainer->own->recipe;
    for (size_t i = 0; i < recipe->phase_count && !recipe->has_examples; i++) {
        const char *path = recipe->phases[i].options.train;
        if (!path)
            return fr_fail(error, FR_BAD_INPUT,
                           "nothing to train on: give data.folder or data.train");
        if (i == 0 || strcmp(path, recipe->phases[i - 1].options.train) != 0)
            FR_TRY(check_shard(trainer, path, error));
    }
    return FR_OK;
}

/* Phases that read the same rows go on where the last one stopped; others have an order of their own. */
static int64_t loader_seed(const fr_trainer *trainer)
{
    return trainer->options.seed + 1000003 * trainer->position.loader_phase;
}

static fr_status open_source(fr_trainer *trainer, fr_error *error)
{
    struct fr_trainer_own *own = trainer->own;
    const fr_phase_options *o = fr_trainer_phase(trainer);
    if (own->data.train)
        return fr_examples_source_create(&own->source, own->data.train, o->micro_batch,
                                         (uint64_t)loader_seed(trainer), false, error);
    fr_loader_options options = {.batch = o->micro_batch,
                                 .length = o->length,
                                 .cross_documents = trainer->data.cross_documents,
                                 .seed = loader_seed(trainer)};
    return fr_packed_source_create(&own->source, o->train, &options, false, error);
}

fr_status fr_phase_open(fr_trainer *trainer, fr_error *error)
{
    FR_TRY(open_source(trainer, error));
    return make_buffers(trainer, error);
}

void fr_phase_close(fr_trainer *trainer)
{
    struct fr_trainer_own *own = trainer->own;
    fr_gradient_tree_free(&own->tree);
    fr_batch_source_destroy(own->source);
    for (int64_t i = 0; i < own->micro_count; i++)
        fr_micro_batch_free(&own->micro[i]);
    fr_free(own->micro);
    fr_free(own->losses);
    own->source = NULL;
    own->micro = NULL;
    own->micro_count = 0;
    own->losses = NULL;
}

fr_status fr_phase_advance(fr_trainer *trainer, fr_error *error)
{
    fr_position *at = &trainer->position;
    bool last = at->phase + 1 == (int64_t)trainer->own->recipe.phase_count;
    if (last || !fr_phase_over(trainer))
        return FR_OK;
    const fr_phase_options *old = fr_trainer_phase(trainer);
    at->phase++;
    const fr_phase_options *new = fr_trainer_phase(trainer);
    at->phase_step = at->phase_tokens = 0;
    at->phase_seconds = at->phase_flops = 0;
    if (old->micro_batch != new->micro_batch || old->length != new->length ||
        (!trainer->own->data.train && strcmp(old->train, new->train) != 0)) {
        at->loader_number = 0;
        at->loader_phase = at->phase;
    }
    fr_phase_close(trainer);
    return fr_phase_open(trainer, error);
}
