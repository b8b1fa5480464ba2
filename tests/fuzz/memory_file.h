/* memory_file.h: bytes as a file that has a path, without a disk. */
#ifndef FRUGAL_TESTS_MEMORY_FILE_H
#define FRUGAL_TESTS_MEMORY_FILE_H

#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

/* The descriptor of a file with these bytes; its path goes into `path`. Close it at the end. */
static inline int memory_file(const uint8_t *data, size_t size, char path[64])
{
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(file >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t written = write(file, data + done, size - done);
        MUST(written > 0);
        done += (size_t)written;
    }
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

#endif
