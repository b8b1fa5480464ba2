/* forward_summary.c: what `frugal forward` shows of a model's outputs: their shapes, and what they mean where that can be said: the
   likeliest next tokens of a language model, the likeliest classes of a classifier, which text belongs to a picture. */
#include "cli/forward.h"
#include "cli/token_text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 5 };

/* ---- next tokens ---- */

/* The likeliest next ids of a row, best first, and the logarithm of the sum behind their
   probabilities. */
typedef struct ranking {
    int32_t ids[TOP];
    int count;
    double log_sum;
} ranking;

static ranking rank(const float *logits, int64_t vocabulary)
{
    ranking r = {.count = 0};
    for (int32_t id = 0; id < vocabulary; id++) {
        int place = r.count;
        while (place > 0 && logits[id] > logits[r.ids[place - 1]])
            place--;
        if (place == TOP)
            continue;
        r.count += r.count < TOP;
        memmove(&r.ids[place + 1], &r.ids[place], (size_t)(r.count - 1 - place) * sizeof *r.ids);
        r.ids[place] = id;
    }
    double sum = 0;
    for (int64_t i = 0; i < vocabulary; i++)
        sum += exp((double)logits[i] - logits[r.ids[0]]);
    r.log_sum = (double)logits[r.ids[0]] + log(sum);
    return r;
}

/* (B, T, V) of a language model; NULL: the outputs are no next tokens. */
static const fr_tensor *next_logits(const forward *f)
{
    fr_task task = f->model->head.task;
    bool next = task == FR_TASK_CAUSAL_LM || task == FR_TASK_SEQ2SEQ_LM;
    return next ? fr_outputs_find(&f->outputs, "logits") : NULL;
}

/* Of the last token of a row that is no padding. */
static const float *last_logits(const forward *f, const fr_tensor *logits, int64_t row)
{
    const float *numbers = fr_tensor_host((fr_tensor *)logits);
    int64_t count = logits->shape[1];
    bool padded = f->batch.lengths && f->model->head.task == FR_TASK_CAUSAL_LM;
    int64_t last = padded ? ((const int32_t *)fr_tensor_host(f->batch.lengths))[row] : count;
    return numbers + (row * count + last - 1) * logits->shape[2];
}

static fr_status print_next(const forward *f, const fr_tensor *all, int64_t row, fr_error *error)
{
    const float *logits = last_logits(f, all, row);
    ranking r = rank(logits, all->shape[2]);
    FR_TRY(cli_print(error, "next after row %lld:\n", (long long)row));
    for (int k = 0; k < r.count; k++) {
        fr_buffer text = {0};
        if (f->tokenizer)
            cli_token_text(&text, f->tokenizer, r.ids[k]);
        fr_status status =
            cli_print(error, "  %6.2f %%  %d%s%s\n", 100 * exp(logits[r.ids[k]] - r.log_sum),
                      r.ids[k], text.size ? "  " : "", text.size ? text.data : "");
        fr_buffer_free(&text);
        FR_TRY(status);
    }
    return FR_OK;
}

static json_t *row_json(const forward *f, const fr_tensor *all, int64_t row)
{
    const float *logits = last_logits(f, all, row);
    ranking r = rank(logits, all->shape[2]);
    json_t *list = json_array();
    for (int k = 0; k < r.count; k++)
        json_array_append_new(list, json_pack("{s:i, s:f, s:f}", "id", (int)r.ids[k], "logit",
                                              (double)logits[r.ids[k]], "probability",
                                              exp(logits[r.ids[k]] - r.log_sum)));
    return list;
}

/* ---- classes ---- */

/* (B, L) of a classifier; NULL: the outputs tell no classes of a row. */
static const fr_tensor *class_logits(const forward *f)
{
    const fr_tensor *logits = fr_outputs_find(&f->outputs, "logits");
    bool tells = f->model->head.labels > 0 && logits && logits->rank == 2;
    return tells && logits->shape[1] == f->model->head.labels ? logits : NULL;
}

/* What a score means by the head's problem: a probability among all, one of its own, or the number itself. */
static double meaning(const forward *f, const ranking *r, float logit)
{
    switch (f->model->head.problem) {
    case FR_PROBLEM_REGRESSION:
        return logit;
    case FR_PROBLEM_MULTI_LABEL:
        return 1 / (1 + exp(-(double)logit));
    default:
        return exp(logit - r->log_sum);
    }
}

static const char *label_name(const forward *f, int32_t label, char text[32])
{
    const fr_strings *names = &f->model->head.names;
    if (names->count)
        return names->items[label];
    snprintf(text, 32, "LABEL_%d", label);
    return text;
}

/* A row's picture or text, or its number. */
static const char *row_name(const forward *f, int64_t row, char text[32])
{
    const fr_strings *images = &f->options->image, *texts = &f->options->text;
    if ((size_t)row < images->count)
        return images->items[row];
    if (!f->batch.pixels && (size_t)row < texts->count)
        return texts->items[row];
    snprintf(text, 32, "row %lld", (long long)row);
    return text;
}

static fr_status print_classes(const forward *f, const fr_tensor *all, int64_t row, fr_error *error)
{
    const float *logits = (const float *)fr_tensor_host((fr_tensor *)all) + row * all->shape[1];
    ranking r = rank(logits, all->shape[1]);
    bool number = f->model->head.problem == FR_PROBLEM_REGRESSION;
    char name[32], label[32];
    FR_TRY(cli_print(error, "%s:\n", row_name(f, row, name)));
    for (int k = 0; k < r.count; k++) {
        double value = meaning(f, &r, logits[r.ids[k]]);
        FR_TRY(cli_print(error, number ? "  %.6g  %s\n" : "  %6.2f %%  %s\n",
                         number ? value : 100 * value, label_name(f, r.ids[k], label)));
    }
    return FR_OK;
}

static json_t *classes_json(const forward *f, const fr_tensor *all, int64_t row)
{
    const float *logits = (const float *)fr_tensor_host((fr_tensor *)all) + row * all->shape[1];
    ranking r = rank(logits, all->shape[1]);
    bool number = f->model->head.problem == FR_PROBLEM_REGRESSION;
    char name[32], label[32];
    json_t *best = json_array();
    for (int k = 0; k < r.count; k++)
        json_array_append_new(
            best, json_pack("{s:s, s:f, s:f}", "label", label_name(f, r.ids[k], label), "logit",
                            (double)logits[r.ids[k]], number ? "value" : "probability",
                            meaning(f, &r, logits[r.ids[k]])));
    return json_pack("{s:s, s:o}", "of", row_name(f, row, name), "best", best);
}

/* ---- pictures and texts ---- */

/* The probability of each text to be a picture's, among all texts: of row (T) of logits. */
static double text_share(const float *logits, int64_t count, int64_t text)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - logits[text]);
    return 1 / sum;
}

static fr_status print_similarity(const forward *f, const fr_tensor *all, fr_error *error)
{
    const float *logits = fr_tensor_host((fr_tensor *)all);
    const fr_strings *texts = &f->options->text;
    int64_t count = all->shape[1];
    char name[32];
    for (int64_t t = 0; t < count; t++)
        FR_TRY(cli_print(error, "text %lld%s%s\n", (long long)t + 1, texts->count ? ": " : "",
                         texts->count ? texts->items[t] : ""));
    FR_TRY(cli_print(error, "which text is a picture's:\n"));
    for (int64_t i = 0; i < all->shape[0]; i++, logits += count) {
        for (int64_t t = 0; t < count; t++)
            FR_TRY(cli_print(error, " %6.2f %%", 100 * text_share(logits, count, t)));
        FR_TRY(cli_print(error, "  %s\n", row_name(f, i, name)));
    }
    return FR_OK;
}

static json_t *similarity_json(const forward *f, const fr_tensor *all)
{
    json_t *list = json_array();
    char name[32];
    for (int64_t i = 0; all && i < all->shape[0]; i++) {
        int64_t count = all->shape[1];
        const float *logits = (const float *)fr_tensor_host((fr_tensor *)all) + i * count;
        json_t *shares = json_array(), *numbers = json_array();
        for (int64_t t = 0; t < count; t++) {
            json_array_append_new(shares, json_real(text_share(logits, count, t)));
            json_array_append_new(numbers, json_real((double)logits[t]));
        }
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "of", row_name(f, i, name),
                                              "logits", numbers, "probabilities", shares));
    }
    return list;
}

/* ---- all of it ---- */

fr_status forward_print_text(const forward *f, fr_error *error)
{
    char shape[96];
    for (int i = 0; i < f->outputs.count; i++)
        FR_TRY(cli_print(error, "%s %s\n", f->outputs.items[i].name,
                         fr_tensor_shape_text(f->outputs.items[i].tensor, shape, sizeof shape)));
    for (size_t i = 0; i < f->tap_count; i++)
        FR_TRY(cli_print(error, "%s %s\n", f->taps[i].name,
                         fr_tensor_shape_text(f->taps[i].value, shape, sizeof shape)));
    const fr_tensor *logits = next_logits(f);
    for (int64_t row = 0; logits && row < logits->shape[0]; row++)
        FR_TRY(print_next(f, logits, row, error));
    const fr_tensor *classes = class_logits(f);
    for (int64_t row = 0; classes && row < classes->shape[0]; row++)
        FR_TRY(print_classes(f, classes, row, error));
    const fr_tensor *similarity = fr_outputs_find(&f->outputs, "logits_per_image");
    if (similarity)
        FR_TRY(print_similarity(f, similarity, error));
    return f->options->out ? cli_print(error, "written to %s\n", f->options->out) : FR_OK;
}

static json_t *shape_json(const fr_tensor *tensor)
{
    json_t *list = json_array();
    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(list, json_integer(tensor->shape[i]));
    return list;
}

fr_status forward_print_json(const forward *f, fr_error *error)
{
    json_t *shapes = json_object(), *next = json_array(), *taps = json_array();
    json_t *classes = json_array();
    for (int i = 0; i < f->outputs.count; i++)
        json_object_set_new(shapes, f->outputs.items[i].name,
                            shape_json(f->outputs.items[i].tensor));
    const fr_tensor *logits = next_logits(f);
    for (int64_t row = 0; logits && row < logits->shape[0]; row++)
        json_array_append_new(next, row_json(f, logits, row));
    const fr_tensor *told = class_logits(f);
    for (int64_t row = 0; told && row < told->shape[0]; row++)
        json_array_append_new(classes, classes_json(f, told, row));
    json_t *similarity = similarity_json(f, fr_outputs_find(&f->outputs, "logits_per_image"));
    for (size_t i = 0; i < f->tap_count; i++)
        json_array_append_new(taps, json_string(f->taps[i].name));
    return cli_print_json(json_pack("{s:o, s:o, s:o, s:o, s:o, s:s?}", "shapes", shapes, "next",
                                    next, "classes", classes, "similarity", similarity, "taps",
                                    taps, "out", f->options->out),
                          error);
}
