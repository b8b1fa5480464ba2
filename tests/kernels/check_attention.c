/* check_attention.c: fused attention against softmax(q k^T scale + masks) v written out with all T x S probabilities. */
#include "check.h"

typedef struct problem {
    fr_attention_shape s;
    float *q, *k, *v, *dout; /* (B, T, H*D), (B, S, Hkv*D) twice, (B, T, H*D) */
} problem;

/* May the query at `at` (absolute) of row b see key j? The text of operators.h, word by word. */
static bool sees(const fr_attention_shape *s, int64_t b, int64_t t, int64_t j)
{
    int64_t exist = s->lengths ? s->lengths[b] : s->keys, at = exist - s->queries + t;
    if (j >= exist)
        return false;
    if (s->causal && j > at)
        return false;
    if (s->window > 0 && (s->causal ? j <= at - s->window : llabs(at - j) >= s->window))
        return false;
    if (s->segments && s->segments[b * s->queries + t] != s->segments[b * s->queries + j])
        return false;
    return true;
}

/* Probabilities of one query; returns the log-sum-exp. */
static double probabilities(double *p, const problem *x, int64_t b, int64_t t, int64_t h)
{
    const fr_attention_shape *s = &x->s;
    int64_t width = s->head_width, kv = h / (s->heads / s->kv_heads),
            exist = s->lengths ? s->lengths[b] : s->keys;
    double scale = s->scale != 0.0F ? (double)s->scale : 1.0 / sqrt((double)width),
           best = -INFINITY, total = 0.0;
    for (int64_t j = 0; j < s->keys; j++) {
        double score = 0.0;
        for (int64_t d = 0; d < width; d++)
            score += (double)x->q[((b * s->queries + t) * s->heads + h) * width + d] *
                     (double)x->k[((b * s->keys + j) * s->kv_heads + kv) * width + d];
        score *= scale;
        if (s->alibi)
            score -= (double)s->alibi[h] * fabs((double)(exist - s->queries + t - j));
        p[j] = sees(s, b, t, j) ? score : -INFINITY;
        best = fmax(best, p[j]);
    }
    if (best == -INFINITY) {
        memset(p, 0, sizeof(double) * (size_t)s->keys);
        return -INFINITY;
    }
    for (int64_t j = 0; j < s->keys; j++)
        total += exp(p[j] - best);
    for (int64_t j = 0; j < s->keys; j++)
        p[j] = exp(p[j] - best) / total;
    return best + log(total);
}

static void naive_attention(double *out, double *lse, double *dq, double *dk, double *dv, double *p,
                            double *dp, const problem *x, bool gradients)
{
    const fr_attention_shape *s = &x->s;
    int64_t width = s->head_width, group = s->heads / s->kv_heads;
    double scale = s->scale != 0.0F ? (double)s->scale : 1.0 / sqrt((double)width);
    for (int64_t row = 0; row < s->batch * s->queries * s->heads; row++) {
        int64_t h = row % s->heads, t = row / s->heads % s->queries,
                b = row / s->heads / s->queries;
        lse[(b * s->heads + h) * s->queries + t] = probabilities(p, x, b, t, h);
        double delta = 0.0;
        for (int64_t d = 0; d < width; d++)
            out[row * width + d] = 0.0;
        for (int64_t j = 0; j < s->keys; j++) {
            int64_t key = ((b * s->keys + j) * s->kv_heads + h / group) * width;
            dp[j] = 0.0;
            for (int64_t d = 0; d < width; d++) {
                out[row * width + d] += p[j] * (double)x->v[key + d];
                dp[j] += (double)x->dout[row * width + d] * (double)x->v[key + d];
                if (gradients)
                    dv[key + d] += p[j] * (double)x->dout[row * width + d];
            }
            delta += p[j] * dp[j];
        }
        for (int64_t j = 0; j < s->keys && gradients; j++) {
            int64_t key = ((b * s->keys + j) * s->kv_heads + h / group) * width;
            double ds = p[j] * (dp[j] - delta) * scale;
            for (int64_t d = 0; d < width; d++) {
                dq[row * width + d] += ds * (double)x->k[key + d];
                dk[key + d] += ds * (double)x->q[row * width + d];
            }
        }
    }
}

/* The same rows, `stride` floats apart. */
static float *spread(const float *x, int64_t rows, int64_t width, int64_t stride)
{
    float *out = check_constant(rows * stride, NAN);
    for (int64_t r = 0; r < rows; r++)
        memcpy(out + r * stride, x + r * width, sizeof(float) * (size_t)width);
    return out;
}

static problem draw(fr_attention_shape s)
{
    int64_t queries = s.batch * s.queries * s.heads * s.head_width,
            keys = s.batch * s.keys * s.kv_heads * s.head_width;
    return (problem){s, check_floats(queries), check_floats(keys), check_floats(keys),
                     check_floats(queries)};
}

/* Operands with gaps between positions: what a fused projection of q, k and v gives. */
static void check_strided(const fr_kernels *kernels, const problem *x, const double *wanted)
{
    fr_attention_shape s = x->s;
    int64_t rows = s.batch * s.queries, wide = s.heads * s.head_width,
            narrow = s.kv_heads * s.head_width;
    s.q_stride = wide + 5;
    s.k_stride = narrow + 3;
    s.v_stride = narrow + 1;
    s.out_stride = wide;
    float *q = spread(x->q, rows, wide, s.q_stride),
          *k = spread(x->k, s.batch * s.keys, narrow, s.k_stride);
    float *v = spread(x->v, s.batch * s.keys, narrow, s.v_stride), *out = check_floats(rows * wide);
    kernels->attention_forward(out, NULL, q, k, v, &s);
    check_close("attention, strided", out, wanted, rows * wide, 6e-6);
}

static void check_shape(const fr_kernels *kernels, fr_attention_shape s)
{
    problem x = draw(s);
    int64_t queries = s.batch * s.queries * s.heads * s.head_width,
            keys = s.batch * s.keys * s.kv_heads * s.head_width;
    int64_t rows = s.batch * s.queries * s.heads;
    float *out = check_floats(queries), *lse = check_floats(rows), *dq = check_floats(queries);
    float *dk = check_floats(keys), *dv = check_floats(keys);
    double *out2 = check_doubles(queries), *lse2 = check_doubles(rows),
           *dq2 = check_doubles(queries);
    double *dk2 = check_doubles(keys), *dv2 = check_doubles(keys), *p = check_doubles(s.keys),
           *dp = check_doubles(s.keys);
    naive_attention(out2, lse2, dq2, dk2, dv2, p, dp, &x, true);
    kernels->attention_forward(out, lse, x.q, x.k, x.v, &s);
    check_close("attention", out, out2, queries, 6e-6);
    check_close("log-sum-exp", lse, lse2, rows, 6e-6);
    check_strided(kernels, &x, out2);
    kernels->attention_backward(dq, dk, dv, x.dout, out, lse, x.q, x.k, x.v, &s, false, false,
                                false);
    check_close("attention dq", dq, dq2, queries, 2e-5);
    check_close("attention dk", dk, dk2, keys, 2e-5);
    check_close("attention dv", dv, dv2, keys, 2e-5);
    kernels->attention_backward(dq, dk, dv, x.dout, out, lse, x.q, x.k, x.v, &s, true, false, true);
    for (int64_t i = 0; i < queries; i++)
        dq2[i] *= 2.0;
    for (int64_t i = 0; i < keys; i++)
        dv2[i] *= 2.0;
    check_close("attention dq, accumulated", dq, dq2, queries, 2e-5);
    check_close("attention dk, set again", dk, dk2, keys, 2e-5);
    check_close("attention dv, accumulated", dv, dv2, keys, 2e-5);
}

static fr_attention_shape shape(int64_t batch, int64_t queries, int64_t keys, int64_t heads,
                                int64_t kv_heads, int64_t width)
{
    return (fr_attention_shape){.batch = batch,
                                .queries = queries,
                                .keys = keys,
                                .heads = heads,
                                .kv_heads = kv_heads,
                                .head_width = width};
}

/* Documents of about twenty tokens, one after the other. */
static int32_t *documents(int64_t batch, int64_t positions)
{
    int32_t *segments = check_integers(batch * positions, 0, 20);
    for (int64_t i = 0; i < batch * positions; i++)
        segments[i] = (i % positions ? segments[i - 1] : 0) + (segments[i] == 0);
    return segments;
}

static void check_masks(const fr_kernels *kernels, fr_attention_shape s)
{
    for (int causal = 0; causal < 2; causal++)
        for (int64_t window = 0; window < 30; window += 23) {
            fr_attention_shape masked = s;
            masked.causal = causal;
            masked.window = window;
            check_shape(kernels, masked);
            masked.lengths = check_integers(s.batch, (int32_t)s.queries / 2, (int32_t)s.keys + 1);
            check_shape(kernels, masked);
            float *slopes = check_floats(s.heads);
            for (int64_t h = 0; h < s.heads; h++)
                slopes[h] = fabsf(slopes[h]) * 0.1F;
            masked.alibi = slopes;
            check_shape(kernels, masked);
            if (s.keys == s.queries) {
                masked.lengths = NULL;
                masked.segments = documents(s.batch, s.queries);
                check_shape(kernels, masked);
            }
        }
}

static void time_shape(const fr_kernels *kernels, fr_attention_shape s, const char *forward,
                       const char *backward)
{
    problem x = draw(s);
    int64_t queries = s.batch * s.queries * s.heads * s.head_width,
            keys = s.batch * s.keys * s.kv_heads * s.head_width;
    float *out = check_floats(queries), *lse = check_floats(s.batch * s.heads * s.queries),
          *dq = check_floats(queries);
    float *dk = check_floats(keys), *dv = check_floats(keys);
    double *out2 = check_doubles(queries), *lse2 = check_doubles(s.batch * s.heads * s.queries);
    double *p = check_doubles(s.keys), *dp = check_doubles(s.keys);
    /* A causal mask halves the work. */
    double flops = 4.0 * (double)queries * (double)s.keys * (s.causal ? 0.5 : 1.0);
    CHECK_TIME(forward, s.queries > 1 ? flops : 0.0, s.queries > 1 ? 0.0 : 8.0 * (double)keys,
               kernels->attention_forward(out, lse, x.q, x.k, x.v, &s),
               naive_attention(out2, lse2, NULL, NULL, NULL, p, dp, &x, false));
    if (backward)
        CHECK_TIME(backward, 2.5 * flops, 0,
                   kernels->attention_backward(dq, dk, dv, x.dout, out, lse, x.q, x.k, x.v, &s,
                                               false, false, false),
                   naive_attention(out2, lse2, NULL, NULL, NULL, p, dp, &x, false));
}

void check_attention(const fr_kernels *kernels)
{
    check_shape(kernels, shape(1, 1, 1, 1, 1, 1));
    check_shape(kernels, shape(2, 3, 3, 2, 1, 5));
    check_masks(kernels, shape(1, 65, 65, 2, 2, 17));
    check_masks(kernels, shape(1, 70, 70, 2, 1, 32));
    check_masks(kernels, shape(2, 33, 90, 2, 1, 20));
    check_masks(kernels, shape(2, 1, 70, 4, 2, 24));
    fr_attention_shape large = shape(2, 131, 131, 2, 1, 64);
    large.causal = true;
    check_shape(kernels, large);
    large.head_width = 96;
    large.scale = 0.2F;
    check_shape(kernels, large);
    check_shape(kernels, shape(3, 1, 1100, 2, 1, 33));
    if (!check_timing())
        return;
    fr_attention_shape s = shape(8, 256, 256, 8, 8, 64);
    s.causal = true;
    time_shape(kernels, s, "attention 8x256, 8 heads of 64, causal", "  backward");
    s = shape(8, 256, 256, 8, 4, 32);
    s.causal = true;
    time_shape(kernels, s, "attention 8x256, 8/4 heads of 32, causal", "  backward");
    s = shape(1, 1024, 1024, 8, 2, 128);
    s.causal = true;
    time_shape(kernels, s, "attention 1x1024, 8/2 heads of 128, causal", "  backward");
    s.causal = false;
    time_shape(kernels, s, "attention 1x1024, 8/2 heads of 128", "  backward");
    time_shape(kernels, shape(1, 1, 8192, 16, 4, 64), "attention, one query, 8192 keys, 16/4 of 64",
               NULL);
}
