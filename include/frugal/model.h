/* model.h: weight forms, models and their folders.

   A model has a kind (an architecture family, one file in src/models/), a configuration (the fields of config.json, by Hugging
   Face's names) and parameters. On disk it is a Hugging Face folder. */
#ifndef FRUGAL_MODEL_H
#define FRUGAL_MODEL_H

#include "frugal/operators.h"
#include "frugal/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- weight forms: how the matrix of a linear layer is stored, applied, differentiated, merged ----------------------- */

typedef struct fr_weight fr_weight;
typedef struct fr_weight_kind {
    fr_kind base;
    /* y = x W^T on the tape; x (..., in) -> (..., out). Backward follows from the operators it uses. */
    fr_tensor *(*apply)(fr_weight *weight, fr_tape *tape, fr_tensor *x);
    /* The equivalent dense matrix (out, in) f32, written into `out`. */
    fr_status (*dense)(const fr_weight *weight, float *out, fr_error *error);
    void (*destroy)(fr_weight *weight);
} fr_weight_kind;
struct fr_weight {
    const fr_weight_kind *kind;
    int64_t out, in;
    fr_parameter *parameter; /* dense: the matrix; wrapping forms: NULL */
    fr_weight *inner;        /* what a wrapping form wraps */
    void *own;               /* the form's own data */
};
extern const fr_registry fr_weight_forms; /* dense */

/* ---- batches and caches -------------------------------------------------------------------------------------------------- */

/* What a model reads and an objective compares with; tensors live on the tape or outside it. */
typedef struct fr_batch {
    fr_tensor *ids;       /* (B, T) i32 */
    fr_tensor *positions; /* (B, T) i32, or NULL: 0..T-1 (plus the cache's length) */
    fr_tensor *segments;  /* (B, T) i32 number of the document inside the row, or NULL: attention crosses documents */
    fr_tensor *targets;   /* (B, T) i32, FR_IGNORE where there is none; NULL when only outputs are wanted */
    fr_tensor *weights;   /* (B, T) f32 per-token loss weights, or NULL */
} fr_batch;

/* Keys and values of what was read before. For decoding on NO_GRAD tapes. Rows may have different lengths. */
typedef struct fr_cache fr_cache;

/* ---- models ---------------------------------------------------------------------------------------------------------------- */

typedef struct fr_model fr_model;
struct json_t; /* jansson */

typedef struct fr_model_kind {
    fr_kind base;                    /* options: the configuration, fields named as in config.json */
    const char *const *model_types;  /* config.json "model_type" values that this file reads, NULL-terminated */
    /* Fill `config` from config.json (fields already present in the table are read by the table; this does the rest:
       defaults by model_type, refusal by name of what is not supported). */
    fr_status (*read_config)(void *config, const struct json_t *json, const char *path, fr_error *error);
    /* Write the fields into a config.json object. */
    fr_status (*write_config)(const void *config, struct json_t *json, fr_error *error);
    /* Check the configuration and declare the parameters with fr_model_add_parameter. */
    fr_status (*build)(fr_model *model, fr_error *error);
    /* ids -> hidden states after the final norm, (B, T, C). cache may be NULL; it is appended to. */
    fr_tensor *(*hidden)(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache);
    void (*destroy)(fr_model *model); /* frees model->own */
} fr_model_kind;

struct fr_model {
    const fr_model_kind *kind;
    void *config;               /* the kind's options struct */
    fr_parameter **parameters;  /* in the order of declaration, which is the order of everything (init, files, state) */
    size_t parameter_count;
    /* what decoding and objectives need to know, filled by build: */
    int64_t vocabulary, width, layers, heads, kv_heads, head_dim, max_positions;
    fr_parameter *head;         /* (V, C) output matrix: the embedding when tied */
    int64_t eos, bos, pad;      /* -1: none */
    bool shapes_only;           /* parameters have no data: for plans */
    bool recompute;             /* hidden() puts each layer into fr_recompute */
    void *own;                  /* the kind's layers */
};

extern const fr_registry fr_models; /* gpt2, llama */

/* A new model with random weights drawn from (seed, init, number of the parameter, element). `config` is copied (strings too).
   shapes_only: parameters without data. */
fr_status fr_model_create(fr_model **model, const fr_model_kind *kind, const void *config, uint64_t seed, bool shapes_only,
                          fr_error *error);
void fr_model_destroy(fr_model *model);
/* From a Hugging Face folder. Missing, unexpected and mis-shaped tensors are named; unknown architectures and configuration
   fields that change the result are refused by name. Weights are converted to f32. */
fr_status fr_model_load(fr_model **model, const char *folder, fr_error *error);
/* config.json, generation_config.json, model.safetensors in `dtype` (f32, bf16, f16). Each file is written whole or not at
   all. The tokenizer and the model card are written by their owners. */
fr_status fr_model_save(const fr_model *model, const char *folder, fr_dtype dtype, fr_error *error);

/* For kinds: declare a parameter. init_std as in fr_parameter. Returns NULL on error. */
fr_parameter *fr_model_add_parameter(fr_model *model, const char *name, int rank, const int64_t *shape, const fr_axis *axes,
                                     bool matrix, float init_std, fr_error *error);
fr_parameter *fr_model_parameter(const fr_model *model, const char *name); /* NULL: none of that name */
int64_t fr_model_parameter_total(const fr_model *model);                   /* number of weights; tied ones once */
/* Allocate gradients (kind GRADIENTS) for parameters that train; zero them. */
fr_status fr_model_create_gradients(fr_model *model, fr_error *error);
void fr_model_zero_gradients(fr_model *model);
/* Register "model.NAME" for every parameter. */
fr_status fr_model_state(fr_model *model, fr_state *state, fr_error *error);

fr_tensor *fr_model_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache); /* (B, T, C) */
fr_tensor *fr_model_logits(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache); /* (B, T, V) */

/* `rows` sequences of at most `capacity` positions each. */
fr_cache *fr_cache_create(const fr_model *model, int64_t rows, int64_t capacity, fr_error *error);
void fr_cache_destroy(fr_cache *cache);
void fr_cache_clear(fr_cache *cache);
int64_t fr_cache_length(const fr_cache *cache, int64_t row);
/* Drop all but the first `length` positions of a row. */
void fr_cache_truncate(fr_cache *cache, int64_t row, int64_t length);

#ifdef __cplusplus
}
#endif
#endif
