/* json_read.c: reading JSON that others wrote: an object, no key twice (readers would disagree on which one counts), at most as deep as
   jansson goes (2048 levels), at most LIMIT bytes. */
#include "frugal/formats.h"

#include <jansson.h>
#include <math.h>

enum { LIMIT = 64 << 20 };

/* Whole numbers that were read as reals become integers again. */
static json_t *restore_integers(json_t *value)
{
    const double most = 9007199254740992.0; /* 2^53: below it every integer is a double */
    const char *key;
    size_t i;
    json_t *item;
    void *next;
    if (json_is_real(value) && json_real_value(value) == floor(json_real_value(value)) &&
        fabs(json_real_value(value)) < most)
        return json_integer((json_int_t)json_real_value(value));
    json_object_foreach_safe(value, next, key, item)
        json_object_set_new(value, key, restore_integers(item));
    json_array_foreach(value, i, item) json_array_set_new(value, i, restore_integers(item));
    return json_incref(value);
}

/* Files of tokenizers say "no limit" as 1000000000000000019884624838656, which is no integer of 64 bits; in a file with such a number
   all numbers are read as reals first. */
static json_t *load(const char *text, size_t size, json_error_t *where)
{
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, where);
    if (json || json_error_code(where) != json_error_numeric_overflow)
        return json;
    json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, where);
    json_t *restored = json ? restore_integers(json) : NULL;
    json_decref(json);
    return restored;
}

fr_status fr_json_parse(json_t **json, const char *text, size_t size, const char *name,
                        fr_error *error)
{
    json_error_t where;
    *json = load(text, size, &where);
    if (!*json)
        return fr_fail_at(error,
                          json_error_code(&where) == json_error_out_of_memory ? FR_NO_MEMORY
                                                                              : FR_BAD_INPUT,
                          name, where.line, "not JSON: %s", where.text);
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
