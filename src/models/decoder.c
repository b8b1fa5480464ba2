/* decoder.c: what decoder families share around their layers: embeddings before them, a norm and a head after them.

   The heads are those of transformers' classes: a language model's output matrix (...ForCausalLM); a classifier of
   sequences, which reads the last token of a text (...ForSequenceClassification); a classifier of tokens
   (...ForTokenClassification). x (B, T, C) between the parts. */
#include "models/decoder.h"

const char *const fr_decoder_required_fields[] = {"vocab_size",          "hidden_size",
                                                  "intermediate_size",   "num_hidden_layers",
                                                  "num_attention_heads", NULL};

/* ---- declaring ---- */

fr_decoder *fr_decoder_create(fr_model *model, const fr_decoder_form *form, fr_error *error)
{
    fr_decoder *own = model->own = fr_alloc(sizeof *own, FR_MEMORY_OTHER);
    if (own)
        own->layers = fr_alloc_array((size_t)model->layers, sizeof *own->layers, FR_MEMORY_OTHER);
    if (!own || !own->layers) {
        fr_fail(error, FR_NO_MEMORY, "no memory for a model");
        return NULL;
    }
    own->pad = model->pad;
    own->padding = -1;
    own->embedding = fr_model_add_parameter(
        model, form->embedding, 2, (const int64_t[]){model->vocabulary, model->width},
        (const fr_axis[]){FR_AXIS_VOCAB, FR_AXIS_HIDDEN}, false, (float)form->std, error);
    return own->embedding ? own : NULL;
}

fr_status fr_decoder_rotate(fr_model *model, const fr_rope_options *options, fr_error *error)
{
    fr_decoder *own = model->own;
    FR_TRY(fr_rotary_create(&own->rotary, options, model->head_dim, model->max_positions, error));
    if (options->type == FR_ROPE_LONGROPE)
        model->reread =
            options->original_context ? options->original_context : model->max_positions;
    return FR_OK;
}

/* The output matrix is no `matrix`: Muon and decay leave it to the embedding's rule, tied or not. */
static fr_status declare_output(fr_model *model, const fr_decoder_form *form, fr_error *error)
{
    fr_decoder *own = model->own;
    model->output = own->embedding;
    if (form->output)
        model->output =
            fr_model_add_parameter(model, form->output, 2, own->embedding->value->shape,
                                   own->embedding->axes, false, (float)form->std, error);
    return model->output ? FR_OK : error->status;
}

static fr_status declare_head(fr_model *model, const fr_decoder_form *form, fr_error *error)
{
    fr_decoder *own = model->own;
    bool tokens = model->head.task == FR_TASK_TOKEN_CLASSIFICATION;
    if (model->head.task == FR_TASK_NONE)
        return FR_OK;
    if (model->head.task == FR_TASK_CAUSAL_LM)
        return declare_output(model, form, error);
    const char *name = tokens ? form->tokens : form->sequences;
    own->classifier_dropout = tokens ? (float)form->dropout : 0;
    own->classifier =
        fr_model_add_linear(model, name ? name : "score", model->head.labels, FR_AXIS_LABELS,
                            model->width, FR_AXIS_HIDDEN, tokens, (float)form->std, error);
    return own->classifier ? FR_OK : error->status;
}

fr_status fr_decoder_declare(fr_model *model, const fr_decoder_form *form, fr_error *error)
{
    fr_decoder *own = model->own;
    fr_builder b = {.model = model,
                    .prefix = form->layers,
                    .std = form->std,
                    .eps = form->eps,
                    .norm_bias = form->norm_bias,
                    .error = error};
    for (; b.layer < model->layers; b.layer++)
        form->layer(&b, &own->layers[b.layer], model->config, own);
    FR_TRY(b.status);
    FR_TRY(fr_norm_declare(&own->norm, model, form->norm, model->width, FR_AXIS_HIDDEN,
                           form->norm_bias, form->eps, error));
    return declare_head(model, form, error);
}

void fr_decoder_destroy(fr_model *model)
{
    fr_decoder *own = model->own;
    if (!own)
        return;
    fr_rotary_free(&own->rotary);
    for (int64_t i = 0; own->layers && i < model->layers; i++)
        fr_experts_free(own->layers[i].feed_forward.experts);
    fr_free(own->layers);
    fr_free(own);
}

/* ---- hidden states ---- */

/* The learned vectors of the places: (B, T, C), or (T, C) for 0..T-1. */
static fr_tensor *place_vectors(const fr_decoder *own, fr_tape *tape, const fr_tensor *ids,
                                fr_tensor *positions)
{
    fr_tensor *table = own->places->value;
    if (positions)
        return fr_embedding(tape, table, positions);
    if (ids->shape[1] > table->shape[0])
        return fr_tape_fail(tape, FR_BAD_INPUT,
                            "a row of %lld tokens is longer than the model's %lld positions",
                            (long long)ids->shape[1], (long long)table->shape[0]);
    return fr_slice(tape, table, 0, 0, ids->shape[1]);
}

/* What the layers must know of the call. */
static bool begin(const fr_decoder *own, fr_tape *tape, const fr_batch *batch, fr_cache *cache,
                  fr_step *step)
{
    *step = (fr_step){.positions = batch->positions,
                      .segments = batch->segments,
                      .lengths = cache ? NULL : batch->lengths,
                      .cache = cache};
    return (!cache || fr_cache_begin(cache, tape, batch, &step->positions)) &&
           fr_rotary_begin(&own->rotary, tape, step, batch->ids->shape[1], batch->whole);
}

fr_tensor *fr_decoder_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    const fr_decoder *own = model->own;
    fr_step step;
    if (!batch->ids)
        return fr_tape_fail(tape, FR_WRONG_CALL, "a decoder reads ids, and there are none");
    if (!begin(own, tape, batch, cache, &step))
        return NULL;
    fr_tensor *x = fr_embedding_padded(tape, own->embedding->value, batch->ids, own->padding);
    if (own->embedding_scale > 0)
        x = fr_scale(tape, x, own->embedding_scale);
    if (own->places)
        x = fr_add(tape, x, place_vectors(own, tape, batch->ids, step.positions));
    x = fr_tap(tape, x, "embeddings");
    x = fr_dropout(tape, x, own->dropout);
    for (int64_t i = 0; i < model->layers; i++)
        x = fr_decoder_layer_apply(&own->layers[i], tape, x, &step, model->recompute);
    return fr_tap(tape, fr_norm_apply(&own->norm, tape, x), "final_norm");
}

/* ---- outputs ---- */

/* The place of a row's last token: as its length says, or the last that is not padding, or the last of all. */
static int64_t last_token(const fr_batch *batch, int64_t row, int64_t pad)
{
    int64_t columns = batch->ids->shape[1], place = columns - 1;
    const int32_t *ids = (const int32_t *)fr_tensor_host(batch->ids) + row * columns;
    if (batch->lengths) {
        int32_t length = ((const int32_t *)fr_tensor_host(batch->lengths))[row];
        return length < 1 ? 0 : length > columns ? columns - 1 : length - 1;
    }
    while (pad >= 0 && place > 0 && ids[place] == pad)
        place--;
    return place;
}

/* x (B, T, C) -> each row's last token, (B, C). */
static fr_tensor *last_states(const fr_decoder *own, fr_tape *tape, fr_tensor *x,
                              const fr_batch *batch)
{
    int64_t rows = batch->ids->shape[0], columns = batch->ids->shape[1];
    fr_tensor *places = fr_tape_tensor(tape, FR_I32, 1, &rows);
    int32_t *numbers = places ? fr_tensor_host(places) : NULL;
    for (int64_t b = 0; b < rows && numbers; b++)
        numbers[b] = (int32_t)(b * columns + last_token(batch, b, own->pad));
    int64_t width = x ? x->shape[2] : 0;
    x = fr_reshape(tape, x, 2, (const int64_t[]){rows * columns, width});
    return fr_gather(tape, x, places);
}

void fr_decoder_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs)
{
    const fr_decoder *own = model->own;
    fr_tensor *hidden = fr_model_hidden(model, tape, batch, NULL), *logits = NULL;
    if (model->output)
        logits = fr_model_output(model, tape, hidden);
    if (hidden && own->classifier) {
        fr_tensor *read = model->head.task == FR_TASK_SEQUENCE_CLASSIFICATION
                              ? last_states(own, tape, hidden, batch)
                              : fr_dropout(tape, hidden, own->classifier_dropout);
        logits = fr_linear_layer_apply(own->classifier, tape, read);
    }
    if (model->output || own->classifier)
        fr_outputs_add(outputs, "logits", logits);
    fr_outputs_add(outputs, "last_hidden_state", hidden);
}
