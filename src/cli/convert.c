/* convert.c: `frugal convert`: a model folder written again, with its numbers stored otherwise.

   What is not weights is kept: the tokenizer's files, the chat template, the model card and what sentence encoders carry go over byte
   for byte; generation_config.json and what config.json says besides sizes come back as fr_model_save_as tells. */
#include "cli/cli.h"
#include "frugal/formats.h"
#include "frugal/model.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct convert_options {
    int dtype, format;
    int64_t shard_size;
    bool force;
} convert_options;

enum { DTYPE_SAME };
static const char *const dtypes[] = {"same", "f32", "bf16", "f16", NULL};
static const fr_dtype stored_as[] = {FR_DTYPES, FR_F32, FR_BF16, FR_F16};
static const char *const formats[] = {"safetensors", NULL};

static void defaults(void *o)
{
    ((convert_options *)o)->shard_size = (int64_t)5 << 30;
}

static const fr_option options[] = {
    {"dtype", FR_OPTION_CHOICE, offsetof(convert_options, dtype), .choices = dtypes,
     .help = "how numbers are stored; same: as most of the model's are"},
    {"format", FR_OPTION_CHOICE, offsetof(convert_options, format), .choices = formats,
     .help = "the container of the weights"},
    {"shard_size", FR_OPTION_BYTES, offsetof(convert_options, shard_size), .minimum = 0,
     .maximum = 1e15,
     .help =
         "most bytes of weights in one file; a larger model is written in several files with an "
         "index; 0: always one file"},
    {"force", FR_OPTION_BOOL, offsetof(convert_options, force),
     .help = "write into a folder that is not empty"},
};
static const fr_option_table table = {"convert", options, sizeof options / sizeof *options,
                                      sizeof(convert_options), defaults};

/* Files that go over as they are, where the folder has them. */
static const char *const kept[] = {
    /* tokenizers */
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "chat_template.json", "vocab.json", "merges.txt", "vocab.txt",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "source.spm", "target.spm",
    /* pictures, sentence encoders */
    "preprocessor_config.json", "processor_config.json", "modules.json",
    "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json",
    /* for people */
    "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE"};

/* ---- the folders ------------------------------------------------------------------------------- */

static fr_status check_folders(const char *in, const char *out, bool force, fr_error *error)
{
    char *a = realpath(in, NULL), *b = realpath(out, NULL);
    bool same = a && b && strcmp(a, b) == 0;
    free(a);
    free(b);
    if (!fr_path_is_folder(in))
        return fr_fail(error, FR_BAD_INPUT, "%s: there is no such model folder", in);
    if (same)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s cannot be converted onto itself; name another "
                       "folder",
                       in);
    if (fr_path_exists(out) && !fr_path_is_folder(out))
        return fr_fail(error, FR_BAD_INPUT, "%s is a file; OUT must name a folder", out);
    if (fr_path_is_folder(out) && !fr_folder_is_empty(out) && !force)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s is not empty; choose another folder, or say --force to write into it",
                       out);
    return FR_OK;
}

/* An earlier model in OUT ends where the new one begins. */
static fr_status withdraw(const char *out, fr_error *error)
{
    char *path = fr_path_join(out, "config.json");
    fr_status status = path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    if (path && fr_path_exists(path) && unlink(path) != 0)
        status = fr_fail_errno(error, "replace", path);
    fr_free(path);
    return status;
}

static fr_status copy_file(const char *from, const char *to, fr_error *error)
{
    char *data;
    size_t size;
    FR_TRY(fr_file_read(from, 0, &data, &size, error));
    fr_status status = fr_file_write(to, data, size, error);
    fr_free(data);
    return status;
}

/* NAME of IN goes to OUT, if it is there; a name with a slash has a folder of its own. */
static fr_status keep_file(const char *in, const char *out, const char *name, fr_error *error)
{
    char *from = fr_path_join(in, name), *to = fr_path_join(out, name);
    char *folder = to ? fr_string_copy_n(to, (size_t)(strrchr(to, '/') - to)) : NULL;
    fr_status status = FR_OK;
    if (!from || !folder)
        status = fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    else if (fr_path_exists(from)) {
        status = fr_folder_create(folder, error);
        if (status == FR_OK)
            status = copy_file(from, to, error);
    }
    fr_free(from);
    fr_free(to);
    fr_free(folder);
    return status;
}

/* ---- the weights ------------------------------------------------------------------------------- */

/* The type that most bytes of the folder's weights have. */
static fr_status find_dtype(const char *in, fr_dtype *dtype, fr_error *error)
{
    fr_weight_folder weights;
    size_t bytes[FR_DTYPES] = {0};
    FR_TRY(fr_weight_folder_open(&weights, in, error));
    for (size_t i = 0; i < weights.count; i++)
        for (size_t k = 0; k < fr_weight_file_count(weights.files[i]); k++) {
            const fr_stored_tensor *tensor = fr_weight_file_at(weights.files[i], k);
            bytes[tensor->dtype] += tensor->bytes;
        }
    fr_weight_folder_close(&weights);
    *dtype = FR_F32;
    if (bytes[FR_BF16] > bytes[FR_F32] && bytes[FR_BF16] >= bytes[FR_F16])
        *dtype = FR_BF16;
    else if (bytes[FR_F16] > bytes[FR_F32])
        *dtype = FR_F16;
    return FR_OK;
}

static fr_status print_result(const cli_call *call, const fr_model *model, fr_dtype dtype,
                              fr_error *error)
{
    const char *out = call->operands[1];
    fr_weight_folder weights;
    size_t bytes = 0;
    FR_TRY(fr_weight_folder_open(&weights, out, error));
    size_t files = weights.count;
    for (size_t i = 0; i < files; i++)
        for (size_t k = 0; k < fr_weight_file_count(weights.files[i]); k++)
            bytes += fr_weight_file_at(weights.files[i], k)->bytes;
    fr_weight_folder_close(&weights);
    int64_t parameters = fr_model_parameter_total(model);
    if (call->json)
        return cli_print_json(json_pack("{s:s, s:s, s:I, s:s, s:I, s:I}", "model", out, "kind",
                                        model->kind->base.name, "parameters",
                                        (json_int_t)parameters, "dtype", fr_dtype_name(dtype),
                                        "bytes", (json_int_t)bytes, "files", (json_int_t)files),
                              error);
    char count[24], size[24];
    return cli_print(error, "%s: %s, %s parameters in %s, %s in %zu file%s\n", out,
                     model->kind->base.name, cli_count_text((double)parameters, count),
                     fr_dtype_name(dtype), cli_bytes_text((double)bytes, size), files,
                     files == 1 ? "" : "s");
}

static fr_status write_model(const cli_call *call, const fr_model *model, fr_error *error)
{
    const convert_options *o = call->options;
    const char *in = call->operands[0], *out = call->operands[1];
    fr_model_save_options how = {.dtype = stored_as[o->dtype], .shard_bytes = o->shard_size};
    if (o->dtype == DTYPE_SAME)
        FR_TRY(find_dtype(in, &how.dtype, error));
    FR_TRY(fr_folder_create(out, error));
    FR_TRY(withdraw(out, error));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        FR_TRY(keep_file(in, out, kept[i], error));
    FR_TRY(fr_model_save_as(model, out, &how, error));
    return print_result(call, model, how.dtype, error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const convert_options *o = call->options;
    fr_model *model;
    FR_TRY(check_folders(call->operands[0], call->operands[1], o->force, error));
    FR_TRY(fr_model_load(&model, call->operands[0], error));
    fr_status status = write_model(call, model, error);
    fr_model_destroy(model);
    return status;
}

const cli_verb cli_convert = {
    .name = "convert",
    .usage = "MODEL OUT --dtype bf16",
    .summary = "write a model folder again, its numbers stored otherwise",
    .help =
        "Reads a model folder (safetensors, or PyTorch's pytorch_model.bin, whose pickle is "
        "read but not executed) and writes it\n"
        "to OUT as safetensors. Tokenizer, chat template, generation settings and model card "
        "go over as they are.\n\n"
        "  frugal convert old new                             pytorch_model.bin to safetensors\n"
        "  frugal convert model small --dtype bf16\n"
        "  frugal convert model shards --shard-size 2G\n",
    .options = &table,
    .least_operands = 2,
    .most_operands = 2,
    .run = run,
};
