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
    char *ids, *text, *out, *tap;
} forward_options;

static const fr_option options[] = {
    {"ids", FR_OPTION_STRING, offsetof(forward_options, ids), NULL, 0, 0, NULL,
     "token ids \"1,2,3\"; rows of equal length \"1,2,3;4,5,6\""},
    {"text", FR_OPTION_STRING, offsetof(forward_options, text), NULL, 0, 0, NULL,
     "text instead, through the model's tokenizer"},
    {"out", FR_OPTION_STRING, offsetof(forward_options, out), NULL, 0, 0, NULL,
     "safetensors file for input_ids, logits, last_hidden_state and the taps"},
    {"tap", FR_OPTION_STRING, offsetof(forward_options, tap), NULL, 0, 0, NULL,
     "also the intermediate results whose names match: \"layers.*.out\", \"*\" (docs/models.md)"},
};

static const fr_option_table table = {"forward", options, sizeof options / sizeof *options,
                                      sizeof(forward_options), NULL};

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
    fr_ids ids;
    int64_t rows, columns;
    fr_tensor *input, *hidden, *logits;
    kept *taps; /* in the order of computing; their tensors live on the tape */
    size_t tap_count, tap_room;
    bool tap_failed;
} forward;

/* ---- input ---- */

static bool push_id(fr_ids *ids, int32_t id)
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

/* "1,2,3;4,5,6": commas or spaces between ids, semicolons between rows. */
static fr_status parse_ids(forward *f, fr_error *error)
{
    const char *at = f->options->ids;
    size_t begin = 0;
    for (;;) {
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno || id < 0 || id >= f->model->vocabulary)
            return fr_fail(error, FR_BAD_INPUT, "--ids: expected an id from 0 to %lld at '%.20s'",
                           (long long)f->model->vocabulary - 1, at);
        if (!push_id(&f->ids, (int32_t)id))
            return fr_fail(error, FR_NO_MEMORY, "no memory for the ids");
        at = end + strspn(end, " ");
        if (*at == ',') {
            at++;
        } else if (*at == ';' || !*at) {
            int64_t length = (int64_t)(f->ids.count - begin);
            if (f->rows++ && length != f->columns)
                return fr_fail(error, FR_BAD_INPUT,
                               "--ids: row %lld has %lld ids, the rows before have %lld",
                               (long long)f->rows, (long long)length, (long long)f->columns);
            f->columns = length;
            begin = f->ids.count;
            if (!*at++)
                return FR_OK;
        }
    }
}

static fr_status encode_text(forward *f, fr_error *error)
{
    const char *text = f->options->text;
    if (!f->tokenizer)
        return fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                          "--text needs a tokenizer.json, and there is none; give --ids");
    FR_TRY(fr_tokenizer_encode(f->tokenizer, text, strlen(text), FR_ENCODE_ADD_SPECIAL, &f->ids,
                               error));
    for (size_t i = 0; i < f->ids.count; i++)
        if (f->ids.ids[i] >= f->model->vocabulary)
            return fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                              "the tokenizer gives id %d, but the model has %lld", f->ids.ids[i],
                              (long long)f->model->vocabulary);
    if (!f->ids.count)
        return fr_fail(error, FR_BAD_INPUT, "--text is empty");
    f->rows = 1;
    f->columns = (int64_t)f->ids.count;
    return FR_OK;
}

static fr_status load(forward *f, fr_error *error)
{
    const char *folder = f->call->operands[0];
    FR_TRY(fr_model_load(&f->model, folder, error));
    char *path = fr_path_join(folder, "tokenizer.json");
    if (!path)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    fr_status status =
        fr_path_exists(path) ? fr_tokenizer_load(&f->tokenizer, folder, error) : FR_OK;
    fr_free(path);
    return status;
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
    f->tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, error);
    if (!f->tape)
        return FR_NO_MEMORY;
    if (f->options->tap)
        FR_TRY(fr_tape_observe(f->tape, f->options->tap, keep, f, error));
    const int64_t shape[] = {f->rows, f->columns};
    f->input = fr_tape_input(f->tape, FR_I32, 2, shape, f->ids.ids);
    fr_batch batch = {.ids = f->input};
    f->hidden = fr_model_hidden(f->model, f->tape, &batch, NULL);
    f->logits = fr_linear(f->tape, f->hidden, f->model->head->value, NULL);
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
    size_t count = 3 + f->tap_count;
    fr_safetensors_item *items = fr_alloc_array(count, sizeof *items, FR_MEMORY_OTHER);
    if (!items)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", f->options->out);
    items[0] = (fr_safetensors_item){"input_ids", f->input, FR_F32, false};
    items[1] = (fr_safetensors_item){"logits", f->logits, FR_F32, false};
    items[2] = (fr_safetensors_item){"last_hidden_state", f->hidden, FR_F32, false};
    for (size_t i = 0; i < f->tap_count; i++)
        items[3 + i] = (fr_safetensors_item){f->taps[i].name, f->taps[i].value, FR_F32, false};
    static const char *const metadata[] = {"format", "pt", NULL};
    fr_status status = fr_safetensors_write(f->options->out, items, count, metadata, NULL, error);
    fr_free(items);
    return status;
}

/* ---- summary ---- */

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

static const float *last_logits(const forward *f, int64_t row)
{
    const float *logits = fr_tensor_host(f->logits);
    return logits + ((row + 1) * f->columns - 1) * f->model->vocabulary;
}

static fr_status print_text(const forward *f, fr_error *error)
{
    FR_TRY(cli_print(error, "logits (%lld, %lld, %lld)\n", (long long)f->rows,
                     (long long)f->columns, (long long)f->model->vocabulary));
    for (size_t i = 0; i < f->tap_count; i++) {
        char shape[96];
        FR_TRY(cli_print(error, "%s %s\n", f->taps[i].name,
                         fr_tensor_shape_text(f->taps[i].value, shape, sizeof shape)));
    }
    for (int64_t row = 0; row < f->rows; row++) {
        const float *logits = last_logits(f, row);
        ranking r = rank(logits, f->model->vocabulary);
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
    }
    return f->options->out ? cli_print(error, "written to %s\n", f->options->out) : FR_OK;
}

static json_t *row_json(const forward *f, int64_t row)
{
    const float *logits = last_logits(f, row);
    ranking r = rank(logits, f->model->vocabulary);
    json_t *list = json_array();
    for (int k = 0; k < r.count; k++)
        json_array_append_new(list, json_pack("{s:i, s:f, s:f}", "id", (int)r.ids[k], "logit",
                                              (double)logits[r.ids[k]], "probability",
                                              exp(logits[r.ids[k]] - r.log_sum)));
    return list;
}

static fr_status print_json(const forward *f, fr_error *error)
{
    json_t *rows = json_array(), *taps = json_array();
    for (int64_t row = 0; row < f->rows; row++)
        json_array_append_new(rows, row_json(f, row));
    for (size_t i = 0; i < f->tap_count; i++)
        json_array_append_new(taps, json_string(f->taps[i].name));
    return cli_print_json(json_pack("{s:[I, I, I], s:o, s:o, s:s?}", "shape", (json_int_t)f->rows,
                                    (json_int_t)f->columns, (json_int_t)f->model->vocabulary,
                                    "next", rows, "taps", taps, "out", f->options->out),
                          error);
}

/* ---- the verb ---- */

static fr_status work(forward *f, fr_error *error)
{
    if (!f->options->ids == !f->options->text)
        return fr_fail(error, FR_BAD_INPUT, "give either --ids or --text");
    FR_TRY(load(f, error));
    FR_TRY(f->options->ids ? parse_ids(f, error) : encode_text(f, error));
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
    fr_ids_free(&f.ids);
    fr_tape_destroy(f.tape);
    fr_tokenizer_free(f.tokenizer);
    fr_model_destroy(f.model);
    return status;
}

static const char help[] =
    "Runs a model once and shows the likeliest next tokens. With --out the logits, the last hidden "
    "state (after the final\n"
    "norm) and the taps that --tap names go to a safetensors file, to be compared with another "
    "library's.\n"
    "\n"
    "  frugal forward out --text \"Once upon a time\"\n"
    "  frugal forward out --ids \"1,2,3;4,5,6\" --tap \"layers.*.out\" --out forward.safetensors";

const cli_verb cli_forward = {"forward",
                              "MODEL --ids 1,2,3 | --text TEXT",
                              "logits and intermediate results of one run",
                              help,
                              &table,
                              1,
                              1,
                              false,
                              run};
