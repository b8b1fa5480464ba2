/* save.c: the hook that writes checkpoints: by steps, by time, at the best evaluation and at the end. */
#include "train/trainer.h"

typedef struct saving {
    double last; /* clock at the last checkpoint of this process */
} saving;

static fr_status write(fr_trainer *trainer, fr_error *error)
{
    struct fr_trainer_own *own = trainer->own;
    const fr_position *at = &trainer->position;
    FR_TRY(fr_metrics_sync(trainer, error));
    fr_status status =
        fr_checkpoint_write(own->checkpoints, at->step, trainer->state, own->identity, error);
    if (status != FR_OK) {
        char *good = NULL;
        fr_checkpoint_latest(own->checkpoints, &good, NULL, NULL, NULL);
        fr_error_prefix(error, "saving step %lld (%s %s)", (long long)at->step,
                        good ? "the last good checkpoint is" : "there is no checkpoint",
                        good ? good : "yet");
        fr_free(good);
        return status;
    }
    own->saved_step = at->step;
    return fr_checkpoint_prune(own->checkpoints, at->step, trainer->options.keep_last,
                               trainer->options.keep_best ? at->best_step : -1, error);
}

fr_status fr_trainer_save(fr_trainer *trainer, fr_error *error)
{
    if (trainer->own->saved_step == trainer->position.step)
        return FR_OK;
    fr_trainer_report(trainer, "saving");
    fr_trainer_tick(trainer);
    double begin = fr_seconds();
    FR_TRY(write(trainer, error));
    trainer->own->saving_seconds = fr_seconds() - begin;
    fr_trainer_tick(trainer);
    return FR_OK;
}

static fr_status init(fr_hook *hook, fr_error *error)
{
    hook->own = fr_alloc(sizeof(saving), FR_MEMORY_OTHER);
    return hook->own ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a hook");
}

static fr_status begin_run(fr_hook *hook, fr_error *error)
{
    (void)error;
    ((saving *)hook->own)->last = fr_seconds();
    return FR_OK;
}

static bool due(const fr_hook *hook)
{
    const fr_trainer *trainer = hook->trainer;
    const fr_train_options *o = &trainer->options;
    const fr_position *at = &trainer->position;
    bool best = o->keep_best && at->evaluated_step == at->step && at->best_step == at->step;
    bool steps = o->checkpoint_every > 0 && at->step % o->checkpoint_every == 0;
    bool time = o->checkpoint_seconds > 0 &&
                fr_seconds() - ((saving *)hook->own)->last >= o->checkpoint_seconds;
    return best || steps || time;
}

static fr_status step_end(fr_hook *hook, fr_error *error)
{
    if (!due(hook))
        return FR_OK;
    ((saving *)hook->own)->last = fr_seconds();
    return fr_trainer_save(hook->trainer, error);
}

static fr_status end(fr_hook *hook, fr_error *error)
{
    return fr_trainer_save(hook->trainer, error);
}

static void destroy(fr_hook *hook)
{
    fr_free(hook->own);
}

const fr_hook_kind fr_hook_checkpoint = {
    .base = {.name = "checkpoint",
             .summary = "Save the state by steps, by time, at the best evaluation and at the end.",
             .options = {.name = "hooks.checkpoint"}},
    .standard = true,
    .init = init,
    .begin = begin_run,
    .step_end = step_end,
    .end = end,
    .destroy = destroy,
};
