/* tape.h: the inside of a tape; for the files of this room that make it work. Operators see
   operator.h alone. */
#ifndef FRUGAL_TAPE_H
#define FRUGAL_TAPE_H

#include "tensor/operator.h"

/* An arena that also counts, so that a shape-only tape, which has the counter alone, ends with the
   same figure as a real one. */
typedef struct fr_region {
    fr_arena *arena; /* NULL: count only */
    size_t used, peak;
} fr_region;

typedef struct fr_region_mark {
    fr_arena_mark arena;
    size_t used;
} fr_region_mark;

/* A gradient of an activation; given back to the tape's list when it has been used. */
typedef struct fr_gradient {
    fr_tensor tensor; /* first, so that tensor->grad leads here */
    size_t capacity;  /* bytes of tensor.data */
    struct fr_gradient *next;
} fr_gradient;

typedef struct fr_tap_entry {
    const char *pattern;
    fr_tap_observer *observer; /* one of the two is set */
    fr_tap_intervener *intervener;
    void *context;
} fr_tap_entry;

struct fr_tape {
    fr_tape_options options;
    const fr_kernels *kernels;
    fr_error error;       /* sticky; status FR_OK: none */
    uint64_t step, calls; /* keys of random numbers */

    fr_region records;     /* nodes, tensors, options */
    fr_region activations; /* numbers of results, and what operators save */
    fr_region gradients;   /* numbers of gradients; blocks come back through `unused` */
    /* Their fr_gradient: apart, for recomputation gives `records` back while gradients live on. */
    fr_region gradient_records;
    fr_gradient *unused;

    fr_node *last; /* recorded last; nodes lead back by `previous` */
    /* First run of a recomputed function: what wants gradients is followed, nothing recorded. */
    bool suspended;
    /* Second run: costs are counted and observers called already. */
    bool replaying;
    fr_cost forward_cost, backward_cost;

    fr_tap_entry *taps;
    size_t tap_count, tap_capacity;
};

/* Blocks of `bytes`; false (with the sticky error) when there is no memory. On a shape-only tape
   *block becomes NULL. */
bool fr_region_alloc(fr_tape *tape, fr_region *region, size_t bytes, void **block);
fr_region_mark fr_region_get_mark(const fr_region *region);
void fr_region_release(fr_region *region, fr_region_mark mark);
/* Zeroed memory for records; NULL with the sticky error when there is none. */
void *fr_tape_record_alloc(fr_tape *tape, size_t bytes);

/* Does this tape want a gradient of t? */
bool fr_tape_wants(const fr_tape *tape, const fr_tensor *t);

/* Go back from `last` through its predecessors, each of which passes on the gradient that it has
   received. */
void fr_tape_backward_nodes(fr_tape *tape, fr_node *last);
/* A gradient for t, contents undefined; NULL with the sticky error when there is no memory. */
fr_tensor *fr_gradient_take(fr_tape *tape, const fr_tensor *t);
/* t->grad = NULL, its memory to the list if it is this tape's. */
void fr_gradient_give_back(fr_tape *tape, fr_tensor *t);

#endif
