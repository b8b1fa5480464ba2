/* model.c: what all models share: their parameters in the order of declaration, their weights'
   first values, gradients, state, and the calls that lead into a kind. */
#include "frugal/formats.h"
#include "models/models.h"
#include "nn/nn.h"

#include <string.h>

#define ENTRY(name) &fr_model_##name.base,
static const fr_kind *const kinds[] = {FR_MODEL_KINDS(ENTRY) NULL};
#undef ENTRY
const fr_registry fr_models = {"model", "architecture families", kinds};

/* ---- declaring ---- */

/* A list of pointers with room for one more than `count`: it doubles at powers of two. NULL: no
   memory. */
static void *reserve(void *list, size_t count)
{
    if (count && (count & (count - 1)))
        return list;
    return fr_realloc(list, (count ? 2 * count : 1) * sizeof(void *), FR_MEMORY_OTHER);
}

static fr_parameter *no_memory(fr_error *error, const char *name)
{
    fr_fail(error, FR_NO_MEMORY, "no memory for parameter %s", name);
    return NULL;
}

static void parameter_destroy(fr_parameter *parameter)
{
    if (!parameter)
        return;
    if (parameter->value) {
        fr_tensor_free(parameter->value->grad);
        parameter->value->grad = NULL;
        fr_tensor_free(parameter->value);
    }
    fr_free(parameter->name);
    fr_free(parameter);
}

fr_parameter *fr_model_add_parameter(fr_model *model, const char *name, int rank,
                                     const int64_t *shape, const fr_axis *axes, bool matrix,
                                     float init_std, fr_error *error)
{
    fr_parameter **list = reserve(model->parameters, model->parameter_count);
    if (!list)
        return no_memory(error, name);
    model->parameters = list;
    fr_parameter *parameter = fr_alloc(sizeof *parameter, FR_MEMORY_OTHER);
    if (!parameter)
        return no_memory(error, name);
    parameter->name = fr_string_copy(name);
    parameter->value = model->shapes_only
                           ? fr_tensor_create_shape(FR_F32, rank, shape)
                           : fr_tensor_create(FR_F32, rank, shape, FR_MEMORY_WEIGHTS);
    if (!parameter->name || !parameter->value) {
        parameter_destroy(parameter);
        return no_memory(error, name);
    }
    parameter->value->requires_grad = true;
    if (rank) /* a single number has no axes */
        memcpy(parameter->axes, axes, (size_t)rank * sizeof *axes);
    parameter->matrix = matrix;
    parameter->init_std = init_std;
    model->parameters[model->parameter_count++] = parameter;
    return parameter;
}

/* NAME.SUFFIX as a parameter. */
static fr_parameter *add_named(fr_model *model, const char *name, const char *suffix, int rank,
                               const int64_t *shape, const fr_axis *axes, float init_std,
                               fr_error *error)
{
    char *full = fr_format("%s.%s", name, suffix);
    if (!full)
        return no_memory(error, name);
    fr_parameter *parameter =
        fr_model_add_parameter(model, full, rank, shape, axes, rank == 2, init_std, error);
    fr_free(full);
    return parameter;
}

fr_linear_layer *fr_model_add_linear(fr_model *model, const char *name, int64_t out,
                                     fr_axis out_axis, int64_t in, fr_axis in_axis, bool bias,
                                     float init_std, fr_error *error)
{
    fr_parameter *matrix = add_named(model, name, "weight", 2, (const int64_t[]){out, in},
                                     (const fr_axis[]){out_axis, in_axis}, init_std, error);
    if (!matrix)
        return NULL;
    fr_linear_layer **list = reserve(model->linears, model->linear_count);
    if (list)
        model->linears = list;
    fr_linear_layer *layer = fr_alloc(sizeof *layer, FR_MEMORY_OTHER);
    if (!list || !layer || !(layer->name = fr_string_copy(name)) ||
        !(layer->weight = fr_dense_create(matrix))) {
        fr_linear_layer_destroy(layer);
        no_memory(error, name);
        return NULL;
    }
    model->linears[model->linear_count++] = layer; /* the model's from here on */
    if (bias && !(layer->bias = add_named(model, name, "bias", 1, &out, &out_axis, 0, error)))
        return NULL;
    return layer;
}

fr_parameter *fr_model_parameter(const fr_model *model, const char *name)
{
    for (size_t i = 0; i < model->parameter_count; i++)
        if (strcmp(model->parameters[i]->name, name) == 0)
            return model->parameters[i];
    return NULL;
}

void fr_model_drop(fr_model *model, const char *prefix)
{
    size_t length = strlen(prefix), kept = 0;
    for (size_t i = 0; i < model->linear_count; i++)
        if (strncmp(model->linears[i]->name, prefix, length) == 0)
            fr_linear_layer_destroy(model->linears[i]);
        else
            model->linears[kept++] = model->linears[i];
    model->linear_count = kept;
    kept = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        if (strncmp(model->parameters[i]->name, prefix, length) == 0)
            parameter_destroy(model->parameters[i]);
        else
            model->parameters[kept++] = model->parameters[i];
    model->parameter_count = kept;
}

int64_t fr_model_parameter_total(const fr_model *model)
{
    int64_t total = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        total += fr_tensor_count(model->parameters[i]->value);
    return total;
}

/* ---- creating ---- */

fr_status fr_model_build(fr_model **out, const fr_model_kind *kind, const void *config,
                         const fr_model_head *head, bool shapes_only, fr_error *error)
{
    *out = NULL;
    fr_error own = {0};
    fr_error *place = error ? error : &own; /* builders pass statuses through it */
    fr_model *model = fr_alloc(sizeof *model, FR_MEMORY_OTHER);
    if (!model)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    model->kind = kind;
    model->shapes_only = shapes_only;
    model->eos = model->bos = model->pad = model->decoder_start = -1;
    model->forced_bos = model->forced_eos = -1;
    model->config = fr_config_copy(&kind->base.options, config);
    fr_status status = model->config ? fr_model_head_settle(&model->head, kind, config, head, place)
                                     : fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    if (status == FR_OK)
        status = kind->build(model, place);
    if (status != FR_OK) {
        fr_model_destroy(model);
        return status;
    }
    if (model->eos >= 0)
        model->end_ids[model->end_count++] = model->eos;
    *out = model;
    return FR_OK;
}

void fr_model_draw(const fr_model *model, uint64_t seed, size_t number)
{
    fr_parameter *parameter = model->parameters[number];
    float *values = fr_tensor_host(parameter->value);
    int64_t count = fr_tensor_count(parameter->value);
    if (parameter->init_std > 0)
        fr_random_fill_normal(values, count, parameter->init_std, seed, FR_RANDOM_INIT, number);
    else
        for (int64_t i = 0; i < count; i++)
            values[i] = -parameter->init_std;
}

fr_status fr_model_create_as(fr_model **model, const fr_model_kind *kind, const void *config,
                             const fr_model_head *head, uint64_t seed, bool shapes_only,
                             fr_error *error)
{
    FR_TRY(fr_model_build(model, kind, config, head, shapes_only, error));
    for (size_t i = 0; i < (*model)->parameter_count && !shapes_only; i++)
        fr_model_draw(*model, seed, i);
    return FR_OK;
}

fr_status fr_model_create(fr_model **model, const fr_model_kind *kind, const void *config,
                          uint64_t seed, bool shapes_only, fr_error *error)
{
    return fr_model_create_as(model, kind, config, NULL, seed, shapes_only, error);
}

void fr_model_destroy(fr_model *model)
{
    if (!model)
        return;
    model->kind->destroy(model);
    for (size_t i = 0; i < model->linear_count; i++)
        fr_linear_layer_destroy(model->linears[i]);
    fr_free(model->linears);
    for (size_t i = 0; i < model->parameter_count; i++)
        parameter_destroy(model->parameters[i]);
    fr_free(model->parameters);
    fr_model_config_free(model->kind, model->config);
    fr_model_head_free(&model->head);
    if (model->sentence)
        fr_sentence_free(model->sentence);
    fr_free(model->sentence);
    fr_free(model->generation);
    json_decref(model->kept);
    fr_gguf_close(model->mapped);
    fr_free(model);
}

/* ---- gradients and state ---- */

fr_status fr_model_create_gradients(fr_model *model, fr_error *error)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        fr_tensor *value = model->parameters[i]->value;
        if (!value->requires_grad || value->grad)
            continue;
        value->grad = model->shapes_only ? fr_tensor_create_shape(FR_F32, value->rank, value->shape)
                                         : fr_tensor_create(FR_F32, value->rank, value->shape,
                                                            FR_MEMORY_GRADIENTS);
        if (!value->grad)
            return fr_fail(error, FR_NO_MEMORY, "no memory for the gradient of %s",
                           model->parameters[i]->name);
    }
    fr_model_zero_gradients(model);
    return FR_OK;
}

void fr_model_zero_gradients(fr_model *model)
{
    for (size_t i = 0; i < model->parameter_count && !model->shapes_only; i++) {
        fr_tensor *gradient = model->parameters[i]->value->grad;
        if (gradient)
            memset(fr_tensor_host(gradient), 0, fr_tensor_bytes(gradient));
    }
}

fr_status fr_model_state(fr_model *model, fr_state *state, fr_error *error)
{
    for (size_t i = 0; i < model->parameter_count; i++)
        FR_TRY(fr_state_tensor(state, model->parameters[i]->value, error, "model.%s",
                               model->parameters[i]->name));
    return FR_OK;
}

/* ---- forward ---- */

/* What there is has the shape that every model expects. */
static bool check_batch(const fr_model *model, fr_tape *tape, const fr_batch *batch)
{
    const struct {
        const fr_tensor *tensor;
        int rank;
        fr_dtype dtype;
        const char *what;
    } parts[] = {{batch->ids, 2, FR_I32, "ids (B, T) i32"},
                 {batch->types, 2, FR_I32, "token types (B, T) i32"},
                 {batch->lengths, 1, FR_I32, "lengths (B) i32"},
                 {batch->decoder_ids, 2, FR_I32, "decoder ids (B, U) i32"},
                 {batch->pixels, 4, FR_F32, "pixels (B, channels, height, width) f32"}};
    if (!batch->ids && !batch->pixels && !(model->kind->encode && batch->decoder_ids)) {
        fr_tape_fail(tape, FR_WRONG_CALL, "a model reads ids or pixels, and there are none");
        return false;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].tensor &&
            (parts[i].tensor->rank != parts[i].rank || parts[i].tensor->dtype != parts[i].dtype)) {
            fr_tape_fail(tape, FR_WRONG_CALL, "a model reads %s", parts[i].what);
            return false;
        }
    return true;
}

fr_tensor *fr_model_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    if (!check_batch(model, tape, batch))
        return NULL;
    if (batch->counts && !cache)
        return fr_tape_fail(tape, FR_WRONG_CALL, "counts of new tokens need a cache");
    return model->kind->hidden(model, tape, batch, cache);
}

bool fr_model_encode(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    if (!model->kind->encode) {
        fr_tape_fail(tape, FR_WRONG_CALL, "the model has no encoder beside its decoder");
        return false;
    }
    return check_batch(model, tape, batch) && model->kind->encode(model, tape, batch, cache);
}

fr_tensor *fr_model_logits(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    return fr_model_output(model, tape, fr_model_hidden(model, tape, batch, cache));
}

static fr_tensor *features(fr_model *model, fr_tape *tape, fr_tensor *hidden)
{
    if (!model->output)
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "the model has no language model's output (its task is %s)",
                            fr_task_names[model->head.task]);
    return hidden && model->kind->features ? model->kind->features(model, tape, hidden) : hidden;
}

/* BART stores it as (1, V). */
static fr_tensor *output_bias(const fr_model *model, fr_tape *tape)
{
    fr_tensor *bias = model->output_bias ? model->output_bias->value : NULL;
    return bias && bias->rank > 1 ? fr_reshape(tape, bias, 1, &model->vocabulary) : bias;
}

fr_tensor *fr_model_output(fr_model *model, fr_tape *tape, fr_tensor *hidden)
{
    fr_tensor *x = features(model, tape, hidden);
    if (!x)
        return NULL;
    fr_tensor *logits = fr_linear(tape, x, model->output->value, output_bias(model, tape));
    if (model->output_cap <= 0)
        return logits;
    logits = fr_tanh(tape, fr_scale(tape, logits, 1 / model->output_cap));
    return fr_scale(tape, logits, model->output_cap);
}

fr_tensor *fr_model_cross_entropy(fr_model *model, fr_tape *tape, fr_tensor *hidden,
                                  fr_tensor *targets, fr_tensor *weights, float scale,
                                  fr_tensor **per_row)
{
    if (model->output_cap > 0)
        return fr_cross_entropy(tape, fr_model_output(model, tape, hidden), targets, weights, scale,
                                per_row);
    fr_tensor *x = features(model, tape, hidden);
    return x ? fr_linear_cross_entropy(tape, x, model->output->value, output_bias(model, tape),
                                       targets, weights, scale, per_row)
             : NULL;
}

void fr_model_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs)
{
    *outputs = (fr_outputs){.count = 0};
    if (model->kind->outputs) {
        if (check_batch(model, tape, batch))
            model->kind->outputs(model, tape, batch, outputs);
        if (model->sentence)
            fr_outputs_add(outputs, "sentence_embedding",
                           fr_sentence_pool(model->sentence, tape,
                                            fr_outputs_find(outputs, "last_hidden_state"),
                                            batch->lengths));
        return;
    }
    fr_tensor *hidden = fr_model_hidden(model, tape, batch, NULL);
    if (model->output)
        fr_outputs_add(outputs, "logits", fr_model_output(model, tape, hidden));
    fr_outputs_add(outputs, "last_hidden_state", hidden);
}

/* ---- from a recipe ---- */

void fr_model_config_free(const fr_model_kind *kind, void *config)
{
    if (config)
        fr_options_free(&kind->base.options, config);
    fr_free(config);
}

fr_status fr_model_config_read(const fr_section *section, const fr_model_kind **kind, void **config,
                               fr_error *error)
{
    fr_error own = {0};
    fr_error *place = error ? error : &own;
    *config = NULL;
    *kind = (const fr_model_kind *)fr_section_kind(section, &fr_models, "llama", place);
    if (!*kind)
        return place->status;
    const fr_option_table *table = &(*kind)->base.options;
    *config = fr_alloc(table->size, FR_MEMORY_OTHER);
    if (!*config)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model's configuration");
    fr_status status = fr_options_read(table, *config, section, true, NULL, error);
    if (status != FR_OK) {
        fr_model_config_free(*kind, *config);
        *config = NULL;
    }
    return status;
}

/* The integer field `name` of a configuration or of a section of it; NULL: it has none. */
static int64_t *integer(const fr_option_table *table, void *config, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        const char *own = table->options[i].name, *dot = strrchr(own, '.');
        if (strcmp(dot ? dot + 1 : own, name) == 0)
            return (int64_t *)((char *)config + table->options[i].offset);
    }
    return NULL;
}

static fr_status fill_from_tokenizer(const fr_option_table *table, void *config, int64_t vocabulary,
                                     int64_t end_of_text, fr_error *error)
{
    int64_t *size = integer(table, config, "vocab_size");
    if (!size)
        return FR_OK; /* a model of images alone */
    if (*size == 0)
        *size = vocabulary;
    if (*size < vocabulary)
        return fr_fail(error, FR_BAD_INPUT,
                       "model: vocab_size is %lld, but the tokenizer has %lld entries",
                       (long long)*size, (long long)vocabulary);
    const char *const names[] = {"bos_token_id", "eos_token_id"};
    for (int i = 0; i < 2; i++) {
        int64_t *id = integer(table, config, names[i]);
        if (id && *id < 0)
            *id = end_of_text;
    }
    return FR_OK;
}

fr_status fr_model_create_from_section(fr_model **model, const fr_section *section,
                                       const fr_model_head *head, int64_t vocabulary,
                                       int64_t end_of_text, uint64_t seed, bool shapes_only,
                                       fr_error *error)
{
    *model = NULL;
    const fr_model_kind *kind;
    void *config;
    FR_TRY(fr_model_config_read(section, &kind, &config, error));
    fr_status status =
        fill_from_tokenizer(&kind->base.options, config, vocabulary, end_of_text, error);
    if (status == FR_OK)
        status = fr_model_create_as(model, kind, config, head, seed, shapes_only, error);
    fr_model_config_free(kind, config);
    return status;
}
