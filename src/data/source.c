/* source.c: paths -> documents, one after the other, with memory that does not grow with them.

   A record file (JSON lines) gives one document per line. Any other file is one document, unless it
   is longer than one and a half times `max_document`: then it is cut at paragraph ends, into pieces
   between half and one and a half times that size. Two reasons: a book in one file must give enough
   documents for a held-out part that is chosen by document, and memory must have a limit. When
   `max_document` is 0 it is 1/200 of all text, at least 4 KiB and at most 32 KiB: enough pieces for
   a split of a small corpus, and pieces longer than any context that a small machine trains. */
#include "data/format.h"
#include "data/stream.h"
#include "data/walk.h"

#include <stdio.h>
#include <string.h>

enum {
    READ = 1 << 17,         /* bytes asked for at a time */
    BINARY_LOOK = 1 << 16,  /* bytes that tell whether a file is binary */
    RECORD_LIMIT = 1 << 26, /* bytes of one record */
    PIECES = 200,           /* documents that the automatic size aims at */
    PIECE_LEAST = 1 << 12,  /* bounds of the automatic size */
    PIECE_MOST = 1 << 15,
    EXPLICIT_LEAST = 256, /* the smallest size that can be asked for */
    PACKED_RATIO = 4      /* what text usually shrinks by */
};

struct fr_source {
    fr_source_options options;
    walk *walk;
    uint64_t total, done; /* bytes on disk: of all files, of the files behind us */
    fr_source_counts counts;
    /* the file that is being read */
    char *path;
    text_stream *stream;
    const format *kind;
    void *state;
    fr_buffer text; /* converted, not yet given out, from `begin` on */
    size_t begin;
    bool ended; /* the file has no more bytes */
    int64_t line, number;
    char *block;
    fr_buffer record;
};

/* ---- opening ---- */

/* Add up the sizes of all files, so that progress and the size of pieces are known. */
static fr_status measure(fr_source *s, const char *const *paths, size_t count, fr_error *error)
{
    uint64_t text = 0;
    walk *w;
    FR_TRY(walk_open(&w, paths, count, error));
    walk_file file;
    fr_status status;
    while ((status = walk_next(w, &file, error)) == FR_OK && file.path) {
        size_t stem;
        bool packed = packing_of(file.path, &stem) != PACKING_NONE;
        s->total += (uint64_t)file.size;
        text += (uint64_t)file.size * (packed ? PACKED_RATIO : 1);
    }
    walk_close(w);
    if (s->options.max_document == 0) {
        uint64_t piece = text / PIECES;
        s->options.max_document = piece < PIECE_LEAST  ? PIECE_LEAST
                                  : piece > PIECE_MOST ? PIECE_MOST
                                                       : (int64_t)piece;
    }
    return status;
}

fr_status fr_source_open(fr_source **source, const char *const *paths, size_t count,
                         const fr_source_options *options, fr_error *error)
{
    *source = NULL;
    if (count == 0)
        return fr_fail(error, FR_BAD_INPUT, "no text was named");
    if (options->max_document != 0 && options->max_document < EXPLICIT_LEAST)
        return fr_fail(error, FR_BAD_INPUT,
                       "max_document is %lld, expected 0 (automatic) or at least %d bytes",
                       (long long)options->max_document, EXPLICIT_LEAST);
    fr_source *s = fr_alloc(sizeof *s, FR_MEMORY_DATA);
    if (!s)
        return fr_fail(error, FR_NO_MEMORY, "no memory to read the text");
    s->options = *options;
    s->options.text_key = fr_string_copy(options->text_key ? options->text_key : "text");
    s->block = fr_alloc(READ, FR_MEMORY_DATA);
    fr_status status = s->block && s->options.text_key
                           ? FR_OK
                           : fr_fail(error, FR_NO_MEMORY, "no memory to read the text");
    if (status == FR_OK)
        status = measure(s, paths, count, error);
    if (status == FR_OK)
        status = walk_open(&s->walk, paths, count, error);
    if (status != FR_OK) {
        fr_source_close(s);
        return status;
    }
    *source = s;
    return FR_OK;
}

static void close_file(fr_source *s)
{
    if (s->stream)
        s->done += text_stream_position(s->stream);
    text_stream_close(s->stream);
    if (s->kind && s->kind->close)
        s->kind->close(s->state);
    fr_free(s->path);
    s->stream = NULL;
    s->kind = NULL;
    s->state = NULL;
    s->path = NULL;
}

void fr_source_close(fr_source *s)
{
    if (!s)
        return;
    close_file(s);
    walk_close(s->walk);
    fr_free(s->options.text_key);
    fr_free(s->block);
    fr_buffer_free(&s->text);
    fr_buffer_free(&s->record);
    fr_free(s);
}

void fr_source_get_counts(const fr_source *s, fr_source_counts *counts)
{
    *counts = s->counts;
    counts->hidden = walk_hidden(s->walk);
    counts->unreadable += walk_unreadable(s->walk);
}

double fr_source_progress(const fr_source *s)
{
    uint64_t done = s->done + (s->stream ? text_stream_position(s->stream) : 0);
    return s->total == 0 ? 1 : done >= s->total ? 1 : (double)done / (double)s->total;
}

int64_t fr_source_max_document(const fr_source *s)
{
    return s->options.max_document;
}

/* ---- binary files ---- */

static const struct {
    const char *bytes;
    size_t size;
    const char *name;
} signatures[] = {
    {"%PDF-", 5, "PDF"},
    {"PK\3\4", 4, "a ZIP archive, or an office document or e-book, which are ZIP archives"},
    {"\x7f"
     "ELF",
     4, "a program"},
    {"\x89PNG", 4, "a PNG image"},
    {"\xff\xd8\xff", 3, "a JPEG image"},
    {"GIF8", 4, "a GIF image"},
    {"\x1f\x8b", 2, "gzip data; its name should end in .gz"},
    {"\x28\xb5\x2f\xfd", 4, "Zstandard data; its name should end in .zst"},
    {"\xfd"
     "7zXZ",
     5, "xz data; its name should end in .xz"},
    {"BZh", 3, "bzip2 data, which is not read"}};

/* Why the first bytes of a file are not text, in words; false: they are. */
static bool looks_binary(const char *bytes, size_t size, char *reason, size_t room)
{
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++)
        if (size > signatures[i].size &&
            memcmp(bytes, signatures[i].bytes, signatures[i].size) == 0) {
            snprintf(reason, room, "%s", signatures[i].name);
            return true;
        }
    size_t zeros = 0, controls = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        zeros += c == 0;
        controls += (c < 32 && !(c >= 8 && c <= 13) && c != 27) || c == 127;
    }
    if (zeros > 1)
        snprintf(reason, room, "%zu zero bytes among the first %zu", zeros, size);
    else if (controls * 10 > size)
        snprintf(reason, room, "%zu control bytes among the first %zu", controls, size);
    else
        return false;
    return true;
}

/* ---- reading ---- */

static fr_status no_memory(const fr_source *s, fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", s->path);
}

static fr_status take(fr_source *s, size_t size, fr_error *error)
{
    s->ended = size == 0;
    if (s->kind->convert)
        FR_TRY(s->kind->convert(&s->state, s->path, s->block, size, s->ended, &s->text, error));
    else
        fr_buffer_append(&s->text, s->block, size);
    return s->text.failed ? no_memory(s, error) : FR_OK;
}

static fr_status read_more(fr_source *s, fr_error *error)
{
    if (s->begin) {
        memmove(s->text.data, s->text.data + s->begin, s->text.size - s->begin);
        s->text.size -= s->begin;
        s->begin = 0;
    }
    size_t got;
    FR_TRY(text_stream_read(s->stream, s->block, READ, &got, error));
    s->counts.bytes += (int64_t)got;
    return take(s, got, error);
}

/* Read the first bytes; *skip: the file was left out. */
static fr_status look(fr_source *s, const walk_file *file, bool *skip, fr_error *error)
{
    size_t size = 0;
    for (size_t got = 1; got && size < BINARY_LOOK; size += got)
        FR_TRY(text_stream_read(s->stream, s->block + size, READ - size, &got, error));
    char reason[96];
    *skip = true;
    if (size == 0) {
        if (file->named)
            return fr_fail(error, FR_BAD_INPUT, "%s is empty", s->path);
        s->counts.empty++;
    } else if (looks_binary(s->block, size < BINARY_LOOK ? size : BINARY_LOOK, reason,
                            sizeof reason)) {
        if (file->named)
            return fr_fail(error, FR_BAD_INPUT, "%s looks like a binary file (%s)", s->path,
                           reason);
        s->counts.binary++;
    } else {
        *skip = false;
        s->counts.files++;
        s->counts.bytes += (int64_t)size;
        return take(s, size, error);
    }
    return FR_OK;
}

/* Go to the next file that holds text; s->stream stays NULL at the end. */
static fr_status next_file(fr_source *s, fr_error *error)
{
    for (;;) {
        walk_file file;
        FR_TRY(walk_next(s->walk, &file, error));
        if (!file.path)
            return FR_OK;
        s->path = fr_string_copy(file.path);
        if (!s->path)
            return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", file.path);
        size_t stem;
        packing_of(file.path, &stem);
        s->kind = format_of(file.path, stem);
        s->begin = 0;
        s->line = s->number = 0;
        s->ended = false;
        fr_buffer_clear(&s->text);
        bool skip = true;
        fr_status status = text_stream_open(&s->stream, file.path, error);
        bool opened = status == FR_OK;
        if (opened)
            status = look(s, &file, &skip, error);
        /* What may not be opened, or is in an encoding that is not read, is passed over when a
           folder brought it. */
        if (!file.named && ((!opened && status == FR_IO) || status == FR_UNSUPPORTED)) {
            s->counts.unreadable++;
            status = FR_OK;
        }
        if (status != FR_OK || !skip)
            return status;
        close_file(s);
    }
}

/* ---- cutting ---- */

/* True when the line that ends before `at` (after its line end) holds only white space. */
static bool blank_before(const char *text, size_t at)
{
    size_t i = at - 1;
    while (i > 0 && (text[i - 1] == ' ' || text[i - 1] == '\t' || text[i - 1] == '\r'))
        i--;
    return i == 0 || text[i - 1] == '\n';
}

/* Where to end a piece of [least, most] bytes: after the last blank line, else after a line, a
   space, a whole character. */
static size_t cut(const char *text, size_t least, size_t most)
{
    size_t line = 0, space = 0;
    for (size_t at = most; at > least; at--) {
        char c = text[at - 1];
        if (c == '\n' && blank_before(text, at))
            return at;
        if (c == '\n' && !line)
            line = at;
        if (c == ' ' && !space)
            space = at;
    }
    if (line || space)
        return line ? line : space;
    size_t at = most;
    while (at > least && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    return at > least ? at : most;
}

/* The next piece of a whole-file kind; size 0: the file has no more. */
static fr_status next_piece(fr_source *s, fr_document *document, fr_error *error)
{
    size_t most = (size_t)s->options.max_document;
    size_t whole = most + most / 2;
    while (!s->ended && s->text.size - s->begin <= whole)
        FR_TRY(read_more(s, error));
    size_t left = s->text.size - s->begin;
    if (left == 0)
        return FR_OK;
    document->text = s->text.data + s->begin;
    document->size = left <= whole ? left : cut(document->text, most / 2, most);
    s->begin += document->size;
    return FR_OK;
}

static bool is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", line[i]) || !line[i])
            return false;
    return true;
}

/* The next line of a record file without its end; *more false: the file has no more. */
static fr_status next_line(fr_source *s, const char **line, size_t *size, bool *more,
                           fr_error *error)
{
    size_t looked = 0;
    const char *end;
    while (!(end = s->text.size > s->begin + looked ? memchr(s->text.data + s->begin + looked, '\n',
                                                             s->text.size - s->begin - looked)
                                                    : NULL) &&
           !s->ended) {
        looked = s->text.size - s->begin;
        if (looked > RECORD_LIMIT)
            return fr_fail_at(error, FR_BAD_INPUT, s->path, (long)s->line + 1,
                              "the record is longer than %d MiB", RECORD_LIMIT >> 20);
        FR_TRY(read_more(s, error));
    }
    *line = s->text.data + s->begin;
    *size = end ? (size_t)(end - *line) : s->text.size - s->begin;
    *more = end || *size;
    s->begin += *size + (end ? 1 : 0);
    s->line += *more;
    return FR_OK;
}

static fr_status next_record(fr_source *s, fr_document *document, fr_error *error)
{
    const char *line = NULL;
    size_t size = 0;
    bool more = false;
    do {
        FR_TRY(next_line(s, &line, &size, &more, error));
    } while (more && is_blank(line, size));
    if (!more)
        return FR_OK;
    FR_TRY(s->kind->record(line, size, &s->options, s->path, s->line, &s->record, error));
    if (s->record.failed)
        return no_memory(s, error);
    document->text = s->record.data;
    document->size = s->record.size;
    return FR_OK;
}

fr_status fr_source_next(fr_source *s, fr_document *document, fr_error *error)
{
    for (;;) {
        *document = (fr_document){0};
        if (!s->stream)
            FR_TRY(next_file(s, error));
        if (!s->stream)
            return FR_OK;
        FR_TRY(s->kind->record ? next_record(s, document, error) : next_piece(s, document, error));
        if (document->text) {
            document->path = s->path;
            document->number = s->number++;
            s->counts.documents++;
            return FR_OK;
        }
        close_file(s);
    }
}
