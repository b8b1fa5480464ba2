/* read_files.c: which of the older files a folder has, or a file is. */
#include "tokenizer/read.h"
#include "tokenizer/utf8.h"

#include <string.h>

/* ---- lines ----------------------------------------------------------------------------------- */

bool read_line(const read_input *input, size_t *at, const char **line, size_t *size)
{
    if (*at >= input->size)
        return false;
    *line = input->data + *at;
    const char *end = memchr(*line, '\n', input->size - *at);
    *size = end ? (size_t)(end - *line) : input->size - *at;
    *at += *size + 1;
    return true;
}

fr_status read_check_text(const read_input *input, const char *text, size_t size, size_t line,
                          fr_error *error)
{
    if (memchr(text, 0, size) || utf8_valid_run((const unsigned char *)text, size) != size)
        return fr_fail_at(error, FR_BAD_INPUT, input->path, (long)line,
                          "not UTF-8 without zero bytes");
    return FR_OK;
}

/* ---- kinds of files -------------------------------------------------------------------------- */

typedef enum file_kind {
    NONE,
    SENTENCEPIECE_OR_TIKTOKEN,
    WORDPIECE,
    BPE_FILES,
    TIKTOKEN
} file_kind;

/* How the files are called that folders have, the first that is there counts. */
static const struct {
    const char *name;
    file_kind kind;
} folder_files[] = {{"tokenizer.model", SENTENCEPIECE_OR_TIKTOKEN},
                    {"spiece.model", SENTENCEPIECE_OR_TIKTOKEN},
                    {"sentencepiece.bpe.model", SENTENCEPIECE_OR_TIKTOKEN},
                    {"vocab.json", BPE_FILES},
                    {"vocab.txt", WORDPIECE},
                    {"qwen.tiktoken", TIKTOKEN}};

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), length = strlen(end);
    return size >= length && strcmp(text + size - length, end) == 0;
}

/* What a file is by its name. */
static file_kind kind_of(const char *path)
{
    if (ends_with(path, ".model") || ends_with(path, ".spm"))
        return SENTENCEPIECE_OR_TIKTOKEN;
    if (ends_with(path, ".tiktoken"))
        return TIKTOKEN;
    if (ends_with(path, "vocab.json") || ends_with(path, "merges.txt"))
        return BPE_FILES;
    return ends_with(path, ".txt") ? WORDPIECE : NONE;
}

/* A model file of SentencePiece begins with the key of a piece, or another of its messages; lines
   of base64 begin with a letter or digit. */
static bool is_text(const read_input *input)
{
    return input->size && input->data[0] != '\n' && (unsigned char)input->data[0] >= ' ' &&
           !(input->data[0] == '"' || input->data[0] == '*');
}

static fr_status read_whole(read_input *input, char **data, fr_error *error)
{
    FR_TRY(fr_file_read(input->path, 0, data, &input->size, error));
    input->data = *data;
    return FR_OK;
}

static fr_status read_pair(fr_tokenizer **tokenizer, const char *folder, const settings *from,
                           fr_error *error)
{
    char *vocab_path = fr_path_join(folder, "vocab.json");
    char *merges_path = fr_path_join(folder, "merges.txt");
    char *vocab_data = NULL, *merges_data = NULL;
    read_input vocab = {.path = vocab_path, .settings = from};
    read_input merges = {.path = merges_path, .settings = from};
    fr_status status =
        vocab_path && merges_path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    if (status == FR_OK)
        status = read_whole(&vocab, &vocab_data, error);
    if (status == FR_OK)
        status = read_whole(&merges, &merges_data, error);
    if (status == FR_OK)
        status = read_bpe_files(tokenizer, &vocab, &merges, error);
    fr_free(vocab_data);
    fr_free(merges_data);
    fr_free(vocab_path);
    fr_free(merges_path);
    return status;
}

static fr_status read_one(fr_tokenizer **tokenizer, const char *path, file_kind kind,
                          const settings *from, fr_error *error)
{
    read_input input = {.path = path, .settings = from};
    char *data = NULL;
    FR_TRY(read_whole(&input, &data, error));
    fr_status status = kind == WORDPIECE ? read_wordpiece(tokenizer, &input, error)
                       : kind == TIKTOKEN || is_text(&input)
                           ? read_tiktoken(tokenizer, &input, error)
                           : read_sentencepiece(tokenizer, &input, error);
    fr_free(data);
    return status;
}

static fr_status read_kind(fr_tokenizer **tokenizer, const char *folder, const char *path,
                           file_kind kind, fr_error *error)
{
    settings from;
    FR_TRY(settings_read(&from, folder, error));
    fr_status status = kind == BPE_FILES ? read_pair(tokenizer, folder, &from, error)
                                         : read_one(tokenizer, path, kind, &from, error);
    settings_free(&from);
    return status;
}

static fr_status read_folder(fr_tokenizer **tokenizer, const char *folder, fr_error *error)
{
    for (size_t i = 0; i < sizeof folder_files / sizeof *folder_files; i++) {
        char *path = fr_path_join(folder, folder_files[i].name);
        if (!path)
            return fr_fail(error, FR_NO_MEMORY, "no memory for a path");
        bool there = fr_path_exists(path);
        fr_status status =
            there ? read_kind(tokenizer, folder, path, folder_files[i].kind, error) : FR_OK;
        fr_free(path);
        if (there)
            return status;
    }
    return fr_fail_at(error, FR_BAD_INPUT, folder, 0,
                      "no tokenizer found (tokenizer.json, tokenizer.model, spiece.model, "
                      "sentencepiece.bpe.model, vocab.json with merges.txt, vocab.txt, "
                      "qwen.tiktoken)");
}

bool read_is_there(const char *folder)
{
    bool there = false;
    for (size_t i = 0; i < sizeof folder_files / sizeof *folder_files && !there; i++) {
        char *path = fr_path_join(folder, folder_files[i].name);
        there = !path || fr_path_exists(path);
        fr_free(path);
    }
    return there;
}

bool read_is_older(const char *path)
{
    if (fr_path_is_folder(path)) {
        char *file = fr_path_join(path, "tokenizer.json");
        bool there = !file || fr_path_exists(file);
        fr_free(file);
        return !there;
    }
    return kind_of(path) != NONE;
}

fr_status read_tokenizer_files(fr_tokenizer **tokenizer, const char *path, fr_error *error)
{
    *tokenizer = NULL;
    if (fr_path_is_folder(path))
        return read_folder(tokenizer, path, error);
    const char *slash = strrchr(path, '/');
    char *folder =
        fr_string_copy_n(slash ? path : ".", slash == path || !slash ? 1 : (size_t)(slash - path));
    if (!folder)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    fr_status status = read_kind(tokenizer, folder, path, kind_of(path), error);
    fr_free(folder);
    return status;
}
