/* fuzz_gguf.c: any bytes as a GGUF file: opened or refused, and what is opened can be walked to its ends; then as a model and as a
   tokenizer, which are made or refused. */
#include "frugal/formats.h"
#include "frugal/model.h"
#include "frugal/tokenizer.h"

#include "memory_file.h"

enum { MOST = 64 << 10 /* larger files say nothing new */ };

static void walk_values(const fr_gguf *file)
{
    for (size_t i = 0; i < fr_gguf_value_count(file); i++) {
        const fr_gguf_value *value = fr_gguf_value_at(file, i);
        MUST(fr_gguf_value_find(file, value->key) == value);
        fr_gguf_items texts = {.value = value}, ints = texts, reals = texts;
        const char *text;
        size_t size, bytes = 0;
        int64_t number;
        double real;
        while (fr_gguf_next_text(&texts, &text, &size))
            for (size_t k = 0; k < size; k++)
                bytes += (unsigned char)text[k];
        while (fr_gguf_next_int(&ints, &number))
            bytes += (size_t)number;
        while (fr_gguf_next_real(&reals, &real))
            bytes += real > 0;
        if (fr_gguf_text(value, &text, &size))
            MUST(size == value->count);
        (void)bytes;
    }
}

static void walk_tensors(const fr_gguf *file)
{
    for (size_t i = 0; i < fr_gguf_count(file); i++) {
        const fr_gguf_entry *entry = fr_gguf_at(file, i);
        int64_t count = 1;
        for (int k = 0; k < entry->rank; k++)
            count *= entry->shape[k];
        MUST(fr_gguf_find(file, entry->name) == entry);
        MUST(fr_dtype_bytes(entry->dtype, count) == entry->bytes);
        unsigned sum = 0;
        for (size_t k = 0; k < entry->bytes; k++)
            sum += ((const unsigned char *)entry->data)[k];
        (void)sum;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MOST)
        return 0;
    char path[64];
    int descriptor = memory_file(data, size, path);
    fr_error error = {0};
    fr_gguf *file;
    if (fr_gguf_open(&file, path, &error) == FR_OK) {
        walk_values(file);
        walk_tensors(file);
        fr_gguf_close(file);
        fr_model *model;
        for (int weights = FR_WEIGHTS_F32; weights <= FR_WEIGHTS_STORED; weights++) {
            fr_status status = fr_model_open(&model, path, (fr_weights)weights, &error);
            MUST((status == FR_OK) == (model != NULL));
            fr_model_destroy(model);
        }
        fr_tokenizer *tokenizer;
        fr_status status = fr_tokenizer_load(&tokenizer, path, &error);
        MUST((status == FR_OK) == (tokenizer != NULL));
        fr_tokenizer_free(tokenizer);
    } else
        MUST(!file && error.status != FR_OK && error.message[0]);
    close(descriptor);
    return 0;
}
