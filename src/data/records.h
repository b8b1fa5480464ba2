/* records.h: files of records: JSON lines (.jsonl, .ndjson, packed or not), or tab-separated values (.tsv) whose first line names the
   fields. */
#ifndef FRUGAL_DATA_RECORDS_H
#define FRUGAL_DATA_RECORDS_H

#include "frugal/base.h"

#include <jansson.h>

typedef struct records {
    char *path;
    json_t **items; /* objects */
    long *lines;    /* of each in the file */
    int64_t count, room;
} records;

fr_status records_read(records *out, const char *path, fr_error *error);
void records_free(records *records);
/* An error at record i. */
#define RECORD_BAD(records, i, error, ...)                                                         \
    fr_fail_at(error, FR_BAD_INPUT, (records)->path, (records)->lines[i], __VA_ARGS__)
/* An error: record i has no such field; the message names those that it has. */
fr_status records_missing(const records *records, int64_t i, const char *field, fr_error *error);
/* A field that must be text; *size may be NULL. */
fr_status records_text(const records *records, int64_t i, const char *field, const char **text,
                       size_t *size, fr_error *error);

#endif
