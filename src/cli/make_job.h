/* make_job.h: a job of `frugal make`: what it holds (make.c runs it) and what it leaves (make_result.c). */
#ifndef FRUGAL_CLI_MAKE_JOB_H
#define FRUGAL_CLI_MAKE_JOB_H

#include "cli/cli.h"
#include "cli/make_request.h"
#include "frugal/decode.h"
#include "frugal/machine.h"
#include "frugal/plan.h"
#include "frugal/train.h"

enum { MAKE_SAMPLES = 3 };

typedef struct make_options {
    char *budget, *out, *from;
    double price_per_hour;
    int64_t seed;
    bool resume;
} make_options;

/* Everything that one job holds; freed in one place. */
typedef struct make_job {
    const cli_call *call;
    const make_options *options;
    char *out, *run, *data; /* OUT, OUT/run, OUT/run/data */
    bool out_was_there;
    fr_lock *lock;
    double start, cpu_start, joules_start;
    double trained_at; /* the clock when training was over */
    make_request asked;
    fr_budget budget;
    fr_machine machine;
    fr_data_report report;
    fr_recipe *recipe;
    fr_train_result trained;
    fr_model *model;
    fr_tokenizer *tokenizer;
    fr_evaluation held_out, before; /* before: of the model that is continued; no tokens: of none */
    fr_buffer samples[MAKE_SAMPLES];
} make_job;

/* Score the held-out text (make.c). */
fr_status make_evaluate(const make_job *j, fr_model *model, const fr_tokenizer *tokenizer,
                        fr_evaluation *result, fr_error *error);

/* ---- make_continue.c: with --from ---- */

/* Is it a model that continues text, and has a tokenizer? */
fr_status make_continue_check(const make_job *j, fr_error *error);
/* What the budget buys of it. */
fr_status make_continue_size(const make_job *j, const fr_budget *training, fr_sizing *sizing,
                             fr_error *error);
fr_status make_continue_recipe(const make_job *j, const fr_sizing *sizing,
                               const fr_budget *training, const char *data, fr_recipe **recipe,
                               fr_error *error);

/* OUT/run/result.json, the report, and the model card last: with it the job is over. */
fr_status make_result_write(const make_job *j, fr_error *error);
/* The samples and a line of figures, or JSON, to standard output. */
fr_status make_result_print(const make_job *j, fr_error *error);

#endif
