/* gguf_gptneox.c: GPT-NeoX (Pythia) in GGUF files. There the fused matrix has all queries, then all keys, then all values; and the
   output matrix stands apart even where it is the embedding. llama.cpp computes GELU by its tanh approximation. */
#include "models/gguf.h"

static const fr_gguf_name names[] = {
    FR_GGUF_MATRIX("token_embd", "gpt_neox.embed_in"),
    FR_GGUF_FULL("output_norm", "gpt_neox.final_layer_norm"),
    FR_GGUF_MATRIX("output", "embed_out"),
    FR_GGUF_FULL("blk.%.attn_norm", "gpt_neox.layers.%.input_layernorm"),
    {"blk.%.attn_qkv", "gpt_neox.layers.%.attention.query_key_value", FR_GGUF_APART, 0, false},
    FR_GGUF_MATRIX("blk.%.attn_output", "gpt_neox.layers.%.attention.dense"),
    FR_GGUF_FULL("blk.%.ffn_norm", "gpt_neox.layers.%.post_attention_layernorm"),
    FR_GGUF_MATRIX("blk.%.ffn_up", "gpt_neox.layers.%.mlp.dense_h_to_4h"),
    FR_GGUF_MATRIX("blk.%.ffn_down", "gpt_neox.layers.%.mlp.dense_4h_to_h"),
    {.file = NULL}};

static const fr_gguf_field fields[] = {
    FR_GGUF_SIZE_FIELDS,
    {"attention.layer_norm_epsilon", "layer_norm_eps", FR_GGUF_REAL, true, NULL},
    {"use_parallel_residual", "use_parallel_residual", FR_GGUF_FLAG, false, NULL},
    {"rope.freq_base", "rotary_emb_base", FR_GGUF_REAL, false, NULL},
    {.key = NULL}};

static fr_status write(const fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_gguf_draft *draft, fr_error *error)
{
    static const char *const activations[] = {"gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh",
                                              NULL};
    char key[FR_GGUF_KEY];
    FR_TRY(fr_gguf_expect(config, "hidden_act", activations, error));
    if (json_is_false(json_object_get(config, "attention_bias")))
        return fr_fail(error, FR_UNSUPPORTED,
                       "attention_bias is false, but llama.cpp wants biases");
    double part = json_number_value(json_object_get(config, "rotary_pct"));
    int64_t rotated = (int64_t)(part * (double)model->head_dim);
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "rope.dimension_count", key), (uint32_t)rotated);
    return fr_gguf_write_rope(arch, config, rotated, draft, error);
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
    json_object_set_new(config, "rotary_pct", json_real((double)rotated / (double)head_dim));
    return fr_gguf_read_rope(arch, file, rotated, config, error);
}

static const fr_gguf_arch gptneox = {.name = "gptneox",
                                     .model_type = "gpt_neox",
                                     .names = names,
                                     .fields = fields,
                                     .write = write,
                                     .read = read,
                                     .needs_output = true};
const fr_gguf_arch *const fr_gguf_gptneox[] = {&gptneox, NULL};
