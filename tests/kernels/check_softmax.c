/* check_softmax.c: softmax, log-softmax and cross-entropy. Tolerances allow for a sum of a thousand terms in f32, one by one, as
   a build without vectors makes it. */
#include "check.h"

static double row_logsum(const float *x, int64_t width)
{
    double best = -INFINITY, total = 0.0;
    for (int64_t i = 0; i < width; i++)
        best = fmax(best, (double)x[i]);
    for (int64_t i = 0; i < width; i++)
        total += exp((double)x[i] - best);
    return best + log(total);
}

static void naive_log_softmax(double *y, const float *x, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = row_logsum(x + r * width, width);
        for (int64_t i = 0; i < width; i++)
            y[r * width + i] = (double)x[r * width + i] - sum;
    }
}

/* From the logarithm (y) of the softmax: dx of softmax, or of its logarithm. */
static void naive_backward(double *dx, const double *y, const float *dy, int64_t rows,
                           int64_t width, bool logarithm)
{
    for (int64_t r = 0; r < rows; r++) {
        double inner = 0.0;
        for (int64_t i = r * width; i < (r + 1) * width; i++)
            inner += logarithm ? (double)dy[i] : (double)dy[i] * exp(y[i]);
        for (int64_t i = r * width; i < (r + 1) * width; i++)
            dx[i] =
                logarithm ? (double)dy[i] - exp(y[i]) * inner : exp(y[i]) * ((double)dy[i] - inner);
    }
}

static void check_shape(const fr_kernels *kernels, int64_t rows, int64_t width)
{
    int64_t count = rows * width;
    float *x = check_floats(count), *dy = check_floats(count), *dx = check_floats(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = 3.0F * x[i] + 50.0F;
    float *y = check_copy(x, count);
    double *log_y = check_doubles(count), *wanted = check_doubles(count);
    naive_log_softmax(log_y, x, rows, width);
    for (int64_t i = 0; i < count; i++)
        wanted[i] = exp(log_y[i]);
    kernels->softmax_forward(y, y, rows, width);
    check_close("softmax in place", y, wanted, count, 1e-5);
    naive_backward(wanted, log_y, dy, rows, width, false);
    kernels->softmax_backward(dx, dy, y, rows, width, false);
    check_close("softmax dx", dx, wanted, count, 1e-5);
    kernels->log_softmax_forward(y, x, rows, width);
    check_close("log_softmax", y, log_y, count, 1e-5);
    double *twice = check_doubles(count);
    naive_backward(twice, log_y, dy, rows, width, true);
    for (int64_t i = 0; i < count; i++)
        twice[i] += wanted[i];
    kernels->log_softmax_backward(dx, dy, y, rows, width, true);
    check_close("log_softmax dx, accumulated", dx, twice, count, 1e-5);
}

static void naive_cross_entropy(double *loss, double *dlogits, const float *logits,
                                const int32_t *targets, const float *weights, double scale,
                                int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) {
        loss[r] = 0.0;
        double sum = row_logsum(logits + r * width, width);
        for (int64_t i = 0; i < width; i++) {
            double p = exp((double)logits[r * width + i] - sum);
            dlogits[r * width + i] = targets[r] == -100
                                         ? 0.0
                                         : scale * (weights ? (double)weights[r] : 1.0) *
                                               (p - (i == targets[r] ? 1.0 : 0.0));
        }
        if (targets[r] != -100)
            loss[r] = sum - (double)logits[r * width + targets[r]];
    }
}

static void check_loss(const fr_kernels *kernels, int64_t rows, int64_t width, bool weighted)
{
    int64_t count = rows * width;
    float *logits = check_floats(count), *weights = weighted ? check_floats(rows) : NULL;
    float *loss = check_floats(rows), *dlogits = check_floats(count);
    int32_t *targets = check_integers(rows, 0, (int32_t)width);
    for (int64_t r = 0; r < rows; r += 3)
        targets[r] = -100;
    for (int64_t i = 0; i < count; i++)
        logits[i] *= 4.0F;
    double *loss2 = check_doubles(rows), *dlogits2 = check_doubles(count);
    naive_cross_entropy(loss2, dlogits2, logits, targets, weights, 0.01, rows, width);
    kernels->cross_entropy(loss, NULL, logits, targets, weights, 0.01F, rows, width);
    check_close("loss without gradient", loss, loss2, rows, 1e-5);
    kernels->cross_entropy(loss, dlogits, logits, targets, weights, 0.01F, rows, width);
    check_close("dlogits", dlogits, dlogits2, count, 1e-5);
    kernels->cross_entropy(loss, logits, logits, targets, weights, 0.01F, rows, width);
    check_close("loss", loss, loss2, rows, 1e-5);
    check_close("dlogits in place", logits, dlogits2, count, 1e-5);
}

void check_softmax(const fr_kernels *kernels)
{
    static const int64_t shapes[][2] = {{1, 1}, {1, 3}, {3, 17}, {17, 65}, {65, 255}, {131, 1001}};
    for (int s = 0; s < 6; s++) {
        check_shape(kernels, shapes[s][0], shapes[s][1]);
        check_loss(kernels, shapes[s][0], shapes[s][1], false);
        check_loss(kernels, shapes[s][0], shapes[s][1], true);
    }
    float masked[4] = {-INFINITY, 1.0F, -INFINITY, 1.0F};
    double wanted[4] = {0.0, 0.5, 0.0, 0.5};
    kernels->softmax_forward(masked, masked, 1, 4);
    check_close("softmax of masked scores", masked, wanted, 4, 1e-7);
    enum { ROWS = 256, WIDTH = 8192, COUNT = ROWS * WIDTH };
    if (!check_timing())
        return;
    float *x = check_floats(COUNT), *y = check_floats(COUNT), *loss = check_floats(ROWS);
    int32_t *targets = check_integers(ROWS, 0, WIDTH);
    double *a = check_doubles(COUNT), *b = check_doubles(ROWS);
    CHECK_TIME("softmax 256x8192", 0, 8.0 * COUNT, kernels->softmax_forward(y, x, ROWS, WIDTH),
               naive_log_softmax(a, x, ROWS, WIDTH));
    CHECK_TIME("cross_entropy 256x8192", 0, 8.0 * COUNT,
               kernels->cross_entropy(loss, y, x, targets, NULL, 1.0F, ROWS, WIDTH),
               naive_cross_entropy(b, a, x, targets, NULL, 1.0, ROWS, WIDTH));
    CHECK_TIME("cross_entropy 256x8192, loss alone", 0, 4.0 * COUNT,
               kernels->cross_entropy(loss, NULL, x, targets, NULL, 1.0F, ROWS, WIDTH),
               naive_cross_entropy(b, a, x, targets, NULL, 1.0, ROWS, WIDTH));
}
