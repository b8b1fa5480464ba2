/* figures.c: accuracy, F1, Matthews' coefficient, correlations, spans. */
#include "probes/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void figures_add(fr_judgement *judgement, const char *name, double value)
{
    if (judgement->count == FR_MOST_FIGURES)
        return;
    judgement->figures[judgement->count].name = name;
    judgement->figures[judgement->count++].value = value;
}

double fr_judgement_figure(const fr_judgement *judgement, const char *name)
{
    for (int i = 0; i < judgement->count; i++)
        if (strcmp(judgement->figures[i].name, name) == 0)
            return judgement->figures[i].value;
    return NAN;
}

int fr_judgement_main(const fr_judgement *judgement)
{
    static const char *const by_weight[] = {"span_f1", "accuracy", "recall_at_1",
                                            "text_recall_at_1", "pearson"};
    for (size_t k = 0; k < sizeof by_weight / sizeof *by_weight; k++)
        for (int i = 0; i < judgement->count; i++)
            if (strcmp(judgement->figures[i].name, by_weight[k]) == 0)
                return i;
    return -1;
}

/* ---- classes ---- */

static int64_t row_sum(const int64_t *table, int64_t classes, int64_t row)
{
    int64_t sum = 0;
    for (int64_t j = 0; j < classes; j++)
        sum += table[row * classes + j];
    return sum;
}

static int64_t column_sum(const int64_t *table, int64_t classes, int64_t column)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += table[i * classes + column];
    return sum;
}

/* F1 of a class; 0 where it is neither there nor said. */
static double f1(double both, double said, double right)
{
    return said + right > 0 ? 2 * both / (said + right) : 0;
}

/* The mean of F1 over classes that are there or were said: a class that the examples do not know does not count. The coefficient for
   several classes is Gorodkin's R_K (2004), which is Matthews' for two. */
void figures_of_classes(fr_judgement *judgement, const int64_t *table, int64_t classes)
{
    double all = 0, both = 0, f1_sum = 0, met = 0, cross = 0, squares_right = 0, squares_said = 0;
    for (int64_t k = 0; k < classes; k++) {
        double right = (double)row_sum(table, classes, k),
               said = (double)column_sum(table, classes, k),
               agreed = (double)table[k * classes + k];
        all += right;
        both += agreed;
        cross += right * said;
        squares_right += right * right;
        squares_said += said * said;
        met += right + said > 0;
        f1_sum += f1(agreed, said, right);
    }
    double below = sqrt(all * all - squares_right) * sqrt(all * all - squares_said);
    figures_add(judgement, "accuracy", both / all);
    figures_add(judgement, "f1_macro", f1_sum / met);
    figures_add(judgement, "matthews", below > 0 ? (both * all - cross) / below : 0);
}

/* ---- numbers ---- */

static double pearson(const double *x, const double *y, int64_t count)
{
    double mean_x = 0, mean_y = 0, xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < count; i++) {
        mean_x += x[i] / (double)count;
        mean_y += y[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        xy += (x[i] - mean_x) * (y[i] - mean_y);
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

typedef struct placed {
    double value;
    int64_t place;
} placed;

static int by_value(const void *a, const void *b)
{
    double x = ((const placed *)a)->value, y = ((const placed *)b)->value;
    return x < y ? -1 : x > y;
}

static void rank(placed *order, const double *values, double *ranks, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        order[i] = (placed){values[i], i};
    qsort(order, (size_t)count, sizeof *order, by_value);
    for (int64_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && order[end].value == order[begin].value; end++) {
        }
        for (int64_t i = begin; i < end; i++)
            ranks[order[i].place] = (double)(begin + end - 1) / 2;
    }
}

fr_status figures_of_numbers(fr_judgement *judgement, const double *said, const double *right,
                             int64_t count, fr_error *error)
{
    double squares = 0, *ranks = fr_alloc_array(2 * (size_t)count, sizeof *ranks, FR_MEMORY_OTHER);
    placed *order = fr_alloc_array((size_t)count, sizeof *order, FR_MEMORY_OTHER);
    if (!ranks || !order) {
        fr_free(ranks);
        fr_free(order);
        return fr_fail(error, FR_NO_MEMORY, "no memory for the figures");
    }
    for (int64_t i = 0; i < count; i++)
        squares += (said[i] - right[i]) * (said[i] - right[i]);
    rank(order, said, ranks, count);
    rank(order, right, ranks + count, count);
    figures_add(judgement, "mse", squares / (double)count);
    figures_add(judgement, "pearson", pearson(said, right, count));
    figures_add(judgement, "spearman", pearson(ranks, ranks + count, count));
    fr_free(ranks);
    fr_free(order);
    return FR_OK;
}

/* ---- spans ---- */

bool spans_are_there(const fr_strings *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (strncmp(names->items[i], "B-", 2) == 0 || strncmp(names->items[i], "I-", 2) == 0)
            return true;
    return false;
}

static bool is_inside(const char *tag)
{
    return strncmp(tag, "I-", 2) == 0;
}

static bool is_of_span(const char *tag)
{
    return is_inside(tag) || strncmp(tag, "B-", 2) == 0;
}

/* Does a span begin at word i? */
static bool begins(const fr_strings *names, const int32_t *tags, int64_t i)
{
    const char *tag = names->items[tags[i]];
    if (!is_of_span(tag))
        return false;
    if (!is_inside(tag) || i == 0)
        return true;
    const char *before = names->items[tags[i - 1]];
    return !is_of_span(before) || strcmp(before + 2, tag + 2) != 0;
}

/* Where the span that begins at word i ends: the first word behind it. */
static int64_t end_of(const fr_strings *names, const int32_t *tags, int64_t i, int64_t words)
{
    const char *kind = names->items[tags[i]] + 2;
    for (i++; i < words; i++) {
        const char *tag = names->items[tags[i]];
        if (!is_inside(tag) || strcmp(tag + 2, kind) != 0)
            break;
    }
    return i;
}

void spans_count(span_counts *counts, const fr_strings *names, const int32_t *said,
                 const int32_t *right, int64_t words)
{
    for (int64_t i = 0; i < words; i++) {
        bool a = begins(names, said, i), b = begins(names, right, i);
        counts->said += a;
        counts->right += b;
        counts->both += a && b && end_of(names, said, i, words) == end_of(names, right, i, words) &&
                        strcmp(names->items[said[i]] + 2, names->items[right[i]] + 2) == 0;
    }
}

void figures_of_counts(fr_judgement *judgement, const span_counts *counts,
                       const char *const names[3])
{
    double both = (double)counts->both;
    figures_add(judgement, names[0], counts->said ? both / (double)counts->said : 0);
    figures_add(judgement, names[1], counts->right ? both / (double)counts->right : 0);
    figures_add(judgement, names[2], f1(both, (double)counts->said, (double)counts->right));
}
