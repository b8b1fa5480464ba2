/* forward_input.c: what `frugal forward` gives a model: rows of numbers, texts, pictures. */
#include "cli/forward.h"

#include "frugal/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows of numbers ---- */

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

/* ---- texts ---- */

/* One text's ids, all of which the model has. */
static fr_status encode_text(const forward *f, const char *text, fr_ids *ids, fr_error *error)
{
    fr_status status =
        fr_tokenizer_encode(f->tokenizer, text, strlen(text), FR_ENCODE_ADD_SPECIAL, ids, error);
    for (size_t i = 0; i < ids->count && status == FR_OK; i++)
        if (ids->ids[i] >= f->model->vocabulary)
            status = fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                                "the tokenizer gives id %d, but the model has %lld", ids->ids[i],
                                (long long)f->model->vocabulary);
    if (status == FR_OK && !ids->count)
        status = fr_fail(error, FR_BAD_INPUT, "--text is empty");
    return status;
}

/* Rows of different lengths as one tensor, filled up on the right, and their lengths where they differ. */
static void put_texts(forward *f, const fr_ids *texts, size_t count)
{
    int64_t columns = 0, batch = (int64_t)count;
    bool equal = true;
    for (size_t i = 0; i < count; i++) {
        equal &= texts[i].count == texts[0].count;
        columns = (int64_t)texts[i].count > columns ? (int64_t)texts[i].count : columns;
    }
    fr_tensor *ids = fr_tape_tensor(f->tape, FR_I32, 2, (int64_t[]){batch, columns});
    fr_tensor *lengths = fr_tape_tensor(f->tape, FR_I32, 1, &batch);
    if (!ids || !lengths)
        return; /* the tape knows */
    int32_t *id = fr_tensor_host(ids), *length = fr_tensor_host(lengths);
    int32_t pad = f->model->pad >= 0 ? (int32_t)f->model->pad : 0;
    for (size_t i = 0; i < count; i++) {
        length[i] = (int32_t)texts[i].count;
        for (int64_t t = 0; t < columns; t++)
            *id++ = t < length[i] ? texts[i].ids[t] : pad;
    }
    f->batch.ids = ids;
    f->batch.lengths = equal ? NULL : lengths;
}

static fr_status read_texts(forward *f, fr_error *error)
{
    size_t count = f->options->text.count;
    if (!f->tokenizer)
        return fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                          "--text needs a tokenizer, and there is none; give --ids");
    fr_ids *texts = fr_alloc_array(count, sizeof *texts, FR_MEMORY_OTHER);
    fr_status status = texts ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for --text");
    for (size_t i = 0; i < count && status == FR_OK; i++)
        status = encode_text(f, f->options->text.items[i], &texts[i], error);
    if (status == FR_OK)
        put_texts(f, texts, count);
    for (size_t i = 0; i < count && texts; i++)
        fr_ids_free(&texts[i]);
    fr_free(texts);
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

/* ---- pictures ---- */

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

/* What the folder says is to be done with pictures, or what is usual for the model. */
static fr_status open_processor(fr_image_processor **processor, const forward *f, fr_error *error)
{
    const char *folder = f->call->operands[0];
    return fr_image_processor_exists(folder)
               ? fr_image_processor_load(processor, folder, error)
               : fr_image_processor_create(processor, f->model, error);
}

/* Read picture number i; all have the model's size. */
static fr_status read_image(const forward *f, const fr_image_processor *processor, size_t i,
                            float *to, fr_error *error)
{
    const int64_t *wanted = f->model->image;
    const char *path = f->options->image.items[i];
    float *pixels;
    int64_t shape[3];
    FR_TRY(fr_image_read(processor, path, &pixels, shape, error));
    bool fits = memcmp(shape, wanted, sizeof shape) == 0;
    if (fits)
        memcpy(to, pixels, (size_t)(shape[0] * shape[1] * shape[2]) * sizeof *to);
    fr_free(pixels);
    if (fits)
        return FR_OK;
    return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                      "the picture becomes %lld x %lld x %lld numbers, but the model reads %lld x "
                      "%lld x %lld",
                      (long long)shape[0], (long long)shape[1], (long long)shape[2],
                      (long long)wanted[0], (long long)wanted[1], (long long)wanted[2]);
}

static fr_status read_images(forward *f, fr_error *error)
{
    const int64_t *size = f->model->image;
    const int64_t shape[] = {(int64_t)f->options->image.count, size[0], size[1], size[2]};
    fr_image_processor *processor = NULL;
    if (!size[0])
        return fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                          "--image: the model sees no pictures");
    FR_TRY(open_processor(&processor, f, error));
    fr_tensor *pixels = fr_tape_tensor(f->tape, FR_F32, 4, shape);
    fr_status status = pixels ? FR_OK : fr_tape_check(f->tape, error);
    for (size_t i = 0; i < f->options->image.count && status == FR_OK; i++)
        status = read_image(
            f, processor, i,
            (float *)fr_tensor_host(pixels) + (int64_t)i * shape[1] * shape[2] * shape[3], error);
    f->batch.pixels = pixels;
    fr_image_processor_free(processor);
    return status;
}

fr_status forward_read_input(forward *f, fr_error *error)
{
    const forward_options *o = f->options;
    int64_t last = f->model->vocabulary - 1;
    if (o->ids && o->text.count)
        return fr_fail(error, FR_BAD_INPUT, "give either --ids or --text");
    if (o->pixels && o->image.count)
        return fr_fail(error, FR_BAD_INPUT, "give either --pixels or --image");
    if (!o->ids && !o->text.count && !o->pixels && !o->image.count)
        return fr_fail(error, FR_BAD_INPUT, "give --ids, --text, --pixels or --image");
    if (!f->model->vocabulary && (o->ids || o->text.count))
        return fr_fail_at(error, FR_BAD_INPUT, f->call->operands[0], 0,
                          "the model reads no text: give --pixels or --image");
    FR_TRY(o->text.count ? read_texts(f, error)
                         : read_rows(&f->batch.ids, f, "ids", o->ids, last, error));
    FR_TRY(read_rows(&f->batch.decoder_ids, f, "decoder-ids", o->decoder_ids, last, error));
    FR_TRY(read_rows(&f->batch.types, f, "types", o->types, INT32_MAX, error));
    f->batch.choices = o->choices;
    FR_TRY(read_lengths(f, error));
    return o->image.count ? read_images(f, error) : read_pixels(f, error);
}
