/* encoder.c: the body that BERT's relatives share: embeddings of words, places and token types,
   their norm, and layers whose attention sees both sides (arXiv 1810.04805).

   E: width of the embeddings, C of the layers. x (B, T, C). */
#include "models/encoder.h"

#include <math.h>
#include <string.h>

/* ---- configuration ---- */

void fr_encoder_defaults(fr_encoder_config *config, const fr_encoder_family *family)
{
    *config = (fr_encoder_config){.family = family,
                                  .hidden_size = 256,
                                  .num_hidden_layers = 6,
                                  .num_attention_heads = 4,
                                  .max_position_embeddings = 512,
                                  .hidden_act = FR_ACTIVATION_GELU,
                                  .classifier_dropout = -1,
                                  .layer_norm_eps = 1e-12,
                                  .initializer_range = 0.02,
                                  .tie_word_embeddings = true,
                                  .bos_token_id = -1,
                                  .eos_token_id = -1,
                                  .pad_token_id = family->places_from_padding ? 1 : 0};
}

const char *const fr_encoder_extra_fields[] = {"position_embedding_type", NULL};

fr_status fr_encoder_check_fields(const json_t *json, const char *path, fr_error *error)
{
    if (json_is_true(json_object_get(json, "is_decoder")))
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "is_decoder is true: only encoders are supported");
    const char *type = json_string_value(json_object_get(json, "position_embedding_type"));
    if (type && strcmp(type, "absolute") != 0)
        return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                          "position_embedding_type '%.64s' is not supported (known: absolute)",
                          type);
    return FR_OK;
}

fr_status fr_encoder_write_config(const fr_option_table *table, const void *config, json_t *json,
                                  fr_error *error)
{
    const fr_encoder_config *c = config;
    json_object_set_new(json, "model_type", json_string(c->family->model_type));
    FR_TRY(fr_config_write_table(table, config, json, error));
    if (c->classifier_dropout < 0 && json_object_get(json, "classifier_dropout"))
        json_object_set_new(json, "classifier_dropout", json_null());
    return FR_OK;
}

/* ---- forward ---- */

static int64_t padding_of(const fr_encoder_config *c)
{
    return c->family->padding >= 0 ? c->family->padding : c->pad_token_id;
}

static fr_tensor *too_long(fr_tape *tape, int64_t tokens, int64_t most)
{
    return fr_tape_fail(tape, FR_BAD_INPUT,
                        "a row of %lld tokens is longer than the model's %lld positions",
                        (long long)tokens, (long long)most);
}

/* RoBERTa's places: the padding id's own number for padding, and numbers from there on for the other tokens (as they come, or
   by `given`). (B, T) i32. */
static fr_tensor *places_from_padding(const fr_model *model, fr_tape *tape, const fr_tensor *ids,
                                      const fr_tensor *given)
{
    const fr_encoder_config *c = model->config;
    int64_t padding = padding_of(c), rows = ids->shape[0], columns = ids->shape[1];
    fr_tensor *places = fr_tape_tensor(tape, FR_I32, 2, ids->shape);
    int32_t *place = places ? fr_tensor_host(places) : NULL;
    const int32_t *id = fr_tensor_host((fr_tensor *)ids),
                  *own = given ? fr_tensor_host((fr_tensor *)given) : NULL;
    for (int64_t b = 0; b < rows && place; b++)
        for (int64_t t = 0, seen = 0; t < columns; t++) {
            int64_t at = b * columns + t, number = own ? own[at] : seen;
            place[at] = (int32_t)(id[at] == padding ? padding : padding + 1 + number);
            seen += id[at] != padding;
            if (place[at] >= c->max_position_embeddings)
                return too_long(tape, number + 1, model->max_positions);
        }
    return places;
}

/* The learned vectors of the places: (B, T, E), or (T, E) for 0..T-1. */
static fr_tensor *places(const fr_model *model, fr_tape *tape, const fr_batch *batch)
{
    const fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    fr_tensor *table = own->positions->value;
    if (c->family->places_from_padding) {
        fr_tensor *numbers = places_from_padding(model, tape, batch->ids, batch->positions);
        return fr_embedding_padded(tape, table, numbers, padding_of(c));
    }
    if (batch->positions)
        return fr_embedding(tape, table, batch->positions);
    if (batch->ids->shape[1] > model->max_positions)
        return too_long(tape, batch->ids->shape[1], model->max_positions);
    return fr_slice(tape, table, 0, 0, batch->ids->shape[1]);
}

static fr_tensor *token_types(const fr_encoder *own, fr_tape *tape, fr_tensor *types)
{
    fr_tensor *table = own->types->value;
    if (types)
        return fr_embedding(tape, table, types);
    return fr_reshape(tape, fr_slice(tape, table, 0, 0, 1), 1, &table->shape[1]);
}

static fr_tensor *embed(const fr_model *model, fr_tape *tape, const fr_batch *batch)
{
    const fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    fr_tensor *x = fr_embedding_padded(tape, own->words->value, batch->ids, padding_of(c));
    if (own->types)
        x = fr_add(tape, x, token_types(own, tape, batch->types));
    x = fr_add(tape, x, places(model, tape, batch));
    x = fr_dropout(tape, fr_norm_apply(&own->norm, tape, x), (float)c->hidden_dropout);
    if (own->project)
        x = fr_linear_layer_apply(own->project, tape, x);
    return fr_tap(tape, x, "embeddings");
}

bool fr_encoder_refuses(const fr_model *model, fr_tape *tape, const fr_batch *batch,
                        const fr_cache *cache)
{
    const char *name = model->kind->base.name;
    if (!batch->ids)
        fr_tape_fail(tape, FR_WRONG_CALL, "model %s reads ids, and there are none", name);
    else if (cache)
        fr_tape_fail(tape, FR_UNSUPPORTED,
                     "model %s is an encoder: it reads a text as a whole and does not generate",
                     name);
    else if (batch->types && !model->token_types)
        fr_tape_fail(tape, FR_UNSUPPORTED, "model %s has no token types", name);
    else
        return false;
    return true;
}

fr_tensor *fr_encoder_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    const fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    if (fr_encoder_refuses(model, tape, batch, cache))
        return NULL;
    fr_step step = {.segments = batch->segments, .lengths = batch->lengths};
    if (own->relative.table)
        step.relative_bias = fr_relative_bias(&own->relative, tape, batch->ids->shape[1]);
    if (c->family->global_query && !fr_encoder_choose_global(model, tape, batch, &step))
        return NULL;
    fr_tensor *x = embed(model, tape, batch);
    for (int64_t i = 0; i < model->layers; i++)
        x = fr_encoder_layer_apply(&own->layers[i], tape, x, &step, model->recompute);
    return x;
}

/* ---- building ---- */

static fr_status refuse(fr_error *error, const fr_encoder_config *c, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model %s: %s", c->family->model_type, what);
}

static int64_t window_of(const fr_encoder_config *c, int64_t layer)
{
    const fr_floats *windows = &c->attention_window;
    return windows->count == 0   ? 512
           : windows->count == 1 ? (int64_t)windows->items[0]
                                 : (int64_t)windows->items[layer];
}

static fr_status check_windows(const fr_encoder_config *c, fr_error *error)
{
    size_t count = c->attention_window.count;
    if (count > 1 && count != (size_t)c->num_hidden_layers)
        return refuse(error, c, "attention_window must be a number, or one for every layer");
    for (size_t i = 0; i < count; i++) {
        double width = c->attention_window.items[i];
        if (width < 2 || width > 1 << 24 || fmod(width, 2) != 0)
            return refuse(error, c, "attention_window must be even and at least 2");
    }
    return FR_OK;
}

/* Derive what is 0 and check. */
static fr_status settle(fr_encoder_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return refuse(error, c, "vocab_size is not set, and no tokenizer tells it");
    if (c->hidden_size % c->num_attention_heads)
        return refuse(error, c, "the number of heads does not divide the width");
    if (!c->intermediate_size)
        c->intermediate_size = 4 * c->hidden_size;
    if (!c->embedding_size)
        c->embedding_size = c->hidden_size;
    if (c->family->token_types && c->type_vocab_size < 1)
        return refuse(error, c, "type_vocab_size must be at least 1");
    if (padding_of(c) >= c->vocab_size)
        return refuse(error, c, "pad_token_id is not in the vocabulary");
    FR_TRY(check_windows(c, error));
    if (!c->family->places_from_padding)
        return FR_OK;
    if (padding_of(c) < 0)
        return refuse(error, c, "positions count from pad_token_id, and there is none");
    if (padding_of(c) + 1 >= c->max_position_embeddings)
        return refuse(error, c, "max_position_embeddings leaves no positions beside the padding's");
    return FR_OK;
}

static void describe(fr_model *model, const fr_encoder_config *c)
{
    model->vocabulary = c->vocab_size;
    model->width = c->hidden_size;
    model->layers = c->num_hidden_layers;
    model->heads = model->kv_heads = c->num_attention_heads;
    model->head_dim = c->hidden_size / c->num_attention_heads;
    model->token_types = c->family->token_types ? c->type_vocab_size : 0;
    model->max_positions = c->max_position_embeddings;
    if (c->family->places_from_padding)
        model->max_positions -= padding_of(c) + 1;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
}

/* PREFIX embeddings.NAME.weight */
static fr_status declare_table(fr_parameter **table, fr_model *model, const char *name,
                               int64_t rows, fr_axis axis, fr_error *error)
{
    const fr_encoder_config *c = model->config;
    char *full = fr_format("%sembeddings.%s.weight", c->family->prefix, name);
    if (!full)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the name of a parameter");
    *table = fr_model_add_parameter(model, full, 2, (const int64_t[]){rows, c->embedding_size},
                                    (const fr_axis[]){axis, FR_AXIS_HIDDEN}, false,
                                    (float)c->initializer_range, error);
    fr_free(full);
    return *table ? FR_OK : error->status;
}

static fr_status declare_norm(fr_norm_layer *norm, fr_model *model, fr_error *error)
{
    const fr_encoder_config *c = model->config;
    char *full = fr_format("%sembeddings.LayerNorm", c->family->prefix);
    if (!full)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the name of a parameter");
    fr_status status = fr_norm_declare(norm, model, full, c->embedding_size, FR_AXIS_HIDDEN, true,
                                       c->layer_norm_eps, error);
    fr_free(full);
    return status;
}

static fr_status declare_project(fr_encoder *own, fr_model *model, fr_error *error)
{
    const fr_encoder_config *c = model->config;
    if (c->embedding_size == c->hidden_size)
        return FR_OK;
    char *full = fr_format("%sembeddings_project", c->family->prefix);
    if (!full)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the name of a parameter");
    own->project =
        fr_model_add_linear(model, full, c->hidden_size, FR_AXIS_HIDDEN, c->embedding_size,
                            FR_AXIS_HIDDEN, true, (float)c->initializer_range, error);
    fr_free(full);
    return own->project ? FR_OK : error->status;
}

static fr_status declare_embeddings(fr_encoder *own, fr_model *model, fr_error *error)
{
    const fr_encoder_config *c = model->config;
    FR_TRY(
        declare_table(&own->words, model, "word_embeddings", c->vocab_size, FR_AXIS_VOCAB, error));
    FR_TRY(declare_table(&own->positions, model, "position_embeddings", c->max_position_embeddings,
                         FR_AXIS_POSITION, error));
    if (c->family->token_types)
        FR_TRY(declare_table(&own->types, model, "token_type_embeddings", c->type_vocab_size,
                             FR_AXIS_NONE, error));
    FR_TRY(declare_norm(&own->norm, model, error));
    return declare_project(own, model, error);
}

/* MPNet: 32 buckets up to a distance of 128, however many rows the table has. */
static fr_status declare_relative(fr_encoder *own, fr_model *model, fr_error *error)
{
    const fr_encoder_config *c = model->config;
    if (!c->family->relative)
        return FR_OK;
    own->relative = (fr_relative_layer){.buckets = 32, .most_distance = 128, .bidirectional = true};
    if (c->relative_attention_num_buckets < own->relative.buckets)
        return refuse(error, c, "relative_attention_num_buckets must be at least 32");
    own->relative.table = fr_model_add_parameter(
        model, c->family->relative, 2,
        (const int64_t[]){c->relative_attention_num_buckets, c->num_attention_heads},
        (const fr_axis[]){FR_AXIS_NONE, FR_AXIS_NONE}, false, (float)c->initializer_range, error);
    return own->relative.table ? FR_OK : error->status;
}

/* The window of a layer with its global projections, where the family has them. */
static void build_window(fr_builder *b, fr_encoder_layer *layer, const fr_encoder_config *c)
{
    const fr_encoder_family *f = c->family;
    const fr_axis hidden = FR_AXIS_HIDDEN;
    int64_t width = c->hidden_size;
    if (!f->global_query)
        return;
    layer->global = (fr_global_layer){
        fr_builder_linear(b, f->global_query, width, FR_AXIS_HEADS, width, hidden, true, false),
        fr_builder_linear(b, f->global_key, width, FR_AXIS_KV_HEADS, width, hidden, true, false),
        fr_builder_linear(b, f->global_value, width, FR_AXIS_KV_HEADS, width, hidden, true, false)};
    layer->attention.global = &layer->global;
    layer->attention.window = (int)(window_of(c, b->layer) / 2 + 1);
}

static void build_layer(fr_builder *b, fr_encoder_layer *layer, const fr_encoder_config *c)
{
    const fr_encoder_family *f = c->family;
    const fr_axis hidden = FR_AXIS_HIDDEN, heads = FR_AXIS_HEADS;
    int64_t width = c->hidden_size, inner = c->intermediate_size;
    fr_attention_layer *a = &layer->attention;
    a->query = fr_builder_linear(b, f->query, width, heads, width, hidden, true, false);
    a->key = fr_builder_linear(b, f->key, width, FR_AXIS_KV_HEADS, width, hidden, true, false);
    a->value = fr_builder_linear(b, f->value, width, FR_AXIS_KV_HEADS, width, hidden, true, false);
    build_window(b, layer, c);
    a->out = fr_builder_linear(b, f->attention_out, width, hidden, width, heads, true, false);
    fr_builder_norm(b, &layer->attention_norm, f->attention_norm, width, hidden);
    layer->feed_forward.up =
        fr_builder_linear(b, f->up, inner, FR_AXIS_FFN, width, hidden, true, false);
    layer->feed_forward.down =
        fr_builder_linear(b, f->down, width, hidden, inner, FR_AXIS_FFN, true, false);
    fr_builder_norm(b, &layer->feed_forward_norm, f->feed_forward_norm, width, hidden);
    a->heads = a->kv_heads = c->num_attention_heads;
    a->head_dim = width / c->num_attention_heads;
    a->score_dropout = (float)c->attention_dropout;
    a->dropout = layer->feed_forward.dropout = (float)c->hidden_dropout;
    layer->feed_forward.activation = (fr_activation)c->hidden_act;
    fr_encoder_layer_number(layer, (int)b->layer);
}

fr_status fr_encoder_build(fr_model *model, fr_error *error)
{
    fr_encoder_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    fr_encoder *own = model->own = fr_alloc(sizeof *own, FR_MEMORY_OTHER);
    if (!own || !(own->layers = fr_alloc_array((size_t)c->num_hidden_layers, sizeof *own->layers,
                                               FR_MEMORY_OTHER)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    FR_TRY(declare_embeddings(own, model, error));
    fr_builder b = {.model = model,
                    .prefix = c->family->layer,
                    .std = c->initializer_range,
                    .eps = c->layer_norm_eps,
                    .norm_bias = true,
                    .error = error};
    for (; b.layer < c->num_hidden_layers; b.layer++)
        build_layer(&b, &own->layers[b.layer], c);
    FR_TRY(b.status);
    FR_TRY(declare_relative(own, model, error));
    return fr_encoder_build_head(model, error);
}

void fr_encoder_destroy(fr_model *model)
{
    fr_encoder *own = model->own;
    if (own)
        fr_free(own->layers);
    fr_free(own);
}

/* ---- files ---- */

bool fr_encoder_ignores_tensor(const char *name)
{
    static const char *const parts[] = {"position_ids", "pooler.dense.", "cls.seq_relationship."};
    for (int i = 0; i < 3; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

const char *fr_encoder_optional_part(const fr_model *model)
{
    const fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    return model->head.task == FR_TASK_NONE && own->head ? c->family->pooler : NULL;
}

void fr_encoder_drop_part(fr_model *model)
{
    fr_encoder *own = model->own;
    own->head = NULL;
    own->dense = NULL;
}

const char *const fr_encoder_head_prefixes[] = {"cls.",
                                                "lm_head.",
                                                "classifier.",
                                                "pre_classifier.",
                                                "qa_outputs.",
                                                "vocab_",
                                                "generator_",
                                                "discriminator_predictions.",
                                                "sequence_summary.",
                                                "bert.pooler.",
                                                "roberta.pooler.",
                                                "mpnet.pooler.",
                                                "longformer.pooler.",
                                                NULL};
