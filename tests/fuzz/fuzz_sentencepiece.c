/* fuzz_sentencepiece.c: any bytes as a SentencePiece model, for each class of tokenizer that one may
   belong to (the first byte says which): a tokenizer that works, or a message. */
#include "fuzz_tokenizer.h"

#include "tokenizer/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const classes[] = {"",
                                          "LlamaTokenizer",
                                          "GemmaTokenizer",
                                          "T5Tokenizer",
                                          "XLMRobertaTokenizer",
                                          "MBartTokenizer",
                                          "MBart50Tokenizer"};
    if (size == 0)
        return 0;
    settings beside = {.root = json_object()};
    const char *name = classes[*data % (sizeof classes / sizeof *classes)];
    memcpy(beside.class_name, name, strlen(name) + 1);
    char *copy = fr_string_copy_n((const char *)data + 1, size - 1);
    MUST(copy && beside.root);
    read_input input = {"fuzz.model", copy, size - 1, &beside};
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    fr_status status = read_sentencepiece(&tokenizer, &input, &error);
    check_loaded(status, tokenizer, &error);
    settings_free(&beside);
    fr_free(copy);
    return 0;
}
