/* json_write.c: a JSON document as a file that appears whole or not at all. JSON knows no NaN and no infinity: they become null. */
#include "frugal/formats.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *fr_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

fr_status fr_json_write(const char *folder, const char *name, json_t *document, fr_error *error)
{
    char *path = fr_path_join(folder, name);
    char *text = document ? json_dumps(document, JSON_INDENT(1)) : NULL;
    fr_status status = path && text ? fr_file_write(path, text, strlen(text), error)
                                    : fr_fail(error, FR_NO_MEMORY, "no memory to write %s", name);
    free(text);
    fr_free(path);
    json_decref(document);
    return status;
}
