/* examples.h: labelled examples: what a model is fine-tuned and judged on.

   A file of records (JSON lines, or tab-separated values with a line of names) becomes token ids, labels and pictures, as the form of
   the objective wants them, and a source of micro-batches: rows of similar length together, padded on the right. */
#ifndef FRUGAL_EXAMPLES_H
#define FRUGAL_EXAMPLES_H

#include "frugal/batch.h"
#include "frugal/image.h"
#include "frugal/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a record must have; the names of its fields can be chosen (fr_example_options). */
typedef enum fr_example_form {
    FR_EXAMPLES_NONE,
    FR_EXAMPLES_TEXT,    /* text, perhaps text_pair */
    FR_EXAMPLES_CLASSES, /* text, perhaps text_pair; label: a class, a number, or a list of classes */
    FR_EXAMPLES_TAGS,    /* words: a list; tags: a class for each word */
    FR_EXAMPLES_CHOICES, /* text; choices: a list of continuations; label: the number of the right one */
    FR_EXAMPLES_PAIRS, /* text; positive: a text that means the same; perhaps score: how much so */
    FR_EXAMPLES_TARGETS,    /* text; target: what the decoder shall say */
    FR_EXAMPLES_IMAGES,     /* image: a file; label: a class */
    FR_EXAMPLES_IMAGE_TEXTS /* image; text */
} fr_example_form;

/* The section data.examples of a recipe. */
typedef struct fr_example_options {
    char *train;           /* file of records */
    fr_strings held_out;   /* files to evaluate on, each a domain: paths, or NAME=PATH */
    double held_out_share; /* of the training file, when there is no held_out */
    char *text, *text_pair, *label, *words, *tags, *choices, *positive, *score, *target, *image;
    char *prefix;          /* put before every text ("summarize: "); NULL: nothing */
    int problem;           /* 0: as the labels look; else 1 + an fr_problem */
    int64_t target_length; /* tokens of a target at most; 0: train.length */
} fr_example_options;
extern const fr_option_table fr_example_option_table;

typedef struct fr_examples fr_examples;

/* Read all records of a file and check their form. */
fr_status fr_examples_open(fr_examples **examples, const char *path, fr_example_form form,
                           const fr_example_options *options, fr_error *error);
void fr_examples_close(fr_examples *examples);
int64_t fr_examples_count(const fr_examples *examples);
/* Number i of the file becomes part of `rest` instead, for those chosen by (seed, i) with probability `share`; at least one stays
   and one goes. *rest NULL: there is but one. */
fr_status fr_examples_split(fr_examples *examples, double share, uint64_t seed, fr_examples **rest,
                            fr_error *error);
/* What the labels ask of a head: its problem, labels and their names. A head that has labels already (labels > 0) keeps them, and
   labels that it does not know are an error that names the record. Forms without labels leave the head as it is. */
fr_status fr_examples_head(const fr_examples *examples, fr_model_head *head, fr_error *error);

/* How examples are encoded for a model. */
typedef struct fr_encoding {
    const fr_tokenizer *tokenizer;    /* NULL only for images alone */
    const fr_model *model;            /* its head, pad and decoder_start */
    const fr_image_processor *images; /* NULL where there are no pictures */
    int64_t length, target_length;    /* tokens at most; longer ones are cut */
} fr_encoding;
/* Tokens and numbers of labels, kept in memory. The encoding's parts must live on. */
fr_status fr_examples_encode(fr_examples *examples, const fr_encoding *encoding, fr_error *error);

/* The shapes of the largest micro-batch of so many examples that a run may read: for plans; needs no encoding. */
void fr_examples_shape(const fr_examples *examples, const fr_model *model, int64_t rows,
                       int64_t length, fr_micro_batch *micro);
/* Micro-batches of `rows` examples (choices and pairs: so many examples of several rows each) in an order shuffled by (seed, epoch), or
   by length with `scoring`. The examples must live as long as the source. */
fr_status fr_examples_source_create(fr_batch_source **source, const fr_examples *examples,
                                    int64_t rows, uint64_t seed, bool scoring, fr_error *error);
/* Of a scoring source: the number in the file of each example of the micro-batch last read, and how many there are. */
const int64_t *fr_examples_last(const fr_batch_source *source, int64_t *count);

#ifdef __cplusplus
}
#endif
#endif
