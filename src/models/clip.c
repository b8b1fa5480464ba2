/* clip.c: CLIP (arXiv 2103.00020): a tower that reads texts and a tower that sees images, trained so that
   what belongs together lies close together in one space; and each tower alone.

   The logits of an image and a text are the cosine of the angle between their vectors times
   exp(logit_scale), which is learned. A classifier of images reads the mean of the patches. */
#include "models/clip.h"

#include <math.h>
#include <string.h>

/* ---- configuration ---- */

typedef struct clip_config {
    clip_text_config text;
    clip_vision_config vision;
    int64_t projection_dim;
    double logit_scale_init_value, initializer_factor;
} clip_config;

static void defaults(void *options)
{
    clip_config *c = options;
    clip_text_defaults(&c->text);
    clip_vision_defaults(&c->vision);
    c->projection_dim = 512;
    c->logit_scale_init_value = 2.6592;
    c->initializer_factor = 1;
}

static void text_defaults(void *options)
{
    clip_text_defaults(options);
}

static void vision_defaults(void *options)
{
    clip_vision_defaults(options);
}

/* clang-format off: rows that stand in files of their own */
static const fr_option options[] = {
    {"projection_dim", FR_OPTION_INT, offsetof(clip_config, projection_dim), NULL, 1, 1 << 20, NULL,
     "width of the space that the towers share"},
    {"logit_scale_init_value", FR_OPTION_FLOAT, offsetof(clip_config, logit_scale_init_value), NULL,
     0, 100, NULL, "logarithm of the factor of the cosines in a new model"},
    {"initializer_factor", FR_OPTION_FLOAT, offsetof(clip_config, initializer_factor), NULL, 0, 100,
     NULL, "factor of the standard deviation of new projections and classifiers"},
#define SECTION     "text_config."
#define TEXT(field) offsetof(clip_config, text.field)
#include "models/clip_text_options.inc"
#undef TEXT
#undef SECTION
#define SECTION       "vision_config."
#define VISION(field) offsetof(clip_config, vision.field)
#include "models/clip_vision_options.inc"
#undef VISION
#undef SECTION
};

#define SECTION ""
static const fr_option text_options[] = {
#define TEXT(field) offsetof(clip_text_config, field)
#include "models/clip_text_options.inc"
#undef TEXT
};

static const fr_option vision_options[] = {
#define VISION(field) offsetof(clip_vision_config, field)
#include "models/clip_vision_options.inc"
#undef VISION
};
#undef SECTION
/* clang-format on */

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"text_config.vocab_size", "49408"},
                                           {"text_config.pad_token_id", "1"},
                                           {"text_config.bos_token_id", "49406"},
                                           {"text_config.eos_token_id", "49407"}};
static const fr_config_default text_absent[] = {{"vocab_size", "49408"},
                                                {"pad_token_id", "1"},
                                                {"bos_token_id", "49406"},
                                                {"eos_token_id", "49407"}};
enum { ABSENT = sizeof absent / sizeof absent[0] };

/* The id that ends a text decides where it is read off: there can be one only. */
static fr_status check_end(const json_t *section, const char *path, fr_error *error)
{
    const json_t *end = json_object_get(section, "eos_token_id");
    if (!end || json_is_integer(end))
        return FR_OK;
    return fr_fail_at(error, FR_UNSUPPORTED, path, 0,
                      "eos_token_id of a tower of text must be one id");
}

/* Early files have a section a second time, and transformers takes that one: all of it, with its own defaults for what is absent
   there. */
static fr_status read_again(void *config, const json_t *json, const char *section,
                            const char *again, const char *path, fr_error *error)
{
    json_t *inner = json_object_get(json, again);
    if (!json_is_object(inner))
        return !inner || json_is_null(inner)
                   ? FR_OK
                   : fr_fail_at(error, FR_BAD_INPUT, path, 0, "field '%s' is not an object", again);
    json_t *as = json_pack("{s:O}", section, inner);
    if (!as)
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    fr_status status = fr_config_read_json(config, &fr_model_clip, as, path, error);
    if (status == FR_OK)
        status = fr_config_fill(&fr_model_clip.base.options, config, as, absent,
                                strcmp(section, "text_config") == 0 ? ABSENT : 0, error);
    json_decref(as);
    return status;
}

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    clip_config *c = config;
    FR_TRY(fr_config_fill(&fr_model_clip.base.options, config, json, absent, ABSENT, error));
    if (json_is_object(json_object_get(json, "text_config_dict")))
        clip_text_defaults(&c->text);
    FR_TRY(read_again(config, json, "text_config", "text_config_dict", path, error));
    if (json_is_object(json_object_get(json, "vision_config_dict")))
        clip_vision_defaults(&c->vision);
    FR_TRY(read_again(config, json, "vision_config", "vision_config_dict", path, error));
    FR_TRY(check_end(json_object_get(json, "text_config"), path, error));
    return check_end(json_object_get(json, "text_config_dict"), path, error);
}

static fr_status read_text_config(void *config, const json_t *json, const char *path,
                                  fr_error *error)
{
    FR_TRY(check_end(json, path, error));
    return fr_config_fill(&fr_model_clip_text.base.options, config, json, text_absent, ABSENT,
                          error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    FR_TRY(fr_config_write_table(&fr_model_clip.base.options, config, json, error));
    json_object_set_new(json_object_get(json, "text_config"), "model_type",
                        json_string("clip_text_model"));
    json_object_set_new(json_object_get(json, "vision_config"), "model_type",
                        json_string("clip_vision_model"));
    return FR_OK;
}

/* ---- the parts ---- */

typedef struct clip {
    clip_text text;
    clip_vision vision;
    fr_linear_layer *text_projection, *visual_projection, *classifier; /* NULL: none */
    fr_parameter *scale;                                               /* a number; NULL: none */
} clip;

/* ---- forward ---- */

static fr_tensor *project(fr_linear_layer *layer, fr_tape *tape, fr_tensor *pooled)
{
    return layer ? fr_linear_layer_apply(layer, tape, pooled) : NULL;
}

/* x / |x| over the last axis (P), which is a root mean square norm with a weight of 1 / sqrt(P). */
static fr_tensor *unit(fr_tape *tape, fr_tensor *x)
{
    if (!x)
        return NULL;
    int64_t width = x->shape[1];
    fr_tensor *weight = fr_tape_tensor(tape, FR_F32, 1, &width);
    float *numbers = weight ? fr_tensor_host(weight) : NULL;
    for (int64_t i = 0; numbers && i < width; i++)
        numbers[i] = (float)(1 / sqrt((double)width));
    return fr_rms_norm(tape, x, weight, 0);
}

/* The two towers together. What is not given is not computed: vectors of texts alone, or of images. */
static void outputs_of_both(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *out)
{
    const clip *own = model->own;
    fr_tensor *texts = NULL, *images = NULL;
    if (batch->ids) {
        clip_seen text = clip_text_read(&own->text, model, tape, batch);
        fr_tensor *projected = project(own->text_projection, tape, text.pooled);
        fr_outputs_add(out, "text_embeds", texts = unit(tape, projected));
        fr_outputs_add(out, "text_model_output.last_hidden_state", text.hidden);
        fr_outputs_add(out, "text_model_output.pooler_output", projected);
    }
    if (batch->pixels) {
        clip_seen image = clip_vision_see(&own->vision, model, tape, batch);
        fr_tensor *projected = project(own->visual_projection, tape, image.pooled);
        fr_outputs_add(out, "image_embeds", images = unit(tape, projected));
        fr_outputs_add(out, "vision_model_output.last_hidden_state", image.hidden);
        fr_outputs_add(out, "vision_model_output.pooler_output", projected);
    }
    if (!texts || !images)
        return;
    fr_tensor *cosines = fr_matmul(tape, texts, images, false, true);
    fr_tensor *logits = fr_multiply(tape, cosines, fr_exp(tape, own->scale->value));
    fr_tensor *turned = fr_transpose(tape, logits, 0, 1);
    fr_outputs_add(out, "logits_per_text", logits);
    fr_outputs_add(out, "logits_per_image", turned);
    fr_outputs_add(out, "logits", turned);
}

/* The mean of the patches, without the class token. */
static fr_tensor *mean_patch(fr_tape *tape, fr_tensor *x)
{
    return x ? fr_mean_axis(tape, fr_slice(tape, x, 1, 1, x->shape[1]), 1) : NULL;
}

static void outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *out)
{
    const clip *own = model->own;
    if (own->text.layers && own->vision.layers) {
        outputs_of_both(model, tape, batch, out);
        return;
    }
    clip_seen seen = own->text.layers ? clip_text_read(&own->text, model, tape, batch)
                                      : clip_vision_see(&own->vision, model, tape, batch);
    if (own->classifier)
        fr_outputs_add(out, "logits",
                       fr_linear_layer_apply(own->classifier, tape, mean_patch(tape, seen.hidden)));
    if (own->text_projection)
        fr_outputs_add(out, "text_embeds", project(own->text_projection, tape, seen.pooled));
    if (own->visual_projection)
        fr_outputs_add(out, "image_embeds", project(own->visual_projection, tape, seen.pooled));
    fr_outputs_add(out, "last_hidden_state", seen.hidden);
    fr_outputs_add(out, "pooler_output", seen.pooled);
}

/* Of the tower that the batch is for: of texts, where there are any. */
static fr_tensor *hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    const clip *own = model->own;
    if (cache)
        return fr_tape_fail(tape, FR_WRONG_CALL, "CLIP writes no text: it has no cache");
    bool text = own->text.layers && (batch->ids || !own->vision.layers);
    return text ? clip_text_read(&own->text, model, tape, batch).hidden
                : clip_vision_see(&own->vision, model, tape, batch).hidden;
}

/* ---- building ---- */

static fr_status projection(fr_linear_layer **layer, fr_model *model, const char *name, int64_t out,
                            const clip_shared_config *tower, double factor, fr_error *error)
{
    double std = factor / sqrt((double)tower->hidden_size);
    *layer = fr_model_add_linear(model, name, out, FR_AXIS_EMBEDDING, tower->hidden_size,
                                 FR_AXIS_HIDDEN, false, (float)std, error);
    return *layer ? FR_OK : error->status;
}

static void describe_text(fr_model *model, const clip_text_config *c)
{
    model->vocabulary = c->vocab_size;
    model->max_positions = c->max_position_embeddings;
    model->bos = c->bos_token_id;
    model->eos = c->eos_token_id;
    model->pad = c->pad_token_id;
}

static void describe_layers(fr_model *model, const clip_shared_config *c)
{
    model->width = c->hidden_size;
    model->layers = c->num_hidden_layers;
    model->heads = model->kv_heads = c->num_attention_heads;
    model->head_dim = c->hidden_size / c->num_attention_heads;
}

static fr_status make_own(fr_model *model, fr_error *error)
{
    model->own = fr_alloc(sizeof(clip), FR_MEMORY_OTHER);
    return model->own ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a model");
}

static fr_status build(fr_model *model, fr_error *error)
{
    const clip_config *c = model->config;
    FR_TRY(make_own(model, error));
    clip *own = model->own;
    if (model->head.task == FR_TASK_IMAGE_CLASSIFICATION) {
        describe_layers(model, &c->vision.shared);
        FR_TRY(clip_vision_build(&own->vision, model, &c->vision, error));
        double std = c->initializer_factor / sqrt((double)c->vision.shared.hidden_size);
        own->classifier = fr_model_add_linear(model, "classifier", model->head.labels,
                                              FR_AXIS_LABELS, c->vision.shared.hidden_size,
                                              FR_AXIS_HIDDEN, true, (float)std, error);
        return own->classifier ? FR_OK : error->status;
    }
    describe_text(model, &c->text);
    describe_layers(model, &c->text.shared);
    own->scale = fr_model_add_parameter(model, "logit_scale", 0, NULL, NULL, false,
                                        (float)-c->logit_scale_init_value, error);
    if (!own->scale)
        return error->status;
    FR_TRY(clip_text_build(&own->text, model, &c->text, error));
    FR_TRY(clip_vision_build(&own->vision, model, &c->vision, error));
    FR_TRY(projection(&own->visual_projection, model, "visual_projection", c->projection_dim,
                      &c->vision.shared, c->initializer_factor, error));
    return projection(&own->text_projection, model, "text_projection", c->projection_dim,
                      &c->text.shared, c->initializer_factor, error);
}

static fr_status build_text(fr_model *model, fr_error *error)
{
    const clip_text_config *c = model->config;
    FR_TRY(make_own(model, error));
    clip *own = model->own;
    describe_text(model, c);
    describe_layers(model, &c->shared);
    FR_TRY(clip_text_build(&own->text, model, c, error));
    if (model->head.task == FR_TASK_NONE)
        return FR_OK;
    return projection(&own->text_projection, model, "text_projection", c->shared.projection_dim,
                      &c->shared, c->shared.initializer_factor, error);
}

static fr_status build_vision(fr_model *model, fr_error *error)
{
    const clip_vision_config *c = model->config;
    FR_TRY(make_own(model, error));
    clip *own = model->own;
    describe_layers(model, &c->shared);
    FR_TRY(clip_vision_build(&own->vision, model, c, error));
    if (model->head.task == FR_TASK_NONE)
        return FR_OK;
    return projection(&own->visual_projection, model, "visual_projection", c->shared.projection_dim,
                      &c->shared, c->shared.initializer_factor, error);
}

static void destroy(fr_model *model)
{
    clip *own = model->own;
    if (own) {
        fr_free(own->text.layers);
        fr_free(own->vision.layers);
    }
    fr_free(own);
}

/* ---- descriptors ---- */

/* The numbers 0, 1, ... of the places, which early files carry. */
static bool ignores_tensor(const char *name)
{
    static const char *const ends[] = {"embeddings.position_ids", NULL};
    return fr_name_ends(name, ends);
}

/* A dropout that no version of the model ever had, and ties of an output matrix that it has not. */
static const char *const ignored_fields[] = {
    "tie_word_embeddings", "text_config.tie_word_embeddings", "vision_config.tie_word_embeddings",
    "text_config.dropout", "vision_config.dropout",           NULL};
static const char *const extra_fields[] = {"text_config_dict", "vision_config_dict", NULL};
static const fr_model_class classes[] = {
    {"clip", "CLIPModel", FR_TASK_CONTRASTIVE},
    {"clip", "CLIPForImageClassification", FR_TASK_IMAGE_CLASSIFICATION},
    {0}};
static const char *const types[] = {"clip", NULL};
static const char *const heads[] = {"classifier.",        "text_model.", "text_projection.",
                                    "visual_projection.", "logit_scale", NULL};

const fr_model_kind fr_model_clip = {
    .base = {"clip",
             "a tower that reads texts and one that sees images: CLIP",
             "Radford et al., Learning Transferable Visual Models From Natural Language "
             "Supervision, arXiv 2103.00020",
             {"model.clip", options, sizeof options / sizeof options[0], sizeof(clip_config),
              defaults}},
    .model_types = types,
    .classes = classes,
    .extra_fields = extra_fields,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .build = build,
    .hidden = hidden,
    .outputs = outputs,
    .destroy = destroy,
    .prefix = "",
    .ignores_tensor = ignores_tensor,
    .head_prefixes = heads,
};

static const char *const tower_ignored_fields[] = {"tie_word_embeddings", "dropout", NULL};
static const fr_model_class text_classes[] = {
    {"clip_text_model", "CLIPTextModel", FR_TASK_NONE},
    {"clip_text_model", "CLIPTextModelWithProjection", FR_TASK_CONTRASTIVE},
    {0}};
static const char *const text_types[] = {"clip_text_model", NULL};
static const char *const text_heads[] = {"text_projection.", NULL};

const fr_model_kind fr_model_clip_text = {
    .base = {"clip_text",
             "CLIP's tower of texts alone",
             "arXiv 2103.00020",
             {"model.clip_text", text_options, sizeof text_options / sizeof text_options[0],
              sizeof(clip_text_config), text_defaults}},
    .model_types = text_types,
    .classes = text_classes,
    .ignored_fields = tower_ignored_fields,
    .read_config = read_text_config,
    .build = build_text,
    .hidden = hidden,
    .outputs = outputs,
    .destroy = destroy,
    .prefix = "text_model.",
    .ignores_tensor = ignores_tensor,
    .head_prefixes = text_heads,
};

static const fr_model_class vision_classes[] = {
    {"clip_vision_model", "CLIPVisionModel", FR_TASK_NONE},
    {"clip_vision_model", "CLIPVisionModelWithProjection", FR_TASK_CONTRASTIVE},
    {0}};
static const char *const vision_types[] = {"clip_vision_model", NULL};
static const char *const vision_heads[] = {"visual_projection.", NULL};

const fr_model_kind fr_model_clip_vision = {
    .base = {"clip_vision",
             "CLIP's tower of images alone",
             "arXiv 2103.00020",
             {"model.clip_vision", vision_options, sizeof vision_options / sizeof vision_options[0],
              sizeof(clip_vision_config), vision_defaults}},
    .model_types = vision_types,
    .classes = vision_classes,
    .ignored_fields = tower_ignored_fields,
    .build = build_vision,
    .hidden = hidden,
    .outputs = outputs,
    .destroy = destroy,
    .prefix = "vision_model.",
    .ignores_tensor = ignores_tensor,
    .head_prefixes = vision_heads,
};
