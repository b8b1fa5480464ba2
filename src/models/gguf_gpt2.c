/* gguf_gpt2.c: GPT-2 in GGUF files. Its matrices stand there as (out, in), as ours do. */
#include "models/gguf.h"

static const fr_gguf_name names[] = {
    FR_GGUF_MATRIX("token_embd", "transformer.wte"),
    FR_GGUF_FULL("position_embd", "transformer.wpe"),
    FR_GGUF_FULL("output_norm", "transformer.ln_f"),
    FR_GGUF_MATRIX("output", "lm_head"),
    FR_GGUF_FULL("blk.%.attn_norm", "transformer.h.%.ln_1"),
    FR_GGUF_MATRIX("blk.%.attn_qkv", "transformer.h.%.attn.c_attn"),
    FR_GGUF_MATRIX("blk.%.attn_output", "transformer.h.%.attn.c_proj"),
    FR_GGUF_FULL("blk.%.ffn_norm", "transformer.h.%.ln_2"),
    FR_GGUF_MATRIX("blk.%.ffn_up", "transformer.h.%.mlp.c_fc"),
    FR_GGUF_MATRIX("blk.%.ffn_down", "transformer.h.%.mlp.c_proj"),
    {.file = NULL}};

static const fr_gguf_field fields[] = {
    {"context_length", "n_positions", FR_GGUF_INT, true, NULL},
    {"embedding_length", "n_embd", FR_GGUF_INT, true, NULL},
    {"block_count", "n_layer", FR_GGUF_INT, true, NULL},
    {"feed_forward_length", "n_inner", FR_GGUF_INT, true, NULL},
    {"attention.head_count", "n_head", FR_GGUF_INT, true, NULL},
    {"attention.layer_norm_epsilon", "layer_norm_epsilon", FR_GGUF_REAL, true, NULL},
    {.key = NULL}};

static fr_status write(const fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_gguf_draft *draft, fr_error *error)
{
    (void)arch;
    (void)model;
    (void)draft;
    static const char *const activations[] = {"gelu_new", "gelu_pytorch_tanh", NULL};
    FR_TRY(fr_gguf_expect(config, "activation_function", activations, error));
    if (!json_is_true(json_object_get(config, "scale_attn_weights")))
        return fr_fail(error, FR_UNSUPPORTED,
                       "scale_attn_weights is false, but llama.cpp always scales");
    return fr_gguf_refuse(config, "scale_attn_by_inverse_layer_idx", error);
}

static const fr_gguf_arch gpt2 = {
    .name = "gpt2", .model_type = "gpt2", .names = names, .fields = fields, .write = write};
const fr_gguf_arch *const fr_gguf_gpt2[] = {&gpt2, NULL};
