/* shard.c: reads Megatron shards through maps of both files.

   Everything that an index can lie about is checked once when it is opened, so that reading needs
   no checks: the sizes of the arrays against the file, the sequences against the .bin (which they
   must fill exactly, in order, without holes), the documents against the sequences. The arrays lie
   at odd addresses, so their numbers are copied out. */
#include "data/shard.h"
#include "frugal/data.h"

#include <stdio.h>
#include <string.h>

struct fr_shard {
    char *index_path;
    fr_map index, tokens;
    size_t width; /* bytes of a token */
    int64_t sequences, documents, count;
    const unsigned char *lengths, *pointers, *starts;
    int64_t max_id;
    bool max_known;
};

static uint64_t get_u64(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static int64_t get_i64(const unsigned char *array, int64_t index)
{
    int64_t value;
    memcpy(&value, array + index * 8, sizeof value);
    return value;
}

static int64_t get_length(const fr_shard *s, int64_t sequence)
{
    int32_t value;
    memcpy(&value, s->lengths + sequence * 4, sizeof value);
    return value;
}

static fr_status lie(const fr_shard *s, fr_error *error, const char *what, long long found,
                     long long expected)
{
    return fr_fail(error, FR_BAD_INPUT, "%s: %s is %lld, expected %lld", s->index_path, what, found,
                   expected);
}

static fr_status read_header(fr_shard *s, fr_error *error)
{
    const unsigned char *at = s->index.data;
    if (s->index.size < SHARD_HEADER || memcmp(at, SHARD_MAGIC, SHARD_MAGIC_SIZE) != 0)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s: not the index of a Megatron shard (it should begin with MMIDIDX)",
                       s->index_path);
    at += SHARD_MAGIC_SIZE;
    if (get_u64(at) != SHARD_VERSION)
        return fr_fail(error, FR_UNSUPPORTED, "%s: version is %llu, expected %d", s->index_path,
                       (unsigned long long)get_u64(at), SHARD_VERSION);
    int code = at[8];
    if (code != SHARD_INT32 && code != SHARD_UINT16)
        return fr_fail(error, FR_UNSUPPORTED,
                       "%s: the tokens' type has code %d, expected 8 (uint16) or 4 (int32)",
                       s->index_path, code);
    s->width = code == SHARD_INT32 ? 4 : 2;
    uint64_t sequences = get_u64(at + 9), indices = get_u64(at + 17),
             room = s->index.size - SHARD_HEADER;
    /* In this order nothing can overflow: each term is first known to fit. */
    if (sequences > room / 12 || indices > room / 8 || sequences * 12 + indices * 8 != room)
        return fr_fail(
            error, FR_BAD_INPUT,
            "%s: %llu sequences and %llu document indices do not fit a file of %zu bytes",
            s->index_path, (unsigned long long)sequences, (unsigned long long)indices,
            s->index.size);
    if (indices == 0)
        return lie(s, error, "the number of document indices", 0, 1);
    s->sequences = (int64_t)sequences;
    s->documents = (int64_t)indices - 1;
    s->lengths = s->index.data + SHARD_HEADER;
    s->pointers = s->lengths + sequences * 4;
    s->starts = s->pointers + sequences * 8;
    return FR_OK;
}

static fr_status check_sequences(fr_shard *s, fr_error *error)
{
    int64_t bytes = 0, size = (int64_t)s->tokens.size, width = (int64_t)s->width;
    char what[64];
    for (int64_t i = 0; i < s->sequences; i++) {
        int64_t length = get_length(s, i), pointer = get_i64(s->pointers, i);
        snprintf(what, sizeof what, "the beginning of sequence %lld", (long long)i);
        if (pointer != bytes)
            return lie(s, error, what, pointer, bytes);
        if (length < 0 || length > (size - bytes) / width)
            return fr_fail(error, FR_BAD_INPUT,
                           "%s: sequence %lld has %lld tokens, but the .bin has %lld bytes left",
                           s->index_path, (long long)i, (long long)length,
                           (long long)(size - bytes));
        bytes += length * width;
    }
    if (bytes != size)
        return fr_fail(error, FR_BAD_INPUT,
                       "%s: the sequences fill %lld bytes, but the .bin has %lld", s->index_path,
                       (long long)bytes, (long long)size);
    s->count = bytes / width;
    return FR_OK;
}

static fr_status check_documents(const fr_shard *s, fr_error *error)
{
    int64_t before = 0;
    if (get_i64(s->starts, 0) != 0)
        return lie(s, error, "the first document index", get_i64(s->starts, 0), 0);
    for (int64_t i = 1; i <= s->documents; i++) {
        int64_t start = get_i64(s->starts, i);
        if (start < before || start > s->sequences)
            return fr_fail(error, FR_BAD_INPUT,
                           "%s: document index %lld is %lld, expected between %lld and %lld",
                           s->index_path, (long long)i, (long long)start, (long long)before,
                           (long long)s->sequences);
        before = start;
    }
    if (before != s->sequences)
        return lie(s, error, "the last document index", before, s->sequences);
    return FR_OK;
}

static fr_status open_files(fr_shard *s, const char *prefix, fr_error *error)
{
    char *bin = fr_format("%s.bin", prefix);
    s->index_path = fr_format("%s.idx", prefix);
    fr_status status =
        bin && s->index_path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory to open %s", prefix);
    if (status == FR_OK)
        status = fr_map_open(&s->index, s->index_path, error);
    if (status == FR_OK)
        status = fr_map_open(&s->tokens, bin, error);
    fr_free(bin);
    return status;
}

fr_status fr_shard_open(fr_shard **shard, const char *prefix, fr_error *error)
{
    *shard = NULL;
    fr_shard *s = fr_alloc(sizeof *s, FR_MEMORY_DATA);
    if (!s)
        return fr_fail(error, FR_NO_MEMORY, "no memory to open %s", prefix);
    fr_status status = open_files(s, prefix, error);
    if (status == FR_OK)
        status = read_header(s, error);
    if (status == FR_OK)
        status = check_sequences(s, error);
    if (status == FR_OK)
        status = check_documents(s, error);
    if (status != FR_OK)
        fr_shard_close(s);
    else
        *shard = s;
    return status;
}

void fr_shard_close(fr_shard *s)
{
    if (!s)
        return;
    fr_map_close(&s->index);
    fr_map_close(&s->tokens);
    fr_free(s->index_path);
    fr_free(s);
}

int64_t fr_shard_documents(const fr_shard *s)
{
    return s->documents;
}

int64_t fr_shard_tokens(const fr_shard *s)
{
    return s->count;
}

int64_t fr_shard_document_begin(const fr_shard *s, int64_t document)
{
    int64_t sequence = get_i64(s->starts, document);
    return sequence == s->sequences ? s->count : get_i64(s->pointers, sequence) / (int64_t)s->width;
}

void fr_shard_read(const fr_shard *s, int64_t begin, int64_t count, int32_t *out)
{
    const unsigned char *from = s->tokens.data + (size_t)begin * s->width;
    if (count <= 0)
        return;
    if (s->width == 4) {
        memcpy(out, from, (size_t)count * 4);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = from[2 * i] | from[2 * i + 1] << 8;
}

int64_t fr_shard_max_id(const fr_shard *shard)
{
    fr_shard *s = (fr_shard *)(uintptr_t)shard; /* the answer is remembered */
    if (s->max_known)
        return s->max_id;
    int64_t most = -1;
    enum { PIECE = 4096 };
#pragma omp parallel for schedule(static) reduction(max : most) num_threads(fr_threads())
    for (int64_t begin = 0; begin < s->count; begin += PIECE) {
        int32_t ids[PIECE];
        int64_t n = s->count - begin < PIECE ? s->count - begin : PIECE;
        fr_shard_read(s, begin, n, ids);
        for (int64_t i = 0; i < n; i++)
            most = (int64_t)(uint32_t)ids[i] > most ? (int64_t)(uint32_t)ids[i] : most;
    }
    s->max_id = most;
    s->max_known = true;
    return most;
}
