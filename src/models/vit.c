/* vit.c: the vision transformer (ViT, arXiv 2010.11929) and DeiT (arXiv 2012.12877), which has a
   second learned token beside the class token: the place from which a student learns what its
   teacher says. Otherwise they are one model under two names.

   An image is cut into patches; per layer  h = x + attention(norm(x)),  y = h + feed_forward(norm(h)),
   where attention looks to both sides. A classifier reads the class token of norm(y); DeiT with a
   teacher has a classifier on each of its tokens, and their mean is the answer. */
#include "models/config_rows.h"
#include "models/models.h"
#include "nn/nn.h"

#include <string.h>

/* ---- configuration ---- */

typedef struct vit_config {
    int64_t hidden_size, num_hidden_layers, num_attention_heads, intermediate_size;
    fr_floats image_size, patch_size; /* one number, or height and width */
    int64_t num_channels, pooler_output_size;
    int hidden_act, pooler_act;
    double hidden_dropout_prob, attention_probs_dropout_prob, layer_norm_eps, initializer_range;
    bool qkv_bias;
} vit_config;

/* A list of one number; empty without memory, which building refuses. */
static fr_floats one(double number)
{
    fr_floats list = {0};
    (void)fr_floats_copy(&list, &(fr_floats){.items = &number, .count = 1});
    return list;
}

/* What transformers takes: the base model of the paper. */
static void defaults(void *options)
{
    vit_config *c = options;
    c->hidden_size = 768;
    c->num_hidden_layers = 12;
    c->num_attention_heads = 12;
    c->intermediate_size = 3072;
    c->image_size = one(224);
    c->patch_size = one(16);
    c->num_channels = 3;
    c->hidden_act = FR_ACTIVATION_GELU;
    c->pooler_act = FR_ACTIVATION_TANH;
    c->layer_norm_eps = 1e-12;
    c->initializer_range = 0.02;
    c->qkv_bias = true;
}

#define AT(field) offsetof(vit_config, field)
static const fr_option options[] = {
    FR_ROW_WIDTH(hidden_size),
    FR_ROW_LAYERS(num_hidden_layers, "layers"),
    FR_ROW_HEADS(num_attention_heads, "heads H"),
    {"intermediate_size", FR_OPTION_INT, AT(intermediate_size), NULL, 1, 1 << 22, NULL,
     "feed-forward width F"},
    {"image_size", FR_OPTION_FLOATS, AT(image_size), "pixels", 1, 1 << 15, NULL,
     "sides of the images that the model reads: one number, or height and width"},
    {"patch_size", FR_OPTION_FLOATS, AT(patch_size), "pixels", 1, 1 << 15, NULL,
     "sides of a patch: one number, or height and width"},
    {"num_channels", FR_OPTION_INT, AT(num_channels), NULL, 1, 1 << 10, NULL,
     "channels of an image"},
    FR_ROW_ACTIVATION(hidden_act, "activation of the feed-forward layer"),
    FR_ROW_HIDDEN_DROPOUT(hidden_dropout_prob),
    FR_ROW_ATTENTION_DROPOUT(attention_probs_dropout_prob),
    FR_ROW_VARIANCE_EPS(layer_norm_eps),
    FR_ROW_DEVIATION(initializer_range, ""),
    FR_ROW_FLAG(qkv_bias, "queries, keys and values have biases"),
    {"pooler_output_size", FR_OPTION_INT, AT(pooler_output_size), NULL, 0, 1 << 20, NULL,
     "width of the pooled output of a model without a head; 0: hidden_size"},
    FR_ROW_ACTIVATION(pooler_act, "activation of the pooled output"),
};
#undef AT

/* ---- layers ---- */

typedef struct vit {
    fr_patch_layer patches;
    fr_norm_layer norm;
    fr_decoder_layer *layers;
    fr_linear_layer *pooler, *classifier, *teacher; /* NULL: none */
} vit;

static bool has_teacher_token(const fr_model *model)
{
    return model->kind == &fr_model_deit;
}

/* ---- forward ---- */

static fr_tensor *hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    const vit *own = model->own;
    const vit_config *c = model->config;
    fr_step step = {.positions = NULL};
    if (cache)
        return fr_tape_fail(tape, FR_WRONG_CALL, "a model of images has no cache");
    fr_tensor *x = fr_tap(tape, fr_patch_apply(&own->patches, tape, batch->pixels), "embeddings");
    x = fr_dropout(tape, x, (float)c->hidden_dropout_prob);
    for (int64_t i = 0; i < model->layers; i++)
        x = fr_decoder_layer_apply(&own->layers[i], tape, x, &step, model->recompute);
    return fr_tap(tape, fr_norm_apply(&own->norm, tape, x), "final_norm");
}

/* x (B, T, C) -> (B, C) at one place. */
static fr_tensor *token(fr_tape *tape, fr_tensor *x, int64_t place)
{
    x = fr_slice(tape, x, 1, place, place + 1);
    return x ? fr_reshape(tape, x, 2, (int64_t[]){x->shape[0], x->shape[2]}) : NULL;
}

static void outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *out)
{
    const vit *own = model->own;
    const vit_config *c = model->config;
    fr_tensor *x = hidden(model, tape, batch, NULL), *first = token(tape, x, 0);
    if (own->teacher) {
        fr_tensor *said = fr_linear_layer_apply(own->classifier, tape, first);
        fr_tensor *heard = fr_linear_layer_apply(own->teacher, tape, token(tape, x, 1));
        fr_outputs_add(out, "logits", fr_scale(tape, fr_add(tape, said, heard), 0.5F));
        fr_outputs_add(out, "cls_logits", said);
        fr_outputs_add(out, "distillation_logits", heard);
    } else if (own->classifier) {
        fr_outputs_add(out, "logits", fr_linear_layer_apply(own->classifier, tape, first));
    }
    fr_outputs_add(out, "last_hidden_state", x);
    if (own->pooler)
        fr_outputs_add(out, "pooler_output",
                       fr_activate(tape, fr_linear_layer_apply(own->pooler, tape, first),
                                   (fr_activation)c->pooler_act));
}

/* ---- building ---- */

/* Height and width of a list of one or two. */
static fr_status sides(const fr_floats *list, const char *field, int64_t out[2], fr_error *error)
{
    for (size_t i = 0; i < 2 && list->count; i++)
        out[i] = (int64_t)list->items[i < list->count ? i : 0];
    if (list->count < 1 || list->count > 2 || (double)out[0] != list->items[0] ||
        (double)out[1] != list->items[list->count - 1])
        return fr_fail(error, FR_BAD_INPUT, "%s is neither a whole number nor a height and a width",
                       field);
    return FR_OK;
}

/* A parameter of the embeddings: NAME under the model's prefix. */
static fr_status add(fr_parameter **parameter, fr_model *model, const char *name, int rank,
                     const int64_t *shape, const fr_axis *axes, double std, fr_error *error)
{
    char *full = fr_format("%sembeddings.%s", model->kind->prefix, name);
    if (!full)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    *parameter = fr_model_add_parameter(model, full, rank, shape, axes, false, (float)std, error);
    fr_free(full);
    return *parameter ? FR_OK : error->status;
}

static fr_status build_embeddings(fr_model *model, fr_patch_layer *layer, fr_error *error)
{
    const vit_config *c = model->config;
    int64_t image[2], patch[2];
    FR_TRY(sides(&c->image_size, "image_size", image, error));
    FR_TRY(sides(&c->patch_size, "patch_size", patch, error));
    int64_t count = (image[0] / patch[0]) * (image[1] / patch[1]);
    if (!count)
        return fr_fail(error, FR_BAD_INPUT, "patch_size is greater than image_size");
    int64_t special = has_teacher_token(model) ? 2 : 1;
    const int64_t one_token[] = {1, 1, c->hidden_size},
                  places[] = {1, special + count, c->hidden_size},
                  kernel[] = {c->hidden_size, c->num_channels, patch[0], patch[1]};
    const fr_axis place_axes[] = {FR_AXIS_NONE, FR_AXIS_POSITION, FR_AXIS_HIDDEN};
    const fr_axis kernel_axes[] = {FR_AXIS_HIDDEN, FR_AXIS_CHANNELS, FR_AXIS_PATCH, FR_AXIS_PATCH};
    double std = c->initializer_range;
    FR_TRY(add(&layer->tokens[0], model, "cls_token", 3, one_token, place_axes, std, error));
    if (special > 1)
        FR_TRY(add(&layer->tokens[1], model, "distillation_token", 3, one_token, place_axes, std,
                   error));
    FR_TRY(add(&layer->positions, model, "position_embeddings", 3, places, place_axes, std, error));
    FR_TRY(add(&layer->weight, model, "patch_embeddings.projection.weight", 4, kernel, kernel_axes,
               std, error));
    FR_TRY(add(&layer->bias, model, "patch_embeddings.projection.bias", 1, kernel, kernel_axes, 0,
               error));
    layer->height = image[0];
    layer->width = image[1];
    memcpy(model->image, (int64_t[]){c->num_channels, image[0], image[1]}, sizeof model->image);
    model->max_positions = special + count;
    return FR_OK;
}

static void build_layer(fr_builder *b, fr_decoder_layer *layer, const vit_config *c)
{
    const fr_axis wide = FR_AXIS_HIDDEN, heads = FR_AXIS_HEADS, inner = FR_AXIS_FFN;
    int64_t width = c->hidden_size, head_dim = width / c->num_attention_heads;
    int64_t all = head_dim * c->num_attention_heads, ffn = c->intermediate_size;
    fr_attention_layer *a = &layer->attention;
    fr_feed_forward_layer *f = &layer->feed_forward;
    fr_builder_norm(b, &layer->attention_norm, "layernorm_before", width, wide);
    a->query = fr_builder_linear(b, "attention.attention.query", all, heads, width, wide,
                                 c->qkv_bias, false);
    a->key = fr_builder_linear(b, "attention.attention.key", all, heads, width, wide, c->qkv_bias,
                               false);
    a->value = fr_builder_linear(b, "attention.attention.value", all, heads, width, wide,
                                 c->qkv_bias, false);
    a->out = fr_builder_linear(b, "attention.output.dense", width, wide, all, heads, true, false);
    fr_builder_norm(b, &layer->feed_forward_norm, "layernorm_after", width, wide);
    f->up = fr_builder_linear(b, "intermediate.dense", ffn, inner, width, wide, true, false);
    f->down = fr_builder_linear(b, "output.dense", width, wide, ffn, inner, true, false);
    a->heads = a->kv_heads = c->num_attention_heads;
    a->head_dim = head_dim;
    a->bidirectional = true;
    a->score_dropout = (float)c->attention_probs_dropout_prob;
    f->activation = (fr_activation)c->hidden_act;
    a->dropout = f->dropout = (float)c->hidden_dropout_prob;
    fr_decoder_layer_number(layer, (int)b->layer);
}

static fr_status build_layers(fr_model *model, vit *own, fr_error *error)
{
    const vit_config *c = model->config;
    char *prefix = fr_format("%sencoder.layer.", model->kind->prefix);
    char *norm = fr_format("%slayernorm", model->kind->prefix);
    fr_builder b = {.model = model,
                    .prefix = prefix,
                    .std = c->initializer_range,
                    .eps = c->layer_norm_eps,
                    .norm_bias = true,
                    .error = error};
    if (!prefix || !norm)
        b.status = fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    for (; b.layer < c->num_hidden_layers && b.status == FR_OK; b.layer++)
        build_layer(&b, &own->layers[b.layer], c);
    if (b.status == FR_OK)
        b.status = fr_norm_declare(&own->norm, model, norm, c->hidden_size, FR_AXIS_HIDDEN, true,
                                   c->layer_norm_eps, error);
    fr_free(prefix);
    fr_free(norm);
    return b.status;
}

static fr_status head(fr_linear_layer **layer, fr_model *model, const char *name, int64_t out,
                      fr_axis axis, fr_error *error)
{
    const vit_config *c = model->config;
    *layer = fr_model_add_linear(model, name, out, axis, c->hidden_size, FR_AXIS_HIDDEN, true,
                                 (float)c->initializer_range, error);
    return *layer ? FR_OK : error->status;
}

static fr_status build_head(fr_model *model, vit *own, fr_error *error)
{
    const vit_config *c = model->config;
    int64_t labels = model->head.labels;
    if (model->head.task == FR_TASK_NONE)
        return head(&own->pooler, model,
                    has_teacher_token(model) ? "deit.pooler.dense" : "vit.pooler.dense",
                    c->pooler_output_size, FR_AXIS_NONE, error);
    if (model->head.task == FR_TASK_IMAGE_CLASSIFICATION)
        return head(&own->classifier, model, "classifier", labels, FR_AXIS_LABELS, error);
    FR_TRY(head(&own->classifier, model, "cls_classifier", labels, FR_AXIS_LABELS, error));
    return head(&own->teacher, model, "distillation_classifier", labels, FR_AXIS_LABELS, error);
}

static fr_status build(fr_model *model, fr_error *error)
{
    vit_config *c = model->config;
    if (c->hidden_size < c->num_attention_heads)
        return fr_fail(error, FR_BAD_INPUT, "model %s: %lld heads do not fit hidden_size %lld",
                       model->kind->base.name, (long long)c->num_attention_heads,
                       (long long)c->hidden_size);
    if (!c->pooler_output_size)
        c->pooler_output_size = c->hidden_size;
    model->width = c->hidden_size;
    model->layers = c->num_hidden_layers;
    model->heads = model->kv_heads = c->num_attention_heads;
    model->head_dim = c->hidden_size / c->num_attention_heads;
    vit *own = model->own = fr_alloc(sizeof *own, FR_MEMORY_OTHER);
    if (!own || !(own->layers = fr_alloc_array((size_t)c->num_hidden_layers, sizeof *own->layers,
                                               FR_MEMORY_OTHER)))
        return fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    FR_TRY(build_embeddings(model, &own->patches, error));
    FR_TRY(build_layers(model, own, error));
    return build_head(model, own, error);
}

/* A body may come without its pooler (add_pooling_layer=False). */
static const char *optional_part(const fr_model *model)
{
    if (model->head.task != FR_TASK_NONE)
        return NULL;
    return has_teacher_token(model) ? "deit.pooler." : "vit.pooler.";
}

static void drop_part(fr_model *model)
{
    vit *own = model->own;
    own->pooler = NULL;
}

static void destroy(fr_model *model)
{
    vit *own = model->own;
    if (own)
        fr_free(own->layers);
    fr_free(own);
}

/* ---- descriptors ---- */

/* Of the decoder that paints masked patches, which is not supported. */
static const char *const ignored_fields[] = {"encoder_stride", NULL};

static const fr_model_class vit_classes[] = {
    {"vit", "ViTForImageClassification", FR_TASK_IMAGE_CLASSIFICATION},
    {"vit", "ViTModel", FR_TASK_NONE},
    {0}};
static const char *const vit_types[] = {"vit", NULL};
static const char *const vit_heads[] = {"classifier.", "pooler.", "vit.pooler.", NULL};

const fr_model_kind fr_model_vit = {
    .base = {"vit",
             "vision transformer: ViT",
             "Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv 2010.11929",
             {"model.vit", options, sizeof options / sizeof options[0], sizeof(vit_config),
              defaults}},
    .model_types = vit_types,
    .classes = vit_classes,
    .ignored_fields = ignored_fields,
    .build = build,
    .hidden = hidden,
    .outputs = outputs,
    .destroy = destroy,
    .optional_part = optional_part,
    .drop_part = drop_part,
    .prefix = "vit.",
    .head_prefixes = vit_heads,
};

static const fr_model_class deit_classes[] = {
    {"deit", "DeiTForImageClassification", FR_TASK_IMAGE_CLASSIFICATION},
    {"deit", "DeiTForImageClassificationWithTeacher", FR_TASK_DISTILLED_CLASSIFICATION},
    {"deit", "DeiTModel", FR_TASK_NONE},
    {0}};
static const char *const deit_types[] = {"deit", NULL};
static const char *const deit_heads[] = {
    "classifier.", "cls_classifier.", "distillation_classifier.", "pooler.", "deit.pooler.", NULL};

const fr_model_kind fr_model_deit = {
    .base = {"deit",
             "vision transformer with a token for a teacher: DeiT",
             "Touvron et al., Training data-efficient image transformers, arXiv 2012.12877",
             {"model.deit", options, sizeof options / sizeof options[0], sizeof(vit_config),
              defaults}},
    .model_types = deit_types,
    .classes = deit_classes,
    .ignored_fields = ignored_fields,
    .build = build,
    .hidden = hidden,
    .outputs = outputs,
    .destroy = destroy,
    .optional_part = optional_part,
    .drop_part = drop_part,
    .prefix = "deit.",
    .head_prefixes = deit_heads,
};
