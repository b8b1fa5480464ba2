/* system.c: threads, clocks, interruption, and where log messages go. */
#include "frugal/base.h"

#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const char *fr_version(void)
{
    return FRUGAL_VERSION;
}

/* ---- threads ---- */

static _Atomic int thread_count;

static int usable_cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

void fr_threads_set(int count)
{
    thread_count = count < 1 ? 1 : count > 1024 ? 1024 : count;
}

int fr_threads(void)
{
    if (thread_count == 0) {
        const char *wanted = getenv("FRUGAL_THREADS");
        fr_threads_set(wanted && *wanted ? atoi(wanted) : usable_cpus());
    }
    return thread_count;
}

/* ---- clocks ---- */

static double clock_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double fr_seconds(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

double fr_cpu_seconds(void)
{
    return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- memory of the machine ---- */

static size_t read_limit(const char *path)
{
    FILE *file = fopen(path, "re");
    unsigned long long limit = 0;
    if (!file)
        return SIZE_MAX;
    if (fscanf(file, "%llu", &limit) != 1)
        limit = SIZE_MAX;
    fclose(file);
    return (size_t)limit;
}

size_t fr_physical_memory(void)
{
    size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                  "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (int i = 0; i < 2; i++) {
        size_t limit = read_limit(limits[i]);
        if (limit < bytes)
            bytes = limit;
    }
    return bytes;
}

size_t fr_resident_peak(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

/* ---- interruption ---- */

static volatile sig_atomic_t interrupted;

void fr_interrupt_request(void)
{
    interrupted = 1;
}

bool fr_interrupted(void)
{
    return interrupted != 0;
}

void fr_interrupt_clear(void)
{
    interrupted = 0;
}

/* ---- logging ---- */

static fr_log_function *log_function;
static void *log_context;

void fr_log_to(fr_log_function *function, void *context)
{
    log_function = function;
    log_context = context;
}

void fr_log(fr_log_level level, const char *format, ...)
{
    if (!log_function)
        return;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    log_function(log_context, level, message);
}
