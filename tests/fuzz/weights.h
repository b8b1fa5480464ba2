/* weights.h: what must hold of any file of weights that was opened. */
#ifndef FRUGAL_TESTS_FUZZ_WEIGHTS_H
#define FRUGAL_TESTS_FUZZ_WEIGHTS_H

#include "fuzz.h"

#include "frugal/formats.h"

#include <string.h>

/* Every tensor has a name by which it is found, and numbers that can be read: the first, the last, some between. */
static inline void check_weights(const fr_weight_file *file)
{
    enum { FEW = 3 };
    float numbers[FEW];
    for (size_t i = 0; i < fr_weight_file_count(file); i++) {
        const fr_stored_tensor *tensor = fr_weight_file_at(file, i);
        MUST(fr_weight_file_find(file, tensor->name) == tensor);
        int64_t count = 1;
        for (int k = 0; k < tensor->rank; k++)
            MUST(!__builtin_mul_overflow(count, tensor->shape[k], &count));
        if (!tensor->read || count == 0)
            continue;
        int64_t part = count < FEW ? count : FEW;
        tensor->read(tensor, 0, part, numbers);
        tensor->read(tensor, count - part, part, numbers);
        tensor->read(tensor, (count - part) / 2, part, numbers);
    }
}

#endif
