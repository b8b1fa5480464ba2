/* embed.c: `frugal embed`: a vector for each line of text, by a sentence encoder. */
#include "cli/cli.h"
#include "cli/input.h"

#include "frugal/decode.h"
#include "frugal/formats.h"

#include <jansson.h>
#include <string.h>

typedef struct embed_options {
    char *out, *prompt;
} embed_options;

static const fr_option options[] = {
    {"out", FR_OPTION_STRING, offsetof(embed_options, out), NULL, 0, 0, NULL,
     "safetensors file for `embeddings` (texts, width), instead of standard output"},
    {"prompt", FR_OPTION_STRING, offsetof(embed_options, prompt), NULL, 0, 0, NULL,
     "what goes before every text (\"query: \"), instead of the folder's own"},
};
static const fr_option_table table = {"embed", options, sizeof options / sizeof *options,
                                      sizeof(embed_options), NULL};

typedef struct embed {
    const cli_call *call;
    const embed_options *options;
    fr_sentence sentence;
    fr_model *model;
    fr_tokenizer *tokenizer;
    fr_buffer input;
    const char **texts; /* lines of the input */
    size_t count;
    fr_tensor *vectors; /* (texts, width) */
} embed;

/* ---- input ---- */

static fr_status load(embed *e, fr_error *error)
{
    const char *folder = e->call->operands[0];
    FR_TRY(fr_sentence_load(&e->sentence, folder, error));
    if (e->options->prompt) {
        fr_free(e->sentence.prompt);
        if (!(e->sentence.prompt = fr_string_copy(e->options->prompt)))
            return fr_fail(error, FR_NO_MEMORY, "no memory for the prompt");
    }
    char *path = *e->sentence.model_path ? fr_path_join(folder, e->sentence.model_path)
                                         : fr_string_copy(folder);
    if (!path)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    /* the body alone: some folders name a head that they do not hold */
    const fr_model_head body = {.task = FR_TASK_NONE};
    fr_status status = fr_model_load_as(&e->model, path, &(fr_model_change){.head = &body}, error);
    if (status == FR_OK)
        status = fr_tokenizer_load(&e->tokenizer, path, error);
    fr_free(path);
    return status;
}

/* Lines become strings where they stand. */
static fr_status read_texts(embed *e, fr_error *error)
{
    FR_TRY(cli_input_all(&e->input, error));
    if (!e->input.size)
        return fr_fail(error, FR_BAD_INPUT, "standard input is empty: give a text on each line");
    for (size_t i = 0; i <= e->input.size; i++)
        e->count += i == e->input.size || e->input.data[i] == '\n';
    e->texts = fr_alloc_array(e->count, sizeof *e->texts, FR_MEMORY_DATA);
    if (!e->texts)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu texts", e->count);
    char *at = e->input.data;
    for (size_t i = 0; i < e->count; i++) {
        e->texts[i] = at;
        at += strcspn(at, "\n");
        *at++ = 0; /* the last line ends at the buffer's own zero byte */
    }
    return FR_OK;
}

static fr_status compute(embed *e, fr_error *error)
{
    const int64_t shape[] = {(int64_t)e->count, e->sentence.poolings * e->model->width};
    e->vectors = fr_tensor_create(FR_F32, 2, shape, FR_MEMORY_DATA);
    if (!e->vectors)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu vectors", e->count);
    return fr_embed(e->model, e->tokenizer, &e->sentence, e->texts, e->count,
                    fr_tensor_host(e->vectors), error);
}

/* ---- output ---- */

static fr_status write_file(const embed *e, fr_error *error)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    const fr_safetensors_item item = {"embeddings", e->vectors, FR_F32, false};
    return fr_safetensors_write(e->options->out, &item, 1, metadata, NULL, error);
}

static json_t *vectors_json(const embed *e)
{
    const float *numbers = fr_tensor_host(e->vectors);
    json_t *list = json_array();
    for (size_t i = 0; i < e->count; i++) {
        json_t *vector = json_array();
        for (int64_t c = 0; c < e->vectors->shape[1]; c++)
            json_array_append_new(vector, fr_json_real((double)*numbers++));
        json_array_append_new(list, vector);
    }
    return list;
}

static fr_status print_json(const embed *e, fr_error *error)
{
    json_t *json = json_pack("{s:I, s:I}", "texts", (json_int_t)e->count, "width",
                             (json_int_t)e->vectors->shape[1]);
    if (e->options->out)
        json_object_set_new(json, "out", json_string(e->options->out));
    else
        json_object_set_new(json, "embeddings", vectors_json(e));
    return cli_print_json(json, error);
}

static fr_status print_text(const embed *e, fr_error *error)
{
    if (e->options->out)
        return cli_print(error, "%zu vectors of %lld numbers written to %s\n", e->count,
                         (long long)e->vectors->shape[1], e->options->out);
    const float *numbers = fr_tensor_host(e->vectors);
    fr_buffer line = {0};
    fr_status status = FR_OK;
    for (size_t i = 0; i < e->count && status == FR_OK; i++) {
        fr_buffer_clear(&line);
        for (int64_t c = 0; c < e->vectors->shape[1]; c++)
            fr_buffer_printf(&line, "%s%.9g", c ? " " : "", (double)*numbers++);
        fr_buffer_text(&line, "\n");
        status = line.failed ? fr_fail(error, FR_NO_MEMORY, "no memory for a line")
                             : cli_write(line.data, line.size, error);
    }
    fr_buffer_free(&line);
    return status;
}

/* ---- the verb ---- */

static fr_status work(embed *e, fr_error *error)
{
    FR_TRY(load(e, error));
    FR_TRY(read_texts(e, error));
    FR_TRY(compute(e, error));
    if (e->options->out)
        FR_TRY(write_file(e, error));
    return e->call->json ? print_json(e, error) : print_text(e, error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    embed e = {.call = call, .options = call->options};
    fr_status status = work(&e, error);
    fr_tensor_free(e.vectors);
    fr_free((void *)e.texts);
    fr_buffer_free(&e.input);
    fr_tokenizer_free(e.tokenizer);
    fr_model_destroy(e.model);
    fr_sentence_free(&e.sentence);
    return status;
}

const cli_verb cli_embed = {
    .name = "embed",
    .usage = "MODEL [--out FILE.safetensors] [--prompt TEXT]",
    .summary = "vectors of texts, by a sentence encoder",
    .help =
        "Reads a text on each line of standard input and gives a vector for each, in that order: "
        "a line of numbers on standard output, or one tensor in a file.\n\n"
        "MODEL is a sentence-transformers folder, whose modules.json says how the states of "
        "tokens become a vector; another encoder's folder is pooled by the mean. Texts that are "
        "longer than the folder says are cut.\n\n"
        "    frugal embed MiniLM --out vectors.safetensors < sentences.txt",
    .options = &table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
