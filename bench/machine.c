/* machine.c: what this machine can do: the peak of multiply-adds, products of matrices by shape of training, memory. Each rate
   is the best of several runs. Prints one line each; the last column is the share of the peak. */
#include "frugal/machine.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"

#include <stdio.h>

static void product(const fr_machine *machine, const char *what, bool ta, bool tb, int64_t m,
                    int64_t n, int64_t k)
{
    float *a = fr_alloc_array((size_t)(m * k), sizeof(float), FR_MEMORY_OTHER);
    float *b = fr_alloc_array((size_t)(k * n), sizeof(float), FR_MEMORY_OTHER);
    float *c = fr_alloc_array((size_t)(m * n), sizeof(float), FR_MEMORY_OTHER);
    double best = 1e30;
    if (!a || !b || !c)
        fprintf(stderr, "no memory for %s\n", what);
    for (int run = 0; a && b && c && run < 8; run++) {
        double start = fr_seconds();
        fr_gemm(ta, tb, m, n, k, 1.0F, a, ta ? m : k, b, tb ? k : n, 0.0F, c, n);
        double took = fr_seconds() - start;
        best = took < best ? took : best;
    }
    double rate = 2.0 * (double)m * (double)n * (double)k / best;
    printf("%-8s %6lld x %5lld x %5lld  %8.1f GFLOP/s  %3.0f %%\n", what, (long long)m,
           (long long)n, (long long)k, 1e-9 * rate, 100.0 * rate / machine->peak_flops);
    fr_free(a);
    fr_free(b);
    fr_free(c);
}

int main(void)
{
    fr_machine machine;
    fr_error error;
    if (fr_machine_measure(1.0, &machine, &error) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        return fr_exit_code(error.status);
    }
    printf("%d threads, kernels %s\n", machine.threads, machine.isa);
    printf("multiply-add peak             %8.1f GFLOP/s\n", 1e-9 * machine.peak_flops);
    printf("memory, copy                  %8.1f GB/s\n", 1e-9 * machine.stream_bytes);
    printf("product of training           %8.1f GFLOP/s\n", 1e-9 * machine.gemm_flops);
    static const struct {
        const char *what;
        bool ta, tb;
        int64_t m, n, k;
    } shapes[] = {
        {"x W^T", false, true, 2048, 512, 512},  {"x W^T", false, true, 2048, 1536, 512},
        {"x W^T", false, true, 2048, 512, 1536}, {"x W^T", false, true, 8192, 2048, 768},
        {"x W^T", false, true, 512, 8192, 512},  {"dy W", false, false, 2048, 512, 512},
        {"dy W", false, false, 2048, 512, 1536}, {"dy W", false, false, 512, 512, 8192},
        {"dy^T x", true, false, 512, 512, 2048}, {"dy^T x", true, false, 1536, 512, 2048},
        {"dy^T x", true, false, 256, 256, 8192}, {"dy^T x", true, false, 8192, 512, 512},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        product(&machine, shapes[s].what, shapes[s].ta, shapes[s].tb, shapes[s].m, shapes[s].n,
                shapes[s].k);
    return 0;
}
