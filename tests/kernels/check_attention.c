/* check_attention.c: fused attention against softmax(q k^T scale + masks) v written out with all T x S probabilities. */
#include "check.h"

typedef struct problem {
    fr_attention_shape s;
    float *q, *k, *v, *dout; /* (B, T, H*D), (B, S, Hkv*D) twice, (B, T, H*D) */
} problem;

/* Absolute position of query t of row b. */
static int64_t position(const fr_attention_shape *s, int64_t b, int64_t t)
{
    return (s->lengths && !s->padded ? s->lengths[b] : s->keys) - s->queries + t;
}

static int64_t bias_place(const fr_attention_shape *s, int64_t h, int64_t distance)
{
    int64_t reach = s->bias_reach;
    return h * (2 * reach + 1) + reach +
           (distance < -reach  ? -reach
            : distance > reach ? reach
                               : distance);
}

/* What dropout makes of the probability of key j for query t: 0 or 1 / (1 - p) times it. */
static double kept(const fr_attention_shape *s, int64_t b, int64_t h, int64_t t, int64_t j)
{
    if (s->dropout <= 0.0F)
        return 1.0;
    uint64_t row = (uint64_t)((b * s->heads + h) * s->queries + t);
    uint64_t element = row * (uint64_t)((s->keys + 3) / 4 * 4) + (uint64_t)j;
    uint32_t bits[4];
    fr_random_bits(s->seed, FR_RANDOM_DROPOUT, s->step, s->call << 40 | element / 4, bits);
    return (double)bits[element % 4] >= (double)s->dropout * 4294967296.0
               ? 1.0 / (1.0 - (double)s->dropout)
               : 0.0;
}

/* May the query at `at` (absolute) of row b see key j? The text of operators.h, word by word. */
static bool sees(const fr_attention_shape *s, int64_t b, int64_t t, int64_t j)
{
    int64_t exist = s->lengths ? s->lengths[b] : s->keys, at = position(s, b, t);
    if (j >= exist)
        return false;
    if (s->causal && j > at)
        return false;
    bool global = s->global && s->global[b * s->keys + j] != 0;
    if (!global && s->window > 0 && (s->causal ? j <= at - s->window : llabs(at - j) >= s->window))
        return false;
    if (s->segments && s->segments[b * s->queries + t] != s->segments[b * s->queries + j])
        return false;
    return true;
}

/* Probabilities of one query, and the derivatives of their caps; returns the log-sum-exp. */
static double probabilities(double *p, double *slopes, const problem *x, int64_t b, int64_t t,
                            int64_t h)
{
    const fr_attention_shape *s = &x->s;
    int64_t width = s->head_width, kv = h / (s->heads / s->kv_heads), at = position(s, b, t);
    double scale = s->scale != 0.0F ? (double)s->scale : 1.0 / sqrt((double)width),
           best = -INFINITY, total = 0.0;
    for (int64_t j = 0; j < s->keys; j++) {
        double score = 0.0;
        for (int64_t d = 0; d < width; d++)
            score += (double)x->q[((b * s->queries + t) * s->heads + h) * width + d] *
                     (double)x->k[((b * s->keys + j) * s->kv_heads + kv) * width + d];
        score *= scale;
        double t_cap = s->cap > 0.0F ? tanh(score / (double)s->cap) : 0.0;
        slopes[j] = 1.0 - t_cap * t_cap;
        if (s->cap > 0.0F)
            score = (double)s->cap * t_cap;
        if (s->bias)
            score += (double)s->bias[bias_place(s, h, j - at)];
        if (s->alibi)
            score -= (double)s->alibi[h] * fabs((double)(at - j));
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

/* What the twin gives; dq NULL: no gradients. The last three are rows of one query. */
typedef struct twin {
    double *out, *lse, *dq, *dk, *dv, *dbias;
    double *p, *slopes, *dp;
} twin;

static twin twin_of(const fr_attention_shape *s, bool gradients)
{
    int64_t queries = s->batch * s->queries * s->heads * s->head_width,
            keys = s->batch * s->keys * s->kv_heads * s->head_width;
    twin w = {.out = check_doubles(queries),
              .lse = check_doubles(s->batch * s->queries * s->heads)};
    w.p = check_doubles(s->keys);
    w.slopes = check_doubles(s->keys);
    w.dp = check_doubles(s->keys);
    if (!gradients)
        return w;
    w.dq = check_doubles(queries);
    w.dk = check_doubles(keys);
    w.dv = check_doubles(keys);
    w.dbias = check_doubles(s->heads * (2 * s->bias_reach + 1));
    return w;
}

static void naive_query_gradients(const twin *w, const problem *x, int64_t b, int64_t t, int64_t h,
                                  double delta)
{
    const fr_attention_shape *s = &x->s;
    int64_t width = s->head_width, kv = h / (s->heads / s->kv_heads);
    int64_t query = ((b * s->queries + t) * s->heads + h) * width;
    double scale = s->scale != 0.0F ? (double)s->scale : 1.0 / sqrt((double)width);
    for (int64_t j = 0; j < s->keys; j++) {
        int64_t key = ((b * s->keys + j) * s->kv_heads + kv) * width;
        double factor = kept(s, b, h, t, j), ds = w->p[j] * (w->dp[j] - delta);
        if (s->bias)
            w->dbias[bias_place(s, h, j - position(s, b, t))] += ds;
        ds *= w->slopes[j] * scale;
        for (int64_t d = 0; d < width; d++) {
            w->dv[key + d] += w->p[j] * factor * (double)x->dout[query + d];
            w->dq[query + d] += ds * (double)x->k[key + d];
            w->dk[key + d] += ds * (double)x->q[query + d];
        }
    }
}

static void naive_attention(const twin *w, const problem *x)
{
    const fr_attention_shape *s = &x->s;
    int64_t width = s->head_width, group = s->heads / s->kv_heads;
    for (int64_t row = 0; row < s->batch * s->queries * s->heads; row++) {
        int64_t h = row % s->heads, t = row / s->heads % s->queries,
                b = row / s->heads / s->queries;
        w->lse[(b * s->heads + h) * s->queries + t] = probabilities(w->p, w->slopes, x, b, t, h);
        double delta = 0.0;
        for (int64_t d = 0; d < width; d++)
            w->out[row * width + d] = 0.0;
        for (int64_t j = 0; j < s->keys; j++) {
            int64_t key = ((b * s->keys + j) * s->kv_heads + h / group) * width;
            double factor = kept(s, b, h, t, j);
            w->dp[j] = 0.0;
            for (int64_t d = 0; d < width; d++) {
                w->out[row * width + d] += w->p[j] * factor * (double)x->v[key + d];
                w->dp[j] += factor * (double)x->dout[row * width + d] * (double)x->v[key + d];
            }
            delta += w->p[j] * w->dp[j];
        }
        if (w->dq)
            naive_query_gradients(w, x, b, t, h, delta);
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
    int64_t rows = s.batch * s.queries * s.heads, biases = s.heads * (2 * s.bias_reach + 1);
    float *out = check_floats(queries), *lse = check_floats(rows), *dq = check_floats(queries);
    float *dk = check_floats(keys), *dv = check_floats(keys), *dbias = check_constant(biases, 0.0F);
    twin w = twin_of(&s, true);
    naive_attention(&w, &x);
    kernels->attention_forward(out, lse, x.q, x.k, x.v, &s);
    check_close("attention", out, w.out, queries, 6e-6);
    check_close("log-sum-exp", lse, w.lse, rows, 6e-6);
    check_strided(kernels, &x, w.out);
    kernels->attention_backward(dq, dk, dv, s.bias ? dbias : NULL, x.dout, out, lse, x.q, x.k, x.v,
                                &s, false, false, false);
    check_close("attention dq", dq, w.dq, queries, 2e-5);
    check_close("attention dk", dk, w.dk, keys, 2e-5);
    check_close("attention dv", dv, w.dv, keys, 2e-5);
    check_close("attention dbias", dbias, w.dbias, biases, 5e-5);
    kernels->attention_backward(dq, dk, dv, s.bias ? dbias : NULL, x.dout, out, lse, x.q, x.k, x.v,
                                &s, true, false, true);
    for (int64_t i = 0; i < queries; i++)
        w.dq[i] *= 2.0;
    for (int64_t i = 0; i < keys; i++)
        w.dv[i] *= 2.0;
    for (int64_t i = 0; i < biases; i++)
        w.dbias[i] *= 2.0;
    check_close("attention dq, accumulated", dq, w.dq, queries, 2e-5);
    check_close("attention dk, set again", dk, w.dk, keys, 2e-5);
    check_close("attention dv, accumulated", dv, w.dv, keys, 2e-5);
    check_close("attention dbias, accumulated", dbias, w.dbias, biases, 5e-5);
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

/* What changes scores and probabilities, alone and together with masks. Not too many distances lie beyond the bias's reach:
   gradients of all of a query's scores cancel, and their sum would be rounding alone. */
static void check_scores(const fr_kernels *kernels, fr_attention_shape s)
{
    for (int which = 1; which < 16; which++) {
        fr_attention_shape x = s;
        x.causal = which & 1;
        if (which & 2) {
            x.bias_reach = s.keys < 10 ? 3 : s.keys - 5;
            x.bias = check_floats(s.heads * (2 * x.bias_reach + 1));
        }
        x.cap = which & 4 ? 1.5F : 0.0F;
        x.dropout = which & 8 ? 0.3F : 0.0F;
        x.seed = 0x123456789ABCULL;
        x.step = 77;
        x.call = 3;
        check_shape(kernels, x);
        x.lengths = check_integers(s.batch, (int32_t)s.keys / 2, (int32_t)s.keys + 1);
        x.window = which & 1 ? 11 : 0;
        x.padded = which & 2;
        check_shape(kernels, x);
    }
}

/* Keys that are seen beyond the window. */
static void check_global(const fr_kernels *kernels, fr_attention_shape s)
{
    for (int causal = 0; causal < 2; causal++) {
        fr_attention_shape x = s;
        x.causal = causal;
        x.window = 5;
        int32_t *global = check_integers(s.batch * s.keys, 0, 40);
        for (int64_t i = 0; i < s.batch * s.keys; i++)
            global[i] = global[i] == 0;
        x.global = global;
        check_shape(kernels, x);
        x.padded = true;
        x.lengths = check_integers(s.batch, (int32_t)s.keys / 2, (int32_t)s.keys + 1);
        check_shape(kernels, x);
        if (s.keys == s.queries)
            x.segments = documents(s.batch, s.queries);
        check_shape(kernels, x);
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
    twin w = twin_of(&s, false);
    /* A causal mask halves the work. */
    double flops = 4.0 * (double)queries * (double)s.keys * (s.causal ? 0.5 : 1.0);
    CHECK_TIME(forward, s.queries > 1 ? flops : 0.0, s.queries > 1 ? 0.0 : 8.0 * (double)keys,
               kernels->attention_forward(out, lse, x.q, x.k, x.v, &s), naive_attention(&w, &x));
    if (backward)
        CHECK_TIME(backward, 2.5 * flops, 0,
                   kernels->attention_backward(dq, dk, dv, NULL, x.dout, out, lse, x.q, x.k, x.v,
                                               &s, false, false, false),
                   naive_attention(&w, &x));
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
    check_scores(kernels, shape(2, 9, 9, 2, 1, 8));
    check_scores(kernels, shape(1, 70, 131, 2, 2, 5));
    check_scores(kernels, shape(2, 1, 70, 4, 2, 6));
    check_global(kernels, shape(2, 150, 150, 2, 2, 7));
    check_global(kernels, shape(2, 1, 90, 2, 1, 7));
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
