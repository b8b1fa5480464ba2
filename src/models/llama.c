/* llama.c: the LLaMA family (arXiv 2302.13971): pre-norm decoder with rotary positions, root mean
   square norms, gated feed-forward, grouped key and value heads.

   Four of Hugging Face's model types are this one file and differ in details:
       llama    optional biases of attention and feed-forward
       mistral  a sliding window in every layer
       qwen2    biases of q, k, v; a sliding window from layer max_window_layers on, when asked for
       qwen3    norms of queries and keys per head; windows as qwen2

   x (B, T, C); per layer  h = x + attention(norm(x)),  y = h + feed_forward(norm(h)). */
#include "models/models.h"
#include "nn/nn.h"

#include <string.h>

enum { LLAMA, MISTRAL, QWEN2, QWEN3 };
static const char *const type_names[] = {"llama", "mistral", "qwen2", "qwen3", NULL};
static const fr_model_class classes[] = {{"llama", "LlamaForCausalLM", FR_TASK_CAUSAL_LM},
                                         {"llama", "LlamaModel", FR_TASK_NONE},
                                         {"mistral", "MistralForCausalLM", FR_TASK_CAUSAL_LM},
                                         {"mistral", "MistralModel", FR_TASK_NONE},
                                         {"qwen2", "Qwen2ForCausalLM", FR_TASK_CAUSAL_LM},
                                         {"qwen2", "Qwen2Model", FR_TASK_NONE},
                                         {"qwen3", "Qwen3ForCausalLM", FR_TASK_CAUSAL_LM},
                                         {"qwen3", "Qwen3Model", FR_TASK_NONE},
                                         {0}};

/* ---- configuration ---- */

typedef struct llama_config {
    int model_type;
    int64_t vocab_size, hidden_size, intermediate_size;
    int64_t num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim;
    int64_t max_position_embeddings;
    int hidden_act;
    double rms_norm_eps, initializer_range;
    fr_rope_options rope;
    bool tie_word_embeddings, attention_bias, mlp_bias;
    double attention_dropout;
    bool use_sliding_window;
    int64_t sliding_window, max_window_layers;
    fr_strings layer_types;
    int64_t bos_token_id, eos_token_id, pad_token_id;
} llama_config;

static void defaults(void *options)
{
    llama_config *c = options;
    c->hidden_size = 256;
    c->num_hidden_layers = 6;
    c->num_attention_heads = 4;
    c->max_position_embeddings = 1024;
    c->hidden_act = FR_ACTIVATION_SILU;
    c->rms_norm_eps = 1e-5;
    c->rope =
        (fr_rope_options){.theta = 10000, .factor = 1, .low_frequency = 1, .high_frequency = 4};
    c->initializer_range = 0.02;
    c->tie_word_embeddings = true;
    c->bos_token_id = c->eos_token_id = c->pad_token_id = -1;
}

#define AT(field) offsetof(llama_config, field)
static const fr_option options[] = {
    {"model_type", FR_OPTION_CHOICE, AT(model_type), NULL, 0, 0, type_names,
     "member of the family, by Hugging Face's name"},
    {"vocab_size", FR_OPTION_INT, AT(vocab_size), "tokens", 0, INT32_MAX, NULL,
     "entries of the vocabulary; 0: the tokenizer's"},
    {"hidden_size", FR_OPTION_INT, AT(hidden_size), NULL, 1, 1 << 20, NULL, "width C"},
    {"intermediate_size", FR_OPTION_INT, AT(intermediate_size), NULL, 0, 1 << 22, NULL,
     "feed-forward width F; 0: 8/3 of hidden_size, rounded up to a multiple of 32"},
    {"num_hidden_layers", FR_OPTION_INT, AT(num_hidden_layers), NULL, 1, 1 << 14, NULL, "layers"},
    {"num_attention_heads", FR_OPTION_INT, AT(num_attention_heads), NULL, 1, 1 << 14, NULL,
     "query heads H"},
    {"num_key_value_heads", FR_OPTION_INT, AT(num_key_value_heads), NULL, 0, 1 << 14, NULL,
     "key and value heads, a divisor of the query heads; 0: as many"},
    {"head_dim", FR_OPTION_INT, AT(head_dim), NULL, 0, 1 << 14, NULL,
     "width D of a head, even; 0: hidden_size / num_attention_heads"},
    {"max_position_embeddings", FR_OPTION_INT, AT(max_position_embeddings), "tokens", 1, INT32_MAX,
     NULL, "the context that the model is made for"},
    {"hidden_act", FR_OPTION_CHOICE, AT(hidden_act), NULL, 0, 0, fr_activation_names,
     "activation of the gate"},
    {"rms_norm_eps", FR_OPTION_FLOAT, AT(rms_norm_eps), NULL, 0, 1, NULL,
     "added to the mean square before the root"},
    {"rope_theta", FR_OPTION_FLOAT, AT(rope.theta), NULL, 1, 1e12, NULL,
     "base of the rotary frequencies"},
    {"rope_type", FR_OPTION_CHOICE, AT(rope.type), NULL, 0, 0, fr_rope_type_names,
     "how the frequencies are slowed down for a longer context"},
    {"rope_factor", FR_OPTION_FLOAT, AT(rope.factor), NULL, 1, 1e6, NULL,
     "by how much (linear, llama3)"},
    {"rope_low_freq_factor", FR_OPTION_FLOAT, AT(rope.low_frequency), NULL, 1e-6, 1e6, NULL,
     "waves per original context up to which a frequency is slowed down in full (llama3)"},
    {"rope_high_freq_factor", FR_OPTION_FLOAT, AT(rope.high_frequency), NULL, 1e-6, 1e6, NULL,
     "and from which it is left as it is (llama3)"},
    {"rope_original_context", FR_OPTION_INT, AT(rope.original_context), "tokens", 0, INT32_MAX,
     NULL, "the context before it was stretched (llama3)"},
    {"initializer_range", FR_OPTION_FLOAT, AT(initializer_range), NULL, 0, 1, NULL,
     "standard deviation of new weights; projections into the residual stream get it divided by "
     "sqrt(2 layers)"},
    {"tie_word_embeddings", FR_OPTION_BOOL, AT(tie_word_embeddings), NULL, 0, 0, NULL,
     "the output matrix is the embedding"},
    {"attention_bias", FR_OPTION_BOOL, AT(attention_bias), NULL, 0, 0, NULL,
     "biases of q, k, v and the output (llama, qwen3)"},
    {"mlp_bias", FR_OPTION_BOOL, AT(mlp_bias), NULL, 0, 0, NULL,
     "biases of the feed-forward layer (llama)"},
    {"attention_dropout", FR_OPTION_FLOAT, AT(attention_dropout), NULL, 0, 1, NULL,
     "of attention probabilities: read and written, but training refuses any but 0"},
    {"use_sliding_window", FR_OPTION_BOOL, AT(use_sliding_window), NULL, 0, 0, NULL,
     "turns the window of qwen2 and qwen3 on"},
    {"sliding_window", FR_OPTION_INT, AT(sliding_window), "tokens", 0, INT32_MAX, NULL,
     "keys that a query sees, itself included; 0: all (mistral, qwen2, qwen3)"},
    {"max_window_layers", FR_OPTION_INT, AT(max_window_layers), NULL, 0, 1 << 14, NULL,
     "first layer with a window (qwen2, qwen3)"},
    {"layer_types", FR_OPTION_STRINGS, AT(layer_types), NULL, 0, 0, NULL,
     "full_attention or sliding_attention per layer; empty: by max_window_layers (qwen2, qwen3)"},
    {"bos_token_id", FR_OPTION_INT, AT(bos_token_id), NULL, -1, INT32_MAX, NULL,
     "id that begins a text; -1: the tokenizer's, or none"},
    {"eos_token_id", FR_OPTION_INT, AT(eos_token_id), NULL, -1, INT32_MAX, NULL,
     "id that ends a text; -1: the tokenizer's, or none"},
    {"pad_token_id", FR_OPTION_INT, AT(pad_token_id), NULL, -1, INT32_MAX, NULL,
     "id that fills rows; -1: none"},
};
#undef AT

/* What transformers takes for absent fields, by model type. */
static const fr_config_default absent[][6] = {
    [LLAMA] = {{"max_position_embeddings", "2048"},
               {"bos_token_id", "1"},
               {"eos_token_id", "2"},
               {"sliding_window", "0"},
               {"head_dim", "0"},
               {"num_key_value_heads", "0"}},
    [MISTRAL] = {{"max_position_embeddings", "131072"},
                 {"bos_token_id", "1"},
                 {"eos_token_id", "2"},
                 {"sliding_window", "4096"},
                 {"head_dim", "0"},
                 {"num_key_value_heads", "8"}},
    [QWEN2] = {{"max_position_embeddings", "32768"},
               {"bos_token_id", "-1"},
               {"eos_token_id", "-1"},
               {"sliding_window", "4096"},
               {"max_window_layers", "28"},
               {"num_key_value_heads", "32"}},
    [QWEN3] = {{"max_position_embeddings", "32768"},
               {"eos_token_id", "-1"},
               {"sliding_window", "4096"},
               {"max_window_layers", "28"},
               {"head_dim", "128"},
               {"num_key_value_heads", "32"}},
};
static const fr_config_default absent_in_all[] = {
    {"rms_norm_eps", "1e-6"}, {"tie_word_embeddings", "false"}, {"hidden_act", "silu"}};
static const char *const required[] = {"vocab_size",          "hidden_size",
                                       "intermediate_size",   "num_hidden_layers",
                                       "num_attention_heads", NULL};

/* ---- rotary positions: an object rope_scaling (beside rope_theta), or rope_parameters ---- */

/* Keys of the object and the options that they fill. */
static const fr_config_default rope_keys[] = {
    {"rope_type", "rope_type"},
    {"type", "rope_type"},
    {"rope_theta", "rope_theta"},
    {"factor", "rope_factor"},
    {"low_freq_factor", "rope_low_freq_factor"},
    {"high_freq_factor", "rope_high_freq_factor"},
    {"original_max_position_embeddings", "rope_original_context"},
};
enum { ROPE_KEYS = sizeof rope_keys / sizeof rope_keys[0] };

/* What a type cannot be without; the peer has no defaults for these either. */
static fr_status check_rope_keys(const llama_config *c, const json_t *rope, const char *field,
                                 const char *path, fr_error *error)
{
    static const char *const needed[] = {"factor", "low_freq_factor", "high_freq_factor"};
    int count = c->rope.type == FR_ROPE_LLAMA3 ? 3 : c->rope.type == FR_ROPE_LINEAR ? 1 : 0;
    for (int i = 0; i < count; i++)
        if (!json_is_number(json_object_get(rope, needed[i])))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0, "%s: '%s' is missing", field,
                              needed[i]);
    return FR_OK;
}

static fr_status read_rope(llama_config *c, const json_t *rope, const char *field, const char *path,
                           fr_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)rope, key, value)
    {
        const char *option = NULL;
        for (int i = 0; i < ROPE_KEYS; i++)
            if (strcmp(key, rope_keys[i].name) == 0)
                option = rope_keys[i].value;
        bool whole = strcmp(key, "partial_rotary_factor") == 0 && json_number_value(value) == 1;
        if (!option && !whole && !json_is_null(value))
            return fr_fail_at(error, FR_UNSUPPORTED, path, 0, "%s: '%.64s' is not supported", field,
                              key);
        if (option && !json_is_null(value) &&
            fr_config_set(&fr_model_llama.base.options, c, option, value, path, error) != FR_OK)
            return fr_error_prefix(error, "%s", field);
    }
    return check_rope_keys(c, rope, field, path, error);
}

/* Take the options of the table that are no fields of config.json out, and put the object in. */
static fr_status write_rope(const fr_rope_options *rope, json_t *json, fr_error *error)
{
    json_t *object = json_object();
    for (int i = 0; i < ROPE_KEYS; i++) {
        if (strcmp(rope_keys[i].name, "type") == 0 || strcmp(rope_keys[i].name, "rope_theta") == 0)
            continue;
        bool wanted = rope->type == FR_ROPE_LLAMA3 || i < 4; /* linear: type and factor */
        if (wanted && json_object_set(object, rope_keys[i].name,
                                      json_object_get(json, rope_keys[i].value)) != 0) {
            json_decref(object);
            return fr_fail(error, FR_NO_MEMORY, "cannot write rope_scaling");
        }
        json_object_del(json, rope_keys[i].value);
    }
    if (rope->type == FR_ROPE_DEFAULT)
        json_decref(object);
    else if (json_object_set_new(json, "rope_scaling", object) != 0)
        return fr_fail(error, FR_NO_MEMORY, "cannot write rope_scaling");
    return FR_OK;
}

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    llama_config *c = config;
    const fr_option_table *table = &fr_model_llama.base.options;
    FR_TRY(fr_config_require(json, required, path, error));
    FR_TRY(fr_config_fill(table, config, json, absent[c->model_type], 6, error));
    FR_TRY(fr_config_fill(table, config, json, absent_in_all, 3, error));
    if (c->model_type == QWEN2 || c->model_type == QWEN3) {
        if (!c->use_sliding_window)
            c->sliding_window = 0;
        c->use_sliding_window = c->sliding_window > 0;
    }
    static const char *const ropes[] = {"rope_scaling", "rope_parameters"};
    for (int i = 0; i < 2; i++) {
        const json_t *rope = json_object_get(json, ropes[i]);
        if (rope && !json_is_null(rope) && !json_is_object(rope))
            return fr_fail_at(error, FR_BAD_INPUT, path, 0, "%s is not an object", ropes[i]);
        if (json_is_object(rope))
            FR_TRY(read_rope(c, rope, ropes[i], path, error));
    }
    return FR_OK;
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    const llama_config *c = config;
    FR_TRY(fr_config_write_table(&fr_model_llama.base.options, config, json, error));
    FR_TRY(write_rope(&c->rope, json, error));
    if (!c->sliding_window)
        json_object_set_new(json, "sliding_window", json_null());
    static const char *const windows[] = {"use_sliding_window", "max_window_layers", "layer_types"};
    for (int i = 0; i < 3; i++) /* empty lists were written as null */
        if (c->model_type < QWEN2 || (i == 2 && !c->layer_types.count))
            json_object_del(json, windows[i]);
    if (c->model_type == LLAMA)
        json_object_del(json, "sliding_window");
    if (c->model_type != LLAMA && c->model_type != QWEN3)
        json_object_del(json, "attention_bias");
    if (c->model_type != LLAMA)
        json_object_del(json, "mlp_bias");
    return FR_OK;
}

/* ---- layers ---- */

typedef struct llama {
    fr_parameter *embedding;
    fr_norm_layer norm;
    fr_tensor *inverse_frequency; /* (D/2) */
    fr_decoder_layer *layers;
} llama;

/* ---- forward ---- */

static fr_tensor *hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    const llama *own = model->own;
    const llama_config *c = model->config;
    fr_step step = {.positions = batch->positions, .segments = batch->segments, .cache = cache};
    if (fr_refuse_attention_dropout(tape, c->attention_dropout, "attention_dropout") ||
        (cache && !fr_cache_begin(cache, tape, batch, &step.positions)))
        return NULL;
    fr_tensor *x = fr_embedding(tape, own->embedding->value, batch->ids);
    x = fr_tap(tape, x, "embeddings");
    for (int64_t i = 0; i < model->layers; i++)
        x = fr_decoder_layer_apply(&own->layers[i], tape, x, &step, model->recompute);
    return fr_tap(tape, fr_norm_apply(&own->norm, tape, x), "final_norm");
}

/* ---- building ---- */

static fr_status refuse(fr_error *error, const llama_config *c, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "model %s: %s", type_names[c->model_type], what);
}

/* What a model type has not: such a folder would mean something else to others. */
static fr_status check_type(const llama_config *c, fr_error *error)
{
    bool qwen = c->model_type == QWEN2 || c->model_type == QWEN3;
    if (c->attention_bias && c->model_type != LLAMA && c->model_type != QWEN3)
        return refuse(error, c, "attention_bias is of llama and qwen3 alone");
    if (c->mlp_bias && c->model_type != LLAMA)
        return refuse(error, c, "mlp_bias is of llama alone");
    if (c->sliding_window && c->model_type == LLAMA)
        return refuse(error, c, "there is no sliding_window; take model_type mistral");
    if (!qwen && (c->use_sliding_window || c->max_window_layers || c->layer_types.count))
        return refuse(error, c,
                      "use_sliding_window, max_window_layers and layer_types are of qwen2 and "
                      "qwen3 alone");
    if (qwen && c->use_sliding_window != (c->sliding_window > 0))
        return refuse(error, c, "use_sliding_window and sliding_window need each other");
    return FR_OK;
}

/* Does layer i have the window? Fills nothing in. */
static bool has_window(const llama_config *c, int64_t i)
{
    if (c->layer_types.count)
        return strcmp(c->layer_types.items[i], "sliding_attention") == 0;
    return c->sliding_window > 0 && i >= c->max_window_layers;
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

static fr_status check_rope(const llama_config *c, fr_error *error)
{
    if (c->rope.type != FR_ROPE_LLAMA3)
        return FR_OK;
    if (!c->rope.original_context)
        return refuse(error, c, "rope type llama3 needs the original context");
    if (c->rope.low_frequency >= c->rope.high_frequency)
        return refuse(error, c, "rope: the low frequency factor is not below the high one");
    return FR_OK;
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
    FR_TRY(check_type(c, error));
    FR_TRY(check_rope(c, error));
    return check_layer_types(c, error);
}

static void build_attention(fr_builder *b, fr_attention_layer *a, const llama_config *c,
                            const llama *own)
{
    int64_t queries = c->num_attention_heads * c->head_dim,
            keys = c->num_key_value_heads * c->head_dim;
    bool bias = c->attention_bias || c->model_type == QWEN2;
    a->query = fr_builder_linear(b, "self_attn.q_proj", queries, FR_AXIS_HEADS, c->hidden_size,
                                 FR_AXIS_HIDDEN, bias, false);
    a->key = fr_builder_linear(b, "self_attn.k_proj", keys, FR_AXIS_KV_HEADS, c->hidden_size,
                               FR_AXIS_HIDDEN, bias, false);
    a->value = fr_builder_linear(b, "self_attn.v_proj", keys, FR_AXIS_KV_HEADS, c->hidden_size,
                                 FR_AXIS_HIDDEN, bias, false);
    a->out = fr_builder_linear(b, "self_attn.o_proj", c->hidden_size, FR_AXIS_HIDDEN, queries,
                               FR_AXIS_HEADS, c->attention_bias, true);
    if (c->model_type == QWEN3) {
        fr_builder_norm(b, &a->query_norm, "self_attn.q_norm", c->head_dim, FR_AXIS_HEAD_DIM);
        fr_builder_norm(b, &a->key_norm, "self_attn.k_norm", c->head_dim, FR_AXIS_HEAD_DIM);
    }
    a->inverse_frequency = own->inverse_frequency;
    a->heads = c->num_attention_heads;
    a->kv_heads = c->num_key_value_heads;
    a->head_dim = c->head_dim;
    a->window = has_window(c, b->layer) ? (int)c->sliding_window : 0;
}

static void build_layer(fr_builder *b, fr_decoder_layer *layer, const llama_config *c,
                        const llama *own)
{
    fr_builder_norm(b, &layer->attention_norm, "input_layernorm", c->hidden_size, FR_AXIS_HIDDEN);
    build_attention(b, &layer->attention, c, own);
    fr_builder_norm(b, &layer->feed_forward_norm, "post_attention_layernorm", c->hidden_size,
                    FR_AXIS_HIDDEN);
    fr_feed_forward_layer *f = &layer->feed_forward;
    f->gate = fr_builder_linear(b, "mlp.gate_proj", c->intermediate_size, FR_AXIS_FFN,
                                c->hidden_size, FR_AXIS_HIDDEN, c->mlp_bias, false);
    f->up = fr_builder_linear(b, "mlp.up_proj", c->intermediate_size, FR_AXIS_FFN, c->hidden_size,
                              FR_AXIS_HIDDEN, c->mlp_bias, false);
    f->down = fr_builder_linear(b, "mlp.down_proj", c->hidden_size, FR_AXIS_HIDDEN,
                                c->intermediate_size, FR_AXIS_FFN, c->mlp_bias, true);
    f->activation = (fr_activation)c->hidden_act;
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

static fr_status build(fr_model *model, fr_error *error)
{
    llama_config *c = model->config;
    FR_TRY(settle(c, error));
    describe(model, c);
    llama *own = model->own = fr_alloc(sizeof *own, FR_MEMORY_OTHER);
    if (!own ||
        !(own->layers =
              fr_alloc_array((size_t)c->num_hidden_layers, sizeof *own->layers, FR_MEMORY_OTHER)) ||
        !(own->inverse_frequency = fr_rope_frequencies(c->head_dim, &c->rope)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    const int64_t table[] = {c->vocab_size, c->hidden_size};
    const fr_axis axes[] = {FR_AXIS_VOCAB, FR_AXIS_HIDDEN};
    float std = (float)c->initializer_range;
    own->embedding = fr_model_add_parameter(model, "model.embed_tokens.weight", 2, table, axes,
                                            false, std, error);
    if (!own->embedding)
        return error->status;
    fr_builder b = {.model = model,
                    .prefix = "model.layers.",
                    .std = c->initializer_range,
                    .eps = c->rms_norm_eps,
                    .error = error};
    for (; b.layer < c->num_hidden_layers; b.layer++)
        build_layer(&b, &own->layers[b.layer], c, own);
    FR_TRY(b.status);
    FR_TRY(fr_norm_declare(&own->norm, model, "model.norm", c->hidden_size, FR_AXIS_HIDDEN, false,
                           c->rms_norm_eps, error));
    if (model->head.task == FR_TASK_NONE)
        return FR_OK;
    /* The output matrix is no `matrix`: Muon and decay leave it to the embedding's rule, tied or not. */
    model->output = c->tie_word_embeddings ? own->embedding
                                           : fr_model_add_parameter(model, "lm_head.weight", 2,
                                                                    table, axes, false, std, error);
    return model->output ? FR_OK : error->status;
}

static void destroy(fr_model *model)
{
    llama *own = model->own;
    if (!own)
        return;
    fr_tensor_free(own->inverse_frequency);
    fr_free(own->layers);
    fr_free(own);
}

/* ---- descriptor ---- */

static bool ignores_tensor(const char *name)
{
    return strstr(name, ".rotary_emb.inv_freq") != NULL;
}

static const fr_tied_name tied[] = {{"lm_head.weight", "model.embed_tokens.weight"}, {0}};
static const char *const extra_fields[] = {"rope_scaling", "rope_parameters", NULL};
static const char *const ignored_fields[] = {"pretraining_tp", "is_llama_config", NULL};

const fr_model_kind fr_model_llama = {
    .base = {"llama",
             "decoder with rotary positions and gated feed-forward: LLaMA, Mistral, Qwen2, Qwen3",
             "arXiv 2302.13971, 2310.06825, 2407.10671, 2505.09388",
             {"model.llama", options, sizeof options / sizeof options[0], sizeof(llama_config),
              defaults}},
    .model_types = type_names,
    .classes = classes,
    .extra_fields = extra_fields,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = build,
    .hidden = hidden,
    .destroy = destroy,
    .prefix = "model.",
    .ignores_tensor = ignores_tensor,
    .tied = tied,
};
