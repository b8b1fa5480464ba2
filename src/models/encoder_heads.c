/* encoder_heads.c: what stands on an encoder for a task, as Hugging Face's classes of BERT's
   relatives have it. They all are one chain with parts left out (encoder.h, fr_encoder_head), read
   either from the first token's state or from every token's.

   B rows, T tokens, C width, L labels. */
#include "models/encoder.h"

/* ---- building ---- */

static const fr_encoder_head *find_head(const fr_encoder_family *family, fr_task task)
{
    for (const fr_encoder_head *head = family->heads; head->dense || head->out; head++)
        if (head->task == task)
            return head;
    return NULL;
}

static bool is_language_model(fr_task task)
{
    return task == FR_TASK_MASKED_LM || task == FR_TASK_PRETRAINING;
}

/* Numbers per row or token. */
static int64_t outputs_of(const fr_model *model)
{
    switch (model->head.task) {
    case FR_TASK_MULTIPLE_CHOICE:
    case FR_TASK_REPLACED_TOKEN:
        return 1;
    case FR_TASK_QUESTION_ANSWERING: /* where the answer begins and ends */
    case FR_TASK_NEXT_SENTENCE:
        return 2;
    default:
        return model->head.labels;
    }
}

static fr_linear_layer *declare(fr_model *model, const char *name, int64_t out, fr_axis axis,
                                fr_error *error)
{
    const fr_encoder_config *c = model->config;
    return fr_model_add_linear(model, name, out, axis, c->hidden_size, FR_AXIS_HIDDEN, true,
                               (float)c->initializer_range, error);
}

static fr_status declare_bias(fr_parameter **bias, fr_model *model, const char *name,
                              fr_error *error)
{
    const fr_encoder_config *c = model->config;
    const fr_axis axis = FR_AXIS_VOCAB;
    *bias = fr_model_add_parameter(model, name, 1, &c->vocab_size, &axis, false, 0, error);
    return *bias ? FR_OK : error->status;
}

/* The output matrix (V, E) and its bias. Where a family has a bias beside the matrix's own, the two are one while the matrix
   is tied; untied, the matrix's own is used and the other only stored. */
static fr_status declare_words(fr_model *model, const fr_encoder_head *head, fr_error *error)
{
    const fr_encoder_config *c = model->config;
    const fr_encoder *own = model->own;
    char weight[96], bias[96];
    snprintf(weight, sizeof weight, "%s.weight", head->out);
    snprintf(bias, sizeof bias, "%s.bias", head->out);
    if (head->bias)
        FR_TRY(declare_bias(&model->output_bias, model, head->bias, error));
    if (!head->bias || !c->tie_word_embeddings)
        FR_TRY(declare_bias(&model->output_bias, model, bias, error));
    model->output = own->words;
    if (c->tie_word_embeddings)
        return FR_OK;
    model->output = fr_model_add_parameter(model, weight, 2,
                                           (const int64_t[]){c->vocab_size, c->embedding_size},
                                           (const fr_axis[]){FR_AXIS_VOCAB, FR_AXIS_HIDDEN}, false,
                                           (float)c->initializer_range, error);
    return model->output ? FR_OK : error->status;
}

static fr_status declare_next_sentence(fr_model *model, fr_error *error)
{
    fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    const fr_encoder_head *next = find_head(c->family, FR_TASK_NEXT_SENTENCE);
    own->pooler = declare(model, next->dense, c->hidden_size, FR_AXIS_HIDDEN, error);
    if (own->pooler)
        own->next_sentence = declare(model, next->out, 2, FR_AXIS_LABELS, error);
    return own->next_sentence ? FR_OK : error->status;
}

static fr_status declare_dense(fr_model *model, const fr_encoder_head *head, fr_error *error)
{
    fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    int64_t width = is_language_model(head->task) ? c->embedding_size : c->hidden_size;
    if (head->activation == FR_ENCODER_SUMMARY_ACT && !c->summary_use_proj)
        return FR_OK;
    own->dense = declare(model, head->dense, width, FR_AXIS_HIDDEN, error);
    if (!own->dense)
        return error->status;
    return head->norm ? fr_norm_declare(&own->head_norm, model, head->norm, width, FR_AXIS_HIDDEN,
                                        true, c->layer_norm_eps, error)
                      : FR_OK;
}

fr_status fr_encoder_build_head(fr_model *model, fr_error *error)
{
    fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    const fr_encoder_head *head = own->head = find_head(c->family, model->head.task);
    if (!head)
        return FR_OK;
    if (head->dense)
        FR_TRY(declare_dense(model, head, error));
    if (is_language_model(head->task)) {
        FR_TRY(declare_words(model, head, error));
        return head->task == FR_TASK_PRETRAINING ? declare_next_sentence(model, error) : FR_OK;
    }
    if (!head->out)
        return FR_OK;
    own->out = declare(model, head->out, outputs_of(model), FR_AXIS_LABELS, error);
    return own->out ? FR_OK : error->status;
}

/* ---- forward ---- */

fr_tensor *fr_first_token(fr_tape *tape, fr_tensor *x)
{
    if (!x)
        return NULL;
    return fr_reshape(tape, fr_slice(tape, x, 1, 0, 1), 2,
                      (const int64_t[]){x->shape[0], x->shape[2]});
}

fr_tensor *fr_choice_logits(fr_tape *tape, const fr_batch *batch, fr_tensor *x)
{
    if (!x)
        return NULL;
    int64_t choices = batch->choices ? batch->choices : x->shape[0];
    if (choices < 1 || x->shape[0] % choices)
        return fr_tape_fail(tape, FR_BAD_INPUT,
                            "%lld rows are not a whole number of questions of %lld choices",
                            (long long)x->shape[0], (long long)choices);
    return fr_reshape(tape, x, 2, (const int64_t[]){x->shape[0] / choices, choices});
}

void fr_add_answer_logits(fr_tape *tape, fr_outputs *outputs, fr_tensor *x)
{
    static const char *const names[] = {"start_logits", "end_logits"};
    for (int i = 0; i < 2; i++)
        fr_outputs_add(outputs, names[i],
                       x ? fr_reshape(tape, fr_slice(tape, x, 2, i, i + 1), 2, x->shape) : NULL);
}

static float dropout_of(const fr_encoder_config *c, fr_encoder_dropout which)
{
    switch (which) {
    case FR_ENCODER_DROPOUT_HIDDEN:
        return (float)c->hidden_dropout;
    case FR_ENCODER_DROPOUT_CLASSIFIER:
        return (float)(c->classifier_dropout < 0 ? c->hidden_dropout : c->classifier_dropout);
    case FR_ENCODER_DROPOUT_SEQUENCE:
        return (float)c->sequence_dropout;
    case FR_ENCODER_DROPOUT_ANSWER:
        return (float)c->answer_dropout;
    case FR_ENCODER_DROPOUT_SUMMARY:
        return (float)c->summary_dropout;
    case FR_ENCODER_DROPOUT_NONE:
        break;
    }
    return 0;
}

static fr_tensor *activate(const fr_encoder_config *c, fr_tape *tape, fr_tensor *x, int activation)
{
    if (activation == FR_ENCODER_HIDDEN_ACT)
        activation = c->hidden_act;
    else if (activation == FR_ENCODER_SUMMARY_ACT)
        activation = c->summary_activation;
    return fr_activate(tape, x, (fr_activation)activation);
}

/* norm(activation(dense x)) */
static fr_tensor *transform(const fr_model *model, fr_tape *tape, fr_tensor *x)
{
    const fr_encoder *own = model->own;
    const fr_encoder_config *c = model->config;
    if (own->dense)
        x = fr_linear_layer_apply(own->dense, tape, x);
    if (own->head->dense)
        x = activate(c, tape, x, own->head->activation);
    return own->head_norm.weight ? fr_norm_apply(&own->head_norm, tape, x) : x;
}

fr_tensor *fr_encoder_features(fr_model *model, fr_tape *tape, fr_tensor *hidden)
{
    return transform(model, tape, hidden);
}

/* The whole chain: states (..., C) -> (..., outputs). */
static fr_tensor *classify(const fr_model *model, fr_tape *tape, fr_tensor *x)
{
    const fr_encoder *own = model->own;
    float dropout = dropout_of(model->config, own->head->dropout);
    if (own->head->dropout_first)
        x = fr_dropout(tape, x, dropout);
    x = fr_dropout(tape, transform(model, tape, x), dropout);
    return fr_linear_layer_apply(own->out, tape, x);
}

static fr_tensor *next_sentence(const fr_encoder *own, fr_tape *tape, fr_tensor *x)
{
    fr_tensor *pooled = fr_linear_layer_apply(own->pooler, tape, fr_first_token(tape, x));
    return fr_linear_layer_apply(own->next_sentence, tape, fr_tanh(tape, pooled));
}

/* What ELECTRA's multiple choice reads. */
static fr_tensor *summary(const fr_encoder_config *c, fr_tape *tape, fr_tensor *x)
{
    if (!x || c->summary_type == FR_ENCODER_FIRST)
        return fr_first_token(tape, x);
    if (c->summary_type == FR_ENCODER_MEAN)
        return fr_mean_axis(tape, x, 1);
    int64_t last = x->shape[1] - 1;
    return fr_reshape(tape, fr_slice(tape, x, 1, last, last + 1), 2,
                      (const int64_t[]){x->shape[0], x->shape[2]});
}

/* (B, T, 1) -> (B, T) */
static fr_tensor *drop_last(fr_tape *tape, fr_tensor *x)
{
    return x ? fr_reshape(tape, x, 2, x->shape) : NULL;
}

void fr_encoder_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs)
{
    const fr_encoder *own = model->own;
    fr_tensor *x = fr_model_hidden(model, tape, batch, NULL);
    switch (model->head.task) {
    case FR_TASK_NONE:
        if (own->head)
            fr_outputs_add(outputs, "pooler_output",
                           transform(model, tape, fr_first_token(tape, x)));
        break;
    case FR_TASK_MASKED_LM:
        fr_outputs_add(outputs, "logits", fr_model_output(model, tape, x));
        break;
    case FR_TASK_PRETRAINING:
        fr_outputs_add(outputs, "prediction_logits", fr_model_output(model, tape, x));
        fr_outputs_add(outputs, "seq_relationship_logits", next_sentence(own, tape, x));
        break;
    case FR_TASK_TOKEN_CLASSIFICATION:
        fr_outputs_add(outputs, "logits", classify(model, tape, x));
        break;
    case FR_TASK_REPLACED_TOKEN:
        fr_outputs_add(outputs, "logits", drop_last(tape, classify(model, tape, x)));
        break;
    case FR_TASK_QUESTION_ANSWERING:
        fr_add_answer_logits(tape, outputs, classify(model, tape, x));
        break;
    case FR_TASK_MULTIPLE_CHOICE:
        fr_outputs_add(
            outputs, "logits",
            fr_choice_logits(tape, batch, classify(model, tape, summary(model->config, tape, x))));
        break;
    default: /* of a whole text */
        fr_outputs_add(outputs, "logits", classify(model, tape, fr_first_token(tape, x)));
    }
    fr_outputs_add(outputs, "last_hidden_state", x);
}
