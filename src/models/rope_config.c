/* rope_config.c: rotary positions in config.json: an object rope_scaling beside rope_theta (transformers 4), or
   rope_parameters with all in it (transformers 5).

   Where both are there, rope_scaling counts. What the object says goes before the fields beside it, but for
   original_max_position_embeddings, where the field goes before the object (Phi-3's rule, which transformers 5 follows for
   all). Keys of other types than the object's own change nothing there, nor here; unknown ones are refused. */
#include "models/decoder.h"

#include <string.h>

/* The keys of the object. */
#define AT(field) offsetof(fr_rope_options, field)
static const fr_option keys[] = {
    {"rope_type", FR_OPTION_CHOICE, AT(type), NULL, 0, 0, fr_rope_type_names, "type"},
    {"rope_theta", FR_OPTION_FLOAT, AT(theta), NULL, 1, 1e12, NULL, "base"},
    {"partial_rotary_factor", FR_OPTION_FLOAT, AT(part), NULL, 0, 1, NULL, "part that turns"},
    {"factor", FR_OPTION_FLOAT, AT(factor), NULL, 1e-6, 1e6, NULL, "by how much"},
    {"original_max_position_embeddings", FR_OPTION_INT, AT(original_context), NULL, 1, INT32_MAX,
     NULL, "context before"},
    {"low_freq_factor", FR_OPTION_FLOAT, AT(low_frequency), NULL, 1e-6, 1e6, NULL, "llama3"},
    {"high_freq_factor", FR_OPTION_FLOAT, AT(high_frequency), NULL, 1e-6, 1e6, NULL, "llama3"},
    {"attention_factor", FR_OPTION_FLOAT, AT(attention_factor), NULL, 0, 1e6, NULL, "scale"},
    {"beta_fast", FR_OPTION_FLOAT, AT(beta_fast), NULL, 0, 1e6, NULL, "yarn"},
    {"beta_slow", FR_OPTION_FLOAT, AT(beta_slow), NULL, 0, 1e6, NULL, "yarn"},
    {"mscale", FR_OPTION_FLOAT, AT(mscale), NULL, 0, 1e6, NULL, "yarn"},
    {"mscale_all_dim", FR_OPTION_FLOAT, AT(mscale_all), NULL, 0, 1e6, NULL, "yarn"},
    {"truncate", FR_OPTION_BOOL, AT(truncate), NULL, 0, 0, NULL, "yarn"},
    {"short_factor", FR_OPTION_FLOATS, AT(short_factor), NULL, 1e-9, 1e9, NULL, "longrope"},
    {"long_factor", FR_OPTION_FLOATS, AT(long_factor), NULL, 1e-9, 1e9, NULL, "longrope"},
};
#undef AT
static const fr_option_table table = {"rope", keys, sizeof keys / sizeof *keys,
                                      sizeof(fr_rope_options), NULL};
static const char *const original_name = "original_max_position_embeddings";

void fr_rope_defaults(fr_rope_options *rope)
{
    *rope = (fr_rope_options){.theta = 10000,
                              .part = 1,
                              .low_frequency = 1,
                              .high_frequency = 4,
                              .attention_factor = -1,
                              .beta_fast = 32,
                              .beta_slow = 1,
                              .truncate = true};
}

/* ---- reading ---- */

/* The keys that a type cannot be without; transformers has no defaults for these either. */
static const char *const *required(int type)
{
    static const char *const factor[] = {"factor", NULL}, *const none[] = {NULL},
                             *const llama3[] = {"factor", "low_freq_factor", "high_freq_factor",
                                                NULL},
                             *const longrope[] = {"short_factor", "long_factor", NULL};
    switch (type) {
    case FR_ROPE_LINEAR:
    case FR_ROPE_DYNAMIC:
        return factor;
    case FR_ROPE_LLAMA3:
        return llama3;
    case FR_ROPE_LONGROPE:
        return longrope;
    default:
        return none;
    }
}

/* rope_type, or type in old files, where Phi-3's first ones call longrope "su". */
static fr_status read_type(fr_rope_options *rope, const json_t *object, const char *path,
                           fr_error *error)
{
    const json_t *type = json_object_get(object, "rope_type");
    if (!type || json_is_null(type))
        type = json_object_get(object, "type");
    if (!type || json_is_null(type))
        return FR_OK;
    const char *name = json_string_value(type);
    if (name && strcmp(name, "su") == 0) {
        rope->type = FR_ROPE_LONGROPE;
        return FR_OK;
    }
    return fr_config_set(&table, rope, "rope_type", type, path, error);
}

static bool is_key(const char *name)
{
    for (size_t i = 0; i < table.count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return true;
    return false;
}

fr_status fr_rope_object_read(fr_rope_options *rope, const json_t *object, const char *field,
                              const char *path, fr_error *error)
{
    const char *key;
    json_t *value;
    if (read_type(rope, object, path, error) != FR_OK)
        return fr_error_prefix(error, "%s", field);
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_null(value) || strcmp(key, "rope_type") == 0 || strcmp(key, "type") == 0 ||
            strcmp(key, "finetuned") == 0) /* a note in YaRN's own folders */
            continue;
        if (!is_key(key))
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0, "%s: '%.64s' is not supported", field,
                              key);
        if (fr_config_set(&table, rope, key, value, path, error) != FR_OK)
            return fr_error_prefix(error, "%s", field);
    }
    for (const char *const *name = required(rope->type); *name; name++)
        if (!json_object_get(object, *name) || json_is_null(json_object_get(object, *name)))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0, "%s: '%s' is missing", field, *name);
    return FR_OK;
}

fr_status fr_rope_config_read(fr_rope_options *rope, const json_t *json, bool fixed_part,
                              const char *path, fr_error *error)
{
    static const char *const fields[] = {"rope_scaling", "rope_parameters"};
    bool found = false;
    for (int i = 0; i < 2; i++) {
        const json_t *object = json_object_get(json, fields[i]);
        if (object && !json_is_null(object) && !json_is_object(object))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0, "%s is not an object", fields[i]);
        if (found || !json_object_size(object))
            continue;
        FR_TRY(fr_rope_object_read(rope, object, fields[i], path, error));
        found = true;
        if (fixed_part && rope->part != 1)
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                              "%s: 'partial_rotary_factor' other than 1 is not supported",
                              fields[i]);
    }
    const json_t *original = json_object_get(json, original_name);
    if (original && !json_is_null(original))
        FR_TRY(fr_config_set(&table, rope, original_name, original, path, error));
    return FR_OK;
}

/* ---- writing ---- */

/* The keys that mean something for a type; the part and theta have fields of their own. */
static bool belongs(const fr_rope_options *rope, const char *key)
{
    static const char *const yarn[] = {"attention_factor", "beta_fast",      "beta_slow", "mscale",
                                       "truncate",         "mscale_all_dim", NULL};
    static const char *const longrope[] = {"attention_factor", "short_factor", "long_factor", NULL};
    static const char *const llama3[] = {"low_freq_factor", "high_freq_factor", NULL};
    static const char *const none[] = {NULL};
    const char *const *own = rope->type == FR_ROPE_YARN       ? yarn
                             : rope->type == FR_ROPE_LONGROPE ? longrope
                             : rope->type == FR_ROPE_LLAMA3   ? llama3
                                                              : none;
    if (strcmp(key, "rope_type") == 0)
        return true;
    if (strcmp(key, "factor") == 0)
        return rope->factor > 0 || rope->type == FR_ROPE_YARN;
    if (strcmp(key, original_name) == 0)
        return rope->original_context && own != none;
    if (strcmp(key, "attention_factor") == 0 && rope->attention_factor < 0)
        return false;
    if (strncmp(key, "mscale", 6) == 0 && (rope->mscale <= 0 || rope->mscale_all <= 0))
        return false;
    for (; *own; own++)
        if (strcmp(*own, key) == 0)
            return true;
    return false;
}

fr_status fr_rope_object_write(const fr_rope_options *rope, json_t **object, fr_error *error)
{
    json_t *made = *object = json_object();
    fr_status status = fr_config_write_table(&table, rope, made, error);
    for (size_t i = 0; i < table.count; i++)
        if (!belongs(rope, keys[i].name))
            json_object_del(made, keys[i].name);
    if (rope->type == FR_ROPE_YARN &&
        rope->factor <= 0) /* by the contexts: the key must be there */
        json_object_set_new(made, "factor", json_null());
    for (size_t i = 0; i < table.count && status == FR_OK; i++)
        if (keys[i].type == FR_OPTION_FLOATS)
            status = fr_config_write_list(made, keys[i].name, error);
    return status;
}

static fr_status write_scaling(const fr_rope_options *rope, json_t *json, fr_error *error)
{
    json_t *object;
    fr_status status = fr_rope_object_write(rope, &object, error);
    if (status == FR_OK && json_object_set(json, "rope_scaling", object) != 0)
        status = fr_fail(error, FR_NO_MEMORY, "cannot write rope_scaling");
    json_decref(object);
    return status;
}

fr_status fr_rope_config_write(const fr_rope_options *rope, json_t *json, fr_error *error)
{
    static const fr_option recipe[] = {FR_ROPE_OPTIONS(
        struct { fr_rope_options rope; }, rope)};
    for (size_t i = 0; i < sizeof recipe / sizeof *recipe; i++)
        json_object_del(json, recipe[i].name);
    return rope->type == FR_ROPE_DEFAULT ? FR_OK : write_scaling(rope, json, error);
}
