/* verify.c: checking a model folder: `frugal hub verify`.

   A folder is checked before it is trusted, passed on or registered. Each check adds findings and the next goes on whatever was found,
   so that one run tells all that is wrong; only what stands on a broken part is left out. The loaders' own code does the reading, so
   a folder without problems loads. */
#include "hub/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- findings ---- */

const char *fr_finding_level_name(fr_finding_level level)
{
    static const char *const names[] = {"good", "note", "problem"};
    return names[level];
}

static bool add(fr_verification *out, fr_finding finding)
{
    if (!(out->count & (out->count - 1))) { /* room doubles at powers of two */
        fr_finding *larger = fr_realloc(
            out->findings, (out->count ? 2 * out->count : 1) * sizeof *larger, FR_MEMORY_OTHER);
        if (!larger)
            return false;
        out->findings = larger;
    }
    out->findings[out->count++] = finding;
    out->problems += finding.level == FR_FINDING_PROBLEM;
    return true;
}

void verify_report(verifying *v, const char *check, fr_finding_level level, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *copy = fr_string_copy(text);
    if (copy && add(v->out, (fr_finding){check, level, copy}))
        return;
    fr_free(copy);
    v->failed = fr_fail(v->error, FR_NO_MEMORY, "no memory to check %s", v->folder);
}

void verify_report_error(verifying *v, const char *check, const fr_error *error)
{
    if (error->status == FR_NO_MEMORY || error->status == FR_INTERRUPTED)
        v->failed = fr_fail(v->error, error->status, "%s", error->message);
    else
        verify_report(v, check, FR_FINDING_PROBLEM, "%s", error->message);
}

json_t *verify_load(const verifying *v, const char *name)
{
    char *path = fr_path_join(v->folder, name);
    json_t *json = NULL;
    if (path && fr_path_exists(path) && fr_json_load(&json, path, NULL) != FR_OK)
        json = NULL;
    fr_free(path);
    return json;
}

/* ---- the configuration ---- */

static void verify_config(verifying *v)
{
    fr_error error = {0};
    if (fr_model_load_shapes(&v->model, v->folder, &error) != FR_OK) {
        verify_report_error(v, "config", &error);
        return;
    }
    verify_report(v, "config", FR_FINDING_GOOD, "%s, %lld parameters", v->model->kind->base.name,
                  (long long)fr_model_parameter_total(v->model));
}

/* ---- the whole ---- */

fr_status fr_folder_verify(const char *folder, fr_verification *out, fr_error *error)
{
    static void (*const checks[])(verifying *) = {verify_files, verify_config, verify_weights,
                                                  verify_tokens};
    verifying v = {.folder = folder, .out = out, .error = error};
    *out = (fr_verification){0};
    if (!fr_path_is_folder(folder))
        return fr_fail_at(error, FR_BAD_INPUT, folder, 0, "there is no such folder");
    for (size_t i = 0; i < sizeof checks / sizeof *checks && v.failed == FR_OK; i++)
        checks[i](&v);
    fr_model_destroy(v.model);
    fr_tokenizer_free(v.tokenizer);
    return v.failed;
}

void fr_verification_free(fr_verification *verification)
{
    for (size_t i = 0; i < verification->count; i++)
        fr_free(verification->findings[i].text);
    fr_free(verification->findings);
    *verification = (fr_verification){0};
}
