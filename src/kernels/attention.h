/* attention.h: what the forward and the backward pass of fused attention share: tiles, masks, packing.

   Flash attention (arXiv 2205.14135, 2307.08691) turned on its side: a tile holds TILE queries as *lanes* of vectors, and keys,
   or head dimensions, as rows. Scores are kept transposed, S^T (keys, queries) = K Q^T with Q^T (D, queries) packed once per
   tile, so that the running maximum, the exponentials and the sums go lane by lane without any horizontal step, for every D,
   and K and V are read as they lie. All products are micro_product. */
#ifndef FRUGAL_KERNELS_ATTENTION_H
#define FRUGAL_KERNELS_ATTENTION_H

#include "kernels/micro.h"
#include "kernels/philox.h"

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
    float position[TILE];  /* absolute position: past + t */
    int64_t start;         /* of the first query */
    const int32_t *global; /* (S): keys that every query sees up to its limit; NULL: none */
    int32_t limit[TILE];   /* what high would be without a window */
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

/* Keys [low, high) that a query sees, segments and global keys apart; without a window it would see [0, limit). */
typedef struct visible {
    int64_t low, high, limit, position; /* position: past + t */
} visible;

static inline visible visible_keys(const fr_attention_shape *s, int64_t batch, int64_t t)
{
    int64_t exist = s->lengths ? s->lengths[batch] : s->keys;
    int64_t at = (s->padded ? s->keys : exist) - s->queries + t;
    visible v = {.high = exist, .limit = exist, .position = at};
    if (s->causal)
        v.limit = v.high = larger(0, smaller(exist, at + 1));
    if (s->window > 0) {
        v.low = larger(0, at - s->window + 1);
        v.high = smaller(v.high, at + s->window);
    }
    v.high = larger(v.high, v.low);
    return v;
}

static const int32_t from_the_first[TILE]; /* low of a global key: 0 in every lane */

/* Count the global keys in: the tile's keys lie between those of the windows and those. */
static void query_tile_widen(query_tile *tile)
{
    tile->global = tile->shape->global + tile->batch * tile->shape->keys;
    for (int64_t j = 0; j < tile->limit[TILE - 1]; j++) /* of the last query: the largest */
        if (tile->global[j]) {
            tile->begin = smaller(tile->begin, j);
            tile->end = larger(tile->end, j + 1);
        }
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
    tile->start = visible_keys(s, batch, first).position;
    for (int64_t i = 0; i < TILE; i++) {
        int64_t t = first + smaller(i, tile->count - 1);
        visible v = visible_keys(s, batch, t);
        tile->low[i] = (int32_t)v.low;
        tile->high[i] = (int32_t)v.high;
        tile->limit[i] = (int32_t)v.limit;
        tile->position[i] = (float)v.position;
        if (v.high > v.low) {
            tile->begin = smaller(tile->begin, v.low);
            tile->end = larger(tile->end, v.high);
        }
        tile->all_begin = larger(tile->all_begin, v.low);
        tile->all_end = smaller(tile->all_end, v.high);
        if (s->segments) {
            int32_t segment = s->segments[batch * s->queries + t];
            tile->segment[i] = segment;
            tile->segment_low = segment < tile->segment_low ? segment : tile->segment_low;
            tile->segment_high = segment > tile->segment_high ? segment : tile->segment_high;
        }
    }
    if (s->global)
        query_tile_widen(tile);
}

/* Between the windows' keys [first, last) and the global ones there are keys that nobody sees. */
static bool between_windows(const query_tile *tile, int64_t begin, int64_t end)
{
    int32_t low = tile->low[0], high = tile->high[TILE - 1]; /* both rise with the query */
    if (end > low && begin < high)
        return false;
    for (int64_t j = begin; j < end; j++)
        if (tile->global[j])
            return false;
    return true;
}

/* No query of the tile sees a key of [begin, end), which lie inside the tile's: they can be skipped. */
static bool nothing_visible(const query_tile *tile, int64_t begin, int64_t end)
{
    if (tile->global && between_windows(tile, begin, end))
        return true;
    if (!tile->shape->segments)
        return false;
    const int32_t *segments = tile->shape->segments + tile->batch * tile->shape->queries;
    for (int64_t j = begin; j < end; j++)
        if (segments[j] >= tile->segment_low && segments[j] <= tile->segment_high)
            return false;
    return true;
}

/* scores = cap * tanh(scores / cap); slopes, when not NULL, receives the derivative. */
static void cap_scores(float *scores, float *slopes, float cap, int64_t count)
{
    float inverse = 1.0F / cap;
    SIMD for (int64_t i = 0; i < count; i++)
    {
        float t = fast_tanh(scores[i] * inverse);
        scores[i] = cap * t;
        if (slopes)
            slopes[i] = 1.0F - t * t;
    }
}

/* The bias of a key depends on key - query alone, so on i - j in a tile (keys j, lanes i): element i - j + KEY_TILE - 1 of
   `line` stands for it, and a row of scores meets consecutive ones. What lies beyond the table's reach takes its end. */
enum { LINE = TILE + KEY_TILE - 1 };

static inline int64_t bias_place(const query_tile *tile, int64_t begin, int64_t x)
{
    int64_t reach = tile->shape->bias_reach, distance = begin - tile->start - (x - KEY_TILE + 1);
    return reach + larger(-reach, smaller(reach, distance));
}

static void add_relative_bias(float *scores, const query_tile *tile, int64_t head, int64_t begin,
                              int64_t end)
{
    const float *table = tile->shape->bias + head * (2 * tile->shape->bias_reach + 1);
    float line[LINE];
    for (int64_t x = 0; x < LINE; x++)
        line[x] = table[bias_place(tile, begin, x)];
    for (int64_t j = 0; j < end - begin; j++) {
        const float *part = line + KEY_TILE - 1 - j;
        SIMD for (int i = 0; i < TILE; i++) scores[j * TILE + i] += part[i];
    }
}

/* Factors of the probabilities (keys, TILE) of keys begin .. end - 1; begin is a multiple of four. */
static void dropout_tile(float *factor, const query_tile *tile, int64_t head, int64_t begin,
                         int64_t end)
{
    const fr_attention_shape *s = tile->shape;
    dropout_key key = dropout_key_of(s->dropout, s->seed, s->step, s->call);
    uint64_t blocks = (uint64_t)(s->keys + 3) / 4; /* of a query */
    uint64_t first =
        (uint64_t)((tile->batch * s->heads + head) * s->queries + tile->first) * blocks;
    for (int64_t j = begin; j < end; j += 4) {
        float *rows = factor + (j - begin) * TILE;
        SIMD for (int i = 0; i < TILE; i++)
        {
            float four[4];
            dropout_factors(&key, first + (uint64_t)i * blocks + (uint64_t)j / 4, four);
            for (int r = 0; r < 4; r++)
                rows[r * TILE + i] = four[r];
        }
    }
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
    if (s->bias)
        add_relative_bias(scores, tile, head, begin, end);
    if (begin < tile->all_begin || end > tile->all_end)
        for (int64_t j = begin; j < end; j++) {
            float *row = scores + (j - begin) * TILE;
            int32_t key = (int32_t)j;
            bool global = tile->global && tile->global[j];
            const int32_t *low = global ? from_the_first : tile->low,
                          *high = global ? tile->limit : tile->high;
            SIMD for (int i = 0; i < TILE; i++) row[i] =
                ((key >= low[i]) & (key < high[i])) ? row[i] : -INFINITY;
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
