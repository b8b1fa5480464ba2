/* muon.c: momentum, orthogonalised: the update of a matrix is its momentum with all singular values moved close to 1.

   Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024; the scale `rms`, which lets it share AdamW's
   rates, and decoupled decay are from Liu et al., arXiv 2502.16982, section 2.2.

       M = momentum * M + G;   U = G + momentum * M (Nesterov), or M
       X = U / |U|;  5 times:  X = a X + (b A + c A A) X,  A = X X^T         (Newton-Schulz, odd quintic)
       W = (1 - rate * decay) W - rate * scale * X

   a, b, c trade exactness for slope at zero: singular values end in about [0.7, 1.2]. For a tall matrix (R > S) the
   Gram matrix is X^T X and multiplies from the right, so that products are always of the smaller side. Arithmetic is f32.

   Only hidden matrices are taken; embeddings, the output matrix, norms and biases go to an AdamW beside it. */
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "optim/optim.h"

#include <math.h>

typedef struct muon_options {
    fr_optimizer_common common;
    double momentum;
    bool nesterov;
    int64_t iterations;
    int scale;
    double adamw_lr, adamw_beta1, adamw_beta2, adamw_eps;
} muon_options;

enum { SCALE_RMS, SCALE_ORIGINAL };
static const char *const scales[] = {"rms", "original", NULL};

static void defaults(void *options)
{
    *(muon_options *)options = (muon_options){.common = {.lr = 1e-3, .weight_decay = 0.1},
                                              .momentum = 0.95,
                                              .nesterov = true,
                                              .iterations = 5,
                                              .scale = SCALE_RMS,
                                              .adamw_lr = 0,
                                              .adamw_beta1 = 0.9,
                                              .adamw_beta2 = 0.95,
                                              .adamw_eps = 1e-8};
}

static const fr_option options[] = {
    FR_OPTIMIZER_COMMON_OPTIONS(muon_options),
    {"momentum", FR_OPTION_FLOAT, offsetof(muon_options, momentum), NULL, 0, 0.999999, NULL,
     "Share of the last direction that is kept."},
    {"nesterov", FR_OPTION_BOOL, offsetof(muon_options, nesterov), NULL, 0, 0, NULL,
     "Look ahead along the momentum."},
    {"iterations", FR_OPTION_INT, offsetof(muon_options, iterations), NULL, 1, 20, NULL,
     "Newton-Schulz iterations."},
    {"scale", FR_OPTION_CHOICE, offsetof(muon_options, scale), NULL, 0, 0, scales,
     "Of a matrix (R, S): rms is 0.2 sqrt(max(R, S)), an update as large as AdamW's; original is "
     "sqrt(max(1, R / S))."},
    {"adamw_lr", FR_OPTION_FLOAT, offsetof(muon_options, adamw_lr), NULL, 0, 1e3, NULL,
     "Peak learning rate of the AdamW for all other parameters; 0: the same as lr."},
    {"adamw_beta1", FR_OPTION_FLOAT, offsetof(muon_options, adamw_beta1), NULL, 0, 0.999999, NULL,
     "Its decay of the first moment."},
    {"adamw_beta2", FR_OPTION_FLOAT, offsetof(muon_options, adamw_beta2), NULL, 0, 0.999999, NULL,
     "Its decay of the second moment."},
    {"adamw_eps", FR_OPTION_FLOAT, offsetof(muon_options, adamw_eps), NULL, 1e-30, 1, NULL,
     "Added to the root of its second moment."},
};

static void fallback(const void *o, fr_adamw_options *adamw)
{
    const muon_options *m = o;
    *adamw = (fr_adamw_options){.common = {.lr = m->adamw_lr > 0 ? m->adamw_lr : m->common.lr,
                                           .weight_decay = m->common.weight_decay},
                                .beta1 = m->adamw_beta1,
                                .beta2 = m->adamw_beta2,
                                .eps = m->adamw_eps};
}

static fr_status init(fr_optimizer *optimizer, fr_optimizer_slot *slot, fr_error *error)
{
    (void)optimizer;
    return fr_optimizer_make_state(slot, 0, error);
}

typedef struct shape {
    int64_t rows, columns, smaller;
} shape;

/* Leading axes, if any, count as rows. */
static shape shape_of(const fr_parameter *parameter)
{
    const fr_tensor *value = parameter->value;
    int64_t columns = value->shape[value->rank - 1];
    int64_t rows = columns ? fr_tensor_count(value) / columns : 0;
    return (shape){rows, columns, rows < columns ? rows : columns};
}

/* Two matrices (R, S), and two of the smaller side squared. */
static size_t scratch_bytes(const void *o, const fr_parameter *parameter)
{
    (void)o;
    shape s = shape_of(parameter);
    return sizeof(float) * 2 * (size_t)(s.rows * s.columns + s.smaller * s.smaller);
}

/* x (R, S) -> close to the nearest orthogonal matrix, through `other` (R, S), gram and polynomial (smaller, smaller).
   Returns where the result is: x or other. */
static float *orthogonalise(float *x, float *other, float *gram, float *polynomial, shape s,
                            int64_t iterations)
{
    static const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    const fr_kernels *kernels = fr_kernels_get();
    int64_t count = s.rows * s.columns, n = s.smaller;
    bool tall = s.rows > s.columns;
    double norm = sqrt(kernels->sum_of_squares(x, count));
    kernels->scale(x, x, (float)(1 / (norm + 1e-7)), count);
    for (int64_t i = 0; i < iterations; i++) {
        if (tall)
            fr_gemm(true, false, n, n, s.rows, 1, x, n, x, n, 0, gram, n);
        else
            fr_gemm(false, true, n, n, s.columns, 1, x, s.columns, x, s.columns, 0, gram, n);
        kernels->copy(polynomial, gram, n * n);
        fr_gemm(false, false, n, n, n, c, gram, n, gram, n, b, polynomial, n);
        kernels->copy(other, x, count);
        if (tall)
            fr_gemm(false, false, s.rows, n, n, 1, x, n, polynomial, n, a, other, n);
        else
            fr_gemm(false, false, n, s.columns, n, 1, polynomial, n, x, s.columns, a, other,
                    s.columns);
        float *last = x;
        x = other;
        other = last;
    }
    return x;
}

static fr_status step(fr_optimizer *optimizer, fr_optimizer_slot *slots, size_t count,
                      const fr_update *update, fr_error *error)
{
    (void)error;
    const muon_options *o = optimizer->options;
    const fr_kernels *kernels = fr_kernels_get();
    for (size_t i = 0; i < count; i++) {
        fr_tensor *value = slots[i].parameter->value;
        float *w = fr_tensor_host(value), *m = fr_tensor_host(slots[i].state[0]);
        const float *g = fr_tensor_host(value->grad);
        shape s = shape_of(slots[i].parameter);
        int64_t elements = s.rows * s.columns;
        float *x = optimizer->scratch, *other = x + elements, *gram = other + elements;

        kernels->scale(m, m, (float)o->momentum, elements);
        kernels->axpy(m, g, (float)update->gradient_scale, elements);
        kernels->scale(x, m, o->nesterov ? (float)o->momentum : 1, elements);
        if (o->nesterov)
            kernels->axpy(x, g, (float)update->gradient_scale, elements);
        const float *direction =
            orthogonalise(x, other, gram, gram + s.smaller * s.smaller, s, o->iterations);

        double rows = (double)s.rows, columns = (double)s.columns;
        double scale =
            o->scale == SCALE_RMS ? 0.2 * sqrt(fmax(rows, columns)) : sqrt(fmax(1, rows / columns));
        double rate = update->lr * slots[i].lr_multiplier;
        kernels->scale(w, w, (float)(1 - rate * slots[i].weight_decay), elements);
        kernels->axpy(w, direction, (float)(-rate * scale), elements);
    }
    return FR_OK;
}

static size_t state_bytes(const void *o, const fr_parameter *parameter)
{
    (void)o;
    return fr_optimizer_one_state_bytes(parameter);
}

const fr_optimizer_kind fr_muon = {
    .base = {"muon",
             "Orthogonalised momentum for hidden matrices, AdamW for the rest.",
             "Jordan 2024; arXiv 2502.16982",
             {"optimizer.muon", options, sizeof options / sizeof *options, sizeof(muon_options),
              defaults}},
    .init = init,
    .step = step,
    .state_bytes = state_bytes,
    .scratch_bytes = scratch_bytes,
    .state_names = {"momentum"},
    .fallback = fallback,
};
