/* figures.h: figures of what was said against what was right. */
#ifndef FRUGAL_PROBES_FIGURES_H
#define FRUGAL_PROBES_FIGURES_H

#include "frugal/probes.h"

void figures_add(fr_judgement *judgement, const char *name, double value);

/* table (classes, classes): how often class i (row) was called j. Adds accuracy, f1_macro and matthews. */
void figures_of_classes(fr_judgement *judgement, const int64_t *table, int64_t classes);
/* Of `count` numbers said and right: mse, pearson, spearman (ties share their rank). FR_NO_MEMORY. */
fr_status figures_of_numbers(fr_judgement *judgement, const double *said, const double *right,
                             int64_t count, fr_error *error);

/* Spans of tags "B-X I-X ..." (CoNLL; an I- that follows nothing of its kind begins a span). */
typedef struct span_counts {
    int64_t said, right, both;
} span_counts;
/* True when some tag's name begins with "B-" or "I-". */
bool spans_are_there(const fr_strings *names);
/* Count the spans of one example's words. */
void spans_count(span_counts *counts, const fr_strings *names, const int32_t *said,
                 const int32_t *right, int64_t words);
/* Adds precision, recall and F1 under the three names. */
void figures_of_counts(fr_judgement *judgement, const span_counts *counts,
                       const char *const names[3]);

#endif
