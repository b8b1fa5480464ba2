/* optim.h: what the files of this room share: the kinds that the registries name. */
#ifndef FRUGAL_OPTIM_H
#define FRUGAL_OPTIM_H

#include "frugal/train.h"

extern const fr_optimizer_kind fr_adamw;
extern const fr_optimizer_kind fr_sgd;
extern const fr_optimizer_kind fr_muon;

extern const fr_schedule_kind fr_schedule_constant;
extern const fr_schedule_kind fr_schedule_linear;
extern const fr_schedule_kind fr_schedule_cosine;
extern const fr_schedule_kind fr_schedule_wsd;

/* The options that every optimizer begins with, for its table; `type` begins with fr_optimizer_common `common`. */
#define FR_OPTIMIZER_COMMON_OPTIONS(type)                                                          \
    {"lr",                                                                                         \
     FR_OPTION_FLOAT,                                                                              \
     offsetof(type, common.lr),                                                                    \
     NULL,                                                                                         \
     0,                                                                                            \
     1e3,                                                                                          \
     NULL,                                                                                         \
     "Peak learning rate; the schedule gives the factor."},                                        \
    {                                                                                              \
        "weight_decay", FR_OPTION_FLOAT, offsetof(type, common.weight_decay), NULL, 0, 1e3, NULL,  \
            "Decay of parameters with two or more axes (matrices and embeddings); norms and "      \
            "biases get none."                                                                     \
    }

/* A state tensor of the parameter's shape, zeros. */
fr_status fr_optimizer_make_state(fr_optimizer_slot *slot, int index, fr_error *error);
/* Bytes of one such tensor. */
size_t fr_optimizer_one_state_bytes(const fr_parameter *parameter);

#endif
