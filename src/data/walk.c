/* walk.c: files and folders, depth first. A folder's entries are sorted as if folders' names ended
   in "/", which makes the order of the whole walk the byte order of the paths, on every file
   system.

   Links are followed; each folder is entered once (told by device and inode), so that a loop of
   links ends. Names that begin with a dot are left out inside folders (version control, editors),
   and counted. */
#include "data/walk.h"
#include "data/table.h"

#define XXH_INLINE_ALL
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

typedef struct level {
    char *folder;
    char **names; /* folders end in "/" */
    size_t count, next;
} level;

typedef struct place {
    uint64_t device, inode;
} place;

struct walk {
    const char *const *paths;
    size_t count, next;
    level *levels;
    size_t depth, level_room;
    place *visited;
    size_t visited_count, visited_room;
    table visited_table;
    char *path; /* of the file given last */
    int64_t hidden, unreadable;
};

/* Room for one more in an array of fr_alloc; false: no memory. */
static bool grow(void **array, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return true;
    size_t larger = *room ? *room * 2 : 16;
    void *block = fr_realloc(*array, larger * size, FR_MEMORY_DATA);
    if (!block)
        return false;
    *array = block;
    *room = larger;
    return true;
}

static uint64_t place_hash(const void *context, uint32_t number)
{
    return XXH3_64bits((const place *)context + number, sizeof(place));
}

/* True the first time a folder is seen. */
static bool enter_once(walk *w, const struct stat *info, bool *enter)
{
    place here = {(uint64_t)info->st_dev, (uint64_t)info->st_ino};
    table *t = &w->visited_table;
    if (!table_reserve(t, place_hash, w->visited) ||
        !grow((void **)&w->visited, &w->visited_room, w->visited_count, sizeof here))
        return false;
    uint64_t hash = XXH3_64bits(&here, sizeof here);
    *enter = false;
    for (size_t s = table_first(t, hash); t->slots[s]; s = table_after(t, s))
        if (memcmp(&w->visited[t->slots[s] - 1], &here, sizeof here) == 0)
            return true;
    table_add(t, hash, (uint32_t)w->visited_count);
    w->visited[w->visited_count++] = here;
    *enter = true;
    return true;
}

static void level_free(level *l)
{
    for (size_t i = 0; i < l->count; i++)
        fr_free(l->names[i]);
    fr_free(l->names);
    fr_free(l->folder);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fr_status no_memory(const char *path, fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory to list %s", path);
}

/* One name of the folder into the level, with "/" behind when it is a folder. */
static fr_status list_name(walk *w, level *l, size_t *room, const char *name, fr_error *error)
{
    if (name[0] == '.') {
        w->hidden += strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
        return FR_OK;
    }
    char *path = fr_path_join(l->folder, name);
    if (!path)
        return no_memory(l->folder, error);
    struct stat info;
    bool found = stat(path, &info) == 0;
    fr_free(path);
    if (!found || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) {
        w->unreadable++;
        return FR_OK;
    }
    char *copy = fr_format(S_ISDIR(info.st_mode) ? "%s/" : "%s", name);
    if (!copy || !grow((void **)&l->names, room, l->count, sizeof *l->names)) {
        fr_free(copy);
        return no_memory(l->folder, error);
    }
    l->names[l->count++] = copy;
    return FR_OK;
}

static fr_status list_folder(walk *w, level *l, DIR *folder, fr_error *error)
{
    size_t room = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry)
            break;
        FR_TRY(list_name(w, l, &room, entry->d_name, error));
    }
    if (errno)
        return fr_fail_errno(error, "list", l->folder);
    if (l->count)
        qsort(l->names, l->count, sizeof *l->names, by_bytes);
    return FR_OK;
}

/* Go into a folder, unless it was entered before. One that may not be opened is an error when
   named. */
static fr_status enter(walk *w, const char *path, const struct stat *info, bool named,
                       fr_error *error)
{
    bool first;
    if (!enter_once(w, info, &first) ||
        !grow((void **)&w->levels, &w->level_room, w->depth, sizeof *w->levels))
        return no_memory(path, error);
    if (!first)
        return FR_OK;
    DIR *folder = opendir(path);
    if (!folder) {
        if (named || errno == ENOMEM || errno == EMFILE || errno == ENFILE)
            return fr_fail_errno(error, "list", path);
        w->unreadable++;
        return FR_OK;
    }
    level *l = &w->levels[w->depth++];
    *l = (level){.folder = fr_string_copy(path)};
    fr_status status = l->folder ? list_folder(w, l, folder, error) : no_memory(path, error);
    closedir(folder);
    return status;
}

fr_status walk_open(walk **out, const char *const *paths, size_t count, fr_error *error)
{
    *out = NULL;
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        if (stat(paths[i], &info) != 0)
            return fr_fail_errno(error, "read", paths[i]);
        if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
            return fr_fail(error, FR_BAD_INPUT, "%s is neither a file nor a folder", paths[i]);
    }
    walk *w = fr_alloc(sizeof *w, FR_MEMORY_DATA);
    if (!w)
        return no_memory("the text", error);
    w->paths = paths;
    w->count = count;
    *out = w;
    return FR_OK;
}

void walk_close(walk *w)
{
    if (!w)
        return;
    while (w->depth)
        level_free(&w->levels[--w->depth]);
    fr_free(w->levels);
    fr_free(w->visited);
    table_free(&w->visited_table);
    fr_free(w->path);
    fr_free(w);
}

int64_t walk_hidden(const walk *w)
{
    return w->hidden;
}

int64_t walk_unreadable(const walk *w)
{
    return w->unreadable;
}

/* Take the next path of the top level, or of the list; false at the end. w->path owns it. */
static fr_status next_path(walk *w, bool *named, fr_error *error)
{
    fr_free(w->path);
    w->path = NULL;
    while (w->depth && w->levels[w->depth - 1].next == w->levels[w->depth - 1].count)
        level_free(&w->levels[--w->depth]);
    *named = w->depth == 0;
    if (w->depth) {
        level *l = &w->levels[w->depth - 1];
        w->path = fr_path_join(l->folder, l->names[l->next++]);
    } else if (w->next < w->count) {
        w->path = fr_string_copy(w->paths[w->next++]);
    } else {
        return FR_OK;
    }
    if (!w->path)
        return no_memory("the text", error);
    size_t length = strlen(w->path);
    while (length > 1 && w->path[length - 1] == '/')
        w->path[--length] = 0;
    return FR_OK;
}

fr_status walk_next(walk *w, walk_file *file, fr_error *error)
{
    *file = (walk_file){0};
    for (;;) {
        bool named;
        FR_TRY(next_path(w, &named, error));
        if (!w->path)
            return FR_OK;
        struct stat info;
        if (stat(w->path, &info) != 0) {
            if (named)
                return fr_fail_errno(error, "read", w->path);
            w->unreadable++;
        } else if (S_ISDIR(info.st_mode)) {
            FR_TRY(enter(w, w->path, &info, named, error));
        } else {
            *file = (walk_file){.path = w->path, .size = (int64_t)info.st_size, .named = named};
            return FR_OK;
        }
    }
}
