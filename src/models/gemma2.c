/* gemma2.c: Gemma 2 (arXiv 2408.00118): decoder with norms before and behind every part, weights of norms counted from one,
   embeddings scaled by the root of the width, attention scores and logits capped by c tanh(x / c), and a sliding window
   in every second layer.

   x (B, T, C); per layer  h = x + norm(attention(norm(x))),  y = h + norm(feed_forward(norm(h))). */
#include "models/config_rows.h"
#include "models/decoder.h"
#include "models/gguf.h"

#include <math.h>
#include <string.h>

/* ---- configuration ---- */

typedef struct gemma2_config {
    int64_t vocab_size, hidden_size, intermediate_size;
    int64_t num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim;
    int64_t max_position_embeddings;
    int hidden_activation;
    double rms_norm_eps, initializer_range;
    double attention_dropout, classifier_dropout;
    fr_rope_options rope;
    double query_pre_attn_scalar, attn_logit_softcapping, final_logit_softcapping;
    bool tie_word_embeddings, attention_bias;
    int64_t sliding_window;
    fr_strings layer_types;
    int64_t bos_token_id, eos_token_id, pad_token_id;
} gemma2_config;

static void defaults(void *options)
{
    gemma2_config *c = options;
    c->hidden_size = 256;
    c->num_hidden_layers = 6;
    c->num_attention_heads = 4;
    c->max_position_embeddings = 1024;
    c->hidden_activation = FR_ACTIVATION_GELU_TANH;
    c->rms_norm_eps = 1e-6;
    c->initializer_range = 0.02;
    c->classifier_dropout = 0.1;
    fr_rope_defaults(&c->rope);
    c->attn_logit_softcapping = 50;
    c->final_logit_softcapping = 30;
    c->tie_word_embeddings = true;
    c->sliding_window = 4096;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
}

#define AT(field) offsetof(gemma2_config, field)
static const fr_option options[] = {
    FR_ROW_VOCABULARY,
    FR_ROW_WIDTH(hidden_size),
    FR_ROW_GATED_INNER,
    FR_ROW_LAYERS(num_hidden_layers, "layers"),
    FR_ROW_HEADS(num_attention_heads, "query heads H, a divisor of hidden_size"),
    FR_ROW_KV_HEADS,
    FR_ROW_HEAD_DIM,
    FR_ROW_CONTEXT,
    FR_ROW_ACTIVATION(hidden_activation, "activation of the gate"),
    FR_ROW_SQUARE_EPS(rms_norm_eps),
    FR_ROW_ROPE_BASE("rope_theta"),
    FR_ROPE_OPTIONS(gemma2_config, rope),
    FR_ROW_DECODER_DEVIATION,
    {"query_pre_attn_scalar", FR_OPTION_FLOAT, AT(query_pre_attn_scalar), NULL, 0, 1e9, NULL,
     "attention scores are divided by its root; 0: head_dim"},
    {"attn_logit_softcapping", FR_OPTION_FLOAT, AT(attn_logit_softcapping), NULL, 0, 1e9, NULL,
     "cap c of attention scores, c tanh(score / c); 0: none"},
    {"final_logit_softcapping", FR_OPTION_FLOAT, AT(final_logit_softcapping), NULL, 0, 1e9, NULL,
     "cap of the logits likewise; 0: none"},
    {"sliding_window", FR_OPTION_INT, AT(sliding_window), "tokens", 1, INT32_MAX, NULL,
     "keys that a query sees in layers with a window, itself included"},
    FR_ROW_LAYER_TYPES("the window in the first layer and every second after it"),
    FR_ROW_TIED(tie_word_embeddings),
    FR_ROW_FLAG(attention_bias, "biases of q, k, v and the output"),
    FR_ROW_ATTENTION_DROPOUT(attention_dropout),
    FR_ROW_TOKENS_DROPOUT,
    FR_ROW_BOS,
    FR_ROW_EOS,
    FR_ROW_STILL_PAD,
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"num_key_value_heads", "4"},
                                           {"head_dim", "256"},
                                           {"max_position_embeddings", "8192"},
                                           {"query_pre_attn_scalar", "256"},
                                           {"bos_token_id", "2"},
                                           {"eos_token_id", "1"},
                                           {"pad_token_id", "0"}};

/* A cap that is null is none, and one that is absent is the usual one. */
static void read_cap(double *cap, const json_t *json, const char *name)
{
    if (json_is_null(json_object_get(json, name)))
        *cap = 0;
}

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    gemma2_config *c = config;
    FR_TRY(fr_config_require(json, fr_decoder_required_fields, path, error));
    FR_TRY(fr_config_fill(&fr_model_gemma2.base.options, config, json, absent,
                          sizeof absent / sizeof absent[0], error));
    read_cap(&c->attn_logit_softcapping, json, "attn_logit_softcapping");
    read_cap(&c->final_logit_softcapping, json, "final_logit_softcapping");
    if (json_is_true(json_object_get(json, "use_bidirectional_attention")))
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "field 'use_bidirectional_attention' is true, which is not supported");
    return fr_rope_config_read(&c->rope, json, true, path, error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    const gemma2_config *c = config;
    json_object_set_new(json, "model_type", json_string("gemma2"));
    FR_TRY(fr_config_write_table(&fr_model_gemma2.base.options, config, json, error));
    FR_TRY(fr_rope_config_write(&c->rope, json, error));
    if (c->attn_logit_softcapping == 0)
        json_object_set_new(json, "attn_logit_softcapping", json_null());
    if (c->final_logit_softcapping == 0)
        json_object_set_new(json, "final_logit_softcapping", json_null());
    /* transformers wants a whole number here, and so do published folders */
    if (c->query_pre_attn_scalar == floor(c->query_pre_attn_scalar))
        json_object_set_new(json, "query_pre_attn_scalar",
                            json_integer((json_int_t)c->query_pre_attn_scalar));
    if (!c->layer_types.count) /* was written as null */
        json_object_del(json, "layer_types");
    if (c->classifier_dropout == 0.1) /* what everybody takes for it */
        json_object_del(json, "classifier_dropout");
    return FR_OK;
}

/* ---- building ---- */

static fr_status refuse(fr_error *error, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model gemma2: %s", what);
}

static bool has_window(const gemma2_config *c, int64_t layer)
{
    if (c->layer_types.count)
        return strcmp(c->layer_types.items[layer], "sliding_attention") == 0;
    return layer % 2 == 0;
}

static fr_status check_layer_types(const gemma2_config *c, fr_error *error)
{
    if (c->layer_types.count && c->layer_types.count != (size_t)c->num_hidden_layers)
        return refuse(error, "layer_types must name every layer");
    for (size_t i = 0; i < c->layer_types.count; i++)
        if (!has_window(c, (int64_t)i) && strcmp(c->layer_types.items[i], "full_attention") != 0)
            return fr_fail(error, FR_UNSUPPORTED,
                           "layer_types: '%.32s' is not supported (known: full_attention, "
                           "sliding_attention)",
                           c->layer_types.items[i]);
    return FR_OK;
}

static fr_status settle(gemma2_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return refuse(error, "vocab_size is not set, and no tokenizer tells it");
    if (!c->intermediate_size)
        c->intermediate_size = (c->hidden_size * 8 / 3 + 31) / 32 * 32;
    if (!c->num_key_value_heads)
        c->num_key_value_heads = c->num_attention_heads;
    if (c->num_attention_heads % c->num_key_value_heads)
        return refuse(error, "num_key_value_heads does not divide num_attention_heads");
    if (c->hidden_size % c->num_attention_heads)
        return refuse(error, "num_attention_heads does not divide hidden_size");
    if (!c->head_dim)
        c->head_dim = c->hidden_size / c->num_attention_heads;
    if (c->query_pre_attn_scalar == 0)
        c->query_pre_attn_scalar = (double)c->head_dim;
    return check_layer_types(c, error);
}

/* A norm over C whose weight counts from one. */
static void build_norm(fr_builder *b, fr_norm_layer *norm, const char *name, int64_t width)
{
    fr_builder_norm(b, norm, name, width, FR_AXIS_HIDDEN);
    if (b->status == FR_OK)
        fr_norm_count_from_one(norm);
}

static void build_layer(fr_builder *b, fr_decoder_layer *layer, const void *config,
                        const fr_decoder *own)
{
    const gemma2_config *c = config;
    int64_t width = c->hidden_size;
    fr_attention_layer *a = &layer->attention;
    build_norm(b, &layer->attention_norm, "input_layernorm", width);
    fr_builder_attention(
        b, a,
        &(fr_builder_heads){width, c->num_attention_heads, c->num_key_value_heads, c->head_dim},
        c->attention_bias, c->attention_bias);
    build_norm(b, &layer->attention_post_norm, "post_attention_layernorm", width);
    build_norm(b, &layer->feed_forward_norm, "pre_feedforward_layernorm", width);
    fr_builder_gated(b, &layer->feed_forward, width, c->intermediate_size, false);
    build_norm(b, &layer->feed_forward_post_norm, "post_feedforward_layernorm", width);
    a->rotary = &own->rotary;
    a->scale = (float)(1 / sqrt(c->query_pre_attn_scalar));
    a->cap = (float)c->attn_logit_softcapping;
    a->score_dropout = (float)c->attention_dropout;
    a->window = has_window(c, b->layer) ? (int)c->sliding_window : 0;
    layer->feed_forward.activation = (fr_activation)c->hidden_activation;
    fr_decoder_layer_number(layer, (int)b->layer);
}

static void describe(fr_model *model, const gemma2_config *c)
{
    model->vocabulary = c->vocab_size;
    model->width = c->hidden_size;
    model->layers = c->num_hidden_layers;
    model->heads = c->num_attention_heads;
    model->kv_heads = c->num_key_value_heads;
    model->head_dim = c->head_dim;
    model->max_positions = c->max_position_embeddings;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
    model->output_cap = (float)c->final_logit_softcapping;
}

static fr_status build(fr_model *model, fr_error *error)
{
    gemma2_config *c = model->config;
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
    own->embedding_scale = (float)sqrt((double)c->hidden_size);
    own->padding = c->pad_token_id;
    FR_TRY(fr_decoder_rotate(model, &c->rope, error));
    FR_TRY(fr_decoder_declare(model, &form, error));
    fr_norm_count_from_one(&own->norm);
    return FR_OK;
}

/* ---- descriptor ---- */

static const fr_model_class classes[] = {
    {"gemma2", "Gemma2ForCausalLM", FR_TASK_CAUSAL_LM},
    {"gemma2", "Gemma2Model", FR_TASK_NONE},
    {"gemma2", "Gemma2ForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"gemma2", "Gemma2ForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {0}};
static const char *const model_types[] = {"gemma2", NULL};
static const fr_tied_name tied[] = {{"lm_head.weight", "model.embed_tokens.weight"}, {0}};
static const char *const extra_fields[] = {FR_ROPE_FIELDS, "use_bidirectional_attention", NULL};
/* hidden_act is of Gemma 1, and stands in published folders beside hidden_activation, which counts. */
static const char *const ignored_fields[] = {"hidden_act", "cache_implementation",
                                             "sliding_window_size", NULL};

const fr_model_kind fr_model_gemma2 = {
    .base = {"gemma2",
             "decoder with norms on both sides, capped scores and alternating windows: Gemma 2",
             "arXiv 2408.00118",
             {"model.gemma2", options, sizeof options / sizeof options[0], sizeof(gemma2_config),
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
    .gguf = fr_gguf_gemma2,
};
