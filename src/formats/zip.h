/* zip.h: the members of a zip archive that are stored as they are, read in place. */
#ifndef FRUGAL_FORMATS_ZIP_H
#define FRUGAL_FORMATS_ZIP_H

#include "frugal/base.h"

typedef struct zip_member {
    char *name;
    const unsigned char *data; /* in the map; alignment is not promised */
    size_t size;
} zip_member;

typedef struct zip_archive {
    zip_member *members; /* sorted by name */
    size_t count;
} zip_archive;

/* Find the members in the map of `path`, which must outlive the archive. zip_close in every case. */
fr_status zip_open(zip_archive *archive, const fr_map *map, const char *path, fr_error *error);
void zip_close(zip_archive *archive);
/* NULL: none of that name. */
const zip_member *zip_find(const zip_archive *archive, const char *name);

#endif
