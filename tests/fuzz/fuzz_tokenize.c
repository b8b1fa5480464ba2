/* fuzz_tokenize.c: any bytes as text for a tokenizer of each kind (the first byte says which):
   offsets lie in the text, and ids decode; to the same bytes where nothing is lost on the way. */
#include "fuzz_tokenizer.h"

static const char lesson[] =
    "Every tokenizer of this kind has learned the same few words, among them \xC3\xBC\x62\x65r, "
    "don't, 12345, x = y + 1;\n\nand \xE4\xBD\xA0\xE5\xA5\xBD, "
    "\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82. "
    "The tokenizer has learned; the words have learned the tokenizer.\n";

static fr_status next_text(void *context, const char **text, size_t *size, fr_error *error)
{
    int *left = context;
    (void)error;
    *text = (*left)-- > 0 ? lesson : NULL;
    *size = sizeof lesson - 1;
    return FR_OK;
}

static fr_tokenizer *learned(const char *name)
{
    static fr_tokenizer *ready[8];
    for (size_t i = 0; fr_tokenizers.entries[i]; i++) {
        const fr_tokenizer_kind *kind = (const fr_tokenizer_kind *)fr_tokenizers.entries[i];
        if (strcmp(kind->base.name, name) != 0)
            continue;
        if (ready[i])
            return ready[i];
        fr_tokenizer_options options = {0};
        int times = 3;
        if (kind->base.options.defaults)
            kind->base.options.defaults(&options);
        options.vocabulary = 420;
        MUST(kind->train(&ready[i], &options, next_text, &times, NULL) == FR_OK);
        if (kind->base.options.defaults)
            fr_options_free(&kind->base.options, &options);
        return ready[i];
    }
    fprintf(stderr, "there is no kind of tokenizer called that\n");
    abort();
}

static bool has(const char *text, size_t size, const char *part)
{
    size_t length = strlen(part);
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(text + i, part, length) == 0)
            return true;
    return false;
}

/* Bytes that all of UTF-8 is made of, in some order that may not be UTF-8. */
static bool is_plain(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

static void check_round_trip(const fr_tokenizer *tokenizer, const char *text, size_t size)
{
    fr_ids ids = {0};
    fr_buffer back = {0};
    MUST(fr_tokenizer_encode(tokenizer, text, size, FR_ENCODE_SPECIAL_AS_TEXT, &ids, NULL) ==
         FR_OK);
    MUST(fr_tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back, NULL) == FR_OK);
    MUST(back.size == size && (size == 0 || memcmp(back.data, text, size) == 0));
    fr_ids_free(&ids);
    fr_buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"bpe", "byte", "sentencepiece_bpe", "unigram", "wordpiece"};
    if (size == 0)
        return 0;
    size_t which = data[0] % (sizeof names / sizeof *names);
    const fr_tokenizer *tokenizer = learned(names[which]);
    const char *text = (const char *)data + 1;
    size--;
    check_encoding(tokenizer, text, size, 0);
    check_encoding(tokenizer, text, size, FR_ENCODE_ADD_SPECIAL | FR_ENCODE_SPECIAL_AS_TEXT);
    /* Those on characters mend what is not UTF-8, and take U+2581 for a blank. */
    if (which < 2 || (which < 4 && is_plain(text, size) && !has(text, size, "<0x")))
        check_round_trip(tokenizer, text, size);
    return 0;
}
