/* bert.c: BERT (arXiv 1810.04805) and what differs from it by a flag and by names:
       bert      learned positions, token types; a pooler over the first token
       roberta   positions count from the padding id on (arXiv 1907.11692)
       xlm-roberta  the same under another name, with another vocabulary (arXiv 1911.02116)
       electra   embeddings of their own width; a generator's and a discriminator's head (arXiv 2003.10555)
   Sentence encoders (MiniLM) are bodies of these kinds with pooling beside them (sentence.c). */
#include "models/encoder.h"

#include <string.h>

/* ---- families ---- */

enum { TANH = FR_ACTIVATION_TANH, GELU = FR_ACTIVATION_GELU };

static const fr_encoder_head bert_heads[] = {
    {.task = FR_TASK_NONE, .dense = "bert.pooler.dense", .activation = TANH},
    {.task = FR_TASK_MASKED_LM,
     .dense = "cls.predictions.transform.dense",
     .activation = FR_ENCODER_HIDDEN_ACT,
     .norm = "cls.predictions.transform.LayerNorm",
     .out = "cls.predictions.decoder",
     .bias = "cls.predictions.bias"},
    {.task = FR_TASK_PRETRAINING,
     .dense = "cls.predictions.transform.dense",
     .activation = FR_ENCODER_HIDDEN_ACT,
     .norm = "cls.predictions.transform.LayerNorm",
     .out = "cls.predictions.decoder",
     .bias = "cls.predictions.bias"},
    {.task = FR_TASK_NEXT_SENTENCE,
     .dense = "bert.pooler.dense",
     .activation = TANH,
     .out = "cls.seq_relationship"},
    {.task = FR_TASK_SEQUENCE_CLASSIFICATION,
     .dense = "bert.pooler.dense",
     .activation = TANH,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_CLASSIFIER},
    {.task = FR_TASK_TOKEN_CLASSIFICATION,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_CLASSIFIER},
    {.task = FR_TASK_MULTIPLE_CHOICE,
     .dense = "bert.pooler.dense",
     .activation = TANH,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_CLASSIFIER},
    {.task = FR_TASK_QUESTION_ANSWERING, .out = "qa_outputs"},
    {0}};

static const fr_encoder_head roberta_heads[] = {
    {.task = FR_TASK_NONE, .dense = "roberta.pooler.dense", .activation = TANH},
    {.task = FR_TASK_MASKED_LM,
     .dense = "lm_head.dense",
     .activation = GELU,
     .norm = "lm_head.layer_norm",
     .out = "lm_head.decoder",
     .bias = "lm_head.bias"},
    {.task = FR_TASK_SEQUENCE_CLASSIFICATION,
     .dense = "classifier.dense",
     .activation = TANH,
     .out = "classifier.out_proj",
     .dropout = FR_ENCODER_DROPOUT_CLASSIFIER,
     .dropout_first = true},
    {.task = FR_TASK_TOKEN_CLASSIFICATION,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_CLASSIFIER},
    {.task = FR_TASK_MULTIPLE_CHOICE,
     .dense = "roberta.pooler.dense",
     .activation = TANH,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_HIDDEN},
    {.task = FR_TASK_QUESTION_ANSWERING, .out = "qa_outputs"},
    {0}};

static const fr_encoder_head electra_heads[] = {
    {.task = FR_TASK_MASKED_LM,
     .dense = "generator_predictions.dense",
     .activation = GELU,
     .norm = "generator_predictions.LayerNorm",
     .out = "generator_lm_head"},
    {.task = FR_TASK_REPLACED_TOKEN,
     .dense = "discriminator_predictions.dense",
     .activation = FR_ENCODER_HIDDEN_ACT,
     .out = "discriminator_predictions.dense_prediction"},
    {.task = FR_TASK_SEQUENCE_CLASSIFICATION,
     .dense = "classifier.dense",
     .activation = GELU,
     .out = "classifier.out_proj",
     .dropout = FR_ENCODER_DROPOUT_CLASSIFIER,
     .dropout_first = true},
    {.task = FR_TASK_TOKEN_CLASSIFICATION,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_CLASSIFIER},
    {.task = FR_TASK_MULTIPLE_CHOICE,
     .dense = "sequence_summary.summary",
     .activation = FR_ENCODER_SUMMARY_ACT,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_SUMMARY},
    {.task = FR_TASK_QUESTION_ANSWERING, .out = "qa_outputs"},
    {0}};

static const fr_encoder_family bert = {.model_type = "bert",
                                       .prefix = "bert.",
                                       .pooler = "bert.pooler.",
                                       .layer = "bert.encoder.layer.",
                                       FR_ENCODER_BERT_LAYER,
                                       .padding = -1,
                                       .token_types = true,
                                       .heads = bert_heads};
static const fr_encoder_family roberta = {.model_type = "roberta",
                                          .prefix = "roberta.",
                                          .pooler = "roberta.pooler.",
                                          .layer = "roberta.encoder.layer.",
                                          FR_ENCODER_BERT_LAYER,
                                          .places_from_padding = true,
                                          .padding = -1,
                                          .token_types = true,
                                          .heads = roberta_heads};
static const fr_encoder_family xlm_roberta = {.model_type = "xlm-roberta",
                                              .prefix = "roberta.",
                                              .pooler = "roberta.pooler.",
                                              .layer = "roberta.encoder.layer.",
                                              FR_ENCODER_BERT_LAYER,
                                              .places_from_padding = true,
                                              .padding = -1,
                                              .token_types = true,
                                              .heads = roberta_heads};
static const fr_encoder_family electra = {.model_type = "electra",
                                          .prefix = "electra.",
                                          .layer = "electra.encoder.layer.",
                                          FR_ENCODER_BERT_LAYER,
                                          .padding = -1,
                                          .token_types = true,
                                          .heads = electra_heads};

/* ---- configuration ---- */

static void defaults(fr_encoder_config *c, const fr_encoder_family *family)
{
    fr_encoder_defaults(c, family);
    c->type_vocab_size = 2;
    c->summary_use_proj = true;
    c->summary_activation = FR_ACTIVATION_GELU;
}

static void bert_defaults(void *options)
{
    defaults(options, &bert);
}

static void roberta_defaults(void *options)
{
    defaults(options, &roberta);
}

static void xlm_roberta_defaults(void *options)
{
    defaults(options, &xlm_roberta);
}

static void electra_defaults(void *options)
{
    defaults(options, &electra);
}

#define AT(field) offsetof(fr_encoder_config, field)
#define OPTIONS                                                                                    \
    FR_ENCODER_OPTION_SIZES, FR_ENCODER_OPTION_WIDTHS, FR_ENCODER_OPTION_REST,                     \
        FR_ENCODER_OPTION_TYPES,                                                                   \
    {                                                                                              \
        "classifier_dropout", FR_OPTION_FLOAT, AT(classifier_dropout), NULL, -1, 0.99, NULL,       \
            "dropout before a classifier; -1: as hidden_dropout_prob"                              \
    }
static const char *const summaries[] = {"first", "last", "mean", "cls_index", NULL};
static const fr_option bert_options[] = {OPTIONS};
static const fr_option electra_options[] = {
    OPTIONS,
    {"embedding_size", FR_OPTION_INT, AT(embedding_size), NULL, 0, 1 << 20, NULL,
     "width E of the embeddings; 0: hidden_size"},
    {"summary_type", FR_OPTION_CHOICE, AT(summary_type), NULL, 0, 0, summaries,
     "which states multiple choice reads; cls_index is the last"},
    FR_ROW_FLAG(summary_use_proj, "a linear layer behind them"),
    FR_ROW_ACTIVATION(summary_activation, "and an activation"),
    {"summary_last_dropout", FR_OPTION_FLOAT, AT(summary_dropout), NULL, 0, 0.99, NULL,
     "and a dropout"},
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"vocab_size", "30522"},
                                           {"hidden_size", "768"},
                                           {"num_hidden_layers", "12"},
                                           {"num_attention_heads", "12"},
                                           {"intermediate_size", "3072"},
                                           {"hidden_dropout_prob", "0.1"},
                                           {"attention_probs_dropout_prob", "0.1"}};
static const fr_config_default roberta_absent[] = {{"vocab_size", "50265"}};
static const fr_config_default ends_absent[] = {{"bos_token_id", "0"}, {"eos_token_id", "2"}};
static const fr_config_default electra_absent[] = {{"embedding_size", "128"},
                                                   {"hidden_size", "256"},
                                                   {"num_attention_heads", "4"},
                                                   {"intermediate_size", "1024"},
                                                   {"summary_last_dropout", "0.1"}};
#define COUNT(list) (sizeof(list) / sizeof *(list))

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    const fr_encoder_family *family = ((fr_encoder_config *)config)->family;
    const fr_option_table *table = &fr_model_electra.base.options; /* has the others' fields */
    FR_TRY(fr_encoder_check_fields(json, path, error));
    FR_TRY(fr_config_fill(table, config, json, absent, COUNT(absent), error));
    if (family == &roberta)
        FR_TRY(fr_config_fill(table, config, json, roberta_absent, COUNT(roberta_absent), error));
    if (family == &roberta || family == &xlm_roberta)
        return fr_config_fill(table, config, json, ends_absent, COUNT(ends_absent), error);
    if (json_is_null(json_object_get(json, "summary_activation")))
        ((fr_encoder_config *)config)->summary_activation = FR_ACTIVATION_LINEAR;
    if (family == &electra)
        return fr_config_fill(table, config, json, electra_absent, COUNT(electra_absent), error);
    return FR_OK;
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    const fr_encoder_family *family = ((const fr_encoder_config *)config)->family;
    const fr_model_kind *kind = family == &electra ? &fr_model_electra : &fr_model_bert;
    return fr_encoder_write_config(&kind->base.options, config, json, error);
}

/* ---- descriptors ---- */

static const fr_model_class bert_classes[] = {
    {"bert", "BertForMaskedLM", FR_TASK_MASKED_LM},
    {"bert", "BertModel", FR_TASK_NONE},
    {"bert", "BertForPreTraining", FR_TASK_PRETRAINING},
    {"bert", "BertForNextSentencePrediction", FR_TASK_NEXT_SENTENCE},
    {"bert", "BertForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"bert", "BertForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"bert", "BertForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"bert", "BertForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};
static const fr_model_class roberta_classes[] = {
    {"roberta", "RobertaForMaskedLM", FR_TASK_MASKED_LM},
    {"roberta", "RobertaModel", FR_TASK_NONE},
    {"roberta", "RobertaForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"roberta", "RobertaForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"roberta", "RobertaForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"roberta", "RobertaForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};
static const fr_model_class xlm_roberta_classes[] = {
    {"xlm-roberta", "XLMRobertaForMaskedLM", FR_TASK_MASKED_LM},
    {"xlm-roberta", "XLMRobertaModel", FR_TASK_NONE},
    {"xlm-roberta", "XLMRobertaForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"xlm-roberta", "XLMRobertaForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"xlm-roberta", "XLMRobertaForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"xlm-roberta", "XLMRobertaForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};
static const fr_model_class electra_classes[] = {
    {"electra", "ElectraForPreTraining", FR_TASK_REPLACED_TOKEN},
    {"electra", "ElectraForMaskedLM", FR_TASK_MASKED_LM},
    {"electra", "ElectraModel", FR_TASK_NONE},
    {"electra", "ElectraForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"electra", "ElectraForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"electra", "ElectraForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"electra", "ElectraForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};

static const fr_tied_name bert_tied[] = {
    {"cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"},
    {"cls.predictions.decoder.bias", "cls.predictions.bias"},
    {0}};
static const fr_tied_name roberta_tied[] = {
    {"lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight"},
    {"lm_head.decoder.bias", "lm_head.bias"},
    {0}};
static const fr_tied_name electra_tied[] = {
    {"generator_lm_head.weight", "electra.embeddings.word_embeddings.weight"}, {0}};

static const char *const bert_types[] = {"bert", NULL}, *const roberta_types[] = {"roberta", NULL},
                         *const xlm_roberta_types[] = {"xlm-roberta", NULL},
                         *const electra_types[] = {"electra", NULL};

#define FUNCTIONS                                                                                  \
    FR_ENCODER_POOLER_FUNCTIONS, .read_config = read_config, .write_config = write_config

const fr_model_kind fr_model_bert = {
    .base = {"bert",
             "encoder with learned positions and token types: BERT, MiniLM",
             "arXiv 1810.04805",
             {"model.bert", bert_options, COUNT(bert_options), sizeof(fr_encoder_config),
              bert_defaults}},
    .model_types = bert_types,
    .classes = bert_classes,
    .prefix = "bert.",
    .tied = bert_tied,
    FUNCTIONS,
};

const fr_model_kind fr_model_roberta = {
    .base = {"roberta",
             "BERT whose positions count from the padding id on: RoBERTa",
             "arXiv 1907.11692",
             {"model.roberta", bert_options, COUNT(bert_options), sizeof(fr_encoder_config),
              roberta_defaults}},
    .model_types = roberta_types,
    .classes = roberta_classes,
    .prefix = "roberta.",
    .tied = roberta_tied,
    FUNCTIONS,
};

const fr_model_kind fr_model_xlm_roberta = {
    .base = {"xlm-roberta",
             "RoBERTa of a hundred languages: XLM-RoBERTa",
             "arXiv 1911.02116",
             {"model.xlm-roberta", bert_options, COUNT(bert_options), sizeof(fr_encoder_config),
              xlm_roberta_defaults}},
    .model_types = xlm_roberta_types,
    .classes = xlm_roberta_classes,
    .prefix = "roberta.",
    .tied = roberta_tied,
    FUNCTIONS,
};

const fr_model_kind fr_model_electra = {
    .base = {"electra",
             "BERT with narrow embeddings, as generator or discriminator: ELECTRA",
             "arXiv 2003.10555",
             {"model.electra", electra_options, COUNT(electra_options), sizeof(fr_encoder_config),
              electra_defaults}},
    .model_types = electra_types,
    .classes = electra_classes,
    .prefix = "electra.",
    .tied = electra_tied,
    FUNCTIONS,
};
