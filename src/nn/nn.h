/* nn.h: the layers that models are built from.

   A layer is a small struct of parameters and numbers, filled by a model's `build`, and a function
   that applies it on a tape. Letters: B rows, T positions, C width, H heads, D head width. */
#ifndef FRUGAL_NN_H
#define FRUGAL_NN_H

#include "frugal/model.h"

/* ---- norms ---- */

typedef struct fr_norm_layer {
    fr_parameter *weight;
    fr_parameter *bias; /* NULL: root mean square norm; else layer norm */
    float eps;
    bool centred;  /* layer norm, even without a bias */
    bool from_one; /* the weight w stands for 1 + w (Gemma) */
} fr_norm_layer;

/* Declare NAME.weight (ones) and, with `bias`, NAME.bias (zeros) over an axis of `width`. */
fr_status fr_norm_declare(fr_norm_layer *layer, fr_model *model, const char *name, int64_t width,
                          fr_axis axis, bool bias, double eps, fr_error *error);
/* The weight of a norm just declared stands for 1 + w, and begins at zero. */
void fr_norm_count_from_one(fr_norm_layer *layer);
/* x (..., width) -> the same shape. */
fr_tensor *fr_norm_apply(const fr_norm_layer *layer, fr_tape *tape, fr_tensor *x);

/* ---- weight forms ---- */

fr_weight *fr_dense_create(fr_parameter *parameter); /* NULL: no memory */
/* The value of its parameter has been replaced, perhaps by one that is stored otherwise. */
void fr_weight_refresh(fr_weight *weight);
void fr_linear_layer_destroy(fr_linear_layer *layer);

/* ---- positions ---- */

typedef enum fr_rope_type {
    FR_ROPE_DEFAULT,
    FR_ROPE_LINEAR,
    FR_ROPE_DYNAMIC,
    FR_ROPE_YARN,
    FR_ROPE_LONGROPE,
    FR_ROPE_LLAMA3
} fr_rope_type;
/* Hugging Face's names in the order of fr_rope_type, NULL-terminated: choices of an option. */
extern const char *const fr_rope_type_names[];
typedef struct fr_rope_options {
    double theta;
    int type;      /* fr_rope_type */
    double part;   /* of a head's D that turns */
    double factor; /* all but default; 0 for yarn and longrope: context / original context */
    double low_frequency, high_frequency; /* llama3: waves per original context, low < high */
    int64_t original_context;             /* llama3, yarn, longrope; 0: the context */
    double attention_factor;     /* yarn, longrope: of what was turned; -1: follows from factor */
    double beta_fast, beta_slow; /* yarn: waves per original context */
    double mscale, mscale_all;   /* yarn: how the attention factor follows; 0: by factor alone */
    bool truncate;               /* yarn: the ramp begins and ends at whole pairs */
    fr_floats short_factor, long_factor; /* longrope: R/2 divisors of frequencies each */
} fr_rope_options;
/* R, the numbers of a head that turn: even, at most head_dim where the options are right. */
int64_t fr_rope_width(const fr_rope_options *options, int64_t head_dim);
/* Are the options a rule for heads of that width? */
fr_status fr_rope_check(const fr_rope_options *options, int64_t head_dim, int64_t context,
                        fr_error *error);

/* The tables that the options give. */
typedef struct fr_rotary {
    fr_rope_options options; /* its lists belong to the configuration, which lives longer */
    int64_t head_dim, context;
    fr_tensor *frequencies; /* (R/2) inverse frequencies; NULL: nothing turns */
    float scaling;          /* of what was turned */
    bool by_length;         /* frequencies follow the length of what is read: see fr_step */
} fr_rotary;
/* `context`: positions that the model is made for. Freed with fr_rotary_free. */
fr_status fr_rotary_create(fr_rotary *rotary, const fr_rope_options *options, int64_t head_dim,
                           int64_t context, fr_error *error);
void fr_rotary_free(fr_rotary *rotary);

/* ---- taps ---- */

/* The tap "layers.INDEX.NAME" of a layer. A model with several stacks of layers gives each a tower, which its
   taps begin with ("vision_model."); NULL: none. */
fr_tensor *fr_layer_tap(fr_tape *tape, fr_tensor *value, const char *tower, int index,
                        const char *name);

/* ---- attention ---- */

/* What a layer must know of the call besides its input. */
typedef struct fr_step {
    fr_tensor *positions;     /* (B, T) i32, or NULL: 0..T-1 */
    fr_tensor *segments;      /* (B, T) i32, or NULL */
    fr_cache *cache;          /* opened by fr_cache_begin, or NULL */
    fr_tensor *lengths;       /* (B) i32: keys of a row that exist, the rest is padding; or NULL */
    fr_tensor *frequencies;   /* (R/2), with a cache (B, R/2), for a rotary by_length; else NULL */
    fr_tensor *relative_bias; /* of every layer's scores, as fr_attention_options has it, or NULL */
    fr_tensor *global;        /* (B, T) i32 keys that windows do not hide, or NULL */
    /* With those of layers that have a `global`: which of the B * T tokens they are, (B * G) i32, G of each row; and where the B * T
       results stand behind each other in B * T results of windows and B * G of global tokens. NULL: there are none. */
    fr_tensor *picked, *merged;
    /* Of layers that attend to another stack: its states (B, S, C), with a cache NULL, for the keys and values are there; and
       (B) i32 how many of a row's states are no padding, or NULL. */
    fr_tensor *memory, *memory_lengths;
} fr_step;
/* Fill step->frequencies for what is being read: T columns, at the step's positions or behind what the cache holds, of a
   text of `whole` tokens (0: it ends there). False with the tape's error set. */
bool fr_rotary_begin(const fr_rotary *rotary, fr_tape *tape, fr_step *step, int64_t columns,
                     int64_t whole);

/* Projections of tokens that see all, beside a window: C -> H*D each. */
typedef struct fr_global_layer {
    fr_linear_layer *query, *key, *value;
} fr_global_layer;

typedef struct fr_attention_layer {
    fr_linear_layer *query, *key, *value; /* C -> H*D, Hkv*D, Hkv*D */
    fr_linear_layer *fused;               /* instead of the three: C -> (H + 2 Hkv) * D */
    bool fused_by_head;   /* fused gives q, k, v of one head after the other (H = Hkv) */
    fr_linear_layer *out; /* H*D -> C */
    fr_norm_layer query_norm, key_norm; /* over each head's D, or over all; weight NULL: none */
    const fr_rotary *rotary;            /* NULL: none */
    const fr_global_layer *global;      /* NULL: none */
    int64_t heads, kv_heads, head_dim;
    float scale;         /* of the scores; 0: 1 / sqrt(D) */
    int window;          /* 0: no limit */
    bool bidirectional;  /* queries see keys on both sides */
    float cap;           /* of the scores; 0: none */
    float score_dropout; /* of the probabilities */
    float dropout;       /* of the result */
    int index;           /* number of the layer: names its taps and its part of the cache */
    const char *tower;   /* see fr_layer_tap */
} fr_attention_layer;

/* Self-attention: x (B, T, C) -> (B, T, C). Taps layers.N.attention.{q,k,v,out}. */
fr_tensor *fr_attention_apply(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x,
                              const fr_step *step);

/* Put what global tokens see of x (B, T, C) into their places of `local` (B, T, H*D), what windows gave. */
fr_tensor *fr_global_attention_apply(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x,
                                     fr_tensor *local, const fr_step *step);

/* ---- feed-forward ---- */

typedef enum fr_activation {
    FR_ACTIVATION_GELU_NEW,
    FR_ACTIVATION_GELU,
    FR_ACTIVATION_GELU_TANH,
    FR_ACTIVATION_SILU,
    FR_ACTIVATION_RELU,
    FR_ACTIVATION_QUICK_GELU,
    FR_ACTIVATION_TANH,
    FR_ACTIVATION_GELU_FAST,        /* another name of gelu_tanh */
    FR_ACTIVATION_SWISH,            /* another name of silu */
    FR_ACTIVATION_LINEAR,           /* x itself */
    FR_ACTIVATION_RELU2,            /* relu(x)^2 */
    FR_ACTIVATION_GELU_PYTHON,      /* another name of gelu */
    FR_ACTIVATION_GELU_PYTHON_TANH, /* other names of gelu_tanh */
    FR_ACTIVATION_GELU_ACCURATE
} fr_activation;
/* Hugging Face's names in the order of fr_activation, NULL-terminated: choices of an option. */
extern const char *const fr_activation_names[];
fr_tensor *fr_activate(fr_tape *tape, fr_tensor *x, fr_activation activation);

typedef struct fr_feed_forward_layer {
    fr_linear_layer *up, *down;       /* C -> F -> C */
    fr_linear_layer *gate;            /* C -> F; NULL: down(f(up x)), else down(f(gate x) * up x) */
    fr_linear_layer *fused;           /* instead of gate and up: C -> 2F, gate before up; or NULL */
    struct fr_experts_layer *experts; /* instead of all of these; or NULL */
    fr_activation activation;
    float inner_dropout; /* of what down reads */
    float dropout;       /* of the result */
    int index;
    const char *tower; /* see fr_layer_tap */
} fr_feed_forward_layer;

/* x (..., C) -> (..., C). Taps layers.N.feed_forward.out. */
fr_tensor *fr_feed_forward_apply(const fr_feed_forward_layer *layer, fr_tape *tape, fr_tensor *x);
/* The same without tap and dropout. */
fr_tensor *fr_feed_forward_inner(const fr_feed_forward_layer *layer, fr_tape *tape, fr_tensor *x);

/* Experts of which each token goes through some. */
typedef struct fr_experts_layer {
    fr_linear_layer *router;        /* C -> E */
    fr_feed_forward_layer *experts; /* E of them, owned */
    int64_t count, chosen;          /* E, K */
    bool normalize;                 /* the K weights of a token sum to one */
    int index;                      /* of the layer: names its tap */
} fr_experts_layer;
/* x (..., C) -> (..., C). Tap layers.N.feed_forward.router: (N, E) before the softmax. */
fr_tensor *fr_experts_apply(const fr_experts_layer *layer, fr_tape *tape, fr_tensor *x);

/* ---- a decoder's layer ---- */

enum { FR_DECODER_PARTS = 4, FR_DECODER_CALLS = 1 << FR_DECODER_PARTS };
typedef struct fr_decoder_call {
    const struct fr_decoder_layer *layer;
    int given; /* which of the step's tensors there are */
} fr_decoder_call;

/* h = x + post(attention(norm(x))), y = h + post'(feed_forward(norm'(h))); parallel:
   y = x + post(attention(norm(x))) + post'(feed_forward(norm'(x))). Norms whose weight is NULL are left out. */
typedef struct fr_decoder_layer {
    fr_norm_layer attention_norm, feed_forward_norm;
    fr_norm_layer attention_post_norm, feed_forward_post_norm;
    bool parallel;
    fr_attention_layer attention;
    fr_feed_forward_layer feed_forward;
    fr_decoder_call calls[FR_DECODER_CALLS]; /* filled by fr_decoder_layer_number */
} fr_decoder_layer;

/* The layer is number `index` of its model, and stays where it is as long as the model lives. */
void fr_decoder_layer_number(fr_decoder_layer *layer, int index);
/* x (B, T, C) -> (B, T, C). Taps as of its parts, and layers.N.out. recompute: keep only x and the
   result; backward computes the layer again. */
fr_tensor *fr_decoder_layer_apply(fr_decoder_layer *layer, fr_tape *tape, fr_tensor *x,
                                  const fr_step *step, bool recompute);

/* ---- biases by distance ---- */

typedef struct fr_relative_layer {
    fr_parameter *table;   /* (buckets, H) or more rows, which are not used */
    int64_t buckets;       /* of which a bidirectional layer gives half to each side */
    int64_t most_distance; /* from which on all distances are one */
    bool bidirectional;
} fr_relative_layer;
/* What fr_step.relative_bias wants for rows of at most `tokens` keys: (H, 2R + 1). */
fr_tensor *fr_relative_bias(const fr_relative_layer *layer, fr_tape *tape, int64_t tokens);

/* ---- an encoder's layer ---- */

enum { FR_ENCODER_PARTS = 8, FR_ENCODER_CALLS = 1 << (FR_ENCODER_PARTS - 2) };
typedef struct fr_encoder_call {
    const struct fr_encoder_layer *layer;
    int given; /* which of the step's tensors there are */
} fr_encoder_call;

/* h = norm(x + attention(x)), y = norm(h + feed_forward(h)); with norm_first as a decoder's layer, where a norm without weight
   is none. Attention sees both sides. */
typedef struct fr_encoder_layer {
    fr_norm_layer attention_norm, feed_forward_norm;
    fr_attention_layer attention;
    fr_feed_forward_layer feed_forward;
    fr_global_layer global; /* what attention.global points to, where it does */
    bool norm_first;
    fr_encoder_call calls[FR_ENCODER_CALLS]; /* filled by fr_encoder_layer_number */
} fr_encoder_layer;

/* The layer is number `index` of its model, and stays where it is as long as the model lives. */
void fr_encoder_layer_number(fr_encoder_layer *layer, int index);
/* x (B, T, C) -> (B, T, C). Taps as of its parts, and layers.N.out. recompute: keep only x and the
   result; backward computes the layer again. */
fr_tensor *fr_encoder_layer_apply(fr_encoder_layer *layer, fr_tape *tape, fr_tensor *x,
                                  const fr_step *step, bool recompute);

/* ---- a layer that reads an encoder's states, too ---- */

/* Queries from x (B, T, C), keys and values from the step's memory -> (B, T, C). Every query sees all of it. Taps
   layers.N.cross_attention.{q,out}. */
fr_tensor *fr_cross_attention_apply(const fr_attention_layer *layer, fr_tape *tape, fr_tensor *x,
                                    const fr_step *step);

enum { FR_CROSS_PARTS = 3, FR_CROSS_CALLS = 1 << FR_CROSS_PARTS };
typedef struct fr_cross_call {
    const struct fr_cross_layer *layer;
    int given; /* which of the step's tensors there are */
} fr_cross_call;

/* g = norm(x + attention(x)), h = norm(g + cross(g)), y = norm(h + feed_forward(h)); with norm_first each norm stands before its
   part instead. */
typedef struct fr_cross_layer {
    fr_norm_layer attention_norm, cross_norm, feed_forward_norm;
    fr_attention_layer attention, cross;
    fr_feed_forward_layer feed_forward;
    bool norm_first;
    fr_cross_call calls[FR_CROSS_CALLS]; /* filled by fr_cross_layer_number */
} fr_cross_layer;

/* The layer is number `index` of its model, and stays where it is as long as the model lives. */
void fr_cross_layer_number(fr_cross_layer *layer, int index);
/* x (B, T, C) -> (B, T, C). Taps as of its parts, and layers.N.out. */
fr_tensor *fr_cross_layer_apply(fr_cross_layer *layer, fr_tape *tape, fr_tensor *x,
                                const fr_step *step, bool recompute);
/* Put the layer's keys and values of the memory (B, S, C), of which lengths (B) i32 exist (NULL: all), into the cache. False with
   the tape's error set. */
bool fr_cross_layer_memorise(const fr_cross_layer *layer, fr_tape *tape, fr_tensor *memory,
                             fr_tensor *lengths, fr_cache *cache);

/* ---- images ---- */

enum { FR_PATCH_TOKENS = 2 };
typedef struct fr_patch_layer {
    fr_parameter *weight;    /* (C, channels, P, Q) */
    fr_parameter *bias;      /* (C); NULL: none */
    fr_parameter *positions; /* C numbers for each of the S tokens and the patches */
    fr_parameter
        *tokens[FR_PATCH_TOKENS]; /* C numbers each: the S before the patches, at least one */
    int64_t height, width;        /* of the image */
} fr_patch_layer;

/* pixels (B, channels, height, width) -> (B, S + patches, C), patches row by row. */
fr_tensor *fr_patch_apply(const fr_patch_layer *layer, fr_tape *tape, fr_tensor *pixels);

/* ---- the cache, as layers see it ---- */

/* Open a step: check the batch against the cache, count the new tokens in, and say where they
   stand: *positions is batch->positions or made here. False with the tape's error set. */
bool fr_cache_begin(fr_cache *cache, fr_tape *tape, const fr_batch *batch, fr_tensor **positions);
/* Store a layer's new keys and values (B, T, Hkv*D) and put all that it holds in their place: (B,
   capacity, Hkv*D), of which `existing` (B) says how many there are. False with the tape's error
   set. */
bool fr_cache_append(fr_cache *cache, fr_tape *tape, int layer, fr_tensor **keys,
                     fr_tensor **values, fr_tensor **existing);
/* Keep a layer's keys and values (B, S, Hkv*D) of what an encoder gave, instead of earlier ones; lengths (B) i32 or NULL. And give
   them back with their lengths. False with the tape's error set. */
bool fr_cache_memorise(fr_cache *cache, fr_tape *tape, int layer, const fr_tensor *keys,
                       const fr_tensor *values, const fr_tensor *lengths);
bool fr_cache_recall(const fr_cache *cache, fr_tape *tape, int layer, fr_tensor **keys,
                     fr_tensor **values, fr_tensor **lengths);

#endif
