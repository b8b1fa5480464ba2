/* llama.c: the LLaMA family (arXiv 2302.13971): decoder with rotary positions, root mean square norms,
   gated feed-forward, grouped key and value heads.

   Eight of Hugging Face's model types are this one file and differ in details:
       llama    optional biases of attention and feed-forward
       mistral  a sliding window in every layer
       qwen2    biases of q, k, v; a sliding window from layer max_window_layers on, when asked for
       qwen3    norms of queries and keys per head; windows as qwen2
       olmo2    norms behind the layers' parts instead of before, and of queries and keys as a whole
       smollm3  every fourth layer without rotary positions, where the window is, when asked for
       mixtral  experts in every layer; a sliding window
       qwen3_moe  experts, perhaps not in every layer; norms of queries and keys per head; a sliding window in all, when asked for

   x (B, T, C); per layer  h = x + attention(norm(x)),  y = h + feed_forward(norm(h)). Here are the configuration and the
   descriptor; llama_layers.c declares the layers. */
#include "models/config_rows.h"
#include "models/gguf.h"
#include "models/llama.h"

#include <string.h>

const char *const fr_llama_type_names[] = {"llama",   "mistral", "qwen2",     "qwen3", "olmo2",
                                           "smollm3", "mixtral", "qwen3_moe", NULL};
#define CLASSES(type, name)                                                                        \
    {type, name "ForCausalLM", FR_TASK_CAUSAL_LM}, {type, name "Model", FR_TASK_NONE},             \
    {                                                                                              \
        type, name "ForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION                    \
    }
#define TOKEN_CLASS(type, name)                                                                    \
    {                                                                                              \
        type, name "ForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION                          \
    }
static const fr_model_class classes[] = {CLASSES("llama", "Llama"),
                                         TOKEN_CLASS("llama", "Llama"),
                                         CLASSES("mistral", "Mistral"),
                                         TOKEN_CLASS("mistral", "Mistral"),
                                         CLASSES("qwen2", "Qwen2"),
                                         TOKEN_CLASS("qwen2", "Qwen2"),
                                         CLASSES("qwen3", "Qwen3"),
                                         TOKEN_CLASS("qwen3", "Qwen3"),
                                         CLASSES("olmo2", "Olmo2"),
                                         CLASSES("smollm3", "SmolLM3"),
                                         TOKEN_CLASS("smollm3", "SmolLM3"),
                                         CLASSES("mixtral", "Mixtral"),
                                         TOKEN_CLASS("mixtral", "Mixtral"),
                                         CLASSES("qwen3_moe", "Qwen3Moe"),
                                         TOKEN_CLASS("qwen3_moe", "Qwen3Moe"),
                                         {0}};

/* ---- configuration ---- */

static void defaults(void *options)
{
    llama_config *c = options;
    c->hidden_size = 256;
    c->num_hidden_layers = 6;
    c->num_attention_heads = 4;
    c->max_position_embeddings = 1024;
    c->hidden_act = FR_ACTIVATION_SILU;
    c->rms_norm_eps = 1e-5;
    fr_rope_defaults(&c->rope);
    c->classifier_dropout = 0.1;
    c->initializer_range = 0.02;
    c->tie_word_embeddings = true;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
}

#define AT(field) offsetof(llama_config, field)
static const fr_option options[] = {
    FR_ROW_MODEL_TYPE(fr_llama_type_names),
    FR_ROW_VOCABULARY,
    FR_ROW_WIDTH(hidden_size),
    FR_ROW_GATED_INNER,
    FR_ROW_LAYERS(num_hidden_layers, "layers"),
    FR_ROW_HEADS(num_attention_heads, "query heads H"),
    FR_ROW_KV_HEADS,
    FR_ROW_HEAD_DIM,
    FR_ROW_CONTEXT,
    FR_ROW_ACTIVATION(hidden_act, "activation of the gate"),
    FR_ROW_SQUARE_EPS(rms_norm_eps),
    FR_ROW_ROPE_BASE("rope_theta"),
    FR_ROPE_OPTIONS(llama_config, rope),
    FR_ROW_DECODER_DEVIATION,
    FR_ROW_TIED(tie_word_embeddings),
    FR_ROW_FLAG(attention_bias, "biases of q, k, v and the output (llama, qwen3, olmo2, smollm3)"),
    FR_ROW_FLAG(mlp_bias, "biases of the feed-forward layer (llama, smollm3)"),
    FR_ROW_ATTENTION_DROPOUT(attention_dropout),
    FR_ROW_TOKENS_DROPOUT,
    FR_ROW_FLAG(use_sliding_window, "turns the window of qwen2, qwen3 and smollm3 on"),
    {"sliding_window", FR_OPTION_INT, AT(sliding_window), "tokens", 0, INT32_MAX, NULL,
     "keys that a query sees, itself included; 0: all (not llama, olmo2)"},
    {"max_window_layers", FR_OPTION_INT, AT(max_window_layers), NULL, 0, 1 << 14, NULL,
     "first layer with a window (qwen2, qwen3)"},
    FR_ROW_LAYER_TYPES("by max_window_layers (qwen2, qwen3), or a window where there are no rotary "
                       "positions (smollm3)"),
    {"no_rope_layers", FR_OPTION_FLOATS, AT(no_rope_layers), NULL, 0, 1, NULL,
     "per layer 1 for rotary positions, 0 for none; empty: by no_rope_layer_interval (smollm3)"},
    {"no_rope_layer_interval", FR_OPTION_INT, AT(no_rope_layer_interval), "layers", 0, 1 << 14,
     NULL, "one layer of so many is without rotary positions; 0: one of 4 (smollm3)"},
    {"num_local_experts", FR_OPTION_INT, AT(experts.count), NULL, 0, 1 << 14, NULL,
     "experts E of a layer; 0: 8 (mixtral), 128 (qwen3_moe)"},
    {"num_experts_per_tok", FR_OPTION_INT, AT(experts.chosen), NULL, 0, 1 << 14, NULL,
     "experts that a token goes through; 0: 2 (mixtral), 8 (qwen3_moe)"},
    {"moe_intermediate_size", FR_OPTION_INT, AT(experts.width), NULL, 0, 1 << 22, NULL,
     "feed-forward width of an expert; 0: intermediate_size / 8 (qwen3_moe)"},
    {"norm_topk_prob", FR_OPTION_BOOL, AT(experts.normalize), NULL, 0, 0, NULL,
     "the weights of a token's experts sum to one (qwen3_moe; always in mixtral)"},
    {"decoder_sparse_step", FR_OPTION_INT, AT(experts.interval), "layers", 0, 1 << 14, NULL,
     "one layer of so many has experts; 0: every one (qwen3_moe)"},
    {"mlp_only_layers", FR_OPTION_FLOATS, AT(experts.plain_layers), NULL, 0, 1 << 14, NULL,
     "numbers of layers without experts (qwen3_moe)"},
    FR_ROW_BOS,
    FR_ROW_EOS,
    FR_ROW_PAD,
};
#undef AT

/* What transformers takes for absent fields, by model type, and for all. */
enum { MOST_ABSENT = 10 };
static const fr_config_default absent[][MOST_ABSENT] = {
    [LLAMA] = {{"max_position_embeddings", "2048"}, {"bos_token_id", "1"}, {"eos_token_id", "2"}},
    [MISTRAL] = {{"max_position_embeddings", "131072"},
                 {"bos_token_id", "1"},
                 {"eos_token_id", "2"},
                 {"sliding_window", "4096"},
                 {"num_key_value_heads", "8"}},
    [QWEN2] = {{"max_position_embeddings", "32768"},
               {"sliding_window", "4096"},
               {"max_window_layers", "28"},
               {"num_key_value_heads", "32"}},
    [QWEN3] = {{"max_position_embeddings", "32768"},
               {"sliding_window", "4096"},
               {"max_window_layers", "28"},
               {"head_dim", "128"},
               {"num_key_value_heads", "32"}},
    [OLMO2] = {{"max_position_embeddings", "2048"},
               {"pad_token_id", "1"},
               {"eos_token_id", "50279"},
               {"rms_norm_eps", "1e-5"}},
    [SMOLLM3] = {{"max_position_embeddings", "32768"},
                 {"pad_token_id", "128004"},
                 {"bos_token_id", "128000"},
                 {"eos_token_id", "128001"},
                 {"num_key_value_heads", "4"},
                 {"tie_word_embeddings", "true"},
                 {"rope_theta", "2e6"}},
    [MIXTRAL] = {{"max_position_embeddings", "131072"},
                 {"bos_token_id", "1"},
                 {"eos_token_id", "2"},
                 {"num_key_value_heads", "8"},
                 {"rope_theta", "1e6"},
                 {"rms_norm_eps", "1e-5"},
                 {"num_local_experts", "8"},
                 {"num_experts_per_tok", "2"}},
    [QWEN3_MOE] = {{"max_position_embeddings", "32768"},
                   {"num_key_value_heads", "4"},
                   {"num_local_experts", "128"},
                   {"num_experts_per_tok", "8"},
                   {"moe_intermediate_size", "768"},
                   {"sliding_window", "4096"}},
};
static const fr_config_default absent_in_all[] = {
    {"rms_norm_eps", "1e-6"}, {"tie_word_embeddings", "false"}, {"hidden_act", "silu"}};

/* Fields that not every model type has. */
#define OF(type) (1U << (type))
static const struct {
    const char *name;
    unsigned types;
} special[] = {
    {"attention_bias", OF(LLAMA) | OF(QWEN3) | OF(OLMO2) | OF(SMOLLM3) | OF(QWEN3_MOE)},
    {"mlp_bias", OF(LLAMA) | OF(SMOLLM3)},
    {"sliding_window",
     OF(MISTRAL) | OF(QWEN2) | OF(QWEN3) | OF(SMOLLM3) | OF(MIXTRAL) | OF(QWEN3_MOE)},
    {"use_sliding_window", OF(QWEN2) | OF(QWEN3) | OF(SMOLLM3) | OF(QWEN3_MOE)},
    {"max_window_layers", OF(QWEN2) | OF(QWEN3)},
    {"layer_types", OF(QWEN2) | OF(QWEN3) | OF(SMOLLM3)},
    {"no_rope_layers", OF(SMOLLM3)},
    {"no_rope_layer_interval", OF(SMOLLM3)},
    {"num_local_experts", OF(MIXTRAL) | OF(QWEN3_MOE)},
    {"num_experts_per_tok", OF(MIXTRAL) | OF(QWEN3_MOE)},
    {"moe_intermediate_size", OF(QWEN3_MOE)},
    {"norm_topk_prob", OF(QWEN3_MOE)},
    {"decoder_sparse_step", OF(QWEN3_MOE)},
    {"mlp_only_layers", OF(QWEN3_MOE)},
};
#undef OF
enum { SPECIAL = sizeof special / sizeof *special };

static bool has_field(int model_type, int i)
{
    return special[i].types >> model_type & 1;
}

/* What experts add to config.json: another name of their number, and what training with them is not done here. */
static fr_status read_experts(llama_config *c, const json_t *json, const char *path,
                              fr_error *error)
{
    const json_t *count = json_object_get(json, "num_experts");
    if (count && !json_is_null(count) && !json_object_get(json, "num_local_experts"))
        FR_TRY(fr_config_set(&fr_model_llama.base.options, c, "num_local_experts", count, path,
                             error));
    if (json_is_true(json_object_get(json, "output_router_logits")))
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "output_router_logits: the loss that balances experts is not supported");
    const json_t *jitter = json_object_get(json, "router_jitter_noise");
    if (json_is_number(jitter) && json_number_value(jitter) != 0)
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "router_jitter_noise is %g, and noise on routers is not supported",
                          json_number_value(jitter));
    return FR_OK;
}

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    llama_config *c = config;
    const fr_option_table *table = &fr_model_llama.base.options;
    const fr_config_default *own = absent[c->model_type];
    size_t count = 0;
    while (count < MOST_ABSENT && own[count].name)
        count++;
    FR_TRY(fr_config_require(json, fr_decoder_required_fields, path, error));
    FR_TRY(fr_config_fill(table, config, json, absent_in_all, 3, error));
    FR_TRY(fr_config_fill(table, config, json, own, count, error));
    if (fr_llama_windows_on_demand(c->model_type)) {
        if (!c->use_sliding_window)
            c->sliding_window = 0;
        c->use_sliding_window = c->sliding_window > 0;
    }
    if (c->model_type == SMOLLM3 || c->model_type == QWEN3_MOE)
        c->max_window_layers = 0; /* published folders have it, and it means nothing there */
    if (fr_llama_has_experts(c->model_type))
        FR_TRY(read_experts(c, json, path, error));
    return fr_rope_config_read(&c->rope, json, true, path, error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    const llama_config *c = config;
    FR_TRY(fr_config_write_table(&fr_model_llama.base.options, config, json, error));
    FR_TRY(fr_rope_config_write(&c->rope, json, error));
    FR_TRY(fr_config_write_list(json, "no_rope_layers", error));
    FR_TRY(fr_config_write_list(json, "mlp_only_layers", error));
    if (!c->sliding_window)
        json_object_set_new(json, "sliding_window", json_null());
    for (int i = 0; i < SPECIAL; i++)
        if (!has_field(c->model_type, i))
            json_object_del(json, special[i].name);
    if (!c->layer_types.count) /* was written as null */
        json_object_del(json, "layer_types");
    if (c->classifier_dropout == 0.1) /* what everybody takes for it */
        json_object_del(json, "classifier_dropout");
    if (c->model_type == QWEN3_MOE) { /* its name in published folders */
        json_object_set(json, "num_experts", json_object_get(json, "num_local_experts"));
        json_object_del(json, "num_local_experts");
    }
    return FR_OK;
}

/* ---- fields of other model types ---- */

static bool says_something(const llama_config *c, const char *name)
{
    const fr_option *option = fr_option_find(&fr_model_llama.base.options, name);
    const void *field = (const char *)c + option->offset;
    switch (option->type) {
    case FR_OPTION_BOOL:
        return *(const bool *)field;
    case FR_OPTION_INT:
        return *(const int64_t *)field != 0;
    case FR_OPTION_FLOATS:
        return ((const fr_floats *)field)->count > 0;
    default:
        return ((const fr_strings *)field)->count > 0;
    }
}

static fr_status refuse_field(const llama_config *c, int i, fr_error *error)
{
    fr_buffer types = {0};
    for (int type = 0; fr_llama_type_names[type]; type++)
        if (has_field(type, i))
            fr_buffer_printf(&types, "%s%s", types.size ? ", " : "", fr_llama_type_names[type]);
    fr_fail(error, FR_BAD_INPUT, "model %s has no %s; it is of %s",
            fr_llama_type_names[c->model_type], special[i].name,
            types.failed ? "others" : types.data);
    fr_buffer_free(&types);
    return FR_BAD_INPUT;
}

fr_status fr_llama_check_fields(const llama_config *c, fr_error *error)
{
    for (int i = 0; i < SPECIAL; i++)
        if (!has_field(c->model_type, i) && says_something(c, special[i].name))
            return refuse_field(c, i, error);
    if (fr_llama_windows_on_demand(c->model_type) &&
        c->use_sliding_window != (c->sliding_window > 0))
        return fr_fail(error, FR_BAD_INPUT,
                       "model %s: use_sliding_window and sliding_window need each other",
                       fr_llama_type_names[c->model_type]);
    return FR_OK;
}

/* ---- descriptor ---- */

static bool ignores_tensor(const char *name)
{
    return strstr(name, ".rotary_emb.inv_freq") != NULL;
}

static const fr_tied_name tied[] = {{"lm_head.weight", "model.embed_tokens.weight"}, {0}};
static const char *const extra_fields[] = {FR_ROPE_FIELDS, "num_experts", "output_router_logits",
                                           "router_jitter_noise", NULL};
static const char *const ignored_fields[] = {
    "pretraining_tp", "is_llama_config",
    "router_aux_loss_coef", /* of the loss that output_router_logits asks for */
    NULL};

const fr_model_kind fr_model_llama = {
    .base = {"llama",
             "decoder with rotary positions and gated feed-forward: LLaMA, Mistral, Qwen2, Qwen3, "
             "OLMo 2, SmolLM3; with experts: Mixtral, Qwen3-MoE",
             "arXiv 2302.13971, 2310.06825, 2407.10671, 2505.09388, 2501.00656, 2401.04088",
             {"model.llama", options, sizeof options / sizeof options[0], sizeof(llama_config),
              defaults}},
    .model_types = fr_llama_type_names,
    .classes = classes,
    .extra_fields = extra_fields,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = fr_llama_build,
    .hidden = fr_decoder_hidden,
    .outputs = fr_decoder_outputs,
    .destroy = fr_decoder_destroy,
    .prefix = "model.",
    .ignores_tensor = ignores_tensor,
    .tied = tied,
    .gguf = fr_gguf_llama,
};
