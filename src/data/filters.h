/* filters.h: language-neutral signs that a document is not prose, code or a table that a model
   should learn from. */
#ifndef FRUGAL_DATA_FILTERS_H
#define FRUGAL_DATA_FILTERS_H

#include "data/words.h"
#include "frugal/data.h"

/* What the filters look at. */
typedef struct features {
    size_t bytes;    /* after cleaning */
    size_t controls; /* control characters that cleaning dropped */
    word_counts words;
    size_t lines, line_bytes;
    size_t repeated_lines; /* bytes of lines that came before */
    size_t shingles;       /* runs of five words */
    size_t repeated_shingles;
} features;

/* Fill features from cleaned text; leaves the shingles in `s`. false: no memory. */
bool features_of(scratch *s, const char *text, size_t size, size_t controls, features *f);

typedef struct filter {
    fr_kind base;
    bool always; /* applies with `filter: false`, too */
    bool (*drops)(const fr_data_options *options, const features *f);
    /* The threshold in words: "fewer than 32 bytes". */
    void (*rule)(const fr_data_options *options, char *text, size_t size);
} filter;

size_t filter_count(void);
const filter *filter_at(size_t index);
/* The first filter that drops the document; -1: none does. */
int filters_apply(const fr_data_options *options, const features *f);

#endif
