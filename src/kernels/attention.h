/* attention.h: what the forward and the backward pass of fused attention share: tiles, masks, packing.

   Flash attention (arXiv 2205.14135, 2307.08691) turned on its side: a tile holds TILE queries as *lanes* of vectors, and keys,
   or head dimensions, as rows. Scores are kept transposed, S^T (keys, queries) = K Q^T with Q^T (D, queries) packed once per
   tile, so that the running maximum, the exponentials and the sums go lane by lane without any horizontal step, for every D,
   and K and V are read as they lie. All products are micro_product. */
#ifndef FRUGAL_KERNELS_ATTENTION_H
#define FRUGAL_KERNELS_ATTENTION_H

#include "kernels/micro.h"

enum { TILE = 64 };     /* queries of a tile: lanes */
enum { KEY_TILE = 64 }; /* keys of a tile: rows */

/* One (batch row, query tile): which keys each query sees. */
typedef struct query_tile {
    const fr_attention_shape *shape;
    int64_t batch, first,
        count; /* queries first .. first + count - 1 of the batch row; the other lanes are empty */
    int64_t begin, end; /* keys that any query sees lie in [begin, end) */
    int64_t all_begin,
        all_end; /* keys in here are seen by every lane, empty ones too, segments apart */
    int32_t segment_low, segment_high; /* of the tile's queries */
    int32_t low[TILE], high[TILE];     /* lane i sees keys low[i] <= j < high[i] */
    int32_t segment[TILE];
    float position[TILE]; /* absolute position: past + t */
} query_tile;

static inline int64_t or_else(int64_t value, int64_t otherwise)
{
    return value ? value : otherwise;
}

static inline const float *key_row(const float *k, const fr_attention_shape *s, int64_t batch,
                                   int64_t kv_head)
{
    int64_t stride = or_else(s->k_stride, s->kv_heads * s->head_width);
    return k + batch * or_else(s->k_batch_stride, s->keys * stride) + kv_head * s->head_width;
}

static inline const float *value_row(const float *v, const fr_attention_shape *s, int64_t batch,
                                     int64_t kv_head)
{
    int64_t stride = or_else(s->v_stride, s->kv_heads * s->head_width);
    return v + batch * or_else(s->v_batch_stride, s->keys * stride) + kv_head * s->head_width;
}

static inline float score_scale(const fr_attention_shape *s)
{
    return s->scale != 0.0F ? s->scale : 1.0F / sqrtf((float)s->head_width);
}

/* Keys [low, high) that query t of a batch row sees, segments apart; `past + t` is its absolute position. */
static inline void visible_keys(const fr_attention_shape *s, int64_t batch, int64_t t, int64_t *low,
                                int64_t *high, int64_t *position)
{
    int64_t exist = s->lengths ? s->lengths[batch] : s->keys;
    int64_t past = (s->lengths ? exist : s->keys) - s->queries, at = past + t;
    *position = at;
    *low = s->window > 0 ? larger(0, at - s->window + 1) : 0;
    *high = s->causal       ? smaller(exist, at + 1)
            : s->window > 0 ? smaller(exist, at + s->window)
                            : exist;
    *high = larger(*high, *low);
}

static void query_tile_start(query_tile *tile, const fr_attention_shape *s, int64_t batch,
                             int64_t first)
{
    *tile = (query_tile){
        .shape = s, .batch = batch, .first = first, .count = smaller(TILE, s->queries - first)};
    tile->begin = s->keys;
    tile->all_end = s->keys;
    tile->segment_low = INT32_MAX;
    tile->segment_high = INT32_MIN;
    for (int64_t i = 0; i < TILE; i++) {
        int64_t t = first + smaller(i, tile->count - 1), low, high, position;
        visible_keys(s, batch, t, &low, &high, &position);
        tile->low[i] = (int32_t)low;
        tile->high[i] = (int32_t)high;
        tile->position[i] = (float)position;
        if (high > low) {
            tile->begin = smaller(tile->begin, low);
            tile->end = larger(tile->end, high);
        }
        tile->all_begin = larger(tile->all_begin, low);
        tile->all_end = smaller(tile->all_end, high);
        if (s->segments) {
            int32_t segment = s->segments[batch * s->queries + t];
            tile->segment[i] = segment;
            tile->segment_low = segment < tile->segment_low ? segment : tile->segment_low;
            tile->segment_high = segment > tile->segment_high ? segment : tile->segment_high;
        }
    }
}

/* No query of the tile shares a segment with keys [begin, end): the tile can be skipped. */
static bool segments_apart(const query_tile *tile, int64_t begin, int64_t end)
{
    if (!tile->shape->segments)
        return false;
    const int32_t *segments = tile->shape->segments + tile->batch * tile->shape->queries;
    for (int64_t j = begin; j < end; j++)
        if (segments[j] >= tile->segment_low && segments[j] <= tile->segment_high)
            return false;
    return true;
}

/* Bias and masks on scores (keys, TILE) of keys begin .. end - 1 for one head. */
static void mask_scores(float *scores, const query_tile *tile, int64_t head, int64_t begin,
                        int64_t end)
{
    const fr_attention_shape *s = tile->shape;
    if (s->alibi) {
        float slope = s->alibi[head];
        for (int64_t j = begin; j < end; j++) {
            float *row = scores + (j - begin) * TILE, key = (float)j;
            SIMD for (int i = 0; i < TILE; i++) row[i] -= slope * fabsf(tile->position[i] - key);
        }
    }
    if (begin < tile->all_begin || end > tile->all_end)
        for (int64_t j = begin; j < end; j++) {
            float *row = scores + (j - begin) * TILE;
            int32_t key = (int32_t)j;
            SIMD for (int i = 0; i < TILE; i++) row[i] =
                ((key >= tile->low[i]) & (key < tile->high[i])) ? row[i] : -INFINITY;
        }
    if (s->segments)
        for (int64_t j = begin; j < end; j++) {
            float *row = scores + (j - begin) * TILE;
            int32_t segment = s->segments[tile->batch * s->queries + j];
            SIMD for (int i = 0; i < TILE; i++) row[i] =
                tile->segment[i] == segment ? row[i] : -INFINITY;
        }
}

/* out (D, TILE) = factor * rows of x transposed; lanes beyond `count` are zero. x: count rows of `width`, `stride` apart. */
static void pack_lanes(float *out, const float *x, int64_t stride, int64_t count, int64_t width,
                       float factor)
{
    if (count < TILE)
        memset(out, 0, sizeof(float) * (size_t)(width * TILE));
    for (int64_t d = 0; d < width; d += 16) {
        int64_t end = smaller(d + 16, width);
        for (int64_t i = 0; i < count; i++)
            for (int64_t e = d; e < end; e++)
                out[e * TILE + i] = x[i * stride + e] * factor;
    }
}

/* The reverse: rows of x = lanes of `lanes` (D, TILE), each times factor[i]; added when `accumulate`. */
static void unpack_lanes(float *x, const float *lanes, int64_t stride, int64_t count, int64_t width,
                         const float *factor, bool accumulate)
{
    for (int64_t d = 0; d < width; d += 16) {
        int64_t end = smaller(d + 16, width);
        for (int64_t i = 0; i < count; i++)
            for (int64_t e = d; e < end; e++) {
                float value = lanes[e * TILE + i] * factor[i];
                x[i * stride + e] = accumulate ? x[i * stride + e] + value : value;
            }
    }
}

/* out (count, padded(D)): rows of x side by side, the padding zero. */
static void pack_rows(float *out, const float *x, int64_t stride, int64_t count, int64_t width)
{
    int64_t wide = padded(width);
    for (int64_t i = 0; i < count; i++) {
        memcpy(out + i * wide, x + i * stride, sizeof(float) * (size_t)width);
        if (wide > width)
            memset(out + i * wide + width, 0, sizeof(float) * (size_t)(wide - width));
    }
}

#endif
