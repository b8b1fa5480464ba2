/* rope.c: tables of the rotary position embedding (arXiv 2104.09864): pair i of a head's D numbers
   turns by position * theta^(-2i/D). */
#include "nn/nn.h"

#include <math.h>

fr_tensor *fr_rope_frequencies(int64_t head_dim, double theta)
{
    int64_t half = head_dim / 2;
    fr_tensor *table = fr_tensor_create(FR_F32, 1, &half, FR_MEMORY_WEIGHTS);
    if (!table)
        return NULL;
    /* In f32, step by step as the models were trained: at position 10^5 one last bit of a
       frequency is a hundredth of a radian. */
    float *frequencies = fr_tensor_host(table);
    for (int64_t i = 0; i < half; i++)
        frequencies[i] = 1.0f / powf((float)theta, (float)(2 * i) / (float)head_dim);
    return table;
}
