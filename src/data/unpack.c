/* unpack.c: gzip, Zstandard and xz streams through their libraries, behind one step function.

   All three formats allow members to follow each other in one file (what `cat a.gz b.gz` makes);
   all are read. Memory is bounded by the formats' windows: a Zstandard window over 128 MiB and an
   xz dictionary over 256 MiB are refused. */
#include "data/stream.h"

#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { XZ_MEMORY = 256 << 20 };

static const struct {
    const char *ending;
    packing kind;
} endings[] = {{".gz", PACKING_GZIP}, {".zst", PACKING_ZSTD}, {".xz", PACKING_XZ}};

packing packing_of(const char *name, size_t *stem)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(endings[i].ending);
        if (length > n && strcasecmp(name + length - n, endings[i].ending) == 0) {
            *stem = length - n;
            return endings[i].kind;
        }
    }
    *stem = length;
    return PACKING_NONE;
}

/* ---- gzip ---- */

/* zlib's flag for "gzip wrapper only", added to the window's bits. */
enum { GZIP_WRAPPER = 16 };

static void *gzip_open(void)
{
    z_stream *z = fr_alloc(sizeof *z, FR_MEMORY_DATA);
    if (z && inflateInit2(z, MAX_WBITS + GZIP_WRAPPER) != Z_OK) {
        fr_free(z);
        return NULL;
    }
    return z;
}

static fr_status gzip_step(unpacker *u, const char **reason)
{
    z_stream *z = u->own;
    if (u->boundary) {
        /* gzip(1) allows zero padding after a member (tapes, block devices). */
        while (u->in_size && *u->in == 0) {
            u->in++;
            u->in_size--;
        }
        if (!u->in_size)
            return FR_OK;
        inflateReset(z);
        u->boundary = false;
    }
    size_t in = u->in_size < UINT32_MAX ? u->in_size : UINT32_MAX;
    size_t out = u->out_size < UINT32_MAX ? u->out_size : UINT32_MAX;
    z->next_in = (Bytef *)(uintptr_t)u->in;
    z->avail_in = (uInt)in;
    z->next_out = u->out;
    z->avail_out = (uInt)out;
    int result = inflate(z, Z_NO_FLUSH);
    u->in = z->next_in;
    u->in_size -= in - z->avail_in;
    u->out = z->next_out;
    u->out_size -= out - z->avail_out;
    if (result == Z_STREAM_END) {
        u->boundary = true;
    } else if (result == Z_MEM_ERROR) {
        *reason = "no memory to unpack gzip data";
        return FR_NO_MEMORY;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        *reason = z->msg ? z->msg : "damaged gzip data";
        return FR_BAD_INPUT;
    }
    return FR_OK;
}

static void gzip_close(void *own)
{
    inflateEnd(own);
    fr_free(own);
}

/* ---- Zstandard ---- */

static fr_status zstd_step(unpacker *u, const char **reason)
{
    ZSTD_inBuffer in = {u->in, u->in_size, 0};
    ZSTD_outBuffer out = {u->out, u->out_size, 0};
    size_t result = ZSTD_decompressStream(u->own, &out, &in);
    u->in += in.pos;
    u->in_size -= in.pos;
    u->out += out.pos;
    u->out_size -= out.pos;
    if (ZSTD_isError(result)) {
        *reason = ZSTD_getErrorName(result);
        return FR_BAD_INPUT;
    }
    /* 0: a frame is done and flushed. A call without input and output keeps what was true before.
       */
    if (in.pos || out.pos || result == 0)
        u->boundary = result == 0;
    return FR_OK;
}

/* ---- xz ---- */

static void *xz_open(void)
{
    lzma_stream *x = fr_alloc(sizeof *x, FR_MEMORY_DATA);
    if (x && lzma_stream_decoder(x, XZ_MEMORY, LZMA_CONCATENATED) != LZMA_OK) {
        fr_free(x);
        return NULL;
    }
    return x;
}

static const char *xz_reason(lzma_ret result)
{
    switch (result) {
    case LZMA_FORMAT_ERROR:
        return "not xz data";
    case LZMA_OPTIONS_ERROR:
        return "xz data with options that this library does not know";
    case LZMA_MEMLIMIT_ERROR:
        return "an xz dictionary over 256 MiB";
    case LZMA_MEM_ERROR:
        return "no memory to unpack xz data";
    default:
        return "damaged xz data";
    }
}

static fr_status xz_step(unpacker *u, bool last, const char **reason)
{
    lzma_stream *x = u->own;
    x->next_in = u->in;
    x->avail_in = u->in_size;
    x->next_out = u->out;
    x->avail_out = u->out_size;
    lzma_ret result = lzma_code(x, last ? LZMA_FINISH : LZMA_RUN);
    u->in = x->next_in;
    u->in_size = x->avail_in;
    u->out = x->next_out;
    u->out_size = x->avail_out;
    if (result == LZMA_STREAM_END) {
        u->boundary = true;
    } else if (result != LZMA_OK && result != LZMA_BUF_ERROR) {
        *reason = xz_reason(result);
        return result == LZMA_MEM_ERROR        ? FR_NO_MEMORY
               : result == LZMA_MEMLIMIT_ERROR ? FR_UNSUPPORTED
                                               : FR_BAD_INPUT;
    }
    return FR_OK;
}

static void xz_close(void *own)
{
    lzma_end(own);
    fr_free(own);
}

/* ---- the three behind one door ---- */

fr_status unpacker_open(unpacker *u, packing kind, fr_error *error)
{
    *u = (unpacker){0};
    u->own = kind == PACKING_GZIP   ? gzip_open()
             : kind == PACKING_ZSTD ? (void *)ZSTD_createDStream()
                                    : xz_open();
    return u->own ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory to unpack a file");
}

fr_status unpacker_step(unpacker *u, packing kind, bool last, const char **reason)
{
    return kind == PACKING_GZIP   ? gzip_step(u, reason)
           : kind == PACKING_ZSTD ? zstd_step(u, reason)
                                  : xz_step(u, last, reason);
}

void unpacker_close(unpacker *u, packing kind)
{
    if (!u->own)
        return;
    if (kind == PACKING_GZIP)
        gzip_close(u->own);
    else if (kind == PACKING_ZSTD)
        ZSTD_freeDStream(u->own);
    else
        xz_close(u->own);
    u->own = NULL;
}
