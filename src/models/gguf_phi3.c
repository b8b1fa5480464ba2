/* gguf_phi3.c: Phi-3 in GGUF files. Its fused matrices stay as they are. Longrope's two lists of factors are tensors there; llama.cpp
   takes the long ones when the context that it is asked for is longer than the original one. It has no window. */
#include "models/gguf.h"

#include <math.h>
#include <string.h>

static const fr_gguf_name names[] = {
    FR_GGUF_MATRIX("token_embd", "model.embed_tokens"),
    FR_GGUF_FULL("output_norm", "model.norm"),
    FR_GGUF_MATRIX("output", "lm_head"),
    FR_GGUF_FULL("blk.%.attn_norm", "model.layers.%.input_layernorm"),
    FR_GGUF_MATRIX("blk.%.attn_qkv", "model.layers.%.self_attn.qkv_proj"),
    FR_GGUF_MATRIX("blk.%.attn_output", "model.layers.%.self_attn.o_proj"),
    FR_GGUF_FULL("blk.%.ffn_norm", "model.layers.%.post_attention_layernorm"),
    FR_GGUF_MATRIX("blk.%.ffn_up", "model.layers.%.mlp.gate_up_proj"),
    FR_GGUF_MATRIX("blk.%.ffn_down", "model.layers.%.mlp.down_proj"),
    {.file = NULL}};

static const char original_key[] = "rope.scaling.original_context_length",
                  factor_key[] = "rope.scaling.attn_factor";
static const fr_gguf_field fields[] = {
    FR_GGUF_USUAL_FIELDS,
    {"attention.sliding_window", "sliding_window", FR_GGUF_INT, false, NULL},
    {original_key, "original_max_position_embeddings", FR_GGUF_INT, false, NULL},
    {"rope.freq_base", "rope_theta", FR_GGUF_REAL, false, NULL},
    {.key = NULL}};

enum { MOST_PAIRS = 8192 };
static const struct {
    const char *tensor, *field;
} lists[] = {{"rope_factors_long.weight", "long_factor"},
             {"rope_factors_short.weight", "short_factor"}};

static double number(const json_t *config, const char *field)
{
    return json_number_value(json_object_get(config, field));
}

/* What longrope multiplies queries and keys with when nothing else is said (arXiv 2402.13753). */
static double usual_factor(const json_t *config)
{
    double original = number(config, "original_max_position_embeddings");
    double stretch = number(config, "max_position_embeddings") / original;
    return stretch > 1 ? sqrt(1 + log(stretch) / log(original)) : 1;
}

static fr_status write_longrope(const fr_gguf_arch *arch, const json_t *config, const json_t *rope,
                                int64_t pairs, fr_gguf_draft *draft, fr_error *error)
{
    char key[FR_GGUF_KEY];
    float factors[MOST_PAIRS];
    const json_t *said = json_object_get(rope, "attention_factor");
    for (int i = 0; i < 2; i++) {
        const json_t *list = json_object_get(rope, lists[i].field);
        if (json_array_size(list) != (size_t)pairs || pairs > MOST_PAIRS)
            return fr_fail(error, FR_UNSUPPORTED, "%s has %zu factors, %lld expected",
                           lists[i].field, json_array_size(list), (long long)pairs);
        for (int64_t k = 0; k < pairs; k++)
            factors[k] = (float)json_number_value(json_array_get(list, (size_t)k));
        FR_TRY(fr_gguf_put_floats(draft, lists[i].tensor, factors, pairs, error));
    }
    fr_gguf_put_f32(draft, fr_gguf_key(arch, factor_key, key),
                    (float)(json_is_number(said) ? json_number_value(said) : usual_factor(config)));
    return FR_OK;
}

static fr_status write(const fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_gguf_draft *draft, fr_error *error)
{
    static const char *const activations[] = {"silu", NULL};
    const json_t *part = json_object_get(config, "partial_rotary_factor");
    int64_t rotated =
        (int64_t)((json_is_number(part) ? json_number_value(part) : 1) * (double)model->head_dim);
    const char *type;
    const json_t *rope = fr_gguf_rope(config, &type);
    char key[FR_GGUF_KEY];
    FR_TRY(fr_gguf_expect(config, "hidden_act", activations, error));
    if (!json_integer_value(json_object_get(config, "sliding_window"))) /* asked for */
        fr_gguf_put_u32(draft, fr_gguf_key(arch, "attention.sliding_window", key), 0);
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "rope.dimension_count", key), (uint32_t)rotated);
    if (rope && strcmp(type, "longrope") == 0)
        return write_longrope(arch, config, rope, rotated / 2, draft, error);
    return fr_gguf_write_rope(arch, config, rotated, draft, error);
}

/* ---- reading ---- */

static fr_status read_list(const fr_gguf *file, int which, json_t *rope, fr_error *error)
{
    const fr_gguf_entry *entry = fr_gguf_find(file, lists[which].tensor);
    json_t *list = json_array();
    if (!entry || entry->dtype != FR_F32 || entry->rank != 1) {
        json_decref(list);
        return fr_fail_at(error, FR_BAD_INPUT, fr_gguf_path(file), 0,
                          "%s is missing or no vector in F32", lists[which].tensor);
    }
    for (int64_t i = 0; i < entry->shape[0]; i++) {
        float factor;
        memcpy(&factor, (const char *)entry->data + (size_t)i * sizeof factor, sizeof factor);
        json_array_append_new(list, fr_gguf_json_real((double)factor));
    }
    json_object_set_new(rope, lists[which].field, list);
    return FR_OK;
}

static fr_status read_longrope(const fr_gguf_arch *arch, const fr_gguf *file, json_t *config,
                               fr_error *error)
{
    char key[FR_GGUF_KEY];
    double factor;
    json_t *rope = json_pack("{s:s}", "rope_type", "longrope");
    json_object_set_new(config, "rope_scaling", rope);
    FR_TRY(read_list(file, 0, rope, error));
    FR_TRY(read_list(file, 1, rope, error));
    if (fr_gguf_real(fr_gguf_value_find(file, fr_gguf_key(arch, factor_key, key)), &factor) &&
        fabs(factor - usual_factor(config)) > 1e-6 * factor)
        json_object_set_new(rope, "attention_factor", fr_gguf_json_real(factor));
    return FR_OK;
}

static fr_status read(const fr_gguf_arch *arch, const fr_gguf *file, json_t *config,
                      fr_error *error)
{
    char key[FR_GGUF_KEY];
    int64_t heads = json_integer_value(json_object_get(config, "num_attention_heads"));
    int64_t width = json_integer_value(json_object_get(config, "hidden_size"));
    int64_t head_dim = heads > 0 ? width / heads : 0, rotated = head_dim;
    fr_gguf_int(fr_gguf_value_find(file, fr_gguf_key(arch, "rope.dimension_count", key)), &rotated);
    if (head_dim < 1 || rotated < 1 || rotated > head_dim)
        return fr_fail_at(error, FR_BAD_INPUT, fr_gguf_path(file), 0,
                          "%lld heads do not fit width %lld with %lld rotated numbers each",
                          (long long)heads, (long long)width, (long long)rotated);
    json_object_set_new(config, "partial_rotary_factor",
                        json_real((double)rotated / (double)head_dim));
    if (fr_gguf_find(file, lists[0].tensor) || fr_gguf_find(file, lists[1].tensor))
        return read_longrope(arch, file, config, error);
    return fr_gguf_read_rope(arch, file, rotated, config, error);
}

static const char *const ignored[] = {"rope_factors_long.weight", "rope_factors_short.weight",
                                      NULL};
static const fr_gguf_arch phi3 = {.name = "phi3",
                                  .model_type = "phi3",
                                  .names = names,
                                  .fields = fields,
                                  .write = write,
                                  .read = read,
                                  .ignored = ignored};
const fr_gguf_arch *const fr_gguf_phi3[] = {&phi3, NULL};
