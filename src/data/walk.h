/* walk.h: the files under a list of paths, in byte order of their paths. */
#ifndef FRUGAL_DATA_WALK_H
#define FRUGAL_DATA_WALK_H

#include "frugal/base.h"

typedef struct walk_file {
    const char *path; /* valid until the next call; NULL at the end */
    int64_t size;     /* bytes on disk */
    bool named;       /* by the user, rather than found in a folder */
} walk_file;

typedef struct walk walk;
/* `paths` must live as long as the walk. Each must exist. */
fr_status walk_open(walk **w, const char *const *paths, size_t count, fr_error *error);
fr_status walk_next(walk *w, walk_file *file, fr_error *error);
void walk_close(walk *w); /* NULL is allowed */
/* Things in folders that are no text files: hidden names, and what is neither file nor folder or
   cannot be opened. */
int64_t walk_hidden(const walk *w);
int64_t walk_unreadable(const walk *w);

#endif
