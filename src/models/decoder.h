/* decoder.h: what all decoder families share around their layers: embeddings before them, a norm and a head after them, and the
   options of rotary positions. A family's file has its configuration and declares its layers. */
#ifndef FRUGAL_MODELS_DECODER_H
#define FRUGAL_MODELS_DECODER_H

#include "models/models.h"
#include "nn/nn.h"

/* model->own of a decoder. */
typedef struct fr_decoder {
    fr_parameter *embedding; /* (V, C) */
    fr_parameter *places;    /* (P, C) learned positions; NULL: none */
    float embedding_scale;   /* of what the embedding gives; 0: 1 */
    float dropout;           /* of what the first layer reads */
    int64_t padding;         /* id whose embedding gets no gradient from being read; -1: none */
    fr_rotary rotary;        /* frequencies NULL: none */
    fr_decoder_layer *layers;
    fr_norm_layer norm;          /* after the last layer */
    fr_linear_layer *classifier; /* C -> labels; NULL: no labels */
    float classifier_dropout;    /* before a classifier of tokens */
    int64_t pad;                 /* ends a text for a classifier of sequences; -1: none */
} fr_decoder;

/* How files name a decoder's parts, by the names of Hugging Face's classes, and what new weights and norms are like. */
typedef struct fr_decoder_form {
    const char *embedding; /* (V, C) */
    const char *layers;    /* "model.layers.": before a layer's number */
    const char *norm;      /* after the last layer */
    const char *output;    /* the output matrix of a language model; NULL: the embedding */
    const char *sequences; /* a classifier of sequences, without bias; NULL: "score" */
    const char *tokens;    /* a classifier of tokens; NULL: "score" */
    double std;            /* of new weights */
    double eps;            /* of norms */
    bool norm_bias;        /* layer norms, else root mean square norms */
    double dropout;        /* before a classifier of tokens */
    /* Declare layer b->layer. `own` is the decoder so far: its rotary positions stay where they are. */
    void (*layer)(fr_builder *b, fr_decoder_layer *layer, const void *config,
                  const fr_decoder *own);
} fr_decoder_form;
/* The names that LLaMA began. */
#define FR_DECODER_USUAL_NAMES                                                                     \
    .embedding = "model.embed_tokens.weight", .layers = "model.layers.", .norm = "model.norm"
/* The decoder of model->layers layers, in model->own, with its embedding. NULL: the error is set. */
fr_decoder *fr_decoder_create(fr_model *model, const fr_decoder_form *form, fr_error *error);
/* Rotary positions for model->head_dim and model->max_positions; the options' lists live as long as the model. */
fr_status fr_decoder_rotate(fr_model *model, const fr_rope_options *options, fr_error *error);
/* The rest, in the files' order: layers, the norm, the parameters of model->head. */
fr_status fr_decoder_declare(fr_model *model, const fr_decoder_form *form, fr_error *error);

/* Fields that transformers' folders of decoders always have, by their usual names. NULL-terminated. */
extern const char *const fr_decoder_required_fields[];

/* A kind's hidden, outputs and destroy. */
fr_tensor *fr_decoder_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch,
                             fr_cache *cache);
void fr_decoder_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs);
void fr_decoder_destroy(fr_model *model);

/* ---- experts.c: layers of experts ---- */

typedef struct fr_experts_options {
    int64_t count, chosen, width; /* experts E, taken per token K, feed-forward width of each */
    bool normalize;
    int64_t interval;       /* layers interval - 1, 2 interval - 1, ... have experts */
    fr_floats plain_layers; /* but not these */
} fr_experts_options;
typedef struct fr_expert_names {
    const char *prefix, *gate, *up, *down; /* PREFIX.gate, PREFIX.experts.E.UP */
} fr_expert_names;
/* A layer of experts, freed with fr_experts_free; NULL: the builder's status is set, or was before. */
fr_experts_layer *fr_builder_experts(fr_builder *b, const fr_expert_names *names,
                                     const fr_experts_options *o, fr_activation activation);
void fr_experts_free(fr_experts_layer *layer);

/* ---- rope_config.c: the options of rotary positions ---- */

/* Rows of a kind's table for `field`, a fr_rope_options in its struct `config`, but for theta and the part that turns, which
   families name differently. */
#define FR_ROPE_OPTIONS(config, field)                                                             \
    {"rope_type",                                                                                  \
     FR_OPTION_CHOICE,                                                                             \
     offsetof(config, field.type),                                                                 \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     fr_rope_type_names,                                                                           \
     "how frequencies are slowed down for a longer context"},                                      \
        {"rope_factor",                                                                            \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.factor),                                                           \
         NULL,                                                                                     \
         1e-6,                                                                                     \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "by how much; 0: the context divided by the original one (yarn, longrope)"},              \
        {"rope_original_context",                                                                  \
         FR_OPTION_INT,                                                                            \
         offsetof(config, field.original_context),                                                 \
         "tokens",                                                                                 \
         0,                                                                                        \
         INT32_MAX,                                                                                \
         NULL,                                                                                     \
         "the context before it was stretched; 0: the context (llama3, yarn, longrope)"},          \
        {"rope_low_freq_factor",                                                                   \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.low_frequency),                                                    \
         NULL,                                                                                     \
         1e-6,                                                                                     \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "waves per original context up to which a frequency is slowed down in full (llama3)"},    \
        {"rope_high_freq_factor",                                                                  \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.high_frequency),                                                   \
         NULL,                                                                                     \
         1e-6,                                                                                     \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "and from which it is left as it is (llama3)"},                                           \
        {"rope_attention_factor",                                                                  \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.attention_factor),                                                 \
         NULL,                                                                                     \
         0,                                                                                        \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "scale of what was turned; -1: follows from rope_factor (yarn, longrope)"},               \
        {"rope_beta_fast",                                                                         \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.beta_fast),                                                        \
         NULL,                                                                                     \
         0,                                                                                        \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "waves per original context from which a frequency is left as it is (yarn)"},             \
        {"rope_beta_slow",                                                                         \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.beta_slow),                                                        \
         NULL,                                                                                     \
         0,                                                                                        \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "and up to which it is slowed down in full (yarn)"},                                      \
        {"rope_mscale",                                                                            \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.mscale),                                                           \
         NULL,                                                                                     \
         0,                                                                                        \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "with rope_mscale_all_dim: how the attention factor follows; 0: by factor alone (yarn)"}, \
        {"rope_mscale_all_dim",                                                                    \
         FR_OPTION_FLOAT,                                                                          \
         offsetof(config, field.mscale_all),                                                       \
         NULL,                                                                                     \
         0,                                                                                        \
         1e6,                                                                                      \
         NULL,                                                                                     \
         "divides what rope_mscale gives (yarn)"},                                                 \
        {"rope_truncate",                                                                          \
         FR_OPTION_BOOL,                                                                           \
         offsetof(config, field.truncate),                                                         \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         "the ramp between fast and slow begins and ends at whole pairs (yarn)"},                  \
        {"rope_short_factor",                                                                      \
         FR_OPTION_FLOATS,                                                                         \
         offsetof(config, field.short_factor),                                                     \
         NULL,                                                                                     \
         1e-9,                                                                                     \
         1e9,                                                                                      \
         NULL,                                                                                     \
         "divisors of the frequencies, one per pair, within the original context (longrope)"},     \
    {                                                                                              \
        "rope_long_factor", FR_OPTION_FLOATS, offsetof(config, field.long_factor), NULL, 1e-9,     \
            1e9, NULL, "and beyond it (longrope)"                                                  \
    }

/* What a new configuration begins with. */
void fr_rope_defaults(fr_rope_options *rope);
/* rope_scaling or rope_parameters of config.json (either may be absent), and an original_max_position_embeddings beside
   them, into `rope`, whose theta and part were read from the fields that the family has for them. fixed_part: the family turns all of
   a head, and refuses another part. */
fr_status fr_rope_config_read(fr_rope_options *rope, const json_t *json, bool fixed_part,
                              const char *path, fr_error *error);
/* Take the recipe's names (rope_type, rope_factor, ...) out of the object, and put a rope_scaling in where one is needed. */
fr_status fr_rope_config_write(const fr_rope_options *rope, json_t *json, fr_error *error);
/* One such object by itself, called `field` in messages; and to write it: freed with json_decref, also after a failure. */
fr_status fr_rope_object_read(fr_rope_options *rope, const json_t *object, const char *field,
                              const char *path, fr_error *error);
fr_status fr_rope_object_write(const fr_rope_options *rope, json_t **object, fr_error *error);
/* Fields of config.json that fr_rope_config_read reads: for a kind's extra_fields. */
#define FR_ROPE_FIELDS "rope_scaling", "rope_parameters", "original_max_position_embeddings"

#endif
