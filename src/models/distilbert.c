/* distilbert.c: DistilBERT (arXiv 1910.01108): BERT without token types and pooler, under other
   names. */
#include "models/encoder.h"

/* ---- family ---- */

static const fr_encoder_head heads[] = {
    {.task = FR_TASK_MASKED_LM,
     .dense = "vocab_transform",
     .activation = FR_ENCODER_HIDDEN_ACT,
     .norm = "vocab_layer_norm",
     .out = "vocab_projector"},
    {.task = FR_TASK_SEQUENCE_CLASSIFICATION,
     .dense = "pre_classifier",
     .activation = FR_ACTIVATION_RELU,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_SEQUENCE},
    {.task = FR_TASK_TOKEN_CLASSIFICATION,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_HIDDEN},
    {.task = FR_TASK_MULTIPLE_CHOICE,
     .dense = "pre_classifier",
     .activation = FR_ACTIVATION_RELU,
     .out = "classifier",
     .dropout = FR_ENCODER_DROPOUT_SEQUENCE},
    {.task = FR_TASK_QUESTION_ANSWERING, .out = "qa_outputs", .dropout = FR_ENCODER_DROPOUT_ANSWER},
    {0}};

static const fr_encoder_family family = {.model_type = "distilbert",
                                         .prefix = "distilbert.",
                                         .layer = "distilbert.transformer.layer.",
                                         .query = "attention.q_lin",
                                         .key = "attention.k_lin",
                                         .value = "attention.v_lin",
                                         .attention_out = "attention.out_lin",
                                         .attention_norm = "sa_layer_norm",
                                         .up = "ffn.lin1",
                                         .down = "ffn.lin2",
                                         .feed_forward_norm = "output_layer_norm",
                                         .padding = -1,
                                         .heads = heads};

/* ---- configuration ---- */

static void defaults(void *options)
{
    fr_encoder_defaults(options, &family);
}

#define AT(field) offsetof(fr_encoder_config, field)
static const fr_option options[] = {
    FR_ENCODER_OPTION_SIZES,
    {"dim", FR_OPTION_INT, AT(hidden_size), NULL, 1, 1 << 20, NULL, "width C"},
    {"hidden_dim", FR_OPTION_INT, AT(intermediate_size), NULL, 0, 1 << 22, NULL,
     "feed-forward width F; 0: 4 dim"},
    {"n_layers", FR_OPTION_INT, AT(num_hidden_layers), NULL, 1, 1 << 14, NULL, "layers"},
    {"n_heads", FR_OPTION_INT, AT(num_attention_heads), NULL, 1, 1 << 14, NULL,
     "heads H, a divisor of dim"},
    {"activation", FR_OPTION_CHOICE, AT(hidden_act), NULL, 0, 0, fr_activation_names,
     "activation of the feed-forward layer"},
    {"dropout", FR_OPTION_FLOAT, AT(hidden_dropout), NULL, 0, 0.99, NULL,
     "dropout of the embeddings and of what feed-forward layers add"},
    FR_ROW_ATTENTION_DROPOUT(attention_dropout),
    {"seq_classif_dropout", FR_OPTION_FLOAT, AT(sequence_dropout), NULL, 0, 0.99, NULL,
     "dropout before a classifier of texts"},
    {"qa_dropout", FR_OPTION_FLOAT, AT(answer_dropout), NULL, 0, 0.99, NULL,
     "dropout before the head of question answering"},
    FR_ENCODER_OPTION_REST,
};
#undef AT

/* What transformers takes for absent fields. */
static const fr_config_default absent[] = {{"vocab_size", "30522"},
                                           {"dim", "768"},
                                           {"hidden_dim", "3072"},
                                           {"n_layers", "6"},
                                           {"n_heads", "12"},
                                           {"dropout", "0.1"},
                                           {"attention_dropout", "0.1"},
                                           {"seq_classif_dropout", "0.2"},
                                           {"qa_dropout", "0.1"}};

static fr_status read_config(void *config, const json_t *json, const char *path, fr_error *error)
{
    FR_TRY(fr_encoder_check_fields(json, path, error));
    return fr_config_fill(&fr_model_distilbert.base.options, config, json, absent,
                          sizeof absent / sizeof *absent, error);
}

static fr_status write_config(const void *config, json_t *json, fr_error *error)
{
    return fr_encoder_write_config(&fr_model_distilbert.base.options, config, json, error);
}

/* ---- descriptor ---- */

static const fr_model_class classes[] = {
    {"distilbert", "DistilBertForMaskedLM", FR_TASK_MASKED_LM},
    {"distilbert", "DistilBertModel", FR_TASK_NONE},
    {"distilbert", "DistilBertForSequenceClassification", FR_TASK_SEQUENCE_CLASSIFICATION},
    {"distilbert", "DistilBertForTokenClassification", FR_TASK_TOKEN_CLASSIFICATION},
    {"distilbert", "DistilBertForMultipleChoice", FR_TASK_MULTIPLE_CHOICE},
    {"distilbert", "DistilBertForQuestionAnswering", FR_TASK_QUESTION_ANSWERING},
    {0}};
static const fr_tied_name tied[] = {
    {"vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"}, {0}};
static const char *const model_types[] = {"distilbert", NULL};
/* How a new table of positions begins; files hold the table itself. */
static const char *const ignored_fields[] = {"sinusoidal_pos_embds", NULL};

const fr_model_kind fr_model_distilbert = {
    .base = {"distilbert",
             "BERT without token types and pooler: DistilBERT",
             "arXiv 1910.01108",
             {"model.distilbert", options, sizeof options / sizeof *options,
              sizeof(fr_encoder_config), defaults}},
    .model_types = model_types,
    .classes = classes,
    .ignored_fields = ignored_fields,
    .read_config = read_config,
    .write_config = write_config,
    .prefix = "distilbert.",
    .tied = tied,
    FR_ENCODER_FUNCTIONS,
};
