/* phi3.c: Phi-3 (arXiv 2404.14219): a LLaMA-like decoder whose projections of attention (q, k, v) and of the feed-forward layer
   (gate, up) are one matrix each; long contexts by longrope, a sliding window in every layer where one is set.

   x (B, T, C); per layer  h = x + attention(norm(x)),  y = h + feed_forward(norm(h)). */
#include "models/config_rows.h"
#include "models/decoder.h"
#include "models/gguf.h"

/* ---- configuration ---- */

typedef struct phi3_config {
    int64_t vocab_size, hidden_size, intermediate_size;
    int64_t num_hidden_layers, num_attention_heads, num_key_value_heads;
    int64_t max_position_embeddings;
    int hidden_act;
    double rms_norm_eps, initializer_range;
    double resid_pdrop, embd_pdrop, attention_dropout, classifier_dropout;
    fr_rope_options rope;
    bool tie_word_embeddings;
    int64_t sliding_window;
    int64_t bos_token_id, eos_token_id, pad_token_id;
} phi3_config;

static void defaults(void *options)
{
    phi3_config *c = options;
    c->hidden_size = 256;
    c->num_hidden_layers = 6;
    c->num_attention_heads = 4;
    c->max_position_embeddings = 1024;
    c->hidden_act = FR_ACTIVATION_SILU;
    c->rms_norm_eps = 1e-5;
    c->initializer_range = 0.02;
    c->classifier_dropout = 0.1;
    fr_rope_defaults(&c->rope);
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
}

#define AT(field) offsetof(phi3_config, field)
static const fr_option options[] = {
    FR_ROW_VOCABULARY,
    FR_ROW_WIDTH(hidden_size),
    FR_ROW_GATED_INNER,
    FR_ROW_LAYERS(num_hidden_layers, "layers"),
    FR_ROW_HEADS(num_attention_heads, "query heads H, a divisor of hidden_size"),
    FR_ROW_KV_HEADS,
    FR_ROW_CONTEXT,
    FR_ROW_ACTIVATION(hidden_act, "activation of the gate"),
    FR_ROW_SQUARE_EPS(rms_norm_eps),
    FR_ROW_ROPE_BASE("rope_theta"),
    FR_ROW_ROPE_PART("partial_rotary_factor"),
    FR_ROPE_OPTIONS(phi3_config, rope),
    FR_ROW_DECODER_DEVIATION,
    FR_ROW_TIED(tie_word_embeddings),
    {"sliding_window", FR_OPTION_INT, AT(sliding_window), "tokens", 0, INT32_MAX, NULL,
     "keys that a query sees, itself included; 0: all"},
    FR_ROW_RESIDUAL_DROPOUT(resid_pdrop),
    FR_ROW_EMBEDDING_DROPOUT(embd_pdrop),
    FR_ROW_ATTENTION_DROPOUT(attention_dropout),
    FR_ROW_TOKENS_DROPOUT,
    FR_ROW_BOS,
    FR_ROW_EOS,
    FR_ROW_STILL_PAD,
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"max_position_embeddings", "4096"},
                                           {"bos_token_id", "1"},
                                           {"eos_token_id", "32000"},
                                           {"pad_token_id", "32000"}};
/* Published folders say that they have none. */
static const char *const biases[] = {"attention_bias", "mlp_bias", "lm_head_bias"};
static const char *const original_name = "original_max_position_embeddings";
enum { USUAL_ORIGINAL = 4096 };

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    phi3_config *c = config;
    FR_TRY(fr_config_require(json, fr_decoder_required_fields, path, error));
    FR_TRY(fr_config_fill(&fr_model_phi3.base.options, config, json, absent,
                          sizeof absent / sizeof absent[0], error));
    FR_TRY(fr_rope_config_read(&c->rope, json, false, path, error));
    if (c->rope.type == FR_ROPE_YARN) /* the first name of its longrope */
        c->rope.type = FR_ROPE_LONGROPE;
    if (!json_object_get(
            json, original_name)) /* transformers has a default, whatever rope_scaling says */
        c->rope.original_context = USUAL_ORIGINAL;
    for (int i = 0; i < 3; i++)
        if (json_is_true(json_object_get(json, biases[i])))
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                              "field '%s' is true, and phi3 has no biases", biases[i]);
    return FR_OK;
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    const phi3_config *c = config;
    json_object_set_new(json, "model_type", json_string("phi3"));
    FR_TRY(fr_config_write_table(&fr_model_phi3.base.options, config, json, error));
    FR_TRY(fr_rope_config_write(&c->rope, json, error));
    json_object_set_new(json, original_name, json_integer(c->rope.original_context));
    if (!c->sliding_window)
        json_object_set_new(json, "sliding_window", json_null());
    if (c->classifier_dropout == 0.1) /* what everybody takes for it */
        json_object_del(json, "classifier_dropout");
    return FR_OK;
}

/* ---- building ---- */

static fr_status refuse(fr_error *error, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model phi3: %s", what);
}

static fr_status settle(phi3_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return refuse(error, "vocab_size is not set, and no tokenizer tells it");
    if (!c->intermediate_size)
        c->intermediate_size = (c->hidden_size * 8 / 3 + 31) / 32 * 32;
    if (!c->num_key_value_heads)
        c->num_key_value_heads = c->num_attention_heads;
    if (!c->rope.original_context)
        c->rope.original_context = c->max_position_embeddings;
    if (c->num_attention_heads % c->num_key_value_heads)
        return refuse(error, "num_key_value_heads does not divide num_attention_heads");
    if (c->hidden_size % c->num_attention_heads)
        return refuse(error, "num_attention_heads does not divide hidden_size");
    if (c->rope.type != FR_ROPE_DEFAULT && c->rope.type != FR_ROPE_LONGROPE)
        return refuse(error, "rotary positions are of type default or longrope");
    return FR_OK;
}

static void build_layer(fr_builder *b, fr_decoder_layer *layer, const void *config,
                        const fr_decoder *own)
{
    const phi3_config *c = config;
    int64_t width = c->hidden_size, inner = c->intermediate_size;
    int64_t head_dim = width / c->num_attention_heads;
    fr_attention_layer *a = &layer->attention;
    fr_feed_forward_layer *f = &layer->feed_forward;
    fr_builder_norm(b, &layer->attention_norm, "input_layernorm", width, FR_AXIS_HIDDEN);
    a->fused =
        fr_builder_linear(b, "self_attn.qkv_proj", width + 2 * c->num_key_value_heads * head_dim,
                          FR_AXIS_QKV, width, FR_AXIS_HIDDEN, false, false);
    a->out = fr_builder_linear(b, "self_attn.o_proj", width, FR_AXIS_HIDDEN, width, FR_AXIS_HEADS,
                               false, true);
    fr_builder_norm(b, &layer->feed_forward_norm, "post_attention_layernorm", width,
                    FR_AXIS_HIDDEN);
    f->fused = fr_builder_linear(b, "mlp.gate_up_proj", 2 * inner, FR_AXIS_GATE_UP, width,
                                 FR_AXIS_HIDDEN, false, false);
    f->down = fr_builder_linear(b, "mlp.down_proj", width, FR_AXIS_HIDDEN, inner, FR_AXIS_FFN,
                                false, true);
    a->heads = c->num_attention_heads;
    a->kv_heads = c->num_key_value_heads;
    a->head_dim = head_dim;
    a->rotary = &own->rotary;
    a->window = (int)c->sliding_window;
    a->score_dropout = (float)c->attention_dropout;
    a->dropout = f->dropout = (float)c->resid_pdrop;
    f->activation = (fr_activation)c->hidden_act;
    fr_decoder_layer_number(layer, (int)b->layer);
}

static void describe(fr_model *model, const phi3_config *c)
{
    model->vocabulary = c->vocab_size;
    model->width = c->hidden_size;
    model->layers = c->num_hidden_layers;
    model->heads = c->num_attention_heads;
    model->kv_heads = c->num_key_value_heads;
    model->head_dim = c->hidden_size / c->num_attention_heads;
    model->max_positions = c->max_position_embeddings;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
}

static fr_status build(fr_model *model, fr_error *error)
{
    phi3_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    const fr_decoder_form form = {FR_DECODER_USUAL_NAMES,
                                  .output = c->tie_word_embeddings ? NULL : "lm_head.weight",
                                  .std = c->initializer_range,
                                  .eps = c->rms_norm_eps,
                                  .dropout = c->classifier_dropout,
                                  .layer = build_layer};
    fr_decoder *own = fr_decoder_create(model, &form, error);
    if (!own)
        return error->status;
    own->dropout = (float)c->embd_pdrop;
    own->padding = c->pad_token_id;
    FR_TRY(fr_decoder_rotate(model, &c->rope, error));
    return fr_decoder_declare(model, &form, error);
}

/* ---- descriptor ---- */

static const fr_model_class classes[] = {
    {"phi3", "Phi3ForCausalLM", FR_TASK_CAUSAL_LM},
    {"phi3", "Phi3Model", FR_TASK_NONE},
    {"phi3", "Phi3ForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"phi3", "Phi3ForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {0}};
static const char *const model_types[] = {"phi3", NULL};
static const fr_tied_name tied[] = {{"lm_head.weight", "model.embed_tokens.weight"}, {0}};
static const char *const extra_fields[] = {FR_ROPE_FIELDS, "attention_bias", "mlp_bias",
                                           "lm_head_bias", NULL};
/* auto_map names the code that came with the first published folders, which read the two others; transformers has the
   model itself since. */
static const char *const ignored_fields[] = {"auto_map", "full_attn_mod", "interpolate_factor",
                                             NULL};

const fr_model_kind fr_model_phi3 = {
    .base = {"phi3",
             "decoder with rotary positions, fused projections and gated feed-forward: Phi-3",
             "arXiv 2404.14219",
             {"model.phi3", options, sizeof options / sizeof options[0], sizeof(phi3_config),
              defaults}},
    .model_types = model_types,
    .classes = classes,
    .extra_fields = extra_fields,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = build,
    .hidden = fr_decoder_hidden,
    .outputs = fr_decoder_outputs,
    .destroy = fr_decoder_destroy,
    .prefix = "model.",
    .tied = tied,
    .gguf = fr_gguf_phi3,
};
