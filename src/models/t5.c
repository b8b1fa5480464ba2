/* t5.c: T5 (arXiv 1910.10683) and its version 1.1 (arXiv 2002.05202): an encoder and a decoder with root mean square norms before
   every part, no biases, scores that are not scaled, and a learned number per head for how far a key stands from its query, which
   all layers of a stack share. Version 1.0 feeds forward through relu and multiplies what the tied output matrix reads by
   1 / sqrt(d_model); version 1.1 has gates and an output matrix of its own.

   x (B, T, C); per layer  h = x + attention(norm(x)),  y = h + feed_forward(norm(h)), with attention to the encoder between. */
#include "models/config_rows.h"
#include "models/seq2seq.h"

#include <math.h>
#include <string.h>

/* ---- configuration ---- */

typedef struct t5_config {
    int64_t vocab_size, d_model, d_kv, d_ff, num_layers, num_decoder_layers, num_heads;
    int64_t relative_attention_num_buckets, relative_attention_max_distance;
    int feed_forward_proj;
    double dropout_rate, classifier_dropout, layer_norm_epsilon, initializer_factor;
    bool tie_word_embeddings, scale_decoder_outputs;
    int64_t n_positions;
    int64_t bos_token_id, eos_token_id, pad_token_id, decoder_start_token_id;
} t5_config;

/* The names of feed_forward_proj and what they mean. */
static const char *const projections[] = {
    "relu",       "gelu",           "gelu_new",   "silu",       "tanh", "gated-relu",
    "gated-gelu", "gated-gelu_new", "gated-silu", "gated-tanh", NULL};
static const struct {
    bool gated;
    fr_activation activation;
} projection[] = {
    {false, FR_ACTIVATION_RELU},    {false, FR_ACTIVATION_GELU}, {false, FR_ACTIVATION_GELU_NEW},
    {false, FR_ACTIVATION_SILU},    {false, FR_ACTIVATION_TANH}, {true, FR_ACTIVATION_RELU},
    {true, FR_ACTIVATION_GELU_NEW}, /* transformers' reading of "gated-gelu" */
    {true, FR_ACTIVATION_GELU_NEW}, {true, FR_ACTIVATION_SILU},  {true, FR_ACTIVATION_TANH}};

static void defaults(void *options)
{
    t5_config *c = options;
    c->d_model = 256;
    c->d_kv = 64;
    c->num_layers = 6;
    c->num_heads = 4;
    c->relative_attention_num_buckets = 32;
    c->relative_attention_max_distance = 128;
    c->layer_norm_epsilon = 1e-6;
    c->initializer_factor = 1;
    c->tie_word_embeddings = c->scale_decoder_outputs = true;
    c->n_positions = 512;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = c->decoder_start_token_id = -1;
}

#define AT(field) offsetof(t5_config, field)
static const fr_option options[] = {
    FR_ROW_VOCABULARY,
    FR_ROW_WIDTH(d_model),
    {"d_kv", FR_OPTION_INT, AT(d_kv), NULL, 1, 1 << 14, NULL, "width D of a head"},
    FR_ROW_INNER(d_ff, "feed-forward width F; 0: 4 d_model"),
    FR_ROW_LAYERS(num_layers, "layers of the encoder"),
    {"num_decoder_layers", FR_OPTION_INT, AT(num_decoder_layers), NULL, 0, 1 << 14, NULL,
     "layers of the decoder; 0: as many"},
    FR_ROW_HEADS(num_heads, "heads H"),
    {"relative_attention_num_buckets", FR_OPTION_INT, AT(relative_attention_num_buckets), NULL, 4,
     1 << 16, NULL, "rows of the table of distances, of which the encoder gives half to each side"},
    {"relative_attention_max_distance", FR_OPTION_INT, AT(relative_attention_max_distance),
     "tokens", 1, 1 << 20, NULL, "distance from which on all are one"},
    {"feed_forward_proj", FR_OPTION_CHOICE, AT(feed_forward_proj), NULL, 0, 0, projections,
     "activation of the feed-forward layer, and whether it has a gate"},
    FR_ROW_DROPOUT(dropout_rate, "dropout everywhere"),
    FR_ROW_DROPOUT(classifier_dropout, "dropout around a classifier"),
    FR_ROW_SQUARE_EPS(layer_norm_epsilon),
    {"initializer_factor", FR_OPTION_FLOAT, AT(initializer_factor), NULL, 0, 100, NULL,
     "multiplies the standard deviations of new weights"},
    FR_ROW_TIED(tie_word_embeddings),
    FR_ROW_FLAG(scale_decoder_outputs,
                "what the output matrix reads is multiplied by 1 / sqrt(d_model)"),
    {"n_positions", FR_OPTION_INT, AT(n_positions), "tokens", 1, INT32_MAX, NULL,
     "most tokens that generation makes; a forward pass has no limit"},
    FR_ROW_BOS,
    FR_ROW_EOS,
    FR_ROW_PAD,
    FR_ROW_START,
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {
    {"vocab_size", "32128"}, {"d_model", "512"},    {"d_kv", "64"},
    {"d_ff", "2048"},        {"num_layers", "6"},   {"num_heads", "8"},
    {"dropout_rate", "0.1"}, {"pad_token_id", "0"}, {"eos_token_id", "1"}};

/* dense_act_fn and is_gated_act say again what feed_forward_proj says. */
static fr_status check_repeated(const t5_config *c, const json_t *json, const char *path,
                                fr_error *error)
{
    const char *activation = json_string_value(json_object_get(json, "dense_act_fn"));
    const json_t *gated = json_object_get(json, "is_gated_act");
    if (activation &&
        strcmp(activation, fr_activation_names[projection[c->feed_forward_proj].activation]) != 0)
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "dense_act_fn is '%.32s', and feed_forward_proj says '%s'", activation,
                          projections[c->feed_forward_proj]);
    if (json_is_boolean(gated) && json_is_true(gated) != projection[c->feed_forward_proj].gated)
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "is_gated_act contradicts feed_forward_proj '%s'",
                          projections[c->feed_forward_proj]);
    return FR_OK;
}

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    t5_config *c = config;
    FR_TRY(fr_config_fill(&fr_model_t5.base.options, config, json, absent,
                          sizeof absent / sizeof *absent, error));
    if (!json_is_boolean(json_object_get(json, "scale_decoder_outputs")))
        c->scale_decoder_outputs = c->tie_word_embeddings;
    return check_repeated(c, json, path, error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    FR_TRY(fr_config_write_table(&fr_model_t5.base.options, config, json, error));
    json_object_set_new(json, "is_encoder_decoder", json_true());
    return FR_OK;
}

/* ---- building ---- */

static fr_status refuse(fr_error *error, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model t5: %s", what);
}

/* Derive what is 0 and check. */
static fr_status settle(t5_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return refuse(error, "vocab_size is not set, and no tokenizer tells it");
    if (!c->d_ff)
        c->d_ff = 4 * c->d_model;
    if (!c->num_decoder_layers)
        c->num_decoder_layers = c->num_layers;
    if (c->relative_attention_max_distance <= c->relative_attention_num_buckets / 2)
        return refuse(error, "relative_attention_max_distance must be larger than half of "
                             "relative_attention_num_buckets");
    return FR_OK;
}

static void describe(fr_model *model, const t5_config *c)
{
    model->vocabulary = c->vocab_size;
    model->width = c->d_model;
    model->layers = c->num_decoder_layers;
    model->heads = model->kv_heads = c->num_heads;
    model->head_dim = c->d_kv;
    model->max_positions = c->n_positions;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
    model->decoder_start = c->decoder_start_token_id;
}

/* PREFIX N.layer.PART.NAME */
static fr_linear_layer *linear(fr_builder *b, int part, const char *name, int64_t out,
                               fr_axis out_axis, int64_t in, fr_axis in_axis, double std)
{
    char text[64];
    snprintf(text, sizeof text, "layer.%d.%s", part, name);
    b->std = std * ((const t5_config *)b->model->config)->initializer_factor;
    return fr_builder_linear(b, text, out, out_axis, in, in_axis, false, false);
}

static void norm(fr_builder *b, int part, fr_norm_layer *layer)
{
    char text[64];
    snprintf(text, sizeof text, "layer.%d.layer_norm", part);
    fr_builder_norm(b, layer, text, b->model->width, FR_AXIS_HIDDEN);
}

static void build_attention(fr_builder *b, int part, const char *name, fr_attention_layer *a,
                            const char *tower)
{
    const t5_config *c = b->model->config;
    int64_t inner = c->num_heads * c->d_kv, width = c->d_model;
    const double std = 1 / sqrt((double)width);
    char q[48], k[48], v[48], o[48];
    snprintf(q, sizeof q, "%s.q", name);
    snprintf(k, sizeof k, "%s.k", name);
    snprintf(v, sizeof v, "%s.v", name);
    snprintf(o, sizeof o, "%s.o", name);
    a->query = linear(b, part, q, inner, FR_AXIS_HEADS, width, FR_AXIS_HIDDEN,
                      std / sqrt((double)c->d_kv));
    a->key = linear(b, part, k, inner, FR_AXIS_KV_HEADS, width, FR_AXIS_HIDDEN, std);
    a->value = linear(b, part, v, inner, FR_AXIS_KV_HEADS, width, FR_AXIS_HIDDEN, std);
    a->out =
        linear(b, part, o, width, FR_AXIS_HIDDEN, inner, FR_AXIS_HEADS, 1 / sqrt((double)inner));
    a->heads = a->kv_heads = c->num_heads;
    a->head_dim = c->d_kv;
    a->scale = 1;
    a->score_dropout = a->dropout = (float)c->dropout_rate;
    a->tower = tower;
}

static void build_feed_forward(fr_builder *b, int part, fr_feed_forward_layer *f, const char *tower)
{
    const t5_config *c = b->model->config;
    const double std = 1 / sqrt((double)c->d_model);
    bool gated = projection[c->feed_forward_proj].gated;
    if (gated)
        f->gate = linear(b, part, "DenseReluDense.wi_0", c->d_ff, FR_AXIS_FFN, c->d_model,
                         FR_AXIS_HIDDEN, std);
    f->up = linear(b, part, gated ? "DenseReluDense.wi_1" : "DenseReluDense.wi", c->d_ff,
                   FR_AXIS_FFN, c->d_model, FR_AXIS_HIDDEN, std);
    f->down = linear(b, part, "DenseReluDense.wo", c->d_model, FR_AXIS_HIDDEN, c->d_ff, FR_AXIS_FFN,
                     1 / sqrt((double)c->d_ff));
    f->activation = projection[c->feed_forward_proj].activation;
    f->dropout = f->inner_dropout = (float)c->dropout_rate;
    f->tower = tower;
}

/* The first layer's table of distances. */
static fr_status build_relative(fr_builder *b, fr_relative_layer *relative, bool bidirectional)
{
    const t5_config *c = b->model->config;
    char name[96];
    snprintf(name, sizeof name, "%s0.layer.0.SelfAttention.relative_attention_bias.weight",
             b->prefix);
    *relative = (fr_relative_layer){.buckets = c->relative_attention_num_buckets,
                                    .most_distance = c->relative_attention_max_distance,
                                    .bidirectional = bidirectional};
    relative->table = fr_model_add_parameter(
        b->model, name, 2, (const int64_t[]){c->relative_attention_num_buckets, c->num_heads},
        (const fr_axis[]){FR_AXIS_NONE, FR_AXIS_NONE}, false,
        (float)(c->initializer_factor / sqrt((double)c->d_model)), b->error);
    return relative->table ? FR_OK : b->error->status;
}

static fr_status build_encoder(fr_builder b, fr_seq2seq *own)
{
    const t5_config *c = b.model->config;
    for (; b.layer < c->num_layers; b.layer++) {
        fr_encoder_layer *layer = &own->encoder_layers[b.layer];
        build_attention(&b, 0, "SelfAttention", &layer->attention, "encoder.");
        norm(&b, 0, &layer->attention_norm);
        build_feed_forward(&b, 1, &layer->feed_forward, "encoder.");
        norm(&b, 1, &layer->feed_forward_norm);
        layer->norm_first = true;
        fr_encoder_layer_number(layer, (int)b.layer);
    }
    FR_TRY(b.status);
    return build_relative(&b, &own->encoder.relative, true);
}

static fr_status build_decoder(fr_builder b, fr_seq2seq *own)
{
    for (; b.layer < b.model->layers; b.layer++) {
        fr_cross_layer *layer = &own->decoder_layers[b.layer];
        build_attention(&b, 0, "SelfAttention", &layer->attention, "decoder.");
        norm(&b, 0, &layer->attention_norm);
        build_attention(&b, 1, "EncDecAttention", &layer->cross, "decoder.");
        norm(&b, 1, &layer->cross_norm);
        build_feed_forward(&b, 2, &layer->feed_forward, "decoder.");
        norm(&b, 2, &layer->feed_forward_norm);
        layer->norm_first = true;
        fr_cross_layer_number(layer, (int)b.layer);
    }
    FR_TRY(b.status);
    return build_relative(&b, &own->decoder.relative, false);
}

/* Classes with a classifier of texts or tokens hold a whole model, under a name of its own. */
static const char *body_prefix(const fr_model *model)
{
    fr_task task = model->head.task;
    return task == FR_TASK_SEQUENCE_CLASSIFICATION || task == FR_TASK_TOKEN_CLASSIFICATION
               ? "transformer."
               : "";
}

static fr_status build_stack(fr_model *model, const char *name, fr_error *error)
{
    fr_seq2seq *own = model->own;
    const t5_config *c = model->config;
    char prefix[48], norm_name[64];
    bool encoder = strcmp(name, "encoder") == 0;
    snprintf(prefix, sizeof prefix, "%s%s.block.", body_prefix(model), name);
    snprintf(norm_name, sizeof norm_name, "%s%s.final_layer_norm", body_prefix(model), name);
    fr_builder b = {.model = model, .prefix = prefix, .eps = c->layer_norm_epsilon, .error = error};
    FR_TRY(encoder ? build_encoder(b, own) : build_decoder(b, own));
    return fr_norm_declare(encoder ? &own->encoder.norm : &own->decoder.norm, model, norm_name,
                           c->d_model, FR_AXIS_HIDDEN, false, c->layer_norm_epsilon, error);
}

static fr_status build_output(fr_model *model, fr_error *error)
{
    fr_seq2seq *own = model->own;
    const t5_config *c = model->config;
    if (model->head.task != FR_TASK_SEQ2SEQ_LM)
        return fr_seq2seq_declare_head(model, c->initializer_factor / sqrt((double)c->d_model),
                                       error);
    if (c->scale_decoder_outputs)
        own->output_scale = (float)(1 / sqrt((double)c->d_model));
    model->output = own->decoder.embedding;
    if (c->tie_word_embeddings && c->scale_decoder_outputs)
        return FR_OK;
    return fr_seq2seq_table(&model->output, model, "lm_head.weight", c->vocab_size, FR_AXIS_VOCAB,
                            c->d_model, c->initializer_factor, error);
}

static fr_status build(fr_model *model, fr_error *error)
{
    t5_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    fr_seq2seq *own = fr_seq2seq_create(model, c->num_layers, error);
    if (!own)
        return error->status;
    fr_parameter *shared;
    FR_TRY(fr_seq2seq_table(
        &shared, model, *body_prefix(model) ? "transformer.shared.weight" : "shared.weight",
        c->vocab_size, FR_AXIS_VOCAB, c->d_model, c->initializer_factor, error));
    own->encoder.embedding = own->decoder.embedding = shared;
    own->dropout = own->last_dropout = (float)c->dropout_rate;
    own->classifier_dropout = (float)c->classifier_dropout;
    own->shifts = model->head.task == FR_TASK_SEQUENCE_CLASSIFICATION ||
                  model->head.task == FR_TASK_QUESTION_ANSWERING;
    FR_TRY(build_stack(model, "encoder", error));
    if (!fr_seq2seq_encoder_only(model))
        FR_TRY(build_stack(model, "decoder", error));
    return build_output(model, error);
}

/* ---- files ---- */

/* Files that say so of an output matrix of its own need not have it: then it is the embedding. */
static const char *optional_part(const fr_model *model)
{
    const fr_seq2seq *own = model->own;
    return model->output && model->output != own->decoder.embedding ? "lm_head." : NULL;
}

static void drop_part(fr_model *model)
{
    const fr_seq2seq *own = model->own;
    model->output = own->decoder.embedding;
}

/* Of an encoder alone the folder's decoder is left out; a table of distances to the encoder is never read. */
static bool ignores_tensor(const char *name)
{
    return strstr(name, "EncDecAttention.relative_attention_bias") != NULL;
}

/* ---- descriptor ---- */

static const fr_model_class classes[] = {
    {"t5", "T5ForConditionalGeneration", FR_TASK_SEQ2SEQ_LM},
    {"t5", "T5Model", FR_TASK_NONE},
    {"t5", "T5EncoderModel", FR_TASK_ENCODER},
    {"t5", "T5ForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"t5", "T5ForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"t5", "T5ForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {"t5", "T5WithLMHeadModel", FR_TASK_SEQ2SEQ_LM}, /* its old name */
    {0}};
static const fr_tied_name tied[] = {
    {"lm_head.weight", "shared.weight"},
    {"encoder.embed_tokens.weight", "shared.weight"},
    {"decoder.embed_tokens.weight", "shared.weight"},
    {"transformer.encoder.embed_tokens.weight", "transformer.shared.weight"},
    {"transformer.decoder.embed_tokens.weight", "transformer.shared.weight"},
    {0}};
static const char *const model_types[] = {"t5", NULL};
static const char *const head_prefixes[] = {"lm_head.", "classification_head.", "classifier.",
                                            "qa_outputs.", NULL};
static const char *const extra_fields[] = {"dense_act_fn", "is_gated_act", NULL};
static const char *const ignored_fields[] = {"is_encoder_decoder", /* it is one */
                                             "output_past", NULL};

const fr_model_kind fr_model_t5 = {
    .base = {"t5",
             "encoder-decoder with learned distances: T5",
             "arXiv 1910.10683, 2002.05202",
             {"model.t5", options, sizeof options / sizeof *options, sizeof(t5_config), defaults}},
    .model_types = model_types,
    .classes = classes,
    .extra_fields = extra_fields,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = build,
    .hidden = fr_seq2seq_hidden,
    .encode = fr_seq2seq_encode,
    .features = fr_seq2seq_features,
    .outputs = fr_seq2seq_outputs,
    .destroy = fr_seq2seq_destroy,
    .prefix = "transformer.",
    .ignores_tensor = ignores_tensor,
    .tied = tied,
    .optional_part = optional_part,
    .drop_part = drop_part,
    .head_prefixes = head_prefixes,
};
