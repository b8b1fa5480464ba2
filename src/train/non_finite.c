/* non_finite.c: a loss or a gradient that is not finite ends the run before it reaches the weights, and says where it began: the
   micro-batch is computed again with an observer on every tap, and the first one that holds a NaN or an infinity is named. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>

typedef struct finding {
    char tap[160]; /* empty: none */
} finding;

static void look(void *context, const char *name, const fr_tensor *value)
{
    finding *found = context;
    if (!found->tap[0] && value->dtype == FR_F32 && fr_tensor_has_nonfinite(value))
        snprintf(found->tap, sizeof found->tap, "%s", name);
}

/* The first tap of micro-batch i that is not finite. */
static void search(fr_trainer *trainer, int64_t i, finding *found)
{
    fr_tape *tape = trainer->own->tape;
    found->tap[0] = 0;
    if (fr_tape_observe(tape, "*", look, found, NULL) == FR_OK)
        fr_trainer_forward(trainer, i,
                           1.0f / (float)(trainer->last.targets ? trainer->last.targets : 1));
    fr_tape_clear_taps(tape);
}

static const char *bad_gradient(const fr_model *model)
{
    for (size_t p = 0; p < model->parameter_count; p++) {
        const fr_tensor *value = model->parameters[p]->value;
        if (value->requires_grad && value->grad && fr_tensor_has_nonfinite(value->grad))
            return model->parameters[p]->name;
    }
    return NULL;
}

/* "; last good checkpoint: PATH" */
static char *last_good(const fr_trainer *trainer)
{
    char *path = NULL, *text;
    fr_checkpoint_latest(trainer->own->checkpoints, &path, NULL, NULL, NULL);
    text = path ? fr_format("; the last good checkpoint is %s", path)
                : fr_string_copy("; there is no checkpoint yet");
    fr_free(path);
    return text;
}

static fr_status gradients(fr_hook *hook, fr_error *error)
{
    fr_trainer *trainer = hook->trainer;
    const fr_step *last = &trainer->last;
    if (isfinite(last->loss) && isfinite(last->gradient_norm))
        return FR_OK;
    const char *parameter = bad_gradient(trainer->model);
    int64_t count = fr_trainer_phase(trainer)->accumulation,
            first = trainer->position.micro_batches;
    finding found = {{0}};
    int64_t i = 0;
    for (; i < count && !found.tap[0] && isfinite(trainer->own->losses[i]); i++) {
    }
    if (i < count)
        search(trainer, i, &found);
    char *good = last_good(trainer);
    const char *where = good ? good : "";
    fr_status status;
    if (i < count)
        status =
            fr_fail(error, FR_NUMERIC,
                    "step %lld: the loss of micro-batch %lld is %g; the first intermediate result "
                    "that is not "
                    "finite is %s%s",
                    (long long)trainer->position.step + 1, (long long)(first + i),
                    trainer->own->losses[i], found.tap[0] ? found.tap : "the loss itself", where);
    else
        status = fr_fail(error, FR_NUMERIC,
                         "step %lld (micro-batches %lld to %lld): the loss is finite, the "
                         "gradient's norm is %g%s%s%s",
                         (long long)trainer->position.step + 1, (long long)first,
                         (long long)(first + count - 1), last->gradient_norm,
                         parameter ? ", beginning with the gradient of " : "",
                         parameter ? parameter : "", where);
    fr_free(good);
    return status;
}

const fr_hook_kind fr_hook_non_finite = {
    .base = {.name = "non_finite",
             .summary = "Stop at a loss or gradient that is not finite, and say where it began.",
             .options = {.name = "hooks.non_finite"}},
    .standard = true,
    .gradients = gradients,
};
