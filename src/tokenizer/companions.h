/* companions.h: files that lie beside a tokenizer and say nothing about its ids, but go where it goes. */
#ifndef FRUGAL_TOKENIZER_COMPANIONS_H
#define FRUGAL_TOKENIZER_COMPANIONS_H

#include "frugal/base.h"

enum { COMPANIONS = 4 };

typedef struct companion {
    char *text; /* NULL: there is none */
    size_t size;
} companion;

/* Their names, in the order of the array in a tokenizer. */
extern const char *const companion_names[COMPANIONS];

/* Read those that the folder has. */
fr_status companions_load(companion companions[COMPANIONS], const char *folder, fr_error *error);
fr_status companions_save(const companion companions[COMPANIONS], const char *folder,
                          fr_error *error);
void companions_free(companion companions[COMPANIONS]);

#endif
