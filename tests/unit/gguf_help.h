/* gguf_help.h: a temporary folder with the path of a GGUF file in it. */
#ifndef FRUGAL_TESTS_GGUF_HELP_H
#define FRUGAL_TESTS_GGUF_HELP_H

#include "frugal/formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[256], path[300];

static inline int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/frugal-gguf-XXXXXX", base ? base : P_tmpdir);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.gguf", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    return fr_folder_remove(folder, NULL) == FR_OK ? 0 : -1;
}

#endif
