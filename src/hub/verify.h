/* verify.h: what the checks of a model folder share. */
#ifndef FRUGAL_HUB_VERIFY_H
#define FRUGAL_HUB_VERIFY_H

#include "frugal/formats.h"
#include "frugal/hub.h"
#include "frugal/model.h"
#include "frugal/tokenizer.h"

#include <jansson.h>

typedef struct verifying {
    const char *folder;
    fr_verification *out;
    fr_model *model;         /* of shapes; NULL: config.json is not good */
    fr_tokenizer *tokenizer; /* NULL: none, or not good */
    fr_error *error;
    fr_status failed; /* the check cannot go on: no memory, an interruption */
} verifying;

void verify_report(verifying *v, const char *check, fr_finding_level level, const char *format, ...)
    FR_PRINTF(4, 5);
/* The message of a library call that failed, as a problem. */
void verify_report_error(verifying *v, const char *check, const fr_error *error);
/* FOLDER/NAME as JSON; NULL: there is no such file, or it is not good (which the check of JSON files tells). */
json_t *verify_load(const verifying *v, const char *name);

void verify_files(verifying *v);   /* verify_files.c: names, links, code, JSON */
void verify_weights(verifying *v); /* verify_weights.c */
void verify_tokens(verifying *v);  /* verify_tokens.c */

#endif
