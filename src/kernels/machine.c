/* machine.c: a short measurement of what this machine can do, for plans ("how long will it take") and for the share of the
   peak that training reports. It runs the same code as training: fr_gemm and the chosen kernels. */
#include "frugal/machine.h"

#include "kernels/gemm.h"
#include "kernels/kernels.h"

#include <omp.h>

/* A feed-forward layer of a model of about 30 million parameters on 2048 tokens. */
enum { ROWS = 2048, INNER = 512, COLUMNS = 1536 };
/* Two arrays of 64 MiB: larger than the caches of most machines, small enough for all. */
enum { STREAM = 1 << 24 };
enum { PEAK_ROUNDS = 1 << 18 };

/* Runs of `work` until `seconds` are over, at least three; returns the shortest. */
static double shortest(void (*work)(float *a, float *b, float *c), float *a, float *b, float *c,
                       double seconds)
{
    double best = 1e30, end = fr_seconds() + seconds;
    for (int runs = 0; runs < 3 || fr_seconds() < end; runs++) {
        double start = fr_seconds();
        work(a, b, c);
        double took = fr_seconds() - start;
        best = took < best ? took : best;
    }
    return best > 0.0 ? best : 1e-9;
}

static void multiply(float *a, float *b, float *c)
{
    fr_gemm(false, true, ROWS, COLUMNS, INNER, 1.0F, a, INNER, b, INNER, 0.0F, c, COLUMNS);
}

/* Every thread runs the same loop; c receives one number each (threads are far fewer than its elements). */
static void peak(float *a, float *b, float *c)
{
    (void)a;
    (void)b;
#pragma omp parallel num_threads(fr_threads())
    fr_kernels_get()->multiply_add_loop(PEAK_ROUNDS, c + 64 * omp_get_thread_num());
}

static void stream(float *a, float *b, float *c)
{
    (void)c;
    fr_kernels_get()->copy(b, a, STREAM);
}

fr_status fr_machine_measure(double seconds, fr_machine *machine, fr_error *error)
{
    float *a = fr_alloc_array(STREAM, sizeof(float), FR_MEMORY_OTHER);
    float *b = fr_alloc_array(STREAM, sizeof(float), FR_MEMORY_OTHER);
    float *c = fr_alloc_array((size_t)ROWS * COLUMNS, sizeof(float), FR_MEMORY_OTHER);
    if (a && b && c) {
        *machine = (fr_machine){.threads = fr_threads(), .isa = fr_kernels_name()};
        fr_kernels_get()->fill(a, 1.0F, STREAM);
        fr_kernels_get()->fill(b, 0.5F, STREAM);
        float sink;
        double operations = fr_kernels_get()->multiply_add_loop(PEAK_ROUNDS, &sink);
        machine->peak_flops =
            operations * machine->threads / shortest(peak, a, b, c, 0.1 * seconds);
        machine->gemm_flops =
            2.0 * ROWS * COLUMNS * INNER / shortest(multiply, a, b, c, 0.6 * seconds);
        machine->stream_bytes =
            2.0 * sizeof(float) * STREAM / shortest(stream, a, b, c, 0.2 * seconds);
    }
    bool enough = a && b && c;
    fr_free(a);
    fr_free(b);
    fr_free(c);
    return enough ? FR_OK
                  : fr_fail(error, FR_NO_MEMORY, "no memory to measure this machine (134 MiB)");
}
