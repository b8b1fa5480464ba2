/* options.c: what the sections `train`, `data` and `phases` of a recipe may hold. */
#include "frugal/train.h"

static const char *const which_weights[] = {"last", "best", NULL};
static const char *const dtypes[] = {"f32", "bf16", "f16", NULL}; /* in the order of fr_dtype */
_Static_assert(FR_F32 == 0 && FR_BF16 == 1 && FR_F16 == 2, "an option's choice is an fr_dtype");

/* ---- train ---- */

static void train_defaults(void *options)
{
    *(fr_train_options *)options = (fr_train_options){
        .micro_batch = 8,
        .accumulation = 1,
        .length = 256,
        .clip = 1,
        .log_every = 10,
        .evals = 10,
        .eval_tokens = 65536,
        .checkpoint_seconds = 300,
        .keep_last = 2,
        .keep_best = true,
        .tensorboard = true,
    };
}

#define FIELD(name) offsetof(fr_train_options, name)
static const fr_option train_options[] = {
    {"steps", FR_OPTION_INT, FIELD(steps), "steps", 0, 1e15, NULL,
     "Stop after so many steps; 0: not by steps."},
    {"tokens", FR_OPTION_INT, FIELD(tokens), "tokens", 0, 1e18, NULL,
     "Stop after so many tokens; 0: not by tokens."},
    {"seconds", FR_OPTION_SECONDS, FIELD(seconds), "seconds", 0, 1e9, NULL,
     "Stop after so much time, evaluation and checkpoints included; 0: not by time."},
    {"flops", FR_OPTION_FLOAT, FIELD(flops), "FLOP", 0, 1e30, NULL,
     "Stop after so many floating-point operations; 0: not by FLOPs."},
    {"epochs", FR_OPTION_FLOAT, FIELD(epochs), "epochs", 0, 1e9, NULL,
     "Stop after so many passes over the training data; 0: not by passes."},
    {"micro_batch", FR_OPTION_INT, FIELD(micro_batch), "rows", 1, 1 << 20, NULL,
     "Rows, or examples, that are computed at once."},
    {"accumulation", FR_OPTION_INT, FIELD(accumulation), "micro-batches", 1, 1 << 20, NULL,
     "Micro-batches whose gradients make one step."},
    {"length", FR_OPTION_INT, FIELD(length), "tokens", 1, 1 << 24, NULL,
     "Positions of a row; of an example at most."},
    {"clip", FR_OPTION_FLOAT, FIELD(clip), NULL, 0, 1e9, NULL,
     "Largest norm of the gradient over all parameters; a longer one is scaled down; 0: off."},
    {"seed", FR_OPTION_INT, FIELD(seed), NULL, 0, 9e15, NULL,
     "Of the weights, the order of the data and dropout."},
    {"recompute", FR_OPTION_BOOL, FIELD(recompute), NULL, 0, 0, NULL,
     "Layers keep only their inputs and compute the rest again on the way back: less memory, about "
     "a third more work."},
    {"log_every", FR_OPTION_INT, FIELD(log_every), "steps", 1, 1e9, NULL,
     "Between lines of metrics.jsonl."},
    {"eval_every", FR_OPTION_INT, FIELD(eval_every), "steps", 0, 1e12, NULL,
     "Between evaluations; 0: `evals` of them, evenly over the run."},
    {"evals", FR_OPTION_INT, FIELD(evals), NULL, 1, 1e6, NULL,
     "Evaluations over the run, when eval_every is 0."},
    {"eval_tokens", FR_OPTION_INT, FIELD(eval_tokens), "tokens", 1, 1e12, NULL,
     "Held-out tokens of each domain that an evaluation reads at most; of data.examples it reads "
     "all."},
    {"checkpoint_every", FR_OPTION_INT, FIELD(checkpoint_every), "steps", 0, 1e12, NULL,
     "Between checkpoints; 0: by time alone."},
    {"checkpoint_seconds", FR_OPTION_SECONDS, FIELD(checkpoint_seconds), "seconds", 0, 1e9, NULL,
     "Between checkpoints; 0: by steps alone."},
    {"keep_last", FR_OPTION_INT, FIELD(keep_last), NULL, 1, 1e6, NULL,
     "Newest checkpoints that stay."},
    {"keep_best", FR_OPTION_BOOL, FIELD(keep_best), NULL, 0, 0, NULL,
     "Also save and keep the one with the lowest held-out loss."},
    {"patience", FR_OPTION_INT, FIELD(patience), "evaluations", 0, 1e6, NULL,
     "Stop after so many evaluations without a lower held-out loss; 0: never."},
    {"min_improvement", FR_OPTION_FLOAT, FIELD(min_improvement), "nats", 0, 100, NULL,
     "How much lower the held-out loss must be to count."},
    {"final_weights", FR_OPTION_CHOICE, FIELD(final_weights), NULL, 0, 0, which_weights,
     "Which weights become the model: of the last step, or of the best evaluation (needs "
     "keep_best)."},
    {"final_dtype", FR_OPTION_CHOICE, FIELD(final_dtype), NULL, 0, 0, dtypes,
     "Of the model's file."},
    {"tensorboard", FR_OPTION_BOOL, FIELD(tensorboard), NULL, 0, 0, NULL,
     "Write TensorBoard event files."},
};
#undef FIELD

const fr_option_table fr_train_option_table = {"train", train_options,
                                               sizeof train_options / sizeof *train_options,
                                               sizeof(fr_train_options), train_defaults};

/* ---- data ---- */

static void data_defaults(void *options)
{
    *(fr_train_data_options *)options = (fr_train_data_options){.cross_documents = true};
}

#define FIELD(name) offsetof(fr_train_data_options, name)
static const fr_option data_options[] = {
    {"folder", FR_OPTION_STRING, FIELD(folder), NULL, 0, 0, NULL,
     "What `frugal data` wrote; stands for train, held_out and tokenizer where these are not "
     "given."},
    {"train", FR_OPTION_STRING, FIELD(train), NULL, 0, 0, NULL,
     "Shard to train on: its path without .bin."},
    {"held_out", FR_OPTION_STRINGS, FIELD(held_out), NULL, 0, 0, NULL,
     "Shards to evaluate on, each a domain: paths without .bin, or NAME=PATH."},
    {"tokenizer", FR_OPTION_STRING, FIELD(tokenizer), NULL, 0, 0, NULL,
     "Folder with the tokenizer.json of the shards; it is put beside the model."},
    {"cross_documents", FR_OPTION_BOOL, FIELD(cross_documents), NULL, 0, 0, NULL,
     "Attention may look across document boundaries inside a row."},
};
#undef FIELD

const fr_option_table fr_train_data_option_table = {"data", data_options,
                                                    sizeof data_options / sizeof *data_options,
                                                    sizeof(fr_train_data_options), data_defaults};

/* ---- phases ---- */

static void phase_defaults(void *options)
{
    *(fr_phase_options *)options = (fr_phase_options){.lr_multiplier = 1};
}

#define FIELD(name) offsetof(fr_phase_options, name)
static const fr_option phase_options[] = {
    {"name", FR_OPTION_STRING, FIELD(name), NULL, 0, 0, NULL, "What metrics and progress call it."},
    {"steps", FR_OPTION_INT, FIELD(steps), "steps", 0, 1e15, NULL,
     "The phase ends after so many steps of its own."},
    {"tokens", FR_OPTION_INT, FIELD(tokens), "tokens", 0, 1e18, NULL, "Or after so many tokens."},
    {"seconds", FR_OPTION_SECONDS, FIELD(seconds), "seconds", 0, 1e9, NULL,
     "Or after so much time."},
    {"flops", FR_OPTION_FLOAT, FIELD(flops), "FLOP", 0, 1e30, NULL,
     "Or after so many floating-point operations."},
    {"train", FR_OPTION_STRING, FIELD(train), NULL, 0, 0, NULL, "Another shard to train on."},
    {"micro_batch", FR_OPTION_INT, FIELD(micro_batch), "rows", 0, 1 << 20, NULL, "0: as in train."},
    {"accumulation", FR_OPTION_INT, FIELD(accumulation), "micro-batches", 0, 1 << 20, NULL,
     "0: as in train."},
    {"length", FR_OPTION_INT, FIELD(length), "tokens", 0, 1 << 24, NULL, "0: as in train."},
    {"lr_multiplier", FR_OPTION_FLOAT, FIELD(lr_multiplier), NULL, 0, 1e6, NULL,
     "Factor of the learning rate."},
};
#undef FIELD

const fr_option_table fr_phase_option_table = {"phases", phase_options,
                                               sizeof phase_options / sizeof *phase_options,
                                               sizeof(fr_phase_options), phase_defaults};
