/* peak.c: as many multiply-adds as the CPU can do, from registers alone: the roof that all rates are compared with. */
#include "kernels/vector.h"

enum {
    CHAINS = 12
}; /* independent sums: more than latency x units asks for, fewer than registers */

static double multiply_add_loop(int64_t rounds, float *sink)
{
    vector sums[CHAINS], factor, step;
    for (int lane = 0; lane < LANES; lane++) {
        factor[lane] = 0.999F;
        step[lane] = 0.001F;
    }
    for (int c = 0; c < CHAINS; c++)
        sums[c] = step * (float)c;
    for (int64_t round = 0; round < rounds; round++)
        for (int c = 0; c < CHAINS; c++)
            sums[c] = sums[c] * factor + step;
    for (int c = 1; c < CHAINS; c++)
        sums[0] += sums[c];
    *sink = sums[0][0];
    return 2.0 * CHAINS * LANES * (double)rounds;
}

void FR_LEVEL(fr_kernels_peak)(fr_kernels *table)
{
    table->multiply_add_loop = multiply_add_loop;
}
