/* batch.h: micro-batches on the host, and where they come from.

   A source gives micro-batch number n, for any n >= 0, as a pure function of its data, its options and n: so a run's position in its
   data is one number, and any two runs that agree on it read the same. Two sources are here: rows packed from a shard, and examples
   (texts with labels, pairs, choices, targets: examples.h). */
#ifndef FRUGAL_BATCH_H
#define FRUGAL_BATCH_H

#include "frugal/data.h"
#include "frugal/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The tensors of fr_batch, in its order. */
typedef enum fr_field {
    FR_FIELD_IDS,         /* (B, T) i32 */
    FR_FIELD_POSITIONS,   /* (B, T) i32 */
    FR_FIELD_SEGMENTS,    /* (B, T) i32 */
    FR_FIELD_TARGETS,     /* (B, T) i32, or (B, U) beside decoder ids */
    FR_FIELD_WEIGHTS,     /* (B, T) f32 */
    FR_FIELD_LENGTHS,     /* (B) i32 */
    FR_FIELD_TYPES,       /* (B, T) i32 */
    FR_FIELD_DECODER_IDS, /* (B, U) i32 */
    FR_FIELD_PIXELS,      /* (B, channels, height, width) f32 */
    FR_FIELD_LABELS,      /* (N) i32 classes or (N, labels) f32 values of N examples */
    FR_FIELDS
} fr_field;

typedef struct fr_host_array {
    void *data; /* NULL or rank 0: absent */
    size_t capacity;
    fr_dtype dtype;
    int rank;
    int64_t shape[4];
} fr_host_array;

/* Starts as {0}; its memory grows as needed and is used again. */
typedef struct fr_micro_batch {
    fr_host_array fields[FR_FIELDS];
    int64_t tokens;  /* positions computed, padding included */
    int64_t targets; /* what the loss of a step is the mean over: tokens, or examples */
} fr_micro_batch;
void fr_micro_batch_free(fr_micro_batch *micro);
/* Forget the contents, keep the memory. */
void fr_micro_batch_clear(fr_micro_batch *micro);
/* Give a field this shape and memory for it (not cleared). NULL: no memory. */
void *fr_micro_batch_set(fr_micro_batch *micro, fr_field field, fr_dtype dtype, int rank,
                         const int64_t *shape);
/* The shape alone, for shape-only tapes; not in a micro-batch that has memory. */
void fr_micro_batch_shape(fr_micro_batch *micro, fr_field field, fr_dtype dtype, int rank,
                          const int64_t *shape);
/* The field's numbers, NULL when it is absent. */
void *fr_micro_batch_get(const fr_micro_batch *micro, fr_field field);
/* Count the targets that are not FR_IGNORE. */
int64_t fr_micro_batch_count_targets(const fr_micro_batch *micro);
/* Copies on the tape; on a shape-only tape the shapes. */
fr_batch fr_micro_batch_put(const fr_micro_batch *micro, fr_tape *tape);

/* ---- sources ---- */

typedef struct fr_batch_source fr_batch_source;
typedef struct fr_batch_source_kind {
    /* Fill `micro` (cleared before) with micro-batch `number`. Nothing is allocated but what a larger one than before needs. */
    fr_status (*get)(fr_batch_source *source, int64_t number, fr_micro_batch *micro,
                     fr_error *error);
    void (*destroy)(fr_batch_source *source);
} fr_batch_source_kind;
struct fr_batch_source {
    const fr_batch_source_kind *kind;
    int64_t per_epoch; /* micro-batches of an epoch, at least 1; packed rows: rounded down */
    char *identity; /* what the data is, in a line, so that a run does not go on with other data */
    void *own;
};
void fr_batch_source_destroy(fr_batch_source *source);

/* Rows packed from a shard (fr_loader), which the source opens and owns. With `scoring` the rows of a micro-batch are at most those
   of an epoch. */
fr_status fr_packed_source_create(fr_batch_source **source, const char *prefix,
                                  const fr_loader_options *options, bool scoring, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
