/* adamw.c: Adam with decoupled weight decay. Kingma and Ba, arXiv 1412.6980, algorithm 1; Loshchilov and Hutter, arXiv
   1711.05101, algorithm 2 (the decay is multiplied by the scheduled rate, as is usual now). One pass over each tensor:
   clipping, moments, decay and update are one kernel. */
#include "kernels/kernels.h"
#include "optim/optim.h"

#include <math.h>

static void defaults(void *options)
{
    *(fr_adamw_options *)options = (fr_adamw_options){
        .common = {.lr = 1e-3, .weight_decay = 0.1}, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8};
}

static const fr_option options[] = {
    FR_OPTIMIZER_COMMON_OPTIONS(fr_adamw_options),
    {"beta1", FR_OPTION_FLOAT, offsetof(fr_adamw_options, beta1), NULL, 0, 0.999999, NULL,
     "Decay of the first moment."},
    {"beta2", FR_OPTION_FLOAT, offsetof(fr_adamw_options, beta2), NULL, 0, 0.999999, NULL,
     "Decay of the second moment."},
    {"eps", FR_OPTION_FLOAT, offsetof(fr_adamw_options, eps), NULL, 1e-30, 1, NULL,
     "Added to the root of the second moment."},
};

static fr_status init(fr_optimizer *optimizer, fr_optimizer_slot *slot, fr_error *error)
{
    (void)optimizer;
    FR_TRY(fr_optimizer_make_state(slot, 0, error));
    return fr_optimizer_make_state(slot, 1, error);
}

static fr_status step(fr_optimizer *optimizer, fr_optimizer_slot *slots, size_t count,
                      const fr_update *update, fr_error *error)
{
    (void)error;
    const fr_adamw_options *o = optimizer->options;
    const fr_kernels *kernels = fr_kernels_get();
    double t = (double)update->step;
    for (size_t i = 0; i < count; i++) {
        fr_tensor *value = slots[i].parameter->value;
        fr_adamw_step numbers = {
            .rate = (float)(update->lr * slots[i].lr_multiplier),
            .beta1 = (float)o->beta1,
            .beta2 = (float)o->beta2,
            .eps = (float)o->eps,
            .weight_decay = (float)slots[i].weight_decay,
            .correction1 = (float)(1 - pow(o->beta1, t)),
            .correction2 = (float)(1 - pow(o->beta2, t)),
            .gradient_scale = (float)update->gradient_scale,
        };
        kernels->adamw(fr_tensor_host(value), fr_tensor_host(slots[i].state[0]),
                       fr_tensor_host(slots[i].state[1]), fr_tensor_host(value->grad),
                       fr_tensor_count(value), &numbers);
    }
    return FR_OK;
}

static size_t state_bytes(const void *o, const fr_parameter *parameter)
{
    (void)o;
    return 2 * fr_optimizer_one_state_bytes(parameter);
}

const fr_optimizer_kind fr_adamw = {
    .base = {"adamw",
             "Adam with decoupled weight decay.",
             "arXiv 1412.6980, 1711.05101",
             {"optimizer.adamw", options, sizeof options / sizeof *options,
              sizeof(fr_adamw_options), defaults}},
    .init = init,
    .step = step,
    .state_bytes = state_bytes,
    .state_names = {"m", "v"},
};
