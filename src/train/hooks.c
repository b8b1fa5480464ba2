/* hooks.c: the names of hooks, the ones that a run has, and how their events are fired. */
#include "train/trainer.h"

static const fr_kind *const entries[] = {&fr_hook_non_finite.base,
                                         &fr_hook_metrics.base,
                                         &fr_hook_evaluation.base,
                                         &fr_hook_early_stop.base,
                                         &fr_hook_checkpoint.base,
                                         &fr_hook_samples.base,
                                         NULL};

const fr_registry fr_hooks = {"hook", "Runs at events of the training loop.", entries};

/* Metrics of a step are written before it is evaluated, and both before the checkpoint that counts on them. */
static const fr_hook_kind *const before[] = {&fr_hook_non_finite};
static const fr_hook_kind *const after[] = {&fr_hook_metrics, &fr_hook_evaluation,
                                            &fr_hook_early_stop, &fr_hook_checkpoint};
enum { BEFORE = sizeof before / sizeof *before, AFTER = sizeof after / sizeof *after };

static fr_status add(fr_trainer *trainer, const fr_hook_kind *kind, void *options, fr_error *error)
{
    fr_hook *hook = &trainer->hooks[trainer->hook_count++];
    *hook = (fr_hook){.kind = kind, .options = options, .trainer = trainer};
    return kind->init ? kind->init(hook, error) : FR_OK;
}

fr_status fr_hooks_create(fr_trainer *trainer, fr_error *error)
{
    const fr_train_recipe *recipe = &trainer->own->recipe;
    trainer->hooks = fr_alloc_array(recipe->hook_count + BEFORE + AFTER, sizeof *trainer->hooks,
                                    FR_MEMORY_OTHER);
    if (!trainer->hooks)
        return fr_fail(error, FR_NO_MEMORY, "no memory for hooks");
    for (size_t i = 0; i < BEFORE; i++)
        FR_TRY(add(trainer, before[i], NULL, error));
    for (size_t i = 0; i < recipe->hook_count; i++)
        FR_TRY(add(trainer, (const fr_hook_kind *)recipe->hooks[i].kind, recipe->hooks[i].options,
                   error));
    for (size_t i = 0; i < AFTER; i++)
        FR_TRY(add(trainer, after[i], NULL, error));
    for (size_t i = 0; i < trainer->hook_count; i++)
        if (trainer->hooks[i].kind->state)
            FR_TRY(trainer->hooks[i].kind->state(&trainer->hooks[i], trainer->state, error));
    return FR_OK;
}

void fr_hooks_destroy(fr_trainer *trainer)
{
    for (size_t i = 0; i < trainer->hook_count; i++)
        if (trainer->hooks[i].kind->destroy)
            trainer->hooks[i].kind->destroy(&trainer->hooks[i]);
    fr_free(trainer->hooks);
    trainer->hooks = NULL;
    trainer->hook_count = 0;
}

typedef fr_status event_function(fr_hook *hook, fr_error *error);

static event_function *function_of(const fr_hook_kind *kind, fr_event event)
{
    event_function *const functions[] = {
        [FR_BEGIN] = kind->begin,         [FR_STEP_BEGIN] = kind->step_begin,
        [FR_GRADIENTS] = kind->gradients, [FR_STEP_END] = kind->step_end,
        [FR_EVALUATED] = kind->evaluated, [FR_END] = kind->end};
    return functions[event];
}

fr_status fr_hooks_fire(fr_trainer *trainer, fr_event event, fr_error *error)
{
    for (size_t i = 0; i < trainer->hook_count; i++) {
        event_function *function = function_of(trainer->hooks[i].kind, event);
        if (function)
            FR_TRY(function(&trainer->hooks[i], error));
    }
    return FR_OK;
}
