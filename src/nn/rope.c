/* rope.c: tables of the rotary position embedding (arXiv 2104.09864): pair i of a head's D numbers
   turns by position * theta^(-2i/D).

   Models that were stretched to longer contexts slow the turning down: `linear` all frequencies by
   a factor (arXiv 2306.15595), `llama3` only those whose wave is long against the original context,
   with a ramp between (the Llama 3.1 model's own rule; transformers' modeling_rope_utils.py writes
   it down). */
#include "nn/nn.h"

#include <math.h>

const char *const fr_rope_type_names[] = {"default", "linear", "llama3", NULL};

/* Llama 3's rule for one frequency. In f32, step by step as the models were trained: at position
   10^5 one last bit of a frequency is a hundredth of a radian. */
static float slow_down(float frequency, const fr_rope_options *o)
{
    float context = (float)o->original_context, factor = (float)o->factor;
    float low = (float)o->low_frequency, high = (float)o->high_frequency;
    float wave = (float)(2 * M_PI) / frequency;
    if (wave > context / low)
        return frequency / factor;
    if (wave < context / high)
        return frequency;
    float smooth = (context / wave - low) / (high - low);
    return (1 - smooth) * (frequency / factor) + smooth * frequency;
}

fr_tensor *fr_rope_frequencies(int64_t head_dim, const fr_rope_options *options)
{
    int64_t half = head_dim / 2;
    fr_tensor *table = fr_tensor_create(FR_F32, 1, &half, FR_MEMORY_WEIGHTS);
    if (!table)
        return NULL;
    float *frequencies = fr_tensor_host(table);
    for (int64_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)head_dim;
        frequencies[i] = 1.0f / powf((float)options->theta, exponent);
        if (options->type == FR_ROPE_LINEAR)
            frequencies[i] /= (float)options->factor;
        if (options->type == FR_ROPE_LLAMA3)
            frequencies[i] = slow_down(frequencies[i], options);
    }
    return table;
}
