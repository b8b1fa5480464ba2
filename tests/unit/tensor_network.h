/* tensor_network.h: a small transformer made of operators alone, for tests of the tape. */
#ifndef FRUGAL_TENSOR_NETWORK_H
#define FRUGAL_TENSOR_NETWORK_H

#include "frugal/operators.h"

enum {
    BATCH = 2,
    POSITIONS = 24,
    WIDTH = 32,
    HEADS = 4,
    KV_HEADS = 2,
    HIDDEN = 48,
    WORDS = 61,
    LAYERS = 4
};
enum { NORM_1, QKV, OUT, NORM_2, GATE, UP, DOWN, WEIGHTS_PER_LAYER };
enum { EMBEDDING = LAYERS * WEIGHTS_PER_LAYER, FREQUENCIES, WEIGHTS };

typedef struct network {
    fr_tensor *weight[WEIGHTS];
    bool recompute;
    float dropout;
} network;

/* shape_only: weights without numbers. */
void network_create(network *n, bool shape_only);
void network_destroy(network *n);
void network_zero_gradients(network *n);
/* (B, T, C) of the last layer; ids from the step's number. */
fr_tensor *network_hidden(network *n, fr_tape *tape, uint64_t step);
/* Mean loss over the next word. */
fr_tensor *network_loss(network *n, fr_tape *tape, uint64_t step);
/* All gradients' bits in one number, to compare runs. */
uint64_t network_gradient_hash(const network *n);
/* Zero the gradients, one step forward and back; the gradients' hash, and loss and peak where
   asked. */
uint64_t network_step(network *n, fr_tape *tape, uint64_t number_of_step, float *loss,
                      size_t *peak);

#endif
