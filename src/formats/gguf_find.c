/* gguf_find.c: which GGUF file a path means. */
#include "frugal/formats.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static bool begins_as_gguf(const char *path)
{
    char magic[4] = "";
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t got = fread(magic, 1, sizeof magic, file);
    fclose(file);
    return got == sizeof magic && memcmp(magic, "GGUF", sizeof magic) == 0;
}

static bool ends_in_gguf(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && size > 5 && strcmp(name + size - 5, ".gguf") == 0;
}

/* The one such name of a folder. */
static fr_status search(DIR *folder, const char *path, char **found, fr_error *error)
{
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (!ends_in_gguf(entry->d_name))
            continue;
        if (*found) {
            fr_free(*found);
            *found = NULL;
            return fr_fail_at(error, FR_BAD_INPUT, path, 0,
                              "there is no config.json but several .gguf files: name one");
        }
        *found = fr_path_join(path, entry->d_name);
        if (!*found)
            return fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", path);
    }
    return FR_OK;
}

fr_status fr_gguf_locate(const char *path, char **found, fr_error *error)
{
    *found = NULL;
    if (!fr_path_is_folder(path)) {
        if (!begins_as_gguf(path))
            return FR_OK;
        *found = fr_string_copy(path);
        return *found ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    }
    char *config = fr_path_join(path, "config.json");
    bool is_model = config && fr_path_exists(config);
    fr_free(config);
    if (!config)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path in %s", path);
    DIR *folder = is_model ? NULL : opendir(path);
    if (!folder)
        return FR_OK;
    fr_status status = search(folder, path, found, error);
    closedir(folder);
    return status;
}
