/* models.h: what the files of this room share: making a model step by step, and config.json. */
#ifndef FRUGAL_MODELS_H
#define FRUGAL_MODELS_H

#include "frugal/formats.h"
#include "frugal/model.h"

#include <jansson.h>

/* clang-format off */
/* All families, one a line: adding one is a line here and its file. */
#define FR_MODEL_KINDS(KIND) \
    KIND(gemma2) \
    KIND(gpt2) \
    KIND(gptneox) \
    KIND(llama) \
    KIND(phi3) \
    KIND(bert) \
    KIND(roberta) \
    KIND(xlm_roberta) \
    KIND(electra) \
    KIND(distilbert) \
    KIND(longformer) \
    KIND(mpnet) \
    KIND(modernbert) \
    KIND(t5) \
    KIND(bart) \
    KIND(vit) \
    KIND(deit) \
    KIND(clip) \
    KIND(clip_text) \
    KIND(clip_vision)
/* clang-format on */
#define FR_MODEL_KIND(name) extern const fr_model_kind fr_model_##name;
FR_MODEL_KINDS(FR_MODEL_KIND)
#undef FR_MODEL_KIND

/* A model with its parameters declared and allocated (zeros), not drawn. `config` and `head` are copied;
   head NULL: that of the model_type's first class. */
fr_status fr_model_build(fr_model **model, const fr_model_kind *kind, const void *config,
                         const fr_model_head *head, bool shapes_only, fr_error *error);
/* Take out all parameters and linear layers whose names begin so. */
void fr_model_drop(fr_model *model, const char *prefix);
/* Parameter `number` gets the values that it begins with. */
void fr_model_draw(const fr_model *model, uint64_t seed, size_t number);

/* Give the parameters of a model of shapes memory, and the numbers of the folder's files. With `new_head` the head's
   parameters may be missing (they are drawn from `seed`), and tensors of other heads are left out. */
fr_status fr_weights_load(fr_model *model, const char *folder, bool new_head, uint64_t seed,
                          fr_error *error);

/* Does `name` end in one of these? NULL-terminated: for a kind's ignores_tensor. */
bool fr_name_ends(const char *name, const char *const *ends);

/* A model of shapes from the object of a config.json, as `change` wants it. `path` is for messages. */
fr_status fr_model_from_json(fr_model **model, const json_t *json, const fr_model_change *change,
                             const char *path, fr_error *error);

/* ---- heads.c: what a model ends in ---- */

/* A configuration's model_type: the field, or the kind's only one. */
const char *fr_config_model_type(const fr_model_kind *kind, const void *config);
/* A copy of `wanted` (NULL: the first class of the model_type), checked against the kind's classes, defaults filled in. Freed
   with fr_model_head_free. */
fr_status fr_model_head_settle(fr_model_head *head, const fr_model_kind *kind, const void *config,
                               const fr_model_head *wanted, fr_error *error);
/* architectures, num_labels, id2label and problem_type of config.json. Freed with fr_model_head_free, also after a failure. */
fr_status fr_model_head_read(fr_model_head *head, const fr_model_kind *kind, const void *config,
                             const json_t *json, const char *path, fr_error *error);
fr_status fr_model_head_write(const fr_model *model, json_t *json, fr_error *error);

/* ---- generation.c: generation_config.json ---- */

/* eos_token_id of config.json or generation_config.json: the ids that end a text. */
fr_status fr_generation_read_ends(fr_model *model, const json_t *json, const char *path,
                                  fr_error *error);
/* The folder's file, if there is one. */
fr_status fr_generation_read(fr_model *model, const char *folder, fr_error *error);
fr_status fr_generation_write(const fr_model *model, const char *folder, fr_error *error);

/* ---- save.c ---- */

/* Write the object (and release it) as FOLDER/NAME. `whole` false: something of it could not be made. */
fr_status fr_model_json_write(json_t *json, bool whole, const char *folder, const char *name,
                              fr_error *error);

/* ---- config.c: a configuration and JSON ---- */

/* The kind that reads config.json's model_type. */
fr_status fr_config_kind(const fr_model_kind **kind, const json_t *json, const char *path,
                         fr_error *error);
/* A new configuration from config.json, freed with fr_model_config_free. */
fr_status fr_config_from_json(void **config, const fr_model_kind *kind, const json_t *json,
                              const char *path, fr_error *error);
/* Set those of the table's options that the object has; a field that no list of the kind names is refused. */
fr_status fr_config_read_json(void *config, const fr_model_kind *kind, const json_t *json,
                              const char *path, fr_error *error);
/* A new object with the fields that do not change the result: for who writes the model again. */
fr_status fr_config_keep(json_t **kept, const fr_model_kind *kind, const json_t *json,
                         fr_error *error);
/* Put every field of the table into the object: a string that is NULL, an empty list and -1 as
   null. */
fr_status fr_config_write_table(const fr_option_table *table, const void *config, json_t *json,
                                fr_error *error);
/* A list of numbers that fr_config_write_table put there as a number, for it is a list of one, becomes a list. */
fr_status fr_config_write_list(json_t *json, const char *name, fr_error *error);
/* Put a whole configuration into the object: model_type and what the kind writes. */
fr_status fr_config_write(const fr_model_kind *kind, const void *config, json_t *json,
                          fr_error *error);
/* A deep copy; NULL: no memory. */
void *fr_config_copy(const fr_option_table *table, const void *config);

/* Set one option from a JSON value. */
fr_status fr_config_set(const fr_option_table *table, void *config, const char *name,
                        const json_t *value, const char *path, fr_error *error);

/* The values that the peer takes for fields that a config.json leaves out. */
typedef struct fr_config_default {
    const char *name, *value; /* as fr_options_set reads them */
} fr_config_default;
/* Apply those of `count` whose field is absent from the object (null counts as present). */
fr_status fr_config_fill(const fr_option_table *table, void *config, const json_t *json,
                         const fr_config_default *defaults, size_t count, fr_error *error);
/* Fields that a config.json must have. NULL-terminated. */
fr_status fr_config_require(const json_t *json, const char *const *names, const char *path,
                            fr_error *error);

/* ---- for kinds ---- */

/* Declares the parts of a layer one after the other; after a failure it does nothing more. */
typedef struct fr_builder {
    fr_model *model;
    const char *prefix; /* "model.layers." */
    int64_t layer;      /* number of the layer being declared */
    double std;         /* of new weights */
    double eps;         /* of norms */
    bool norm_bias;     /* layer norm, else root mean square norm */
    fr_status status;
    fr_error *error;
} fr_builder;
/* PREFIX N.NAME. Projections into the residual stream are drawn with std / sqrt(2 * layers) (GPT-2,
   section 2.3). */
fr_linear_layer *fr_builder_linear(fr_builder *builder, const char *name, int64_t out,
                                   fr_axis out_axis, int64_t in, fr_axis in_axis, bool bias,
                                   bool into_residual);
struct fr_norm_layer;
struct fr_attention_layer;
struct fr_feed_forward_layer;
/* The sizes of attention in a layer: C, H, Hkv, D. */
typedef struct fr_builder_heads {
    int64_t width, heads, kv_heads, head_dim;
} fr_builder_heads;
/* self_attn.q_proj, k_proj, v_proj (`bias`) and o_proj (`out_bias`), and the layer's sizes. */
void fr_builder_attention(fr_builder *builder, struct fr_attention_layer *layer,
                          const fr_builder_heads *heads, bool bias, bool out_bias);
/* mlp.gate_proj, up_proj, down_proj: C -> F -> C. */
void fr_builder_gated(fr_builder *builder, struct fr_feed_forward_layer *layer, int64_t width,
                      int64_t inner, bool bias);
void fr_builder_norm(fr_builder *builder, struct fr_norm_layer *layer, const char *name,
                     int64_t width, fr_axis axis);

#endif
