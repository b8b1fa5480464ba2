/* llama_layers.c: the layers of the LLaMA family (llama.c): what a configuration leaves open is settled, and its parameters
   are declared. */
#include "models/llama.h"

#include <string.h>

/* ---- settling ---- */

static fr_status refuse(fr_error *error, const llama_config *c, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model %s: %s", fr_llama_type_names[c->model_type], what);
}

static bool has_rope(const llama_config *c, int64_t i)
{
    return c->model_type != SMOLLM3 || c->no_rope_layers.items[i] != 0;
}

/* Does layer i have the window? Fills nothing in. */
static bool has_window(const llama_config *c, int64_t i)
{
    if (c->layer_types.count)
        return strcmp(c->layer_types.items[i], "sliding_attention") == 0;
    if (c->model_type == SMOLLM3)
        return c->use_sliding_window && c->sliding_window > 0 && !has_rope(c, i);
    return c->sliding_window > 0 && i >= c->max_window_layers;
}

/* smollm3: which layers have rotary positions. */
static fr_status settle_rope_layers(llama_config *c, fr_error *error)
{
    size_t layers = (size_t)c->num_hidden_layers;
    if (c->model_type != SMOLLM3)
        return FR_OK;
    if (!c->no_rope_layer_interval)
        c->no_rope_layer_interval = 4;
    if (c->no_rope_layers.count)
        return c->no_rope_layers.count >= layers
                   ? FR_OK
                   : refuse(error, c, "no_rope_layers must name every layer");
    c->no_rope_layers.items =
        fr_alloc_array(layers, sizeof *c->no_rope_layers.items, FR_MEMORY_OTHER);
    if (!c->no_rope_layers.items)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    c->no_rope_layers.count = layers;
    for (size_t i = 0; i < layers; i++)
        c->no_rope_layers.items[i] = (i + 1) % (size_t)c->no_rope_layer_interval != 0;
    return FR_OK;
}

static fr_status check_layer_types(const llama_config *c, fr_error *error)
{
    if (c->layer_types.count && c->layer_types.count != (size_t)c->num_hidden_layers)
        return refuse(error, c, "layer_types must name every layer");
    for (size_t i = 0; i < c->layer_types.count; i++) {
        bool sliding = strcmp(c->layer_types.items[i], "sliding_attention") == 0;
        if (!sliding && strcmp(c->layer_types.items[i], "full_attention") != 0)
            return fr_fail(error, FR_UNSUPPORTED,
                           "layer_types: '%.32s' is not supported (known: full_attention, "
                           "sliding_attention)",
                           c->layer_types.items[i]);
        if (sliding && !c->sliding_window)
            return refuse(error, c, "layer_types has sliding_attention without a sliding_window");
    }
    return FR_OK;
}

static fr_status settle_experts(llama_config *c, fr_error *error)
{
    fr_experts_options *o = &c->experts;
    bool mixtral = c->model_type == MIXTRAL;
    if (!fr_llama_has_experts(c->model_type))
        return FR_OK;
    if (!o->count)
        o->count = mixtral ? 8 : 128;
    if (!o->chosen)
        o->chosen = mixtral ? 2 : 8;
    if (!o->interval)
        o->interval = 1;
    if (!o->width && !mixtral)
        o->width = (c->intermediate_size + 7) / 8;
    return o->chosen <= o->count
               ? FR_OK
               : refuse(error, c, "num_experts_per_tok is larger than the number of experts");
}

/* Derive what is 0 and check. */
static fr_status settle(llama_config *c, fr_error *error)
{
    if (c->vocab_size < 1)
        return refuse(error, c, "vocab_size is not set, and no tokenizer tells it");
    if (!c->intermediate_size)
        c->intermediate_size = (c->hidden_size * 8 / 3 + 31) / 32 * 32;
    if (!c->num_key_value_heads)
        c->num_key_value_heads = c->num_attention_heads;
    if (c->num_attention_heads % c->num_key_value_heads)
        return refuse(error, c, "num_key_value_heads does not divide num_attention_heads");
    if (c->hidden_size % c->num_attention_heads && (!c->head_dim || c->model_type == LLAMA))
        return refuse(error, c, "num_attention_heads does not divide hidden_size");
    if (!c->head_dim)
        c->head_dim = c->hidden_size / c->num_attention_heads;
    if (c->head_dim % 2)
        return refuse(error, c, "head_dim must be even for rotary positions");
    FR_TRY(fr_llama_check_fields(c, error));
    FR_TRY(settle_rope_layers(c, error));
    FR_TRY(settle_experts(c, error));
    return check_layer_types(c, error);
}

/* ---- declaring ---- */

static void build_attention(fr_builder *b, fr_attention_layer *a, const llama_config *c,
                            const fr_decoder *own)
{
    int64_t queries = c->num_attention_heads * c->head_dim,
            keys = c->num_key_value_heads * c->head_dim;
    fr_builder_attention(b, a,
                         &(fr_builder_heads){c->hidden_size, c->num_attention_heads,
                                             c->num_key_value_heads, c->head_dim},
                         c->attention_bias || c->model_type == QWEN2, c->attention_bias);
    if (c->model_type == QWEN3 || c->model_type == QWEN3_MOE) {
        fr_builder_norm(b, &a->query_norm, "self_attn.q_norm", c->head_dim, FR_AXIS_HEAD_DIM);
        fr_builder_norm(b, &a->key_norm, "self_attn.k_norm", c->head_dim, FR_AXIS_HEAD_DIM);
    }
    if (c->model_type == OLMO2) {
        fr_builder_norm(b, &a->query_norm, "self_attn.q_norm", queries, FR_AXIS_HEADS);
        fr_builder_norm(b, &a->key_norm, "self_attn.k_norm", keys, FR_AXIS_KV_HEADS);
    }
    a->rotary = has_rope(c, b->layer) ? &own->rotary : NULL;
    a->score_dropout = (float)c->attention_dropout;
    a->window = has_window(c, b->layer) ? (int)c->sliding_window : 0;
}

static bool is_plain(const llama_config *c, int64_t layer)
{
    const fr_experts_options *o = &c->experts;
    if (!fr_llama_has_experts(c->model_type) || (layer + 1) % o->interval != 0)
        return true;
    for (size_t i = 0; i < o->plain_layers.count; i++)
        if (o->plain_layers.items[i] == (double)layer)
            return true;
    return false;
}

static void build_feed_forward(fr_builder *b, fr_feed_forward_layer *f, const llama_config *c)
{
    static const fr_expert_names mixtral = {"block_sparse_moe", "w1", "w3", "w2"},
                                 qwen = {"mlp", "gate_proj", "up_proj", "down_proj"};
    if (!is_plain(c, b->layer)) {
        fr_experts_options o = c->experts;
        if (c->model_type == MIXTRAL) {
            o.width = c->intermediate_size;
            o.normalize = true;
        }
        f->experts = fr_builder_experts(b, c->model_type == MIXTRAL ? &mixtral : &qwen, &o,
                                        (fr_activation)c->hidden_act);
        return;
    }
    fr_builder_gated(b, f, c->hidden_size, c->intermediate_size, c->mlp_bias);
    f->activation = (fr_activation)c->hidden_act;
}

static void build_layer(fr_builder *b, fr_decoder_layer *layer, const void *config,
                        const fr_decoder *own)
{
    const llama_config *c = config;
    bool behind = c->model_type == OLMO2;
    fr_builder_norm(b, behind ? &layer->attention_post_norm : &layer->attention_norm,
                    behind ? "post_attention_layernorm" : "input_layernorm", c->hidden_size,
                    FR_AXIS_HIDDEN);
    build_attention(b, &layer->attention, c, own);
    fr_builder_norm(b, behind ? &layer->feed_forward_post_norm : &layer->feed_forward_norm,
                    behind ? "post_feedforward_layernorm" : "post_attention_layernorm",
                    c->hidden_size, FR_AXIS_HIDDEN);
    build_feed_forward(b, &layer->feed_forward, c);
    fr_decoder_layer_number(layer, (int)b->layer);
}

static void describe(fr_model *model, const llama_config *c)
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
}

fr_status fr_llama_build(fr_model *model, fr_error *error)
{
    llama_config *c = model->config;
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
    own->padding = c->pad_token_id;
    FR_TRY(fr_decoder_rotate(model, &c->rope, error));
    return fr_decoder_declare(model, &form, error);
}
