/* split.h: which documents are held out. */
#ifndef FRUGAL_DATA_SPLIT_H
#define FRUGAL_DATA_SPLIT_H

#include "data/duplicates.h"
#include "frugal/data.h"

/* A pseudo-random number of a document: a pure function of (seed, content, use). */
uint64_t document_hash(const kept_document *document, uint64_t seed, uint64_t use);

/* held_out[i] for each document; fr_free it. */
fr_status split_documents(const kept_document *documents, size_t count,
                          const fr_data_options *options, bool **held_out, fr_error *error);

#endif
