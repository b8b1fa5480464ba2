/* machine.h: what this machine can do, measured. */
#ifndef FRUGAL_MACHINE_H
#define FRUGAL_MACHINE_H

#include "frugal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fr_machine {
    int threads;     /* that the figures hold for: fr_threads() */
    const char *isa; /* "v4", "v3", "v2", "baseline": which kernels run */
    /* Per second: f32 multiply-adds in registers, a multiply-add counting 2; f32 products of matrices at a shape that is
       typical of training (2048 x 512 x 1536). */
    double peak_flops, gemm_flops;
    double stream_bytes; /* per second, read + written, copying arrays larger than the caches */
} fr_machine;

/* Measure for about `seconds` (0.3 is enough for 5 %): the best of several runs, because other work on the machine only ever
   makes a run slower. */
fr_status fr_machine_measure(double seconds, fr_machine *machine, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
