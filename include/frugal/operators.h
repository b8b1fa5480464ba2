/* operators.h: what can be computed on a tape. Each operator is one file in src/tensor/ with its shape rule, cost, forward and
   backward. "(..., C)" means any number of leading axes, rows = their product. Unless said otherwise everything is f32, inputs
   may be NULL-propagated errors, and gradients flow to every f32 input. Weights of linear, embedding and matmul may be bf16 or
   f16 (then they get no gradient). */
#ifndef FRUGAL_OPERATORS_H
#define FRUGAL_OPERATORS_H

#include "frugal/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- matrices ---- */
/* y = x W^T + bias; x (..., in), weight (out, in), bias (out) or NULL -> (..., out). */
fr_tensor *fr_linear(fr_tape *tape, fr_tensor *x, fr_tensor *weight, fr_tensor *bias);
/* Batched product over equal leading axes: op(a) (..., M, K) x op(b) (..., K, N) -> (..., M, N); op transposes the last two
   axes when asked. */
fr_tensor *fr_matmul(fr_tape *tape, fr_tensor *a, fr_tensor *b, bool transpose_a, bool transpose_b);

/* ---- embeddings, gather, scatter ---- */
/* rows of weight (V, C) picked by ids (...) i32 -> (..., C); an id outside [0, V) is an error. */
fr_tensor *fr_embedding(fr_tape *tape, fr_tensor *weight, fr_tensor *ids);
/* The same, but row `padding` gets no gradient from here (PyTorch's padding_idx); -1: every row gets its gradient. */
fr_tensor *fr_embedding_padded(fr_tape *tape, fr_tensor *weight, fr_tensor *ids, int64_t padding);
/* rows of x (N, ...) picked by indices (M) i32 -> (M, ...). */
fr_tensor *fr_gather(fr_tape *tape, fr_tensor *x, fr_tensor *indices);
/* zeros (count, ...) with rows of x (M, ...) ADDED at indices (M) i32. */
fr_tensor *fr_scatter(fr_tape *tape, fr_tensor *x, fr_tensor *indices, int64_t count);

/* ---- element by element ---- */
/* b has a's shape, or a suffix of it (broadcast over leading axes), or one element. */
fr_tensor *fr_add(fr_tape *tape, fr_tensor *a, fr_tensor *b);
fr_tensor *fr_multiply(fr_tape *tape, fr_tensor *a, fr_tensor *b);
fr_tensor *fr_scale(fr_tape *tape, fr_tensor *x, float factor);
/* Row r of x (..., C) times factors[r]; factors (...). */
fr_tensor *fr_scale_rows(fr_tape *tape, fr_tensor *x, fr_tensor *factors);
fr_tensor *fr_gelu(fr_tape *tape, fr_tensor *x);       /* exact: x Phi(x) */
fr_tensor *fr_gelu_tanh(fr_tape *tape, fr_tensor *x);  /* the tanh approximation ("gelu_new") */
fr_tensor *fr_quick_gelu(fr_tape *tape, fr_tensor *x); /* x sigmoid(1.702 x) */
fr_tensor *fr_silu(fr_tape *tape, fr_tensor *x);
fr_tensor *fr_relu(fr_tape *tape, fr_tensor *x);
fr_tensor *fr_tanh(fr_tape *tape, fr_tensor *x);
fr_tensor *fr_exp(fr_tape *tape, fr_tensor *x);
fr_tensor *fr_swiglu(fr_tape *tape, fr_tensor *gate, fr_tensor *up); /* silu(gate) * up */
/* Zero with probability p and scale the rest by 1 / (1 - p); the identity when the tape is not training or p = 0. */
fr_tensor *fr_dropout(fr_tape *tape, fr_tensor *x, float p);

/* ---- norms over the last axis ---- */
fr_tensor *fr_layer_norm(fr_tape *tape, fr_tensor *x, fr_tensor *weight, fr_tensor *bias,
                         float eps); /* bias may be NULL */
fr_tensor *fr_rms_norm(fr_tape *tape, fr_tensor *x, fr_tensor *weight, float eps);
fr_tensor *fr_softmax(fr_tape *tape, fr_tensor *x);
fr_tensor *fr_log_softmax(fr_tape *tape, fr_tensor *x);

/* ---- positions ---- */
/* Rotary embedding, half-rotated layout (Hugging Face's): for each head pairs (i, i + R/2) for i < R/2 turn by
   positions * inverse_frequency[i]; R = 2 * count of inverse_frequency <= D, the rest of the head passes through; results are
   scaled by `scaling` (YaRN; 1 otherwise). x (B, T, H*D), positions (B, T) i32 or NULL for 0..T-1, inverse_frequency (R/2), or (B, R/2):
   each row turns with its own. */
fr_tensor *fr_rope(fr_tape *tape, fr_tensor *x, fr_tensor *positions, fr_tensor *inverse_frequency,
                   int heads, float scaling);

/* ---- attention ---- */
typedef struct fr_attention_options {
    int heads;    /* H query heads */
    int kv_heads; /* divides heads */
    float scale;  /* of the scores; 0: 1 / sqrt(D) */
    bool
        causal; /* query t (absolute position past + t) sees keys j <= past + t; past = lengths[b] - T, or S - T */
    int window; /* > 0: also j > past + t - window (causal) or |past + t - j| < window */
    fr_tensor *
        segments; /* (B, T) i32 or NULL: with S == T, only keys of the query's own segment (packed documents) */
    fr_tensor *lengths; /* (B) i32 or NULL: how many of the S keys of a row exist */
    bool padded;        /* lengths tell of padding on the right: past = S - T whatever they say */
    fr_tensor *global;  /* (B, S) i32 or NULL: keys whose number is not 0 are seen beyond the window
                           (causal, lengths and segments still hold) */
    fr_tensor *alibi;   /* (H) f32 slopes or NULL: score -= slope * distance; no gradient */
    /* (H, 2R + 1) f32 or NULL: score += bias[h][R + j - (past + t)], distances beyond R counting as
       R on their side; gradient flows. */
    fr_tensor *relative_bias;
    float cap; /* > 0: scores are cap * tanh(score / cap) before biases and masks; 0: as they are */
    float dropout; /* of the probabilities, as fr_dropout of (B, H, T, S) that are kept nowhere */
} fr_attention_options;
/* softmax(q k^T * scale + biases + masks) v without ever holding T x S scores. q (B, T, H*D), k and v (B, S, Hkv*D) -> (B, T, H*D).
   A query that sees no key gets zeros. log_sum_exp, when not NULL, receives (B, H, T) f32 (no gradient flows into it), so
   that partial results over parts of the keys can be merged. */
fr_tensor *fr_attention(fr_tape *tape, fr_tensor *q, fr_tensor *k, fr_tensor *v,
                        const fr_attention_options *options, fr_tensor **log_sum_exp);

/* ---- losses ---- */
enum { FR_IGNORE = -100 };
/* sum over rows i with targets[i] != FR_IGNORE of scale * weight[i] * -log softmax(logits[i])[targets[i]] -> (1).
   logits (..., V), targets (...) i32, weights (...) f32 or NULL. per_row, when not NULL, receives (...) f32 with the unscaled,
   unweighted loss of each row (0 for ignored ones; no gradient). */
fr_tensor *fr_cross_entropy(fr_tape *tape, fr_tensor *logits, fr_tensor *targets,
                            fr_tensor *weights, float scale, fr_tensor **per_row);
/* The same with logits = x weight^T + bias, made and consumed in chunks: (N, V) never exists. x (..., C), weight (V, C),
   bias (V) or NULL. On a recording tape the gradients are computed in the same pass. */
fr_tensor *fr_linear_cross_entropy(fr_tape *tape, fr_tensor *x, fr_tensor *weight, fr_tensor *bias,
                                   fr_tensor *targets, fr_tensor *weights, float scale,
                                   fr_tensor **per_row);

/* ---- shapes ---- */
/* One extent may be -1. Shares the data. */
fr_tensor *fr_reshape(fr_tape *tape, fr_tensor *x, int rank, const int64_t *shape);
/* Elements [begin, end) of an axis; shares the data when axis = 0, copies otherwise. */
fr_tensor *fr_slice(fr_tape *tape, fr_tensor *x, int axis, int64_t begin, int64_t end);
fr_tensor *fr_concat(fr_tape *tape, fr_tensor *const *parts, int count, int axis);
fr_tensor *fr_transpose(fr_tape *tape, fr_tensor *x, int axis_a, int axis_b);

/* ---- reductions ---- */
fr_tensor *fr_sum(fr_tape *tape, fr_tensor *x);                /* all elements -> (1) */
fr_tensor *fr_mean(fr_tape *tape, fr_tensor *x);               /* all elements -> (1) */
fr_tensor *fr_sum_axis(fr_tape *tape, fr_tensor *x, int axis); /* drops the axis */
fr_tensor *fr_mean_axis(fr_tape *tape, fr_tensor *x, int axis);

/* f32 from bf16, f16, i32; or f32 to bf16 and back (no gradient through other types). */
fr_tensor *fr_cast(fr_tape *tape, fr_tensor *x, fr_dtype dtype);

/* Names of all operators, NULL-terminated: for `frugal list operator`, tests and the profile. */
const char *const *fr_operator_names(void);

#ifdef __cplusplus
}
#endif
#endif
