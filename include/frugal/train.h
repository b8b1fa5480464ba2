/* train.h: objectives, optimizers, schedules, hooks, and the loop that runs them.

   A run is a recipe and a folder. fr_train does everything; fr_trainer_* are its parts, for hooks, methods and tests.

   The run folder:
     recipe.yaml        the recipe as it was resolved: every key with its value
     machine.json       processor, instruction set, threads, memory, version
     metrics.jsonl      one JSON object a line, each with "step", "tokens", "seconds" (of training), "flops" and "phase"; and either
                          "loss", "loss_smooth", "lr", "grad_norm", "tokens_per_second", "peak_share" (null when the machine's rate
                          is not known), "memory": {kind: bytes}                             every `log_every` steps, or
                          "held_out": {domain: loss}, "held_out_loss": mean over domains      at each evaluation,
                          and "figures": {domain: {"accuracy": ...}} where examples are judged (probes.h)
     samples.jsonl      {"step", "prompt", "text"}: with the hook `samples`
     tensorboard/       event files, a new one each time the run goes on
     checkpoints/step-00000123/   state.safetensors, state.json
     model/             the result: a Hugging Face folder
     summary.json       written last: its presence says that the run is done
     .lock              held while a process works here */
#ifndef FRUGAL_TRAIN_H
#define FRUGAL_TRAIN_H

#include "frugal/probes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- objectives: batch + models -> loss ---------------------------------------------------------------------------------- */

typedef struct fr_objective fr_objective;
typedef struct fr_objective_kind {
    fr_kind base;
    /* The micro-batch's share of the step's loss, (1): scale is 1 / (targets of the whole step). */
    fr_tensor *(*loss)(fr_objective *objective, fr_tape *tape, const fr_batch *batch, float scale);
    fr_status (*init)(fr_objective *objective, fr_error *error); /* may be NULL, as the two below */
    void (*destroy)(fr_objective *objective);
    fr_status (*state)(fr_objective *objective, fr_state *state,
                       fr_error *error); /* own parameters, counters */
    /* Change a micro-batch before it is computed (mask tokens) and set its `targets`; random numbers are keyed by (seed, number). May
       be NULL. */
    fr_status (*prepare)(fr_objective *objective, fr_micro_batch *micro, uint64_t seed,
                         uint64_t number, fr_error *error);
    /* Write what belongs beside the exported model. May be NULL. */
    fr_status (*save)(const fr_objective *objective, const char *folder, fr_error *error);
    fr_task task;             /* the head that it trains; a folder of another task gets a new one */
    bool packed;              /* it learns from rows packed from shards */
    fr_example_form examples; /* and from examples of this form; FR_EXAMPLES_NONE: from none */
} fr_objective_kind;
struct fr_objective {
    const fr_objective_kind *kind;
    void *options;
    fr_model *model;               /* role: the one that trains */
    const fr_tokenizer *tokenizer; /* of its data; NULL: none is known */
    fr_model **
        roles; /* teacher, reference, ...: frozen helpers by the kind's own numbering; NULL-terminated, or NULL */
    void *own;
};
extern const fr_registry fr_objectives; /* causal_lm */

/* `options` (the kind's struct, NULL when it has none) is taken over, also on failure. */
fr_status fr_objective_create(fr_objective **objective, const fr_objective_kind *kind,
                              void *options, fr_model *model, const fr_tokenizer *tokenizer,
                              fr_error *error);
void fr_objective_destroy(fr_objective *objective);

/* ---- schedules: step -> factor of the peak value ----------------------------------------------------------------------------- */

typedef struct fr_schedule_kind {
    fr_kind base;
    /* progress 0..1 through the phase (by steps, tokens or FLOPs; by seconds when it is timed), step number in the phase from 0, its
       steps in all (estimated when timed) -> factor. Pure. */
    double (*value)(const void *options, double progress, int64_t step, int64_t steps);
} fr_schedule_kind;
extern const fr_registry fr_schedules; /* constant, linear, cosine, wsd; all with warm-up */

/* ---- optimizers ---------------------------------------------------------------------------------------------------------------- */

/* What one update gets. */
typedef struct fr_update {
    double lr; /* the scheduled base rate; a slot's own is lr * slot->lr_multiplier */
    double
        gradient_scale; /* gradients are multiplied by it first: clipping without a pass of its own */
    int64_t step;       /* number of the update, from 1: Adam's t */
} fr_update;

/* What every optimizer's options begin with. */
typedef struct fr_optimizer_common {
    double lr; /* peak rate */
    double
        weight_decay; /* for parameters with two or more axes (matrices, embeddings); norms and biases get none */
} fr_optimizer_common;

typedef struct fr_adamw_options {
    fr_optimizer_common common;
    double beta1, beta2, eps;
} fr_adamw_options;

typedef struct fr_optimizer fr_optimizer;
typedef struct fr_optimizer_slot fr_optimizer_slot;
enum { FR_OPTIMIZER_STATES = 4 };
typedef struct fr_optimizer_kind {
    fr_kind base;
    /* State for one parameter; slot->state[] are tensors made here (kind OPTIMIZER) and freed by the optimizer; unused ones stay NULL. */
    fr_status (*init)(fr_optimizer *optimizer, fr_optimizer_slot *slot, fr_error *error);
    /* One update of `count` slots, in order. */
    fr_status (*step)(fr_optimizer *optimizer, fr_optimizer_slot *slots, size_t count,
                      const fr_update *update, fr_error *error);
    /* Bytes of state for a parameter, without making it: for plans. */
    size_t (*state_bytes)(const void *options, const fr_parameter *parameter);
    /* Bytes of scratch memory that an update of this parameter needs in optimizer->scratch; the largest is allocated. NULL: none. */
    size_t (*scratch_bytes)(const void *options, const fr_parameter *parameter);
    /* Names of the states in a checkpoint: "optimizer.NAME.PARAMETER". */
    const char *state_names[FR_OPTIMIZER_STATES];
    /* NULL: takes every parameter. Else it takes hidden matrices alone (`matrix` is set and no axis is the vocabulary), and this
       gives the options of the AdamW that takes the rest. */
    void (*fallback)(const void *options, fr_adamw_options *adamw);
} fr_optimizer_kind;
struct fr_optimizer_slot {
    fr_parameter *parameter;
    fr_tensor *state[FR_OPTIMIZER_STATES];
    double lr_multiplier, weight_decay;
};
struct fr_optimizer {
    const fr_optimizer_kind *kind;
    void *options;            /* begins with fr_optimizer_common */
    fr_optimizer_slot *slots; /* one for each parameter it trains, in the model's order */
    size_t slot_count;
    fr_optimizer *fallback; /* the AdamW beside a kind that takes matrices alone, or NULL */
    void *scratch;
};
extern const fr_registry fr_optimizers; /* adamw, sgd, muon */

/* ---- parameter groups: by name pattern ------------------------------------------------------------------------------------------- */

typedef struct fr_group_options {
    char *match; /* fnmatch pattern over parameter names */
    double lr_multiplier;
    double weight_decay; /* negative: the optimizer's */
    bool frozen;
} fr_group_options;
extern const fr_option_table fr_group_option_table;

/* The first group that matches a parameter counts. A pattern that matches nothing is an error. Sets value->requires_grad: call it
   before gradients are made. */
fr_status fr_groups_apply(const fr_group_options *groups, size_t count, fr_model *model,
                          fr_error *error);

/* Slots for every parameter that requires a gradient. `options` (the kind's struct) is taken over, also on failure. */
fr_status fr_optimizer_create(fr_optimizer **optimizer, const fr_optimizer_kind *kind,
                              void *options, const fr_model *model, const fr_group_options *groups,
                              size_t group_count, fr_error *error);
void fr_optimizer_destroy(fr_optimizer *optimizer);
/* One update with the peak rate times `factor`. step: number of the update, from 1. */
fr_status fr_optimizer_step(fr_optimizer *optimizer, double factor, double gradient_scale,
                            int64_t step, fr_error *error);
double fr_optimizer_peak_rate(const fr_optimizer *optimizer);
/* Register every state tensor. */
fr_status fr_optimizer_state(fr_optimizer *optimizer, fr_state *state, fr_error *error);
/* Bytes of state for the parameters of `model` that require a gradient, and of scratch memory, without making them. */
size_t fr_optimizer_state_bytes(const fr_optimizer_kind *kind, const void *options,
                                const fr_model *model);
size_t fr_optimizer_scratch_bytes(const fr_optimizer_kind *kind, const void *options,
                                  const fr_model *model);
/* Euclidean norm over all gradients, in double, in a fixed order. Not finite when a gradient is not. */
double fr_gradient_norm(const fr_model *model);

/* ---- options of a run ----------------------------------------------------------------------------------------------------------------- */

typedef struct fr_train_options {
    /* stop rule: the first that is reached; 0: not used */
    int64_t steps, tokens;
    double seconds; /* of training, evaluation and checkpoints of this run, the last ones too */
    double flops;
    double epochs; /* passes over the training data */
    /* a step is `accumulation` micro-batches of `micro_batch` rows of `length` positions */
    int64_t micro_batch, accumulation, length;
    double clip; /* largest norm of the gradient; 0: off */
    int64_t seed;
    bool recompute; /* layers keep only their inputs and compute again on the way back */
    int64_t log_every;
    int64_t eval_every; /* steps; 0: `evals` times, evenly over the run */
    int64_t evals;
    int64_t eval_tokens;       /* per domain, at most */
    int64_t checkpoint_every;  /* steps; 0: by time alone */
    double checkpoint_seconds; /* 0: by steps alone */
    int64_t keep_last;
    bool keep_best;
    int64_t patience; /* evaluations without improvement before it stops; 0: off */
    double min_improvement;
    int final_weights; /* last, best: which weights become the model */
    int final_dtype;   /* f32, bf16, f16: of the model file */
    bool tensorboard;
} fr_train_options;
extern const fr_option_table fr_train_option_table;

/* The section `data`. `folder` (what `frugal data` wrote) stands for train, held_out and tokenizer. */
typedef struct fr_train_data_options {
    char *folder;
    char *train;         /* prefix of a shard */
    fr_strings held_out; /* prefixes, each a domain named after its last part, or "name=prefix" */
    char *tokenizer;     /* folder or tokenizer.json; copied beside the model */
    bool cross_documents;
} fr_train_data_options;
extern const fr_option_table fr_train_data_option_table;

/* One entry of `phases`: its stop rule, and what differs from the rest of the recipe (0 or NULL: the same). A nested section
   `schedule` gives it a schedule of its own; else the recipe's schedule runs over each phase anew. */
typedef struct fr_phase_options {
    char *name;
    int64_t steps, tokens;
    double seconds, flops;
    char *train; /* prefix of another shard */
    int64_t micro_batch, accumulation, length;
    double lr_multiplier;
} fr_phase_options;
extern const fr_option_table fr_phase_option_table;

/* ---- the plan: what a run will need, from a dry run ------------------------------------------------------------------------------------- */

typedef struct fr_train_plan {
    int64_t width;               /* of the model's states */
    int64_t parameters, trained; /* numbers of weights */
    int64_t tokens_per_step;     /* of the first phase */
    double flops_per_step;       /* forward and backward, of the first phase */
    int64_t steps,
        tokens; /* of the whole run; estimated when a phase is timed and the rate is known; else 0 */
    double flops, seconds;         /* seconds: 0 when the rate is not known */
    size_t bytes[FR_MEMORY_KINDS]; /* peak by kind */
    size_t total_bytes;
    size_t checkpoint_bytes; /* of one checkpoint on disk */
} fr_train_plan;
/* flops_per_second: what a training step reaches on this machine, 0: not known. Reads no shard; `data` may be absent. */
fr_status fr_train_plan_make(const fr_recipe *recipe, double flops_per_second, fr_train_plan *plan,
                             fr_error *error);

/* ---- running ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct fr_train_progress {
    const char *phase;    /* NULL when the recipe has none */
    const char *activity; /* "training", "evaluating", "saving", "done" */
    int64_t step, steps;  /* done; in all (estimated when timed, 0: not known yet) */
    double loss;          /* smoothed; NaN before the first step */
    double held_out_loss; /* the last one; NaN before */
    const char
        *figure; /* the one that says most of the held-out examples ("accuracy"), NULL: none */
    double figure_value; /* mean over domains */
    double tokens_per_second;
    double peak_share; /* of the machine's GEMM rate, NaN when that is not known */
    size_t memory;     /* bytes now, all kinds */
    double seconds,
        seconds_left; /* of training so far; left by the stop rule (NaN: not known yet) */
    double flops;
    int64_t tokens;
    double fraction; /* 0..1 through the run */
} fr_train_progress;
typedef void fr_train_progress_function(void *context, const fr_train_progress *progress);

typedef struct fr_run_options {
    const char *folder;
    bool resume; /* go on where the newest whole checkpoint is; a folder without a run starts one */
    bool locked; /* the caller holds the folder's lock already */
    double peak_flops; /* the machine's GEMM rate in FLOP/s, 0: not known */
    fr_train_progress_function
        *progress; /* called after each step and before long work; may be NULL */
    void *context;
} fr_run_options;

typedef struct fr_train_result {
    int64_t step, tokens;
    double seconds, flops;
    double loss;          /* of training, smoothed */
    double held_out_loss; /* of the last evaluation, NaN: none */
    const char *figure;   /* as in fr_train_progress */
    double figure_value;
    double best_loss; /* lowest held-out loss, NaN: none */
    int64_t best_step;
    double tokens_per_second; /* over the steps of this process */
    char stopped_by[24]; /* "steps", "tokens", "seconds", "flops", "patience", or a hook's word */
} fr_train_result;

/* The whole: check the recipe, plan (refused when it cannot fit in memory), lock the folder, train or go on, write the model.
   FR_INTERRUPTED: stopped by a signal, the state is saved, the message says where. FR_NUMERIC: a loss or gradient was not
   finite; the message says where it began and which checkpoint is the last good one. */
fr_status fr_train(const fr_recipe *recipe, const fr_run_options *run, fr_train_result *result,
                   fr_error *error);

/* ---- the trainer, for hooks and methods ----------------------------------------------------------------------------------------------------- */

typedef struct fr_trainer fr_trainer;

/* Where the run is: all of it is state. */
typedef struct fr_position {
    int64_t step, tokens;
    int64_t micro_batches; /* done in all: keys the random numbers of the next one */
    int64_t loader_number; /* next micro-batch of the phase's loader */
    int64_t phase;
    int64_t loader_phase; /* the phase in which that loader's order began */
    int64_t phase_step, phase_tokens;
    int64_t evaluations, evaluated_step, evaluations_since_best,
        best_step; /* steps: -1 before the first one */
    double seconds, flops, phase_seconds, phase_flops;
    double step_flops;                 /* of the last step; the plan's before the first */
    double smooth_loss, smooth_weight; /* loss = smooth_loss / smooth_weight */
    double held_out_loss, best_loss;   /* NaN before the first evaluation */
} fr_position;

/* What happened in the last step. */
typedef struct fr_step {
    double loss, gradient_norm, lr;
    int64_t tokens, targets;
    double seconds, flops;
} fr_step;

typedef struct fr_domain {
    char *name;
    fr_batch_source *source;
    double loss;            /* nats per target, of the last evaluation */
    fr_examples *examples;  /* NULL: packed text. They are the run's */
    fr_judgement judgement; /* of the last evaluation; count 0: none */
} fr_domain;

/* Hooks run at the events of the loop, in the order of the recipe, after the gradient check and before metrics, evaluation, early
   stop and checkpoints, which are hooks themselves. Every function may be NULL. */
typedef struct fr_hook fr_hook;
typedef struct fr_hook_kind {
    fr_kind base;
    bool
        standard; /* always there, with its options in the section `train`; not to be named in a recipe */
    fr_status (*init)(fr_hook *hook,
                      fr_error *error); /* own data; the trainer's model and optimizer are there */
    fr_status (*state)(fr_hook *hook, fr_state *state, fr_error *error);
    fr_status (*begin)(fr_hook *hook,
                       fr_error *error); /* the run begins or goes on: the position is known */
    fr_status (*step_begin)(fr_hook *hook, fr_error *error);
    fr_status (*gradients)(fr_hook *hook,
                           fr_error *error); /* gradients are whole, the update is not done */
    fr_status (*step_end)(fr_hook *hook, fr_error *error);
    fr_status (*evaluated)(fr_hook *hook, fr_error *error);
    fr_status (*end)(fr_hook *hook,
                     fr_error *error); /* the stop rule was reached (not after an interruption) */
    void (*destroy)(fr_hook *hook);
} fr_hook_kind;
struct fr_hook {
    const fr_hook_kind *kind;
    void *options;
    fr_trainer *trainer;
    void *own;
};
extern const fr_registry
    fr_hooks; /* non_finite, metrics, evaluation, early_stop, checkpoint; samples */

/* The public face of a running trainer. Hooks read it freely; `stop` may be set by them. */
struct fr_trainer {
    fr_train_options options;
    fr_train_data_options data;
    char *folder;
    fr_model *model;
    fr_objective *objective;
    fr_optimizer *optimizer;
    fr_tokenizer *tokenizer; /* NULL: none named */
    fr_domain *domains;
    size_t domain_count;
    fr_hook *hooks;
    size_t hook_count;
    fr_state *state;
    fr_position position;
    fr_step last;
    const char *stop; /* NULL: go on; else the word for stopped_by, honoured after the step */
    double peak_flops;
    struct fr_trainer_own *own; /* tapes, buffers, phases: src/train/trainer.h */
};

/* fr_train in parts. Create: everything up to the first step (checks, plan, lock, files of the folder, resume); peaks of memory
   (fr_memory_peak) begin anew behind the plan, so that those of the summary are the run's own. Step: one step with
   all its events; *more false when the run is over. Finish: last evaluation and checkpoint, model, summary. */
fr_status fr_trainer_create(fr_trainer **trainer, const fr_recipe *recipe,
                            const fr_run_options *run, fr_error *error);
fr_status fr_trainer_step(fr_trainer *trainer, bool *more, fr_error *error);
fr_status fr_trainer_finish(fr_trainer *trainer, fr_train_result *result, fr_error *error);
void fr_trainer_destroy(fr_trainer *trainer);
/* Loss of each domain on held-out text, with no gradient; fires `evaluated`. Each evaluation reads the same micro-batches. */
fr_status fr_trainer_evaluate(fr_trainer *trainer, fr_error *error);
/* Write a checkpoint now, then remove the ones that are not kept. */
fr_status fr_trainer_save(fr_trainer *trainer, fr_error *error);
/* 0..1 through the run by its stop rule. */
double fr_trainer_fraction(const fr_trainer *trainer);

/* ---- checkpoints ------------------------------------------------------------------------------------------------------------------------------- */

/* FOLDER/step-00000123/ with everything in `state`; appears whole or not at all. `identity` is the text that a resumed run is
   compared with. */
fr_status fr_checkpoint_write(const char *folder, int64_t step, const fr_state *state,
                              const char *identity, fr_error *error);
/* The newest checkpoint in FOLDER whose hashes are right: its path (fr_free), or NULL when there is none. Damaged ones are passed
   over with a warning in the log. `step` and `identity` (fr_free) may be NULL. */
fr_status fr_checkpoint_latest(const char *folder, char **path, int64_t *step, char **identity,
                               fr_error *error);
/* Read entries of `state` whose names begin with `prefix` ("" for all); each must be there with its shape. */
fr_status fr_checkpoint_read(const char *path, const fr_state *state, const char *prefix,
                             fr_error *error);
/* Remove all but the `keep_last` newest up to step `newest` and the one of step `best` (-1: none). What is newer than `newest` was
   damaged, or the run would have gone on there: it is left alone. */
fr_status fr_checkpoint_prune(const char *folder, int64_t newest, int64_t keep_last, int64_t best,
                              fr_error *error);
/* Remove what killed writers left half done. */
fr_status fr_checkpoint_clean(const char *folder, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
