/* gguf.h: how the models of this room stand in GGUF files.

   llama.cpp's names and conventions are data: an fr_gguf_arch says, for one of its architectures, what its tensors are called, in
   which order their rows stand, which numbers of config.json are which values, and what it cannot say. A kind lists its
   architectures (fr_model_kind.gguf). Source: conversion/ and src/llama-model.cpp in the repository ggml-org/llama.cpp. */
#ifndef FRUGAL_MODELS_GGUF_H
#define FRUGAL_MODELS_GGUF_H

#include "frugal/formats.h"
#include "models/models.h"

/* ---- names ---- */

/* The order of a matrix's rows (or a bias's numbers) in the file. */
typedef enum fr_gguf_order {
    FR_GGUF_SAME,
    /* The two halves of each head's rows alternate, for llama.cpp turns neighbours where we turn halves. */
    FR_GGUF_ALTERNATE,
    /* All queries, all keys, all values, where we have the three of each head together (GPT-NeoX). */
    FR_GGUF_APART
} fr_gguf_order;

/* A tensor's name without ".weight" or ".bias", which are the same on both sides. % is the number of a layer, # of an expert: all
   experts of a layer are one tensor there. */
typedef struct fr_gguf_name {
    const char *file, *own;
    fr_gguf_order order;
    float shift; /* the file holds the numbers plus this (Gemma's norms) */
    bool full;   /* always f32 there */
} fr_gguf_name;

/* clang-format off */
/* Rows of a table of names: a matrix as it is, and what is always f32 there. */
#define FR_GGUF_MATRIX(file, own) {file, own, FR_GGUF_SAME, 0, false}
#define FR_GGUF_FULL(file, own) {file, own, FR_GGUF_SAME, 0, true}
/* clang-format on */

/* ---- values ---- */

typedef enum fr_gguf_type { FR_GGUF_INT, FR_GGUF_REAL, FR_GGUF_FLAG } fr_gguf_type;
/* ARCHITECTURE.KEY and a field of config.json. */
typedef struct fr_gguf_field {
    const char *key, *field;
    fr_gguf_type type;
    bool required;
    const char
        *otherwise; /* the field whose number is taken where the key is missing; NULL: none */
} fr_gguf_field;
/* clang-format off */
/* Rows that architectures share whose fields have the usual names. */
#define FR_GGUF_SIZE_FIELDS \
    {"context_length", "max_position_embeddings", FR_GGUF_INT, true, NULL}, \
    {"embedding_length", "hidden_size", FR_GGUF_INT, true, NULL}, \
    {"block_count", "num_hidden_layers", FR_GGUF_INT, true, NULL}, \
    {"feed_forward_length", "intermediate_size", FR_GGUF_INT, true, NULL}, \
    {"attention.head_count", "num_attention_heads", FR_GGUF_INT, true, NULL}
/* And those of LLaMA's relatives. */
#define FR_GGUF_USUAL_FIELDS \
    FR_GGUF_SIZE_FIELDS, \
    {"attention.head_count_kv", "num_key_value_heads", FR_GGUF_INT, false, "num_attention_heads"}, \
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", FR_GGUF_REAL, true, NULL}
/* clang-format on */

typedef struct fr_gguf_arch {
    const char *name;                       /* general.architecture */
    const char *model_type;                 /* config.json's */
    const fr_gguf_name *names, *more_names; /* each ended by a NULL; more_names may be NULL */
    const fr_gguf_field *fields;            /* ended by a NULL */
    const fr_gguf_field *more_fields;       /* may be NULL */
    /* What the tables do not say. Refuse what llama.cpp would compute otherwise; add values and tensors. NULL: nothing. */
    fr_status (*write)(const struct fr_gguf_arch *arch, const fr_model *model, const json_t *config,
                       fr_gguf_draft *draft, fr_error *error);
    /* The way back: fill `config`; it may change model_type to another of the kind's. NULL: nothing. */
    fr_status (*read)(const struct fr_gguf_arch *arch, const fr_gguf *file, json_t *config,
                      fr_error *error);
    const char *const *ignored; /* tensors that `read` takes, NULL-terminated; NULL: none */
    bool needs_output; /* llama.cpp wants the output matrix also where it is the embedding */
} fr_gguf_arch;

/* NULL-terminated. */
extern const fr_gguf_arch *const fr_gguf_gpt2[],
    *const fr_gguf_llama[], *const fr_gguf_gptneox[], *const fr_gguf_phi3[],
                                                          *const fr_gguf_gemma2[];

/* ---- for the tables' functions ---- */

/* "ARCH.KEY" of an architecture into text. */
enum { FR_GGUF_KEY = 128 };
const char *fr_gguf_key(const fr_gguf_arch *arch, const char *key, char text[FR_GGUF_KEY]);
/* Fails unless config's field is absent, null, false or zero: "llama.cpp has no FIELD". */
fr_status fr_gguf_refuse(const json_t *config, const char *field, fr_error *error);
/* Fails unless the string field is one of the NULL-terminated list. */
fr_status fr_gguf_expect(const json_t *config, const char *field, const char *const *known,
                         fr_error *error);
/* Fails unless the number field is `wanted`: "llama.cpp always takes ...". */
fr_status fr_gguf_expect_number(const json_t *config, const char *field, double wanted,
                                fr_error *error);
/* A number that was f32, as the shortest decimal that gives it: 1e-5, not 9.99999974e-06. */
json_t *fr_gguf_json_real(double number);
/* A vector that is no parameter. */
fr_status fr_gguf_put_floats(fr_gguf_draft *draft, const char *name, const float *floats,
                             int64_t count, fr_error *error);
/* The object of config.json that scales rotary positions, and its type; NULL: there is none, or "default". */
const json_t *fr_gguf_rope(const json_t *config, const char **type);
/* Scaling of rotary positions, from and to config.json's rope_scaling (or rope_parameters). D: rotated width of a head. */
fr_status fr_gguf_write_rope(const fr_gguf_arch *arch, const json_t *config, int64_t rotated,
                             fr_gguf_draft *draft, fr_error *error);
fr_status fr_gguf_read_rope(const fr_gguf_arch *arch, const fr_gguf *file, int64_t rotated,
                            json_t *config, fr_error *error);

/* ---- gguf_names.c ---- */

/* Where a parameter stands. */
typedef struct fr_gguf_place {
    char name[96];
    int64_t expert; /* -1: the tensor is the parameter's alone */
    const fr_gguf_name *rule;
} fr_gguf_place;
/* False: the architecture has no name for it. */
bool fr_gguf_place_of(const fr_gguf_arch *arch, const fr_parameter *parameter,
                      fr_gguf_place *place);
/* Our row that stands as number `row` in the file. */
int64_t fr_gguf_own_row(const fr_model *model, fr_gguf_order order, int64_t row);
/* The architecture of a kind by config.json's model_type; NULL: none. */
const fr_gguf_arch *fr_gguf_arch_of(const fr_model_kind *kind, const char *model_type);

/* ---- gguf_load.c ---- */

/* A model from a GGUF file. */
fr_status fr_gguf_load(fr_model **model, const char *path, const fr_model_change *change,
                       fr_weights weights, fr_error *error);

#endif
