/* clip.h: CLIP's two towers, each of which is a model of its own as well (clip.c is the whole). */
#ifndef FRUGAL_MODELS_CLIP_H
#define FRUGAL_MODELS_CLIP_H

#include "models/models.h"
#include "nn/nn.h"

/* ---- configuration: a section of CLIP's, or the whole of a tower that stands alone ---- */

/* What both towers have. */
typedef struct clip_shared_config {
    int64_t hidden_size, intermediate_size, projection_dim, num_hidden_layers, num_attention_heads;
    int hidden_act;
    double layer_norm_eps, attention_dropout, initializer_range, initializer_factor;
} clip_shared_config;

typedef struct clip_text_config {
    clip_shared_config shared;
    int64_t vocab_size, max_position_embeddings, pad_token_id, bos_token_id, eos_token_id;
} clip_text_config;

typedef struct clip_vision_config {
    clip_shared_config shared;
    int64_t num_channels, image_size, patch_size;
} clip_vision_config;

void clip_text_defaults(clip_text_config *config);
void clip_vision_defaults(clip_vision_config *config);

/* ---- towers ---- */

typedef struct clip_text {
    fr_parameter *embedding, *positions; /* (V, C), (P, C) */
    fr_decoder_layer *layers;            /* NULL: the model has no such tower */
    fr_norm_layer norm;
    const clip_text_config *config;
} clip_text;

typedef struct clip_vision {
    fr_patch_layer patches;
    fr_norm_layer before, after; /* the layers; after: of the pooled output alone */
    fr_decoder_layer *layers;    /* NULL: the model has no such tower */
    const clip_vision_config *config;
} clip_vision;

/* What a tower makes of its input. */
typedef struct clip_seen {
    fr_tensor *hidden; /* (B, T, C) */
    fr_tensor *pooled; /* (B, C) */
} clip_seen;

/* Declare a tower; its layers are freed with fr_free. */
fr_status clip_text_build(clip_text *tower, fr_model *model, const clip_text_config *config,
                          fr_error *error);
fr_status clip_vision_build(clip_vision *tower, fr_model *model, const clip_vision_config *config,
                            fr_error *error);
clip_seen clip_text_read(const clip_text *tower, fr_model *model, fr_tape *tape,
                         const fr_batch *batch);
clip_seen clip_vision_see(const clip_vision *tower, fr_model *model, fr_tape *tape,
                          const fr_batch *batch);

#endif
