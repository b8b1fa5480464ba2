/* gguf_values.c: what the tables of architectures share to write and read values: keys, refusals, numbers, and the scaling of
   rotary positions.

   llama.cpp has linear and YaRN scaling as values. Llama 3's rule it does not know: a tensor holds the factor of each frequency
   instead, from which the rule's numbers are found again here. */
#include "models/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *fr_gguf_key(const fr_gguf_arch *arch, const char *key, char text[FR_GGUF_KEY])
{
    snprintf(text, FR_GGUF_KEY, "%s.%s", arch->name, key);
    return text;
}

fr_status fr_gguf_refuse(const json_t *config, const char *field, fr_error *error)
{
    const json_t *value = json_object_get(config, field);
    if (!value || json_is_null(value) || json_is_false(value) ||
        (json_is_number(value) && json_number_value(value) == 0))
        return FR_OK;
    return fr_fail(error, FR_UNSUPPORTED,
                   "%s of config.json has no counterpart in llama.cpp: such a model cannot be "
                   "written as GGUF",
                   field);
}

fr_status fr_gguf_expect(const json_t *config, const char *field, const char *const *known,
                         fr_error *error)
{
    const char *value = json_string_value(json_object_get(config, field));
    for (; value && *known; known++)
        if (strcmp(value, *known) == 0)
            return FR_OK;
    return fr_fail(error, FR_UNSUPPORTED, "%s is %s, which llama.cpp does not compute", field,
                   value ? value : "missing");
}

json_t *fr_gguf_json_real(double number)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if ((double)strtof(text, NULL) == number)
            return json_real(strtod(text, NULL));
    }
    return json_real(number);
}

fr_status fr_gguf_expect_number(const json_t *config, const char *field, double wanted,
                                fr_error *error)
{
    double found = json_number_value(json_object_get(config, field));
    if (found == wanted)
        return FR_OK;
    return fr_fail(error, FR_UNSUPPORTED, "%s is %g, but llama.cpp always takes %g", field, found,
                   wanted);
}

/* ---- Llama 3's rule ---- */

enum { MOST_PAIRS = 8192 };
static const char factors_name[] = "rope_freqs.weight";

typedef struct llama3 {
    double base, factor, low, high, context;
} llama3;

/* By how much the turning of pair i is slowed down. */
static double slowing(const llama3 *rule, int64_t pair, int64_t rotated)
{
    double frequency = pow(rule->base, -2.0 * (double)pair / (double)rotated);
    double waves = rule->context * frequency / (2 * M_PI);
    if (waves < rule->low)
        return rule->factor;
    if (waves > rule->high)
        return 1;
    double smooth = (waves - rule->low) / (rule->high - rule->low);
    return 1 / ((1 - smooth) / rule->factor + smooth);
}

static fr_status give_floats(const void *context, int64_t first, int64_t count, float *out,
                             fr_error *error)
{
    (void)error;
    (void)first; /* one row */
    (void)count;
    const int64_t *head = context; /* how many there are, then they */
    memcpy(out, head + 1, (size_t)head[0] * sizeof *out);
    return FR_OK;
}

fr_status fr_gguf_put_floats(fr_gguf_draft *draft, const char *name, const float *floats,
                             int64_t count, fr_error *error)
{
    size_t bytes = (size_t)count * sizeof *floats, size = sizeof(int64_t) + bytes;
    int64_t *context = fr_alloc(size, FR_MEMORY_OTHER);
    if (!context)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %s", name);
    context[0] = count;
    memcpy(context + 1, floats, bytes);
    fr_gguf_put_tensor(draft, name, FR_F32, 1, &count, give_floats, context, size);
    fr_free(context);
    return FR_OK;
}

static fr_status write_factors(const llama3 *rule, int64_t rotated, fr_gguf_draft *draft,
                               fr_error *error)
{
    float factors[MOST_PAIRS];
    int64_t pairs = rotated / 2;
    if (pairs > MOST_PAIRS)
        return fr_fail(error, FR_UNSUPPORTED, "%lld rotary pairs; at most %d are written",
                       (long long)pairs, MOST_PAIRS);
    for (int64_t i = 0; i < pairs; i++)
        factors[i] = (float)slowing(rule, i, rotated);
    return fr_gguf_put_floats(draft, factors_name, factors, pairs, error);
}

/* The waves per context at which slowing begins and ends, from two pairs between. What was known before stays where there are
   none. */
static void solve(llama3 *rule, const float *factors, int64_t rotated)
{
    double smooth[2], waves[2];
    int found = 0;
    for (int64_t i = 0; i < rotated / 2; i++) {
        double f = (double)factors[i];
        if (f <= 1.0001 || f >= 0.9999 * rule->factor)
            continue;
        int at = found < 1 ? 0 : 1; /* the first and the last: farthest apart */
        smooth[at] = (1 / f - 1 / rule->factor) / (1 - 1 / rule->factor);
        waves[at] =
            rule->context * pow(rule->base, -2.0 * (double)i / (double)rotated) / (2 * M_PI);
        found++;
    }
    if (found < 2)
        return;
    double slope = (waves[0] - waves[1]) / (smooth[0] - smooth[1]);
    double low = waves[0] - slope * smooth[0];
    rule->low = rint(low * 1e3) / 1e3; /* f32 factors tell about so much */
    rule->high = rint((low + slope) * 1e3) / 1e3;
}

static fr_status read_factors(const fr_gguf *file, llama3 *rule, int64_t rotated, fr_error *error)
{
    const fr_gguf_entry *entry = fr_gguf_find(file, factors_name);
    float factors[MOST_PAIRS];
    int64_t pairs = rotated / 2;
    if (entry->dtype != FR_F32 || entry->rank != 1 || entry->shape[0] != pairs ||
        pairs > MOST_PAIRS)
        return fr_fail_at(error, FR_BAD_INPUT, fr_gguf_path(file), 0,
                          "%s is not %lld numbers in F32", factors_name, (long long)pairs);
    memcpy(factors, entry->data, entry->bytes);
    for (int64_t i = 0; i < pairs; i++)
        rule->factor = (double)factors[i] > rule->factor ? (double)factors[i] : rule->factor;
    solve(rule, factors, rotated);
    for (int64_t i = 0; i < pairs; i++)
        if (!(fabs(slowing(rule, i, rotated) - (double)factors[i]) <= 1e-4 * (double)factors[i]))
            return fr_fail_at(error, FR_UNSUPPORTED, fr_gguf_path(file), 0,
                              "%s: factor %lld is %g, which is not Llama 3's rule", factors_name,
                              (long long)i, (double)factors[i]);
    return FR_OK;
}

/* ---- config.json's object ---- */

/* The object that says how positions are scaled, and its type; NULL: none, or "default". */
const json_t *fr_gguf_rope(const json_t *config, const char **type)
{
    const json_t *rope = json_object_get(config, "rope_scaling");
    if (!json_is_object(rope))
        rope = json_object_get(config, "rope_parameters");
    const json_t *name = json_object_get(rope, "rope_type");
    *type = json_string_value(name ? name : json_object_get(rope, "type"));
    return *type && strcmp(*type, "default") != 0 ? rope : NULL;
}

static double number_of(const json_t *object, const char *name, double otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* rope_theta, wherever it stands. */
static double base_of(const json_t *config)
{
    double base = number_of(json_object_get(config, "rope_parameters"), "rope_theta", 10000);
    return number_of(config, "rope_theta", base);
}

static fr_status write_llama3(const json_t *config, const json_t *rope, int64_t rotated,
                              fr_gguf_draft *draft, fr_error *error)
{
    llama3 rule = {base_of(config), number_of(rope, "factor", 1),
                   number_of(rope, "low_freq_factor", 1), number_of(rope, "high_freq_factor", 4),
                   number_of(rope, "original_max_position_embeddings", 8192)};
    return write_factors(&rule, rotated, draft, error);
}

static void put_real(const fr_gguf_arch *arch, const json_t *rope, const char *field,
                     const char *key, fr_gguf_draft *draft)
{
    char text[FR_GGUF_KEY];
    const json_t *value = json_object_get(rope, field);
    if (json_is_number(value))
        fr_gguf_put_f32(draft, fr_gguf_key(arch, key, text), (float)json_number_value(value));
}

static void put_context(const fr_gguf_arch *arch, const json_t *rope, fr_gguf_draft *draft)
{
    char text[FR_GGUF_KEY];
    const json_t *value = json_object_get(rope, "original_max_position_embeddings");
    if (json_is_integer(value))
        fr_gguf_put_u32(draft, fr_gguf_key(arch, "rope.scaling.original_context_length", text),
                        (uint32_t)json_integer_value(value));
}

/* What stands in YaRN's object and is not written makes another model. */
static fr_status check_yarn(const json_t *rope, fr_error *error)
{
    static const char *const refused[] = {"attention_factor", "mscale", "mscale_all_dim"};
    for (int i = 0; i < 3; i++)
        FR_TRY(fr_gguf_refuse(rope, refused[i], error));
    const json_t *truncate = json_object_get(rope, "truncate");
    if (json_is_false(truncate))
        return fr_fail(error, FR_UNSUPPORTED,
                       "rope_scaling: llama.cpp always truncates YaRN's bounds");
    return FR_OK;
}

fr_status fr_gguf_write_rope(const fr_gguf_arch *arch, const json_t *config, int64_t rotated,
                             fr_gguf_draft *draft, fr_error *error)
{
    const char *type;
    char text[FR_GGUF_KEY];
    const json_t *rope = fr_gguf_rope(config, &type);
    if (!rope)
        return FR_OK;
    bool linear = strcmp(type, "linear") == 0, yarn = strcmp(type, "yarn") == 0;
    if (strcmp(type, "llama3") == 0) {
        put_context(arch, rope, draft);
        return write_llama3(config, rope, rotated, draft, error);
    }
    if (!linear && !yarn)
        return fr_fail(error, FR_UNSUPPORTED,
                       "rope type '%s' has no counterpart in llama.cpp: such a model cannot be "
                       "written as GGUF",
                       type);
    if (yarn)
        FR_TRY(check_yarn(rope, error));
    fr_gguf_put_text(draft, fr_gguf_key(arch, "rope.scaling.type", text), type, strlen(type));
    put_real(arch, rope, "factor", "rope.scaling.factor", draft);
    if (yarn) {
        put_context(arch, rope, draft);
        put_real(arch, rope, "beta_fast", "rope.scaling.yarn_beta_fast", draft);
        put_real(arch, rope, "beta_slow", "rope.scaling.yarn_beta_slow", draft);
    }
    return FR_OK;
}

/* ---- reading ---- */

static const fr_gguf_value *value_of(const fr_gguf_arch *arch, const fr_gguf *file, const char *key)
{
    char text[FR_GGUF_KEY];
    return fr_gguf_value_find(file, fr_gguf_key(arch, key, text));
}

static void set_real(json_t *rope, const char *field, const fr_gguf_value *value)
{
    double number;
    if (fr_gguf_real(value, &number))
        json_object_set_new(rope, field, fr_gguf_json_real(number));
}

static json_t *read_llama3(const fr_gguf_arch *arch, const fr_gguf *file, int64_t rotated,
                           fr_error *error)
{
    llama3 rule = {10000, 1, 1, 4, 8192};
    fr_gguf_real(value_of(arch, file, "rope.freq_base"), &rule.base);
    fr_gguf_real(value_of(arch, file, "rope.scaling.original_context_length"), &rule.context);
    if (read_factors(file, &rule, rotated, error) != FR_OK)
        return NULL;
    json_t *rope =
        json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", rule.factor,
                  "low_freq_factor", rule.low, "high_freq_factor", rule.high,
                  "original_max_position_embeddings", (json_int_t)rule.context);
    if (!rope)
        fr_fail(error, FR_NO_MEMORY, "no memory for rope_scaling");
    return rope;
}

static json_t *read_scaling(const fr_gguf_arch *arch, const fr_gguf *file, bool yarn)
{
    json_t *rope = json_pack("{s:s}", "rope_type", yarn ? "yarn" : "linear");
    set_real(rope, "factor", value_of(arch, file, "rope.scaling.factor"));
    int64_t context;
    if (!yarn)
        return rope;
    if (fr_gguf_int(value_of(arch, file, "rope.scaling.original_context_length"), &context))
        json_object_set_new(rope, "original_max_position_embeddings", json_integer(context));
    set_real(rope, "beta_fast", value_of(arch, file, "rope.scaling.yarn_beta_fast"));
    set_real(rope, "beta_slow", value_of(arch, file, "rope.scaling.yarn_beta_slow"));
    return rope;
}

fr_status fr_gguf_read_rope(const fr_gguf_arch *arch, const fr_gguf *file, int64_t rotated,
                            json_t *config, fr_error *error)
{
    fr_error own;
    fr_error *place = error ? error : &own;
    const char *type = "none";
    size_t size = 4;
    fr_gguf_text(value_of(arch, file, "rope.scaling.type"), &type, &size);
    bool linear = size == 6 && memcmp(type, "linear", size) == 0;
    bool yarn = size == 4 && memcmp(type, "yarn", size) == 0;
    if (!linear && !yarn && !(size == 4 && memcmp(type, "none", size) == 0))
        return fr_fail_at(error, FR_UNSUPPORTED, fr_gguf_path(file), 0,
                          "rope.scaling.type '%.*s' is not supported (known: none, linear, yarn)",
                          (int)(size < 64 ? size : 64), type);
    json_t *rope = NULL;
    if (linear || yarn)
        rope = read_scaling(arch, file, yarn);
    else if (fr_gguf_find(file, factors_name)) {
        rope = read_llama3(arch, file, rotated, place);
        if (!rope)
            return place->status;
    }
    if (rope)
        json_object_set_new(config, "rope_scaling", rope);
    return FR_OK;
}
