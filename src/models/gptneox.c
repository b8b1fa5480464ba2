/* gptneox.c: GPT-NeoX (arXiv 2204.06745) and Pythia (arXiv 2304.01373): decoder with layer norms, biases and rotary positions
   on a part of each head; attention and the feed-forward layer read the same x.

   x (B, T, C); per layer  y = x + attention(norm(x)) + feed_forward(norm'(x)), or one after the other when
   use_parallel_residual is off. The fused matrix of a layer's queries, keys and values holds them head by head: (H, 3, D). */
#include "models/config_rows.h"
#include "models/decoder.h"
#include "models/gguf.h"

/* ---- configuration ---- */

typedef struct neox_config {
    int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads;
    int64_t max_position_embeddings;
    int hidden_act;
    double layer_norm_eps, initializer_range;
    double attention_dropout, hidden_dropout, classifier_dropout;
    fr_rope_options rope;
    bool use_parallel_residual, attention_bias, tie_word_embeddings;
    int64_t bos_token_id, eos_token_id, pad_token_id;
} neox_config;

static void defaults(void *options)
{
    neox_config *c = options;
    c->hidden_size = 256;
    c->num_hidden_layers = 6;
    c->num_attention_heads = 4;
    c->max_position_embeddings = 1024;
    c->hidden_act = FR_ACTIVATION_GELU;
    c->layer_norm_eps = 1e-5;
    c->initializer_range = 0.02;
    c->classifier_dropout = 0.1;
    fr_rope_defaults(&c->rope);
    c->rope.part = 0.25;
    c->use_parallel_residual = c->attention_bias = true;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
}

#define AT(field) offsetof(neox_config, field)
static const fr_option options[] = {
    FR_ROW_VOCABULARY,
    FR_ROW_WIDTH(hidden_size),
    FR_ROW_INNER(intermediate_size, "feed-forward width F; 0: 4 hidden_size"),
    FR_ROW_LAYERS(num_hidden_layers, "layers"),
    FR_ROW_HEADS(num_attention_heads, "heads H, a divisor of hidden_size"),
    FR_ROW_CONTEXT,
    FR_ROW_ACTIVATION(hidden_act, "activation of the feed-forward layer"),
    FR_ROW_VARIANCE_EPS(layer_norm_eps),
    FR_ROW_ROPE_BASE("rotary_emb_base"),
    FR_ROW_ROPE_PART("rotary_pct"),
    FR_ROPE_OPTIONS(neox_config, rope),
    FR_ROW_DECODER_DEVIATION,
    FR_ROW_FLAG(use_parallel_residual,
                "attention and the feed-forward layer read the same; off: one after the other"),
    FR_ROW_FLAG(attention_bias, "biases of q, k, v and the output"),
    FR_ROW_TIED(tie_word_embeddings),
    FR_ROW_ATTENTION_DROPOUT(attention_dropout),
    FR_ROW_HIDDEN_DROPOUT(hidden_dropout),
    FR_ROW_TOKENS_DROPOUT,
    FR_ROW_BOS,
    FR_ROW_EOS,
    FR_ROW_PAD,
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {
    {"max_position_embeddings", "2048"}, {"bos_token_id", "0"}, {"eos_token_id", "2"}};

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    neox_config *c = config;
    FR_TRY(fr_config_require(json, fr_decoder_required_fields, path, error));
    FR_TRY(fr_config_fill(&fr_model_gptneox.base.options, config, json, absent,
                          sizeof absent / sizeof absent[0], error));
    return fr_rope_config_read(&c->rope, json, false, path, error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    const neox_config *c = config;
    json_object_set_new(json, "model_type", json_string("gpt_neox"));
    FR_TRY(fr_config_write_table(&fr_model_gptneox.base.options, config, json, error));
    return fr_rope_config_write(&c->rope, json, error);
}

/* ---- building ---- */

static fr_status settle(neox_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return fr_fail(error, FR_BAD_INPUT,
                       "model gptneox: vocab_size is not set, and no tokenizer tells it");
    if (c->hidden_size % c->num_attention_heads)
        return fr_fail(error, FR_BAD_INPUT,
                       "model gptneox: num_attention_heads %lld does not divide hidden_size %lld",
                       (long long)c->num_attention_heads, (long long)c->hidden_size);
    if (!c->intermediate_size)
        c->intermediate_size = 4 * c->hidden_size;
    return FR_OK;
}

static void build_layer(fr_builder *b, fr_decoder_layer *layer, const void *config,
                        const fr_decoder *own)
{
    const neox_config *c = config;
    int64_t width = c->hidden_size, inner = c->intermediate_size;
    fr_attention_layer *a = &layer->attention;
    fr_feed_forward_layer *f = &layer->feed_forward;
    fr_builder_norm(b, &layer->attention_norm, "input_layernorm", width, FR_AXIS_HIDDEN);
    fr_builder_norm(b, &layer->feed_forward_norm, "post_attention_layernorm", width,
                    FR_AXIS_HIDDEN);
    a->fused = fr_builder_linear(b, "attention.query_key_value", 3 * width, FR_AXIS_QKV, width,
                                 FR_AXIS_HIDDEN, c->attention_bias, false);
    a->out = fr_builder_linear(b, "attention.dense", width, FR_AXIS_HIDDEN, width, FR_AXIS_HEADS,
                               c->attention_bias, true);
    f->up = fr_builder_linear(b, "mlp.dense_h_to_4h", inner, FR_AXIS_FFN, width, FR_AXIS_HIDDEN,
                              true, false);
    f->down = fr_builder_linear(b, "mlp.dense_4h_to_h", width, FR_AXIS_HIDDEN, inner, FR_AXIS_FFN,
                                true, true);
    a->fused_by_head = true;
    a->heads = a->kv_heads = c->num_attention_heads;
    a->head_dim = width / c->num_attention_heads;
    a->rotary = &own->rotary;
    a->score_dropout = (float)c->attention_dropout;
    a->dropout = f->dropout = (float)c->hidden_dropout;
    f->activation = (fr_activation)c->hidden_act;
    layer->parallel = c->use_parallel_residual;
    fr_decoder_layer_number(layer, (int)b->layer);
}

static void describe(fr_model *model, const neox_config *c)
{
    model->vocabulary = c->vocab_size;
    model->width = c->hidden_size;
    model->layers = c->num_hidden_layers;
    model->heads = model->kv_heads = c->num_attention_heads;
    model->head_dim = c->hidden_size / c->num_attention_heads;
    model->max_positions = c->max_position_embeddings;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
}

static fr_status build(fr_model *model, fr_error *error)
{
    neox_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    const fr_decoder_form form = {.embedding = "gpt_neox.embed_in.weight",
                                  .layers = "gpt_neox.layers.",
                                  .norm = "gpt_neox.final_layer_norm",
                                  .output = c->tie_word_embeddings ? NULL : "embed_out.weight",
                                  .tokens = "classifier",
                                  .std = c->initializer_range,
                                  .eps = c->layer_norm_eps,
                                  .norm_bias = true,
                                  .dropout = c->classifier_dropout,
                                  .layer = build_layer};
    fr_decoder *own = fr_decoder_create(model, &form, error);
    if (!own)
        return error->status;
    own->dropout = (float)c->hidden_dropout;
    FR_TRY(fr_decoder_rotate(model, &c->rope, error));
    return fr_decoder_declare(model, &form, error);
}

/* ---- descriptor ---- */

/* Tables that old files carry: causal masks and frequencies. */
static bool ignores_tensor(const char *name)
{
    static const char *const ends[] = {".attention.bias", ".attention.masked_bias",
                                       ".rotary_emb.inv_freq", NULL};
    return fr_name_ends(name, ends);
}

static const fr_model_class classes[] = {
    {"gpt_neox", "GPTNeoXForCausalLM", FR_TASK_CAUSAL_LM},
    {"gpt_neox", "GPTNeoXModel", FR_TASK_NONE},
    {"gpt_neox", "GPTNeoXForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"gpt_neox", "GPTNeoXForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {0}};
static const char *const model_types[] = {"gpt_neox", NULL};
static const fr_tied_name tied[] = {{"embed_out.weight", "gpt_neox.embed_in.weight"},
                                    {"lm_head.weight", "gpt_neox.embed_in.weight"},
                                    {0}};
static const char *const head_prefixes[] = {"embed_out.", "lm_head.", "score.", "classifier.",
                                            NULL};
static const char *const extra_fields[] = {FR_ROPE_FIELDS, NULL};
static const char *const ignored_fields[] = {"attention_probs_dropout_prob", "hidden_dropout_prob",
                                             NULL};

const fr_model_kind fr_model_gptneox = {
    .base = {"gptneox",
             "decoder with layer norms, rotary positions and parallel residuals: GPT-NeoX, Pythia",
             "arXiv 2204.06745, 2304.01373",
             {"model.gptneox", options, sizeof options / sizeof options[0], sizeof(neox_config),
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
    .prefix = "gpt_neox.",
    .ignores_tensor = ignores_tensor,
    .tied = tied,
    .head_prefixes = head_prefixes,
    .gguf = fr_gguf_gptneox,
};
