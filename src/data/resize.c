/* resize.c: a picture in another size, with the numbers of Pillow, whose results image models are trained on.

   A pixel of the result is a weighted mean of the pixels around the place where it comes from, first within rows, then within columns
   (the other way round where the height shrinks by more than twice what the width does, as since Pillow 13), each rounded to 8
   bits. When the picture shrinks, the filter is stretched by the factor, so that every pixel counts. Weights are
   whole numbers of 22 bits behind the point, which makes sums exact and their order free; they are rounded as Pillow rounds them. Only
   `nearest` looks at one pixel alone. */
#include "data/image.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 3, BITS = 22 };

/* ---- filters: weight at a distance in pixels of the result, or of the picture when it grows ---- */

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0)
        return 1;
    x *= M_PI;
    return x < M_PI ? sin(x) / x * (0.54 + 0.46 * cos(x)) : 0;
}

/* Keys, Cubic convolution interpolation for digital image processing, 1981, with a = -1/2. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double sinc(double x)
{
    x *= M_PI;
    return x == 0 ? 1 : sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct {
    double (*weight)(double distance);
    double reach;
} filters[] = {[FR_RESAMPLE_LANCZOS] = {lanczos, 3},
               [FR_RESAMPLE_BILINEAR] = {triangle, 1},
               [FR_RESAMPLE_BICUBIC] = {cubic, 2},
               [FR_RESAMPLE_BOX] = {box, 0.5},
               [FR_RESAMPLE_HAMMING] = {hamming, 1}};

/* ---- weights of one axis ---- */

/* Pixel i of the result: `counts[i]` pixels from `firsts[i]` on, with weights from weights + i * most on. */
typedef struct weights {
    int64_t *firsts, *counts;
    int32_t *weights;
    int64_t most;
} weights;

static void weights_free(weights *w)
{
    fr_free(w->firsts);
    fr_free(w->counts);
    fr_free(w->weights);
}

static void weigh(const weights *w, int64_t i, int64_t from, double scale, fr_resample resample,
                  double *share)
{
    double stretch = scale > 1 ? scale : 1, reach = filters[resample].reach * stretch;
    double center = ((double)i + 0.5) * scale, sum = 0;
    int64_t first = (int64_t)(center - reach + 0.5), end = (int64_t)(center + reach + 0.5);
    first = first < 0 ? 0 : first;
    end = end > from ? from : end;
    w->firsts[i] = first;
    w->counts[i] = end - first;
    for (int64_t j = 0; j < w->counts[i]; j++) {
        share[j] = filters[resample].weight(((double)(first + j) - center + 0.5) * (1 / stretch));
        sum += share[j];
    }
    for (int64_t j = 0; j < w->counts[i]; j++) {
        double part = (sum != 0 ? share[j] / sum : share[j]) * (1 << BITS);
        w->weights[i * w->most + j] = (int32_t)(part + (part < 0 ? -0.5 : 0.5));
    }
}

static bool weights_make(weights *w, int64_t from, int64_t to, fr_resample resample)
{
    double scale = (double)from / (double)to, stretch = scale > 1 ? scale : 1;
    w->most = (int64_t)ceil(filters[resample].reach * stretch) * 2 + 1;
    w->firsts = fr_alloc_array((size_t)to, sizeof *w->firsts, FR_MEMORY_DATA);
    w->counts = fr_alloc_array((size_t)to, sizeof *w->counts, FR_MEMORY_DATA);
    w->weights = fr_alloc_array((size_t)(to * w->most), sizeof *w->weights, FR_MEMORY_DATA);
    double *share = fr_alloc_array((size_t)w->most, sizeof *share, FR_MEMORY_DATA);
    bool whole = w->firsts && w->counts && w->weights && share;
    for (int64_t i = 0; i < to && whole; i++)
        weigh(w, i, from, scale, resample, share);
    fr_free(share);
    return whole;
}

/* ---- passes ---- */

static uint8_t rounded(int64_t sum)
{
    sum >>= BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > UINT8_MAX ? UINT8_MAX : sum);
}

/* Pixel i of the result from `in`, whose pixels on the axis are `stride` bytes apart. */
static void mix(uint8_t *out, const uint8_t *in, int64_t stride, const weights *w, int64_t i)
{
    int64_t sums[CHANNELS] = {1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1)};
    const int32_t *weight = w->weights + i * w->most;
    in += w->firsts[i] * stride;
    for (int64_t j = 0; j < w->counts[i]; j++, in += stride)
        for (int c = 0; c < CHANNELS; c++)
            sums[c] += (int64_t)in[c] * weight[j];
    for (int c = 0; c < CHANNELS; c++)
        out[c] = rounded(sums[c]);
}

/* One axis: rows in themselves, or columns. */
static fr_status pass(fr_image *out, const fr_image *in, bool columns, int64_t to,
                      fr_resample resample, fr_error *error)
{
    weights w = {0};
    int64_t from = columns ? in->height : in->width, row = in->width * CHANNELS;
    fr_status status = fr_image_allocate(out, columns ? in->width : to, columns ? to : in->height,
                                         "resized", error);
    if (status == FR_OK && !weights_make(&w, from, to, resample))
        status = fr_fail(error, FR_NO_MEMORY, "no memory to resize a picture");
    uint8_t *pixel = out->pixels;
    for (int64_t y = 0; y < out->height && status == FR_OK; y++)
        for (int64_t x = 0; x < out->width; x++, pixel += CHANNELS) {
            const uint8_t *line = in->pixels + (columns ? x * CHANNELS : y * row);
            mix(pixel, line, columns ? row : CHANNELS, &w, columns ? y : x);
        }
    weights_free(&w);
    return status;
}

/* Places are summed up, as Pillow does, whose rounding decides at ties. */
static fr_status nearest(fr_image *out, const fr_image *in, int64_t width, int64_t height,
                         fr_error *error)
{
    FR_TRY(fr_image_allocate(out, width, height, "resized", error));
    double step_x = (double)in->width / (double)width, step_y = (double)in->height / (double)height;
    double from_y = 0.5 * step_y;
    uint8_t *pixel = out->pixels;
    for (int64_t y = 0; y < height; y++, from_y += step_y) {
        double from_x = 0.5 * step_x;
        for (int64_t x = 0; x < width; x++, pixel += CHANNELS, from_x += step_x) {
            int64_t column = (int64_t)from_x, row = (int64_t)from_y;
            column = column < in->width ? column : in->width - 1;
            row = row < in->height ? row : in->height - 1;
            memcpy(pixel, in->pixels + (row * in->width + column) * CHANNELS, CHANNELS);
        }
    }
    return FR_OK;
}

static fr_status copy(fr_image *out, const fr_image *image, fr_error *error)
{
    FR_TRY(fr_image_allocate(out, image->width, image->height, "resized", error));
    memcpy(out->pixels, image->pixels, (size_t)(image->width * image->height * CHANNELS));
    return FR_OK;
}

fr_status fr_image_resize(fr_image *out, const fr_image *image, int64_t width, int64_t height,
                          fr_resample resample, fr_error *error)
{
    *out = (fr_image){0};
    if (resample == FR_RESAMPLE_NEAREST)
        return nearest(out, image, width, height, error);
    bool columns_first =
        height < image->height && image->height - height > 2 * (image->width - width);
    fr_image steps[2] = {{0}, {0}};
    const fr_image *from = image;
    fr_status status = FR_OK;
    for (int i = 0; i < 2 && status == FR_OK; i++) {
        bool columns = columns_first == (i == 0);
        int64_t to = columns ? height : width;
        if (to == (columns ? from->height : from->width))
            continue;
        status = pass(&steps[i], from, columns, to, resample, error);
        from = &steps[i];
    }
    if (status == FR_OK && from == image)
        status = copy(out, image, error);
    for (int i = 0; i < 2; i++)
        if (status == FR_OK && from == &steps[i])
            *out = steps[i];
        else
            fr_image_free(&steps[i]);
    return status;
}
