/* loss.h: what the two forms of cross-entropy share. */
#ifndef FRUGAL_LOSS_H
#define FRUGAL_LOSS_H

#include "tensor/operator.h"

typedef struct fr_loss_options {
    const int32_t *targets; /* (rows) */
    const float *weights;   /* (rows) or NULL: all one */
    float scale;
    fr_tensor *per_row; /* (rows), always there: also what the sum is made of */
} fr_loss_options;

/* Check targets (against V = vocabulary) and weights, and make the tensor of each row's loss;
   `like` gives the rows. */
bool fr_loss_prepare(fr_tape *tape, const char *call, fr_loss_options *options,
                     const fr_tensor *like, int64_t vocabulary, const fr_tensor *targets,
                     const fr_tensor *weights, float scale, fr_tensor **per_row);
/* A shape rule: (1). */
void fr_loss_shape(fr_node *n);
/* scale * sum over rows of weights[i] * per_row[i] */
float fr_loss_sum(const fr_node *n, const fr_loss_options *options);
/* Rows of a chunk of logits, from the shape alone: 8 MiB, so that what one kernel wrote the next
   one finds in a cache; but at least 128 rows, for each chunk reads and writes the whole gradient
   of the weight. */
int64_t fr_loss_chunk(int64_t rows, int64_t vocabulary);

#endif
