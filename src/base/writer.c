/* writer.c: files that appear whole or not at all.

   The bytes go to a temporary file beside the target (".NAME.PID-N.tmp"), which is synced and renamed over it, and then the
   folder is synced: after a crash at any instant the target is the old file or the new one. Nothing is lost silently: the
   first failure is kept and commit reports it, and the temporary file is removed. The writer holds a lock on its temporary
   file, so that fr_folder_clean can tell the left-over of a killed process from the file of a living one. */
#include "frugal/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { BUFFER = 1 << 18, LONGEST_NAME = 200 };

struct fr_writer {
    char *path, *temporary;
    char *folder;
    int file;
    int error_number; /* errno of the first failure, 0: none */
    const char *error_action;
    uint64_t accepted, written; /* bytes: taken from the caller; given to the system */
    size_t buffered;
    XXH3_state_t *hash;
    char buffer[BUFFER];
};

static void destroy(fr_writer *writer)
{
    if (writer->file >= 0)
        close(writer->file);
    XXH3_freeState(writer->hash);
    fr_free(writer->path);
    fr_free(writer->temporary);
    fr_free(writer->folder);
    fr_free(writer);
}

static void keep_error(fr_writer *writer, const char *action)
{
    if (writer->error_number == 0) {
        writer->error_number = errno ? errno : EIO;
        writer->error_action = action;
    }
}

/* The file that will be replaced: the one behind a link, and never a device or a pipe, which a rename would destroy. */
static fr_status resolve_target(fr_writer *writer, const char *path, mode_t *mode, fr_error *error)
{
    struct stat info;
    *mode = 0;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && stat(path, &info) == 0) {
        char *real = realpath(path, NULL);
        writer->path = fr_string_copy(real);
        free(real);
    } else
        writer->path = fr_string_copy(path);
    if (!writer->path)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", path);
    if (stat(path, &info) != 0)
        return FR_OK;
    if (!S_ISREG(info.st_mode))
        return fr_fail(error, FR_BAD_INPUT,
                       "cannot write %s: %s is there, expected a file or nothing", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "something that is not a regular file");
    *mode = info.st_mode & 0777;
    return FR_OK;
}

static fr_status open_temporary(fr_writer *writer, mode_t mode, fr_error *error)
{
    static _Atomic unsigned number;
    const char *slash = strrchr(writer->path, '/');
    const char *name = slash ? slash + 1 : writer->path;
    if (!*name)
        return fr_fail(error, FR_BAD_INPUT, "cannot write '%s': not the name of a file",
                       writer->path);
    writer->folder = !slash ? fr_string_copy(".")
                     : slash == writer->path
                         ? fr_string_copy("/")
                         : fr_string_copy_n(writer->path, (size_t)(slash - writer->path));
    writer->temporary =
        fr_format("%.*s.%.*s.%ld-%u" FR_TEMPORARY_SUFFIX, (int)(name - writer->path), writer->path,
                  LONGEST_NAME, name, (long)getpid(), atomic_fetch_add(&number, 1));
    writer->hash = XXH3_createState();
    if (!writer->folder || !writer->temporary || !writer->hash)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", writer->path);
    XXH3_64bits_reset(writer->hash);
    writer->file =
        open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (writer->file < 0)
        return fr_fail_errno(error, "create", writer->path);
    /* Neither is needed for the promise; a file system without locks or modes is no reason to stop. */
    (void)flock(writer->file, LOCK_EX | LOCK_NB);
    if (mode)
        (void)fchmod(writer->file, mode);
    return FR_OK;
}

fr_status fr_writer_open(fr_writer **result, const char *path, fr_error *error)
{
    *result = NULL;
    fr_writer *writer = fr_alloc(sizeof *writer, FR_MEMORY_OTHER);
    if (!writer)
        return fr_fail(error, FR_NO_MEMORY, "no memory to write %s", path);
    writer->file = -1;
    mode_t mode;
    fr_status status = resolve_target(writer, path, &mode, error);
    if (status == FR_OK)
        status = open_temporary(writer, mode, error);
    if (status == FR_OK)
        *result = writer;
    else
        destroy(writer);
    return status;
}

static void put(fr_writer *writer, const char *data, size_t size)
{
    while (size > 0 && writer->error_number == 0) {
        ssize_t done = write(writer->file, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            keep_error(writer, "write");
            return;
        }
        writer->written += (uint64_t)done;
        data += done;
        size -= (size_t)done;
    }
}

static void flush(fr_writer *writer)
{
    put(writer, writer->buffer, writer->buffered);
    writer->buffered = 0;
}

void fr_writer_write(fr_writer *writer, const void *data, size_t size)
{
    if (size == 0)
        return;
    writer->accepted += size;
    if (writer->error_number)
        return;
    XXH3_64bits_update(writer->hash, data, size);
    if (size > sizeof writer->buffer - writer->buffered)
        flush(writer);
    if (size >= sizeof writer->buffer) {
        put(writer, data, size);
        return;
    }
    memcpy(writer->buffer + writer->buffered, data, size);
    writer->buffered += size;
}

uint64_t fr_writer_position(const fr_writer *writer)
{
    return writer->accepted;
}

uint64_t fr_writer_hash(const fr_writer *writer)
{
    return XXH3_64bits_digest(writer->hash);
}

bool fr_writer_failed(const fr_writer *writer)
{
    return writer->error_number != 0;
}

fr_status fr_writer_commit(fr_writer *writer, fr_error *error)
{
    flush(writer);
    if (!writer->error_number && fsync(writer->file) != 0)
        keep_error(writer, "sync");
    /* The descriptor, and with it the lock, lives until the rename is done: nobody may clean the file away before. */
    if (!writer->error_number && rename(writer->temporary, writer->path) != 0)
        keep_error(writer, "rename a temporary file to");
    fr_status status = FR_OK;
    if (writer->error_number) {
        status = fr_fail(
            error, writer->error_number == ENOMEM ? FR_NO_MEMORY : FR_IO,
            "cannot %s %s: %s (%llu of %llu bytes were written; the file is as it was before)",
            writer->error_action, writer->path, strerror(writer->error_number),
            (unsigned long long)writer->written, (unsigned long long)writer->accepted);
        unlink(writer->temporary);
    } else {
        int file = writer->file;
        writer->file = -1;
        if (close(file) != 0)
            status = fr_fail_errno(error, "close", writer->path);
        else
            status = fr_folder_sync(writer->folder, error);
    }
    destroy(writer);
    return status;
}

void fr_writer_abandon(fr_writer *writer)
{
    if (!writer)
        return;
    unlink(writer->temporary);
    destroy(writer);
}

fr_status fr_file_write(const char *path, const void *data, size_t size, fr_error *error)
{
    fr_writer *writer;
    FR_TRY(fr_writer_open(&writer, path, error));
    fr_writer_write(writer, data, size);
    return fr_writer_commit(writer, error);
}
