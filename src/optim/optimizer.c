/* optimizer.c: what all optimizers share: slots for the parameters that train, the AdamW beside kinds that take matrices
   alone, decay by shape or by group, state in the tree, and the norm of the gradient.

   Weight decay goes for parameters with two or more axes: matrices and embeddings. A norm's gain or a bias has one axis and
   gets none. A group's own decay overrides this. */
#include "kernels/kernels.h"
#include "optim/groups.h"
#include "optim/optim.h"

#include <math.h>

/* A hidden matrix: not an embedding, and not the output matrix, which has the vocabulary as an axis. */
static bool is_hidden_matrix(const fr_parameter *parameter)
{
    for (int axis = 0; axis < parameter->value->rank; axis++)
        if (parameter->axes[axis] == FR_AXIS_VOCAB)
            return false;
    return parameter->matrix && parameter->value->rank >= 2;
}

static bool takes(const fr_optimizer_kind *kind, const fr_parameter *parameter)
{
    return !kind->fallback || is_hidden_matrix(parameter);
}

static double decay_of(const fr_optimizer *optimizer, const fr_parameter *parameter,
                       const fr_group_options *group)
{
    if (group && group->weight_decay >= 0)
        return group->weight_decay;
    return parameter->value->rank >= 2
               ? ((const fr_optimizer_common *)optimizer->options)->weight_decay
               : 0;
}

fr_status fr_optimizer_make_state(fr_optimizer_slot *slot, int index, fr_error *error)
{
    const fr_tensor *value = slot->parameter->value;
    slot->state[index] = fr_tensor_create(FR_F32, value->rank, value->shape, FR_MEMORY_OPTIMIZER);
    return slot->state[index]
               ? FR_OK
               : fr_fail(error, FR_NO_MEMORY, "no memory for the optimizer's state of %s",
                         slot->parameter->name);
}

size_t fr_optimizer_one_state_bytes(const fr_parameter *parameter)
{
    return sizeof(float) * (size_t)fr_tensor_count(parameter->value);
}

/* ---- making ---- */

/* Slots for the parameters that train and that `wanted` (true: the kind's own, false: the rest) says. */
static fr_status add_slots(fr_optimizer *optimizer, const fr_optimizer_kind *chooser, bool wanted,
                           const fr_model *model, const fr_group_options *groups,
                           size_t group_count, fr_error *error)
{
    optimizer->slots =
        fr_alloc_array(model->parameter_count, sizeof *optimizer->slots, FR_MEMORY_OTHER);
    if (!optimizer->slots && model->parameter_count)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the optimizer");
    size_t scratch = 0;
    for (size_t p = 0; p < model->parameter_count; p++) {
        fr_parameter *parameter = model->parameters[p];
        if (!parameter->value->requires_grad || takes(chooser, parameter) != wanted)
            continue;
        const fr_group_options *group = fr_group_of(groups, group_count, parameter);
        fr_optimizer_slot *slot = &optimizer->slots[optimizer->slot_count++];
        *slot = (fr_optimizer_slot){.parameter = parameter,
                                    .lr_multiplier = group ? group->lr_multiplier : 1,
                                    .weight_decay = decay_of(optimizer, parameter, group)};
        FR_TRY(optimizer->kind->init(optimizer, slot, error));
        size_t bytes = optimizer->kind->scratch_bytes
                           ? optimizer->kind->scratch_bytes(optimizer->options, parameter)
                           : 0;
        scratch = bytes > scratch ? bytes : scratch;
    }
    if (scratch && !(optimizer->scratch = fr_alloc(scratch, FR_MEMORY_OPTIMIZER)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the optimizer's scratch (%zu bytes)",
                       scratch);
    return FR_OK;
}

static fr_optimizer *create(const fr_optimizer_kind *kind, void *options)
{
    fr_optimizer *optimizer = options ? fr_alloc(sizeof *optimizer, FR_MEMORY_OTHER) : NULL;
    if (!optimizer) {
        if (options)
            fr_options_free(&kind->base.options, options);
        fr_free(options);
        return NULL;
    }
    optimizer->kind = kind;
    optimizer->options = options;
    return optimizer;
}

static fr_status add_fallback(fr_optimizer *optimizer, const fr_model *model,
                              const fr_group_options *groups, size_t group_count, fr_error *error)
{
    fr_adamw_options *options = fr_alloc(sizeof *options, FR_MEMORY_OTHER);
    if (options)
        optimizer->kind->fallback(optimizer->options, options);
    optimizer->fallback = create(&fr_adamw, options);
    if (!optimizer->fallback)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the optimizer");
    return add_slots(optimizer->fallback, optimizer->kind, false, model, groups, group_count,
                     error);
}

fr_status fr_optimizer_create(fr_optimizer **out, const fr_optimizer_kind *kind, void *options,
                              const fr_model *model, const fr_group_options *groups,
                              size_t group_count, fr_error *error)
{
    *out = NULL;
    fr_optimizer *optimizer = create(kind, options);
    if (!optimizer)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the optimizer");
    fr_status status = add_slots(optimizer, kind, true, model, groups, group_count, error);
    if (status == FR_OK && kind->fallback)
        status = add_fallback(optimizer, model, groups, group_count, error);
    if (status == FR_OK)
        *out = optimizer;
    else
        fr_optimizer_destroy(optimizer);
    return status;
}

void fr_optimizer_destroy(fr_optimizer *optimizer)
{
    if (!optimizer)
        return;
    fr_optimizer_destroy(optimizer->fallback);
    for (size_t i = 0; i < optimizer->slot_count; i++)
        for (int s = 0; s < FR_OPTIMIZER_STATES; s++)
            fr_tensor_free(optimizer->slots[i].state[s]);
    fr_options_free(&optimizer->kind->base.options, optimizer->options);
    fr_free(optimizer->options);
    fr_free(optimizer->slots);
    fr_free(optimizer->scratch);
    fr_free(optimizer);
}

/* ---- using ---- */

double fr_optimizer_peak_rate(const fr_optimizer *optimizer)
{
    return ((const fr_optimizer_common *)optimizer->options)->lr;
}

fr_status fr_optimizer_step(fr_optimizer *optimizer, double factor, double gradient_scale,
                            int64_t step, fr_error *error)
{
    for (size_t i = 0; i < optimizer->slot_count; i++)
        if (!optimizer->slots[i].parameter->value->grad)
            return fr_fail(error, FR_WRONG_CALL, "optimizer: %s has no gradient",
                           optimizer->slots[i].parameter->name);
    fr_update update = {fr_optimizer_peak_rate(optimizer) * factor, gradient_scale, step};
    FR_TRY(
        optimizer->kind->step(optimizer, optimizer->slots, optimizer->slot_count, &update, error));
    return optimizer->fallback
               ? fr_optimizer_step(optimizer->fallback, factor, gradient_scale, step, error)
               : FR_OK;
}

fr_status fr_optimizer_state(fr_optimizer *optimizer, fr_state *state, fr_error *error)
{
    for (size_t i = 0; i < optimizer->slot_count; i++) {
        fr_optimizer_slot *slot = &optimizer->slots[i];
        for (int s = 0; s < FR_OPTIMIZER_STATES; s++)
            if (slot->state[s])
                FR_TRY(fr_state_tensor(state, slot->state[s], error, "optimizer.%s.%s",
                                       optimizer->kind->state_names[s], slot->parameter->name));
    }
    return optimizer->fallback ? fr_optimizer_state(optimizer->fallback, state, error) : FR_OK;
}

size_t fr_optimizer_state_bytes(const fr_optimizer_kind *kind, const void *options,
                                const fr_model *model)
{
    fr_adamw_options rest;
    size_t bytes = 0;
    if (kind->fallback)
        kind->fallback(options, &rest);
    for (size_t p = 0; p < model->parameter_count; p++) {
        const fr_parameter *parameter = model->parameters[p];
        if (parameter->value->requires_grad)
            bytes += takes(kind, parameter) ? kind->state_bytes(options, parameter)
                                            : fr_adamw.state_bytes(&rest, parameter);
    }
    return bytes;
}

size_t fr_optimizer_scratch_bytes(const fr_optimizer_kind *kind, const void *options,
                                  const fr_model *model)
{
    size_t most = 0;
    for (size_t p = 0; kind->scratch_bytes && p < model->parameter_count; p++) {
        const fr_parameter *parameter = model->parameters[p];
        bool ours = parameter->value->requires_grad && takes(kind, parameter);
        size_t bytes = ours ? kind->scratch_bytes(options, parameter) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

double fr_gradient_norm(const fr_model *model)
{
    const fr_kernels *kernels = fr_kernels_get();
    double sum = 0;
    for (size_t p = 0; p < model->parameter_count; p++) {
        const fr_tensor *value = model->parameters[p]->value;
        if (value->requires_grad && value->grad)
            sum += kernels->sum_of_squares(fr_tensor_host(value->grad), fr_tensor_count(value));
    }
    return sqrt(sum);
}
