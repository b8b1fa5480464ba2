/* forward.c: `frugal forward`: what a model computes from ids, as tensors in a file: for debugging,
   and for comparing with other libraries. */
#include "cli/forward.h"

#include <stdio.h>
#include <string.h>

static void defaults(void *o)
{
    ((forward_options *)o)->weights = FR_WEIGHTS_STORED;
}

static const fr_option options[] = {
    {"ids", FR_OPTION_STRING, offsetof(forward_options, ids), NULL, 0, 0, NULL,
     "token ids \"1,2,3\"; rows of equal length \"1,2,3;4,5,6\""},
    {"text", FR_OPTION_STRINGS, offsetof(forward_options, text), NULL, 0, 0, NULL,
     "text instead, through the model's tokenizer; each further --text is a further row"},
    {"decoder_ids", FR_OPTION_STRING, offsetof(forward_options, decoder_ids), NULL, 0, 0, NULL,
     "what the decoder of an encoder-decoder reads, as --ids"},
    {"types", FR_OPTION_STRING, offsetof(forward_options, types), NULL, 0, 0, NULL,
     "token types, as many as ids (BERT: 0 for the first text, 1 for the second)"},
    {"lengths", FR_OPTION_STRING, offsetof(forward_options, lengths), NULL, 0, 0, NULL,
     "how many ids of each row are text, \"5,3\"; the rest is padding"},
    {"choices", FR_OPTION_INT, offsetof(forward_options, choices), "rows", 0, INT32_MAX, NULL,
     "multiple choice: so many rows are one question's; 0: all are"},
    {"pixels", FR_OPTION_STRING, offsetof(forward_options, pixels), NULL, 0, 0, NULL,
     "safetensors file with pixel_values (B, channels, height, width), normalised already"},
    {"image", FR_OPTION_STRINGS, offsetof(forward_options, image), NULL, 0, 0, NULL,
     "picture (PNG, JPEG, WebP), made ready as the folder's preprocessor_config.json says; each "
     "further --image is a further row"},
    {"out", FR_OPTION_STRING, offsetof(forward_options, out), NULL, 0, 0, NULL,
     "safetensors file for input_ids, every output (logits, last_hidden_state, ...) and the taps"},
    {"tap", FR_OPTION_STRING, offsetof(forward_options, tap), NULL, 0, 0, NULL,
     "also the intermediate results whose names match: \"layers.*.out\", \"*\" (docs/models.md)"},
    CLI_WEIGHTS_OPTION(forward_options, weights),
};

static const fr_option_table table = {"forward", options, sizeof options / sizeof *options,
                                      sizeof(forward_options), defaults};

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

/* ---- the verb ---- */

static fr_status work(forward *f, fr_error *error)
{
    FR_TRY(load(f, error));
    f->tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, error);
    if (!f->tape)
        return FR_NO_MEMORY;
    FR_TRY(forward_read_input(f, error));
    FR_TRY(compute(f, error));
    if (f->options->out)
        FR_TRY(write_file(f, error));
    return f->call->json ? forward_print_json(f, error) : forward_print_text(f, error);
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
    "Runs a model once. Shows the shapes of what it gives and what that means: of a language model "
    "the likeliest next tokens, of\n"
    "a classifier the likeliest classes, of pictures and texts how they belong together. With "
    "--out "
    "all outputs, by Hugging\n"
    "Face's names, and the taps that --tap names go to a safetensors file, to be compared with "
    "another library's.\n"
    "\n"
    "  frugal forward out --text \"Once upon a time\"\n"
    "  frugal forward out --ids \"1,2,3;4,5,6\" --tap \"layers.*.out\" --out forward.safetensors\n"
    "  frugal forward vit --image cat.png --image dog.jpg\n"
    "  frugal forward clip --image cat.png --text \"a photo of a cat\" --text \"a photo of a dog\"";

const cli_verb cli_forward = {
    .name = "forward",
    .usage = "MODEL --ids 1,2,3 | --text TEXT... | --pixels FILE | --image FILE...",
    .summary = "outputs and intermediate results of one run",
    .help = help,
    .options = &table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
