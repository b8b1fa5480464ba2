/* spool.c: see spool.h. A record is a header, the path, the text. Reading the sources again instead
   would save the disk space, but unpacking and parsing cost more than reading back, and a source
   that changes between the passes would tear the split. */
#include "data/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

typedef struct header {
    uint64_t size, path_size;
    int64_t number;
} header;

struct spool {
    FILE *file;
    char *folder;
    char *buffer;
};

fr_status spool_open(spool **out, const char *folder, fr_error *error)
{
    *out = NULL;
    spool *s = fr_alloc(sizeof *s, FR_MEMORY_DATA);
    char *name = fr_path_join(folder, "spool-XXXXXX");
    fr_status status = FR_OK;
    if (s) {
        s->folder = fr_string_copy(folder);
        s->buffer = fr_alloc(BUFFER, FR_MEMORY_DATA);
    }
    if (!s || !name || !s->folder || !s->buffer) {
        status = fr_fail(error, FR_NO_MEMORY, "no memory to prepare text");
    } else {
        int file = mkstemp(name);
        if (file < 0 || unlink(name) != 0 || !(s->file = fdopen(file, "w+b"))) {
            status = fr_fail_errno(error, "create a temporary file in", folder);
            if (file >= 0)
                close(file);
        } else {
            setvbuf(s->file, s->buffer, _IOFBF, BUFFER);
        }
    }
    fr_free(name);
    if (status != FR_OK)
        spool_close(s);
    else
        *out = s;
    return status;
}

void spool_close(spool *s)
{
    if (!s)
        return;
    if (s->file)
        fclose(s->file);
    fr_free(s->folder);
    fr_free(s->buffer);
    fr_free(s);
}

static fr_status failed(const spool *s, const char *action, fr_error *error)
{
    return fr_fail_errno(error, action, s->folder);
}

fr_status spool_add(spool *s, const char *text, size_t size, const char *path, int64_t number,
                    fr_error *error)
{
    header h = {size, strlen(path), number};
    if (fwrite(&h, sizeof h, 1, s->file) != 1 ||
        fwrite(path, 1, h.path_size, s->file) != h.path_size ||
        fwrite(text, 1, size, s->file) != size)
        return failed(s, "write a temporary file in", error);
    return FR_OK;
}

fr_status spool_rewind(spool *s, fr_error *error)
{
    return fflush(s->file) == 0 && fseeko(s->file, 0, SEEK_SET) == 0
               ? FR_OK
               : failed(s, "write a temporary file in", error);
}

/* Append `size` bytes of the file to a buffer. */
static fr_status read_into(spool *s, fr_buffer *buffer, size_t size, fr_error *error)
{
    char block[1 << 14];
    while (size) {
        size_t n = size < sizeof block ? size : sizeof block;
        if (fread(block, 1, n, s->file) != n)
            return failed(s, "read a temporary file in", error);
        fr_buffer_append(buffer, block, n);
        size -= n;
    }
    return buffer->failed ? fr_fail(error, FR_NO_MEMORY, "no memory to prepare text") : FR_OK;
}

fr_status spool_next(spool *s, fr_buffer *text, size_t *size, fr_buffer *path, int64_t *number,
                     fr_error *error)
{
    header h;
    if (fread(&h, sizeof h, 1, s->file) != 1) {
        *size = SIZE_MAX;
        return feof(s->file) ? FR_OK : failed(s, "read a temporary file in", error);
    }
    *size = h.size;
    *number = h.number;
    FR_TRY(read_into(s, path, h.path_size, error));
    fr_buffer_append(path, "", 1);
    return read_into(s, text, h.size, error);
}
