/* encoder.h: what BERT's relatives share: one configuration, one body, one set of heads, and per
   family a description of the names under which files hold them and of what differs.

   bert.c, distilbert.c, mpnet.c and longformer.c are such descriptions. */
#ifndef FRUGAL_MODELS_ENCODER_H
#define FRUGAL_MODELS_ENCODER_H

#include "models/config_rows.h"
#include "nn/nn.h"

/* Which of the configuration's dropouts. */
typedef enum fr_encoder_dropout {
    FR_ENCODER_DROPOUT_NONE,
    FR_ENCODER_DROPOUT_HIDDEN,
    FR_ENCODER_DROPOUT_CLASSIFIER, /* classifier_dropout; where there is none: hidden */
    FR_ENCODER_DROPOUT_SEQUENCE,   /* DistilBERT's seq_classif_dropout */
    FR_ENCODER_DROPOUT_ANSWER,     /* DistilBERT's qa_dropout */
    FR_ENCODER_DROPOUT_SUMMARY     /* ELECTRA's summary_last_dropout */
} fr_encoder_dropout;

/* ELECTRA's summary_type. */
enum { FR_ENCODER_FIRST, FR_ENCODER_LAST, FR_ENCODER_MEAN };
/* Values of fr_encoder_head.activation besides those of fr_activation. */
enum { FR_ENCODER_HIDDEN_ACT = -1, FR_ENCODER_SUMMARY_ACT = -2 };

/* What stands on the body for a task:  out(dropout(norm(activation(dense(dropout(x)))))), where x is the first token's state or
   every token's. Names are whole. */
typedef struct fr_encoder_head {
    const char *dense; /* NULL: only dropout and out */
    const char *norm;  /* behind the activation; NULL: none */
    const char *out;   /* NULL: the body's pooler, whose result is an output itself */
    const char *bias;  /* language models: the output bias, where it is not NAME.bias of out */
    fr_task task;
    int activation;             /* behind dense */
    fr_encoder_dropout dropout; /* before out */
    bool dropout_first;         /* and before dense */
} fr_encoder_head;

/* A family. Names of the body's parts go without the prefix, those of a layer's parts without its number. */
typedef struct fr_encoder_family {
    const char *model_type;
    const char *prefix; /* "bert." */
    const char *pooler; /* "bert.pooler."; NULL: the body has none */
    const char *layer;  /* "bert.encoder.layer." */
    const char *query, *key, *value, *attention_out, *attention_norm, *up, *down,
        *feed_forward_norm;
    bool places_from_padding; /* positions count from the padding id on, and padding stands at it */
    int64_t padding;          /* the id whose rows stay as they are; -1: pad_token_id */
    bool token_types;
    const char *global_query, *global_key, *global_value; /* beside windows; NULL: no windows */
    const char *relative;         /* table of biases by distance; NULL: none */
    const fr_encoder_head *heads; /* ended by one without dense and out */
} fr_encoder_family;

typedef struct fr_encoder_config {
    const fr_encoder_family *family;
    int64_t vocab_size, hidden_size, embedding_size, intermediate_size;
    int64_t num_hidden_layers, num_attention_heads;
    int64_t max_position_embeddings, type_vocab_size;
    int hidden_act;
    double hidden_dropout, attention_dropout;
    double classifier_dropout; /* -1: hidden_dropout */
    double sequence_dropout, answer_dropout, summary_dropout;
    double layer_norm_eps, initializer_range;
    bool tie_word_embeddings;
    int64_t bos_token_id, eos_token_id, pad_token_id, sep_token_id;
    fr_floats attention_window; /* Longformer: of each layer, or of all; empty: 512 */
    int64_t relative_attention_num_buckets;
    /* ELECTRA's summary of a text for multiple choice */
    int summary_type, summary_activation;
    bool summary_use_proj;
} fr_encoder_config;

typedef struct fr_encoder {
    fr_parameter *words, *positions, *types; /* (V, E), (P, E), (types, E); types NULL: none */
    fr_norm_layer norm;                      /* of their sum */
    fr_linear_layer *project;                /* E -> C where they differ */
    fr_relative_layer relative;              /* table NULL: none */
    fr_encoder_layer *layers;
    const fr_encoder_head *head; /* NULL: none */
    fr_linear_layer *dense, *out;
    fr_norm_layer head_norm;
    fr_linear_layer *pooler, *next_sentence; /* of FR_TASK_PRETRAINING */
} fr_encoder;

/* ---- configuration ---- */

/* The family's defaults of a new model. */
void fr_encoder_defaults(fr_encoder_config *config, const fr_encoder_family *family);
/* Refuse what makes a decoder of an encoder (is_decoder, add_cross_attention) and other kinds of positions than absolute ones,
   which are extra fields of config.json. */
fr_status fr_encoder_check_fields(const json_t *json, const char *path, fr_error *error);
extern const char *const fr_encoder_extra_fields[];
/* The table's fields and model_type; -1 of a dropout is null. */
fr_status fr_encoder_write_config(const fr_option_table *table, const void *config, json_t *json,
                                  fr_error *error);

/* What all of a family's descriptor is but names, tables and the configuration. */
#define FR_ENCODER_FUNCTIONS                                                                       \
    .extra_fields = fr_encoder_extra_fields, .build = fr_encoder_build,                            \
    .hidden = fr_encoder_hidden, .features = fr_encoder_features, .outputs = fr_encoder_outputs,   \
    .destroy = fr_encoder_destroy, .ignores_tensor = fr_encoder_ignores_tensor,                    \
    .head_prefixes = fr_encoder_head_prefixes
/* And of one whose body has a pooler. */
#define FR_ENCODER_POOLER_FUNCTIONS                                                                \
    FR_ENCODER_FUNCTIONS, .optional_part = fr_encoder_optional_part,                               \
                          .drop_part = fr_encoder_drop_part

/* The parts of a layer, as BERT names them. */
#define FR_ENCODER_BERT_LAYER                                                                      \
    .query = "attention.self.query", .key = "attention.self.key", .value = "attention.self.value", \
    .attention_out = "attention.output.dense", .attention_norm = "attention.output.LayerNorm",     \
    .up = "intermediate.dense", .down = "output.dense", .feed_forward_norm = "output.LayerNorm"

/* Rows of option tables that all families name alike (config_rows.h). */
/* clang-format off */
#define FR_ENCODER_OPTION_SIZES \
    FR_ROW_VOCABULARY, \
    FR_ROW_PLACES(max_position_embeddings, "rows of the table of positions")
#define FR_ENCODER_OPTION_WIDTHS \
    FR_ROW_WIDTH(hidden_size), \
    FR_ROW_INNER(intermediate_size, "feed-forward width F; 0: 4 hidden_size"), \
    FR_ROW_LAYERS(num_hidden_layers, "layers"), \
    FR_ROW_HEADS(num_attention_heads, "heads H, a divisor of hidden_size"), \
    FR_ROW_ACTIVATION(hidden_act, "activation of the feed-forward layer"), \
    {"hidden_dropout_prob", FR_OPTION_FLOAT, AT(hidden_dropout), NULL, 0, 0.99, NULL, \
     "dropout of the embeddings and of what layers add to the residual stream"}, \
    {"attention_probs_dropout_prob", FR_OPTION_FLOAT, AT(attention_dropout), NULL, 0, 0.99, NULL, \
     "dropout of attention probabilities"}, \
    FR_ROW_VARIANCE_EPS(layer_norm_eps)
#define FR_ENCODER_OPTION_REST \
    FR_ROW_DEVIATION(initializer_range, ""), \
    FR_ROW_FLAG(tie_word_embeddings, "a language model's output matrix is the embedding"), \
    FR_ROW_BOS, \
    FR_ROW_EOS, \
    FR_ROW_ID(pad_token_id, "id that fills rows, whose embedding is not trained; -1: none")
#define FR_ENCODER_OPTION_TYPES \
    {"type_vocab_size", FR_OPTION_INT, AT(type_vocab_size), NULL, 1, 1 << 20, NULL, "token types"}
/* clang-format on */

/* ---- a kind's functions ---- */

/* True with the tape's error set: what an encoder of text cannot honour. */
bool fr_encoder_refuses(const fr_model *model, fr_tape *tape, const fr_batch *batch,
                        const fr_cache *cache);
fr_status fr_encoder_build(fr_model *model, fr_error *error);
fr_tensor *fr_encoder_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch,
                             fr_cache *cache);
void fr_encoder_destroy(fr_model *model);
/* What the heads of all families are named: fr_model_kind.head_prefixes. */
extern const char *const fr_encoder_head_prefixes[];
/* A body's pooler may be missing (add_pooling_layer=False). */
const char *fr_encoder_optional_part(const fr_model *model);
void fr_encoder_drop_part(fr_model *model);
/* Tables of positions, and parts of a pooler or a next-sentence head that a class without them leaves in its file. */
bool fr_encoder_ignores_tensor(const char *name);

/* ---- encoder_global.c: which tokens see all ---- */

/* Fill the step's global, picked and merged as transformers does for the task: the first token for a text's class, the question
   for its answer, the choice for multiple choice. False with the tape's error set. */
bool fr_encoder_choose_global(const fr_model *model, fr_tape *tape, const fr_batch *batch,
                              fr_step *step);

/* ---- encoder_heads.c ---- */

/* Declare the head of model->head.task. */
fr_status fr_encoder_build_head(fr_model *model, fr_error *error);
fr_tensor *fr_encoder_features(fr_model *model, fr_tape *tape, fr_tensor *hidden);
void fr_encoder_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs);
/* States of all places -> those of the first, (B, T, C) -> (B, C). */
fr_tensor *fr_first_token(fr_tape *tape, fr_tensor *x);
/* (rows, 1) -> (rows / choices, choices): a row of numbers for each question. */
fr_tensor *fr_choice_logits(fr_tape *tape, const fr_batch *batch, fr_tensor *x);
/* (B, T, 2) as outputs start_logits and end_logits, (B, T) each. */
void fr_add_answer_logits(fr_tape *tape, fr_outputs *outputs, fr_tensor *x);

#endif
