/* trainer.h: what the files of this room share. recipe.c reads a recipe; plan.c makes the dry run; trainer.c begins and ends a run;
   step.c is the loop's body; phase.c knows stop rules and progress; gradients.c adds micro-batches; checkpoint.c writes and
   reads the state; the hooks are one file each. */
#ifndef FRUGAL_TRAINER_H
#define FRUGAL_TRAINER_H

#include "frugal/train.h"

/* ---- recipe.c ---- */

/* model: {from: FOLDER, ...} */
typedef struct fr_model_source {
    char *from;    /* NULL: a new model */
    bool new_head; /* although the folder's head is of the same task */
    const fr_section *config;
} fr_model_source;

/* An entry of a registry with its options (NULL when it has none). */
typedef struct fr_choice {
    const fr_kind *kind;
    void *options;
    bool given; /* somebody else owns the options now */
} fr_choice;

typedef struct fr_phase {
    fr_phase_options options; /* zeros filled from the rest of the recipe */
    fr_choice schedule;       /* kind NULL: the recipe's */
} fr_phase;

/* A recipe, read and checked. */
typedef struct fr_train_recipe {
    fr_train_options train;
    fr_train_data_options data;
    fr_example_options examples; /* data.examples */
    bool has_examples;
    const fr_section *model;       /* NULL: the default model */
    fr_model_source source;        /* what begins with a folder says instead */
    const fr_examples *data_shape; /* the examples it learns from, once they are open */
    fr_model_head head; /* what the objective and the labels of the examples ask for (data.c) */
    fr_choice objective, optimizer, schedule;
    fr_group_options *groups;
    size_t group_count;
    fr_phase *phases; /* at least one */
    size_t phase_count;
    bool has_phases;
    fr_choice *hooks;
    size_t hook_count;
} fr_train_recipe;

fr_status fr_train_recipe_read(fr_train_recipe *out, const fr_recipe *recipe, fr_error *error);
void fr_train_recipe_free(fr_train_recipe *recipe);
/* The recipe as YAML with every key. identity: only what may not change when a run goes on (no stop rules, no logging,
   evaluation and checkpoint keys). `model` gives the configuration. */
fr_status fr_train_recipe_write(const fr_train_recipe *recipe, const fr_model *model, bool identity,
                                fr_buffer *out, fr_error *error);
/* The model that the recipe begins with, its groups applied. tokenizer may be NULL. */
fr_status fr_train_recipe_model(const fr_train_recipe *recipe, const fr_tokenizer *tokenizer,
                                bool shapes_only, fr_model **model, fr_error *error);
/* Give the options to a new owner, who must live as long as they are written or read here. */
void *fr_choice_give(fr_choice *choice);

/* ---- data.c: what a run learns from ---- */

/* Files of labelled examples; empty when the run reads packed rows. */
typedef struct fr_run_data {
    fr_tokenizer
        *tokenizer; /* of the data, or of the folder that the model comes from; NULL: none */
    fr_image_processor *images; /* of the folder, or as is usual for the model; NULL: no pictures */
    fr_examples *train;
    struct fr_held_out {
        char *name;
        fr_examples *examples;
    } * held_out;
    size_t held_out_count;
} fr_run_data;
/* Read the examples, keep a part back, and fill recipe->head. */
fr_status fr_run_data_open(fr_run_data *data, fr_train_recipe *recipe, fr_error *error);
/* Their ids for the model. */
fr_status fr_run_data_encode(fr_run_data *data, const fr_train_recipe *recipe,
                             const fr_model *model, fr_error *error);
void fr_run_data_close(fr_run_data *data);
/* "name=prefix", or a path whose last part without its ending is the name. *name is the caller's. */
fr_status fr_domain_name(const char *text, char **name, const char **path, fr_error *error);

/* ---- plan.c ---- */

fr_status fr_plan_from_recipe(const fr_train_recipe *recipe, const fr_run_data *data,
                              double flops_per_second, fr_train_plan *plan, fr_error *error);
/* FR_BAD_INPUT with the plan's figures when it needs more memory than there is. */
fr_status fr_plan_check_memory(const fr_train_plan *plan, fr_error *error);

/* Give the trainer's tapes what they will need, so that the first step takes no more than the others. */
fr_status fr_plan_reserve(fr_trainer *trainer, fr_error *error);

/* ---- gradients.c: the sum over micro-batches, as a fixed tree ---- */

typedef struct fr_gradient_tree {
    fr_model *model;
    int levels;          /* buffers: none for one micro-batch */
    fr_tensor **buffers; /* (levels, parameters); NULL for parameters that do not train */
    uint64_t occupied;   /* bit l: level l holds a partial sum */
} fr_gradient_tree;
int fr_gradient_tree_levels(int64_t micro_batches);
fr_status fr_gradient_tree_init(fr_gradient_tree *tree, fr_model *model, int64_t micro_batches,
                                fr_error *error);
void fr_gradient_tree_free(fr_gradient_tree *tree);
/* The parameters' gradients are those of micro-batch `number` of `count`; after the last one they are the whole sum. */
void fr_gradient_tree_add(fr_gradient_tree *tree, int64_t number, int64_t count);

/* ---- the trainer's inside ---- */

struct fr_trainer_own {
    fr_train_recipe recipe;
    fr_run_data data;
    fr_train_plan plan;
    fr_run_options run;
    fr_lock *lock;
    char *identity;
    char *checkpoints;       /* folder */
    fr_batch_source *source; /* of the current phase */
    fr_tape *tape, *evaluation_tape;
    fr_gradient_tree tree;
    fr_micro_batch *micro; /* (A) of the step */
    int64_t micro_count;
    double *losses; /* (A) share of each micro-batch */
    fr_micro_batch evaluated;
    /* of this process */
    double clock; /* when position.seconds was right */
    double step_seconds, evaluation_seconds,
        saving_seconds; /* smoothed, of the longest lately, of the last one */
    double began;       /* clock at the first step */
    int64_t steps;
    double training_seconds;
    int64_t trained_tokens;
    int64_t saved_step; /* of the newest checkpoint, -1: none */
    bool finished;      /* the last evaluation and checkpoint are being made */
};

/* The effective options of the current phase. */
const fr_phase_options *fr_trainer_phase(const fr_trainer *trainer);
/* Advance position.seconds to now. */
void fr_trainer_tick(fr_trainer *trainer);
void fr_trainer_report(fr_trainer *trainer, const char *activity);
/* Micro-batch `number` of a source, as the objective wants it. */
fr_status fr_trainer_read(fr_trainer *trainer, fr_batch_source *source, int64_t number,
                          uint64_t seed, fr_micro_batch *micro, fr_error *error);
/* Forward of micro-batch i of the step that is loaded, on the training tape. */
fr_tensor *fr_trainer_forward(fr_trainer *trainer, int64_t i, float scale);

/* ---- phase.c ---- */

/* Every phase has a shard whose ids the model knows. */
fr_status fr_phases_check(const fr_trainer *trainer, fr_error *error);
/* Open the shard and the loader of the current phase and its buffers. */
fr_status fr_phase_open(fr_trainer *trainer, fr_error *error);
void fr_phase_close(fr_trainer *trainer);
/* 0..1 through the phase. */
double fr_phase_progress(const fr_trainer *trainer);
/* Steps of the phase in all, estimated where time decides; 0: not known yet. */
int64_t fr_phase_steps(const fr_trainer *trainer);
/* Which rule says that the phase, or the whole run, is over; NULL: none. */
const char *fr_phase_over(const fr_trainer *trainer);
const char *fr_run_over(const fr_trainer *trainer);
/* Steps of the whole run, 0: not known yet. */
int64_t fr_run_steps(const fr_trainer *trainer);
/* Seconds until the stop rule, NaN: not known. */
double fr_run_seconds_left(const fr_trainer *trainer);
/* Begin the next phase, if the current one is over and there is one. */
fr_status fr_phase_advance(fr_trainer *trainer, fr_error *error);
/* Factor of the peak rate for the step that comes. */
double fr_phase_rate(const fr_trainer *trainer);

/* ---- evaluate.c ---- */

fr_status fr_domains_open(fr_trainer *trainer, fr_error *error);
/* The mean over domains of the figure that says most; NULL: there is none. */
const char *fr_domains_figure(const fr_trainer *trainer, double *value);
void fr_domains_close(fr_trainer *trainer);

/* ---- folder.c: files of the run folder ---- */

fr_status fr_folder_write_machine(const fr_trainer *trainer, fr_error *error);
fr_status fr_folder_write_recipe(const fr_trainer *trainer, fr_error *error);
fr_status fr_folder_write_model(fr_trainer *trainer, fr_error *error);
fr_status fr_folder_write_summary(const fr_trainer *trainer, const fr_train_result *result,
                                  fr_error *error);

/* ---- hooks ---- */

extern const fr_hook_kind fr_hook_non_finite;
extern const fr_hook_kind fr_hook_metrics;
extern const fr_hook_kind fr_hook_evaluation;
extern const fr_hook_kind fr_hook_early_stop;
extern const fr_hook_kind fr_hook_checkpoint;
extern const fr_hook_kind fr_hook_samples;
/* The non-finite check, the recipe's hooks, then metrics, evaluation, early stop, checkpoint. */
fr_status fr_hooks_create(fr_trainer *trainer, fr_error *error);
void fr_hooks_destroy(fr_trainer *trainer);
typedef enum fr_event {
    FR_BEGIN,
    FR_STEP_BEGIN,
    FR_GRADIENTS,
    FR_STEP_END,
    FR_EVALUATED,
    FR_END
} fr_event;
fr_status fr_hooks_fire(fr_trainer *trainer, fr_event event, fr_error *error);
/* Make metrics.jsonl durable: before a checkpoint that counts on it. */
fr_status fr_metrics_sync(fr_trainer *trainer, fr_error *error);

#endif
