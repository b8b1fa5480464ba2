/* config_rows.h: rows of option tables that stand in many families, said once. A family's table is made of these and of rows of its
   own; before it stands `#define AT(field) offsetof(its_config, field)`.

   Rows that take a field are named after it: Hugging Face's families name the same thing differently (hidden_size, n_embd,
   d_model). */
#ifndef FRUGAL_MODELS_CONFIG_ROWS_H
#define FRUGAL_MODELS_CONFIG_ROWS_H

#include "models/models.h"

/* clang-format off */

/* ---- what kinds of things have in common ---- */

#define FR_ROW_FLAG(field, help) \
    {#field, FR_OPTION_BOOL, AT(field), NULL, 0, 0, NULL, help}
#define FR_ROW_DROPOUT(field, help) \
    {#field, FR_OPTION_FLOAT, AT(field), NULL, 0, 0.99, NULL, help}
#define FR_ROW_ACTIVATION(field, help) \
    {#field, FR_OPTION_CHOICE, AT(field), NULL, 0, 0, fr_activation_names, help}
#define FR_ROW_ID(field, help) /* of a token; -1: none */ \
    {#field, FR_OPTION_INT, AT(field), NULL, -1, INT32_MAX, NULL, help}
#define FR_ROW_LAYERS(field, help) \
    {#field, FR_OPTION_INT, AT(field), NULL, 1, 1 << 14, NULL, help}
#define FR_ROW_HEADS(field, help) \
    {#field, FR_OPTION_INT, AT(field), NULL, 1, 1 << 14, NULL, help}
#define FR_ROW_INNER(field, help) /* a feed-forward width; 0: follows from others */ \
    {#field, FR_OPTION_INT, AT(field), NULL, 0, 1 << 22, NULL, help}
#define FR_ROW_PLACES(field, help) /* rows of a table of positions */ \
    {#field, FR_OPTION_INT, AT(field), "tokens", 1, 1 << 24, NULL, help}
#define FR_ROW_EPS(field, help) \
    {#field, FR_OPTION_FLOAT, AT(field), NULL, 0, 1, NULL, help}
#define FR_ROW_LAYER_TYPES(otherwise) \
    {"layer_types", FR_OPTION_STRINGS, AT(layer_types), NULL, 0, 0, NULL, \
     "full_attention or sliding_attention per layer; empty: " otherwise}

/* ---- sizes ---- */

#define FR_ROW_MODEL_TYPE(names) \
    {"model_type", FR_OPTION_CHOICE, AT(model_type), NULL, 0, 0, names, \
     "member of the family, by Hugging Face's name"}
#define FR_ROW_VOCABULARY \
    {"vocab_size", FR_OPTION_INT, AT(vocab_size), "tokens", 0, INT32_MAX, NULL, \
     "entries of the vocabulary; 0: the tokenizer's"}
#define FR_ROW_WIDTH(field) \
    {#field, FR_OPTION_INT, AT(field), NULL, 1, 1 << 20, NULL, "width C"}
#define FR_ROW_GATED_INNER \
    FR_ROW_INNER(intermediate_size, \
                 "feed-forward width F; 0: 8/3 of hidden_size, rounded up to a multiple of 32")
#define FR_ROW_KV_HEADS \
    {"num_key_value_heads", FR_OPTION_INT, AT(num_key_value_heads), NULL, 0, 1 << 14, NULL, \
     "key and value heads, a divisor of the query heads; 0: as many"}
#define FR_ROW_HEAD_DIM \
    {"head_dim", FR_OPTION_INT, AT(head_dim), NULL, 0, 1 << 14, NULL, \
     "width D of a head, even; 0: hidden_size / num_attention_heads"}
#define FR_ROW_CONTEXT \
    {"max_position_embeddings", FR_OPTION_INT, AT(max_position_embeddings), "tokens", 1, INT32_MAX, \
     NULL, "the context that the model is made for"}

/* ---- norms, positions, new weights ---- */

#define FR_ROW_VARIANCE_EPS(field) FR_ROW_EPS(field, "added to the variance before the root")
#define FR_ROW_SQUARE_EPS(field) FR_ROW_EPS(field, "added to the mean square before the root")
/* Of a fr_rope_options called rope. */
#define FR_ROW_ROPE_BASE(name) \
    {name, FR_OPTION_FLOAT, AT(rope.theta), NULL, 1, 1e12, NULL, "base of the rotary frequencies"}
#define FR_ROW_ROPE_PART(name) \
    {name, FR_OPTION_FLOAT, AT(rope.part), NULL, 0, 1, NULL, \
     "part of a head that turns with the position"}
#define FR_ROW_DEVIATION(field, more) \
    {#field, FR_OPTION_FLOAT, AT(field), NULL, 0, 1, NULL, "standard deviation of new weights" more}
#define FR_ROW_DECODER_DEVIATION \
    FR_ROW_DEVIATION(initializer_range, \
                     "; projections into the residual stream get it divided by sqrt(2 layers)")
#define FR_ROW_TIED(field) FR_ROW_FLAG(field, "the output matrix is the embedding")

/* ---- dropout ---- */

#define FR_ROW_ATTENTION_DROPOUT(field) \
    FR_ROW_DROPOUT(field, "dropout of attention probabilities")
#define FR_ROW_RESIDUAL_DROPOUT(field) \
    FR_ROW_DROPOUT(field, "dropout of what layers add to the residual stream")
#define FR_ROW_HIDDEN_DROPOUT(field) \
    FR_ROW_DROPOUT(field, "dropout of the embeddings and of what layers add to the residual stream")
#define FR_ROW_EMBEDDING_DROPOUT(field) FR_ROW_DROPOUT(field, "dropout of the embeddings")
#define FR_ROW_TOKENS_DROPOUT \
    FR_ROW_DROPOUT(classifier_dropout, "dropout before a classifier of tokens")

/* ---- tokens ---- */

#define FR_ROW_BOS FR_ROW_ID(bos_token_id, "id that begins a text; -1: the tokenizer's, or none")
#define FR_ROW_EOS FR_ROW_ID(eos_token_id, "id that ends a text; -1: the tokenizer's, or none")
#define FR_ROW_PAD FR_ROW_ID(pad_token_id, "id that fills rows; -1: none")
#define FR_ROW_STILL_PAD \
    FR_ROW_ID(pad_token_id, \
              "id that fills rows, whose embedding gets no gradient from being read; -1: none")
#define FR_ROW_START \
    FR_ROW_ID(decoder_start_token_id, "id that the decoder reads first; -1: none")

/* clang-format on */

#endif
