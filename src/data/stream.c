/* stream.c: reads a file in blocks, unpacks it, and turns UTF-16 that announces itself by a
   byte-order mark into UTF-8.

   Other encodings are not guessed: what is not valid UTF-8 stays as the bytes it is, because a
   byte-level tokenizer can learn them and a wrong guess would be worse. A truncated or damaged
   archive is an error that names the byte of the *packed* file, since that is what the user can
   look at. */
#include "data/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 17 };

typedef enum encoding {
    ENCODING_UNKNOWN,
    ENCODING_BYTES,
    ENCODING_UTF16_LITTLE,
    ENCODING_UTF16_BIG
} encoding;

struct text_stream {
    char *path;
    int file;
    packing kind;
    unpacker unpack;
    bool file_ended;
    uint64_t position;    /* bytes read from the file */
    unsigned char *block; /* packed bytes: BLOCK */
    encoding coding;
    unsigned char *raw; /* bytes before conversion: BLOCK */
    size_t raw_begin, raw_size;
    bool raw_ended;
};

fr_status text_stream_open(text_stream **stream, const char *path, fr_error *error)
{
    *stream = NULL;
    text_stream *s = fr_alloc(sizeof *s, FR_MEMORY_DATA);
    if (!s)
        return fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    size_t stem;
    s->kind = packing_of(path, &stem);
    s->file = -1;
    s->path = fr_string_copy(path);
    s->block = fr_alloc(BLOCK, FR_MEMORY_DATA);
    s->raw = fr_alloc(BLOCK, FR_MEMORY_DATA);
    fr_status status = FR_OK;
    if (!s->path || !s->block || !s->raw)
        status = fr_fail(error, FR_NO_MEMORY, "no memory to read %s", path);
    else if (s->kind != PACKING_NONE)
        status = unpacker_open(&s->unpack, s->kind, error);
    if (status == FR_OK && (s->file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        status = fr_fail_errno(error, "open", path);
    if (status != FR_OK) {
        text_stream_close(s);
        return status;
    }
    posix_fadvise(s->file, 0, 0, POSIX_FADV_SEQUENTIAL);
    *stream = s;
    return FR_OK;
}

void text_stream_close(text_stream *s)
{
    if (!s)
        return;
    if (s->file >= 0)
        close(s->file);
    if (s->kind != PACKING_NONE)
        unpacker_close(&s->unpack, s->kind);
    fr_free(s->path);
    fr_free(s->block);
    fr_free(s->raw);
    fr_free(s);
}

uint64_t text_stream_position(const text_stream *s)
{
    return s->position;
}

static fr_status read_file(text_stream *s, unsigned char *out, size_t capacity, size_t *got,
                           fr_error *error)
{
    ssize_t n;
    do {
        n = read(s->file, out, capacity);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return fr_fail_errno(error, "read", s->path);
    *got = (size_t)n;
    s->position += (size_t)n;
    return FR_OK;
}

/* One step of the unpacker, which is out of output space or wants input. */
static fr_status unpack_some(text_stream *s, unsigned char *out, size_t capacity, size_t *got,
                             fr_error *error)
{
    unpacker *u = &s->unpack;
    if (!u->in_size && !s->file_ended) {
        size_t n = 0;
        FR_TRY(read_file(s, s->block, BLOCK, &n, error));
        s->file_ended = n == 0;
        u->in = s->block;
        u->in_size = n;
    }
    u->out = out;
    u->out_size = capacity;
    const char *reason = NULL;
    fr_status status = unpacker_step(u, s->kind, s->file_ended, &reason);
    *got = capacity - u->out_size;
    if (status != FR_OK)
        return fr_fail(error, status, "%s: byte %llu: %s", s->path,
                       (unsigned long long)(s->position - u->in_size), reason);
    return FR_OK;
}

static fr_status read_unpacked(text_stream *s, unsigned char *out, size_t capacity, size_t *got,
                               fr_error *error)
{
    if (s->kind == PACKING_NONE)
        return read_file(s, out, capacity, got, error);
    for (;;) {
        FR_TRY(unpack_some(s, out, capacity, got, error));
        if (*got)
            return FR_OK;
        if (s->file_ended && !s->unpack.in_size) {
            if (s->unpack.boundary)
                return FR_OK;
            return fr_fail(
                error, FR_BAD_INPUT, "%s: byte %llu: %s", s->path, (unsigned long long)s->position,
                s->position ? "the compressed data ends too early (the file is truncated)"
                            : "an empty file is not compressed data");
        }
    }
}

/* Move what is left to the front and read on, until the block is full or the data end. */
static fr_status fill_raw(text_stream *s, size_t wanted, fr_error *error)
{
    memmove(s->raw, s->raw + s->raw_begin, s->raw_size);
    s->raw_begin = 0;
    while (!s->raw_ended && s->raw_size < wanted) {
        size_t got = 0;
        FR_TRY(read_unpacked(s, s->raw + s->raw_size, BLOCK - s->raw_size, &got, error));
        s->raw_size += got;
        s->raw_ended = got == 0;
    }
    return FR_OK;
}

static void drop_raw(text_stream *s, size_t count)
{
    s->raw_begin += count;
    s->raw_size -= count;
}

static fr_status find_encoding(text_stream *s, fr_error *error)
{
    FR_TRY(fill_raw(s, 4, error));
    const unsigned char *b = s->raw;
    size_t n = s->raw_size;
    s->coding = ENCODING_BYTES;
    if (n >= 4 && ((b[0] == 0xFF && b[1] == 0xFE && !b[2] && !b[3]) ||
                   (!b[0] && !b[1] && b[2] == 0xFE && b[3] == 0xFF)))
        return fr_fail(error, FR_UNSUPPORTED, "%s: the text is UTF-32; convert it to UTF-8 first",
                       s->path);
    if (n >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF) {
        drop_raw(s, 3);
    } else if (n >= 2 && b[0] == 0xFF && b[1] == 0xFE) {
        s->coding = ENCODING_UTF16_LITTLE;
        drop_raw(s, 2);
    } else if (n >= 2 && b[0] == 0xFE && b[1] == 0xFF) {
        s->coding = ENCODING_UTF16_BIG;
        drop_raw(s, 2);
    }
    return FR_OK;
}

/* ---- UTF-16 ---- */

static unsigned unit_at(const text_stream *s, size_t at)
{
    const unsigned char *b = s->raw + s->raw_begin + at;
    return s->coding == ENCODING_UTF16_LITTLE ? b[0] | (unsigned)b[1] << 8
                                              : b[1] | (unsigned)b[0] << 8;
}

static size_t put_utf8(char *out, unsigned code)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (n == 1) {
        out[0] = (char)code;
        return 1;
    }
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00U >> n & 0xF0U) | code);
    return n;
}

enum { REPLACEMENT = 0xFFFD };

/* The next character; *size is the bytes it took. A lone surrogate and a last odd byte become
   U+FFFD. */
static unsigned next_utf16(const text_stream *s, size_t *size)
{
    if (s->raw_size < 2) {
        *size = s->raw_size;
        return REPLACEMENT;
    }
    *size = 2;
    unsigned code = unit_at(s, 0);
    if (code < 0xD800 || code > 0xDFFF)
        return code;
    if (code > 0xDBFF || s->raw_size < 4)
        return REPLACEMENT;
    unsigned low = unit_at(s, 2);
    if (low < 0xDC00 || low > 0xDFFF)
        return REPLACEMENT;
    *size = 4;
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

static fr_status read_utf16(text_stream *s, char *out, size_t capacity, size_t *got,
                            fr_error *error)
{
    *got = 0;
    while (*got + 4 <= capacity) {
        if (s->raw_size < 4 && !s->raw_ended)
            FR_TRY(fill_raw(s, BLOCK, error));
        if (!s->raw_size)
            break;
        size_t size;
        unsigned code = next_utf16(s, &size);
        *got += put_utf8(out + *got, code);
        drop_raw(s, size);
    }
    return FR_OK;
}

fr_status text_stream_read(text_stream *s, char *out, size_t capacity, size_t *got, fr_error *error)
{
    *got = 0;
    if (s->coding == ENCODING_UNKNOWN)
        FR_TRY(find_encoding(s, error));
    if (s->coding != ENCODING_BYTES)
        return read_utf16(s, out, capacity, got, error);
    if (s->raw_size) {
        size_t n = s->raw_size < capacity ? s->raw_size : capacity;
        memcpy(out, s->raw + s->raw_begin, n);
        drop_raw(s, n);
        *got = n;
        return FR_OK;
    }
    return read_unpacked(s, (unsigned char *)out, capacity, got, error);
}
