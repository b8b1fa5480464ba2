/* prepare.h: the stages of preparing text, which prepare.c runs one after the other.

   sources --gather--> spool + kept documents --split--> held out? --learn--> tokenizer --encode-->
   shards, held_out.jsonl */
#ifndef FRUGAL_DATA_PREPARE_H
#define FRUGAL_DATA_PREPARE_H

#include "data/duplicates.h"
#include "data/spool.h"
#include "frugal/data.h"

/* What is worked on at once: documents are read (or written) in order by one thread, and judged (or
   encoded) by all. */
enum { BATCH_DOCUMENTS = 256, BATCH_BYTES = 8 << 20 };

typedef struct preparation {
    const fr_data_options *options;
    const char *folder; /* the temporary one */
    fr_progress_function *progress;
    void *progress_context;
    fr_data_report *report;
    spool *spool;
    duplicates *duplicates;
    const kept_document *kept; /* in the order of the spool */
    size_t kept_count;
    bool *held_out; /* of each */
    const fr_tokenizer *tokenizer;
} preparation;

/* Tell how far it is; FR_INTERRUPTED when the user wants to stop. */
fr_status preparation_progress(const preparation *p, const char *what, double fraction,
                               fr_error *error);

/* Read, clean, filter and deduplicate: fills spool, duplicates, kept, and the report up to the
   split. */
fr_status preparation_gather(preparation *p, const char *const *paths, size_t count,
                             fr_error *error);
/* Train a tokenizer on the training documents (a spread sample when there are many). */
fr_status preparation_learn(preparation *p, const fr_tokenizer_options *options,
                            fr_tokenizer **tokenizer, fr_error *error);
/* Tokens into train and held_out shards, held-out text into held_out.jsonl. */
fr_status preparation_encode(preparation *p, fr_error *error);

#endif
