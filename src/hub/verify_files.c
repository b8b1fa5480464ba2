/* verify_files.c: what lies in a model folder: names, links, code, and JSON that every reader reads alike. */
#include "hub/verify.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct files {
    verifying *v;
    size_t count, json_count, problems, json_problems;
} files;

/* Printable ASCII without what a shell, a URL or another system reads otherwise. */
static bool is_plain_name(const char *name)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_-.+=@, ";
    return name[strspn(name, plain)] == 0 && name[0] != ' ' && name[0] != '-';
}

static void problem(files *f, const char *format, const char *name)
{
    char text[512];
    f->problems++;
    snprintf(text, sizeof text, format, name);
    verify_report(f->v, "files", FR_FINDING_PROBLEM, "%s", text);
}

static void check_json(files *f, const char *path)
{
    char *text;
    size_t size;
    json_error_t where;
    fr_error error = {0};
    f->json_count++;
    if (fr_file_read(path, 0, &text, &size, &error) != FR_OK) {
        f->json_problems++;
        verify_report_error(f->v, "json", &error);
        return;
    }
    json_t *json = json_loadb(
        text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &where);
    fr_free(text);
    if (!json) {
        f->json_problems++;
        verify_report(f->v, "json", FR_FINDING_PROBLEM, "%s:%d: %s", path, where.line, where.text);
    }
    json_decref(json);
}

static void check_entry(files *f, const char *folder, const char *name)
{
    struct stat info;
    char *path = fr_path_join(folder, name);
    f->count++;
    if (!path || lstat(path, &info) != 0)
        problem(f, "%s cannot be looked at", name);
    else if (!is_plain_name(name))
        problem(f, "'%.200s' is not a plain name: letters, digits, and _-.+=@, inside", name);
    else if (S_ISLNK(info.st_mode) && stat(path, &info) != 0)
        problem(f, "%s is a link to nothing", name);
    else if (name[0] != '.' && !fr_folder_holds(folder, name))
        problem(f, "%s is a link that leaves the folder", name);
    else if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode) && !S_ISLNK(info.st_mode))
        problem(f, "%s is neither a file nor a folder", name);
    else if (fr_string_ends(name, ".py"))
        verify_report(f->v, "files", FR_FINDING_NOTE, "%s is code; frugal does not run it", name);
    else if (fr_string_ends(name, FR_TEMPORARY_SUFFIX))
        verify_report(f->v, "files", FR_FINDING_NOTE, "%s was left by a writer that was stopped",
                      name);
    else if (fr_string_ends(name, ".json") && S_ISREG(info.st_mode))
        check_json(f, path);
    fr_free(path);
}

/* Loading elsewhere would run code of the folder's own. */
static void check_code(files *f, const char *name)
{
    json_t *json = verify_load(f->v, name);
    const json_t *map = json_object_get(json, "auto_map");
    if (json_object_size(map) || json_is_string(map))
        problem(f, "%s has an auto_map: it needs code of the folder's own", name);
    json_decref(json);
}

static void check_layouts(files *f)
{
    char *single = fr_path_join(f->v->folder, "model.safetensors");
    char *index = fr_path_join(f->v->folder, "model.safetensors.index.json");
    if (single && index && fr_path_exists(single) && fr_path_exists(index))
        problem(f, "%s",
                "there are both model.safetensors and an index of shards; readers may "
                "choose differently");
    fr_free(single);
    fr_free(index);
}

void verify_files(verifying *v)
{
    files f = {.v = v};
    DIR *folder = opendir(v->folder);
    if (!folder) {
        v->failed = fr_fail_errno(v->error, "open folder", v->folder);
        return;
    }
    const struct dirent *entry;
    while (v->failed == FR_OK && (entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            check_entry(&f, v->folder, entry->d_name);
    closedir(folder);
    check_code(&f, "config.json");
    check_code(&f, "tokenizer_config.json");
    check_layouts(&f);
    if (f.problems == 0)
        verify_report(v, "files", FR_FINDING_GOOD,
                      "%zu plain names, no link that leaves the folder", f.count);
    if (f.json_problems == 0)
        verify_report(v, "json", FR_FINDING_GOOD, "%zu files, no key twice", f.json_count);
}
