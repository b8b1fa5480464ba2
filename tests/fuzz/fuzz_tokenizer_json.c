/* fuzz_tokenizer_json.c: any bytes as a tokenizer.json and, behind a zero byte, a
   tokenizer_config.json: a tokenizer that works, or a message. */
#include "fuzz_tokenizer.h"

#include "tokenizer/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *zero = size ? memchr(text, 0, size) : NULL;
    size_t json_size = zero ? (size_t)(zero - text) : size;
    char *json = fr_string_copy_n(text, json_size);
    char *config = zero ? fr_string_copy_n(zero + 1, size - json_size - 1) : NULL;
    fr_tokenizer *tokenizer;
    fr_error error = {0};
    MUST(json);
    if (config && strlen(config) != size - json_size - 1) { /* a second zero */
        fr_free(json);
        fr_free(config);
        return 0;
    }
    fr_status status = tokenizer_from_json(&tokenizer, json, json_size, config, "fuzz", &error);
    check_loaded(status, tokenizer, &error);
    return 0;
}
