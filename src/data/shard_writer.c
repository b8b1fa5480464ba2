/* shard_writer.c: writes Megatron shards. Tokens go out as they come; the index is written at the
   end, from the documents' lengths, which cost 4 bytes each until then. The .idx appears last: a
   .bin without one is no shard. */
#include "data/shard.h"
#include "frugal/data.h"

#include <string.h>

struct fr_shard_writer {
    char *prefix;
    fr_writer *tokens;
    int64_t vocabulary;
    bool narrow; /* uint16 */
    int32_t *lengths;
    size_t count, room;
};

static fr_status no_memory(const char *prefix, fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", prefix);
}

fr_status fr_shard_writer_open(fr_shard_writer **writer, const char *prefix, int64_t vocabulary,
                               fr_error *error)
{
    *writer = NULL;
    fr_shard_writer *w = fr_alloc(sizeof *w, FR_MEMORY_DATA);
    char *bin = fr_format("%s.bin", prefix);
    fr_status status = FR_OK;
    if (!w || !bin) {
        status = no_memory(prefix, error);
    } else {
        w->vocabulary = vocabulary;
        w->narrow = vocabulary <= 65536;
        w->prefix = fr_string_copy(prefix);
        status = w->prefix ? fr_writer_open(&w->tokens, bin, error) : no_memory(prefix, error);
    }
    fr_free(bin);
    if (status != FR_OK)
        fr_shard_writer_abandon(w);
    else
        *writer = w;
    return status;
}

void fr_shard_writer_abandon(fr_shard_writer *w)
{
    if (!w)
        return;
    fr_writer_abandon(w->tokens);
    fr_free(w->prefix);
    fr_free(w->lengths);
    fr_free(w);
}

static void write_narrow(fr_shard_writer *w, const int32_t *ids, size_t count)
{
    unsigned char block[4096];
    for (size_t from = 0; from < count;) {
        size_t n = 0;
        for (; n < sizeof block && from < count; n += 2, from++) {
            block[n] = (unsigned char)ids[from];
            block[n + 1] = (unsigned char)(ids[from] >> 8);
        }
        fr_writer_write(w->tokens, block, n);
    }
}

fr_status fr_shard_writer_add(fr_shard_writer *w, const int32_t *ids, size_t count, fr_error *error)
{
    if (count > INT32_MAX)
        return fr_fail(error, FR_UNSUPPORTED, "a document of %zu tokens, expected at most %d",
                       count, INT32_MAX);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= w->vocabulary)
            return fr_fail(error, FR_WRONG_CALL, "token id %d is outside the vocabulary of %lld",
                           ids[i], (long long)w->vocabulary);
    if (w->count == w->room) {
        size_t room = w->room ? w->room + w->room / 2 : 1024;
        int32_t *lengths = fr_realloc(w->lengths, room * sizeof *lengths, FR_MEMORY_DATA);
        if (!lengths)
            return no_memory(w->prefix, error);
        w->lengths = lengths;
        w->room = room;
    }
    w->lengths[w->count++] = (int32_t)count;
    if (w->narrow)
        write_narrow(w, ids, count);
    else
        fr_writer_write(w->tokens, ids, count * sizeof *ids);
    return FR_OK;
}

static void write_u64(fr_writer *out, uint64_t value)
{
    fr_writer_write(out, &value, sizeof value);
}

static fr_status write_index(const fr_shard_writer *w, fr_error *error)
{
    char *path = fr_format("%s.idx", w->prefix);
    fr_writer *out = NULL;
    fr_status status = path ? fr_writer_open(&out, path, error) : no_memory(w->prefix, error);
    fr_free(path);
    FR_TRY(status);
    uint8_t code = w->narrow ? SHARD_UINT16 : SHARD_INT32;
    fr_writer_write(out, SHARD_MAGIC, SHARD_MAGIC_SIZE);
    write_u64(out, SHARD_VERSION);
    fr_writer_write(out, &code, 1);
    write_u64(out, w->count);
    write_u64(out, w->count + 1);
    fr_writer_write(out, w->lengths, w->count * sizeof *w->lengths);
    uint64_t byte = 0;
    for (size_t i = 0; i < w->count; i++) {
        write_u64(out, byte);
        byte += (uint64_t)w->lengths[i] * (w->narrow ? 2 : 4);
    }
    for (size_t i = 0; i <= w->count; i++)
        write_u64(out, i);
    return fr_writer_commit(out, error);
}

fr_status fr_shard_writer_commit(fr_shard_writer *w, fr_error *error)
{
    fr_status status = fr_writer_commit(w->tokens, error);
    w->tokens = NULL;
    if (status == FR_OK)
        status = write_index(w, error);
    fr_shard_writer_abandon(w);
    return status;
}
