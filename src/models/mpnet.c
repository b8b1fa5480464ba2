/* mpnet.c: MPNet (arXiv 2004.09297): BERT without token types, whose attention knows distances by a
   table of biases that all layers share. Its padding id is 1 whatever config.json says, as in
   transformers. */
#include "models/encoder.h"

/* ---- family ---- */

enum { TANH = FR_ACTIVATION_TANH, PADDING = 1 };

static const fr_encoder_head heads[] = {
    {.task = FR_TASK_NONE, .dense = "mpnet.pooler.dense", .activation = TANH},
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
     .dense = "mpnet.pooler.dense",
     .activation = TANH,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_HIDDEN},
    {.task = FR_TASK_QUESTION_ANSWERING, .out = "qa_outputs"},
    {0}};

static const fr_encoder_family family = {.model_type = "mpnet",
                                         .prefix = "mpnet.",
                                         .pooler = "mpnet.pooler.",
                                         .layer = "mpnet.encoder.layer.",
                                         .query = "attention.attn.q",
                                         .key = "attention.attn.k",
                                         .value = "attention.attn.v",
                                         .attention_out = "attention.attn.o",
                                         .attention_norm = "attention.LayerNorm",
                                         .up = "intermediate.dense",
                                         .down = "output.dense",
                                         .feed_forward_norm = "output.LayerNorm",
                                         .places_from_padding = true,
                                         .padding = PADDING,
                                         .relative = "mpnet.encoder.relative_attention_bias.weight",
                                         .heads = heads};

/* ---- configuration ---- */

static void defaults(void *options)
{
    fr_encoder_config *c = options;
    fr_encoder_defaults(c, &family);
    c->relative_attention_num_buckets = 32;
}

#define AT(field) offsetof(fr_encoder_config, field)
static const fr_option options[] = {
    FR_ENCODER_OPTION_SIZES,
    FR_ENCODER_OPTION_WIDTHS,
    FR_ENCODER_OPTION_REST,
    {"relative_attention_num_buckets", FR_OPTION_INT, AT(relative_attention_num_buckets), NULL, 1,
     1 << 20, NULL, "rows of the table of biases by distance, of which 32 are used"},
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"vocab_size", "30527"},
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
    return fr_config_fill(&fr_model_mpnet.base.options, config, json, absent,
                          sizeof absent / sizeof *absent, error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    return fr_encoder_write_config(&fr_model_mpnet.base.options, config, json, error);
}

/* ---- descriptor ---- */

static const fr_model_class classes[] = {
    {"mpnet", "MPNetForMaskedLM", FR_TASK_MASKED_LM},
    {"mpnet", "MPNetModel", FR_TASK_NONE},
    {"mpnet", "MPNetForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"mpnet", "MPNetForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"mpnet", "MPNetForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"mpnet", "MPNetForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};
static const fr_tied_name tied[] = {
    {"lm_head.decoder.weight", "mpnet.embeddings.word_embeddings.weight"},
    {"lm_head.decoder.bias", "lm_head.bias"},
    {0}};
static const char *const model_types[] = {"mpnet", NULL};

const fr_model_kind fr_model_mpnet = {
    .base = {"mpnet",
             "BERT with biases by distance, and without token types: MPNet",
             "arXiv 2004.09297",
             {"model.mpnet", options, sizeof options / sizeof *options, sizeof(fr_encoder_config),
              defaults}},
    .model_types = model_types,
    .classes = classes,
    .read_config = read_config,
    .write_config = write_config,
    .prefix = "mpnet.",
    .tied = tied,
    FR_ENCODER_POOLER_FUNCTIONS,
};
