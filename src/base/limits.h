/* limits.h: CPUs that this process may use, as control groups and the affinity mask allow; at least 1. */
#ifndef FRUGAL_BASE_LIMITS_H
#define FRUGAL_BASE_LIMITS_H

#include "frugal/base.h"

int fr_usable_cpus(void);

#endif
