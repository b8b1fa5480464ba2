/* probes.h: how well a model does its task on labelled examples. */
#ifndef FRUGAL_PROBES_H
#define FRUGAL_PROBES_H

#include "frugal/examples.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Figures by name: "loss" (nats), "accuracy", "f1_macro", "matthews", "mse", "pearson", "spearman", ... docs/evaluation.md says what each
   is. A figure that is not defined (a correlation of constants) is NaN. */
enum { FR_MOST_FIGURES = 12 };
typedef struct fr_judgement {
    struct {
        const char *name; /* static */
        double value;
    } figures[FR_MOST_FIGURES];
    int count;
    int64_t examples;
} fr_judgement;
double fr_judgement_figure(const fr_judgement *judgement,
                           const char *name); /* NaN: there is none */

/* What the model says of example `number` (in the file's order of examples): a class (its name, or its number as text), numbers, several
   classes or tags as JSON; `score`: the probability of the class. */
struct json_t;
typedef fr_status fr_prediction(void *context, int64_t number, struct json_t *prediction,
                                fr_error *error);

/* The form of examples that a head is judged on; FR_EXAMPLES_NONE: none. */
fr_example_form fr_task_examples(fr_task task);
typedef struct fr_judge_options {
    int64_t rows;        /* examples at a time */
    fr_prediction *each; /* gets what is said of every example; may be NULL */
    void *context;
    fr_tape *tape; /* without gradients; NULL: one of its own */
    bool whole;    /* go on although a signal came: the caller looks for it */
} fr_judge_options;
/* Judge a model on encoded examples. A body without a vector of its own is judged by the mean of its states. FR_INTERRUPTED when
   fr_interrupted(). */
fr_status fr_judge(fr_model *model, fr_examples *examples, const fr_judge_options *options,
                   fr_judgement *judgement, fr_error *error);
/* The number of the figure that says most about the task: span_f1, else accuracy, recall_at_1, pearson; -1: there is none. */
int fr_judgement_main(const fr_judgement *judgement);

/* Masked language models on plain text: tokens are hidden as the objective masked_lm does by default (15 %: 80/10/10), chosen by the
   seed, and guessed from what stands around them. Used like fr_evaluator (decode.h); text, model and tokenizer are the caller's. */
typedef struct fr_guesses {
    double loss;     /* nats per hidden token */
    double accuracy; /* share of the hidden tokens whose likeliest guess is right */
    int64_t guesses; /* hidden tokens */
    int64_t tokens, bytes, documents;
    double seconds;
} fr_guesses;
typedef struct fr_guesser fr_guesser;
/* length: tokens of a window, special ones included; 0: the model's context. */
fr_status fr_guesser_create(fr_guesser **guesser, fr_model *model, const fr_tokenizer *tokenizer,
                            int64_t length, uint64_t seed, fr_error *error);
void fr_guesser_destroy(fr_guesser *guesser);
/* Add a document to a group of documents (0, 1, ...). FR_INTERRUPTED when fr_interrupted(). */
fr_status fr_guesser_add(fr_guesser *guesser, int64_t group, const char *text, size_t size,
                         fr_error *error);
/* Of a group; -1: of all. */
fr_status fr_guesser_result(fr_guesser *guesser, int64_t group, fr_guesses *result,
                            fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
