/* hub.h: model folders as packages: checking one as a whole. */
#ifndef FRUGAL_HUB_H
#define FRUGAL_HUB_H

#include "frugal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fr_finding_level {
    FR_FINDING_GOOD,   /* a check that passed */
    FR_FINDING_NOTE,   /* nothing is wrong, but a reader should know */
    FR_FINDING_PROBLEM /* the folder is not what it should be */
} fr_finding_level;

typedef struct fr_finding {
    const char *
        check; /* "files", "json", "config", "weights", "numbers", "index", "tokenizer", "special_tokens" */
    fr_finding_level level;
    char *text;
} fr_finding;

typedef struct fr_verification {
    fr_finding
        *findings; /* in the order of the checks; every check that could be made has at least one */
    size_t count, problems;
} fr_verification;

/* Check a model folder without loading it for use: names of files and links, every JSON file, the configuration, each tensor's
   presence, shape and numbers, the index against the shards, the tokenizer, and special tokens between the files. FR_OK also when
   there are problems; a failure means that the check itself could not go on. fr_verification_free in every case. */
fr_status fr_folder_verify(const char *folder, fr_verification *verification, fr_error *error);
void fr_verification_free(fr_verification *verification);
const char *fr_finding_level_name(fr_finding_level level); /* "good", "note", "problem" */

#ifdef __cplusplus
}
#endif
#endif
