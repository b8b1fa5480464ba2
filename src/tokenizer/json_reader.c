/* json_reader.c: the questions that every part of a tokenizer.json is asked. */
#include "tokenizer/json_reader.h"

#include <string.h>

const char *json_kind_name(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a truth value";
    default:
        return value ? "null" : "nothing";
    }
}

/* Every key of `object` must be in `known` (NULL-terminated). */
fr_status json_check_keys(const reader *r, const char *where, json_t *object,
                          const char *const *known)
{
    if (!json_is_object(object))
        return BAD(r, "%s: %s found, an object expected", where, json_kind_name(object));
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return UNSUPPORTED(r, "%s.%.60s is not supported", where, key);
    }
    return FR_OK;
}

fr_status json_read_bool(const reader *r, const char *where, const json_t *object, const char *key,
                         bool absent, bool *out)
{
    const json_t *value = json_object_get(object, key);
    *out = value ? json_is_true(value) : absent;
    if (value && !json_is_boolean(value))
        return BAD(r, "%s.%s: %s found, true or false expected", where, key, json_kind_name(value));
    return FR_OK;
}

fr_status json_read_string(const reader *r, const char *where, const json_t *object,
                           const char *key, const char **out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_string_value(value);
    if (!*out)
        return BAD(r, "%s.%s: %s found, a string expected", where, key, json_kind_name(value));
    return FR_OK;
}
