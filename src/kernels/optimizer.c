/* optimizer.c: the update of parameters, in place, one pass over memory. */
#include "kernels/isa.h"

static void adamw(float *w, float *m, float *v, const float *gradient, int64_t count,
                  const fr_adamw_step *step)
{
    const float beta1 = step->beta1, beta2 = step->beta2, rest1 = 1.0F - beta1,
                rest2 = 1.0F - beta2;
    const float keep = 1.0F - step->rate * step->weight_decay,
                rate = step->rate / step->correction1;
    const float root = 1.0F / sqrtf(step->correction2), eps = step->eps,
                scale = step->gradient_scale;
    PARALLEL_FOR(begin, count, CHUNK, count)
    {
        int64_t end = smaller(begin + CHUNK, count);
        SIMD for (int64_t i = begin; i < end; i++)
        {
            float g = gradient[i] * scale;
            float first = beta1 * m[i] + rest1 * g;
            float second = beta2 * v[i] + rest2 * g * g;
            m[i] = first;
            v[i] = second;
            w[i] = keep * w[i] - rate * first / (sqrtf(second) * root + eps);
        }
    }
}

static void sgd(float *w, float *buffer, const float *gradient, int64_t count,
                const fr_sgd_step *step)
{
    const float rate = step->rate, momentum = step->momentum, decay = step->weight_decay,
                scale = step->gradient_scale;
    /* w -= rate * (direct * g + through * buffer) */
    const float direct = step->nesterov ? 1.0F : 0.0F, through = step->nesterov ? momentum : 1.0F;
    PARALLEL_FOR(begin, count, CHUNK, count)
    {
        int64_t end = smaller(begin + CHUNK, count);
        if (!buffer) {
            SIMD for (int64_t i = begin; i < end; i++) w[i] -=
                rate * (gradient[i] * scale + decay * w[i]);
            continue;
        }
        SIMD for (int64_t i = begin; i < end; i++)
        {
            float g = gradient[i] * scale + decay * w[i];
            float moved = momentum * buffer[i] + g;
            buffer[i] = moved;
            w[i] -= rate * (direct * g + through * moved);
        }
    }
}

void FR_LEVEL(fr_kernels_optimizer)(fr_kernels *table)
{
    table->adamw = adamw;
    table->sgd = sgd;
}
