/* objectives.h: the kinds that the registry names. */
#ifndef FRUGAL_OBJECTIVES_H
#define FRUGAL_OBJECTIVES_H

#include "frugal/train.h"

extern const fr_objective_kind fr_causal_lm;

#endif
