/* modernbert.c: ModernBERT (arXiv 2412.13663): an encoder whose norms stand before what they feed, with rotary positions, a
   gated feed-forward layer and few biases. Layers see all of the text or a window around each token, as layer_types says, and
   the two kinds have rotary frequencies of their own.

   x (B, T, C); per layer  h = x + attention(norm(x)),  y = h + feed_forward(norm(h)); the first layer reads what the
   embeddings' norm gives as it is. A head is  out(dropout(norm(activation(dense(x))))). */
#include "models/decoder.h"
#include "models/encoder.h"

#include <string.h>

/* ---- configuration ---- */

enum { FULL, SLIDING, LAYER_TYPES };
static const char *const layer_type_names[] = {"full_attention", "sliding_attention"};
static const char *const poolings[] = {"cls", "mean", NULL};

typedef struct modernbert_config {
    int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads;
    int64_t max_position_embeddings, local_attention, global_attn_every_n_layers;
    fr_strings layer_types; /* empty: by global_attn_every_n_layers */
    fr_rope_options rope[LAYER_TYPES];
    int hidden_activation, classifier_activation, classifier_pooling;
    bool norm_bias, attention_bias, mlp_bias, decoder_bias, classifier_bias, tie_word_embeddings;
    double norm_eps, initializer_range;
    double attention_dropout, embedding_dropout, mlp_dropout, classifier_dropout;
    int64_t bos_token_id, eos_token_id, pad_token_id;
} modernbert_config;

static void defaults(void *options)
{
    modernbert_config *c = options;
    c->hidden_size = 256;
    c->num_hidden_layers = 6;
    c->num_attention_heads = 4;
    c->max_position_embeddings = 8192;
    c->local_attention = 128;
    c->global_attn_every_n_layers = 3;
    for (int i = 0; i < LAYER_TYPES; i++)
        fr_rope_defaults(&c->rope[i]);
    c->rope[FULL].theta = 160000;
    c->hidden_activation = c->classifier_activation = FR_ACTIVATION_GELU;
    c->decoder_bias = c->tie_word_embeddings = true;
    c->norm_eps = 1e-5;
    c->initializer_range = 0.02;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
}

#define AT(field) offsetof(modernbert_config, field)
static const fr_option options[] = {
    FR_ROW_VOCABULARY,
    FR_ROW_WIDTH(hidden_size),
    FR_ROW_INNER(intermediate_size, "feed-forward width F; 0: 3/2 of hidden_size"),
    FR_ROW_LAYERS(num_hidden_layers, "layers"),
    FR_ROW_HEADS(num_attention_heads, "heads H, a divisor of hidden_size"),
    FR_ROW_CONTEXT,
    {"local_attention", FR_OPTION_INT, AT(local_attention), "tokens", 0, INT32_MAX, NULL,
     "a window's width: half of it is seen on either side"},
    {"global_attn_every_n_layers", FR_OPTION_INT, AT(global_attn_every_n_layers), "layers", 1,
     1 << 14, NULL, "the first layer and every n-th after it see all of the text"},
    FR_ROW_LAYER_TYPES("by global_attn_every_n_layers"),
    {"global_rope_theta", FR_OPTION_FLOAT, AT(rope[FULL].theta), NULL, 1, 1e12, NULL,
     "base of the rotary frequencies of layers that see all"},
    {"local_rope_theta", FR_OPTION_FLOAT, AT(rope[SLIDING].theta), NULL, 1, 1e12, NULL,
     "base of the rotary frequencies of layers with a window"},
    FR_ROW_ACTIVATION(hidden_activation, "activation of the gate"),
    FR_ROW_VARIANCE_EPS(norm_eps),
    FR_ROW_FLAG(norm_bias, "biases of norms"),
    FR_ROW_FLAG(attention_bias, "biases of attention"),
    FR_ROW_FLAG(mlp_bias, "biases of the feed-forward layer"),
    FR_ROW_FLAG(decoder_bias, "a bias of the output matrix"),
    FR_ROW_FLAG(classifier_bias, "a bias of the head's first matrix"),
    FR_ROW_ACTIVATION(classifier_activation, "activation behind it"),
    {"classifier_pooling", FR_OPTION_CHOICE, AT(classifier_pooling), NULL, 0, 0, poolings,
     "what a classifier of texts reads: the first token's state, or the mean of all"},
    FR_ROW_DROPOUT(attention_dropout,
                   "dropout of attention probabilities and of attention's result"),
    FR_ROW_EMBEDDING_DROPOUT(embedding_dropout),
    FR_ROW_DROPOUT(mlp_dropout, "dropout inside the feed-forward layer"),
    FR_ROW_DROPOUT(classifier_dropout, "dropout before a classifier"),
    FR_ENCODER_OPTION_REST,
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {
    {"vocab_size", "50368"},     {"hidden_size", "768"},        {"intermediate_size", "1152"},
    {"num_hidden_layers", "22"}, {"num_attention_heads", "12"}, {"pad_token_id", "50283"},
    {"eos_token_id", "50282"},   {"bos_token_id", "50281"}};

/* ---- config.json ---- */

static fr_status read_rope(fr_rope_options *rope, const json_t *object, const char *field,
                           const char *path, fr_error *error)
{
    if (json_object_get(object, "short_factor") || json_object_get(object, "long_factor"))
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "%s: rotary positions of type longrope are not supported", field);
    FR_TRY(fr_rope_object_read(rope, object, field, path, error));
    if (rope->part == 1)
        return FR_OK;
    return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                      "%s: 'partial_rotary_factor' other than 1 is not supported", field);
}

/* rope_parameters: an object for each type of layer, whose keys go before the fields beside it; rope_scaling of old files
   is for both. */
static fr_status read_ropes(modernbert_config *c, const json_t *json, const char *path,
                            fr_error *error)
{
    const json_t *objects = json_object_get(json, "rope_parameters"),
                 *both = json_object_get(json, "rope_scaling");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)objects, name, value)
    {
        int type = strcmp(name, layer_type_names[SLIDING]) == 0 ? SLIDING : FULL;
        if (type == FULL && strcmp(name, layer_type_names[FULL]) != 0)
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                              "rope_parameters: '%.64s' is not supported", name);
        if (json_object_size(value))
            FR_TRY(read_rope(&c->rope[type], value, "rope_parameters", path, error));
    }
    for (int i = 0; i < LAYER_TYPES && json_object_size(both); i++)
        FR_TRY(read_rope(&c->rope[i], both, "rope_scaling", path, error));
    return FR_OK;
}

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    FR_TRY(fr_encoder_check_fields(json, path, error));
    FR_TRY(fr_config_fill(&fr_model_modernbert.base.options, config, json, absent,
                          sizeof absent / sizeof *absent, error));
    return read_ropes(config, json, path, error);
}

/* rope_parameters where the two thetas do not say all. */
static fr_status write_ropes(const modernbert_config *c, json_t *json, fr_error *error)
{
    if (c->rope[FULL].type == FR_ROPE_DEFAULT && c->rope[SLIDING].type == FR_ROPE_DEFAULT)
        return FR_OK;
    json_t *objects = json_object();
    fr_status status = FR_OK;
    for (int i = 0; i < LAYER_TYPES && status == FR_OK; i++) {
        json_t *object;
        status = fr_rope_object_write(&c->rope[i], &object, error);
        json_object_set_new(object, "rope_theta", json_real(c->rope[i].theta));
        if (json_object_set_new(objects, layer_type_names[i], object) != 0 && status == FR_OK)
            status = fr_fail(error, FR_NO_MEMORY, "cannot write rope_parameters");
    }
    if (json_object_set_new(json, "rope_parameters", objects) != 0 && status == FR_OK)
        status = fr_fail(error, FR_NO_MEMORY, "cannot write rope_parameters");
    return status;
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    json_object_set_new(json, "model_type", json_string("modernbert"));
    FR_TRY(fr_config_write_table(&fr_model_modernbert.base.options, config, json, error));
    return write_ropes(config, json, error);
}

/* ---- layers ---- */

typedef struct modernbert {
    fr_parameter *words; /* (V, C) */
    fr_norm_layer norm;  /* of the embeddings */
    fr_rotary rotary[LAYER_TYPES];
    fr_encoder_layer *layers;
    int *types; /* FULL or SLIDING of each layer */
    fr_norm_layer final_norm;
    fr_linear_layer *dense; /* of the head; NULL: there is none */
    fr_norm_layer head_norm;
    fr_linear_layer *classifier;
} modernbert;

/* ---- forward ---- */

static fr_tensor *hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    const modernbert *own = model->own;
    const modernbert_config *c = model->config;
    if (fr_encoder_refuses(model, tape, batch, cache))
        return NULL;
    fr_step steps[LAYER_TYPES];
    for (int i = 0; i < LAYER_TYPES; i++) {
        steps[i] = (fr_step){
            .positions = batch->positions, .segments = batch->segments, .lengths = batch->lengths};
        if (!fr_rotary_begin(&own->rotary[i], tape, &steps[i], batch->ids->shape[1], 0))
            return NULL;
    }
    fr_tensor *x = fr_embedding_padded(tape, own->words->value, batch->ids, c->pad_token_id);
    x = fr_dropout(tape, fr_norm_apply(&own->norm, tape, x), (float)c->embedding_dropout);
    x = fr_tap(tape, x, "embeddings");
    for (int64_t i = 0; i < model->layers; i++)
        x = fr_encoder_layer_apply(&own->layers[i], tape, x, &steps[own->types[i]],
                                   model->recompute);
    return fr_tap(tape, fr_norm_apply(&own->final_norm, tape, x), "final_norm");
}

static fr_tensor *features(fr_model *model, fr_tape *tape, fr_tensor *x)
{
    const modernbert *own = model->own;
    const modernbert_config *c = model->config;
    x = fr_linear_layer_apply(own->dense, tape, x);
    x = fr_activate(tape, x, (fr_activation)c->classifier_activation);
    return fr_norm_apply(&own->head_norm, tape, x);
}

static fr_tensor *classify(fr_model *model, fr_tape *tape, fr_tensor *x)
{
    const modernbert *own = model->own;
    const modernbert_config *c = model->config;
    x = fr_dropout(tape, features(model, tape, x), (float)c->classifier_dropout);
    return fr_linear_layer_apply(own->classifier, tape, x);
}

/* One number or vector for each row. */
static fr_tensor *classify_text(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_tensor *x)
{
    const modernbert_config *c = model->config;
    fr_pooling pooling = c->classifier_pooling ? FR_POOLING_MEAN : FR_POOLING_CLS;
    return classify(model, tape, fr_pool(tape, x, batch->lengths, pooling));
}

static void outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *out)
{
    fr_tensor *x = fr_model_hidden(model, tape, batch, NULL);
    switch (model->head.task) {
    case FR_TASK_NONE:
        break;
    case FR_TASK_MASKED_LM:
        fr_outputs_add(out, "logits", fr_model_output(model, tape, x));
        break;
    case FR_TASK_TOKEN_CLASSIFICATION:
        fr_outputs_add(out, "logits", classify(model, tape, x));
        break;
    case FR_TASK_QUESTION_ANSWERING:
        fr_add_answer_logits(tape, out, classify(model, tape, x));
        break;
    case FR_TASK_MULTIPLE_CHOICE:
        fr_outputs_add(out, "logits",
                       fr_choice_logits(tape, batch, classify_text(model, tape, batch, x)));
        break;
    default:
        fr_outputs_add(out, "logits", classify_text(model, tape, batch, x));
    }
    fr_outputs_add(out, "last_hidden_state", x);
}

/* ---- building ---- */

static fr_status refuse(fr_error *error, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model modernbert: %s", what);
}

static fr_status check_layer_types(const modernbert_config *c, fr_error *error)
{
    if (c->layer_types.count && c->layer_types.count != (size_t)c->num_hidden_layers)
        return refuse(error, "layer_types must name every layer");
    for (size_t i = 0; i < c->layer_types.count; i++)
        if (strcmp(c->layer_types.items[i], layer_type_names[FULL]) != 0 &&
            strcmp(c->layer_types.items[i], layer_type_names[SLIDING]) != 0)
            return fr_fail(error, FR_UNSUPPORTED,
                           "layer_types: '%.32s' is not supported (known: full_attention, "
                           "sliding_attention)",
                           c->layer_types.items[i]);
    return FR_OK;
}

/* Derive what is 0 and check. */
static fr_status settle(modernbert_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return refuse(error, "vocab_size is not set, and no tokenizer tells it");
    if (c->hidden_size % c->num_attention_heads)
        return refuse(error, "num_attention_heads does not divide hidden_size");
    if (!c->intermediate_size)
        c->intermediate_size = c->hidden_size + (c->hidden_size + 1) / 2;
    if (c->pad_token_id >= c->vocab_size)
        return refuse(error, "pad_token_id is not in the vocabulary");
    for (int i = 0; i < LAYER_TYPES; i++)
        FR_TRY(fr_rope_check(&c->rope[i], c->hidden_size / c->num_attention_heads,
                             c->max_position_embeddings, error));
    return check_layer_types(c, error);
}

static int layer_type(const modernbert_config *c, int64_t layer)
{
    if (c->layer_types.count)
        return strcmp(c->layer_types.items[layer], layer_type_names[SLIDING]) == 0 ? SLIDING : FULL;
    return layer % c->global_attn_every_n_layers ? SLIDING : FULL;
}

/* A layer norm, with or without a bias. */
static void norm(fr_builder *b, fr_norm_layer *layer, const char *name)
{
    fr_builder_norm(b, layer, name, b->model->width, FR_AXIS_HIDDEN);
    layer->centred = true;
}

static void build_layer(fr_builder *b, modernbert *own, const modernbert_config *c)
{
    const fr_axis hidden_axis = FR_AXIS_HIDDEN;
    fr_encoder_layer *layer = &own->layers[b->layer];
    fr_attention_layer *a = &layer->attention;
    fr_feed_forward_layer *f = &layer->feed_forward;
    int64_t width = c->hidden_size;
    int type = own->types[b->layer] = layer_type(c, b->layer);
    if (b->layer > 0)
        norm(b, &layer->attention_norm, "attn_norm");
    a->fused = fr_builder_linear(b, "attn.Wqkv", 3 * width, FR_AXIS_QKV, width, hidden_axis,
                                 c->attention_bias, false);
    a->out = fr_builder_linear(b, "attn.Wo", width, hidden_axis, width, FR_AXIS_HEADS,
                               c->attention_bias, true);
    norm(b, &layer->feed_forward_norm, "mlp_norm");
    f->fused = fr_builder_linear(b, "mlp.Wi", 2 * c->intermediate_size, FR_AXIS_GATE_UP, width,
                                 hidden_axis, c->mlp_bias, false);
    f->down = fr_builder_linear(b, "mlp.Wo", width, hidden_axis, c->intermediate_size, FR_AXIS_FFN,
                                c->mlp_bias, true);
    a->heads = a->kv_heads = c->num_attention_heads;
    a->head_dim = width / c->num_attention_heads;
    a->rotary = &own->rotary[type];
    a->window = type == SLIDING ? (int)(c->local_attention / 2 + 1) : 0;
    a->score_dropout = a->dropout = (float)c->attention_dropout;
    f->activation = (fr_activation)c->hidden_activation;
    f->inner_dropout = (float)c->mlp_dropout;
    layer->norm_first = true;
    fr_encoder_layer_number(layer, (int)b->layer);
}

static void describe(fr_model *model, const modernbert_config *c)
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

static fr_status declare_norm(fr_norm_layer *layer, fr_model *model, const char *name,
                              fr_error *error)
{
    const modernbert_config *c = model->config;
    layer->centred = true;
    return fr_norm_declare(layer, model, name, c->hidden_size, FR_AXIS_HIDDEN, c->norm_bias,
                           c->norm_eps, error);
}

static fr_status declare_output(fr_model *model, fr_error *error)
{
    const modernbert *own = model->own;
    const modernbert_config *c = model->config;
    const int64_t shape[] = {c->vocab_size, c->hidden_size};
    const fr_axis axes[] = {FR_AXIS_VOCAB, FR_AXIS_HIDDEN};
    model->output = own->words;
    if (!c->tie_word_embeddings)
        model->output = fr_model_add_parameter(model, "decoder.weight", 2, shape, axes, false,
                                               (float)c->initializer_range, error);
    if (model->output && c->decoder_bias &&
        !(model->output_bias =
              fr_model_add_parameter(model, "decoder.bias", 1, shape, axes, false, 0, error)))
        return error->status;
    return model->output ? FR_OK : error->status;
}

static fr_status declare_head(fr_model *model, fr_error *error)
{
    modernbert *own = model->own;
    const modernbert_config *c = model->config;
    int64_t labels = model->head.task == FR_TASK_MULTIPLE_CHOICE      ? 1
                     : model->head.task == FR_TASK_QUESTION_ANSWERING ? 2
                                                                      : model->head.labels;
    float std = (float)c->initializer_range;
    if (model->head.task == FR_TASK_NONE)
        return FR_OK;
    own->dense =
        fr_model_add_linear(model, "head.dense", c->hidden_size, FR_AXIS_HIDDEN, c->hidden_size,
                            FR_AXIS_HIDDEN, c->classifier_bias, std, error);
    if (!own->dense)
        return error->status;
    FR_TRY(declare_norm(&own->head_norm, model, "head.norm", error));
    if (model->head.task == FR_TASK_MASKED_LM)
        return declare_output(model, error);
    own->classifier = fr_model_add_linear(model, "classifier", labels, FR_AXIS_LABELS,
                                          c->hidden_size, FR_AXIS_HIDDEN, true, std, error);
    return own->classifier ? FR_OK : error->status;
}

static fr_status allocate(modernbert *own, const modernbert_config *c, fr_error *error)
{
    size_t layers = (size_t)c->num_hidden_layers;
    if (!own || !(own->layers = fr_alloc_array(layers, sizeof *own->layers, FR_MEMORY_OTHER)) ||
        !(own->types = fr_alloc_array(layers, sizeof *own->types, FR_MEMORY_OTHER)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    for (int i = 0; i < LAYER_TYPES; i++)
        FR_TRY(fr_rotary_create(&own->rotary[i], &c->rope[i],
                                c->hidden_size / c->num_attention_heads, c->max_position_embeddings,
                                error));
    return FR_OK;
}

static fr_status build(fr_model *model, fr_error *error)
{
    modernbert_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    modernbert *own = model->own = fr_alloc(sizeof *own, FR_MEMORY_OTHER);
    FR_TRY(allocate(own, c, error));
    own->words = fr_model_add_parameter(model, "model.embeddings.tok_embeddings.weight", 2,
                                        (const int64_t[]){c->vocab_size, c->hidden_size},
                                        (const fr_axis[]){FR_AXIS_VOCAB, FR_AXIS_HIDDEN}, false,
                                        (float)c->initializer_range, error);
    if (!own->words)
        return error->status;
    FR_TRY(declare_norm(&own->norm, model, "model.embeddings.norm", error));
    fr_builder b = {.model = model,
                    .prefix = "model.layers.",
                    .std = c->initializer_range,
                    .eps = c->norm_eps,
                    .norm_bias = c->norm_bias,
                    .error = error};
    for (; b.layer < c->num_hidden_layers; b.layer++)
        build_layer(&b, own, c);
    FR_TRY(b.status);
    FR_TRY(declare_norm(&own->final_norm, model, "model.final_norm", error));
    return declare_head(model, error);
}

static void destroy(fr_model *model)
{
    modernbert *own = model->own;
    if (!own)
        return;
    for (int i = 0; i < LAYER_TYPES; i++)
        fr_rotary_free(&own->rotary[i]);
    fr_free(own->layers);
    fr_free(own->types);
    fr_free(own);
}

/* ---- descriptor ---- */

static bool ignores_tensor(const char *name)
{
    return strstr(name, "inv_freq") != NULL;
}

static const fr_model_class classes[] = {
    {"modernbert", "ModernBertForMaskedLM", FR_TASK_MASKED_LM},
    {"modernbert", "ModernBertModel", FR_TASK_NONE},
    {"modernbert", "ModernBertForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"modernbert", "ModernBertForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"modernbert", "ModernBertForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"modernbert", "ModernBertForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};
static const fr_tied_name tied[] = {{"decoder.weight", "model.embeddings.tok_embeddings.weight"},
                                    {0}};
static const char *const model_types[] = {"modernbert", NULL};
static const char *const head_prefixes[] = {"head.", "decoder.", "classifier.", NULL};
static const char *const extra_fields[] = {"rope_parameters", "rope_scaling",
                                           "position_embedding_type", NULL};
/* How weights begin, how kernels run, which losses are computed; ids that a tokenizer sets. */
static const char *const ignored_fields[] = {"initializer_cutoff_factor",
                                             "deterministic_flash_attn",
                                             "sparse_prediction",
                                             "sparse_pred_ignore_index",
                                             "reference_compile",
                                             "repad_logits_with_grad",
                                             "cls_token_id",
                                             "layer_norm_eps",
                                             NULL};

const fr_model_kind fr_model_modernbert = {
    .base = {"modernbert",
             "encoder with rotary positions, windows and gated feed-forward: ModernBERT",
             "arXiv 2412.13663",
             {"model.modernbert", options, sizeof options / sizeof *options,
              sizeof(modernbert_config), defaults}},
    .model_types = model_types,
    .classes = classes,
    .extra_fields = extra_fields,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = build,
    .hidden = hidden,
    .features = features,
    .outputs = outputs,
    .destroy = destroy,
    .prefix = "model.",
    .ignores_tensor = ignores_tensor,
    .tied = tied,
    .head_prefixes = head_prefixes,
};
