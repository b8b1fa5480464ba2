/* make_request.h: what a job of `frugal make` was asked for, kept in OUT/run/make.json so that --resume needs no more than OUT. */
#ifndef FRUGAL_CLI_MAKE_REQUEST_H
#define FRUGAL_CLI_MAKE_REQUEST_H

#include "frugal/options.h"

typedef struct make_request {
    char *budget; /* in the user's words */
    char *from;   /* absolute path of the model that is continued; NULL: a new one */
    double price_per_hour;
    int64_t seed;
    fr_strings texts; /* absolute paths */
    fr_strings words; /* key=value */
    double spent;     /* seconds that earlier sittings used before training */
    char *reason;     /* why these sizes; "" until they are chosen */
} make_request;

/* Copy the texts (made absolute, so that a job may go on from another folder) and words. */
fr_status make_request_take(make_request *request, const char *const *texts, size_t text_count,
                            const char *const *words, size_t word_count, fr_error *error);
fr_status make_request_write(const make_request *request, const char *run, fr_error *error);
fr_status make_request_read(make_request *request, const char *run, fr_error *error);
/* A job goes on as it was begun: what is said again must be the same. `again` holds only what was said: budget NULL, no texts,
   no words, price 0 and seed -1 stand for nothing. */
fr_status make_request_agree(const make_request *request, const make_request *again,
                             fr_error *error);
void make_request_free(make_request *request);

#endif
