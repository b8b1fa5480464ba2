/* attention_forward.c: fused attention; see attention.h for the layout. For each tile of queries keys pass by in tiles, with the
   running maximum m, sum l and unnormalised output O^T of every query; when a maximum grows, what was summed so far is scaled
   down (online softmax). One query alone (decoding) takes another way, which reads keys and values once and splits them
   among threads. */
#include "kernels/attention.h"

#include <omp.h>

/* Scratch of one thread, in floats. */
static int64_t scratch_floats(int64_t width)
{
    return 2 * width * TILE + 2 * KEY_TILE * TILE + 2 * KEY_TILE * padded(width);
}

/* The online softmax over scores (keys, TILE): leaves probabilities relative to the new maximum in scores, updates maximum and
   sum, and gives the factor by which earlier sums shrink. */
static void online_softmax(float *scores, int64_t keys, float maximum[TILE], float sum[TILE],
                           float shrink[TILE])
{
    float next[TILE], shift[TILE], added[TILE];
    memcpy(next, maximum, sizeof next);
    for (int64_t j = 0; j < keys; j++)
        SIMD for (int i = 0; i < TILE; i++) next[i] =
            scores[j * TILE + i] > next[i] ? scores[j * TILE + i] : next[i];
    SIMD for (int i = 0; i < TILE; i++)
    {
        shift[i] = next[i] == -INFINITY ? 0.0F : next[i];
        shrink[i] = fast_exp(maximum[i] - shift[i]);
        maximum[i] = next[i];
        added[i] = 0.0F;
    }
    for (int64_t j = 0; j < keys; j++)
        SIMD for (int i = 0; i < TILE; i++)
        {
            float p = fast_exp(scores[j * TILE + i] - shift[i]);
            scores[j * TILE + i] = p;
            added[i] += p;
        }
    SIMD for (int i = 0; i < TILE; i++) sum[i] = sum[i] * shrink[i] + added[i];
}

/* What is taken out of the probabilities of keys begin .. end - 1; the sums keep it. */
static void drop(float *scores, float *factor, const query_tile *tile, int64_t head, int64_t begin,
                 int64_t end)
{
    dropout_tile(factor, tile, head, begin, end);
    SIMD for (int64_t i = 0; i < (end - begin) * TILE; i++) scores[i] *= factor[i];
}

/* out and log_sum_exp point at the first query of the tile for this head. */
static void forward_tile(float *out, float *log_sum_exp, const float *q, const float *k,
                         const float *v, const query_tile *tile, int64_t head, float *scratch)
{
    const fr_attention_shape *s = tile->shape;
    int64_t width = s->head_width, wide = padded(width);
    int64_t q_stride = or_else(s->q_stride, s->heads * width),
            out_stride = or_else(s->out_stride, s->heads * width);
    int64_t k_stride = or_else(s->k_stride, s->kv_heads * width),
            v_stride = or_else(s->v_stride, s->kv_heads * width);
    float *queries = scratch, *output = queries + width * TILE, *scores = output + width * TILE;
    float *keys = scores + KEY_TILE * TILE, *values = keys + KEY_TILE * wide,
          *factor = values + KEY_TILE * wide;
    float maximum[TILE], sum[TILE], shrink[TILE];
    for (int i = 0; i < TILE; i++) {
        maximum[i] = -INFINITY;
        sum[i] = 0.0F;
    }
    pack_lanes(queries, q, q_stride, tile->count, width, score_scale(s));
    memset(output, 0, sizeof(float) * (size_t)(width * TILE));
    for (int64_t begin = tile->begin / KEY_TILE * KEY_TILE; begin < tile->end; begin += KEY_TILE) {
        int64_t end = smaller(begin + KEY_TILE, tile->end), count = end - begin;
        if (nothing_visible(tile, begin, end))
            continue;
        pack_rows(keys, k + begin * k_stride, k_stride, count, width);
        memset(scores, 0, sizeof(float) * (size_t)(count * TILE));
        micro_product(count, TILE, width, scores, TILE, keys, wide, 1, queries, TILE);
        if (s->cap > 0.0F)
            cap_scores(scores, NULL, s->cap, count * TILE);
        mask_scores(scores, tile, head, begin, end);
        online_softmax(scores, count, maximum, sum, shrink);
        if (s->dropout > 0.0F)
            drop(scores, factor, tile, head, begin, end);
        for (int64_t d = 0; d < width; d++)
            SIMD for (int i = 0; i < TILE; i++) output[d * TILE + i] *= shrink[i];
        pack_rows(values, v + begin * v_stride, v_stride, count, width);
        micro_product(width, TILE, count, output, TILE, values, 1, wide, scores, TILE);
    }
    for (int64_t i = 0; i < tile->count; i++) {
        shrink[i] = sum[i] > 0.0F ? 1.0F / sum[i] : 0.0F;
        if (log_sum_exp)
            log_sum_exp[i] = sum[i] > 0.0F ? maximum[i] + logf(sum[i]) : -INFINITY;
    }
    unpack_lanes(out, output, out_stride, tile->count, width, shrink, false);
}

static void forward_tiles(float *out, float *log_sum_exp, const float *q, const float *k,
                          const float *v, const fr_attention_shape *s)
{
    int64_t tiles = (s->queries + TILE - 1) / TILE, width = s->head_width,
            group = s->heads / s->kv_heads;
    int64_t q_stride = or_else(s->q_stride, s->heads * width),
            out_stride = or_else(s->out_stride, s->heads * width);
    int64_t floats = scratch_floats(width);
    float *scratch = fr_kernels_workspace(sizeof(float) * (size_t)(floats * fr_threads()));
    if (!scratch)
        return;
    /* Late tiles see more keys under a causal mask: they go first, so that threads end together. */
    PARALLEL_FOR_UNEVEN(task, s->batch * s->heads * tiles,
                        s->batch * s->heads * s->queries * s->keys * width)
    {
        int64_t head = task % s->heads, batch = task / s->heads % s->batch;
        int64_t first = (tiles - 1 - task / (s->heads * s->batch)) * TILE,
                row = batch * s->queries + first;
        query_tile tile;
        query_tile_start(&tile, s, batch, first);
        forward_tile(out + row * out_stride + head * width,
                     log_sum_exp ? log_sum_exp + (batch * s->heads + head) * s->queries + first
                                 : NULL,
                     q + row * q_stride + head * width, key_row(k, s, batch, head / group),
                     value_row(v, s, batch, head / group), &tile, head,
                     scratch + floats * omp_get_thread_num());
    }
}

/* ---- one query per batch row ---- */

enum { SPLIT = 512 }; /* keys of a partial result */

static float bias_of(const fr_attention_shape *s, int64_t head, int64_t distance)
{
    int64_t reach = s->bias_reach;
    return s->bias[head * (2 * reach + 1) + reach + larger(-reach, smaller(reach, distance))];
}

/* The partial result of keys [begin, end) for one query head: maximum, sum, then D numbers of unnormalised output. */
static void single_part(float *part, const float *q, const float *k, const float *v,
                        const fr_attention_shape *s, int64_t batch, int64_t head, int64_t begin,
                        int64_t end)
{
    int64_t width = s->head_width;
    int64_t k_stride = or_else(s->k_stride, s->kv_heads * width),
            v_stride = or_else(s->v_stride, s->kv_heads * width);
    float *restrict output = part + 2, score[SPLIT] = {0}, maximum = -INFINITY, sum = 0.0F,
                    scale = score_scale(s);
    visible seen = visible_keys(s, batch, 0);
    begin = larger(begin, seen.low);
    end = smaller(end, seen.high);
    memset(output, 0, sizeof(float) * (size_t)width);
    for (int64_t j = begin; j < end; j++) {
        const float *restrict key = k + j * k_stride;
        float inner = 0.0F;
        PRAGMA(omp simd reduction(+ : inner))
        for (int64_t d = 0; d < width; d++)
            inner += q[d] * key[d];
        inner *= scale;
        if (s->cap > 0.0F)
            inner = s->cap * fast_tanh(inner / s->cap);
        if (s->bias)
            inner += bias_of(s, head, j - seen.position);
        if (s->alibi)
            inner -= s->alibi[head] * fabsf((float)(seen.position - j));
        if (s->segments && s->segments[batch * s->queries] != s->segments[batch * s->queries + j])
            inner = -INFINITY;
        score[j - begin] = inner;
        maximum = inner > maximum ? inner : maximum;
    }
    float shift = maximum == -INFINITY ? 0.0F : maximum;
    SIMD for (int64_t j = 0; j < end - begin; j++) score[j] = fast_exp(score[j] - shift);
    for (int64_t j = begin; j < end; j++) {
        const float *restrict value = v + j * v_stride;
        float p = score[j - begin];
        sum += p;
        SIMD for (int64_t d = 0; d < width; d++) output[d] += p * value[d];
    }
    part[0] = maximum;
    part[1] = sum;
}

/* Merge the parts of one head, in order. */
static void single_merge(float *out, float *log_sum_exp, const float *parts, int64_t count,
                         int64_t stride, int64_t width)
{
    float maximum = -INFINITY, sum = 0.0F;
    for (int64_t i = 0; i < count; i++)
        maximum = parts[i * stride] > maximum ? parts[i * stride] : maximum;
    float shift = maximum == -INFINITY ? 0.0F : maximum;
    memset(out, 0, sizeof(float) * (size_t)width);
    for (int64_t i = 0; i < count; i++) {
        const float *part = parts + i * stride;
        float factor = fast_exp(part[0] - shift);
        sum += factor * part[1];
        SIMD for (int64_t d = 0; d < width; d++) out[d] += factor * part[2 + d];
    }
    float factor = sum > 0.0F ? 1.0F / sum : 0.0F;
    SIMD for (int64_t d = 0; d < width; d++) out[d] *= factor;
    if (log_sum_exp)
        *log_sum_exp = sum > 0.0F ? maximum + logf(sum) : -INFINITY;
}

/* Query heads that share a key head follow one another on the same thread, while its keys are in the cache. */
static void forward_single(float *out, float *log_sum_exp, const float *q, const float *k,
                           const float *v, const fr_attention_shape *s)
{
    int64_t splits = (s->keys + SPLIT - 1) / SPLIT, width = s->head_width,
            group = s->heads / s->kv_heads;
    int64_t q_stride = or_else(s->q_stride, s->heads * width),
            out_stride = or_else(s->out_stride, s->heads * width);
    int64_t stride = padded(width + 2);
    float *parts =
        fr_kernels_workspace(sizeof(float) * (size_t)(s->batch * s->heads * splits * stride));
    if (!parts)
        return;
    PARALLEL_FOR(task, s->batch * s->kv_heads * splits, 1, s->batch * s->kv_heads * s->keys * width)
    {
        int64_t split = task % splits, kv_head = task / splits % s->kv_heads,
                batch = task / splits / s->kv_heads;
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++)
            single_part(parts + ((batch * s->heads + head) * splits + split) * stride,
                        q + batch * q_stride + head * width, key_row(k, s, batch, kv_head),
                        value_row(v, s, batch, kv_head), s, batch, head, split * SPLIT,
                        smaller((split + 1) * SPLIT, s->keys));
    }
    for (int64_t row = 0; row < s->batch * s->heads; row++)
        single_merge(out + row / s->heads * out_stride + row % s->heads * width,
                     log_sum_exp ? log_sum_exp + row : NULL, parts + row * splits * stride, splits,
                     stride, width);
}

static void attention_forward(float *out, float *log_sum_exp, const float *q, const float *k,
                              const float *v, const fr_attention_shape *shape)
{
    if (shape->queries == 1 && !shape->global && shape->dropout == 0.0F)
        forward_single(out, log_sum_exp, q, k, v, shape);
    else
        forward_tiles(out, log_sum_exp, q, k, v, shape);
}

void FR_LEVEL(fr_kernels_attention_forward)(fr_kernels *table)
{
    table->attention_forward = attention_forward;
}
