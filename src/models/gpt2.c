/* gpt2.c: GPT-2 (Radford et al., 2019): pre-norm decoder with learned positions, layer norms, GELU
   and biases everywhere; the output matrix is the embedding.

   Files hold its matrices as (in, out), because its first code said a linear layer as a convolution
   of width one; ours are (out, in) as everywhere else, and are turned on reading and writing.

   x (B, T, C); per layer  h = x + attention(norm(x)),  y = h + feed_forward(norm(h)). */
#include "models/config_rows.h"
#include "models/decoder.h"
#include "models/gguf.h"

#include <math.h>
#include <string.h>

/* ---- configuration ---- */

typedef struct gpt2_config {
    int64_t vocab_size, n_positions, n_embd, n_layer, n_head, n_inner;
    int activation_function;
    double resid_pdrop, embd_pdrop, attn_pdrop, classifier_dropout;
    double layer_norm_epsilon, initializer_range;
    bool scale_attn_weights, scale_attn_by_inverse_layer_idx, tie_word_embeddings;
    int64_t bos_token_id, eos_token_id, pad_token_id;
} gpt2_config;

static void defaults(void *options)
{
    gpt2_config *c = options;
    c->n_positions = 1024;
    c->n_embd = 256;
    c->n_layer = 6;
    c->n_head = 4;
    c->activation_function = FR_ACTIVATION_GELU_NEW;
    c->layer_norm_epsilon = 1e-5;
    c->classifier_dropout = 0.1;
    c->initializer_range = 0.02;
    c->scale_attn_weights = true;
    c->tie_word_embeddings = true;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
}

#define AT(field) offsetof(gpt2_config, field)
static const fr_option options[] = {
    FR_ROW_VOCABULARY,
    FR_ROW_PLACES(n_positions, "learned positions: the longest row that the model reads"),
    FR_ROW_WIDTH(n_embd),
    FR_ROW_LAYERS(n_layer, "layers"),
    FR_ROW_HEADS(n_head, "heads H, a divisor of n_embd"),
    FR_ROW_INNER(n_inner, "feed-forward width F; 0: 4 n_embd"),
    FR_ROW_ACTIVATION(activation_function, "activation of the feed-forward layer"),
    FR_ROW_RESIDUAL_DROPOUT(resid_pdrop),
    FR_ROW_EMBEDDING_DROPOUT(embd_pdrop),
    FR_ROW_ATTENTION_DROPOUT(attn_pdrop),
    FR_ROW_TOKENS_DROPOUT,
    FR_ROW_VARIANCE_EPS(layer_norm_epsilon),
    FR_ROW_DECODER_DEVIATION,
    FR_ROW_FLAG(scale_attn_weights, "divide attention scores by the root of the head's width"),
    FR_ROW_FLAG(scale_attn_by_inverse_layer_idx, "divide them also by the layer's number, from 1"),
    FR_ROW_TIED(tie_word_embeddings),
    FR_ROW_BOS,
    FR_ROW_EOS,
    FR_ROW_PAD,
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"n_positions", "1024"},   {"resid_pdrop", "0.1"},
                                           {"embd_pdrop", "0.1"},     {"attn_pdrop", "0.1"},
                                           {"bos_token_id", "50256"}, {"eos_token_id", "50256"}};
static const char *const required[] = {"vocab_size", "n_embd", "n_layer", "n_head", NULL};

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    FR_TRY(fr_config_require(json, required, path, error));
    return fr_config_fill(&fr_model_gpt2.base.options, config, json, absent,
                          sizeof absent / sizeof absent[0], error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    json_object_set_new(json, "model_type", json_string("gpt2"));
    FR_TRY(fr_config_write_table(&fr_model_gpt2.base.options, config, json, error));
    if (((const gpt2_config *)config)->classifier_dropout == 0.1) /* what everybody takes for it */
        json_object_del(json, "classifier_dropout");
    return FR_OK;
}

/* ---- building ---- */

static fr_status settle(gpt2_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return fr_fail(error, FR_BAD_INPUT,
                       "model gpt2: vocab_size is not set, and no tokenizer tells it");
    if (c->n_embd % c->n_head)
        return fr_fail(error, FR_BAD_INPUT, "model gpt2: n_head %lld does not divide n_embd %lld",
                       (long long)c->n_head, (long long)c->n_embd);
    if (!c->n_inner)
        c->n_inner = 4 * c->n_embd;
    return FR_OK;
}

static float score_scale(const gpt2_config *c, int64_t layer)
{
    double scale = c->scale_attn_weights ? 1 / sqrt((double)c->n_embd / (double)c->n_head) : 1;
    return (float)(c->scale_attn_by_inverse_layer_idx ? scale / (double)(layer + 1) : scale);
}

static void build_layer(fr_builder *b, fr_decoder_layer *layer, const void *config,
                        const fr_decoder *own)
{
    (void)own;
    const gpt2_config *c = config;
    const fr_axis hidden_axis = FR_AXIS_HIDDEN;
    int64_t width = c->n_embd;
    fr_attention_layer *a = &layer->attention;
    fr_feed_forward_layer *f = &layer->feed_forward;
    fr_builder_norm(b, &layer->attention_norm, "ln_1", width, hidden_axis);
    a->fused = fr_builder_linear(b, "attn.c_attn", 3 * width, FR_AXIS_QKV, width, hidden_axis, true,
                                 false);
    a->out =
        fr_builder_linear(b, "attn.c_proj", width, hidden_axis, width, FR_AXIS_HEADS, true, true);
    fr_builder_norm(b, &layer->feed_forward_norm, "ln_2", width, hidden_axis);
    f->up =
        fr_builder_linear(b, "mlp.c_fc", c->n_inner, FR_AXIS_FFN, width, hidden_axis, true, false);
    f->down =
        fr_builder_linear(b, "mlp.c_proj", width, hidden_axis, c->n_inner, FR_AXIS_FFN, true, true);
    a->heads = a->kv_heads = c->n_head;
    a->head_dim = width / c->n_head;
    a->score_dropout = (float)c->attn_pdrop;
    a->scale = score_scale(c, b->layer);
    f->activation = (fr_activation)c->activation_function;
    a->dropout = f->dropout = (float)c->resid_pdrop;
    fr_decoder_layer_number(layer, (int)b->layer);
}

static void describe(fr_model *model, const gpt2_config *c)
{
    model->vocabulary = c->vocab_size;
    model->width = c->n_embd;
    model->layers = c->n_layer;
    model->heads = model->kv_heads = c->n_head;
    model->head_dim = c->n_embd / c->n_head;
    model->max_positions = c->n_positions;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
}

static fr_status build(fr_model *model, fr_error *error)
{
    gpt2_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    const fr_decoder_form form = {.embedding = "transformer.wte.weight",
                                  .layers = "transformer.h.",
                                  .norm = "transformer.ln_f",
                                  .output = c->tie_word_embeddings ? NULL : "lm_head.weight",
                                  .tokens = "classifier",
                                  .std = c->initializer_range,
                                  .eps = c->layer_norm_epsilon,
                                  .norm_bias = true,
                                  .dropout = c->classifier_dropout,
                                  .layer = build_layer};
    fr_decoder *own = fr_decoder_create(model, &form, error);
    if (!own)
        return error->status;
    own->dropout = (float)c->embd_pdrop;
    own->places = fr_model_add_parameter(model, "transformer.wpe.weight", 2,
                                         (const int64_t[]){c->n_positions, c->n_embd},
                                         (const fr_axis[]){FR_AXIS_POSITION, FR_AXIS_HIDDEN}, false,
                                         (float)c->initializer_range, error);
    if (!own->places)
        return error->status;
    return fr_decoder_declare(model, &form, error);
}

/* ---- descriptor ---- */

static bool stored_transposed(const fr_parameter *parameter)
{
    return parameter->matrix && strncmp(parameter->name, "transformer.", 12) == 0;
}

/* Causal masks that old files carry: h.0.attn.bias, h.0.attn.masked_bias. */
static bool ignores_tensor(const char *name)
{
    static const char *const ends[] = {".attn.bias", ".attn.masked_bias", NULL};
    return fr_name_ends(name, ends);
}

static const fr_model_class classes[] = {
    {"gpt2", "GPT2LMHeadModel", FR_TASK_CAUSAL_LM},
    {"gpt2", "GPT2Model", FR_TASK_NONE},
    {"gpt2", "GPT2ForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"gpt2", "GPT2ForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {0}};
static const char *const head_prefixes[] = {"lm_head.", "score.", "classifier.", NULL};
static const fr_tied_name tied[] = {{"lm_head.weight", "transformer.wte.weight"}, {0}};
static const char *const model_types[] = {"gpt2", NULL};
static const char *const ignored_fields[] = {"n_ctx",
                                             "reorder_and_upcast_attn",
                                             "summary_type",
                                             "summary_use_proj",
                                             "summary_activation",
                                             "summary_proj_to_labels",
                                             "summary_first_dropout",
                                             NULL};

const fr_model_kind fr_model_gpt2 = {
    .base = {"gpt2",
             "decoder with learned positions, layer norms and GELU: GPT-2",
             "Radford et al., Language Models are Unsupervised Multitask Learners, 2019",
             {"model.gpt2", options, sizeof options / sizeof options[0], sizeof(gpt2_config),
              defaults}},
    .model_types = model_types,
    .classes = classes,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = build,
    .hidden = fr_decoder_hidden,
    .outputs = fr_decoder_outputs,
    .destroy = fr_decoder_destroy,
    .prefix = "transformer.",
    .stored_transposed = stored_transposed,
    .ignores_tensor = ignores_tensor,
    .tied = tied,
    .head_prefixes = head_prefixes,
    .gguf = fr_gguf_gpt2,
};
