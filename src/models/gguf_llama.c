/* gguf_llama.c: the LLaMA family in GGUF files: architectures llama (Mistral's and Mixtral's too), qwen2, qwen3, qwen3moe, olmo2,
   smollm3.

   In llama's and smollm3's files the rows of queries and keys alternate; llama.cpp turns neighbouring pairs there, and halves
   elsewhere. Mistral and Mixtral are written as llama, which is what they are but for their window: llama.cpp reads no window there
   and sees all keys, so that texts differ once they are longer than the window. The window stands in the file for us, under a key
   that llama.cpp does not ask for. */
#include "models/gguf.h"

#include <string.h>

#define SAME(file, own) FR_GGUF_MATRIX(file, "model.layers.%." own)
#define NORM(file, own) FR_GGUF_FULL(file, "model.layers.%." own)
#define TURNED(file_, own_)                                                                        \
    {                                                                                              \
        file_, "model.layers.%." own_, FR_GGUF_ALTERNATE, 0, false                                 \
    }
#define FEED_FORWARD                                                                               \
    SAME("blk.%.ffn_gate", "mlp.gate_proj"), SAME("blk.%.ffn_up", "mlp.up_proj"),                  \
        SAME("blk.%.ffn_down", "mlp.down_proj")
#define NORMS_BEFORE                                                                               \
    NORM("blk.%.attn_norm", "input_layernorm"), NORM("blk.%.ffn_norm", "post_attention_layernorm")
#define HEAD_NORMS                                                                                 \
    NORM("blk.%.attn_q_norm", "self_attn.q_norm"), NORM("blk.%.attn_k_norm", "self_attn.k_norm")
#define EXPERTS(prefix_, gate_, up_, down_)                                                        \
    NORM("blk.%.ffn_gate_inp", prefix_ ".gate"),                                                   \
        SAME("blk.%.ffn_gate_exps", prefix_ ".experts.#." gate_),                                  \
        SAME("blk.%.ffn_up_exps", prefix_ ".experts.#." up_),                                      \
        SAME("blk.%.ffn_down_exps", prefix_ ".experts.#." down_)
#define END                                                                                        \
    {                                                                                              \
        .file = NULL                                                                               \
    }

static const fr_gguf_name shared[] = {FR_GGUF_MATRIX("token_embd", "model.embed_tokens"),
                                      FR_GGUF_FULL("output_norm", "model.norm"),
                                      FR_GGUF_MATRIX("output", "lm_head"),
                                      SAME("blk.%.attn_v", "self_attn.v_proj"),
                                      SAME("blk.%.attn_output", "self_attn.o_proj"),
                                      END};
static const fr_gguf_name llama_names[] = {TURNED("blk.%.attn_q", "self_attn.q_proj"),
                                           TURNED("blk.%.attn_k", "self_attn.k_proj"), NORMS_BEFORE,
                                           FEED_FORWARD, END};
static const fr_gguf_name mixtral_names[] = {
    TURNED("blk.%.attn_q", "self_attn.q_proj"), TURNED("blk.%.attn_k", "self_attn.k_proj"),
    NORMS_BEFORE, EXPERTS("block_sparse_moe", "w1", "w3", "w2"), END};
static const fr_gguf_name qwen_names[] = {SAME("blk.%.attn_q", "self_attn.q_proj"),
                                          SAME("blk.%.attn_k", "self_attn.k_proj"),
                                          NORMS_BEFORE,
                                          HEAD_NORMS,
                                          FEED_FORWARD,
                                          END};
static const fr_gguf_name qwen_moe_names[] = {SAME("blk.%.attn_q", "self_attn.q_proj"),
                                              SAME("blk.%.attn_k", "self_attn.k_proj"),
                                              NORMS_BEFORE,
                                              HEAD_NORMS,
                                              EXPERTS("mlp", "gate_proj", "up_proj", "down_proj"),
                                              END};
static const fr_gguf_name olmo2_names[] = {
    SAME("blk.%.attn_q", "self_attn.q_proj"),
    SAME("blk.%.attn_k", "self_attn.k_proj"),
    HEAD_NORMS,
    NORM("blk.%.post_attention_norm", "post_attention_layernorm"),
    NORM("blk.%.post_ffw_norm", "post_feedforward_layernorm"),
    FEED_FORWARD,
    END};

static const fr_gguf_field fields[] = {
    FR_GGUF_USUAL_FIELDS,
    {"attention.key_length", "head_dim", FR_GGUF_INT, false, NULL},
    {"rope.freq_base", "rope_theta", FR_GGUF_REAL, false, NULL},
    {.key = NULL}};
static const fr_gguf_field window_field[] = {
    {"attention.sliding_window", "sliding_window", FR_GGUF_INT, false, NULL}, {.key = NULL}};
/* Under "llama" this is Mixtral's; `read` tells the two apart. */
static const fr_gguf_field mixtral_fields[] = {
    {"attention.sliding_window", "sliding_window", FR_GGUF_INT, false, NULL},
    {"expert_count", "num_local_experts", FR_GGUF_INT, false, NULL},
    {"expert_used_count", "num_experts_per_tok", FR_GGUF_INT, false, NULL},
    {.key = NULL}};
static const fr_gguf_field moe_fields[] = {
    {"expert_count", "num_experts", FR_GGUF_INT, true, NULL},
    {"expert_used_count", "num_experts_per_tok", FR_GGUF_INT, true, NULL},
    {"expert_feed_forward_length", "moe_intermediate_size", FR_GGUF_INT, true, NULL},
    {.key = NULL}};

static const char *const factors[] = {"rope_freqs.weight", NULL};

/* ---- writing ---- */

static bool is(const fr_gguf_arch *arch, const char *model_type)
{
    return strcmp(arch->model_type, model_type) == 0;
}

/* smollm3: llama.cpp leaves positions out of layers 3, 7, 11, ... */
static fr_status check_rope_layers(const json_t *config, fr_error *error)
{
    const json_t *layers = json_object_get(config, "no_rope_layers"), *layer;
    size_t i;
    json_array_foreach(layers, i, layer)
    {
        if ((json_number_value(layer) != 0) != ((i + 1) % 4 != 0))
            return fr_fail(error, FR_UNSUPPORTED,
                           "no_rope_layers: llama.cpp leaves rotary positions out of every fourth "
                           "layer, and layer %zu does otherwise",
                           i);
    }
    return FR_OK;
}

/* What a model type may say and llama.cpp cannot. */
static fr_status check(const fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_error *error)
{
    static const char *const activations[] = {"silu", NULL};
    bool llama = strcmp(arch->name, "llama") == 0;
    FR_TRY(fr_gguf_expect(config, "hidden_act", activations, error));
    if (!llama)
        FR_TRY(fr_gguf_refuse(config, "sliding_window", error));
    if (!llama)
        FR_TRY(fr_gguf_refuse(config, "attention_bias", error));
    if (is(arch, "smollm3")) {
        FR_TRY(fr_gguf_refuse(config, "mlp_bias", error));
        FR_TRY(check_rope_layers(config, error));
    }
    if (is(arch, "olmo2") && model->head_dim * model->heads != model->width)
        return fr_fail(error, FR_UNSUPPORTED,
                       "head_dim: llama.cpp's olmo2 has heads of hidden_size / heads");
    if (!is(arch, "qwen3_moe"))
        return FR_OK;
    if (json_is_false(json_object_get(config, "norm_topk_prob")))
        return fr_fail(error, FR_UNSUPPORTED,
                       "norm_topk_prob is false, but llama.cpp always normalises");
    if (json_array_size(json_object_get(config, "mlp_only_layers")) > 0)
        return fr_fail(error, FR_UNSUPPORTED,
                       "mlp_only_layers: llama.cpp has experts in every layer");
    int64_t step = json_integer_value(json_object_get(config, "decoder_sparse_step"));
    return step <= 1 ? FR_OK : fr_gguf_refuse(config, "decoder_sparse_step", error);
}

static fr_status write(const fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_gguf_draft *draft, fr_error *error)
{
    char key[FR_GGUF_KEY];
    FR_TRY(check(arch, model, config, error));
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "vocab_size", key), (uint32_t)model->vocabulary);
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "attention.value_length", key),
                    (uint32_t)model->head_dim);
    fr_gguf_put_u32(draft, fr_gguf_key(arch, "rope.dimension_count", key),
                    (uint32_t)model->head_dim);
    return fr_gguf_write_rope(arch, config, model->head_dim, draft, error);
}

/* ---- reading ---- */

static int64_t integer(const json_t *config, const char *field)
{
    return json_integer_value(json_object_get(config, field));
}

/* LLaMA, Mistral and Mixtral are told apart by what they have; biases are where their tensors are. */
static void read_llama(const fr_gguf *file, json_t *config)
{
    bool window = integer(config, "sliding_window") > 0;
    if (integer(config, "num_local_experts") > 0) {
        json_object_set_new(config, "model_type", json_string("mixtral"));
        if (!window)
            json_object_set_new(config, "sliding_window", json_null());
        return;
    }
    json_object_del(config, "num_local_experts");
    json_object_del(config, "num_experts_per_tok");
    if (window) {
        json_object_set_new(config, "model_type", json_string("mistral"));
        return;
    }
    json_object_del(config, "sliding_window");
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
    if (strcmp(arch->name, "llama") == 0)
        read_llama(file, config);
    if (is(arch, "qwen3_moe"))
        json_object_set_new(config, "norm_topk_prob", json_true());
    return fr_gguf_read_rope(arch, file, width, config, error);
}

#define ARCH(name_, model_type_, names_, more_fields_, output_)                                    \
    {                                                                                              \
        .name = name_, .model_type = model_type_, .names = names_, .more_names = shared,           \
        .fields = fields, .more_fields = more_fields_, .write = write, .read = read,               \
        .ignored = factors, .needs_output = output_                                                \
    }
static const fr_gguf_arch llama = ARCH("llama", "llama", llama_names, mixtral_fields, false),
                          mistral = ARCH("llama", "mistral", llama_names, window_field, false),
                          mixtral = ARCH("llama", "mixtral", mixtral_names, mixtral_fields, false),
                          qwen2 = ARCH("qwen2", "qwen2", qwen_names, NULL, false),
                          qwen3 = ARCH("qwen3", "qwen3", qwen_names, NULL, false),
                          qwen3_moe =
                              ARCH("qwen3moe", "qwen3_moe", qwen_moe_names, moe_fields, false),
                          olmo2 = ARCH("olmo2", "olmo2", olmo2_names, NULL, true),
                          smollm3 = ARCH("smollm3", "smollm3", llama_names, NULL, false);
/* The first of a name reads its files. */
const fr_gguf_arch *const fr_gguf_llama[] = {&llama, &mistral, &mixtral,   &qwen2, &qwen3,
                                             &olmo2, &smollm3, &qwen3_moe, NULL};
