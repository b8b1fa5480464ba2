/* llama.h: what the two files of the LLaMA family share: its configuration. */
#ifndef FRUGAL_MODELS_LLAMA_H
#define FRUGAL_MODELS_LLAMA_H

#include "models/decoder.h"

/* Members of the family, in the order of their names. */
enum { LLAMA, MISTRAL, QWEN2, QWEN3, OLMO2, SMOLLM3, MIXTRAL, QWEN3_MOE };
extern const char *const fr_llama_type_names[];

typedef struct llama_config {
    int model_type;
    int64_t vocab_size, hidden_size, intermediate_size;
    int64_t num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim;
    int64_t max_position_embeddings;
    int hidden_act;
    double rms_norm_eps, initializer_range;
    fr_rope_options rope;
    bool tie_word_embeddings, attention_bias, mlp_bias;
    double attention_dropout, classifier_dropout;
    bool use_sliding_window;
    int64_t sliding_window, max_window_layers;
    fr_strings layer_types;
    fr_floats no_rope_layers;
    int64_t no_rope_layer_interval;
    fr_experts_options experts;
    int64_t bos_token_id, eos_token_id, pad_token_id;
} llama_config;

static inline bool fr_llama_has_experts(int model_type)
{
    return model_type == MIXTRAL || model_type == QWEN3_MOE;
}

/* Is there a sliding_window only where use_sliding_window says so? */
static inline bool fr_llama_windows_on_demand(int model_type)
{
    return model_type == QWEN2 || model_type == QWEN3 || model_type == QWEN3_MOE;
}

/* Refuses fields that the model type has not: such a folder would mean something else to others. */
fr_status fr_llama_check_fields(const llama_config *config, fr_error *error);
/* The kind's build. */
fr_status fr_llama_build(fr_model *model, fr_error *error);

#endif
