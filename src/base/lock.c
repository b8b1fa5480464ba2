/* lock.c: one process per folder.

   flock(2) on FOLDER/.lock: the kernel drops it when the process ends in whatever way, so there is no stale lock to break.
   The holder's process id inside the file is only for the message; the file itself stays, because removing it would let two
   processes hold locks on two files of the same name. */
#include "frugal/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

struct fr_lock {
    int file;
};

static fr_status busy(int file, const char *folder, fr_error *error)
{
    char text[32];
    ssize_t got = pread(file, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = 0;
    long holder = strtol(text, NULL, 10);
    if (holder > 0)
        return fr_fail(error, FR_BUSY, "%s is in use by another process (process id %ld)", folder,
                       holder);
    return fr_fail(error, FR_BUSY, "%s is in use by another process", folder);
}

static fr_status lock_file(int file, const char *folder, const char *path, fr_error *error)
{
    int failed;
    while ((failed = flock(file, LOCK_EX | LOCK_NB)) != 0 && errno == EINTR) {
    }
    if (failed && errno == EWOULDBLOCK)
        return busy(file, folder, error);
    if (failed)
        return fr_fail_errno(error, "lock", path);
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* The lock holds without the number too: a full disk does not make it fail. */
    if (ftruncate(file, 0) == 0)
        (void)!pwrite(file, text, (size_t)length, 0);
    return FR_OK;
}

fr_status fr_lock_folder(fr_lock **lock, const char *folder, fr_error *error)
{
    *lock = fr_alloc(sizeof **lock, FR_MEMORY_OTHER);
    char *path = fr_path_join(folder, ".lock");
    fr_status status = FR_OK;
    int file = -1;
    if (!*lock || !path)
        status = fr_fail(error, FR_NO_MEMORY, "no memory to lock %s", folder);
    else if ((file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
        status = fr_fail_errno(error, "create", path);
    else
        status = lock_file(file, folder, path, error);
    fr_free(path);
    if (status == FR_OK) {
        (*lock)->file = file;
        return FR_OK;
    }
    if (file >= 0)
        close(file);
    fr_free(*lock);
    *lock = NULL;
    return status;
}

void fr_lock_release(fr_lock *lock)
{
    if (!lock)
        return;
    (void)!ftruncate(lock->file, 0);
    close(lock->file);
    fr_free(lock);
}
