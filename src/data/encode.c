/* encode.c: the second pass: the spool's documents become tokens. Documents are encoded by all
   threads, a batch at a time, and written in order, so that the files do not depend on the number
   of threads. */
#include "data/prepare.h"
#include "tokenizer/utf8.h"

#include <string.h>

enum { IDS_KEPT = 1 << 20 }; /* a longer list is freed after its batch */

typedef struct coded {
    size_t begin, size; /* in the batch's text */
    size_t path;        /* in the batch's paths */
    int64_t number;
    fr_ids ids;
    fr_error error;
} coded;

typedef struct encoding {
    preparation *preparation;
    fr_buffer text, paths, line;
    coded *documents;
    size_t count;
    size_t done; /* documents of earlier batches */
    int32_t end_of_text;
    fr_shard_writer *train, *held_out;
    fr_writer *lines; /* held_out.jsonl */
} encoding;

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory to encode text");
}

static fr_status read_batch(encoding *e, fr_error *error)
{
    e->count = 0;
    fr_buffer_clear(&e->text);
    fr_buffer_clear(&e->paths);
    while (e->count < BATCH_DOCUMENTS && e->text.size < BATCH_BYTES) {
        coded *c = &e->documents[e->count];
        c->begin = e->text.size;
        c->path = e->paths.size;
        FR_TRY(spool_next(e->preparation->spool, &e->text, &c->size, &e->paths, &c->number, error));
        if (c->size == SIZE_MAX)
            break;
        e->count++;
    }
    return FR_OK;
}

static fr_status encode_batch(encoding *e, fr_error *error)
{
    const fr_tokenizer *tokenizer = e->preparation->tokenizer;
#pragma omp parallel for schedule(dynamic) num_threads(fr_threads())
    for (size_t i = 0; i < e->count; i++) {
        coded *c = &e->documents[i];
        fr_ids_clear(&c->ids);
        c->error = (fr_error){0};
        fr_tokenizer_encode(tokenizer, e->text.data + c->begin, c->size, FR_ENCODE_SPECIAL_AS_TEXT,
                            &c->ids, &c->error);
    }
    for (size_t i = 0; i < e->count; i++)
        if (e->documents[i].error.status != FR_OK)
            return fr_fail(error, e->documents[i].error.status, "%s: %s",
                           e->paths.data + e->documents[i].path, e->documents[i].error.message);
    return FR_OK;
}

/* ---- writing ---- */

/* Append a JSON string. JSON holds Unicode only: a byte that is not valid UTF-8 is written as a
   lone surrogate (see jsonl.c). */
static void append_json(fr_buffer *out, const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    fr_buffer_text(out, "\"");
    for (size_t at = 0; at < size;) {
        size_t from = at, n = 0;
        while (at < size && s[at] >= 32 && s[at] != '"' && s[at] != '\\' &&
               (n = utf8_length(s + at, size - at)) > 0)
            at += n;
        fr_buffer_append(out, text + from, at - from);
        if (at == size)
            break;
        if (s[at] == '"' || s[at] == '\\')
            fr_buffer_printf(out, "\\%c", s[at]);
        else if (s[at] == '\n')
            fr_buffer_text(out, "\\n");
        else if (s[at] < 32)
            fr_buffer_printf(out, "\\u%04x", s[at]);
        else
            fr_buffer_printf(out, "\\udc%02x", s[at]);
        at++;
    }
    fr_buffer_text(out, "\"");
}

static fr_status write_line(encoding *e, const coded *c, fr_error *error)
{
    const char *path = e->paths.data + c->path;
    fr_buffer *line = &e->line;
    fr_buffer_clear(line);
    fr_buffer_text(line, "{\"text\": ");
    append_json(line, e->text.data + c->begin, c->size);
    fr_buffer_text(line, ", \"path\": ");
    append_json(line, path, strlen(path));
    fr_buffer_printf(line, ", \"document\": %lld, \"bytes\": %zu}\n", (long long)c->number,
                     c->size);
    if (line->failed)
        return no_memory(error);
    fr_writer_write(e->lines, line->data, line->size);
    return FR_OK;
}

static bool append_id(fr_ids *ids, int32_t id)
{
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity + ids->capacity / 2 + 16;
        int32_t *list = fr_realloc(ids->ids, capacity * sizeof *list, FR_MEMORY_DATA);
        if (!list)
            return false;
        ids->ids = list;
        ids->capacity = capacity;
    }
    ids->ids[ids->count++] = id;
    return true;
}

static fr_status write_document(encoding *e, coded *c, bool held_out, fr_error *error)
{
    fr_data_report *report = e->preparation->report;
    if (!append_id(&c->ids, e->end_of_text))
        return no_memory(error);
    int64_t tokens = (int64_t)c->ids.count, bytes = (int64_t)c->size;
    if (held_out) {
        FR_TRY(write_line(e, c, error));
        report->held_out_documents++;
        report->held_out_bytes += bytes;
        report->held_out_tokens += tokens;
    } else {
        report->train_documents++;
        report->train_bytes += bytes;
        report->train_tokens += tokens;
    }
    FR_TRY(fr_shard_writer_add(held_out ? e->held_out : e->train, c->ids.ids, c->ids.count, error));
    if (c->ids.capacity > IDS_KEPT)
        fr_ids_free(&c->ids);
    return FR_OK;
}

static fr_status encode_all(encoding *e, fr_error *error)
{
    const preparation *p = e->preparation;
    FR_TRY(spool_rewind(p->spool, error));
    do {
        FR_TRY(preparation_progress(p, "encoding", (double)e->done / (double)p->kept_count, error));
        FR_TRY(read_batch(e, error));
        FR_TRY(encode_batch(e, error));
        for (size_t i = 0; i < e->count; i++)
            FR_TRY(write_document(e, &e->documents[i], p->held_out[e->done + i], error));
        e->done += e->count;
    } while (e->count);
    return FR_OK;
}

/* ---- files ---- */

static fr_status open_shard(const encoding *e, fr_shard_writer **writer, const char *name,
                            fr_error *error)
{
    char *prefix = fr_path_join(e->preparation->folder, name);
    fr_status status =
        prefix ? fr_shard_writer_open(writer, prefix, fr_tokenizer_size(e->preparation->tokenizer),
                                      error)
               : no_memory(error);
    fr_free(prefix);
    return status;
}

static fr_status open_files(encoding *e, fr_error *error)
{
    FR_TRY(open_shard(e, &e->train, "train", error));
    FR_TRY(open_shard(e, &e->held_out, "held_out", error));
    char *path = fr_path_join(e->preparation->folder, "held_out.jsonl");
    fr_status status = path ? fr_writer_open(&e->lines, path, error) : no_memory(error);
    fr_free(path);
    return status;
}

/* Commit what is open while all goes well. */
static fr_status commit(encoding *e, fr_error *error)
{
    fr_shard_writer *writer = e->train;
    e->train = NULL;
    FR_TRY(fr_shard_writer_commit(writer, error));
    writer = e->held_out;
    e->held_out = NULL;
    FR_TRY(fr_shard_writer_commit(writer, error));
    fr_writer *lines = e->lines;
    e->lines = NULL;
    return fr_writer_commit(lines, error);
}

fr_status preparation_encode(preparation *p, fr_error *error)
{
    encoding e = {.preparation = p, .end_of_text = fr_tokenizer_end_of_text(p->tokenizer)};
    if (e.end_of_text < 0)
        return fr_fail(error, FR_UNSUPPORTED,
                       "the tokenizer has no end-of-text token, which ends every document");
    e.documents = fr_alloc_array(BATCH_DOCUMENTS, sizeof *e.documents, FR_MEMORY_DATA);
    fr_status status = e.documents ? open_files(&e, error) : no_memory(error);
    if (status == FR_OK)
        status = encode_all(&e, error);
    if (status == FR_OK)
        status = commit(&e, error);
    fr_shard_writer_abandon(e.train);
    fr_shard_writer_abandon(e.held_out);
    fr_writer_abandon(e.lines);
    for (size_t i = 0; e.documents && i < BATCH_DOCUMENTS; i++)
        fr_ids_free(&e.documents[i].ids);
    fr_free(e.documents);
    fr_buffer_free(&e.text);
    fr_buffer_free(&e.paths);
    fr_buffer_free(&e.line);
    return status;
}
