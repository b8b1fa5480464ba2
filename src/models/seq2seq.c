/* seq2seq.c: what encoder-decoders share around their layers (seq2seq.h): embeddings and positions, the encoder's states as the
   decoder's memory, what the decoder reads when nobody says it, and heads. */
#include "models/seq2seq.h"

#include "models/encoder.h"

#include <string.h>

/* ---- declaring ---- */

bool fr_seq2seq_encoder_only(const fr_model *model)
{
    return model->head.task == FR_TASK_ENCODER || model->head.task == FR_TASK_TOKEN_CLASSIFICATION;
}

fr_seq2seq *fr_seq2seq_create(fr_model *model, int64_t encoder_layers, fr_error *error)
{
    fr_seq2seq *own = model->own = fr_alloc(sizeof *own, FR_MEMORY_OTHER);
    if (own) {
        own->encoder_count = encoder_layers;
        own->padding = -1;
        own->encoder_layers =
            fr_alloc_array((size_t)encoder_layers, sizeof *own->encoder_layers, FR_MEMORY_OTHER);
        if (!fr_seq2seq_encoder_only(model))
            own->decoder_layers =
                fr_alloc_array((size_t)model->layers, sizeof *own->decoder_layers, FR_MEMORY_OTHER);
    }
    if (own && own->encoder_layers && (own->decoder_layers || fr_seq2seq_encoder_only(model)))
        return own;
    fr_fail(error, FR_NO_MEMORY, "no memory for a model");
    return NULL;
}

fr_status fr_seq2seq_table(fr_parameter **table, fr_model *model, const char *name, int64_t rows,
                           fr_axis axis, int64_t width, double std, fr_error *error)
{
    *table =
        fr_model_add_parameter(model, name, 2, (const int64_t[]){rows, width},
                               (const fr_axis[]){axis, FR_AXIS_HIDDEN}, false, (float)std, error);
    return *table ? FR_OK : error->status;
}

static fr_linear_layer *declare(fr_model *model, const char *name, int64_t out, fr_axis axis,
                                double std, fr_error *error)
{
    return fr_model_add_linear(model, name, out, axis, model->width, FR_AXIS_HIDDEN, true,
                               (float)std, error);
}

fr_status fr_seq2seq_declare_head(fr_model *model, double std, fr_error *error)
{
    fr_seq2seq *own = model->own;
    switch (model->head.task) {
    case FR_TASK_SEQUENCE_CLASSIFICATION:
        own->dense =
            declare(model, "classification_head.dense", model->width, FR_AXIS_HIDDEN, std, error);
        if (own->dense)
            own->out = declare(model, "classification_head.out_proj", model->head.labels,
                               FR_AXIS_LABELS, std, error);
        break;
    case FR_TASK_TOKEN_CLASSIFICATION:
        own->out = declare(model, "classifier", model->head.labels, FR_AXIS_LABELS, std, error);
        break;
    case FR_TASK_QUESTION_ANSWERING:
        own->out = declare(model, "qa_outputs", 2, FR_AXIS_NONE, std, error);
        break;
    default:
        return FR_OK;
    }
    return own->out ? FR_OK : error->status;
}

void fr_seq2seq_destroy(fr_model *model)
{
    fr_seq2seq *own = model->own;
    if (!own)
        return;
    fr_free(own->encoder_layers);
    fr_free(own->decoder_layers);
    fr_free(own);
}

/* ---- stacks ---- */

/* positions (B, T) + offset */
static fr_tensor *moved(fr_tape *tape, const fr_tensor *positions, int64_t offset)
{
    fr_tensor *out = fr_tape_tensor(tape, FR_I32, positions->rank, positions->shape);
    const int32_t *from = fr_tensor_host(positions);
    int32_t *to = out ? fr_tensor_host(out) : NULL;
    for (int64_t i = 0; to && i < fr_tensor_count(positions); i++)
        to[i] = from[i] + (int32_t)offset;
    return out;
}

/* The learned vectors of the places: (B, T, C), or (T, C) for 0..T-1. */
static fr_tensor *place_vectors(const fr_seq2seq *own, const fr_seq2seq_stack *stack, fr_tape *tape,
                                int64_t columns, const fr_tensor *positions)
{
    fr_tensor *table = stack->places->value;
    int64_t first = own->place_offset;
    if (positions)
        return fr_embedding(tape, table, moved(tape, positions, first));
    if (columns > table->shape[0] - first)
        return fr_tape_fail(tape, FR_BAD_INPUT,
                            "a row of %lld tokens is longer than the model's %lld positions",
                            (long long)columns, (long long)(table->shape[0] - first));
    return fr_slice(tape, table, 0, first, first + columns);
}

/* What the first layer reads: ids (B, T) -> (B, T, C). */
static fr_tensor *embed(const fr_seq2seq *own, const fr_seq2seq_stack *stack, fr_tape *tape,
                        fr_tensor *ids, const fr_tensor *positions, const char *tap)
{
    fr_tensor *x = fr_embedding_padded(tape, stack->embedding->value, ids, own->padding);
    if (own->embedding_scale > 0)
        x = fr_scale(tape, x, own->embedding_scale);
    if (stack->places)
        x = fr_add(tape, x, place_vectors(own, stack, tape, ids->shape[1], positions));
    if (stack->embedding_norm.weight)
        x = fr_norm_apply(&stack->embedding_norm, tape, x);
    return fr_dropout(tape, fr_tap(tape, x, "%s", tap), own->dropout);
}

static fr_tensor *finish(const fr_seq2seq *own, const fr_seq2seq_stack *stack, fr_tape *tape,
                         fr_tensor *x, const char *tap)
{
    if (stack->norm.weight)
        x = fr_norm_apply(&stack->norm, tape, x);
    return fr_dropout(tape, fr_tap(tape, x, "%s", tap), own->last_dropout);
}

/* The encoder's states, (B, T, C). */
static fr_tensor *encode(fr_model *model, fr_tape *tape, const fr_batch *batch)
{
    const fr_seq2seq *own = model->own;
    const fr_seq2seq_stack *stack = &own->encoder;
    fr_step step = {.lengths = batch->lengths};
    if (!batch->ids)
        return fr_tape_fail(tape, FR_WRONG_CALL, "an encoder-decoder reads ids");
    if (batch->positions || batch->segments || batch->types)
        return fr_tape_fail(tape, FR_UNSUPPORTED,
                            "an encoder-decoder reads rows without positions, segments and types");
    if (stack->relative.table)
        step.relative_bias = fr_relative_bias(&stack->relative, tape, batch->ids->shape[1]);
    fr_tensor *x = embed(own, stack, tape, batch->ids, NULL, "encoder.embeddings");
    for (int64_t i = 0; i < own->encoder_count; i++)
        x = fr_encoder_layer_apply(&own->encoder_layers[i], tape, x, &step, model->recompute);
    return finish(own, stack, tape, x, "encoder.final");
}

/* ids (B, U) -> the decoder's states (B, U, C); of the step memory and cache are filled in. */
static fr_tensor *decode(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_tensor *ids,
                         fr_step *step)
{
    const fr_seq2seq *own = model->own;
    const fr_seq2seq_stack *stack = &own->decoder;
    fr_batch now = {.ids = ids, .counts = batch->counts};
    fr_tensor *positions = NULL;
    if (step->cache && !fr_cache_begin(step->cache, tape, &now, &positions))
        return NULL;
    if (stack->relative.table)
        step->relative_bias = fr_relative_bias(
            &stack->relative, tape, step->cache ? fr_cache_capacity(step->cache) : ids->shape[1]);
    fr_tensor *x = embed(own, stack, tape, ids, positions, "decoder.embeddings");
    for (int64_t i = 0; i < model->layers; i++)
        x = fr_cross_layer_apply(&own->decoder_layers[i], tape, x, step, model->recompute);
    return finish(own, stack, tape, x, "decoder.final");
}

/* ---- what the decoder reads ---- */

/* What a shifted row begins with. */
static int32_t first_id(const fr_model *model, const int32_t *row, int64_t columns)
{
    const fr_seq2seq *own = model->own;
    int64_t count = 0;
    if (!own->begins_with_last)
        return (int32_t)model->decoder_start;
    for (int64_t t = 0; t < columns; t++)
        count += row[t] != model->pad;
    return row[count ? count - 1 : columns - 1];
}

/* The source moved one place to the right. */
static fr_tensor *shifted(const fr_model *model, fr_tape *tape, const fr_tensor *ids)
{
    const fr_seq2seq *own = model->own;
    int64_t rows = ids->shape[0], columns = ids->shape[1];
    if (!own->begins_with_last && model->decoder_start < 0)
        return fr_tape_fail(
            tape, FR_BAD_INPUT,
            "there are no decoder ids, and no decoder_start_token_id to begin with");
    fr_tensor *out = fr_tape_tensor(tape, FR_I32, 2, ids->shape);
    const int32_t *from = fr_tensor_host(ids);
    int32_t *to = out ? fr_tensor_host(out) : NULL;
    for (int64_t b = 0; to && b < rows; b++, from += columns, to += columns) {
        to[0] = first_id(model, from, columns);
        memcpy(to + 1, from, (size_t)(columns - 1) * sizeof *to);
    }
    return out;
}

static fr_tensor *decoder_ids(const fr_model *model, fr_tape *tape, const fr_batch *batch)
{
    const fr_seq2seq *own = model->own;
    if (batch->decoder_ids)
        return batch->decoder_ids;
    if (!own->shifts || !batch->ids)
        return fr_tape_fail(
            tape, FR_BAD_INPUT,
            "the decoder of an encoder-decoder reads decoder ids, and there are none");
    return shifted(model, tape, batch->ids);
}

/* ---- a kind's functions ---- */

/* The last states; *memory: the encoder's. */
static fr_tensor *run(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_tensor **memory)
{
    *memory = encode(model, tape, batch);
    if (!*memory || fr_seq2seq_encoder_only(model))
        return *memory;
    fr_tensor *ids = decoder_ids(model, tape, batch);
    fr_step step = {.memory = *memory, .memory_lengths = batch->lengths};
    return ids ? decode(model, tape, batch, ids, &step) : NULL;
}

fr_tensor *fr_seq2seq_hidden(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    fr_tensor *memory;
    if (!cache)
        return run(model, tape, batch, &memory);
    if (!batch->decoder_ids || fr_seq2seq_encoder_only(model))
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "with a cache an encoder-decoder reads decoder ids");
    return decode(model, tape, batch, batch->decoder_ids, &(fr_step){.cache = cache});
}

bool fr_seq2seq_encode(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_cache *cache)
{
    const fr_seq2seq *own = model->own;
    fr_tensor *memory = encode(model, tape, batch);
    for (int64_t i = 0; own->decoder_layers && i < model->layers; i++)
        if (!memory ||
            !fr_cross_layer_memorise(&own->decoder_layers[i], tape, memory, batch->lengths, cache))
            return false;
    return memory != NULL;
}

fr_tensor *fr_seq2seq_features(fr_model *model, fr_tape *tape, fr_tensor *hidden)
{
    const fr_seq2seq *own = model->own;
    return own->output_scale > 0 ? fr_scale(tape, hidden, own->output_scale) : hidden;
}

/* x (B, U, C) -> the states at each row's last end of text, (B, C). */
static fr_tensor *end_states(const fr_model *model, fr_tape *tape, const fr_batch *batch,
                             fr_tensor *x)
{
    int64_t rows = batch->ids->shape[0], columns = batch->ids->shape[1];
    if (!x || x->shape[1] != columns)
        return x ? fr_tape_fail(tape, FR_BAD_INPUT, "a classifier needs as many decoder ids as ids")
                 : NULL;
    fr_tensor *places = fr_tape_tensor(tape, FR_I32, 1, &rows);
    int32_t *numbers = places ? fr_tensor_host(places) : NULL;
    const int32_t *ids = fr_tensor_host(batch->ids);
    for (int64_t b = 0; numbers && b < rows; b++) {
        int64_t t = columns - 1;
        while (t >= 0 && ids[b * columns + t] != model->eos)
            t--;
        if (t < 0)
            return fr_tape_fail(tape, FR_BAD_INPUT,
                                "a classifier reads the state at the end of a text, and row %lld "
                                "has no end (id %lld)",
                                (long long)b + 1, (long long)model->eos);
        numbers[b] = (int32_t)(b * columns + t);
    }
    return fr_gather(tape, fr_reshape(tape, x, 2, (const int64_t[]){-1, x->shape[2]}), places);
}

static fr_tensor *classify(const fr_seq2seq *own, fr_tape *tape, fr_tensor *x)
{
    x = fr_dropout(tape, x, own->classifier_dropout);
    if (own->dense) {
        x = fr_tanh(tape, fr_linear_layer_apply(own->dense, tape, x));
        x = fr_dropout(tape, x, own->classifier_dropout);
    }
    return fr_linear_layer_apply(own->out, tape, x);
}

void fr_seq2seq_outputs(fr_model *model, fr_tape *tape, const fr_batch *batch, fr_outputs *outputs)
{
    const fr_seq2seq *own = model->own;
    fr_tensor *memory = NULL, *x = run(model, tape, batch, &memory);
    switch (model->head.task) {
    case FR_TASK_SEQ2SEQ_LM:
        fr_outputs_add(outputs, "logits", fr_model_output(model, tape, x));
        break;
    case FR_TASK_SEQUENCE_CLASSIFICATION:
        fr_outputs_add(outputs, "logits", classify(own, tape, end_states(model, tape, batch, x)));
        break;
    case FR_TASK_TOKEN_CLASSIFICATION:
        fr_outputs_add(outputs, "logits", classify(own, tape, x));
        break;
    case FR_TASK_QUESTION_ANSWERING:
        fr_add_answer_logits(tape, outputs, fr_linear_layer_apply(own->out, tape, x));
        break;
    default:
        break;
    }
    fr_outputs_add(outputs, "last_hidden_state", x);
    if (!fr_seq2seq_encoder_only(model))
        fr_outputs_add(outputs, "encoder_last_hidden_state", memory);
}
