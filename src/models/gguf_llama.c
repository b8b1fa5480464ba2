/* gguf_llama.c: the LLaMA family in GGUF files: architectures llama (Mistral's too), qwen2, qwen3.

   In llama's files the rows of queries and keys alternate; llama.cpp turns neighbouring pairs there, and halves elsewhere. Mistral
   is written as llama, which is what it is but for its window: llama.cpp reads no window there and sees all keys, so that texts
   differ once they are longer than the window. The window stands in the file for us, under a key that llama.cpp does not ask for. */
#include "models/gguf.h"

#include <string.h>

#define ATTENTION(order_)                                                                          \
    {"blk.%.attn_q", "model.layers.%.self_attn.q_proj", order_, 0, false},                         \
    {                                                                                              \
        "blk.%.attn_k", "model.layers.%.self_attn.k_proj", order_, 0, false                        \
    }

static const fr_gguf_name alternating[] = {ATTENTION(FR_GGUF_ALTERNATE), {.file = NULL}};
static const fr_gguf_name straight[] = {
    ATTENTION(FR_GGUF_SAME),
    {"blk.%.attn_q_norm", "model.layers.%.self_attn.q_norm", FR_GGUF_SAME, 0, true},
    {"blk.%.attn_k_norm", "model.layers.%.self_attn.k_norm", FR_GGUF_SAME, 0, true},
    {.file = NULL}};
static const fr_gguf_name shared[] = {
    {"token_embd", "model.embed_tokens", FR_GGUF_SAME, 0, false},
    {"output_norm", "model.norm", FR_GGUF_SAME, 0, true},
    {"output", "lm_head", FR_GGUF_SAME, 0, false},
    {"blk.%.attn_norm", "model.layers.%.input_layernorm", FR_GGUF_SAME, 0, true},
    {"blk.%.attn_v", "model.layers.%.self_attn.v_proj", FR_GGUF_SAME, 0, false},
    {"blk.%.attn_output", "model.layers.%.self_attn.o_proj", FR_GGUF_SAME, 0, false},
    {"blk.%.ffn_norm", "model.layers.%.post_attention_layernorm", FR_GGUF_SAME, 0, true},
    {"blk.%.ffn_gate", "model.layers.%.mlp.gate_proj", FR_GGUF_SAME, 0, false},
    {"blk.%.ffn_up", "model.layers.%.mlp.up_proj", FR_GGUF_SAME, 0, false},
    {"blk.%.ffn_down", "model.layers.%.mlp.down_proj", FR_GGUF_SAME, 0, false},
    {.file = NULL}};

static const fr_gguf_field fields[] = {
    {"context_length", "max_position_embeddings", FR_GGUF_INT, true, NULL},
    {"embedding_length", "hidden_size", FR_GGUF_INT, true, NULL},
    {"block_count", "num_hidden_layers", FR_GGUF_INT, true, NULL},
    {"feed_forward_length", "intermediate_size", FR_GGUF_INT, true, NULL},
    {"attention.head_count", "num_attention_heads", FR_GGUF_INT, true, NULL},
    {"attention.head_count_kv", "num_key_value_heads", FR_GGUF_INT, false, "num_attention_heads"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", FR_GGUF_REAL, true, NULL},
    {"attention.key_length", "head_dim", FR_GGUF_INT, false, NULL},
    {"rope.freq_base", "rope_theta", FR_GGUF_REAL, false, NULL},
    {.key = NULL}};
static const fr_gguf_field window_field[] = {
    {"attention.sliding_window", "sliding_window", FR_GGUF_INT, false, NULL}, {.key = NULL}};

static const char *const factors[] = {"rope_freqs.weight", NULL};

static fr_status write(const fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_gguf_draft *draft, fr_error *error)
{
    static const char *const activations[] = {"silu", NULL};
    char key[FR_GGUF_KEY];
    FR_TRY(fr_gguf_expect(config, "hidden_act", activations, error));
    if (strcmp(arch->model_type, "mistral") != 0)
        FR_TRY(fr_gguf_refuse(config, "sliding_window", error));
    if (strcmp(arch->model_type, "qwen3") == 0)
        FR_TRY(fr_gguf_refuse(config, "attention_bias", error));
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "vocab_size", key), (uint32_t)model->vocabulary);
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "attention.value_length", key),
                    (uint32_t)model->head_dim);
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "rope.dimension_count", key),
                    (uint32_t)model->head_dim);
    return fr_gguf_write_rope(arch, config, model->head_dim, draft, error);
}

static int64_t integer(const json_t *config, const char *field)
{
    return json_integer_value(json_object_get(config, field));
}

/* Biases are where their tensors are. */
static void read_biases(const fr_gguf *file, json_t *config)
{
    if (fr_gguf_find(file, "blk.0.attn_output.bias"))
        json_object_set_new(config, "attention_bias", json_true());
    if (fr_gguf_find(file, "blk.0.ffn_down.bias"))
        json_object_set_new(config, "mlp_bias", json_true());
}

static fr_status read(const fr_gguf_arch *arch, const fr_gguf *file, json_t *config,
                      fr_error *error)
{
    int64_t width = integer(config, "head_dim"), heads = integer(config, "num_attention_heads");
    int64_t rotated = 0;
    char key[FR_GGUF_KEY];
    if (!width && heads > 0) {
        width = integer(config, "hidden_size") / heads;
        json_object_set_new(config, "head_dim", json_integer(width));
    }
    if (fr_gguf_int(fr_gguf_value_find(file, fr_gguf_key(arch, "rope.dimension_count", key)),
                    &rotated) &&
        rotated != width)
        return fr_fail_at(error, FR_UNSUPPORTED, fr_gguf_path(file), 0,
                          "%lld of %lld numbers of a head are rotated; all are expected",
                          (long long)rotated, (long long)width);
    if (strcmp(arch->name, "llama") == 0) {
        read_biases(file, config);
        if (integer(config, "sliding_window") > 0)
            json_object_set_new(config, "model_type", json_string("mistral"));
        else
            json_object_del(config, "sliding_window");
    }
    return fr_gguf_read_rope(arch, file, width, config, error);
}

#define LLAMA(name_, model_type_, names_, more_)                                                   \
    {                                                                                              \
        .name = name_, .model_type = model_type_, .names = names_, .more_names = shared,           \
        .fields = fields, .more_fields = more_, .write = write, .read = read, .ignored = factors   \
    }
static const fr_gguf_arch llama = LLAMA("llama", "llama", alternating, window_field),
                          mistral = LLAMA("llama", "mistral", alternating, window_field),
                          qwen2 = LLAMA("qwen2", "qwen2", straight, NULL),
                          qwen3 = LLAMA("qwen3", "qwen3", straight, NULL);
const fr_gguf_arch *const fr_gguf_llama[] = {&llama, &mistral, &qwen2, &qwen3, NULL};
