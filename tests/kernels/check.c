/* check.c: the program: which levels, which checks, how often; buffers, comparison and clock. See check.h.
   check_kernels [--time] [NAME...]: names pick groups and levels. */
#include "check.h"

enum { GUARD = 32, BUFFERS = 16384, RUNS = 64 };
static const uint32_t guard_bits = 0x7FC0BEEF;

static struct buffer {
    uint32_t *memory;
    int64_t count;
} buffers[BUFFERS];
static int buffer_count;
static void *doubles[BUFFERS];
static int doubles_count;
static uint64_t draw, hash;
static int failures, comparisons;
static const char *level = "", *group = "";

/* ---- buffers ---- */

static void *guarded(int64_t count)
{
    uint32_t *memory = malloc(sizeof(uint32_t) * (size_t)(count + 2 * GUARD));
    if (!memory || buffer_count == BUFFERS)
        abort();
    for (int64_t i = 0; i < count + 2 * GUARD; i++)
        memory[i] = guard_bits;
    buffers[buffer_count++] = (struct buffer){memory, count};
    return memory + GUARD;
}

/* A linear congruential generator (Knuth's MMIX): its high bits do for drawing test data, and it is fast. */
static uint64_t next_draw(void)
{
    draw = draw * 6364136223846793005U + 1442695040888963407U;
    return draw;
}

/* The sum of four uniform numbers, scaled to variance 1: near enough to N(0, 1). */
static float nearly_normal(void)
{
    uint64_t a = next_draw() >> 32, b = next_draw() >> 32;
    double sum = (double)((a & 0xFFFF) + (a >> 16) + (b & 0xFFFF) + (b >> 16)) / 65536.0;
    return (float)((sum - 2.0) * 1.7320508);
}

float *check_constant(int64_t count, float value)
{
    float *x = guarded(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = value;
    return x;
}

float *check_floats(int64_t count)
{
    float *x = guarded(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = nearly_normal();
    return x;
}

float *check_copy(const float *from, int64_t count)
{
    return memcpy(guarded(count), from, sizeof(float) * (size_t)count);
}

int32_t *check_integers(int64_t count, int32_t low, int32_t high)
{
    int32_t *x = guarded(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = low + (int32_t)(((next_draw() >> 32) * (uint64_t)(high - low)) >> 32);
    return x;
}

double *check_doubles(int64_t count)
{
    double *x = calloc((size_t)(count > 0 ? count : 1), sizeof(double));
    if (!x || doubles_count == BUFFERS)
        abort();
    doubles[doubles_count++] = x;
    return x;
}

static void fail(const char *what, const char *why)
{
    failures++;
    if (failures <= 40)
        fprintf(stderr, "%s %s: %s: %s\n", level, group, what, why);
}

static void release_buffers(void)
{
    for (int b = 0; b < buffer_count; b++) {
        struct buffer *here = &buffers[b];
        for (int64_t i = 0; i < GUARD; i++)
            if (here->memory[i] != guard_bits ||
                here->memory[GUARD + here->count + i] != guard_bits) {
                fail("guard", "written outside a buffer");
                break;
            }
        free(here->memory);
    }
    for (int b = 0; b < doubles_count; b++)
        free(doubles[b]);
    buffer_count = doubles_count = 0;
}

/* ---- comparison ---- */

static void remember(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001B3ULL;
}

void check_close(const char *what, const float *got, const double *wanted, int64_t count,
                 double tolerance)
{
    double squares = 0.0;
    int64_t finite = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(wanted[i])) {
            squares += wanted[i] * wanted[i];
            finite++;
        }
    double scale = fmax(finite ? sqrt(squares / (double)finite) : 0.0, 1e-6);
    comparisons++;
    remember(got, sizeof(float) * (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        bool same = isfinite(wanted[i])
                        ? fabs((double)got[i] - wanted[i]) <= tolerance * (scale + fabs(wanted[i]))
                        : (double)got[i] == wanted[i];
        if (!same) {
            char why[160];
            snprintf(why, sizeof why, "element %lld of %lld is %.9g, expected %.9g (scale %.3g)",
                     (long long)i, (long long)count, (double)got[i], wanted[i], scale);
            fail(what, why);
            return;
        }
    }
}

void check_true(const char *what, bool condition)
{
    comparisons++;
    if (!condition)
        fail(what, "does not hold");
}

/* ---- clock ---- */

static bool timing;
static struct {
    const char *what;
    double flops, bytes, times[2][RUNS], started, phase_end;
    int runs[2], phase;
    bool running;
} timer;

/* With one thread the CPU's time, which other work on the machine hardly disturbs; else the wall's. */
static double now(void)
{
    return fr_threads() == 1 ? fr_cpu_seconds() : fr_seconds();
}

bool check_timing(void)
{
    return timing;
}

void check_time_begin(const char *what, double flops, double bytes)
{
    memset(&timer, 0, sizeof timer);
    timer.what = what;
    timer.flops = flops;
    timer.bytes = bytes;
}

/* Phase 0 runs the kernel, phase 1 its twin, each for a tenth of a second and at least twice. */
bool check_time_more(void)
{
    double at = now();
    int *runs = &timer.runs[timer.phase];
    if (timer.running)
        timer.times[timer.phase][(*runs)++] = at - timer.started;
    else
        timer.phase_end = at + 0.1;
    timer.running = *runs < 2 || (*runs < RUNS && at < timer.phase_end);
    if (!timer.running)
        timer.phase++;
    timer.started = now();
    return timer.running;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

void check_time_end(void)
{
    for (int phase = 0; phase < 2; phase++)
        qsort(timer.times[phase] + 1, (size_t)timer.runs[phase] - 1, sizeof(double), ascending);
    /* The first run of each warms the caches and is left out. */
    double *fast = timer.times[0] + 1, *slow = timer.times[1] + 1;
    int runs = timer.runs[0] - 1;
    printf("%-8s %-44s %9.1f us (median %.1f, worst %.1f)", level, timer.what, 1e6 * fast[0],
           1e6 * fast[runs / 2], 1e6 * fast[runs - 1]);
    if (timer.flops > 0.0)
        printf("  %7.1f GFLOP/s", 1e-9 * timer.flops / fast[0]);
    if (timer.bytes > 0.0)
        printf("  %6.1f GB/s", 1e-9 * timer.bytes / fast[0]);
    printf("  naive x%.1f\n", slow[0] / fast[0]);
    fflush(stdout);
}

/* ---- the program ---- */

static const struct {
    const char *name;
    void (*run)(const fr_kernels *kernels);
    bool per_level;
} groups[] = {
    {"elementwise", check_elementwise, true},
    {"activation", check_activation, true},
    {"reduce", check_reduce, true},
    {"norm", check_norm, true},
    {"softmax", check_softmax, true},
    {"rows", check_rows, true},
    {"rope", check_rope, true},
    {"attention", check_attention, true},
    {"stored", check_stored, true},
    {"optimizer", check_optimizer, true},
    {"matvec", check_matvec, true},
    {"gemm", check_gemm, false},
};

static void run_group(int g, const fr_kernels *kernels)
{
    group = groups[g].name;
    level = groups[g].per_level ? kernels->name : "gemm";
    if (timing) {
        groups[g].run(kernels);
        release_buffers();
        return;
    }
    uint64_t first = 0;
    int most = kernels == fr_kernels_get() ? 3 : 2;
    for (int threads = 1; threads <= most; threads++) {
        fr_threads_set(threads);
        draw = 1;
        hash = 0xCBF29CE484222325ULL;
        groups[g].run(kernels);
        release_buffers();
        if (threads == 1)
            first = hash;
        else if (hash != first)
            fail("threads", "other bits than with one thread");
    }
}

/* Nothing of the kind (groups, or levels) was named, or this one was. */
static bool wanted(const char *name, const char *const *kind, int count, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++)
        for (int n = 0; n < count; n++)
            if (strcmp(argv[i], kind[n]) == 0) {
                any = true;
                if (strcmp(argv[i], name) == 0)
                    return true;
            }
    return !any;
}

int main(int argc, char **argv)
{
    enum { GROUPS = sizeof groups / sizeof *groups, LEVELS = 4 };
    static const char *const levels[LEVELS] = {"baseline", "v2", "v3", "v4"};
    const char *names[GROUPS];
    for (int g = 0; g < GROUPS; g++)
        names[g] = groups[g].name;
    for (int i = 1; i < argc; i++)
        timing = timing || strcmp(argv[i], "--time") == 0;
    for (int g = 0; g < GROUPS; g++)
        for (int n = 0; n < LEVELS; n++) {
            const fr_kernels *kernels = fr_kernels_named(levels[n]);
            if (kernels && (groups[g].per_level || kernels == fr_kernels_get()) &&
                wanted(names[g], names, GROUPS, argc, argv) &&
                (wanted(levels[n], levels, LEVELS, argc, argv) || !groups[g].per_level))
                run_group(g, kernels);
        }
    fr_kernels_workspace_free();
    if (!timing)
        printf("%d comparisons, %d failures\n", comparisons, failures);
    return failures > 0 || (!timing && comparisons == 0);
}
