/* operator.h: what an operator is made of, for the files that define one.

   An operator is one descriptor (fr_operator): a shape rule, its cost, forward, backward. The
   public function checks its arguments, sets the tape's sticky error when they do not fit, and
   hands the rest to fr_record, which makes the node, finds memory for the result and for what
   backward needs, counts the cost, and runs `forward`.

   `forward` and `backward` call kernels (n->kernels) on the pointers below and do nothing else:
   they are not called on a shape-only tape, so what they would allocate must be said by the shape
   rule. */
#ifndef FRUGAL_OPERATOR_H
#define FRUGAL_OPERATOR_H

#include "frugal/operators.h"
#include "kernels/kernels.h"

enum { FR_MAX_SAVED = 4 };

typedef struct fr_costs {
    fr_cost forward, backward;
} fr_costs;

typedef struct fr_operator {
    const char *name;
    /* Bytes copied from fr_record's `options` into node->options. */
    size_t options_size;
    /* Fill out->rank, out->shape (and out->dtype unless f32); say what to save and scratch. */
    void (*shape)(fr_node *n);
    /* Backward: only of the gradients that in[].wanted asks for. */
    fr_costs (*cost)(const fr_node *n);
    /* NULL: the result shares its input's data. */
    void (*forward)(fr_node *n);
    /* NULL: no gradient ever flows. */
    void (*backward)(fr_node *n);
    /* Bit i: the gradient of input i is the upstream one unchanged, if it has as many elements.
       Backward may then find in[i].grad NULL: its memory went to the input without a copy. */
    unsigned passes;
    /* An input may be stored in blocks (q4_k, ...); where it may not, fr_record refuses it. */
    bool reads_blocks;
    /* NULL except in recompute.c, which takes the whole step back into its own hands; false: the
       sticky error is set. */
    bool (*replay)(fr_node *n);
} fr_operator;

typedef struct fr_operand {
    fr_tensor *tensor; /* NULL: an optional input that is not there */
    bool wanted;       /* its gradient is wanted */
    /* in `backward`: */
    float *grad;      /* where its gradient goes; NULL: do not compute it */
    bool accumulate;  /* add to grad, do not set it */
    fr_tensor *apart; /* the engine's: owns grad when the tensor stands at an earlier place too */
} fr_operand;

struct fr_node {
    const fr_operator *kind;
    const fr_kernels *kernels;
    fr_tape *tape;
    fr_node *previous; /* recorded before this one */
    fr_tensor *out;
    fr_operand *in;
    int inputs;
    bool recorded; /* backward may come; otherwise what is saved ends after forward */
    void *options;
    /* Written by the shape rule: */
    size_t saved_bytes[FR_MAX_SAVED]; /* kept for backward */
    size_t scratch_bytes;             /* during forward */
    size_t backward_scratch_bytes;    /* during backward */
    const fr_tensor *shares;          /* the result is a view of this input ... */
    size_t offset;                    /* ... from this byte on */
    /* Found by the engine: */
    void *saved[FR_MAX_SAVED];
    void *scratch;
};

/* Make a node of `count` inputs (those that are not there NULL), compute, return the result. */
fr_tensor *fr_record(fr_tape *tape, const fr_operator *kind, fr_tensor *const *inputs, int count,
                     const void *options);

/* ---- what forward and backward read ---- */

static inline const float *fr_in(const fr_node *n, int i)
{
    return n->in[i].tensor ? n->in[i].tensor->data : NULL;
}

static inline float *fr_out(const fr_node *n)
{
    return n->out->data;
}

/* The upstream gradient. */
static inline const float *fr_upstream(const fr_node *n)
{
    return n->out->grad->data;
}

/* Where the gradient of input i goes, ready to be added to; NULL: not wanted. For kernels that
   always add. */
static inline float *fr_grad_to_add(const fr_node *n, int i)
{
    const fr_operand *in = &n->in[i];
    if (in->grad && !in->accumulate)
        n->kernels->fill(in->grad, 0.0F, fr_tensor_count(in->tensor));
    return in->grad;
}

/* The gradient of input i is factor * gradient (as many numbers as the input has). */
static inline void fr_grad_put(const fr_node *n, int i, const float *gradient, float factor)
{
    const fr_operand *in = &n->in[i];
    if (!in->grad)
        return;
    if (in->accumulate)
        n->kernels->axpy(in->grad, gradient, factor, fr_tensor_count(in->tensor));
    else
        n->kernels->scale(in->grad, gradient, factor, fr_tensor_count(in->tensor));
}

/* ---- shapes ---- */

int64_t fr_tensor_width(const fr_tensor *t); /* extent of the last axis; 1 for rank 0 */
int64_t fr_tensor_rows(const fr_tensor *t);  /* product of the others */
int64_t fr_tensor_extent(const fr_tensor *t, int begin,
                         int end); /* product of extents of axes [begin, end) */
void fr_shape_copy(fr_tensor *out, const fr_tensor *like); /* rank and extents */
void fr_shape_same_as_first(fr_node *n);                   /* a shape rule */
/* A known type, a rank up to FR_MAX_RANK, extents of at least 1 whose product leaves room for any
   arithmetic on bytes. */
bool fr_shape_is_possible(fr_dtype dtype, int rank, const int64_t *shape);
/* Do b's extents equal a's last ones? */
bool fr_shape_is_suffix(const fr_tensor *b, const fr_tensor *a);

/* ---- costs ---- */

/* Every input read and the result written once; each wanted gradient reads the upstream one and the
   inputs once. */
fr_costs fr_cost_elementwise(const fr_node *n, double flops_per_element,
                             double backward_flops_per_element);
/* Of operators that only move numbers. */
fr_costs fr_cost_copy(const fr_node *n);

/* ---- checks: true, or false with the sticky error ---- */

/* The tape is in order and none of the tensors is NULL. */
bool fr_expect_inputs(fr_tape *tape, const char *call, fr_tensor *const *inputs, int count);
bool fr_expect_dtype(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                     fr_dtype dtype);
bool fr_expect_number(fr_tape *tape, const char *call, const char *name,
                      const fr_tensor *t); /* f32, bf16 or f16 */
bool fr_expect_weight(fr_tape *tape, const char *call, const char *name,
                      const fr_tensor *t); /* or blocks: for operators with reads_blocks */
bool fr_expect_rank(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                    int rank);
bool fr_expect_axis(fr_tape *tape, const char *call, const fr_tensor *t, int axis);
/* One axis with x's width: "rms_norm: weight has 96 elements, x has width 128". */
bool fr_expect_last_axis(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                         const fr_tensor *x);
bool fr_expect_count(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                     int64_t count);
/* A tensor that gets no gradient and is no input of the node: its type, and that it has numbers
   where they are needed. */
bool fr_expect_constant(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                        fr_dtype dtype);
/* Every i32 in [0, limit), or equal to `also`; nothing is looked at on a shape-only tape. */
bool fr_expect_indices(fr_tape *tape, const char *call, const char *name, const fr_tensor *t,
                       int64_t limit, int64_t also);

#endif
