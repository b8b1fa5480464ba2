/* kernels.h: the arithmetic. Plain C loops, one set of sources compiled once per instruction set, chosen at start by what the
   CPU has: x86-64-v4 (AVX-512), v3 (AVX2 + FMA), v2, and the baseline of other architectures.

   Letters: N rows, C width, B batch, T queries, S keys, H heads, D head width, V vocabulary, F feed-forward width. All arrays
   are f32 and dense (the last axis varies fastest) unless a stride is named. `out` never overlaps an input except where
   "in place" is allowed.

   Gradients. A kernel that gives the gradient of an activation has a flag `accumulate`: false sets it, true adds to it.
   Gradients of weights (norms, biases, embeddings) are always added. A gradient that is NULL is not computed.

   Threads. A kernel opens its own OpenMP region when there is work enough; work is cut into chunks that depend on shapes
   alone, and partial sums are combined in order, so the result is the same, bit for bit, for any number of threads. Kernels are
   called from one thread at a time: they share one workspace.

   Products of matrices are not here but in gemm.h, linear layers in linear.h: they do not depend on the instruction set that
   this table was compiled for. */
#ifndef FRUGAL_KERNELS_H
#define FRUGAL_KERNELS_H

#include "frugal/base.h"
#include "frugal/tensor.h" /* fr_dtype alone: how numbers are stored */

typedef enum fr_activation {
    FR_ACTIVATION_GELU,      /* x Phi(x) */
    FR_ACTIVATION_GELU_TANH, /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
    FR_ACTIVATION_SILU,      /* x / (1 + exp(-x)) */
    FR_ACTIVATION_RELU,
    FR_ACTIVATION_TANH,
    FR_ACTIVATION_QUICK_GELU, /* x / (1 + exp(-1.702 x)) */
    FR_ACTIVATION_EXP,
    FR_ACTIVATIONS
} fr_activation;

/* Rotary embedding of (B, T, H*D): see fr_rope in operators.h for the meaning. */
typedef struct fr_rope_shape {
    int64_t batch, positions, heads, head_width; /* B, T, H, D */
    int64_t pairs;                               /* R / 2, 2 * pairs <= D */
    const int32_t *position_ids;                 /* (B, T) or NULL: 0..T-1 */
    const float *inverse_frequency; /* (pairs), or (B, pairs) with frequencies_by_row */
    bool frequencies_by_row;
    float scaling;
} fr_rope_shape;

/* Attention: masks and their meaning are those of fr_attention_options in operators.h. */
typedef struct fr_attention_shape {
    int64_t batch, queries, keys, heads, kv_heads, head_width; /* B, T, S, H, Hkv, D */
    int64_t q_stride, k_stride, v_stride,
        out_stride; /* floats from one position to the next; 0: dense (H*D, Hkv*D) */
    int64_t k_batch_stride,
        v_batch_stride; /* floats from one batch row of keys or values to the next; 0: S * stride */
    float scale;        /* 0: 1 / sqrt(D) */
    bool causal;
    int64_t window;          /* 0: none */
    const int32_t *segments; /* (B, T), S == T, or NULL */
    const int32_t *lengths;  /* (B) or NULL: keys that exist; each in [0, S] */
    bool padded;             /* lengths leave queries where they are: past = S - T */
    const int32_t *global;   /* (B, S) or NULL */
    const float *alibi;      /* (H) or NULL */
    float cap;               /* 0: none */
    const float *bias;       /* relative_bias (H, 2 * bias_reach + 1) or NULL */
    int64_t bias_reach;
    /* Dropout of the probabilities, 0: none. They count as one array (B, H, T, S') with S' = S rounded up to fours, whose
       elements are kept as `dropout` below keeps them. */
    float dropout;
    uint64_t seed, step, call;
} fr_attention_shape;

typedef struct fr_adamw_step {
    float rate, beta1, beta2, eps, weight_decay;
    float correction1, correction2; /* 1 - beta1^t, 1 - beta2^t */
    float gradient_scale; /* the gradient is multiplied by it first (clipping, averaging) */
} fr_adamw_step;

typedef struct fr_sgd_step {
    float rate, momentum, weight_decay;
    bool nesterov;
    float gradient_scale;
} fr_sgd_step;

typedef struct fr_kernels {
    const char *name; /* "v4", "v3", "v2", "baseline" */

    /* ---- element by element (elementwise.c); out may be a or x ---- */
    /* out[i] = a[i] + b[i % inner]; a, out (count), b (inner); inner == count: same shape, 1: one element. */
    void (*add)(float *out, const float *a, const float *b, int64_t count, int64_t inner);
    /* out[i] = a[i] * b[i % inner], added to out when `accumulate`. */
    void (*multiply)(float *out, const float *a, const float *b, int64_t count, int64_t inner,
                     bool accumulate);
    /* out[i] = x[i] * factor */
    void (*scale)(float *out, const float *x, float factor, int64_t count);
    /* y[i] += x[i] * factor */
    void (*axpy)(float *y, const float *x, float factor, int64_t count);
    void (*fill)(float *out, float value, int64_t count);
    void (*copy)(float *out, const float *x, int64_t count);
    /* y[i] = x[i] is kept and scaled by 1 / (1 - p), or zeroed with probability p: decided by Philox (seed, dropout, step,
       call << 40 | i / 4), so that backward is the same call on dy. In place allowed when not accumulating. */
    void (*dropout)(float *y, const float *x, float p, uint64_t seed, uint64_t step, uint64_t call,
                    int64_t count, bool accumulate);

    /* ---- activations (activation.c) ---- */
    void (*activation_forward)(fr_activation kind, float *y, const float *x, int64_t count);
    void (*activation_backward)(fr_activation kind, float *dx, const float *dy, const float *x,
                                int64_t count, bool accumulate);
    /* y = silu(gate) * up */
    void (*swiglu_forward)(float *y, const float *gate, const float *up, int64_t count);
    void (*swiglu_backward)(float *dgate, float *dup, const float *dy, const float *gate,
                            const float *up, int64_t count, bool accumulate_gate,
                            bool accumulate_up);

    /* ---- reductions (reduce.c); the sums of one element's terms are in double ---- */
    double (*sum)(const float *x, int64_t count);
    double (*sum_of_squares)(const float *x, int64_t count);
    double (*dot)(const float *a, const float *b, int64_t count);
    bool (*has_nonfinite)(const float *x, int64_t count);
    int64_t (*argmax)(
        const float *x,
        int64_t count); /* the first of the largest; NaN never wins; 0 when count is 0 */
    /* out[j] = sum over rows of x[row * inner + j]: gradient of a bias, or of b in add; x (count), out (inner). */
    void (*sum_rows)(float *out, const float *x, int64_t count, int64_t inner, bool accumulate);
    /* The same over x * y: gradient of b in multiply. */
    void (*dot_rows)(float *out, const float *x, const float *y, int64_t count, int64_t inner,
                     bool accumulate);
    /* x (outer, axis, inner) -> out (outer, inner): factor * sum over the middle axis. */
    void (*sum_axis)(float *out, const float *x, int64_t outer, int64_t axis, int64_t inner,
                     float factor);
    /* dx (outer, axis, inner) = factor * dy (outer, inner), repeated along the middle axis. */
    void (*broadcast_axis)(float *dx, const float *dy, int64_t outer, int64_t axis, int64_t inner,
                           float factor, bool accumulate);

    /* ---- norms (norm.c): x, y, dx, dy (rows, width); weight, bias (width); mean, rstd (rows) ---- */
    void (*layer_norm_forward)(float *y, float *mean, float *rstd, const float *x,
                               const float *weight, const float *bias, float eps, int64_t rows,
                               int64_t width); /* bias, mean and rstd may be NULL */
    void (*layer_norm_backward)(float *dx, float *dweight, float *dbias, const float *dy,
                                const float *x, const float *weight, const float *mean,
                                const float *rstd, int64_t rows, int64_t width, bool accumulate);
    void (*rms_norm_forward)(float *y, float *rstd, const float *x, const float *weight, float eps,
                             int64_t rows, int64_t width); /* rstd may be NULL */
    void (*rms_norm_backward)(float *dx, float *dweight, const float *dy, const float *x,
                              const float *weight, const float *rstd, int64_t rows, int64_t width,
                              bool accumulate);

    /* ---- softmax and cross-entropy (softmax.c): x, y (rows, width); in place allowed forward ---- */
    void (*softmax_forward)(float *y, const float *x, int64_t rows, int64_t width);
    void (*softmax_backward)(float *dx, const float *dy, const float *y, int64_t rows,
                             int64_t width, bool accumulate);
    void (*log_softmax_forward)(float *y, const float *x, int64_t rows, int64_t width);
    void (*log_softmax_backward)(float *dx, const float *dy, const float *y, int64_t rows,
                                 int64_t width, bool accumulate);
    /* per_row[i] = -log softmax(logits[i])[targets[i]], 0 where targets[i] is FR_IGNORE (-100). When `dlogits` is not NULL it
       receives scale * weights[i] * (softmax(logits[i]) - onehot(targets[i])), zeros for ignored rows; it may be `logits`
       itself. weights (rows) may be NULL: all one. Targets must lie in [0, width) or be FR_IGNORE. */
    void (*cross_entropy)(float *per_row, float *dlogits, const float *logits,
                          const int32_t *targets, const float *weights, float scale, int64_t rows,
                          int64_t width);

    /* ---- rows by index (gather.c): weight (V, C), ids (N), out, x (N, C); ids must lie in [0, V) ---- */
    void (*gather_rows)(float *out, const void *weight, fr_dtype dtype, const int32_t *ids,
                        int64_t count, int64_t width);
    /* out[ids[i]] += x[i], in the order of i, but where ids[i] is `skipped` (-1: nowhere). */
    void (*scatter_add_rows)(float *out, const float *x, const int32_t *ids, int64_t count,
                             int64_t width, int32_t skipped);

    /* ---- copies (copy.c), any element of `size` bytes (1, 2, 4, 8) unless f32 ---- */
    /* in (outer, A, middle, B, inner) -> out (outer, B, middle, A, inner). */
    void (*transpose)(void *out, const void *in, int64_t outer, int64_t a, int64_t middle,
                      int64_t b, int64_t inner, size_t size);
    /* `blocks` blocks of `length` elements; strides in elements. Slices and concatenations. */
    void (*copy_blocks)(void *out, int64_t out_stride, const void *in, int64_t in_stride,
                        int64_t blocks, int64_t length, size_t size);
    void (*add_blocks)(float *out, int64_t out_stride, const float *in, int64_t in_stride,
                       int64_t blocks, int64_t length);
    /* Between f32, bf16, f16 (round to nearest even), from i32 to f32, and from blocks (q8_0 ...) to f32: whole blocks. */
    void (*convert)(void *out, fr_dtype out_dtype, const void *in, fr_dtype in_dtype,
                    int64_t count);

    /* ---- rotary embedding (rope.c) ---- */
    /* y = rotate(x), or the inverse rotation (the gradient) when `backward`. In place allowed when not accumulating. */
    void (*rope)(float *y, const float *x, const fr_rope_shape *shape, bool backward,
                 bool accumulate);

    /* ---- attention (attention_forward.c, attention_backward.c) ---- */
    /* out (B, T, H*D); log_sum_exp (B, H, T) or NULL, -infinity for a query that sees no key. */
    void (*attention_forward)(float *out, float *log_sum_exp, const float *q, const float *k,
                              const float *v, const fr_attention_shape *shape);
    /* dq (B, T, H*D), dk and dv (B, S, Hkv*D) are dense; dout and out have out_stride; all three gradients are wanted.
       dbias, like bias, or NULL. */
    void (*attention_backward)(float *dq, float *dk, float *dv, float *dbias, const float *dout,
                               const float *out, const float *log_sum_exp, const float *q,
                               const float *k, const float *v, const fr_attention_shape *shape,
                               bool accumulate_q, bool accumulate_k, bool accumulate_v);

    /* ---- few rows times a matrix (matvec.c): decoding reads every weight once ---- */
    /* y (M, N) = x (M, K) W^T + bias; W (N, K) f32, bf16, f16 or in blocks (K is a multiple); bias (N) or NULL. Any M, meant for M <= 8. */
    void (*few_rows_linear)(float *y, const float *x, const void *weight, fr_dtype dtype,
                            const float *bias, int64_t m, int64_t n, int64_t k);

    /* ---- optimizers (optimizer.c), all in place over `count` numbers ---- */
    /* m, v: first and second moments. w -= rate * (mhat / (sqrt(vhat) + eps) + weight_decay * w). arXiv 1711.05101. */
    void (*adamw)(float *w, float *m, float *v, const float *gradient, int64_t count,
                  const fr_adamw_step *step);
    /* g += weight_decay * w; buffer = momentum * buffer + g; w -= rate * (nesterov ? g + momentum * buffer : buffer). `buffer`
       may be NULL when momentum is 0. */
    void (*sgd)(float *w, float *buffer, const float *gradient, int64_t count,
                const fr_sgd_step *step);

    /* ---- measuring (peak.c) ---- */
    /* Multiply-adds in registers on the calling thread; returns how many operations. `sink` receives a number that depends on
       all of them, so that none is dropped. */
    double (*multiply_add_loop)(int64_t rounds, float *sink);
} fr_kernels;

/* The table for this CPU; FRUGAL_ISA=v2|v3|v4|baseline takes another one, if the CPU has it. */
const fr_kernels *fr_kernels_get(void);
const char *fr_kernels_name(void);
/* The table of a named level, NULL when this build or this CPU does not have it. For tests. */
const fr_kernels *fr_kernels_named(const char *name);

/* Scratch memory of kernels: at least `bytes`, 64-byte aligned, valid until the next call. It grows and is kept, so that a
   steady state allocates nothing. NULL when there is no memory. */
void *fr_kernels_workspace(size_t bytes);
/* True when a kernel has found no memory for its workspace since the last call of this function: it left its outputs as they
   were. Whoever runs kernels asks once per step. */
bool fr_kernels_out_of_memory(void);
/* Give it back (tests that count leaks). */
void fr_kernels_workspace_free(void);

#endif
