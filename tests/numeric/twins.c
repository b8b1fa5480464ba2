/* twins.c: the definitions of the operators again, as their papers write them, in f64 and without
   any thought of speed. */
#include "twins.h"

#include <math.h>
#include <stdlib.h>

/* Rows and width of an input, the last axis being the width. */
static int64_t width_of(const extents *e)
{
    return e->shape[e->rank - 1];
}

static int64_t rows_of(const extents *e)
{
    return extent_product(e, 0, e->rank - 1);
}

/* ---- matrices ---- */

/* inputs: x, weight and, if there are three, bias */
void twin_linear(const gradient_case *c, const double *const *in, double *out)
{
    int64_t rows = rows_of(&c->in[0]), outputs = c->in[1].shape[0], inputs = c->in[1].shape[1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < outputs; o++) {
            double sum = c->inputs > 2 ? in[2][o] : 0;
            for (int64_t i = 0; i < inputs; i++)
                sum += in[0][r * inputs + i] * in[1][o * inputs + i];
            out[r * outputs + o] = sum;
        }
}

void twin_matmul(const gradient_case *c, const double *const *in, double *out)
{
    int rank = c->out.rank;
    int64_t m = c->out.shape[rank - 2], n = c->out.shape[rank - 1];
    int64_t k = c->in[0].shape[c->transpose_a ? rank - 2 : rank - 1];
    for (int64_t batch = 0; batch < extent_product(&c->out, 0, rank - 2); batch++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                const double *a = in[0] + batch * m * k, *b = in[1] + batch * k * n;
                double sum = 0;
                for (int64_t l = 0; l < k; l++)
                    sum += a[c->transpose_a ? l * m + i : i * k + l] *
                           b[c->transpose_b ? j * k + l : l * n + j];
                out[(batch * m + i) * n + j] = sum;
            }
}

/* ---- rows by number ---- */

void twin_gather(const gradient_case *c, const double *const *in, double *out)
{
    int64_t width = extent_product(&c->in[0], 1, c->in[0].rank);
    for (int64_t i = 0; i < c->id_count; i++)
        for (int64_t j = 0; j < width; j++)
            out[i * width + j] = in[0][c->ids[i] * width + j];
}

void twin_scatter(const gradient_case *c, const double *const *in, double *out)
{
    int64_t width = extent_product(&c->in[0], 1, c->in[0].rank);
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = 0;
    for (int64_t i = 0; i < c->id_count; i++)
        for (int64_t j = 0; j < width; j++)
            out[c->ids[i] * width + j] += in[0][i * width + j];
}

/* ---- element by element ---- */

void twin_add(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = in[0][i] + in[1][i % extent_count(&c->in[1])];
}

void twin_multiply(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = in[0][i] * in[1][i % extent_count(&c->in[1])];
}

void twin_scale_rows(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = in[0][i] * in[1][i / width_of(&c->out)];
}

void twin_scale(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = in[0][i] * (double)c->number;
}

static void each(const gradient_case *c, const double *x, double *out, double (*function)(double))
{
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = function(x[i]);
}

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static double quick_gelu(double x)
{
    return x / (1 + exp(-1.702 * x));
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

void twin_gelu(const gradient_case *c, const double *const *in, double *out)
{
    each(c, in[0], out, gelu);
}

void twin_gelu_tanh(const gradient_case *c, const double *const *in, double *out)
{
    each(c, in[0], out, gelu_tanh);
}

void twin_quick_gelu(const gradient_case *c, const double *const *in, double *out)
{
    each(c, in[0], out, quick_gelu);
}

void twin_exp(const gradient_case *c, const double *const *in, double *out)
{
    each(c, in[0], out, exp);
}

void twin_silu(const gradient_case *c, const double *const *in, double *out)
{
    each(c, in[0], out, silu);
}

void twin_relu(const gradient_case *c, const double *const *in, double *out)
{
    each(c, in[0], out, relu);
}

void twin_tanh(const gradient_case *c, const double *const *in, double *out)
{
    each(c, in[0], out, tanh);
}

void twin_swiglu(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = silu(in[0][i]) * in[1][i];
}

/* The first call on its tape: number 0. Four elements share a block of random bits. */
void twin_dropout(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++) {
        uint32_t bits[4];
        fr_random_bits(DROPOUT_SEED, FR_RANDOM_DROPOUT, DROPOUT_STEP, (uint64_t)i / 4, bits);
        bool kept = bits[i % 4] >= (double)c->number * 4294967296.0;
        out[i] = kept ? in[0][i] / (1 - (double)c->number) : 0;
    }
}

/* ---- norms ---- */

/* inputs: x, weight and, if there are three, bias */
void twin_layer_norm(const gradient_case *c, const double *const *in, double *out)
{
    int64_t width = width_of(&c->out);
    for (int64_t r = 0; r < rows_of(&c->out); r++) {
        const double *x = in[0] + r * width;
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < width; i++)
            mean += x[i] / (double)width;
        for (int64_t i = 0; i < width; i++)
            variance += (x[i] - mean) * (x[i] - mean) / (double)width;
        for (int64_t i = 0; i < width; i++)
            out[r * width + i] = (x[i] - mean) / sqrt(variance + (double)c->number) * in[1][i] +
                                 (c->inputs > 2 ? in[2][i] : 0);
    }
}

void twin_rms_norm(const gradient_case *c, const double *const *in, double *out)
{
    int64_t width = width_of(&c->out);
    for (int64_t r = 0; r < rows_of(&c->out); r++) {
        const double *x = in[0] + r * width;
        double square = 0;
        for (int64_t i = 0; i < width; i++)
            square += x[i] * x[i] / (double)width;
        for (int64_t i = 0; i < width; i++)
            out[r * width + i] = x[i] / sqrt(square + (double)c->number) * in[1][i];
    }
}

static double log_sum_exp(const double *x, int64_t count)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, x[i]);
    for (int64_t i = 0; i < count; i++)
        sum += exp(x[i] - most);
    return most + log(sum);
}

void twin_log_softmax(const gradient_case *c, const double *const *in, double *out)
{
    int64_t width = width_of(&c->out);
    for (int64_t r = 0; r < rows_of(&c->out); r++)
        for (int64_t i = 0; i < width; i++)
            out[r * width + i] = in[0][r * width + i] - log_sum_exp(in[0] + r * width, width);
}

void twin_softmax(const gradient_case *c, const double *const *in, double *out)
{
    twin_log_softmax(c, in, out);
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = exp(out[i]);
}

/* ---- positions ---- */

/* x (B, T, H*D); ids: positions (B, T) or NULL; table: inverse frequencies; number: scaling */
void twin_rope(const gradient_case *c, const double *const *in, double *out)
{
    int64_t positions = c->out.shape[1], width = c->out.shape[2], head = width / c->heads;
    int64_t pairs = c->table_count;
    for (int64_t i = 0; i < extent_count(&c->out); i++) {
        int64_t row = i / width, d = i % head;
        int64_t position = c->ids ? c->ids[row] : row % positions;
        if (d >= 2 * pairs) {
            out[i] = in[0][i];
            continue;
        }
        double angle = (double)position * (double)c->table[d % pairs];
        double other = d < pairs ? -in[0][i + pairs] : in[0][i - pairs];
        out[i] = (in[0][i] * cos(angle) + other * sin(angle)) * (double)c->number;
    }
}

/* ---- attention ---- */

/* May the query at absolute position p (of row b, number t) see key j? */
static bool sees(const gradient_case *c, int64_t b, int64_t t, int64_t p, int64_t j)
{
    int64_t queries = c->in[0].shape[1], keys = c->in[1].shape[1];
    if (j >= (c->lengths ? c->lengths[b] : keys))
        return false;
    if (c->segments && c->segments[b * queries + t] != c->segments[b * queries + j])
        return false;
    if (c->causal && j > p)
        return false;
    if (c->global && c->global[b * keys + j])
        return true;
    return c->window == 0 || (c->causal ? j > p - c->window : llabs(p - j) < c->window);
}

/* What the score becomes before masks; h: head, distance: key - query. */
static double adjusted(const gradient_case *c, const double *const *in, double score, int64_t h,
                       int64_t distance)
{
    if (c->cap > 0)
        score = (double)c->cap * tanh(score / (double)c->cap);
    if (c->inputs > 3) {
        int64_t count = c->in[3].shape[1], reach = count / 2;
        int64_t clamped = distance < -reach ? -reach : distance > reach ? reach : distance;
        score += in[3][h * count + reach + clamped];
    }
    return score - (c->table ? (double)c->table[h] * fabs((double)distance) : 0);
}

/* Dropout's factor of probability j of `row` of (B, H, T): rows begin with a new block of four. */
static double kept(const gradient_case *c, int64_t row, int64_t keys, int64_t j)
{
    if (c->dropout <= 0)
        return 1;
    uint32_t bits[4];
    uint64_t block = (uint64_t)(row * ((keys + 3) / 4) + j / 4);
    fr_random_bits(DROPOUT_SEED, FR_RANDOM_DROPOUT, DROPOUT_STEP, block, bits);
    return bits[j % 4] >= (double)c->dropout * 4294967296.0 ? 1 / (1 - (double)c->dropout) : 0;
}

/* q (B, T, H*D), k, v (B, S, Hkv*D), perhaps a relative bias; table: ALiBi slopes; number: scale */
void twin_attention(const gradient_case *c, const double *const *in, double *out)
{
    int64_t queries = c->in[0].shape[1], keys = c->in[1].shape[1];
    int64_t width = c->in[0].shape[2], kv_width = c->in[1].shape[2], head = width / c->heads;
    double scale = c->number != 0 ? (double)c->number : 1 / sqrt((double)head);
    double *scores = malloc((size_t)keys * sizeof *scores);
    for (int64_t i = 0; i < c->in[0].shape[0] * queries * c->heads; i++) {
        int64_t h = i % c->heads, t = i / c->heads % queries, b = i / c->heads / queries;
        int64_t p = (c->lengths && !c->padded ? c->lengths[b] : keys) - queries + t;
        int64_t row = (b * c->heads + h) * queries + t;
        const double *q = in[0] + (b * queries + t) * width + h * head;
        int64_t kv = b * keys * kv_width + h / (c->heads / c->kv_heads) * head;
        for (int64_t j = 0; j < keys; j++) {
            double dot = 0;
            for (int64_t d = 0; d < head; d++)
                dot += q[d] * in[1][kv + j * kv_width + d];
            scores[j] = adjusted(c, in, dot * scale, h, j - p);
            if (!sees(c, b, t, p, j))
                scores[j] = -INFINITY;
        }
        double total = log_sum_exp(scores, keys);
        for (int64_t d = 0; d < head; d++) {
            double sum = 0;
            for (int64_t j = 0; j < keys; j++)
                if (scores[j] > -INFINITY)
                    sum += exp(scores[j] - total) * kept(c, row, keys, j) *
                           in[2][kv + j * kv_width + d];
            out[(b * queries + t) * width + h * head + d] = sum;
        }
    }
    free(scores);
}

/* ---- losses ---- */

/* ids: targets; table: weights of rows; number: scale */
static double loss_of(const gradient_case *c, const double *logits, int64_t width)
{
    double sum = 0;
    for (int64_t r = 0; r < c->id_count; r++)
        if (c->ids[r] != FR_IGNORE) {
            const double *row = logits + r * width;
            sum += (double)c->number * (c->table ? (double)c->table[r] : 1) *
                   (log_sum_exp(row, width) - row[c->ids[r]]);
        }
    return sum;
}

void twin_cross_entropy(const gradient_case *c, const double *const *in, double *out)
{
    *out = loss_of(c, in[0], width_of(&c->in[0]));
}

/* inputs: x, weight and, if there are three, bias */
void twin_linear_cross_entropy(const gradient_case *c, const double *const *in, double *out)
{
    int64_t vocabulary = c->in[1].shape[0];
    double *logits = malloc((size_t)(c->id_count * vocabulary) * sizeof *logits);
    twin_linear(c, in, logits);
    *out = loss_of(c, logits, vocabulary);
    free(logits);
}

/* ---- shapes ---- */

void twin_reshape(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] = in[0][i];
}

/* Row-major number -> coordinates, and back. */
static void coordinates_of(const extents *e, int64_t number, int64_t *at)
{
    for (int i = e->rank - 1; i >= 0; i--) {
        at[i] = number % e->shape[i];
        number /= e->shape[i];
    }
}

static int64_t number_of(const extents *e, const int64_t *at)
{
    int64_t number = 0;
    for (int i = 0; i < e->rank; i++)
        number = number * e->shape[i] + at[i];
    return number;
}

void twin_slice(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++) {
        int64_t at[FR_MAX_RANK];
        coordinates_of(&c->out, i, at);
        at[c->axis] += c->begin;
        out[i] = in[0][number_of(&c->in[0], at)];
    }
}

void twin_concat(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++) {
        int64_t at[FR_MAX_RANK];
        int part = 0;
        coordinates_of(&c->out, i, at);
        while (at[c->axis] >= c->in[part].shape[c->axis])
            at[c->axis] -= c->in[part++].shape[c->axis];
        out[i] = in[part][number_of(&c->in[part], at)];
    }
}

void twin_transpose(const gradient_case *c, const double *const *in, double *out)
{
    for (int64_t i = 0; i < extent_count(&c->out); i++) {
        int64_t at[FR_MAX_RANK];
        coordinates_of(&c->out, i, at);
        int64_t a = at[c->axis];
        at[c->axis] = at[c->axis_b];
        at[c->axis_b] = a;
        out[i] = in[0][number_of(&c->in[0], at)];
    }
}

/* ---- reductions ---- */

void twin_sum(const gradient_case *c, const double *const *in, double *out)
{
    *out = 0;
    for (int64_t i = 0; i < extent_count(&c->in[0]); i++)
        *out += in[0][i];
}

void twin_mean(const gradient_case *c, const double *const *in, double *out)
{
    twin_sum(c, in, out);
    *out /= (double)extent_count(&c->in[0]);
}

void twin_sum_axis(const gradient_case *c, const double *const *in, double *out)
{
    int64_t inner = extent_product(&c->in[0], c->axis + 1, c->in[0].rank);
    int64_t extent = c->in[0].shape[c->axis];
    for (int64_t i = 0; i < extent_count(&c->out); i++) {
        out[i] = 0;
        for (int64_t j = 0; j < extent; j++)
            out[i] += in[0][(i / inner * extent + j) * inner + i % inner];
    }
}

void twin_mean_axis(const gradient_case *c, const double *const *in, double *out)
{
    twin_sum_axis(c, in, out);
    for (int64_t i = 0; i < extent_count(&c->out); i++)
        out[i] /= (double)c->in[0].shape[c->axis];
}
