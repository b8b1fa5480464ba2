/* limits.c: how much of the machine this process may use: memory and CPUs, less what control groups and limits take away.

   A container or a batch system rarely shrinks what the kernel shows as the machine; it limits the group. The limits of both
   versions of control groups are read for this process's group and every group above it (those above the container's root are
   out of sight and missing, which is fine). Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/. */
#include "base/limits.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What one group says; 0: no limit. */
typedef struct group_limits {
    double memory, cpus;
} group_limits;

/* The number, or the first two, in a file; how many there were ("max" is none). */
static int read_numbers(const char *folder, const char *name, double numbers[2])
{
    char path[1024];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int count = fscanf(file, "%lf %lf", &numbers[0], &numbers[1]);
    fclose(file);
    return count > 0 ? count : 0;
}

static void lower(double *limit, double value)
{
    if (value > 0 && (*limit == 0 || value < *limit))
        *limit = value;
}

static void read_group(const char *folder, group_limits *limits)
{
    double numbers[2], period[2];
    if (read_numbers(folder, "memory.max", numbers) ||
        read_numbers(folder, "memory.limit_in_bytes", numbers))
        lower(&limits->memory, numbers[0]);
    if (read_numbers(folder, "cpu.max", numbers) == 2 && numbers[1] > 0)
        lower(&limits->cpus, numbers[0] / numbers[1]);
    if (read_numbers(folder, "cpu.cfs_quota_us", numbers) &&
        read_numbers(folder, "cpu.cfs_period_us", period) && period[0] > 0)
        lower(&limits->cpus, numbers[0] / period[0]);
}

/* A group and all above it: `base` is where its hierarchy is mounted. */
static void read_groups(const char *base, char *path, group_limits *limits)
{
    char folder[1024];
    for (;;) {
        if (snprintf(folder, sizeof folder, "%s%s", base, path) < (int)sizeof folder)
            read_group(folder, limits);
        char *slash = strrchr(path, '/');
        if (!slash || !*path)
            return;
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup: "NUMBER:CONTROLLERS:PATH"; no controllers in version 2. */
static group_limits read_limits(void)
{
    group_limits limits = {0};
    FILE *file = fopen("/proc/self/cgroup", "re");
    char text[1024], base[256];
    while (file && fgets(text, sizeof text, file)) {
        text[strcspn(text, "\n")] = 0;
        char *controllers = strchr(text, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        controllers++;
        *path++ = 0;
        bool wanted = strstr(controllers, "memory") || strcmp(controllers, "cpu") == 0 ||
                      strncmp(controllers, "cpu,", 4) == 0;
        if (*controllers && !wanted)
            continue;
        snprintf(base, sizeof base, "/sys/fs/cgroup%s%.200s", *controllers ? "/" : "", controllers);
        read_groups(base, path, &limits);
    }
    if (file)
        fclose(file);
    return limits;
}

size_t fr_physical_memory(void)
{
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    struct rlimit limit;
    lower(&bytes, read_limits().memory);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        lower(&bytes, (double)limit.rlim_cur);
    return (size_t)bytes;
}

/* CPUs of the affinity mask; machines with more than 1024 need a larger mask than the usual one. */
static int cpus_of_mask(void)
{
    for (int most = CPU_SETSIZE; most <= 1 << 16; most *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)most);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE((size_t)most);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count)
            return count;
    }
    return 1;
}

int fr_usable_cpus(void)
{
    int cpus = cpus_of_mask();
    double quota = read_limits().cpus;
    /* A share of a CPU is worth a thread of its own: two threads in 1.5 CPUs do more than one. */
    if (quota > 0 && quota < cpus)
        cpus = (int)quota + (quota > (int)quota);
    return cpus;
}
