/* reduce.c: sums. Chunks depend on shapes alone and are combined in order, so the bits do not depend on the threads. */
#include "kernels/vector.h"

/* Numbers per partial sum of a whole-array reduction. */
enum { PART = 8192 };

#define REDUCE(term)                                                                               \
    int64_t parts = (count + PART - 1) / PART;                                                     \
    double few[16],                                                                                \
        *partial = parts <= 16 ? few : fr_kernels_workspace(sizeof(double) * (size_t)parts);       \
    if (!partial)                                                                                  \
        return 0.0;                                                                                \
    PARALLEL_FOR(part, parts, 1, count)                                                            \
    {                                                                                              \
        int64_t end = smaller((part + 1) * PART, count);                                           \
        double total = 0.0;                                                                        \
        PRAGMA(omp simd reduction(+ : total))                                                      \
        for (int64_t i = part * PART; i < end; i++)                                                \
            total += term;                                                                         \
        partial[part] = total;                                                                     \
    }                                                                                              \
    double total = 0.0;                                                                            \
    for (int64_t part = 0; part < parts; part++)                                                   \
        total += partial[part];                                                                    \
    return total;

static double sum(const float *x, int64_t count)
{
    REDUCE((double)x[i])
}

static double sum_of_squares(const float *x, int64_t count)
{
    REDUCE((double)x[i] * (double)x[i])
}

static double dot(const float *a, const float *b, int64_t count)
{
    REDUCE((double)a[i] * (double)b[i])
}

/* All exponent bits set: infinity or NaN. */
static bool has_nonfinite(const float *x, int64_t count)
{
    uint32_t found = 0;
    PRAGMA(omp parallel for schedule(static) num_threads(fr_threads()) reduction(| : found) if (count > SERIAL))
    for (int64_t begin = 0; begin < count; begin += CHUNK) {
        int64_t end = smaller(begin + CHUNK, count);
        uint32_t here = 0;
        PRAGMA(omp simd reduction(| : here))
        for (int64_t i = begin; i < end; i++)
            here |= (float_bits(x[i]) & 0x7F800000U) == 0x7F800000U;
        found |= here;
    }
    return found != 0;
}

/* The largest first, which vectorises, then its first place. */
static int64_t argmax(const float *x, int64_t count)
{
    float best = largest(x, count);
    for (int64_t i = 0; i < count; i++)
        if (x[i] == best)
            return i;
    return 0;
}

/* Add the partial rows (chunks, inner) to out, columns shared among threads. */
static void combine(float *out, const float *partial, int64_t chunks, int64_t inner,
                    bool accumulate)
{
    PARALLEL_FOR(begin, inner, 256, chunks * inner)
    {
        int64_t end = smaller(begin + 256, inner);
        if (!accumulate)
            memset(out + begin, 0, sizeof(float) * (size_t)(end - begin));
        for (int64_t chunk = 0; chunk < chunks; chunk++)
            SIMD for (int64_t i = begin; i < end; i++) out[i] += partial[chunk * inner + i];
    }
}

/* out[j] = sum over rows of x[row, j] (* y[row, j] when y is given) */
static void reduce_rows(float *out, const float *x, const float *y, int64_t count, int64_t inner,
                        bool accumulate)
{
    if (inner <= 0)
        return;
    int64_t rows = count / inner, step = reduction_rows(rows), chunks = (rows + step - 1) / step;
    float *partial = fr_kernels_workspace(sizeof(float) * (size_t)(chunks * inner));
    if (!partial)
        return;
    PARALLEL_FOR(chunk, chunks, 1, count)
    {
        float *restrict here = partial + chunk * inner;
        memset(here, 0, sizeof(float) * (size_t)inner);
        int64_t end = smaller((chunk + 1) * step, rows);
        for (int64_t row = chunk * step; row < end; row++) {
            const float *restrict left = x + row * inner;
            if (y) {
                const float *restrict right = y + row * inner;
                SIMD for (int64_t i = 0; i < inner; i++) here[i] += left[i] * right[i];
            } else {
                SIMD for (int64_t i = 0; i < inner; i++) here[i] += left[i];
            }
        }
    }
    combine(out, partial, chunks, inner, accumulate);
}

static void sum_rows(float *out, const float *x, int64_t count, int64_t inner, bool accumulate)
{
    if (inner == 1) {
        float total = (float)sum(x, count);
        *out = accumulate ? *out + total : total;
        return;
    }
    reduce_rows(out, x, NULL, count, inner, accumulate);
}

static void dot_rows(float *out, const float *x, const float *y, int64_t count, int64_t inner,
                     bool accumulate)
{
    if (inner == 1) {
        float total = (float)dot(x, y, count);
        *out = accumulate ? *out + total : total;
        return;
    }
    reduce_rows(out, x, y, count, inner, accumulate);
}

static void sum_axis(float *out, const float *x, int64_t outer, int64_t axis, int64_t inner,
                     float factor)
{
    if (inner == 1) {
        PARALLEL_FOR(row, outer, 1, outer * axis)
        {
            double total = 0.0;
            PRAGMA(omp simd reduction(+ : total))
            for (int64_t i = 0; i < axis; i++)
                total += (double)x[row * axis + i];
            out[row] = (float)(total * (double)factor);
        }
        return;
    }
    int64_t step = smaller(inner, 1024), pieces = (inner + step - 1) / step;
    PARALLEL_FOR(piece, outer * pieces, 1, outer * axis * inner)
    {
        int64_t row = piece / pieces, begin = piece % pieces * step,
                length = smaller(step, inner - begin);
        double total[1024];
        for (int64_t i = 0; i < length; i++)
            total[i] = 0.0;
        for (int64_t k = 0; k < axis; k++) {
            const float *from = x + (row * axis + k) * inner + begin;
            SIMD for (int64_t i = 0; i < length; i++) total[i] += (double)from[i];
        }
        SIMD for (int64_t i = 0; i < length; i++) out[row * inner + begin + i] =
            (float)(total[i] * (double)factor);
    }
}

static void broadcast_axis(float *dx, const float *dy, int64_t outer, int64_t axis, int64_t inner,
                           float factor, bool accumulate)
{
    PARALLEL_FOR(row, outer, 1, outer * axis * inner)
    for (int64_t k = 0; k < axis; k++) {
        float *to = dx + (row * axis + k) * inner;
        const float *from = dy + row * inner;
        if (accumulate) {
            SIMD for (int64_t i = 0; i < inner; i++) to[i] += from[i] * factor;
        } else {
            SIMD for (int64_t i = 0; i < inner; i++) to[i] = from[i] * factor;
        }
    }
}

void FR_LEVEL(fr_kernels_reduce)(fr_kernels *table)
{
    table->sum = sum;
    table->sum_of_squares = sum_of_squares;
    table->dot = dot;
    table->has_nonfinite = has_nonfinite;
    table->argmax = argmax;
    table->sum_rows = sum_rows;
    table->dot_rows = dot_rows;
    table->sum_axis = sum_axis;
    table->broadcast_axis = broadcast_axis;
}
