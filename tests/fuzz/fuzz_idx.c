/* fuzz_idx.c: any bytes as the index of a Megatron shard, beside 64 bytes of tokens: a shard all of whose documents lie inside its
   tokens and can be read, and rows made of it, or a message. */
#include "fuzz.h"

#include "frugal/batch.h"

enum { TOKEN_BYTES = 64 };

static char folder[64];

static void remove_folder(void)
{
    fr_folder_remove(folder, NULL);
}

static void put(const char *name, const void *data, size_t size)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    MUST(file && fwrite(data, 1, size, file) == size);
    fclose(file);
}

static void make_folder(void)
{
    uint8_t tokens[TOKEN_BYTES];
    for (int i = 0; i < TOKEN_BYTES; i++)
        tokens[i] = i % 2 ? 0 : (uint8_t)i;
    snprintf(folder, sizeof folder, "%s/frugal-fuzz-XXXXXX", P_tmpdir);
    MUST(mkdtemp(folder));
    atexit(remove_folder);
    put("shard.bin", tokens, sizeof tokens);
}

static void read_documents(const fr_shard *shard)
{
    int64_t count = fr_shard_documents(shard), tokens = fr_shard_tokens(shard);
    MUST(tokens >= 0 && tokens <= TOKEN_BYTES);
    for (int64_t i = 0; i < count; i++) {
        int64_t begin = fr_shard_document_begin(shard, i),
                end = fr_shard_document_begin(shard, i + 1);
        int32_t ids[TOKEN_BYTES];
        MUST(begin >= 0 && begin <= end && end <= tokens);
        fr_shard_read(shard, begin, end - begin, ids);
    }
    MUST(fr_shard_max_id((fr_shard *)shard) >= -1);
}

static void read_rows(const char *prefix)
{
    const fr_loader_options options = {.batch = 2, .length = 5};
    fr_batch_source *source;
    fr_micro_batch micro = {.tokens = 0};
    if (fr_packed_source_create(&source, prefix, &options, false, NULL) != FR_OK)
        return;
    for (int64_t number = 0; number < 3; number++) {
        fr_micro_batch_clear(&micro);
        MUST(source->kind->get(source, number, &micro, NULL) == FR_OK);
        MUST(micro.tokens == 10 && micro.targets <= 10);
    }
    fr_micro_batch_free(&micro);
    fr_batch_source_destroy(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char prefix[96];
    fr_shard *shard;
    fr_error error = {0};
    if (!folder[0])
        make_folder();
    put("shard.idx", data, size);
    snprintf(prefix, sizeof prefix, "%s/shard", folder);
    if (fr_shard_open(&shard, prefix, &error) != FR_OK) {
        MUST(error.message[0]);
        return 0;
    }
    read_documents(shard);
    fr_shard_close(shard);
    read_rows(prefix);
    return 0;
}
