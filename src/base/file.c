/* file.c: paths, folders, whole files, maps and hashes.

   Reading goes through read(2) into our own blocks or through a map; nothing here trusts the size that stat reports, because a
   file may grow, shrink, or be a pipe. What is written so that it appears whole is in writer.c. */
#include "frugal/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { HASH_BLOCK = 1 << 18, FIRST_READ = 1 << 16 };

/* ---- paths ---- */

bool fr_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool fr_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *fr_path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    bool bare = length == 0 || folder[length - 1] == '/' || name[0] == '/';
    return fr_format("%s%s%s", name[0] == '/' ? "" : folder, bare ? "" : "/", name);
}

/* ---- folders ---- */

fr_status fr_folder_sync(const char *folder, fr_error *error)
{
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return fr_fail_errno(error, "open folder", folder);
    /* Some file systems cannot sync a folder and say EINVAL; there is nothing more to do on them. */
    bool failed = fsync(file) != 0 && errno != EINVAL && errno != ENOTSUP;
    int number = errno;
    close(file);
    errno = number;
    return failed ? fr_fail_errno(error, "sync folder", folder) : FR_OK;
}

/* Make one folder; `path` is cut at its last component for the sync of the parent. */
static fr_status create_one(char *path, fr_error *error)
{
    if (mkdir(path, 0777) != 0) {
        if (errno == EEXIST && fr_path_is_folder(path))
            return FR_OK;
        if (errno == EEXIST || errno == ENOTDIR)
            return fr_fail(error, FR_BAD_INPUT,
                           "cannot create folder %s: a file of that name is in the way", path);
        return fr_fail_errno(error, "create folder", path);
    }
    char *slash = strrchr(path, '/');
    if (!slash)
        return fr_folder_sync(".", error);
    if (slash == path)
        return fr_folder_sync("/", error);
    *slash = 0;
    fr_status status = fr_folder_sync(path, error);
    *slash = '/';
    return status;
}

fr_status fr_folder_create(const char *path, fr_error *error)
{
    if (!*path)
        return fr_fail(error, FR_BAD_INPUT, "cannot create a folder without a name");
    char *copy = fr_string_copy(path);
    if (!copy)
        return fr_fail(error, FR_NO_MEMORY, "no memory");
    size_t length = strlen(copy);
    while (length > 1 && copy[length - 1] == '/')
        copy[--length] = 0;
    fr_status status = FR_OK;
    for (char *slash = strchr(copy + 1, '/'); slash && status == FR_OK;
         slash = strchr(slash + 1, '/')) {
        if (slash[-1] == '/')
            continue;
        *slash = 0;
        if (!fr_path_is_folder(copy))
            status = create_one(copy, error);
        *slash = '/';
    }
    if (status == FR_OK)
        status = create_one(copy, error);
    fr_free(copy);
    return status;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Empty the folder open at `folder` (closed here). Links are removed, never followed. */
static bool empty_folder(int folder)
{
    DIR *stream = fdopendir(folder);
    if (!stream) {
        close(folder);
        return false;
    }
    bool good = true;
    const struct dirent *entry;
    while (good && (errno = 0, entry = readdir(stream)) != NULL) {
        if (is_dots(entry->d_name) || unlinkat(folder, entry->d_name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM) {
            good = errno == ENOENT;
            continue;
        }
        int inner = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        good =
            inner >= 0 && empty_folder(inner) && unlinkat(folder, entry->d_name, AT_REMOVEDIR) == 0;
    }
    if (!entry && errno != 0)
        good = false;
    int number = errno;
    closedir(stream);
    errno = number;
    return good;
}

bool fr_folder_is_empty(const char *path)
{
    DIR *folder = opendir(path);
    bool empty = folder != NULL;
    const struct dirent *entry;
    while (empty && (entry = readdir(folder)) != NULL)
        empty = is_dots(entry->d_name);
    if (folder)
        closedir(folder);
    return empty;
}

fr_status fr_folder_remove(const char *path, fr_error *error)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT)
        return FR_OK;
    if (folder < 0 || !empty_folder(folder) || (rmdir(path) != 0 && errno != ENOENT))
        return fr_fail_errno(error, "remove folder", path);
    return FR_OK;
}

fr_status fr_folder_clean(const char *path, fr_error *error)
{
    DIR *stream = opendir(path);
    if (!stream)
        return errno == ENOENT ? FR_OK : fr_fail_errno(error, "open folder", path);
    const struct dirent *entry;
    fr_status status = FR_OK;
    while (status == FR_OK && (entry = readdir(stream)) != NULL) {
        size_t length = strlen(entry->d_name);
        size_t tail = strlen(FR_TEMPORARY_SUFFIX);
        if (entry->d_name[0] != '.' || length <= tail ||
            strcmp(entry->d_name + length - tail, FR_TEMPORARY_SUFFIX) != 0)
            continue;
        int file =
            openat(dirfd(stream), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (file < 0)
            continue;
        /* A living writer holds this lock; the kernel dropped that of a dead one. */
        if (flock(file, LOCK_EX | LOCK_NB) == 0 && unlinkat(dirfd(stream), entry->d_name, 0) != 0)
            status = fr_fail_errno(error, "remove a left-over file in", path);
        close(file);
    }
    closedir(stream);
    return status;
}

/* ---- whole files ---- */

static fr_status too_large(const char *path, size_t limit, fr_error *error)
{
    return fr_fail(error, FR_BAD_INPUT, "%s: larger than the limit of %zu bytes for such a file",
                   path, limit);
}

static fr_status read_open_file(int file, const char *path, size_t limit, fr_buffer *text,
                                fr_error *error)
{
    struct stat info;
    if (fstat(file, &info) != 0)
        return fr_fail_errno(error, "read", path);
    if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit)
        return too_large(path, limit, error);
    /* One byte more than the file holds, so that its end is seen without growing. */
    size_t wanted = S_ISREG(info.st_mode) ? (size_t)info.st_size + 1 : FIRST_READ;
    for (;;) {
        if (!fr_buffer_reserve(text, wanted))
            return fr_fail(error, FR_NO_MEMORY, "no memory to read %s (%zu bytes so far)", path,
                           text->size);
        ssize_t got = read(file, text->data + text->size, wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fr_fail_errno(error, "read", path);
        if (got == 0)
            return FR_OK;
        text->size += (size_t)got;
        text->data[text->size] = 0;
        if (text->size > limit)
            return too_large(path, limit, error);
        wanted = text->capacity - text->size > 1 ? text->capacity - text->size - 1 : FIRST_READ;
    }
}

fr_status fr_file_read(const char *path, size_t limit, char **data, size_t *size, fr_error *error)
{
    *data = NULL;
    *size = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return fr_fail_errno(error, "open", path);
    fr_buffer text = {0};
    fr_status status = read_open_file(file, path, limit ? limit : (size_t)1 << 30, &text, error);
    close(file);
    if (status != FR_OK) {
        fr_buffer_free(&text);
        return status;
    }
    *data = text.data;
    *size = text.size;
    return FR_OK;
}

/* ---- maps ---- */

fr_status fr_map_open(fr_map *map, const char *path, fr_error *error)
{
    *map = (fr_map){0};
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return fr_fail_errno(error, "open", path);
    struct stat info;
    fr_status status = FR_OK;
    if (fstat(file, &info) != 0)
        status = fr_fail_errno(error, "open", path);
    else if (!S_ISREG(info.st_mode))
        status = fr_fail(error, FR_BAD_INPUT, "cannot open %s: %s, expected a file", path,
                         S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
    else if (info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED)
            status = fr_fail_errno(error, "map", path);
        else
            *map = (fr_map){data, (size_t)info.st_size};
    }
    close(file);
    return status;
}

void fr_map_close(fr_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (fr_map){0};
}

/* ---- hashes ---- */

static fr_status hash_open_file(int file, const char *path, XXH3_state_t *state, char *block,
                                fr_error *error)
{
    for (;;) {
        ssize_t got = read(file, block, HASH_BLOCK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fr_fail_errno(error, "read", path);
        if (got == 0)
            return FR_OK;
        XXH3_64bits_update(state, block, (size_t)got);
    }
}

fr_status fr_file_hash(const char *path, uint64_t *hash, fr_error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return fr_fail_errno(error, "open", path);
    XXH3_state_t *state = XXH3_createState();
    char *block = fr_alloc(HASH_BLOCK, FR_MEMORY_OTHER);
    fr_status status;
    if (!state || !block)
        status = fr_fail(error, FR_NO_MEMORY, "no memory to hash %s", path);
    else {
        XXH3_64bits_reset(state);
        status = hash_open_file(file, path, state, block, error);
        *hash = XXH3_64bits_digest(state);
    }
    XXH3_freeState(state);
    fr_free(block);
    close(file);
    return status;
}
