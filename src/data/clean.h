/* clean.h: the text of one document without what carries no meaning. */
#ifndef FRUGAL_DATA_CLEAN_H
#define FRUGAL_DATA_CLEAN_H

#include "frugal/base.h"

/* In place; the result is never longer. Returns the new size; *controls counts the control
   characters that were dropped. */
size_t clean_text(char *text, size_t size, size_t *controls);

#endif
