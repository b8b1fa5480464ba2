/* system.c: threads, clocks, interruption, and where log messages go. */
#include "base/limits.h"
#include "frugal/options.h"

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

void fr_threads_set(int count)
{
    thread_count = count < 1 ? 1 : count > 1024 ? 1024 : count;
}

int fr_threads(void)
{
    if (thread_count == 0) {
        const char *wanted = getenv("FRUGAL_THREADS");
        int64_t count = 0;
        bool given =
            wanted && fr_parse_count(wanted, &count, NULL) == FR_OK && count >= 1 && count <= 1024;
        fr_threads_set(given ? (int)count : fr_usable_cpus());
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

double fr_energy_joules(void)
{
    enum { PACKAGES = 8 };
    double joules = 0;
    for (int package = 0; package < PACKAGES; package++) {
        char path[64];
        unsigned long long microjoules = 0;
        snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/energy_uj", package);
        FILE *file = fopen(path, "re");
        if (!file)
            break;
        if (fscanf(file, "%llu", &microjoules) == 1)
            joules += 1e-6 * (double)microjoules;
        fclose(file);
    }
    return joules;
}

/* ---- memory of the process ---- */

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
