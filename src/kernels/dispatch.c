/* dispatch.c: which table of kernels this CPU gets, and the workspace that kernels share. */
#include "kernels/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void fr_kernels_fill_baseline(fr_kernels *table);
void fr_kernels_fill_v2(fr_kernels *table);
void fr_kernels_fill_v3(fr_kernels *table);
void fr_kernels_fill_v4(fr_kernels *table);

static bool always(void)
{
    return true;
}

#ifdef FR_HAVE_X86_LEVELS
/* The features that the levels of the x86-64 psABI name and that the compiler may use. */
static bool has_v2(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt") &&
           __builtin_cpu_supports("ssse3");
}

static bool has_v3(void)
{
    return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

/* Best first. */
static const struct level {
    const char *name;
    bool (*runs)(void);
    void (*fill)(fr_kernels *table);
} levels[] = {
#ifdef FR_HAVE_X86_LEVELS
    {"v4", has_v4, fr_kernels_fill_v4},
    {"v3", has_v3, fr_kernels_fill_v3},
    {"v2", has_v2, fr_kernels_fill_v2},
#endif
    {"baseline", always, fr_kernels_fill_baseline},
};
enum { LEVELS = sizeof levels / sizeof *levels };

static fr_kernels tables[LEVELS];
static const fr_kernels *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
#ifdef FR_HAVE_X86_LEVELS
    __builtin_cpu_init();
#endif
    for (int i = LEVELS - 1; i >= 0; i--)
        if (levels[i].runs()) {
            levels[i].fill(&tables[i]);
            chosen = &tables[i];
        }
    const char *wanted = getenv("FRUGAL_ISA");
    if (!wanted || !*wanted)
        return;
    for (int i = 0; i < LEVELS; i++)
        if (strcmp(levels[i].name, wanted) == 0 && tables[i].name) {
            chosen = &tables[i];
            return;
        }
    fr_log(FR_LOG_WARNING, "FRUGAL_ISA=%s: this CPU or build does not have it; using %s", wanted,
           chosen->name);
}

const fr_kernels *fr_kernels_get(void)
{
    pthread_once(&once, choose);
    return chosen;
}

const char *fr_kernels_name(void)
{
    return fr_kernels_get()->name;
}

const fr_kernels *fr_kernels_named(const char *name)
{
    pthread_once(&once, choose);
    for (int i = 0; i < LEVELS; i++)
        if (strcmp(levels[i].name, name) == 0 && tables[i].name)
            return &tables[i];
    return NULL;
}

/* ---- workspace ---- */

static void *workspace;
static size_t workspace_size;
static _Atomic bool out_of_memory;

void *fr_kernels_workspace(size_t bytes)
{
    if (bytes > workspace_size) {
        fr_kernels_workspace_free();
        workspace = fr_alloc(bytes, FR_MEMORY_OTHER);
        if (!workspace) {
            out_of_memory = true;
            return NULL;
        }
        workspace_size = bytes;
    }
    return workspace;
}

void fr_kernels_workspace_free(void)
{
    fr_free(workspace);
    workspace = NULL;
    workspace_size = 0;
}

bool fr_kernels_out_of_memory(void)
{
    return atomic_exchange(&out_of_memory, false);
}
