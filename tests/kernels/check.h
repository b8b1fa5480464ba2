/* check.h: every kernel of every instruction set against a naive twin, in the manner of dav1d's checkasm. A twin is a plain loop
   with sums in double, slow and obviously right. Buffers stand between guard zones that must stay untouched. Each check runs with
   one and two threads (the level in use: three as well), and what it compared must be the same bits each time. With --time both are timed. */
#ifndef FRUGAL_CHECK_H
#define FRUGAL_CHECK_H

#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "kernels/linear.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A buffer of `count` floats drawn from N(0, 1), guarded on both sides; lives until the check ends. */
float *check_floats(int64_t count);
/* The same filled with `value`. */
float *check_constant(int64_t count, float value);
/* Integers in [low, high). */
int32_t *check_integers(int64_t count, int32_t low, int32_t high);
double *check_doubles(int64_t count); /* zeros, for twins */
float *check_copy(const float *from, int64_t count);

/* |got - wanted| <= tolerance * (scale + |wanted|) everywhere, where scale is the root mean square of wanted; infinities must be
   equal. Says what differs, and remembers the bits for the comparison between numbers of threads. */
void check_close(const char *what, const float *got, const double *wanted, int64_t count,
                 double tolerance);
void check_true(const char *what, bool condition);

/* With --time: the shortest and the median time of `fast` and `slow`, with the rate in GFLOP/s or GB/s. */
bool check_timing(void);
void check_time_begin(const char *what, double flops, double bytes);
bool check_time_more(void); /* one more run of what stands in the loop */
void check_time_end(void);
#define CHECK_TIME(what, flops, bytes, fast, slow)                                                 \
    do {                                                                                           \
        if (check_timing()) {                                                                      \
            check_time_begin(what, flops, bytes);                                                  \
            while (check_time_more())                                                              \
                fast;                                                                              \
            while (check_time_more())                                                              \
                slow;                                                                              \
            check_time_end();                                                                      \
        }                                                                                          \
    } while (0)

/* The checks, by file. */
void check_elementwise(const fr_kernels *kernels);
void check_activation(const fr_kernels *kernels);
void check_reduce(const fr_kernels *kernels);
void check_norm(const fr_kernels *kernels);
void check_softmax(const fr_kernels *kernels);
void check_rows(const fr_kernels *kernels);
void check_rope(const fr_kernels *kernels);
void check_attention(const fr_kernels *kernels);
void check_optimizer(const fr_kernels *kernels);
void check_matvec(const fr_kernels *kernels);
void check_gemm(const fr_kernels *kernels);
void check_stored(const fr_kernels *kernels);

#endif
