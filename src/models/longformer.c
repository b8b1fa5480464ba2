/* longformer.c: Longformer (arXiv 2004.05150): RoBERTa whose tokens see a window, but for a few that
   see all and are seen by all (encoder_global.c). transformers fills rows up to whole windows; what
   comes out is the same without. */
#include "models/encoder.h"

/* ---- family ---- */

enum { TANH = FR_ACTIVATION_TANH };

static const fr_encoder_head heads[] = {
    {.task = FR_TASK_NONE, .dense = "longformer.pooler.dense", .activation = TANH},
    {.task = FR_TASK_MASKED_LM,
     .dense = "lm_head.dense",
     .activation = FR_ACTIVATION_GELU,
     .norm = "lm_head.layer_norm",
     .out = "lm_head.decoder",
     .bias = "lm_head.bias"},
    {.task = FR_TASK_SEQUENCE_CLASSIFICATION,
     .dense = "classifier.dense",
     .activation = TANH,
     .out = "classifier.out_proj",
     .dropout = FR_ENCODER_DROPOUT_HIDDEN,
     .dropout_first = true},
    {.task = FR_TASK_TOKEN_CLASSIFICATION,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_HIDDEN},
    {.task = FR_TASK_MULTIPLE_CHOICE,
     .dense = "longformer.pooler.dense",
     .activation = TANH,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_HIDDEN},
    {.task = FR_TASK_QUESTION_ANSWERING, .out = "qa_outputs"},
    {0}};

static const fr_encoder_family family = {.model_type = "longformer",
                                         .prefix = "longformer.",
                                         .pooler = "longformer.pooler.",
                                         .layer = "longformer.encoder.layer.",
                                         FR_ENCODER_BERT_LAYER,
                                         .global_query = "attention.self.query_global",
                                         .global_key = "attention.self.key_global",
                                         .global_value = "attention.self.value_global",
                                         .places_from_padding = true,
                                         .padding = -1,
                                         .token_types = true,
                                         .heads = heads};

/* ---- configuration ---- */

static void defaults(void *options)
{
    fr_encoder_config *c = options;
    fr_encoder_defaults(c, &family);
    c->type_vocab_size = 2;
    c->sep_token_id = 2;
}

#define AT(field) offsetof(fr_encoder_config, field)
static const fr_option options[] = {
    FR_ENCODER_OPTION_SIZES,
    FR_ENCODER_OPTION_WIDTHS,
    FR_ENCODER_OPTION_REST,
    FR_ENCODER_OPTION_TYPES,
    FR_ROW_ID(sep_token_id, "id that stands between question and text; -1: none"),
    {"attention_window", FR_OPTION_FLOATS, AT(attention_window), "tokens", 2, 1 << 24, NULL,
     "a window's width, of which half is seen on either side: one, or one per layer; none: 512"},
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"vocab_size", "30522"},
                                           {"hidden_size", "768"},
                                           {"num_hidden_layers", "12"},
                                           {"num_attention_heads", "12"},
                                           {"intermediate_size", "3072"},
                                           {"hidden_dropout_prob", "0.1"},
                                           {"attention_probs_dropout_prob", "0.1"},
                                           {"bos_token_id", "0"},
                                           {"eos_token_id", "2"}};

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    FR_TRY(fr_encoder_check_fields(json, path, error));
    return fr_config_fill(&fr_model_longformer.base.options, config, json, absent,
                          sizeof absent / sizeof *absent, error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    return fr_encoder_write_config(&fr_model_longformer.base.options, config, json, error);
}

/* ---- descriptor ---- */

static const fr_model_class classes[] = {
    {"longformer", "LongformerForMaskedLM", FR_TASK_MASKED_LM},
    {"longformer", "LongformerModel", FR_TASK_NONE},
    {"longformer", "LongformerForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"longformer", "LongformerForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"longformer", "LongformerForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"longformer", "LongformerForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};
static const fr_tied_name tied[] = {
    {"lm_head.decoder.weight", "longformer.embeddings.word_embeddings.weight"},
    {"lm_head.decoder.bias", "lm_head.bias"},
    {0}};
static const char *const model_types[] = {"longformer", NULL};
/* How graphs are exported, and what the first code of the paper read. */
static const char *const ignored_fields[] = {"onnx_export", "attention_mode",
                                             "ignore_attention_mask", NULL};

const fr_model_kind fr_model_longformer = {
    .base = {"longformer",
             "RoBERTa with windows, beside which some tokens see all: Longformer",
             "arXiv 2004.05150",
             {"model.longformer", options, sizeof options / sizeof *options,
              sizeof(fr_encoder_config), defaults}},
    .model_types = model_types,
    .classes = classes,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .prefix = "longformer.",
    .tied = tied,
    FR_ENCODER_POOLER_FUNCTIONS,
};
