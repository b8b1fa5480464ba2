/* train.h: objectives, optimizers, schedules, hooks, and the loop that runs them. */
#ifndef FRUGAL_TRAIN_H
#define FRUGAL_TRAIN_H

#include "frugal/data.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- objectives: batch + models -> loss ---------------------------------------------------------------------------------- */

typedef struct fr_objective fr_objective;
typedef struct fr_objective_kind {
    fr_kind base;
    /* The micro-batch's share of the step's loss, (1): scale is 1 / (targets of the whole step). */
    fr_tensor *(*loss)(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale);
    fr_status (*init)(fr_objective *objective, fr_error *error);
    void (*destroy)(fr_objective *objective);
    fr_status (*state)(fr_objective *objective, fr_state *state, fr_error *error); /* own parameters, counters; may be NULL */
} fr_objective_kind;
struct fr_objective {
    const fr_objective_kind *kind;
    void *options;
    fr_model *model;  /* role: the one that trains */
    fr_model **roles; /* teacher, reference, ...: frozen helpers by the kind's own numbering; NULL-terminated */
    void *own;
};
extern const fr_registry fr_objectives; /* causal_lm */

/* ---- schedules: step -> factor of the peak value ----------------------------------------------------------------------------- */

typedef struct fr_schedule_kind {
    fr_kind base;
    /* progress 0..1 through the run (by steps, or by seconds when the run is timed), step number from 0, total steps (estimated when
       timed) -> factor. Pure. */
    double (*value)(const void *options, double progress, int64_t step, int64_t steps);
} fr_schedule_kind;
extern const fr_registry fr_schedules; /* constant, linear, cosine, wsd; all with warm-up */

/* ---- optimizers ---------------------------------------------------------------------------------------------------------------- */

typedef struct fr_optimizer fr_optimizer;
typedef struct fr_optimizer_slot fr_optimizer_slot;
typedef struct fr_optimizer_kind {
    fr_kind base;
    /* State for one parameter; slot->state[] are tensors made here. */
    fr_status (*init)(fr_optimizer *optimizer, fr_optimizer_slot *slot, fr_error *error);
    /* One update of all slots of this kind. lr is the scheduled base rate; a slot's own is lr * slot->lr_multiplier. */
    fr_status (*step)(fr_optimizer *optimizer, fr_optimizer_slot *slots, size_t count, double lr, int64_t step, fr_error *error);
    /* Bytes of state per parameter, without making it: for plans. */
    size_t (*state_bytes)(const void *options, const fr_parameter *parameter);
    bool matrices_only; /* other parameters go to the fallback (adamw) */
} fr_optimizer_kind;
enum { FR_OPTIMIZER_STATES = 4 };
struct fr_optimizer_slot {
    fr_parameter *parameter;
    fr_tensor *state[FR_OPTIMIZER_STATES];
    double lr_multiplier, weight_decay;
};
extern const fr_registry fr_optimizers; /* adamw, sgd, muon */

/* ---- parameter groups: by name pattern ------------------------------------------------------------------------------------------- */

typedef struct fr_group_options {
    char *match;          /* fnmatch pattern over parameter names */
    double lr_multiplier;
    double weight_decay;  /* NaN: the optimizer's */
    bool frozen;
} fr_group_options;
extern const fr_option_table fr_group_option_table;

/* fr_optimizer_create, hooks, the trainer: declared by their owner below this line. */

#ifdef __cplusplus
}
#endif
#endif
