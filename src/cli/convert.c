/* convert.c: `frugal convert`: a model folder written again, with its numbers stored otherwise.

   What is not weights is kept: the tokenizer's files, the chat template, the model card and what sentence encoders carry go over byte
   for byte; generation_config.json and what config.json says besides sizes come back as fr_model_save_as tells. */
#include "cli/cli.h"
#include "frugal/decode.h"
#include "frugal/formats.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct convert_options {
    int dtype, format;
    int64_t shard_size;
    bool force;
} convert_options;

enum { DTYPE_SAME, DTYPE_F32, DTYPE_BF16, DTYPE_F16 };
static const char *const dtypes[] = {"same", "f32",  "bf16", "f16", "q8_0",
                                     "q4_0", "q4_k", "q6_k", NULL};
static const fr_dtype stored_as[] = {FR_DTYPES, FR_F32,  FR_BF16, FR_F16,
                                     FR_Q8_0,   FR_Q4_0, FR_Q4_K, FR_Q6_K};
enum { FORMAT_SAFETENSORS, FORMAT_GGUF };
static const char *const formats[] = {"safetensors", "gguf", NULL};

static void defaults(void *o)
{
    ((convert_options *)o)->shard_size = (int64_t)5 << 30;
}

static const fr_option options[] = {
    {"dtype", FR_OPTION_CHOICE, offsetof(convert_options, dtype), .choices = dtypes,
     .help =
         "how numbers are stored; same: as most of the model's are. q8_0 and what follows only in "
         "GGUF files, whose blocks become f32 elsewhere"},
    {"format", FR_OPTION_CHOICE, offsetof(convert_options, format), .choices = formats,
     .help = "the container of the weights; gguf: OUT is one file with the tokenizer in it, for "
             "llama.cpp"},
    {"shard_size", FR_OPTION_BYTES, offsetof(convert_options, shard_size), .minimum = 0,
     .maximum = 1e15,
     .help = "most bytes of weights in one file of a folder; a larger model is written in several "
             "with an "
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

/* Where the model comes from. */
typedef struct origin {
    const char *path;
    char *gguf; /* the file, when it is one; NULL: a folder */
} origin;

/* ---- the folders ------------------------------------------------------------------------------- */

static fr_status check_out(const char *out, const convert_options *o, fr_error *error)
{
    bool folder = fr_path_is_folder(out);
    if (o->format == FORMAT_GGUF && folder)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s is a folder; a GGUF model is one file: %s/model.gguf", out, out);
    if (o->format == FORMAT_GGUF && fr_path_exists(out) && !o->force)
        return fr_fail(error, FR_BAD_INPUT, "%s exists; say --force to write it anew", out);
    if (o->format == FORMAT_GGUF)
        return FR_OK;
    if (o->dtype > DTYPE_F16)
        return fr_fail(error, FR_BAD_INPUT, "%s is stored in GGUF files alone: say --format gguf",
                       dtypes[o->dtype]);
    if (fr_path_exists(out) && !folder)
        return fr_fail(error, FR_BAD_INPUT, "%s is a file; OUT must name a folder", out);
    if (folder && !fr_folder_is_empty(out) && !o->force)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s is not empty; choose another folder, or say --force to write into it",
                       out);
    return FR_OK;
}

static fr_status check_paths(const origin *in, const char *out, const convert_options *o,
                             fr_error *error)
{
    char *a = realpath(in->gguf ? in->gguf : in->path, NULL), *b = realpath(out, NULL);
    bool same = a && b && strcmp(a, b) == 0;
    free(a);
    free(b);
    if (!in->gguf && !fr_path_is_folder(in->path))
        return fr_fail(error, FR_BAD_INPUT, "%s: there is no such model folder or GGUF file",
                       in->path);
    if (same)
        return fr_fail(error, FR_BAD_INPUT, "%s cannot be converted onto itself; name another OUT",
                       in->path);
    return check_out(out, o, error);
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

static fr_status count_gguf(const char *path, size_t bytes[FR_DTYPES], fr_error *error)
{
    fr_gguf *file;
    FR_TRY(fr_gguf_open(&file, path, error));
    for (size_t i = 0; i < fr_gguf_count(file); i++)
        bytes[fr_gguf_at(file, i)->dtype] += fr_gguf_at(file, i)->bytes;
    fr_gguf_close(file);
    return FR_OK;
}

static fr_status count_folder(const char *path, size_t bytes[FR_DTYPES], size_t *files,
                              fr_error *error)
{
    fr_weight_folder weights;
    FR_TRY(fr_weight_folder_open(&weights, path, error));
    for (size_t i = 0; i < weights.count; i++)
        for (size_t k = 0; k < fr_weight_file_count(weights.files[i]); k++) {
            const fr_stored_tensor *tensor = fr_weight_file_at(weights.files[i], k);
            bytes[tensor->dtype] += tensor->bytes;
        }
    *files = weights.count;
    fr_weight_folder_close(&weights);
    return FR_OK;
}

/* The type that most bytes of the weights have, of those that the format can store. */
static fr_status find_dtype(const origin *in, int format, fr_dtype *dtype, fr_error *error)
{
    size_t bytes[FR_DTYPES] = {0}, files;
    FR_TRY(in->gguf ? count_gguf(in->gguf, bytes, error)
                    : count_folder(in->path, bytes, &files, error));
    *dtype = FR_F32;
    for (int d = DTYPE_F32; dtypes[d]; d++)
        if (bytes[stored_as[d]] > bytes[*dtype])
            *dtype = stored_as[d];
    if (format == FORMAT_SAFETENSORS && fr_dtype_block(*dtype) > 1)
        *dtype = FR_F32; /* all that the blocks say */
    return FR_OK;
}

static fr_status print_result(const cli_call *call, const fr_model *model, fr_dtype dtype,
                              fr_error *error)
{
    const convert_options *o = call->options;
    const char *out = call->operands[1];
    size_t each[FR_DTYPES] = {0}, bytes = 0, files = 1;
    FR_TRY(o->format == FORMAT_GGUF ? count_gguf(out, each, error)
                                    : count_folder(out, each, &files, error));
    for (int i = 0; i < FR_DTYPES; i++)
        bytes += each[i];
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

/* The tokenizer of a GGUF file as the files of a folder. */
static fr_status unpack_tokenizer(const char *gguf, const char *out, const fr_model *model,
                                  fr_error *error)
{
    fr_tokenizer *tokenizer;
    if (!fr_tokenizer_exists(gguf))
        return FR_OK;
    FR_TRY(fr_tokenizer_load(&tokenizer, gguf, error));
    fr_status status = fr_tokenizer_save(tokenizer, out, model->max_positions, error);
    fr_tokenizer_free(tokenizer);
    return status;
}

static fr_status write_folder(const origin *in, const char *out, const fr_model *model,
                              const fr_model_save_options *how, fr_error *error)
{
    FR_TRY(fr_folder_create(out, error));
    FR_TRY(withdraw(out, error));
    for (size_t i = 0; i < sizeof kept / sizeof *kept && !in->gguf; i++)
        FR_TRY(keep_file(in->path, out, kept[i], error));
    if (in->gguf)
        FR_TRY(unpack_tokenizer(in->gguf, out, model, error));
    return fr_model_save_as(model, out, how, error);
}

static fr_status write_gguf(const origin *in, const char *out, const fr_model *model,
                            fr_dtype dtype, fr_error *error)
{
    fr_tokenizer *tokenizer = NULL;
    if (fr_tokenizer_exists(in->path))
        FR_TRY(fr_tokenizer_load(&tokenizer, in->path, error));
    fr_status status = fr_gguf_save(model, tokenizer, out, dtype, error);
    fr_tokenizer_free(tokenizer);
    return status;
}

static fr_status write_model(const cli_call *call, const origin *in, const fr_model *model,
                             fr_error *error)
{
    const convert_options *o = call->options;
    const char *out = call->operands[1];
    fr_model_save_options how = {.dtype = stored_as[o->dtype], .shard_bytes = o->shard_size};
    if (o->dtype == DTYPE_SAME)
        FR_TRY(find_dtype(in, o->format, &how.dtype, error));
    FR_TRY(o->format == FORMAT_GGUF ? write_gguf(in, out, model, how.dtype, error)
                                    : write_folder(in, out, model, &how, error));
    return print_result(call, model, how.dtype, error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    origin in = {.path = call->operands[0]};
    fr_model *model = NULL;
    FR_TRY(fr_gguf_locate(in.path, &in.gguf, error));
    fr_status status = check_paths(&in, call->operands[1], call->options, error);
    if (status == FR_OK)
        status = fr_model_load(&model, in.path, error);
    if (status == FR_OK)
        status = write_model(call, &in, model, error);
    fr_model_destroy(model);
    fr_free(in.gguf);
    return status;
}

const cli_verb cli_convert = {
    .name = "convert",
    .usage = "MODEL OUT --dtype bf16",
    .summary = "write a model again, its numbers stored otherwise",
    .help =
        "Reads a model folder (safetensors, or PyTorch's pytorch_model.bin, whose pickle is "
        "read but not executed) or a GGUF file\n"
        "and writes it to OUT, a folder with safetensors or one GGUF file. Tokenizer, chat "
        "template, generation settings and model card "
        "go over as they are.\n\n"
        "  frugal convert old new                             pytorch_model.bin to safetensors\n"
        "  frugal convert model small --dtype bf16\n"
        "  frugal convert model shards --shard-size 2G\n"
        "  frugal convert model model.gguf --format gguf --dtype q4_k\n"
        "  frugal convert model.gguf model                    back to a folder, to train on\n",
    .options = &table,
    .least_operands = 2,
    .most_operands = 2,
    .run = run,
};
