/* attention_backward.c: gradients of fused attention from the saved log-sum-exp; see attention.h for the layout.

   With P = exp(S - lse), dP = dO V^T, delta = rowsum(dO * O) and dS = P * (dP - delta):
       dV = P^T dO,  dQ = scale dS K,  dK = scale dS^T Q.
   With dropout's factors M it is dP = M * (dO V^T), and dV = (P * M)^T dO; a cap multiplies dS by its derivative.
   One thread owns a (batch row, key head): it walks the query heads that share it and their tiles, so every sum has one order
   and no two threads write the same number. */
#include "kernels/attention.h"

#include <omp.h>

/* The scratch of one thread. Lanes are (D, TILE), rows (TILE, padded(D)). */
typedef struct scratch {
    float *queries_lanes, *dout_lanes, *dq_lanes; /* D * TILE each */
    float *queries_rows, *dout_rows, *keys, *values;
    float *scores, *dscores; /* (KEY_TILE, TILE) */
    float *dkeys, *dvalues;  /* (S, padded(D)) */
    float *slopes, *factor;  /* (KEY_TILE, TILE): of a cap, of dropout */
    float *dbias;            /* of the tile's batch row, like bias; NULL: not wanted */
} scratch;

static int64_t scratch_floats(const fr_attention_shape *s)
{
    int64_t wide = padded(s->head_width);
    return 3 * s->head_width * TILE + 2 * TILE * wide + 2 * KEY_TILE * wide + 2 * KEY_TILE * TILE +
           2 * s->keys * wide + 2 * KEY_TILE * TILE;
}

static scratch scratch_cut(float *memory, const fr_attention_shape *s)
{
    int64_t lanes = s->head_width * TILE, wide = padded(s->head_width);
    scratch cut = {
        .queries_lanes = memory, .dout_lanes = memory + lanes, .dq_lanes = memory + 2 * lanes};
    cut.queries_rows = memory + 3 * lanes;
    cut.dout_rows = cut.queries_rows + TILE * wide;
    cut.keys = cut.dout_rows + TILE * wide;
    cut.values = cut.keys + KEY_TILE * wide;
    cut.scores = cut.values + KEY_TILE * wide;
    cut.dscores = cut.scores + KEY_TILE * TILE;
    cut.dkeys = cut.dscores + KEY_TILE * TILE;
    cut.dvalues = cut.dkeys + s->keys * wide;
    cut.slopes = cut.dvalues + s->keys * wide;
    cut.factor = cut.slopes + KEY_TILE * TILE;
    return cut;
}

/* scores become what multiplied the values, dscores the gradient of the scores after their cap. */
static void differentiate_dropped(const scratch *w, const query_tile *tile, int64_t head,
                                  int64_t begin, int64_t end, const float shift[TILE],
                                  const float delta[TILE])
{
    dropout_tile(w->factor, tile, head, begin, end);
    for (int64_t j = 0; j < end - begin; j++) {
        float *restrict score = w->scores + j * TILE;
        float *restrict dscore = w->dscores + j * TILE;
        const float *restrict factor = w->factor + j * TILE;
        SIMD for (int i = 0; i < TILE; i++)
        {
            float p = fast_exp(score[i] - shift[i]);
            score[i] = p * factor[i];
            dscore[i] = p * (dscore[i] * factor[i] - delta[i]);
        }
    }
}

/* The same without dropout. */
static void differentiate(const scratch *w, int64_t count, const float shift[TILE],
                          const float delta[TILE])
{
    for (int64_t j = 0; j < count; j++) {
        float *restrict score = w->scores + j * TILE;
        float *restrict dscore = w->dscores + j * TILE;
        SIMD for (int i = 0; i < TILE; i++)
        {
            float p = fast_exp(score[i] - shift[i]);
            score[i] = p;
            dscore[i] = p * (dscore[i] - delta[i]);
        }
    }
}

/* dbias += what of dscores meets each of its elements; see add_relative_bias. */
static void gather_bias(const scratch *w, const query_tile *tile, int64_t head, int64_t begin,
                        int64_t end)
{
    float line[LINE] = {0}, *table = w->dbias + head * (2 * tile->shape->bias_reach + 1);
    for (int64_t j = 0; j < end - begin; j++) {
        float *part = line + KEY_TILE - 1 - j;
        SIMD for (int i = 0; i < TILE; i++) part[i] += w->dscores[j * TILE + i];
    }
    for (int64_t x = 0; x < LINE; x++)
        table[bias_place(tile, begin, x)] += line[x];
}

/* Everything of one tile of queries against keys begin .. end - 1. */
static void backward_keys(const scratch *w, const float *k, const float *v, const query_tile *tile,
                          int64_t head, int64_t begin, int64_t end, const float shift[TILE],
                          const float delta[TILE])
{
    const fr_attention_shape *s = tile->shape;
    int64_t width = s->head_width, wide = padded(width), count = end - begin;
    int64_t k_stride = or_else(s->k_stride, s->kv_heads * width),
            v_stride = or_else(s->v_stride, s->kv_heads * width);
    pack_rows(w->keys, k + begin * k_stride, k_stride, count, width);
    pack_rows(w->values, v + begin * v_stride, v_stride, count, width);
    memset(w->scores, 0, sizeof(float) * (size_t)(count * TILE));
    memset(w->dscores, 0, sizeof(float) * (size_t)(count * TILE));
    micro_product(count, TILE, width, w->scores, TILE, w->keys, wide, 1, w->queries_lanes, TILE);
    if (s->cap > 0.0F)
        cap_scores(w->scores, w->slopes, s->cap, count * TILE);
    mask_scores(w->scores, tile, head, begin, end);
    micro_product(count, TILE, width, w->dscores, TILE, w->values, wide, 1, w->dout_lanes, TILE);
    if (s->dropout > 0.0F)
        differentiate_dropped(w, tile, head, begin, end, shift, delta);
    else
        differentiate(w, count, shift, delta);
    if (w->dbias)
        gather_bias(w, tile, head, begin, end);
    if (s->cap > 0.0F)
        SIMD for (int64_t i = 0; i < count * TILE; i++) w->dscores[i] *= w->slopes[i];
    micro_product(width, TILE, count, w->dq_lanes, TILE, w->keys, 1, wide, w->dscores, TILE);
    micro_product(count, wide, tile->count, w->dvalues + begin * wide, wide, w->scores, TILE, 1,
                  w->dout_rows, wide);
    micro_product(count, wide, tile->count, w->dkeys + begin * wide, wide, w->dscores, TILE, 1,
                  w->queries_rows, wide);
}

/* Pointers are at the tile's first query, for this head; dq is dense. */
static void backward_tile(float *dq, const float *dout, const float *out, const float *log_sum_exp,
                          const float *q, const float *k, const float *v, const query_tile *tile,
                          int64_t head, const scratch *w, bool accumulate)
{
    const fr_attention_shape *s = tile->shape;
    int64_t width = s->head_width, count = tile->count;
    int64_t q_stride = or_else(s->q_stride, s->heads * width),
            out_stride = or_else(s->out_stride, s->heads * width);
    float shift[TILE], delta[TILE] = {0}, factor[TILE], scale = score_scale(s);
    for (int64_t i = 0; i < TILE; i++) {
        /* A query that sees nothing, and an empty lane, get p = exp(-infinity) = 0 or are never stored. */
        shift[i] = i < count && log_sum_exp[i] != -INFINITY ? log_sum_exp[i] : 0.0F;
        factor[i] = scale;
    }
    for (int64_t i = 0; i < count; i++) {
        const float *left = dout + i * out_stride, *right = out + i * out_stride;
        float inner = 0.0F;
        PRAGMA(omp simd reduction(+ : inner))
        for (int64_t d = 0; d < width; d++)
            inner += left[d] * right[d];
        delta[i] = inner;
    }
    pack_lanes(w->queries_lanes, q, q_stride, count, width, scale);
    pack_lanes(w->dout_lanes, dout, out_stride, count, width, 1.0F);
    pack_rows(w->queries_rows, q, q_stride, count, width);
    pack_rows(w->dout_rows, dout, out_stride, count, width);
    memset(w->dq_lanes, 0, sizeof(float) * (size_t)(width * TILE));
    for (int64_t begin = tile->begin / KEY_TILE * KEY_TILE; begin < tile->end; begin += KEY_TILE) {
        int64_t end = smaller(begin + KEY_TILE, tile->end);
        if (!nothing_visible(tile, begin, end))
            backward_keys(w, k, v, tile, head, begin, end, shift, delta);
    }
    unpack_lanes(dq, w->dq_lanes, s->heads * width, count, width, factor, accumulate);
}

/* Rows of dx (S, stride) = factor * rows (S, padded(D)) */
static void store_rows(float *dx, int64_t stride, const float *rows, int64_t count, int64_t width,
                       float factor, bool accumulate)
{
    int64_t wide = padded(width);
    for (int64_t j = 0; j < count; j++) {
        float *restrict to = dx + j * stride;
        const float *restrict from = rows + j * wide;
        if (accumulate) {
            SIMD for (int64_t d = 0; d < width; d++) to[d] += from[d] * factor;
        } else {
            SIMD for (int64_t d = 0; d < width; d++) to[d] = from[d] * factor;
        }
    }
}

/* dbias += the batch rows' parts (B, size), in order. */
static void add_parts(float *dbias, const float *parts, int64_t batch, int64_t size)
{
    for (int64_t b = 0; b < batch; b++)
        SIMD for (int64_t i = 0; i < size; i++) dbias[i] += parts[b * size + i];
}

static void attention_backward(float *dq, float *dk, float *dv, float *dbias, const float *dout,
                               const float *out, const float *log_sum_exp, const float *q,
                               const float *k, const float *v, const fr_attention_shape *s,
                               bool accumulate_q, bool accumulate_k, bool accumulate_v)
{
    int64_t width = s->head_width, group = s->heads / s->kv_heads, wide = padded(width),
            floats = scratch_floats(s);
    int64_t q_stride = or_else(s->q_stride, s->heads * width),
            out_stride = or_else(s->out_stride, s->heads * width);
    int64_t bias_size = dbias ? s->heads * (2 * s->bias_reach + 1) : 0;
    float *memory = fr_kernels_workspace(sizeof(float) *
                                         (size_t)(floats * fr_threads() + s->batch * bias_size));
    if (!memory)
        return;
    float *bias_parts = memory + floats * fr_threads();
    memset(bias_parts, 0, sizeof(float) * (size_t)(s->batch * bias_size));
    PARALLEL_FOR_UNEVEN(task, s->batch * s->kv_heads,
                        s->batch * s->heads * s->queries * s->keys * width)
    {
        int64_t batch = task / s->kv_heads, kv_head = task % s->kv_heads;
        scratch w = scratch_cut(memory + floats * omp_get_thread_num(), s);
        w.dbias = dbias ? bias_parts + batch * bias_size : NULL;
        memset(w.dkeys, 0, 2 * sizeof(float) * (size_t)(s->keys * wide));
        for (int64_t first = 0; first < s->queries; first += TILE) {
            query_tile tile;
            query_tile_start(&tile, s, batch, first);
            int64_t row = batch * s->queries + first;
            for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++)
                backward_tile(dq + (row * s->heads + head) * width,
                              dout + row * out_stride + head * width,
                              out + row * out_stride + head * width,
                              log_sum_exp + (batch * s->heads + head) * s->queries + first,
                              q + row * q_stride + head * width, key_row(k, s, batch, kv_head),
                              value_row(v, s, batch, kv_head), &tile, head, &w, accumulate_q);
        }
        int64_t at = (batch * s->keys * s->kv_heads + kv_head) * width;
        store_rows(dk + at, s->kv_heads * width, w.dkeys, s->keys, width, score_scale(s),
                   accumulate_k);
        store_rows(dv + at, s->kv_heads * width, w.dvalues, s->keys, width, 1.0F, accumulate_v);
    }
    if (dbias)
        add_parts(dbias, bias_parts, s->batch, bias_size);
}

void FR_LEVEL(fr_kernels_attention_backward)(fr_kernels *table)
{
    table->attention_backward = attention_backward;
}
