/* gradient_check.h: one case of an operator, and the check that every case goes through.

   A twin is the operator's definition again, in f64, naive, and written apart from src/. The check
   compares the operator's result with the twin's, and its gradients with central differences of the
   twin; then it asks that the gradients stay the same when they are added to others, wanted one at
   a time, recomputed, and on other numbers of threads, and that a shape-only tape counts the cost
   and the memory of the real one. */
#ifndef FRUGAL_GRADIENT_CHECK_H
#define FRUGAL_GRADIENT_CHECK_H

#include "frugal/operators.h"

enum { MAX_INPUTS = 4, DROPOUT_SEED = 77, DROPOUT_STEP = 5 };

typedef struct extents {
    int rank;
    int64_t shape[FR_MAX_RANK];
} extents;

typedef struct gradient_case gradient_case;
struct gradient_case {
    const char *name;
    const char *what; /* in the message of a failure */
    int inputs;
    extents in[MAX_INPUTS];
    fr_tensor *(*run)(fr_tape *tape, fr_tensor *const *in, const gradient_case *c);
    void (*twin)(const gradient_case *c, const double *const *in, double *out);
    extents out;
    /* What the operator is told besides its inputs; each twin knows which it reads. */
    int axis, axis_b;
    int64_t begin, end;
    int heads, kv_heads, window;
    bool causal, padded, transpose_a, transpose_b;
    float cap, dropout;
    const int32_t *global;
    float number; /* eps, factor, scale, probability */
    const int32_t *ids, *segments, *lengths;
    int64_t id_count;
    const float *table; /* frequencies, slopes, weights of rows */
    int64_t table_count;
    double tolerance; /* of numbers, relative to the largest of them; 0: 1e-5 */
};

int64_t extent_product(const extents *e, int begin, int end);
int64_t extent_count(const extents *e);

/* A cmocka assertion fails when anything is not as it should be. */
void check_gradient(const gradient_case *c);

#endif
