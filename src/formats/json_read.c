/* json_read.c: reading JSON that others wrote: an object, no key twice (readers would disagree on which one counts), at most as deep as
   jansson goes (2048 levels), at most LIMIT bytes. */
#include "frugal/formats.h"

#include <jansson.h>

enum { LIMIT = 64 << 20 };

fr_status fr_json_parse(json_t **json, const char *text, size_t size, const char *name,
                        fr_error *error)
{
    json_error_t where;
    *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!*json)
        return fr_fail_at(error,
                          json_error_code(&where) == json_error_out_of_memory ? FR_NO_MEMORY
                                                                              : FR_BAD_INPUT,
                          name, where.line, "%s", where.text);
    if (json_is_object(*json))
        return FR_OK;
    json_decref(*json);
    *json = NULL;
    return fr_fail_at(error, FR_BAD_INPUT, name, 0, "expected a JSON object");
}

fr_status fr_json_load(json_t **json, const char *path, fr_error *error)
{
    char *text;
    size_t size;
    *json = NULL;
    FR_TRY(fr_file_read(path, LIMIT, &text, &size, error));
    fr_status status = fr_json_parse(json, text, size, path, error);
    fr_free(text);
    return status;
}
