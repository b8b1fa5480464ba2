/* fuzz_sentence.c: any bytes as the files that a sentence-transformers folder has around its model: vectors that can be pooled and
   files that can be written and read again, or a message. The input holds four files with zero bytes between them. */
#include "fuzz.h"

#include "frugal/model.h"

#include <string.h>

static char folder[64];

static void remove_folder(void)
{
    fr_folder_remove(folder, NULL);
}

static void make_folder(void)
{
    char part[96];
    snprintf(folder, sizeof folder, "%s/frugal-fuzz-XXXXXX", P_tmpdir);
    MUST(mkdtemp(folder));
    snprintf(part, sizeof part, "%s/1_Pooling", folder);
    MUST(fr_folder_create(part, NULL) == FR_OK);
    atexit(remove_folder);
}

/* A plain write: a fuzzer needs no durable files. */
static void put(const char *name, const char *text, size_t size)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    MUST(file && fwrite(text, 1, size, file) == size);
    fclose(file);
}

static void check_pooling(const fr_sentence *sentence)
{
    static const float states[2 * 3 * 4] = {1, 2, 3};
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.mode = FR_TAPE_NO_GRAD}, NULL);
    MUST(tape && sentence->poolings > 0 && sentence->poolings <= FR_POOLINGS);
    fr_tensor *x = fr_tape_input(tape, FR_F32, 3, (const int64_t[]){2, 3, 4}, states);
    const fr_tensor *vector = fr_sentence_pool(sentence, tape, x, NULL);
    MUST(vector && vector->shape[1] == 4 * sentence->poolings);
    fr_tape_destroy(tape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"modules.json", "1_Pooling/config.json",
                                        "sentence_bert_config.json",
                                        "config_sentence_transformers.json"};
    if (!folder[0])
        make_folder();
    const char *at = (const char *)data;
    for (int i = 0; i < 4; i++) {
        const char *end = size ? memchr(at, 0, size) : NULL;
        size_t length = end ? (size_t)(end - at) : size;
        put(names[i], at, length);
        at += end ? length + 1 : length;
        size -= end ? length + 1 : length;
    }
    fr_sentence sentence;
    fr_error error = {0};
    if (fr_sentence_load(&sentence, folder, &error) != FR_OK) {
        MUST(error.message[0] && !sentence.model_path && !sentence.prompt);
        return 0;
    }
    check_pooling(&sentence);
    fr_sentence_free(&sentence);
    return 0;
}
