/* json_reader.c: the questions that every part of a tokenizer.json is asked. */
#include "tokenizer/json_reader.h"

#include <stdio.h>
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

/* The value of a key; NULL when it is not there or null. */
static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

fr_status json_read_bool(const reader *r, const char *where, const json_t *object, const char *key,
                         bool absent, bool *out)
{
    const json_t *value = get(object, key);
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
    if (strlen(*out) != json_string_length(value))
        return UNSUPPORTED(r, "%s.%s: a string with a zero byte is not supported", where, key);
    return FR_OK;
}

fr_status json_read_short(const reader *r, const char *where, const json_t *object, const char *key,
                          char **out)
{
    enum { MOST = 64 };
    const char *text;
    *out = NULL;
    if (!get(object, key))
        return FR_OK;
    FR_TRY(json_read_string(r, where, object, key, &text));
    if (strlen(text) > MOST)
        return UNSUPPORTED(r, "%s.%s: %zu bytes are not supported (%d at most)", where, key,
                           strlen(text), MOST);
    *out = fr_string_copy(text);
    return *out ? FR_OK : NO_MEMORY(r);
}

fr_status json_read_count(const reader *r, const char *where, const json_t *object, const char *key,
                          int64_t least, int64_t most, int64_t absent, int64_t *out)
{
    const json_t *value = get(object, key);
    *out = value ? (int64_t)json_integer_value(value) : absent;
    if (value && !json_is_integer(value))
        return BAD(r, "%s.%s: %s found, a whole number expected", where, key,
                   json_kind_name(value));
    if (value && (*out < least || *out > most))
        return BAD(r, "%s.%s: %lld found, %lld to %lld expected", where, key, (long long)*out,
                   (long long)least, (long long)most);
    return FR_OK;
}

fr_status json_read_choice(const reader *r, const char *where, const json_t *object,
                           const char *key, const char *const *names, int *out)
{
    const char *text;
    *out = -1;
    if (!get(object, key))
        return FR_OK;
    FR_TRY(json_read_string(r, where, object, key, &text));
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], text))
            *out = i;
    return *out >= 0 ? FR_OK : UNSUPPORTED(r, "%s.%s '%.60s' is not supported", where, key, text);
}

fr_status json_read_pattern(const reader *r, const char *where, const json_t *object,
                            const char **text, bool *literal)
{
    static const char *const kinds[] = {"Regex", "String", NULL};
    json_t *pattern = json_object_get(object, "pattern");
    char place[160];
    snprintf(place, sizeof place, "%s.pattern", where);
    FR_TRY(json_check_keys(r, place, pattern, kinds));
    *literal = json_object_get(pattern, "String");
    return json_read_string(r, place, pattern, *literal ? "String" : "Regex", text);
}

/* ---- stages ---------------------------------------------------------------------------------- */

static fr_status refuse_type(const reader *r, const char *where, const char *type,
                             const stage_reader *kinds)
{
    char list[400] = "";
    for (; kinds->type; kinds++) {
        strncat(list, kinds->type, sizeof list - strlen(list) - 1);
        strncat(list, ", ", sizeof list - strlen(list) - 1);
    }
    return UNSUPPORTED(r, "%s of type '%.60s' is not supported (supported: %sSequence)", where,
                       type, list);
}

static fr_status read_list(reader *r, const char *where, json_t *object, const char *list,
                           const stage_reader *kinds, int depth);

static fr_status read_stage(reader *r, const char *where, json_t *object, const char *list,
                            const stage_reader *kinds, int depth)
{
    enum { DEEPEST = 4 };
    const char *type;
    if (!json_is_object(object))
        return BAD(r, "%s: %s found, an object expected", where, json_kind_name(object));
    FR_TRY(json_read_string(r, where, object, "type", &type));
    if (!strcmp(type, "Sequence")) {
        if (depth == DEEPEST)
            return UNSUPPORTED(r, "%s: sequences in sequences are not supported so deep", where);
        return read_list(r, where, object, list, kinds, depth + 1);
    }
    for (const stage_reader *kind = kinds; kind->type; kind++)
        if (!strcmp(kind->type, type))
            return kind->read(r, where, object);
    return refuse_type(r, where, type, kinds);
}

static fr_status read_list(reader *r, const char *where, json_t *object, const char *list,
                           const stage_reader *kinds, int depth)
{
    const char *const known[] = {"type", list, NULL};
    FR_TRY(json_check_keys(r, where, object, known));
    json_t *stages = json_object_get(object, list);
    if (!json_is_array(stages))
        return BAD(r, "%s.%s: %s found, a list expected", where, list, json_kind_name(stages));
    for (size_t i = 0; i < json_array_size(stages); i++) {
        char place[160];
        snprintf(place, sizeof place, "%s.%s[%zu]", where, list, i);
        FR_TRY(read_stage(r, place, json_array_get(stages, i), list, kinds, depth));
    }
    return FR_OK;
}

fr_status json_read_stages(reader *r, const char *where, json_t *object, const char *list,
                           const stage_reader *kinds)
{
    if (!object || json_is_null(object))
        return FR_OK;
    return read_stage(r, where, object, list, kinds, 0);
}
