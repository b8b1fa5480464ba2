/* tensor.h: tensors, parameters with named axes, and the tape that records how to go back.

   Letters used everywhere: B batch, T positions, C width, H heads, D head width, V vocabulary, F feed-forward width, N rows.

   A tensor is a contiguous block of numbers with a shape; the last axis varies fastest. Views share the block: a reshape, or a
   range of the first axis. Everything else copies.

   The tape is eager: an operator (operators.h) computes at once and records how to go back. What it allocates lives in an arena
   until fr_tape_reset. A call that does not fit (shapes, dtypes) sets a sticky error on the tape and returns NULL; operators on
   NULL return NULL; the caller asks fr_tape_check once.

   On a shape-only tape nothing is computed and no data is allocated, yet shapes, costs and the bytes of activations are
   counted: the dry run.

   Arithmetic is f32. The other floating-point types are for storage (parameters of a frozen model, files); operators convert on
   use. bf16 and f16 store number by number. q8_0, q4_0, q4_k, q6_k (ggml's names) store blocks of 32 or 256 neighbours of the last
   axis as small integers with shared scales; its extent is a multiple of the block. */
#ifndef FRUGAL_TENSOR_H
#define FRUGAL_TENSOR_H

#include "frugal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FR_MAX_RANK = 6 };

/* i16, i8 and f64 occur in files only; no operator takes them. */
typedef enum fr_dtype {
    FR_F32,
    FR_BF16,
    FR_F16,
    FR_I32,
    FR_I64,
    FR_U8,
    FR_Q8_0, /* 32 numbers in 34 bytes */
    FR_Q4_0, /* 32 in 18 */
    FR_Q4_K, /* 256 in 144 */
    FR_Q6_K, /* 256 in 210 */
    FR_F64,
    FR_I16,
    FR_I8,
    FR_DTYPES
} fr_dtype;

size_t fr_dtype_size(fr_dtype dtype);                 /* bytes of a number, or of a block of them */
int64_t fr_dtype_block(fr_dtype dtype);               /* numbers in a block; 1: stored one by one */
size_t fr_dtype_bytes(fr_dtype dtype, int64_t count); /* of `count` numbers, in whole blocks */
const char *fr_dtype_name(fr_dtype dtype);            /* "f32", "bf16", ... */

typedef struct fr_tape fr_tape;
typedef struct fr_node fr_node;

/* Read the public fields freely; `data` belongs to tensor/ and kernels/ alone (fr_tensor_host gives a view of it). */
typedef struct fr_tensor {
    fr_dtype dtype;
    int rank;
    int64_t shape[FR_MAX_RANK];
    bool
        requires_grad; /* a gradient is wanted for this tensor (set for parameters, and for inputs by the caller) */
    struct fr_tensor *
        grad; /* same shape, f32; NULL until backward reaches it (parameters: allocated by their owner) */
    fr_node *node; /* what made it; NULL for parameters, inputs and constants */
    void *data;    /* NULL on a shape-only tape */
    fr_tape *
        tape; /* whose arena holds it; NULL: outside any tape, which is what makes it a parameter or constant */
    bool
        keeps_grad; /* set by the caller: the gradient of an operator's result stays readable after backward */
    bool borrows; /* data belongs to somebody else: fr_tensor_free leaves it */
} fr_tensor;

/* A tensor outside any tape (parameters, optimizer state, buffers): zeroed, freed with fr_tensor_free. NULL: no memory. */
fr_tensor *fr_tensor_create(fr_dtype dtype, int rank, const int64_t *shape, fr_memory_kind kind);
/* The same without data, for shape-only tapes. */
fr_tensor *fr_tensor_create_shape(fr_dtype dtype, int rank, const int64_t *shape);
/* Over numbers that lie elsewhere (a mapped file) and outlive it; they are read, never written. NULL: no memory. */
fr_tensor *fr_tensor_create_over(fr_dtype dtype, int rank, const int64_t *shape, const void *data);
void fr_tensor_free(fr_tensor *tensor);
int64_t fr_tensor_count(const fr_tensor *tensor); /* number of elements */
size_t fr_tensor_bytes(const fr_tensor *tensor);
bool fr_tensor_same_shape(const fr_tensor *a, const fr_tensor *b);
/* "(8, 256, 64)" into `text`; returns text. */
const char *fr_tensor_shape_text(const fr_tensor *tensor, char *text, size_t size);
/* The numbers on the host, row-major. On `cpu` this is the data itself; write through it only where the text says so. */
void *fr_tensor_host(const fr_tensor *tensor);
/* Convert `count` numbers between f32, bf16 and f16 (round to nearest even) and, in whole blocks, from blocks to f32 and from
   finite f32 to blocks (searching for good scales: src/kernels/quantise.c). From f64 to f32 as well. */
void fr_convert(void *out, fr_dtype out_dtype, const void *in, fr_dtype in_dtype, int64_t count);

/* ---- parameters ---------------------------------------------------------------------------------------------------- */

/* Meaning of an axis; growing, pruning, sharding and merging are written over these. */
typedef enum fr_axis {
    FR_AXIS_NONE = 0,
    FR_AXIS_VOCAB,
    FR_AXIS_HIDDEN,
    FR_AXIS_FFN,
    FR_AXIS_HEADS,    /* heads * head_dim */
    FR_AXIS_KV_HEADS, /* kv_heads * head_dim */
    FR_AXIS_QKV,      /* (heads + 2 kv_heads) * head_dim, fused */
    FR_AXIS_GATE_UP,  /* 2 F, fused */
    FR_AXIS_HEAD_DIM,
    FR_AXIS_POSITION,
    FR_AXIS_EXPERTS,
    FR_AXIS_LABELS,    /* what a classifier tells apart */
    FR_AXIS_EMBEDDING, /* width of a space that several towers share */
    FR_AXIS_CHANNELS,  /* of an image */
    FR_AXIS_PATCH,     /* height or width of a patch of an image, in pixels */
    FR_AXIS_COUNT
} fr_axis;
const char *fr_axis_name(fr_axis axis);

typedef struct fr_parameter {
    char *name; /* Hugging Face's: "model.layers.0.mlp.up_proj.weight" */
    fr_tensor *
        value; /* requires_grad says whether it trains; value->grad is its gradient (NULL until asked for) */
    fr_axis axes[FR_MAX_RANK];
    bool
        matrix; /* a linear layer's matrix (not an embedding, norm or bias): what Muon and weight decay go for */
    bool constant; /* kept as it came: never trains, whatever a recipe says */
    float
        init_std; /* the standard deviation it was drawn with; -c: every number was c (-1: ones, 0: zeros) */
} fr_parameter;

/* ---- the tape ------------------------------------------------------------------------------------------------------- */

typedef enum fr_tape_mode {
    FR_TAPE_TRAIN,  /* gradients of parameters that train, and of inputs that ask for it */
    FR_TAPE_FROZEN, /* gradients of inputs (tensors of this or another tape) only; what lives outside tapes is constant */
    FR_TAPE_NO_GRAD /* nothing is recorded */
} fr_tape_mode;

typedef struct fr_tape_options {
    fr_tape_mode mode;
    bool shape_only; /* count, do not compute */
    bool training;   /* dropout is active */
    uint64_t
        seed; /* for dropout: keyed by (seed, dropout, step, number of the call on this tape) */
} fr_tape_options;

fr_tape *fr_tape_create(const fr_tape_options *options, fr_error *error);
void fr_tape_destroy(fr_tape *tape);
/* Forget all nodes and the sticky error, and give the arenas back for reuse: every tensor of this tape ends. `step` keys the random numbers of what follows: give each
   micro-batch its own global number. */
void fr_tape_reset(fr_tape *tape, uint64_t step);
/* Reset, and have from the beginning what `planned`, a shape-only tape after the same work, counted: so the first step needs no
   more memory than the others. */
fr_status fr_tape_reserve(fr_tape *tape, const fr_tape *planned, fr_error *error);
fr_status fr_tape_check(const fr_tape *tape, fr_error *error); /* the sticky error */
/* Set the sticky error (the first one stays); always returns NULL, so that an operator can `return fr_tape_fail(...)`. */
fr_tensor *fr_tape_fail(fr_tape *tape, fr_status status, const char *format, ...) FR_PRINTF(3, 4);
bool fr_tape_is_shape_only(const fr_tape *tape);
bool fr_tape_records(const fr_tape *tape); /* mode is not NO_GRAD */
fr_tape_mode fr_tape_get_mode(const fr_tape *tape);
bool fr_tape_is_training(const fr_tape *tape); /* dropout is active */

/* A tensor in the tape's arena, contents undefined (the caller fills the host view). */
fr_tensor *fr_tape_tensor(fr_tape *tape, fr_dtype dtype, int rank, const int64_t *shape);
/* A copy of host numbers in the tape's arena. */
fr_tensor *fr_tape_input(fr_tape *tape, fr_dtype dtype, int rank, const int64_t *shape,
                         const void *numbers);

/* Run the tape backwards from `loss` (one element) with d loss = scale. Gradients are ADDED into parameters' grad (those whose
   grad is not NULL and that train) and into the grad of inputs, which the first call makes. The gradient of an operator's
   result is given back as soon as it has been used, so that its memory serves the next one; with `keeps_grad` it stays, as of
   the latest call. A second call with other losses adds again.
   A tensor of another tape counts as an input: after fr_tape_backward here, fr_tape_backward_from(its tape, it, its grad) goes
   on there. Gradients live until the reset of the tape whose backward made them. */
fr_status fr_tape_backward(fr_tape *tape, fr_tensor *loss, float scale, fr_error *error);
/* The same from a tensor of any shape with an upstream gradient (f32, same shape, may live anywhere). */
fr_status fr_tape_backward_from(fr_tape *tape, fr_tensor *output, const fr_tensor *gradient,
                                fr_error *error);

/* Activation checkpointing: call `function` on `inputs` keeping only inputs and outputs; backward runs it again. The function
   must be pure (same inputs, same operators) and make its result itself. Returns it. context must live until backward is
   done. On a NO_GRAD tape too all but the result is given back at once. The function's other tensors end when it returns. */
typedef fr_tensor *fr_tape_function(fr_tape *tape, fr_tensor *const *inputs, int count,
                                    void *context);
fr_tensor *fr_recompute(fr_tape *tape, fr_tape_function *function, fr_tensor *const *inputs,
                        int count, void *context);

/* ---- costs ----------------------------------------------------------------------------------------------------------- */

typedef struct fr_cost {
    double flops; /* a multiply-add counts 2 */
    double bytes; /* read + written, as if nothing stayed in a cache */
} fr_cost;
/* What the tape's operators cost since fr_tape_reset: forward as recorded; backward for what would be differentiated,
   recomputation included. */
fr_cost fr_tape_forward_cost(const fr_tape *tape);
fr_cost fr_tape_backward_cost(const fr_tape *tape);
/* Bytes in use at most since reset: results, what operators keep for backward, gradients of activations, and the tape's own
   records. Counted on a shape-only tape too; fr_tape_backward there counts what backward will need. */
size_t fr_tape_peak_bytes(const fr_tape *tape);

/* ---- taps ------------------------------------------------------------------------------------------------------------- */

/* Models name their intermediate results: t = fr_tap(tape, t, "layers.%d.attention.out", i). An observer reads the ones that its
   pattern (fnmatch) covers; an intervener may return another tensor of the same tape (any length) to use instead. Observers are
   not called on a shape-only tape, nor when fr_recompute runs a function again. */
typedef void fr_tap_observer(void *context, const char *name, const fr_tensor *value);
typedef fr_tensor *fr_tap_intervener(void *context, fr_tape *tape, const char *name,
                                     fr_tensor *value);
fr_tensor *fr_tap(fr_tape *tape, fr_tensor *value, const char *name_format, ...) FR_PRINTF(3, 4);
/* Stay until fr_tape_clear_taps; `pattern` must live as long. */
fr_status fr_tape_observe(fr_tape *tape, const char *pattern, fr_tap_observer *observer,
                          void *context, fr_error *error);
fr_status fr_tape_intervene(fr_tape *tape, const char *pattern, fr_tap_intervener *intervener,
                            void *context, fr_error *error);
void fr_tape_clear_taps(fr_tape *tape);
/* True when the tensor holds a NaN or an infinity. */
bool fr_tensor_has_nonfinite(const fr_tensor *tensor);

/* ---- state ------------------------------------------------------------------------------------------------------------- */

/* Everything that a run needs to go on, as one tree of named things: "model.NAME", "optimizer.m.NAME", "loader.position".
   Owners register pointers; checkpoints write and read through them; sharding and snapshots will walk the same tree.
   Names are copied and unique; what is registered must outlive the state. */
typedef struct fr_state fr_state;
typedef enum fr_state_type { FR_STATE_TENSOR, FR_STATE_I64, FR_STATE_F64 } fr_state_type;
typedef struct fr_state_entry {
    char *name;
    fr_state_type type;
    fr_tensor *tensor;
    int64_t *i64; /* `count` of them */
    double *f64;
    size_t count;
} fr_state_entry;
fr_state *fr_state_create(void);
void fr_state_destroy(fr_state *state);
fr_status fr_state_tensor(fr_state *state, fr_tensor *tensor, fr_error *error,
                          const char *name_format, ...) FR_PRINTF(4, 5);
fr_status fr_state_i64(fr_state *state, int64_t *values, size_t count, fr_error *error,
                       const char *name_format, ...) FR_PRINTF(5, 6);
fr_status fr_state_f64(fr_state *state, double *values, size_t count, fr_error *error,
                       const char *name_format, ...) FR_PRINTF(5, 6);
size_t fr_state_count(const fr_state *state);
const fr_state_entry *fr_state_at(const fr_state *state, size_t index);

#ifdef __cplusplus
}
#endif
#endif
