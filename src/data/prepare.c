/* prepare.c: text -> a folder of shards. The stages run one after the other in a temporary folder
   beside the wanted one, which takes its place by one rename at the end: what is there is complete,
   and nothing stays behind when something goes wrong. */
#include "data/prepare.h"
#include "data/split.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

fr_status preparation_progress(const preparation *p, const char *what, double fraction,
                               fr_error *error)
{
    if (fr_interrupted())
        return fr_fail(error, FR_INTERRUPTED, "interrupted while %s; nothing was written", what);
    if (p->progress)
        p->progress(p->progress_context, what, fraction);
    return FR_OK;
}

/* ---- the folder ---- */

typedef struct target {
    char *path; /* as wanted, without "/" behind */
    char *parent;
    char *temporary; /* beside it */
    int held;        /* the temporary folder, locked while we live */
} target;

static bool is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    size_t entries = 0;
    while (readdir(folder))
        entries++;
    closedir(folder);
    return entries <= 2; /* . and .. */
}

static fr_status no_memory(fr_error *error)
{
    return fr_fail(error, FR_NO_MEMORY, "no memory to prepare text");
}

/* The absolute path of what exists (so that "." has a name), else the path without "/" behind. */
static char *plain_path(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = fr_string_copy(real ? real : path);
    free(real);
    if (!copy)
        return NULL;
    for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/';)
        copy[--length] = 0;
    return copy;
}

/* Remove what killed processes left beside the target: temporary folders that nobody holds. */
static void remove_left_behind(const target *t, const char *name)
{
    char *prefix = fr_format(".%s.partial-", name);
    DIR *folder = prefix ? opendir(t->parent) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        char *path = fr_path_join(t->parent, entry->d_name);
        int held = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (held >= 0 && flock(held, LOCK_EX | LOCK_NB) == 0)
            fr_folder_remove(path, NULL);
        if (held >= 0)
            close(held);
        fr_free(path);
    }
    if (folder)
        closedir(folder);
    fr_free(prefix);
}

static fr_status make_temporary(target *t, const char *name, fr_error *error)
{
    remove_left_behind(t, name);
    for (int attempt = 0;; attempt++) {
        fr_free(t->temporary);
        char *hidden = fr_format(".%s.partial-%ld-%d", name, (long)getpid(), attempt);
        t->temporary = hidden ? fr_path_join(t->parent, hidden) : NULL;
        fr_free(hidden);
        if (!t->temporary)
            return no_memory(error);
        if (mkdir(t->temporary, 0777) == 0)
            break;
        if (errno != EEXIST) {
            fr_status status = fr_fail_errno(error, "create folder", t->temporary);
            fr_free(t->temporary);
            t->temporary = NULL;
            return status;
        }
    }
    /* A file system without locks is no reason to stop: what is left behind there stays. */
    t->held = open(t->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->held >= 0)
        (void)flock(t->held, LOCK_EX | LOCK_NB);
    return FR_OK;
}

static fr_status target_open(target *t, const char *folder, fr_error *error)
{
    *t = (target){.held = -1};
    if (!folder || !*folder)
        return fr_fail(error, FR_BAD_INPUT, "no folder was named for the prepared text");
    if (fr_path_exists(folder) && !fr_path_is_folder(folder))
        return fr_fail(error, FR_BAD_INPUT, "%s is a file, expected a new or empty folder", folder);
    if (fr_path_is_folder(folder) && !is_empty_folder(folder))
        return fr_fail(error, FR_BAD_INPUT,
                       "the folder %s is not empty; name a new one, or remove it", folder);
    t->path = plain_path(folder);
    if (!t->path)
        return no_memory(error);
    char *slash = strrchr(t->path, '/');
    t->parent = !slash
                    ? fr_string_copy(".")
                    : fr_string_copy_n(t->path, slash == t->path ? 1 : (size_t)(slash - t->path));
    if (!t->parent)
        return no_memory(error);
    FR_TRY(fr_folder_create(t->parent, error));
    return make_temporary(t, slash ? slash + 1 : t->path, error);
}

/* Put the temporary folder in its place. */
static fr_status target_publish(target *t, fr_error *error)
{
    FR_TRY(fr_folder_sync(t->temporary, error));
    if (rename(t->temporary, t->path) != 0)
        return fr_fail_errno(error, "rename the finished folder to", t->path);
    fr_free(t->temporary);
    t->temporary = NULL;
    return fr_folder_sync(t->parent, error);
}

static void target_close(target *t)
{
    if (t->held >= 0)
        close(t->held);
    if (t->temporary)
        fr_folder_remove(t->temporary, NULL);
    fr_free(t->temporary);
    fr_free(t->parent);
    fr_free(t->path);
}

/* ---- the stages ---- */

static fr_status write_report(const preparation *p, fr_error *error)
{
    char *path = fr_path_join(p->folder, "report.json");
    fr_buffer text = {0};
    fr_data_report_write(p->report, true, &text);
    fr_status status =
        path && !text.failed ? fr_file_write(path, text.data, text.size, error) : no_memory(error);
    fr_buffer_free(&text);
    fr_free(path);
    return status;
}

static fr_status learn(preparation *p, const fr_tokenizer_options *options, fr_tokenizer **own,
                       fr_error *error)
{
    fr_tokenizer_options fallback = {0};
    if (!options)
        fr_tokenizer_options_defaults(&fallback);
    fr_status status = preparation_learn(p, options ? options : &fallback, own, error);
    if (!options)
        fr_options_free(&fr_tokenizers.entries[0]->options, &fallback);
    p->tokenizer = *own;
    return status;
}

static fr_status run(preparation *p, const char *const *paths, size_t count,
                     const fr_tokenizer_options *options, fr_tokenizer **own, fr_error *error)
{
    double begin = fr_seconds();
    FR_TRY(preparation_gather(p, paths, count, error));
    FR_TRY(split_documents(p->kept, p->kept_count, p->options, &p->held_out, error));
    if (!p->tokenizer)
        FR_TRY(learn(p, options, own, error));
    p->report->vocabulary = fr_tokenizer_size(p->tokenizer);
    FR_TRY(preparation_encode(p, error));
    FR_TRY(fr_tokenizer_save(p->tokenizer, p->folder, 0, error));
    p->report->seconds = fr_seconds() - begin;
    FR_TRY(write_report(p, error));
    return preparation_progress(p, "finishing", 1, error);
}

fr_status fr_data_prepare(const char *const *paths, size_t count, const char *folder,
                          const fr_data_options *options, const fr_tokenizer *tokenizer,
                          const fr_tokenizer_options *tokenizer_options,
                          fr_progress_function *progress, void *context, fr_data_report *report,
                          fr_error *error)
{
    fr_data_report unused;
    fr_tokenizer *own = NULL;
    target t;
    fr_status status = target_open(&t, folder, error);
    preparation p = {.options = options,
                     .folder = t.temporary,
                     .progress = progress,
                     .progress_context = context,
                     .report = report ? report : &unused,
                     .tokenizer = tokenizer};
    if (status == FR_OK)
        status = run(&p, paths, count, tokenizer_options, &own, error);
    if (status == FR_OK)
        status = target_publish(&t, error);
    spool_close(p.spool);
    duplicates_destroy(p.duplicates);
    fr_free(p.held_out);
    fr_tokenizer_free(own);
    target_close(&t);
    return status;
}
