/* fuzz_tokenizer_files.c: any bytes as vocab.txt, vocab.json with merges.txt, or a tiktoken file: a
   tokenizer that works, or a message. The input is the name of a class, a line end, what
   tokenizer_config.json holds, a zero byte, and the file (or the two files with a zero between). */
#include "fuzz_tokenizer.h"

#include "tokenizer/read.h"

/* Up to a stop byte, as a string; the text behind it in *rest. */
static char *take(const char **rest, size_t *left, char stop)
{
    const char *end = *left ? memchr(*rest, stop, *left) : NULL;
    size_t size = end ? (size_t)(end - *rest) : *left;
    char *text = fr_string_copy_n(*rest, size);
    MUST(text);
    *rest += end ? size + 1 : size;
    *left -= end ? size + 1 : size;
    return text;
}

static fr_status read_any(fr_tokenizer **tokenizer, const settings *beside, char *name,
                          const char *rest, size_t left, fr_error *error)
{
    read_input one = {"fuzz.tiktoken", rest, left, beside};
    if (name[0] == 't')
        return read_tiktoken(tokenizer, &one, error);
    if (name[0] == 'v')
        return read_wordpiece(tokenizer, &one, error);
    char *first = take(&rest, &left, 0);
    read_input vocab = {"fuzz.json", first, strlen(first), beside};
    read_input merges = {"fuzz.txt", rest, left, beside};
    fr_status status = read_bpe_files(tokenizer, &vocab, &merges, error);
    fr_free(first);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *rest = (const char *)data;
    char *name = take(&rest, &size, '\n'), *config = take(&rest, &size, 0);
    settings beside = {.root = json_loads(config, JSON_REJECT_DUPLICATES, NULL)};
    if (!json_is_object(beside.root)) {
        json_decref(beside.root);
        beside.root = json_object();
    }
    /* The first letter is the kind of file: t, v or b. */
    if (name[0])
        snprintf(beside.class_name, sizeof beside.class_name, "%s", name + 1);
    char *copy = fr_string_copy_n(rest, size);
    MUST(copy && beside.root);
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    fr_status status = read_any(&tokenizer, &beside, name, copy, size, &error);
    check_loaded(status, tokenizer, &error);
    settings_free(&beside);
    fr_free(copy);
    fr_free(name);
    fr_free(config);
    return 0;
}
