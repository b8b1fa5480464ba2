/* objectives.h: the kinds that the registry names. */
#ifndef FRUGAL_OBJECTIVES_H
#define FRUGAL_OBJECTIVES_H

#include "frugal/train.h"

extern const fr_objective_kind fr_causal_lm, fr_masked_lm, fr_sequence_classification,
    fr_token_classification, fr_multiple_choice, fr_sentence_embedding, fr_seq2seq_lm,
    fr_image_classification, fr_contrastive;

#endif
