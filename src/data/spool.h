/* spool.h: cleaned documents on disk between the passes over the text. */
#ifndef FRUGAL_DATA_SPOOL_H
#define FRUGAL_DATA_SPOOL_H

#include "frugal/data.h"

typedef struct spool spool;
/* A file without a name in `folder`: it is gone when closed, however the process ends. */
fr_status spool_open(spool **s, const char *folder, fr_error *error);
fr_status spool_add(spool *s, const char *text, size_t size, const char *path, int64_t number,
                    fr_error *error);
/* Read from the beginning; nothing may be added any more. */
fr_status spool_rewind(spool *s, fr_error *error);
/* Append the next document's text and path (with a zero byte) to the buffers; *size SIZE_MAX at the
   end. */
fr_status spool_next(spool *s, fr_buffer *text, size_t *size, fr_buffer *path, int64_t *number,
                     fr_error *error);
void spool_close(spool *s); /* NULL is allowed */

#endif
