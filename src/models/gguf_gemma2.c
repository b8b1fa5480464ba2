/* gguf_gemma2.c: Gemma 2 in GGUF files. Its norms multiply with 1 + weight, and the file holds that sum. llama.cpp takes the scale of
   the scores from the heads' width, windows every second layer from the first on, and has no output matrix but the embedding. */
#include "models/gguf.h"

#include <string.h>

#define NORM(file_, own_)                                                                          \
    {                                                                                              \
        file_, own_, FR_GGUF_SAME, 1, true                                                         \
    }

static const fr_gguf_name names[] = {
    FR_GGUF_MATRIX("token_embd", "model.embed_tokens"),
    NORM("output_norm", "model.norm"),
    NORM("blk.%.attn_norm", "model.layers.%.input_layernorm"),
    NORM("blk.%.post_attention_norm", "model.layers.%.post_attention_layernorm"),
    NORM("blk.%.ffn_norm", "model.layers.%.pre_feedforward_layernorm"),
    NORM("blk.%.post_ffw_norm", "model.layers.%.post_feedforward_layernorm"),
    FR_GGUF_MATRIX("blk.%.attn_q", "model.layers.%.self_attn.q_proj"),
    FR_GGUF_MATRIX("blk.%.attn_k", "model.layers.%.self_attn.k_proj"),
    FR_GGUF_MATRIX("blk.%.attn_v", "model.layers.%.self_attn.v_proj"),
    FR_GGUF_MATRIX("blk.%.attn_output", "model.layers.%.self_attn.o_proj"),
    FR_GGUF_MATRIX("blk.%.ffn_gate", "model.layers.%.mlp.gate_proj"),
    FR_GGUF_MATRIX("blk.%.ffn_up", "model.layers.%.mlp.up_proj"),
    FR_GGUF_MATRIX("blk.%.ffn_down", "model.layers.%.mlp.down_proj"),
    {.file = NULL}};

static const fr_gguf_field fields[] = {
    FR_GGUF_USUAL_FIELDS,
    {"attention.key_length", "head_dim", FR_GGUF_INT, true, NULL},
    {"attention.sliding_window", "sliding_window", FR_GGUF_INT, false, NULL},
    {"attn_logit_softcapping", "attn_logit_softcapping", FR_GGUF_REAL, false, NULL},
    {"final_logit_softcapping", "final_logit_softcapping", FR_GGUF_REAL, false, NULL},
    {"rope.freq_base", "rope_theta", FR_GGUF_REAL, false, NULL},
    {.key = NULL}};

enum { LAYERS_27B = 46 }; /* by which llama.cpp knows the model whose scale is another */

static double scalar_of(int64_t layers, int64_t width, int64_t heads, int64_t head_dim)
{
    return (double)(layers == LAYERS_27B && heads > 0 ? width / heads : head_dim);
}

/* Windows in layers 0, 2, 4, ... */
static fr_status check_layers(const json_t *config, fr_error *error)
{
    const json_t *types = json_object_get(config, "layer_types"), *type;
    size_t i;
    json_array_foreach(types, i, type)
    {
        const char *wanted = i % 2 ? "full_attention" : "sliding_attention";
        const char *found = json_string_value(type);
        if (!found || strcmp(found, wanted) != 0)
            return fr_fail(error, FR_UNSUPPORTED,
                           "layer_types: layer %zu is %s, but llama.cpp takes it for %s", i,
                           found ? found : "?", wanted);
    }
    return FR_OK;
}

static fr_status write(const fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_gguf_draft *draft, fr_error *error)
{
    static const char *const activations[] = {"gelu_pytorch_tanh", "gelu_new", NULL};
    static const char *const caps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    char key[FR_GGUF_KEY];
    FR_TRY(fr_gguf_expect(config, "hidden_activation", activations, error));
    FR_TRY(fr_gguf_refuse(config, "attention_bias", error));
    FR_TRY(fr_gguf_expect_number(
        config, "query_pre_attn_scalar",
        scalar_of(model->layers, model->width, model->heads, model->head_dim), error));
    for (int i = 0; i < 2; i++)
        if (!(json_number_value(json_object_get(config, caps[i])) > 0))
            return fr_fail(error, FR_UNSUPPORTED, "%s is not set, but llama.cpp always caps",
                           caps[i]);
    FR_TRY(check_layers(config, error));
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "attention.value_length", key),
                    (uint32_t)model->head_dim);
    return fr_gguf_write_rope(arch, config, model->head_dim, draft, error);
}

static int64_t integer(const json_t *config, const char *field)
{
    return json_integer_value(json_object_get(config, field));
}

static fr_status read(const fr_gguf_arch *arch, const fr_gguf *file, json_t *config,
                      fr_error *error)
{
    int64_t head_dim = integer(config, "head_dim");
    double scalar = scalar_of(integer(config, "num_hidden_layers"), integer(config, "hidden_size"),
                              integer(config, "num_attention_heads"), head_dim);
    json_object_set_new(config, "query_pre_attn_scalar", json_real(scalar));
    return fr_gguf_read_rope(arch, file, head_dim, config, error);
}

static const fr_gguf_arch gemma2 = {.name = "gemma2",
                                    .model_type = "gemma2",
                                    .names = names,
                                    .fields = fields,
                                    .write = write,
                                    .read = read};
const fr_gguf_arch *const fr_gguf_gemma2[] = {&gemma2, NULL};
