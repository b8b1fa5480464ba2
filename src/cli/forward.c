/* forward.c: `frugal forward`: what a model computes from ids, as tensors in a file: for debugging,
   and for comparing with other libraries. */
#include "cli/cli.h"
#include "cli/token_text.h"

#include "frugal/formats.h"
#include "frugal/model.h"
#include "frugal/tokenizer.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 5, MOST_NAME = 96 };

typedef struct forward_options {
    char *ids, *text, *decoder_ids, *types, *lengths, *pixels, *out, *tap;
    int64_t choices;
    int weights; /* fr_weights */
} forward_options;

static void defaults(void *o)
{
    ((forward_options *)o)->weights = FR_WEIGHTS_STORED;
}

static const fr_option options[] = {
    {"ids", FR_OPTION_STRING, offsetof(forward_options, ids), NULL, 0, 0, NULL,
     "token ids \"1,2,3\"; rows of equal length \"1,2,3;4,5,6\""},
    {"text", FR_OPTION_STRING, offsetof(forward_options, text), NULL, 0, 0, NULL,
     "text instead, through the model's tokenizer"},
    {"decoder-ids", FR_OPTION_STRING, offsetof(forward_options, decoder_ids), NULL, 0, 0, NULL,
     "what the decoder of an encoder-decoder reads, as --ids"},
    {"types", FR_OPTION_STRING, offsetof(forward_options, types), NULL, 0, 0, NULL,
     "token types, as many as ids (BERT: 0 for the first text, 1 for the second)"},
    {"lengths", FR_OPTION_STRING, offsetof(forward_options, lengths), NULL, 0, 0, NULL,
     "how many ids of each row are text, \"5,3\"; the rest is padding"},
    {"choices", FR_OPTION_INT, offsetof(forward_options, choices), "rows", 0, INT32_MAX, NULL,
     "multiple choice: so many rows are one question's; 0: all are"},
    {"pixels", FR_OPTION_STRING, offsetof(forward_options, pixels), NULL, 0, 0, NULL,
     "safetensors file with pixel_values (B, channels, height, width), normalised already"},
    {"out", FR_OPTION_STRING, offsetof(forward_options, out), NULL, 0, 0, NULL,
     "safetensors file for input_ids, every output (logits, last_hidden_state, ...) and the taps"},
    {"tap", FR_OPTION_STRING, offsetof(forward_options, tap), NULL, 0, 0, NULL,
     "also the intermediate results whose names match: \"layers.*.out\", \"*\" (docs/models.md)"},
    CLI_WEIGHTS_OPTION(forward_options, weights),
};

static const fr_option_table table = {"forward", options, sizeof options / sizeof *options,
                                      sizeof(forward_options), defaults};

typedef struct kept {
    char name[MOST_NAME];
    const fr_tensor *value;
} kept;

typedef struct forward {
    const cli_call *call;
    const forward_options *options;
    fr_model *model;
    fr_tokenizer *tokenizer; /* NULL: the folder has none */
    fr_tape *tape;
    fr_safetensors *pixels;
    fr_batch batch;
    fr_outputs outputs;
    kept *taps; /* in the order of computing; their tensors live on the tape */
    size_t tap_count, tap_room;
    bool tap_failed;
} forward;

/* ---- input ---- */

/* Rows of numbers of equal length. */
typedef struct rows {
    fr_ids ids;
    int64_t rows, columns;
} rows;

static bool push(fr_ids *ids, int32_t id)
{
    if (ids->count == ids->capacity) {
        size_t room = ids->capacity ? 2 * ids->capacity : 64;
        int32_t *grown = fr_realloc(ids->ids, room * sizeof *grown, FR_MEMORY_OTHER);
        if (!grown)
            return false;
        ids->ids = grown;
        ids->capacity = room;
    }
    ids->ids[ids->count++] = id;
    return true;
}

/* "1,2,3;4,5,6": numbers from 0 to most; commas or spaces between them, semicolons between rows. */
static fr_status parse_rows(rows *r, const char *option, const char *at, int64_t most,
                            fr_error *error)
{
    size_t begin = 0;
    for (;;) {
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno || id < 0 || id > most)
            return fr_fail(error, FR_BAD_INPUT, "--%s: expected a number from 0 to %lld at '%.20s'",
                           option, (long long)most, at);
        if (!push(&r->ids, (int32_t)id))
            return fr_fail(error, FR_NO_MEMORY, "no memory for --%s", option);
        at = end + strspn(end, " ");
        if (*at == ',') {
            at++;
        } else if (*at == ';' || !*at) {
            int64_t length = (int64_t)(r->ids.count - begin);
            if (r->rows++ && length != r->columns)
                return fr_fail(error, FR_BAD_INPUT,
                               "--%s: row %lld has %lld numbers, the rows before have %lld", option,
                               (long long)r->rows, (long long)length, (long long)r->columns);
            r->columns = length;
            begin = r->ids.count;
            if (!*at++)
                return FR_OK;
        }
    }
}

/* An option of rows as a tensor (rows, columns); absent: NULL. */
static fr_status read_rows(fr_tensor **tensor, const forward *f, const char *option,
                           const char *text, int64_t most, fr_error *error)
{
    rows r = {.rows = 0};
    *tensor = NULL;
    if (!text)
        return FR_OK;
    fr_status status = parse_rows(&r, option, text, most, error);
    if (status == FR_OK)
        *tensor = fr_tape_input(f->tape, FR_I32, 2, (int64_t[]){r.rows, r.columns}, r.ids.ids);
    fr_ids_free(&r.ids);
    return status;
}

static fr_status encode_text(forward *f, fr_error *error)
{
    const char *text = f->options->text;
    if (!f->tokenizer)
        return fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                          "--text needs a tokenizer, and there is none; give --ids");
    fr_ids ids = {0};
    fr_status status =
        fr_tokenizer_encode(f->tokenizer, text, strlen(text), FR_ENCODE_ADD_SPECIAL, &ids, error);
    for (size_t i = 0; i < ids.count && status == FR_OK; i++)
        if (ids.ids[i] >= f->model->vocabulary)
            status = fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                                "the tokenizer gives id %d, but the model has %lld", ids.ids[i],
                                (long long)f->model->vocabulary);
    if (status == FR_OK && !ids.count)
        status = fr_fail(error, FR_BAD_INPUT, "--text is empty");
    if (status == FR_OK)
        f->batch.ids =
            fr_tape_input(f->tape, FR_I32, 2, (int64_t[]){1, (int64_t)ids.count}, ids.ids);
    fr_ids_free(&ids);
    return status;
}

static fr_status read_lengths(forward *f, fr_error *error)
{
    fr_tensor *lengths, *ids = f->batch.ids;
    int64_t columns = ids ? ids->shape[1] : 0;
    FR_TRY(read_rows(&lengths, f, "lengths", f->options->lengths, columns, error));
    if (!lengths)
        return FR_OK;
    if (!ids || lengths->shape[0] != 1 || lengths->shape[1] != ids->shape[0])
        return fr_fail(error, FR_BAD_INPUT, "--lengths: expected a number for each row of ids");
    f->batch.lengths = fr_reshape(f->tape, lengths, 1, &ids->shape[0]);
    return FR_OK;
}

static fr_status read_pixels(forward *f, fr_error *error)
{
    const char *path = f->options->pixels;
    if (!path)
        return FR_OK;
    FR_TRY(fr_safetensors_open(&f->pixels, path, error));
    const fr_safetensors_entry *entry = fr_safetensors_find(f->pixels, "pixel_values");
    if (!entry || entry->rank != 4 || entry->dtype != FR_F32)
        return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                          "expected a tensor pixel_values (B, channels, height, width) in f32");
    f->batch.pixels = fr_tape_input(f->tape, FR_F32, 4, entry->shape, entry->data);
    return FR_OK;
}

static fr_status read_input(forward *f, fr_error *error)
{
    const forward_options *o = f->options;
    int64_t last = f->model->vocabulary - 1;
    if (o->ids && o->text)
        return fr_fail(error, FR_BAD_INPUT, "give either --ids or --text");
    if (!o->ids && !o->text && !o->pixels)
        return fr_fail(error, FR_BAD_INPUT, "give --ids, --text or --pixels");
    FR_TRY(o->text ? encode_text(f, error)
                   : read_rows(&f->batch.ids, f, "ids", o->ids, last, error));
    FR_TRY(read_rows(&f->batch.decoder_ids, f, "decoder-ids", o->decoder_ids, last, error));
    FR_TRY(read_rows(&f->batch.types, f, "types", o->types, INT32_MAX, error));
    f->batch.choices = o->choices;
    FR_TRY(read_lengths(f, error));
    return read_pixels(f, error);
}

static fr_status load(forward *f, fr_error *error)
{
    const char *folder = f->call->operands[0];
    FR_TRY(fr_model_open(&f->model, folder, (fr_weights)f->options->weights, error));
    return fr_tokenizer_exists(folder) ? fr_tokenizer_load(&f->tokenizer, folder, error) : FR_OK;
}

/* ---- computing ---- */

static void keep(void *context, const char *name, const fr_tensor *value)
{
    forward *f = context;
    if (f->tap_count == f->tap_room) {
        size_t room = f->tap_room ? 2 * f->tap_room : 32;
        kept *grown = fr_realloc(f->taps, room * sizeof *grown, FR_MEMORY_OTHER);
        if (!grown) {
            f->tap_failed = true;
            return;
        }
        f->taps = grown;
        f->tap_room = room;
    }
    kept *tap = &f->taps[f->tap_count++];
    snprintf(tap->name, sizeof tap->name, "%s", name);
    tap->value = value;
}

static fr_status compute(forward *f, fr_error *error)
{
    if (f->options->tap)
        FR_TRY(fr_tape_observe(f->tape, f->options->tap, keep, f, error));
    fr_model_outputs(f->model, f->tape, &f->batch, &f->outputs);
    FR_TRY(fr_tape_check(f->tape, error));
    if (f->tap_failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the taps");
    if (f->options->tap && !f->tap_count)
        return fr_fail(error, FR_BAD_INPUT, "--tap '%s' matches no name; --tap '*' gives them all",
                       f->options->tap);
    return FR_OK;
}

static fr_status write_file(const forward *f, fr_error *error)
{
    size_t most = 1 + (size_t)f->outputs.count + f->tap_count, count = 0;
    fr_safetensors_item *items = fr_alloc_array(most, sizeof *items, FR_MEMORY_OTHER);
    if (!items)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", f->options->out);
    if (f->batch.ids)
        items[count++] = (fr_safetensors_item){"input_ids", f->batch.ids, FR_F32, false};
    for (int i = 0; i < f->outputs.count; i++)
        items[count++] = (fr_safetensors_item){f->outputs.items[i].name, f->outputs.items[i].tensor,
                                               FR_F32, false};
    for (size_t i = 0; i < f->tap_count; i++)
        items[count++] = (fr_safetensors_item){f->taps[i].name, f->taps[i].value, FR_F32, false};
    static const char *const metadata[] = {"format", "pt", NULL};
    fr_status status = fr_safetensors_write(f->options->out, items, count, metadata, NULL, error);
    fr_free(items);
    return status;
}

/* ---- summary: the shapes, and of a language model the likeliest next tokens ---- */

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

static const float *last_logits(const fr_tensor *logits, int64_t row)
{
    const float *numbers = fr_tensor_host((fr_tensor *)logits);
    return numbers + ((row + 1) * logits->shape[1] - 1) * logits->shape[2];
}

static fr_status print_next(const forward *f, const fr_tensor *all, int64_t row, fr_error *error)
{
    const float *logits = last_logits(all, row);
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

static fr_status print_text(const forward *f, fr_error *error)
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
    return f->options->out ? cli_print(error, "written to %s\n", f->options->out) : FR_OK;
}

static json_t *row_json(const fr_tensor *all, int64_t row)
{
    const float *logits = last_logits(all, row);
    ranking r = rank(logits, all->shape[2]);
    json_t *list = json_array();
    for (int k = 0; k < r.count; k++)
        json_array_append_new(list, json_pack("{s:i, s:f, s:f}", "id", (int)r.ids[k], "logit",
                                              (double)logits[r.ids[k]], "probability",
                                              exp(logits[r.ids[k]] - r.log_sum)));
    return list;
}

static json_t *shape_json(const fr_tensor *tensor)
{
    json_t *list = json_array();
    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(list, json_integer(tensor->shape[i]));
    return list;
}

static fr_status print_json(const forward *f, fr_error *error)
{
    json_t *shapes = json_object(), *next = json_array(), *taps = json_array();
    for (int i = 0; i < f->outputs.count; i++)
        json_object_set_new(shapes, f->outputs.items[i].name,
                            shape_json(f->outputs.items[i].tensor));
    const fr_tensor *logits = next_logits(f);
    for (int64_t row = 0; logits && row < logits->shape[0]; row++)
        json_array_append_new(next, row_json(logits, row));
    for (size_t i = 0; i < f->tap_count; i++)
        json_array_append_new(taps, json_string(f->taps[i].name));
    return cli_print_json(json_pack("{s:o, s:o, s:o, s:s?}", "shapes", shapes, "next", next, "taps",
                                    taps, "out", f->options->out),
                          error);
}

/* ---- the verb ---- */

static fr_status work(forward *f, fr_error *error)
{
    FR_TRY(load(f, error));
    f->tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, error);
    if (!f->tape)
        return FR_NO_MEMORY;
    FR_TRY(read_input(f, error));
    FR_TRY(compute(f, error));
    if (f->options->out)
        FR_TRY(write_file(f, error));
    return f->call->json ? print_json(f, error) : print_text(f, error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    forward f = {.call = call, .options = call->options};
    fr_status status = work(&f, error);
    fr_free(f.taps);
    fr_tape_destroy(f.tape);
    fr_safetensors_close(f.pixels);
    fr_tokenizer_free(f.tokenizer);
    fr_model_destroy(f.model);
    return status;
}

static const char help[] =
    "Runs a model once. Shows the shapes of what it gives and, of a language model, the likeliest "
    "next tokens. With --out all\n"
    "outputs, by Hugging Face's names, and the taps that --tap names go to a safetensors file, to "
    "be "
    "compared with another\n"
    "library's.\n"
    "\n"
    "  frugal forward out --text \"Once upon a time\"\n"
    "  frugal forward out --ids \"1,2,3;4,5,6\" --tap \"layers.*.out\" --out forward.safetensors";

const cli_verb cli_forward = {
    .name = "forward",
    .usage = "MODEL --ids 1,2,3 | --text TEXT | --pixels FILE",
    .summary = "outputs and intermediate results of one run",
    .help = help,
    .options = &table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
