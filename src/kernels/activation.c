/* activation.c: the nonlinear functions of feed-forward layers, forward and backward. Backward recomputes from x: a few
   operations are cheaper than another array in memory. */
#include "kernels/isa.h"

static inline float gelu(float x)
{
    return x * fast_normal(x);
}

/* Phi(x) + x phi(x) */
static inline float gelu_slope(float x)
{
    return fast_normal(x) + x * 0.39894228040143268F * fast_exp(-0.5F * x * x);
}

/* (1 + tanh(u)) / 2 is the sigmoid of 2 u, which does not cancel for negative u. */
static inline float gelu_tanh(float x)
{
    return x * fast_sigmoid(1.59576912160573072F * (x + 0.044715F * x * x * x));
}

/* s + x s (1 - s) v', with s and s (1 - s) from exp(-|v|), so that neither cancels. */
static inline float gelu_tanh_slope(float x)
{
    float v = 1.59576912160573072F * (x + 0.044715F * x * x * x);
    float e = fast_exp(-fabsf(v)), inverse = 1.0F / (1.0F + e);
    float s = v >= 0.0F ? inverse : e * inverse;
    return s + x * e * inverse * inverse * 1.59576912160573072F * (1.0F + 0.134145F * x * x);
}

static inline float silu(float x)
{
    return x * fast_sigmoid(x);
}

static inline float silu_slope(float x)
{
    float s = fast_sigmoid(x);
    return s * (1.0F + x * (1.0F - s));
}

static inline float relu(float x)
{
    return x > 0.0F ? x : x != x ? x : 0.0F;
}

static inline float relu_slope(float x)
{
    return x > 0.0F ? 1.0F : 0.0F;
}

static inline float tanh_slope(float x)
{
    float t = fast_tanh(x);
    return 1.0F - t * t;
}

/* The sigmoid's slope is steepened to come close to GELU (arXiv 1606.08415, section 2). */
static inline float quick_gelu(float x)
{
    return x * fast_sigmoid(1.702F * x);
}

static inline float quick_gelu_slope(float x)
{
    float s = fast_sigmoid(1.702F * x);
    return s * (1.0F + 1.702F * x * (1.0F - s));
}

/* Activations are heavy: a parallel region pays from fewer numbers on. */
enum { WEIGHT = 4 };

#define FORWARD(function)                                                                          \
    PARALLEL_FOR(begin, count, CHUNK, WEIGHT *count)                                               \
    {                                                                                              \
        int64_t end = smaller(begin + CHUNK, count);                                               \
        SIMD for (int64_t i = begin; i < end; i++) y[i] = function(x[i]);                          \
    }

#define BACKWARD(slope)                                                                            \
    PARALLEL_FOR(begin, count, CHUNK, WEIGHT *count)                                               \
    {                                                                                              \
        int64_t end = smaller(begin + CHUNK, count);                                               \
        if (accumulate) {                                                                          \
            SIMD for (int64_t i = begin; i < end; i++) dx[i] += dy[i] * slope(x[i]);               \
        } else {                                                                                   \
            SIMD for (int64_t i = begin; i < end; i++) dx[i] = dy[i] * slope(x[i]);                \
        }                                                                                          \
    }

static void activation_forward(fr_activation kind, float *y, const float *x, int64_t count)
{
    switch (kind) {
    case FR_ACTIVATION_GELU:
        FORWARD(gelu)
        break;
    case FR_ACTIVATION_GELU_TANH:
        FORWARD(gelu_tanh)
        break;
    case FR_ACTIVATION_SILU:
        FORWARD(silu)
        break;
    case FR_ACTIVATION_RELU:
        FORWARD(relu)
        break;
    case FR_ACTIVATION_TANH:
        FORWARD(fast_tanh)
        break;
    case FR_ACTIVATION_QUICK_GELU:
        FORWARD(quick_gelu)
        break;
    case FR_ACTIVATION_EXP:
        FORWARD(fast_exp)
        break;
    case FR_ACTIVATIONS:
        break;
    }
}

static void activation_backward(fr_activation kind, float *dx, const float *dy, const float *x,
                                int64_t count, bool accumulate)
{
    switch (kind) {
    case FR_ACTIVATION_GELU:
        BACKWARD(gelu_slope)
        break;
    case FR_ACTIVATION_GELU_TANH:
        BACKWARD(gelu_tanh_slope)
        break;
    case FR_ACTIVATION_SILU:
        BACKWARD(silu_slope)
        break;
    case FR_ACTIVATION_RELU:
        BACKWARD(relu_slope)
        break;
    case FR_ACTIVATION_TANH:
        BACKWARD(tanh_slope)
        break;
    case FR_ACTIVATION_QUICK_GELU:
        BACKWARD(quick_gelu_slope)
        break;
    case FR_ACTIVATION_EXP:
        BACKWARD(fast_exp)
        break;
    case FR_ACTIVATIONS:
        break;
    }
}

static void swiglu_forward(float *y, const float *gate, const float *up, int64_t count)
{
    PARALLEL_FOR(begin, count, CHUNK, WEIGHT * count)
    {
        int64_t end = smaller(begin + CHUNK, count);
        SIMD for (int64_t i = begin; i < end; i++) y[i] = silu(gate[i]) * up[i];
    }
}

/* d gate = dy up silu'(gate), d up = dy silu(gate) */
static void swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate,
                            const float *up, int64_t count, bool accumulate_gate,
                            bool accumulate_up)
{
    PARALLEL_FOR(begin, count, CHUNK, WEIGHT * count)
    {
        int64_t end = smaller(begin + CHUNK, count);
        if (dgate && dup && !accumulate_gate && !accumulate_up) {
            SIMD for (int64_t i = begin; i < end; i++)
            {
                float s = fast_sigmoid(gate[i]);
                float d = dy[i] * s;
                dup[i] = d * gate[i];
                dgate[i] = d * up[i] * (1.0F + gate[i] * (1.0F - s));
            }
            continue;
        }
        float keep_gate = accumulate_gate ? 1.0F : 0.0F, keep_up = accumulate_up ? 1.0F : 0.0F;
        if (dgate)
            SIMD for (int64_t i = begin; i < end; i++) dgate[i] =
                (keep_gate != 0.0F ? dgate[i] : 0.0F) + dy[i] * up[i] * silu_slope(gate[i]);
        if (dup)
            SIMD for (int64_t i = begin; i < end; i++) dup[i] =
                (keep_up != 0.0F ? dup[i] : 0.0F) + dy[i] * silu(gate[i]);
    }
}

void FR_LEVEL(fr_kernels_activation)(fr_kernels *table)
{
    table->activation_forward = activation_forward;
    table->activation_backward = activation_backward;
    table->swiglu_forward = swiglu_forward;
    table->swiglu_backward = swiglu_backward;
}
