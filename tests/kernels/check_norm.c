/* check_norm.c: layer norm and RMS norm, forward and backward. The twin's backward is the full Jacobian formula in double. */
#include "check.h"

enum { EPS_INVERSE = 100000 };

/* rms: no mean is taken off, no bias. */
static void naive_norm(double *y, double *dx, double *dweight, double *dbias, const float *x,
                       const float *weight, const float *bias, const float *dy, int64_t rows,
                       int64_t width, bool rms)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = x + r * width, *up = dy + r * width;
        double mean = 0.0, variance = 0.0, mean_g = 0.0, mean_gh = 0.0;
        for (int64_t i = 0; i < width && !rms; i++)
            mean += (double)in[i] / (double)width;
        for (int64_t i = 0; i < width; i++)
            variance += ((double)in[i] - mean) * ((double)in[i] - mean) / (double)width;
        double scale = 1.0 / sqrt(variance + 1.0 / EPS_INVERSE);
        for (int64_t i = 0; i < width; i++) {
            double h = ((double)in[i] - mean) * scale, g = (double)up[i] * (double)weight[i];
            y[r * width + i] = h * (double)weight[i] + (bias ? (double)bias[i] : 0.0);
            mean_g += rms ? 0.0 : g / (double)width;
            mean_gh += g * h / (double)width;
            dweight[i] += (double)up[i] * h;
            dbias[i] += (double)up[i];
        }
        for (int64_t i = 0; i < width; i++)
            dx[r * width + i] = scale * ((double)up[i] * (double)weight[i] - mean_g -
                                         ((double)in[i] - mean) * scale * mean_gh);
    }
}

static void check_shape(const fr_kernels *kernels, int64_t rows, int64_t width, bool rms,
                        bool with_bias)
{
    int64_t count = rows * width;
    float *x = check_floats(count), *dy = check_floats(count), *y = check_floats(count),
          *dx = check_floats(count);
    float *weight = check_floats(width), *bias = with_bias ? check_floats(width) : NULL;
    float *mean = check_floats(rows), *rstd = check_floats(rows), *dw = check_constant(width, 0.0F);
    float *db = with_bias ? check_constant(width, 0.0F) : NULL;
    double *y2 = check_doubles(count), *dx2 = check_doubles(count), *dw2 = check_doubles(width),
           *db2 = check_doubles(width);
    float eps = 1.0F / EPS_INVERSE;
    naive_norm(y2, dx2, dw2, db2, x, weight, bias, dy, rows, width, rms);
    if (rms)
        kernels->rms_norm_forward(y, rstd, x, weight, eps, rows, width);
    else
        kernels->layer_norm_forward(y, mean, rstd, x, weight, bias, eps, rows, width);
    check_close("norm forward", y, y2, count, 2e-6);
    for (int pass = 0; pass < 2; pass++) { /* the second adds the same again */
        if (rms)
            kernels->rms_norm_backward(dx, dw, dy, x, weight, rstd, rows, width, pass == 1);
        else
            kernels->layer_norm_backward(dx, dw, db, dy, x, weight, mean, rstd, rows, width,
                                         pass == 1);
        for (int64_t i = 0; i < count && pass == 1; i++)
            dx2[i] *= 2.0;
        for (int64_t i = 0; i < width && pass == 1; i++) {
            dw2[i] *= 2.0;
            db2[i] *= 2.0;
        }
        check_close("norm dx", dx, dx2, count, 1e-5);
        check_close("norm dweight", dw, dw2, width, 1e-5);
        if (db)
            check_close("norm dbias", db, db2, width, 1e-5);
    }
    if (rms)
        kernels->rms_norm_backward(dx, NULL, dy, x, weight, rstd, rows, width, false);
    else
        kernels->layer_norm_backward(dx, NULL, NULL, dy, x, weight, mean, rstd, rows, width, false);
    for (int64_t i = 0; i < count; i++)
        dx2[i] *= 0.5;
    check_close("norm dx alone", dx, dx2, count, 1e-5);
}

void check_norm(const fr_kernels *kernels)
{
    static const int64_t shapes[][2] = {{1, 3}, {3, 17}, {17, 65}, {65, 255}, {301, 257}};
    for (int s = 0; s < 5; s++) {
        check_shape(kernels, shapes[s][0], shapes[s][1], true, false);
        check_shape(kernels, shapes[s][0], shapes[s][1], false, true);
        check_shape(kernels, shapes[s][0], shapes[s][1], false, false);
    }
    enum { ROWS = 2048, WIDTH = 512, COUNT = ROWS * WIDTH };
    if (!check_timing())
        return;
    float *x = check_floats(COUNT), *dy = check_floats(COUNT), *y = check_floats(COUNT),
          *w = check_floats(WIDTH);
    float *mean = check_floats(ROWS), *rstd = check_constant(ROWS, 1.0F), *dw = check_floats(WIDTH),
          *db = check_floats(WIDTH);
    double *a = check_doubles(COUNT), *b = check_doubles(COUNT), *c = check_doubles(WIDTH),
           *d = check_doubles(WIDTH);
    CHECK_TIME("layer_norm forward 2048x512", 0, 8.0 * COUNT,
               kernels->layer_norm_forward(y, mean, rstd, x, w, w, 1e-5F, ROWS, WIDTH),
               naive_norm(a, b, c, d, x, w, w, dy, ROWS, WIDTH, false));
    CHECK_TIME("layer_norm backward 2048x512", 0, 12.0 * COUNT,
               kernels->layer_norm_backward(y, dw, db, dy, x, w, mean, rstd, ROWS, WIDTH, false),
               naive_norm(a, b, c, d, x, w, w, dy, ROWS, WIDTH, false));
    CHECK_TIME("rms_norm forward 2048x512", 0, 8.0 * COUNT,
               kernels->rms_norm_forward(y, rstd, x, w, 1e-5F, ROWS, WIDTH),
               naive_norm(a, b, c, d, x, w, NULL, dy, ROWS, WIDTH, true));
    CHECK_TIME("rms_norm backward 2048x512", 0, 12.0 * COUNT,
               kernels->rms_norm_backward(y, dw, dy, x, w, rstd, ROWS, WIDTH, false),
               naive_norm(a, b, c, d, x, w, NULL, dy, ROWS, WIDTH, true));
}
