/* example_encode.c: ids, tags and labels of examples, kept in memory: what a fine-tuning set takes is small beside its model. */
#include "data/examples.h"
#include "frugal/operators.h"

#include <string.h>

typedef struct encoding_work {
    fr_examples *e;
    fr_buffer text, pair;
    fr_encoded encoded;
    fr_buffer tags; /* i32 of the row being made */
    fr_error *error;
} encoding_work;

static fr_status no_memory(const encoding_work *w)
{
    return fr_fail(w->error, FR_NO_MEMORY, "no memory for the examples of %s", w->e->records.path);
}

/* ---- texts ---- */

static const json_t *field_of(const encoding_work *w, int64_t i, example_field field)
{
    return json_object_get(w->e->records.items[i], examples_field(w->e, field));
}

static void take_text(const encoding_work *w, fr_buffer *out, const json_t *value, bool prefix)
{
    fr_buffer_clear(out);
    if (prefix && w->e->options->prefix)
        fr_buffer_text(out, w->e->options->prefix);
    fr_buffer_append(out, json_string_value(value), json_string_length(value));
}

/* The text of w->text, and of w->pair with `paired`, as ids with special tokens, cut to `most`. */
static fr_status encode(encoding_work *w, bool paired, int64_t most, int flags)
{
    const fr_encoding *how = &w->e->encoding;
    if (w->text.failed || w->pair.failed)
        return no_memory(w);
    fr_encode_options options = {.flags = flags | FR_ENCODE_ADD_SPECIAL | FR_ENCODE_SPECIAL_AS_TEXT,
                                 .max_length = most};
    return fr_tokenizer_encode_pair(how->tokenizer, w->text.data ? w->text.data : "", w->text.size,
                                    paired ? (w->pair.data ? w->pair.data : "") : NULL,
                                    w->pair.size, &options, &w->encoded, w->error);
}

/* What was encoded has tokens, and the model has them all. */
static fr_status check_ids(const encoding_work *w, int64_t i)
{
    const fr_encoded *row = &w->encoded;
    const int64_t vocabulary = w->e->encoding.model->vocabulary;
    if (row->count == 0)
        return RECORD_BAD(&w->e->records, i, w->error, "a text is empty: it has no tokens");
    for (size_t k = 0; k < row->count; k++)
        if (row->ids[k] >= vocabulary)
            return RECORD_BAD(&w->e->records, i, w->error,
                              "the tokenizer gives id %d, the model's vocabulary has %lld",
                              row->ids[k], (long long)vocabulary);
    return FR_OK;
}

/* The row that was encoded becomes the next of the examples. */
static fr_status keep_row(encoding_work *w, int64_t i)
{
    fr_examples *e = w->e;
    const fr_encoded *row = &w->encoded;
    FR_TRY(check_ids(w, i));
    for (size_t k = 0; k < row->count; k++)
        e->typed |= row->types[k] != 0;
    return id_lists_add(&e->rows, row->ids, row->count) &&
                   id_lists_add(&e->types, row->types, row->count)
               ? FR_OK
               : no_memory(w);
}

static fr_status add_text(encoding_work *w, int64_t i, const json_t *text, const json_t *pair)
{
    take_text(w, &w->text, text, true);
    if (pair)
        take_text(w, &w->pair, pair, false);
    FR_TRY(encode(w, pair != NULL, w->e->encoding.length, 0));
    return keep_row(w, i);
}

static fr_status add_choices(encoding_work *w, int64_t i)
{
    const json_t *choices = field_of(w, i, FIELD_CHOICES);
    for (size_t k = 0; k < json_array_size(choices); k++)
        FR_TRY(add_text(w, i, field_of(w, i, FIELD_TEXT), json_array_get(choices, k)));
    return FR_OK;
}

static fr_status add_pair(encoding_work *w, int64_t i)
{
    FR_TRY(add_text(w, i, field_of(w, i, FIELD_TEXT), NULL));
    return add_text(w, i, field_of(w, i, FIELD_POSITIVE), NULL);
}

static fr_status add_target(encoding_work *w, int64_t i)
{
    FR_TRY(add_text(w, i, field_of(w, i, FIELD_TEXT), NULL));
    take_text(w, &w->text, field_of(w, i, FIELD_TARGET), false);
    FR_TRY(encode(w, false, w->e->encoding.target_length, 0));
    FR_TRY(check_ids(w, i));
    return id_lists_add(&w->e->targets, w->encoded.ids, w->encoded.count) ? FR_OK : no_memory(w);
}

/* ---- words with tags ---- */

/* Join the words by spaces; where each ends goes to `ends`. */
static fr_status join_words(encoding_work *w, const json_t *words, size_t *ends)
{
    fr_buffer_clear(&w->text);
    for (size_t k = 0; k < json_array_size(words); k++) {
        const json_t *word = json_array_get(words, k);
        if (k)
            fr_buffer_text(&w->text, " ");
        fr_buffer_append(&w->text, json_string_value(word), json_string_length(word));
        ends[k] = w->text.size;
    }
    return w->text.failed ? no_memory(w) : FR_OK;
}

/* The first token that ends inside a word has the word's tag; other tokens have none. */
static fr_status tag_tokens(encoding_work *w, int64_t i, const json_t *tags, const size_t *ends)
{
    const fr_encoded *row = &w->encoded;
    size_t word = 0, count = json_array_size(tags);
    bool tagged = false;
    fr_buffer_clear(&w->tags);
    for (size_t t = 0; t < row->count; t++) {
        int32_t tag = FR_IGNORE;
        bool text = row->end[t] > row->begin[t];
        for (; text && word < count && row->end[t] > ends[word]; word++)
            tagged = false;
        if (text && word < count && !tagged) {
            FR_TRY(labels_class(w->e, i, json_array_get(tags, word), &w->e->encoding.model->head,
                                &tag, w->error));
            tagged = true;
        }
        fr_buffer_append(&w->tags, &tag, sizeof tag);
    }
    bool whole = !w->tags.failed &&
                 id_lists_add(&w->e->tags, (const int32_t *)(void *)w->tags.data, row->count);
    return whole ? FR_OK : no_memory(w);
}

static fr_status add_words(encoding_work *w, int64_t i)
{
    const json_t *words = field_of(w, i, FIELD_WORDS), *tags = field_of(w, i, FIELD_TAGS);
    size_t *ends = fr_alloc_array(json_array_size(words), sizeof *ends, FR_MEMORY_DATA);
    fr_status status = ends ? join_words(w, words, ends) : no_memory(w);
    if (status == FR_OK)
        status = encode(w, false, w->e->encoding.length, FR_ENCODE_OFFSETS);
    if (status == FR_OK)
        status = keep_row(w, i);
    if (status == FR_OK)
        status = tag_tokens(w, i, tags, ends);
    fr_free(ends);
    return status;
}

static fr_status add_rows(encoding_work *w, int64_t i)
{
    const json_t *text = field_of(w, i, FIELD_TEXT);
    switch (w->e->form) {
    case FR_EXAMPLES_TAGS:
        return add_words(w, i);
    case FR_EXAMPLES_CHOICES:
        return add_choices(w, i);
    case FR_EXAMPLES_PAIRS:
        return add_pair(w, i);
    case FR_EXAMPLES_TARGETS:
        return add_target(w, i);
    case FR_EXAMPLES_IMAGES:
        return FR_OK;
    default:
        return add_text(w, i, text, field_of(w, i, FIELD_TEXT_PAIR));
    }
}

/* ---- labels ---- */

static bool has_numbers(const fr_examples *e)
{
    const fr_model_head *head = &e->encoding.model->head;
    bool labelled = e->form == FR_EXAMPLES_CLASSES || e->form == FR_EXAMPLES_IMAGES;
    return e->scored || (labelled && head->problem != FR_PROBLEM_SINGLE_LABEL);
}

static bool has_classes(const fr_examples *e)
{
    bool labelled = e->form == FR_EXAMPLES_CLASSES || e->form == FR_EXAMPLES_IMAGES ||
                    e->form == FR_EXAMPLES_CHOICES;
    return labelled && !has_numbers(e);
}

/* A choice is told by its number, from 0. */
static fr_status read_choice(const encoding_work *w, int64_t i, int32_t *out)
{
    const fr_examples *e = w->e;
    const fr_model_head numbers = {.labels = e->rows_each};
    return labels_class(e, i, field_of(w, i, FIELD_LABEL), &numbers, out, w->error);
}

static fr_status add_labels(encoding_work *w, int64_t i)
{
    fr_examples *e = w->e;
    const fr_model_head *head = &e->encoding.model->head;
    if (has_numbers(e))
        return labels_values(e, i, head, e->values + i * e->value_width, e->value_width, w->error);
    if (!has_classes(e))
        return FR_OK;
    if (e->form == FR_EXAMPLES_CHOICES)
        return read_choice(w, i, &e->classes[i]);
    return labels_class(e, i, field_of(w, i, FIELD_LABEL), head, &e->classes[i], w->error);
}

/* ---- all ---- */

int64_t examples_rows_each(const fr_examples *e)
{
    if (e->form == FR_EXAMPLES_PAIRS)
        return 2;
    if (e->form == FR_EXAMPLES_CHOICES)
        return (int64_t)json_array_size(
            json_object_get(e->records.items[0], examples_field(e, FIELD_CHOICES)));
    return 1;
}

bool examples_scored(const fr_examples *e)
{
    return e->form == FR_EXAMPLES_PAIRS &&
           json_object_get(e->records.items[0], examples_field(e, FIELD_SCORE)) != NULL;
}

static fr_status prepare(encoding_work *w)
{
    fr_examples *e = w->e;
    size_t count = (size_t)e->records.count;
    e->rows_each = examples_rows_each(e);
    e->scored = examples_scored(e);
    e->value_width = e->scored ? 1 : e->encoding.model->head.labels;
    if (has_numbers(e))
        e->values = fr_alloc_array(count * (size_t)e->value_width, sizeof(float), FR_MEMORY_DATA);
    if (has_classes(e))
        e->classes = fr_alloc_array(count, sizeof(int32_t), FR_MEMORY_DATA);
    if ((has_numbers(e) && !e->values) || (has_classes(e) && !e->classes))
        return no_memory(w);
    bool pictures = e->form == FR_EXAMPLES_IMAGES || e->form == FR_EXAMPLES_IMAGE_TEXTS;
    if (pictures && (!e->encoding.images || !e->encoding.model->image[0]))
        return fr_fail(w->error, FR_BAD_INPUT, "the model sees no pictures");
    if (e->form != FR_EXAMPLES_IMAGES && !e->encoding.tokenizer)
        return fr_fail(w->error, FR_BAD_INPUT,
                       "examples with text need a tokenizer: the model's folder has none, and "
                       "data.tokenizer names none");
    if (e->form == FR_EXAMPLES_TARGETS && e->encoding.model->decoder_start < 0)
        return fr_fail(
            w->error, FR_BAD_INPUT,
            "the model's folder does not say with which token its decoder begins "
            "(decoder_start_token_id); model.config: {decoder_start_token_id: ID} says it");
    e->typed = false;
    return FR_OK;
}

fr_status fr_examples_encode(fr_examples *e, const fr_encoding *encoding, fr_error *error)
{
    encoding_work w = {.e = e, .error = error};
    e->encoding = *encoding;
    fr_status status = prepare(&w);
    for (int64_t i = 0; i < e->records.count && status == FR_OK; i++) {
        status = add_rows(&w, i);
        if (status == FR_OK)
            status = add_labels(&w, i);
    }
    fr_buffer_free(&w.text);
    fr_buffer_free(&w.pair);
    fr_buffer_free(&w.tags);
    fr_encoded_free(&w.encoded);
    return status;
}
