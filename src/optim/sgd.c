/* sgd.c: stochastic gradient descent with momentum, in the form that PyTorch uses: buffer = momentum * buffer + g;
   w -= rate * buffer, or with Nesterov's look-ahead w -= rate * (g + momentum * buffer) (Sutskever et al., ICML 2013). The decay
   is added to the gradient (L2), as the method was defined. */
#include "kernels/kernels.h"
#include "optim/optim.h"

typedef struct sgd_options {
    fr_optimizer_common common;
    double momentum;
    bool nesterov;
} sgd_options;

static void defaults(void *options)
{
    *(sgd_options *)options =
        (sgd_options){.common = {.lr = 0.1, .weight_decay = 0}, .momentum = 0.9, .nesterov = false};
}

static const fr_option options[] = {
    FR_OPTIMIZER_COMMON_OPTIONS(sgd_options),
    {"momentum", FR_OPTION_FLOAT, offsetof(sgd_options, momentum), NULL, 0, 0.999999, NULL,
     "Share of the last direction that is kept; 0 needs no memory."},
    {"nesterov", FR_OPTION_BOOL, offsetof(sgd_options, nesterov), NULL, 0, 0, NULL,
     "Look ahead along the momentum."},
};

static fr_status init(fr_optimizer *optimizer, fr_optimizer_slot *slot, fr_error *error)
{
    const sgd_options *o = optimizer->options;
    return o->momentum > 0 ? fr_optimizer_make_state(slot, 0, error) : FR_OK;
}

static fr_status step(fr_optimizer *optimizer, fr_optimizer_slot *slots, size_t count,
                      const fr_update *update, fr_error *error)
{
    (void)error;
    const sgd_options *o = optimizer->options;
    const fr_kernels *kernels = fr_kernels_get();
    for (size_t i = 0; i < count; i++) {
        fr_tensor *value = slots[i].parameter->value;
        fr_sgd_step numbers = {
            .rate = (float)(update->lr * slots[i].lr_multiplier),
            .momentum = (float)o->momentum,
            .weight_decay = (float)slots[i].weight_decay,
            .nesterov = o->nesterov,
            .gradient_scale = (float)update->gradient_scale,
        };
        kernels->sgd(fr_tensor_host(value),
                     slots[i].state[0] ? fr_tensor_host(slots[i].state[0]) : NULL,
                     fr_tensor_host(value->grad), fr_tensor_count(value), &numbers);
    }
    return FR_OK;
}

static size_t state_bytes(const void *o, const fr_parameter *parameter)
{
    return ((const sgd_options *)o)->momentum > 0 ? fr_optimizer_one_state_bytes(parameter) : 0;
}

const fr_optimizer_kind fr_sgd = {
    .base = {"sgd",
             "Stochastic gradient descent with momentum.",
             "Sutskever et al., ICML 2013",
             {"optimizer.sgd", options, sizeof options / sizeof *options, sizeof(sgd_options),
              defaults}},
    .init = init,
    .step = step,
    .state_bytes = state_bytes,
    .state_names = {"momentum"},
};
