/* pooling.c: from the states of a row's tokens to one vector: the first or last token's, a mean, a
   maximum (arXiv 1908.10084, section 3). All but the maximum are a product with a row of weights.

   x (B, T, C), of whose T tokens the first lengths[b] count. */
#include "nn/nn.h"

#include <math.h>

/* ---- weighted sums ---- */

static float weight_of(fr_pooling mode, int64_t place, int64_t length)
{
    switch (mode) {
    case FR_POOLING_CLS:
        return place == 0;
    case FR_POOLING_LAST:
        return place == length - 1;
    case FR_POOLING_MEAN_SQRT:
        return 1 / sqrtf((float)length);
    case FR_POOLING_WEIGHTED_MEAN:
        return (float)(2.0 * (double)(place + 1) / ((double)length * (double)(length + 1)));
    case FR_POOLING_MEAN:
    case FR_POOLING_MAX:
    case FR_POOLINGS:
        break;
    }
    return 1 / (float)length;
}

/* (B, 1, T) */
static fr_tensor *weights_of(fr_pooling mode, fr_tape *tape, const fr_tensor *x,
                             const int32_t *lengths)
{
    int64_t rows = x->shape[0], columns = x->shape[1];
    fr_tensor *weights = fr_tape_tensor(tape, FR_F32, 3, (const int64_t[]){rows, 1, columns});
    float *weight = weights ? fr_tensor_host(weights) : NULL;
    for (int64_t b = 0; b < rows && weight; b++) {
        int64_t length = lengths ? lengths[b] : columns;
        for (int64_t t = 0; t < columns; t++)
            weight[b * columns + t] = t < length ? weight_of(mode, t, length) : 0;
    }
    return weights;
}

/* ---- the maximum ---- */

/* Where each column's largest number stands, as an index into all of x: (B * C). */
static fr_tensor *places_of_largest(fr_tape *tape, const fr_tensor *x, const int32_t *lengths)
{
    int64_t rows = x->shape[0], columns = x->shape[1], width = x->shape[2];
    if (fr_tensor_count(x) > INT32_MAX)
        return fr_tape_fail(tape, FR_UNSUPPORTED, "pooling: %lld numbers are too many at once",
                            (long long)fr_tensor_count(x));
    fr_tensor *places = fr_tape_tensor(tape, FR_I32, 1, (const int64_t[]){rows * width});
    int32_t *place = places ? fr_tensor_host(places) : NULL;
    const float *numbers = fr_tensor_host((fr_tensor *)x);
    for (int64_t b = 0; b < rows && place; b++) {
        int64_t length = lengths ? lengths[b] : columns;
        for (int64_t c = 0; c < width; c++) {
            int64_t best = b * columns * width + c;
            for (int64_t t = 1; t < length; t++) {
                int64_t at = (b * columns + t) * width + c;
                best = numbers[at] > numbers[best] ? at : best;
            }
            place[b * width + c] = (int32_t)best;
        }
    }
    return places;
}

fr_tensor *fr_pool(fr_tape *tape, fr_tensor *x, const fr_tensor *lengths, fr_pooling mode)
{
    if (!x)
        return NULL;
    const int32_t *length = lengths ? fr_tensor_host((fr_tensor *)lengths) : NULL;
    const int64_t shape[] = {x->shape[0], x->shape[2]};
    if (mode != FR_POOLING_MAX)
        return fr_reshape(tape, fr_matmul(tape, weights_of(mode, tape, x, length), x, false, false),
                          2, shape);
    fr_tensor *places = places_of_largest(tape, x, length);
    fr_tensor *all = fr_reshape(tape, x, 1, (const int64_t[]){-1});
    return fr_reshape(tape, fr_gather(tape, all, places), 2, shape);
}

fr_tensor *fr_normalize(fr_tape *tape, fr_tensor *x)
{
    if (!x)
        return NULL;
    const float least = 1e-24F; /* of |x|^2 */
    int64_t width = x->shape[x->rank - 1];
    fr_tensor *ones = fr_tape_tensor(tape, FR_F32, 1, &width);
    float *one = ones ? fr_tensor_host(ones) : NULL;
    for (int64_t i = 0; i < width && one; i++)
        one[i] = 1;
    return fr_scale(tape, fr_rms_norm(tape, x, ones, least / (float)width),
                    1 / sqrtf((float)width));
}
