/* clip_towers.c: the two towers of CLIP (arXiv 2103.00020, section 2.4): a decoder that reads a text and
   is read off at the token that ends it, and a vision transformer that is read off at its class token. */
#include "models/clip.h"

#include <math.h>

/* ---- configuration: what transformers takes, which is the smallest published model ---- */

static void shared_defaults(clip_shared_config *c, int64_t width, int64_t heads)
{
    c->hidden_size = width;
    c->intermediate_size = 4 * width;
    c->projection_dim = 512;
    c->num_hidden_layers = 12;
    c->num_attention_heads = heads;
    c->hidden_act = FR_ACTIVATION_QUICK_GELU;
    c->layer_norm_eps = 1e-5;
    c->initializer_range = 0.02;
    c->initializer_factor = 1;
}

void clip_text_defaults(clip_text_config *c)
{
    shared_defaults(&c->shared, 512, 8);
    c->max_position_embeddings = 77;
    c->pad_token_id = c->bos_token_id = c->eos_token_id = -1;
}

void clip_vision_defaults(clip_vision_config *c)
{
    shared_defaults(&c->shared, 768, 12);
    c->num_channels = 3;
    c->image_size = 224;
    c->patch_size = 32;
}

/* ---- building ---- */

static fr_status check(const clip_shared_config *c, const char *tower, fr_error *error)
{
    if (c->hidden_size % c->num_attention_heads)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s: num_attention_heads %lld does not divide hidden_size %lld", tower,
                       (long long)c->num_attention_heads, (long long)c->hidden_size);
    return FR_OK;
}

/* Weights into the residual stream are drawn smaller the more layers add to it. */
static void build_layer(fr_builder *b, fr_decoder_layer *layer, const clip_shared_config *c)
{
    const fr_axis wide = FR_AXIS_HIDDEN, heads = FR_AXIS_HEADS, inner = FR_AXIS_FFN;
    int64_t width = c->hidden_size, ffn = c->intermediate_size;
    double usual = c->initializer_factor / sqrt((double)width);
    double deep = usual / sqrt(2.0 * (double)c->num_hidden_layers);
    fr_attention_layer *a = &layer->attention;
    fr_feed_forward_layer *f = &layer->feed_forward;
    fr_builder_norm(b, &layer->attention_norm, "layer_norm1", width, wide);
    b->std = deep;
    a->query = fr_builder_linear(b, "self_attn.q_proj", width, heads, width, wide, true, false);
    a->key = fr_builder_linear(b, "self_attn.k_proj", width, heads, width, wide, true, false);
    a->value = fr_builder_linear(b, "self_attn.v_proj", width, heads, width, wide, true, false);
    b->std = usual;
    a->out = fr_builder_linear(b, "self_attn.out_proj", width, wide, width, heads, true, false);
    fr_builder_norm(b, &layer->feed_forward_norm, "layer_norm2", width, wide);
    b->std = usual / sqrt(2.0);
    f->up = fr_builder_linear(b, "mlp.fc1", ffn, inner, width, wide, true, false);
    b->std = deep;
    f->down = fr_builder_linear(b, "mlp.fc2", width, wide, ffn, inner, true, false);
    a->heads = a->kv_heads = c->num_attention_heads;
    a->head_dim = width / c->num_attention_heads;
    a->score_dropout = (float)c->attention_dropout;
    f->activation = (fr_activation)c->hidden_act;
    fr_decoder_layer_number(layer, (int)b->layer);
}

/* `tower`: what names of its parameters and taps begin with. */
static fr_status build_layers(fr_decoder_layer **layers, fr_model *model,
                              const clip_shared_config *c, const char *tower, fr_error *error)
{
    *layers = fr_alloc_array((size_t)c->num_hidden_layers, sizeof **layers, FR_MEMORY_OTHER);
    char *prefix = fr_format("%sencoder.layers.", tower);
    fr_builder b = {.model = model,
                    .prefix = prefix,
                    .eps = c->layer_norm_eps,
                    .norm_bias = true,
                    .error = error};
    if (!*layers || !prefix)
        b.status = fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    for (; b.layer < c->num_hidden_layers && b.status == FR_OK; b.layer++) {
        fr_decoder_layer *layer = &(*layers)[b.layer];
        build_layer(&b, layer, c);
        layer->attention.tower = layer->feed_forward.tower = tower;
    }
    fr_free(prefix);
    return b.status;
}

static fr_status add(fr_parameter **parameter, fr_model *model, const char *name, int rank,
                     const int64_t *shape, const fr_axis *axes, double std, fr_error *error)
{
    *parameter = fr_model_add_parameter(model, name, rank, shape, axes, false, (float)std, error);
    return *parameter ? FR_OK : error->status;
}

fr_status clip_text_build(clip_text *tower, fr_model *model, const clip_text_config *c,
                          fr_error *error)
{
    const clip_shared_config *s = &c->shared;
    const int64_t words[] = {c->vocab_size, s->hidden_size},
                  places[] = {c->max_position_embeddings, s->hidden_size};
    const fr_axis word_axes[] = {FR_AXIS_VOCAB, FR_AXIS_HIDDEN},
                  place_axes[] = {FR_AXIS_POSITION, FR_AXIS_HIDDEN};
    double std = 0.02 * s->initializer_factor;
    tower->config = c;
    FR_TRY(check(s, "text_config", error));
    if (c->vocab_size < 1 || c->eos_token_id < 0)
        return fr_fail(error, FR_BAD_INPUT, "text_config: %s is not set, and no tokenizer tells it",
                       c->vocab_size < 1 ? "vocab_size" : "eos_token_id");
    FR_TRY(add(&tower->embedding, model, "text_model.embeddings.token_embedding.weight", 2, words,
               word_axes, std, error));
    FR_TRY(add(&tower->positions, model, "text_model.embeddings.position_embedding.weight", 2,
               places, place_axes, std, error));
    FR_TRY(build_layers(&tower->layers, model, s, "text_model.", error));
    return fr_norm_declare(&tower->norm, model, "text_model.final_layer_norm", s->hidden_size,
                           FR_AXIS_HIDDEN, true, s->layer_norm_eps, error);
}

fr_status clip_vision_build(clip_vision *tower, fr_model *model, const clip_vision_config *c,
                            fr_error *error)
{
    const clip_shared_config *s = &c->shared;
    int64_t side = c->image_size / c->patch_size, width = s->hidden_size;
    const int64_t kernel[] = {width, c->num_channels, c->patch_size, c->patch_size},
                  places[] = {side * side + 1, width};
    const fr_axis kernel_axes[] = {FR_AXIS_HIDDEN, FR_AXIS_CHANNELS, FR_AXIS_PATCH, FR_AXIS_PATCH},
                  place_axes[] = {FR_AXIS_POSITION, FR_AXIS_HIDDEN};
    double std = s->initializer_range * s->initializer_factor;
    fr_patch_layer *p = &tower->patches;
    tower->config = c;
    FR_TRY(check(s, "vision_config", error));
    if (!side)
        return fr_fail(error, FR_BAD_INPUT, "vision_config: patch_size is greater than image_size");
    p->height = p->width = c->image_size;
    model->image[0] = c->num_channels;
    model->image[1] = model->image[2] = c->image_size;
    FR_TRY(add(&p->tokens[0], model, "vision_model.embeddings.class_embedding", 1, &width,
               kernel_axes, s->initializer_factor / sqrt((double)width), error));
    FR_TRY(add(&p->weight, model, "vision_model.embeddings.patch_embedding.weight", 4, kernel,
               kernel_axes, std, error));
    FR_TRY(add(&p->positions, model, "vision_model.embeddings.position_embedding.weight", 2, places,
               place_axes, std, error));
    FR_TRY(fr_norm_declare(&tower->before, model, "vision_model.pre_layrnorm", width,
                           FR_AXIS_HIDDEN, true, s->layer_norm_eps, error));
    FR_TRY(build_layers(&tower->layers, model, s, "vision_model.", error));
    for (int64_t i = 0; i < s->num_hidden_layers; i++)
        tower->layers[i].attention.bidirectional = true;
    return fr_norm_declare(&tower->after, model, "vision_model.post_layernorm", width,
                           FR_AXIS_HIDDEN, true, s->layer_norm_eps, error);
}

/* ---- forward ---- */

static fr_tensor *run_layers(fr_decoder_layer *layers, const clip_shared_config *c,
                             const fr_model *model, fr_tape *tape, fr_tensor *x,
                             const fr_step *step)
{
    for (int64_t i = 0; i < c->num_hidden_layers; i++)
        x = fr_decoder_layer_apply(&layers[i], tape, x, step, model->recompute);
    return x;
}

/* Where a text is read off: at the first token `end`, or at the first of all where there is none. The
   first models have 2 there, which ends no text of theirs: their ending id is their greatest. */
static int64_t end_of(const int32_t *ids, int64_t count, int64_t end)
{
    int64_t place = 0;
    for (int64_t t = 0; t < count; t++) {
        if (end == 2 ? ids[t] > ids[place] : ids[t] == end) {
            place = t;
            if (end != 2)
                break;
        }
    }
    return place;
}

/* x (B, T, C), ids (B, T) -> (B, C). */
static fr_tensor *pool(fr_tape *tape, fr_tensor *x, const fr_tensor *ids, int64_t end)
{
    if (!x)
        return NULL;
    int64_t rows = x->shape[0], count = x->shape[1];
    fr_tensor *places = fr_tape_tensor(tape, FR_I32, 1, &rows);
    const int32_t *id = fr_tensor_host(ids);
    int32_t *place = places ? fr_tensor_host(places) : NULL;
    for (int64_t b = 0; place && id && b < rows; b++)
        place[b] = (int32_t)(b * count + end_of(id + b * count, count, end));
    fr_tensor *all = fr_reshape(tape, x, 2, (int64_t[]){rows * count, x->shape[2]});
    return fr_gather(tape, all, places);
}

/* The learned vectors of the places: (B, T, C), or (T, C) for 0..T-1. */
static fr_tensor *places(const clip_text *tower, fr_tape *tape, const fr_batch *batch)
{
    fr_tensor *table = tower->positions->value;
    int64_t count = batch->ids->shape[1];
    if (batch->positions)
        return fr_embedding(tape, table, batch->positions);
    if (count > table->shape[0])
        return fr_tape_fail(tape, FR_BAD_INPUT,
                            "a row of %lld tokens is longer than the model's %lld positions",
                            (long long)count, (long long)table->shape[0]);
    return fr_slice(tape, table, 0, 0, count);
}

clip_seen clip_text_read(const clip_text *tower, fr_model *model, fr_tape *tape,
                         const fr_batch *batch)
{
    const clip_text_config *c = tower->config;
    if (!batch->ids || batch->types || batch->segments) {
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "the model reads ids, without token types and one text a row");
        return (clip_seen){NULL, NULL};
    }
    fr_tensor *x = fr_embedding(tape, tower->embedding->value, batch->ids);
    x = fr_tap(tape, fr_add(tape, x, places(tower, tape, batch)), "text_model.embeddings");
    x = run_layers(tower->layers, &c->shared, model, tape, x,
                   &(fr_step){.lengths = batch->lengths});
    x = fr_tap(tape, fr_norm_apply(&tower->norm, tape, x), "text_model.final_norm");
    return (clip_seen){x, pool(tape, x, batch->ids, c->eos_token_id)};
}

clip_seen clip_vision_see(const clip_vision *tower, fr_model *model, fr_tape *tape,
                          const fr_batch *batch)
{
    fr_tensor *x = fr_patch_apply(&tower->patches, tape, batch->pixels);
    x = fr_tap(tape, fr_norm_apply(&tower->before, tape, x), "vision_model.embeddings");
    x = run_layers(tower->layers, &tower->config->shared, model, tape, x,
                   &(fr_step){.positions = NULL});
    fr_tensor *first = fr_slice(tape, x, 1, 0, 1);
    if (!first)
        return (clip_seen){NULL, NULL};
    first = fr_reshape(tape, first, 2, (int64_t[]){first->shape[0], first->shape[2]});
    return (clip_seen){x, fr_norm_apply(&tower->after, tape, first)};
}
