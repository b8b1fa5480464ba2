/* examples.h: labelled examples as the files of this room share them. examples.c reads records, labels.c what they are labelled with,
   example_encode.c makes ids of them, example_source.c makes micro-batches. */
#ifndef FRUGAL_DATA_EXAMPLES_H
#define FRUGAL_DATA_EXAMPLES_H

#include "data/records.h"
#include "frugal/examples.h"

/* Lists of ids end to end: list i is ids[begin[i]] .. ids[begin[i + 1] - 1]. */
typedef struct id_lists {
    int32_t *ids;
    int64_t *begin;
    int64_t count, room, id_room;
} id_lists;
bool id_lists_add(id_lists *lists, const int32_t *ids, size_t count); /* false: no memory */
void id_lists_free(id_lists *lists);
int64_t id_lists_length(const id_lists *lists, int64_t i);

struct fr_examples {
    fr_example_form form;
    const fr_example_options *options;
    records records;
    /* after fr_examples_encode: */
    fr_encoding encoding;
    int64_t rows_each; /* rows of an example: choices, 2 of a pair, else 1 */
    id_lists rows;     /* ids; (count * rows_each) */
    id_lists types;    /* of the same tokens */
    bool typed;        /* some type is not 0 */
    id_lists tags;     /* of the same tokens (FR_EXAMPLES_TAGS) */
    id_lists targets;  /* (count) of FR_EXAMPLES_TARGETS */
    int32_t *classes;  /* (count) */
    float *values;     /* (count, value_width) numbers, or 0 and 1 of several classes */
    int64_t value_width;
    bool scored; /* pairs have scores, in `values` */
};

/* The names of a record's fields, chosen or usual. */
typedef enum example_field {
    FIELD_TEXT,
    FIELD_TEXT_PAIR,
    FIELD_LABEL,
    FIELD_WORDS,
    FIELD_TAGS,
    FIELD_CHOICES,
    FIELD_POSITIVE,
    FIELD_SCORE,
    FIELD_TARGET,
    FIELD_IMAGE
} example_field;
/* Rows of an example: its choices, 2 of a pair, else 1. */
int64_t examples_rows_each(const fr_examples *examples);
bool examples_scored(const fr_examples *examples); /* the first of the pairs has a score */
const char *examples_field(const fr_examples *examples, example_field field);

/* ---- labels.c ---- */

/* The number of a class, by its name or as a number; an error names the record. */
fr_status labels_class(const fr_examples *examples, int64_t record, const json_t *value,
                       const fr_model_head *head, int32_t *out, fr_error *error);
/* The numbers that a record is labelled with (regression, several classes): `width` of them. */
fr_status labels_values(const fr_examples *examples, int64_t record, const fr_model_head *head,
                        float *out, int64_t width, fr_error *error);

#endif
