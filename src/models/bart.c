/* bart.c: BART (arXiv 1910.13461) and mBART (arXiv 2001.08210): encoder and decoder with learned positions, layer norms and biases
   everywhere.

   Two model types are this one file and differ in details:
       bart   norms behind each sum; without decoder ids the decoder reads the source moved to the right
       mbart  norms before each part, and one after the last layer; a moved source begins with its last token, the language

   The table of positions begins with two rows that nothing reads. x (B, T, C). */
#include "models/config_rows.h"
#include "models/seq2seq.h"

#include <math.h>
#include <string.h>

enum { BART, MBART };
static const char *const model_types[] = {"bart", "mbart", NULL};
enum { UNUSED_PLACES = 2 };

/* ---- configuration ---- */

typedef struct bart_config {
    int model_type;
    int64_t vocab_size, d_model, max_position_embeddings;
    int64_t encoder_layers, decoder_layers, encoder_ffn_dim, decoder_ffn_dim;
    int64_t encoder_attention_heads, decoder_attention_heads;
    int activation_function;
    double dropout, attention_dropout, activation_dropout, classifier_dropout, init_std;
    bool scale_embedding, tie_word_embeddings;
    int64_t bos_token_id, eos_token_id, pad_token_id;
    int64_t decoder_start_token_id, forced_bos_token_id, forced_eos_token_id;
} bart_config;

static void defaults(void *options)
{
    bart_config *c = options;
    c->d_model = 256;
    c->max_position_embeddings = 1024;
    c->encoder_layers = c->decoder_layers = 6;
    c->encoder_attention_heads = c->decoder_attention_heads = 4;
    c->activation_function = FR_ACTIVATION_GELU;
    c->init_std = 0.02;
    c->tie_word_embeddings = true;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
    c->decoder_start_token_id = c->forced_bos_token_id = c->forced_eos_token_id = -1;
}

#define AT(field) offsetof(bart_config, field)
static const fr_option options[] = {
    FR_ROW_MODEL_TYPE(model_types),
    FR_ROW_VOCABULARY,
    FR_ROW_WIDTH(d_model),
    {"max_position_embeddings", FR_OPTION_INT, AT(max_position_embeddings), "tokens", 1, INT32_MAX,
     NULL, "positions of each stack"},
    FR_ROW_LAYERS(encoder_layers, "layers of the encoder"),
    FR_ROW_LAYERS(decoder_layers, "layers of the decoder"),
    FR_ROW_INNER(encoder_ffn_dim, "feed-forward width of the encoder; 0: 4 d_model"),
    FR_ROW_INNER(decoder_ffn_dim, "feed-forward width of the decoder; 0: 4 d_model"),
    FR_ROW_HEADS(encoder_attention_heads, "heads of the encoder, a divisor of d_model"),
    FR_ROW_HEADS(decoder_attention_heads, "heads of the decoder, a divisor of d_model"),
    FR_ROW_ACTIVATION(activation_function, "activation of the feed-forward layer"),
    FR_ROW_HIDDEN_DROPOUT(dropout),
    FR_ROW_ATTENTION_DROPOUT(attention_dropout),
    FR_ROW_DROPOUT(activation_dropout, "dropout inside the feed-forward layer"),
    FR_ROW_DROPOUT(classifier_dropout, "dropout around a classifier"),
    FR_ROW_DEVIATION(init_std, ""),
    FR_ROW_FLAG(scale_embedding, "embeddings are multiplied by sqrt(d_model)"),
    FR_ROW_FLAG(tie_word_embeddings, "the embeddings of both stacks and the output matrix are one"),
    FR_ROW_BOS,
    FR_ROW_ID(
        eos_token_id,
        "id that ends a text, where a classifier of texts reads; -1: the tokenizer's, or none"),
    FR_ROW_PAD,
    FR_ROW_START,
    FR_ROW_ID(forced_bos_token_id, "id that the first generated token is; -1: any"),
    FR_ROW_ID(forced_eos_token_id,
              "id that the last token of a text is that reaches its length; -1: any"),
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"vocab_size", "50265"},
                                           {"d_model", "1024"},
                                           {"encoder_layers", "12"},
                                           {"decoder_layers", "12"},
                                           {"encoder_ffn_dim", "4096"},
                                           {"decoder_ffn_dim", "4096"},
                                           {"encoder_attention_heads", "16"},
                                           {"decoder_attention_heads", "16"},
                                           {"dropout", "0.1"},
                                           {"pad_token_id", "1"},
                                           {"bos_token_id", "0"},
                                           {"eos_token_id", "2"},
                                           {"forced_eos_token_id", "2"}};
static const fr_config_default absent_in_bart[] = {{"decoder_start_token_id", "2"}};

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    bart_config *c = config;
    const fr_option_table *table = &fr_model_bart.base.options;
    const char *const drops[] = {"encoder_layerdrop", "decoder_layerdrop"};
    for (int i = 0; i < 2; i++) {
        const json_t *drop = json_object_get(json, drops[i]);
        if (json_is_number(drop) && json_number_value(drop) != 0)
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                              "%s is %g, and leaving out layers in training is not supported",
                              drops[i], json_number_value(drop));
    }
    FR_TRY(fr_config_fill(table, config, json, absent, sizeof absent / sizeof *absent, error));
    return c->model_type == BART ? fr_config_fill(table, config, json, absent_in_bart, 1, error)
                                 : FR_OK;
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    FR_TRY(fr_config_write_table(&fr_model_bart.base.options, config, json, error));
    json_object_set_new(json, "is_encoder_decoder", json_true());
    return FR_OK;
}

/* ---- building ---- */

static fr_status refuse(fr_error *error, const bart_config *c, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model %s: %s", model_types[c->model_type], what);
}

/* Derive what is 0 and check. */
static fr_status settle(bart_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return refuse(error, c, "vocab_size is not set, and no tokenizer tells it");
    if (c->d_model % c->encoder_attention_heads || c->d_model % c->decoder_attention_heads)
        return refuse(error, c, "the number of heads does not divide d_model");
    if (c->pad_token_id >= c->vocab_size)
        return refuse(error, c, "pad_token_id is not in the vocabulary");
    if (!c->encoder_ffn_dim)
        c->encoder_ffn_dim = 4 * c->d_model;
    if (!c->decoder_ffn_dim)
        c->decoder_ffn_dim = 4 * c->d_model;
    return FR_OK;
}

static void describe(fr_model *model, const bart_config *c)
{
    model->vocabulary = c->vocab_size;
    model->width = c->d_model;
    model->layers = c->decoder_layers;
    model->heads = model->kv_heads = c->decoder_attention_heads;
    model->head_dim = c->d_model / c->decoder_attention_heads;
    model->max_positions = c->max_position_embeddings;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
    model->decoder_start = c->decoder_start_token_id;
    model->forced_bos = c->forced_bos_token_id;
    model->forced_eos = c->forced_eos_token_id;
}

static fr_linear_layer *projection(fr_builder *b, const char *attention, const char *name,
                                   fr_axis out_axis, fr_axis in_axis)
{
    char text[64];
    int64_t width = b->model->width;
    snprintf(text, sizeof text, "%s.%s", attention, name);
    return fr_builder_linear(b, text, width, out_axis, width, in_axis, true,
                             in_axis != FR_AXIS_HIDDEN);
}

static void build_attention(fr_builder *b, const char *name, fr_attention_layer *a, int64_t heads,
                            const char *tower)
{
    const bart_config *c = b->model->config;
    const fr_axis hidden = FR_AXIS_HIDDEN;
    a->query = projection(b, name, "q_proj", FR_AXIS_HEADS, hidden);
    a->key = projection(b, name, "k_proj", FR_AXIS_KV_HEADS, hidden);
    a->value = projection(b, name, "v_proj", FR_AXIS_KV_HEADS, hidden);
    a->out = projection(b, name, "out_proj", hidden, FR_AXIS_HEADS);
    a->heads = a->kv_heads = heads;
    a->head_dim = c->d_model / heads;
    a->score_dropout = (float)c->attention_dropout;
    a->dropout = (float)c->dropout;
    a->tower = tower;
}

static void build_feed_forward(fr_builder *b, fr_feed_forward_layer *f, int64_t inner,
                               const char *tower)
{
    const bart_config *c = b->model->config;
    f->up =
        fr_builder_linear(b, "fc1", inner, FR_AXIS_FFN, c->d_model, FR_AXIS_HIDDEN, true, false);
    f->down =
        fr_builder_linear(b, "fc2", c->d_model, FR_AXIS_HIDDEN, inner, FR_AXIS_FFN, true, true);
    f->activation = (fr_activation)c->activation_function;
    f->inner_dropout = (float)c->activation_dropout;
    f->dropout = (float)c->dropout;
    f->tower = tower;
}

static void norm(fr_builder *b, const char *name, fr_norm_layer *layer)
{
    fr_builder_norm(b, layer, name, b->model->width, FR_AXIS_HIDDEN);
}

static fr_status build_encoder_layers(fr_builder b, fr_seq2seq *own)
{
    const bart_config *c = b.model->config;
    static const char tower[] = "encoder.";
    for (; b.layer < c->encoder_layers; b.layer++) {
        fr_encoder_layer *layer = &own->encoder_layers[b.layer];
        build_attention(&b, "self_attn", &layer->attention, c->encoder_attention_heads, tower);
        norm(&b, "self_attn_layer_norm", &layer->attention_norm);
        build_feed_forward(&b, &layer->feed_forward, c->encoder_ffn_dim, tower);
        norm(&b, "final_layer_norm", &layer->feed_forward_norm);
        layer->norm_first = c->model_type == MBART;
        fr_encoder_layer_number(layer, (int)b.layer);
    }
    return b.status;
}

static fr_status build_decoder_layers(fr_builder b, fr_seq2seq *own)
{
    const bart_config *c = b.model->config;
    static const char tower[] = "decoder.";
    for (; b.layer < c->decoder_layers; b.layer++) {
        fr_cross_layer *layer = &own->decoder_layers[b.layer];
        build_attention(&b, "self_attn", &layer->attention, c->decoder_attention_heads, tower);
        norm(&b, "self_attn_layer_norm", &layer->attention_norm);
        build_attention(&b, "encoder_attn", &layer->cross, c->decoder_attention_heads, tower);
        norm(&b, "encoder_attn_layer_norm", &layer->cross_norm);
        build_feed_forward(&b, &layer->feed_forward, c->decoder_ffn_dim, tower);
        norm(&b, "final_layer_norm", &layer->feed_forward_norm);
        layer->norm_first = c->model_type == MBART;
        fr_cross_layer_number(layer, (int)b.layer);
    }
    return b.status;
}

static fr_status stack_norm(fr_model *model, const char *stack, const char *name,
                            fr_norm_layer *layer, fr_error *error)
{
    char full[64];
    snprintf(full, sizeof full, "model.%s.%s", stack, name);
    return fr_norm_declare(layer, model, full, model->width, FR_AXIS_HIDDEN, true, 1e-5, error);
}

/* A table "model.STACK.NAME.weight" (rows, C). */
static fr_status stack_table(fr_parameter **table, fr_model *model, const char *stack,
                             const char *name, int64_t rows, fr_axis axis, fr_error *error)
{
    const bart_config *c = model->config;
    char full[64];
    snprintf(full, sizeof full, "model.%s.%s.weight", stack, name);
    return fr_seq2seq_table(table, model, full, rows, axis, c->d_model, c->init_std, error);
}

static fr_status build_stack(fr_model *model, const char *name, fr_seq2seq_stack *stack,
                             fr_parameter *shared, fr_error *error)
{
    fr_seq2seq *own = model->own;
    const bart_config *c = model->config;
    char prefix[48];
    snprintf(prefix, sizeof prefix, "model.%s.layers.", name);
    stack->embedding = shared;
    if (!c->tie_word_embeddings)
        FR_TRY(stack_table(&stack->embedding, model, name, "embed_tokens", c->vocab_size,
                           FR_AXIS_VOCAB, error));
    FR_TRY(stack_table(&stack->places, model, name, "embed_positions",
                       c->max_position_embeddings + UNUSED_PLACES, FR_AXIS_POSITION, error));
    fr_builder b = {.model = model,
                    .prefix = prefix,
                    .std = c->init_std,
                    .eps = 1e-5,
                    .norm_bias = true,
                    .error = error};
    FR_TRY(stack == &own->encoder ? build_encoder_layers(b, own) : build_decoder_layers(b, own));
    FR_TRY(stack_norm(model, name, "layernorm_embedding", &stack->embedding_norm, error));
    return c->model_type == MBART ? stack_norm(model, name, "layer_norm", &stack->norm, error)
                                  : FR_OK;
}

/* The output matrix, and a bias that is kept as it came: nothing trains it. */
static fr_status build_output(fr_model *model, fr_error *error)
{
    const fr_seq2seq *own = model->own;
    const bart_config *c = model->config;
    if (model->head.task != FR_TASK_SEQ2SEQ_LM)
        return fr_seq2seq_declare_head(model, c->init_std, error);
    model->output_bias =
        fr_model_add_parameter(model, "final_logits_bias", 2, (const int64_t[]){1, c->vocab_size},
                               (const fr_axis[]){FR_AXIS_NONE, FR_AXIS_VOCAB}, false, 0, error);
    if (!model->output_bias)
        return error->status;
    model->output_bias->constant = true;
    model->output_bias->value->requires_grad = false;
    model->output = own->decoder.embedding;
    return c->tie_word_embeddings
               ? FR_OK
               : fr_seq2seq_table(&model->output, model, "lm_head.weight", c->vocab_size,
                                  FR_AXIS_VOCAB, c->d_model, c->init_std, error);
}

static fr_status build(fr_model *model, fr_error *error)
{
    bart_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    fr_seq2seq *own = fr_seq2seq_create(model, c->encoder_layers, error);
    if (!own)
        return error->status;
    own->padding = c->pad_token_id;
    own->place_offset = UNUSED_PLACES;
    own->embedding_scale = c->scale_embedding ? (float)sqrt((double)c->d_model) : 0;
    own->dropout = (float)c->dropout;
    own->classifier_dropout = (float)c->classifier_dropout;
    own->shifts = true;
    own->begins_with_last = c->model_type == MBART;
    fr_parameter *shared;
    FR_TRY(fr_seq2seq_table(&shared, model, "model.shared.weight", c->vocab_size, FR_AXIS_VOCAB,
                            c->d_model, c->init_std, error));
    FR_TRY(build_stack(model, "encoder", &own->encoder, shared, error));
    FR_TRY(build_stack(model, "decoder", &own->decoder, shared, error));
    return build_output(model, error);
}

/* ---- files ---- */

static const char *optional_part(const fr_model *model)
{
    return model->output_bias ? "final_logits_bias" : NULL;
}

static void drop_part(fr_model *model)
{
    model->output_bias = NULL;
}

static bool ignores_tensor(const char *name)
{
    return strstr(name, "encoder.version") || strstr(name, "decoder.version");
}

/* ---- descriptor ---- */

#define CLASSES(type, name)                                                                        \
    {type, name "ForConditionalGeneration", FR_TASK_SEQ2SEQ_LM},                                   \
        {type, name "Model", FR_TASK_NONE},                                                        \
        {type, name "ForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},                 \
    {                                                                                              \
        type, name "ForQuestionAnswering", FR_TASK_QUESTION_ANSWERING                              \
    }
static const fr_model_class classes[] = {CLASSES("bart", "Bart"), CLASSES("mbart", "MBart"), {0}};
static const fr_model_labels labels[] = {{"bart", 3}, {0}};
static const fr_tied_name tied[] = {{"lm_head.weight", "model.shared.weight"},
                                    {"model.encoder.embed_tokens.weight", "model.shared.weight"},
                                    {"model.decoder.embed_tokens.weight", "model.shared.weight"},
                                    {"encoder.embed_tokens.weight", "model.shared.weight"},
                                    {"decoder.embed_tokens.weight", "model.shared.weight"},
                                    {0}};
static const char *const head_prefixes[] = {"lm_head.", "final_logits_bias", "classification_head.",
                                            "qa_outputs.", NULL};
static const char *const extra_fields[] = {"encoder_layerdrop", "decoder_layerdrop", NULL};
static const char *const ignored_fields[] = {
    "is_encoder_decoder", "num_hidden_layers",
    /* switches of the program that trained the first ones, which the model type settles */
    "add_bias_logits", "add_final_layer_norm", "normalize_before", "normalize_embedding",
    "static_position_embeddings", "extra_pos_embeddings", "force_bos_token_to_be_generated",
    "_num_labels", "output_past", NULL};

const fr_model_kind fr_model_bart = {
    .base = {"bart",
             "encoder-decoder with learned positions: BART, mBART",
             "arXiv 1910.13461, 2001.08210",
             {"model.bart", options, sizeof options / sizeof *options, sizeof(bart_config),
              defaults}},
    .model_types = model_types,
    .classes = classes,
    .labels = labels,
    .extra_fields = extra_fields,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = build,
    .hidden = fr_seq2seq_hidden,
    .encode = fr_seq2seq_encode,
    .outputs = fr_seq2seq_outputs,
    .destroy = fr_seq2seq_destroy,
    .prefix = "model.",
    .ignores_tensor = ignores_tensor,
    .tied = tied,
    .optional_part = optional_part,
    .drop_part = drop_part,
    .head_prefixes = head_prefixes,
};
