/* registry.c: the names of optimizers and schedules. */
#include "optim/optim.h"

static const fr_kind *const optimizers[] = {&fr_adamw.base, &fr_sgd.base, &fr_muon.base, NULL};

const fr_registry fr_optimizers = {"optimizer", "Gradients to an update of the weights.",
                                   optimizers};

static const fr_kind *const schedules[] = {&fr_schedule_constant.base, &fr_schedule_linear.base,
                                           &fr_schedule_cosine.base, &fr_schedule_wsd.base, NULL};

const fr_registry fr_schedules = {
    "schedule", "Progress through the run to a factor of the peak learning rate.", schedules};
