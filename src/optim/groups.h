/* groups.h: which group a parameter belongs to. */
#ifndef FRUGAL_GROUPS_H
#define FRUGAL_GROUPS_H

#include "frugal/train.h"

/* The first group whose pattern matches, or NULL. */
const fr_group_options *fr_group_of(const fr_group_options *groups, size_t count,
                                    const fr_parameter *parameter);

#endif
