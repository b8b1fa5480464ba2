/* version.c: `frugal --version`: the program, the kernels that this CPU gets, and the libraries as they were found when the
   program started (not as they were when it was built). */
#include "cli/version.h"

#include "kernels/kernels.h"

#include <jansson.h>
#include <libxml/xmlversion.h>
#include <lzma.h>
#include <oneapi/dnnl/dnnl.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>
#include <xxhash.h>
#include <yaml.h>
#include <zlib.h>
#include <zstd.h>

enum { LIBRARIES = 10 };
typedef struct library {
    const char *name;
    char version[48];
} library;

static void set(library *l, const char *name, const char *version)
{
    l->name = name;
    /* PCRE2 tells its date too: "10.42 2022-12-11". */
    snprintf(l->version, sizeof l->version, "%.*s", (int)strcspn(version, " "), version);
}

static void find_libraries(library found[LIBRARIES])
{
    char text[64];
    const dnnl_version_t *dnnl = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
    set(&found[0], "oneDNN", text);
    memset(text, 0, sizeof text);
    pcre2_config(PCRE2_CONFIG_VERSION, text);
    set(&found[1], "PCRE2", text);
    set(&found[2], "utf8proc", utf8proc_version());
    set(&found[3], "libyaml", yaml_get_version_string());
    set(&found[4], "jansson", jansson_version_str());
    set(&found[5], "libxml2", LIBXML_DOTTED_VERSION);
    set(&found[6], "zlib", zlibVersion());
    set(&found[7], "zstd", ZSTD_versionString());
    set(&found[8], "liblzma", lzma_version_string());
    unsigned hash = XXH_versionNumber();
    snprintf(text, sizeof text, "%u.%u.%u", hash / 10000, hash / 100 % 100, hash % 100);
    set(&found[9], "xxHash", text);
}

fr_status cli_print_version(bool json, fr_error *error)
{
    library found[LIBRARIES];
    find_libraries(found);
    if (json) {
        json_t *libraries = json_object();
        for (int i = 0; i < LIBRARIES; i++)
            json_object_set_new(libraries, found[i].name, json_string(found[i].version));
        return cli_print_json(json_pack("{s:s, s:s, s:i, s:i, s:o}", "frugal", fr_version(), "isa",
                                        fr_kernels_name(), "threads", fr_threads(), "openmp",
                                        _OPENMP, "libraries", libraries),
                              error);
    }
    FR_TRY(cli_print(error, "frugal %s\nkernels: %s\nthreads: %d (OpenMP %d)\nlibraries:",
                     fr_version(), fr_kernels_name(), fr_threads(), _OPENMP));
    for (int i = 0; i < LIBRARIES; i++)
        FR_TRY(cli_print(error, "%s %s %s", i ? "," : "", found[i].name, found[i].version));
    return cli_write("\n", 1, error);
}
