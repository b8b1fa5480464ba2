/* step.c: one step of training: read the micro-batches, go forth and back through each, add their gradients in a fixed tree,
   update, and tell the hooks.

   The loss of a step is the mean over its targets: each micro-batch's loss is scaled by 1 / (targets of the step), which is known
   before the first of them is computed. */
#include "kernels/kernels.h"
#include "train/trainer.h"

#include <math.h>

/* ---- one micro-batch ---- */

fr_status fr_trainer_read(fr_trainer *trainer, fr_batch_source *source, int64_t number,
                          uint64_t seed, fr_micro_batch *micro, fr_error *error)
{
    fr_objective *objective = trainer->objective;
    fr_micro_batch_clear(micro);
    FR_TRY(source->kind->get(source, number, micro, error));
    if (objective->kind->prepare)
        FR_TRY(objective->kind->prepare(objective, micro, seed, (uint64_t)number, error));
    return FR_OK;
}

/* Read the step's micro-batches and count their targets. */
static fr_status read_step(fr_trainer *trainer, fr_error *error)
{
    struct fr_trainer_own *own = trainer->own;
    trainer->last.tokens = trainer->last.targets = 0;
    for (int64_t i = 0; i < own->micro_count; i++) {
        FR_TRY(fr_trainer_read(trainer, own->source, trainer->position.loader_number + i,
                               (uint64_t)trainer->options.seed, &own->micro[i], error));
        trainer->last.tokens += own->micro[i].tokens;
        trainer->last.targets += own->micro[i].targets;
    }
    return FR_OK;
}

fr_tensor *fr_trainer_forward(fr_trainer *trainer, int64_t i, float scale)
{
    fr_tape *tape = trainer->own->tape;
    fr_tape_reset(tape, (uint64_t)(trainer->position.micro_batches + i));
    fr_batch batch = fr_micro_batch_put(&trainer->own->micro[i], tape);
    return trainer->objective->kind->loss(trainer->objective, tape, &batch, scale);
}

/* Gradient and loss of micro-batch i of the step. */
static fr_status compute(fr_trainer *trainer, int64_t i, float scale, fr_error *error)
{
    struct fr_trainer_own *own = trainer->own;
    fr_model_zero_gradients(trainer->model);
    fr_tensor *loss = fr_trainer_forward(trainer, i, scale);
    FR_TRY(fr_tape_check(own->tape, error));
    own->losses[i] = *(const float *)fr_tensor_host(loss);
    FR_TRY(fr_tape_backward(own->tape, loss, 1, error));
    trainer->last.flops +=
        fr_tape_forward_cost(own->tape).flops + fr_tape_backward_cost(own->tape).flops;
    return FR_OK;
}

/* ---- the step ---- */

/* Sum of micro-batches' losses, as a fixed tree like the gradients. */
static double add_losses(const double *losses, int64_t count)
{
    if (count == 1)
        return losses[0];
    int64_t half = 1;
    while (2 * half < count)
        half *= 2;
    return add_losses(losses, half) + add_losses(losses + half, count - half);
}

static fr_status make_gradient(fr_trainer *trainer, fr_error *error)
{
    int64_t count = fr_trainer_phase(trainer)->accumulation, targets = trainer->last.targets;
    float scale = 1.0f / (float)(targets > 0 ? targets : 1);
    trainer->last.flops = 0;
    for (int64_t i = 0; i < count; i++) {
        fr_status status = compute(trainer, i, scale, error);
        if (status != FR_OK)
            return fr_error_prefix(error, "step %lld, micro-batch %lld",
                                   (long long)trainer->position.step + 1,
                                   (long long)(trainer->position.micro_batches + i));
        fr_gradient_tree_add(&trainer->own->tree, i, count);
    }
    trainer->last.loss = add_losses(trainer->own->losses, count);
    trainer->last.gradient_norm = fr_gradient_norm(trainer->model);
    return FR_OK;
}

static fr_status update(fr_trainer *trainer, fr_error *error)
{
    double norm = trainer->last.gradient_norm, clip = trainer->options.clip;
    double scale = clip > 0 && norm > clip ? clip / norm : 1, factor = fr_phase_rate(trainer);
    trainer->last.lr = factor * fr_optimizer_peak_rate(trainer->optimizer);
    return fr_optimizer_step(trainer->optimizer, factor, scale, trainer->position.step + 1, error);
}

static void advance(fr_trainer *trainer)
{
    static const double keep = 0.98; /* of the smoothed loss: a memory of about 50 steps */
    fr_position *at = &trainer->position;
    const fr_step *last = &trainer->last;
    int64_t count = fr_trainer_phase(trainer)->accumulation;
    at->step++;
    at->phase_step++;
    at->tokens += last->tokens;
    at->phase_tokens += last->tokens;
    at->micro_batches += count;
    at->loader_number += count;
    at->flops += last->flops;
    at->phase_flops += last->flops;
    at->step_flops = last->flops;
    at->smooth_loss = keep * at->smooth_loss + (1 - keep) * last->loss;
    at->smooth_weight = keep * at->smooth_weight + (1 - keep);
}

static void measure(fr_trainer *trainer, double begin)
{
    struct fr_trainer_own *own = trainer->own;
    fr_trainer_tick(trainer);
    double seconds = fr_seconds() - begin;
    trainer->last.seconds = seconds;
    own->step_seconds = own->step_seconds > 0 ? 0.9 * own->step_seconds + 0.1 * seconds : seconds;
    own->began = own->steps++ ? own->began : begin;
    own->training_seconds += seconds;
    own->trained_tokens += trainer->last.tokens;
}

static fr_status stop_for_signal(fr_trainer *trainer, fr_error *error)
{
    FR_TRY(fr_trainer_save(trainer, error));
    return fr_fail(error, FR_INTERRUPTED,
                   "interrupted after step %lld; the state is saved in %s: --resume goes on there",
                   (long long)trainer->position.step, trainer->own->checkpoints);
}

fr_status fr_trainer_step(fr_trainer *trainer, bool *more, fr_error *error)
{
    *more = !trainer->stop && !fr_run_over(trainer);
    if (!*more)
        return FR_OK;
    double begin = fr_seconds();
    FR_TRY(fr_phase_advance(trainer, error));
    FR_TRY(fr_hooks_fire(trainer, FR_STEP_BEGIN, error));
    FR_TRY(read_step(trainer, error));
    FR_TRY(make_gradient(trainer, error));
    FR_TRY(fr_hooks_fire(trainer, FR_GRADIENTS, error));
    FR_TRY(update(trainer, error));
    advance(trainer);
    measure(trainer, begin);
    FR_TRY(fr_hooks_fire(trainer, FR_STEP_END, error));
    fr_trainer_report(trainer, "training");
    if (fr_interrupted())
        return stop_for_signal(trainer, error);
    *more = !trainer->stop && !fr_run_over(trainer);
    return FR_OK;
}
