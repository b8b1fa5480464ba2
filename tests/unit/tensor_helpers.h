/* tensor_helpers.h: what tests of tensors and tapes share. Included after cmocka. */
#ifndef FRUGAL_TENSOR_HELPERS_H
#define FRUGAL_TENSOR_HELPERS_H

#include "frugal/operators.h"

#include <string.h>

static inline fr_tape *make_tape(fr_tape_mode mode)
{
    fr_tape *tape =
        fr_tape_create(&(fr_tape_options){.mode = mode, .training = true, .seed = 3}, NULL);
    assert_non_null(tape);
    return tape;
}

static inline fr_tensor *vector(fr_tape *tape, int64_t count, const float *numbers)
{
    fr_tensor *t = fr_tape_input(tape, FR_F32, 1, &count, numbers);
    assert_non_null(t);
    return t;
}

static inline fr_tensor *zeros(fr_tape *tape, int64_t rows, int64_t columns)
{
    fr_tensor *t = fr_tape_tensor(tape, FR_F32, 2, (int64_t[]){rows, columns});
    assert_non_null(t);
    memset(fr_tensor_host(t), 0, fr_tensor_bytes(t));
    return t;
}

static inline float number(const fr_tensor *t, int64_t i)
{
    assert_non_null(t);
    return ((const float *)fr_tensor_host(t))[i];
}

/* A parameter of one number with a gradient of its own. */
static inline fr_tensor *make_parameter(float value)
{
    int64_t one = 1;
    fr_tensor *p = fr_tensor_create(FR_F32, 1, &one, FR_MEMORY_WEIGHTS);
    p->grad = fr_tensor_create(FR_F32, 1, &one, FR_MEMORY_GRADIENTS);
    p->requires_grad = true;
    *(float *)fr_tensor_host(p) = value;
    return p;
}

static inline void free_parameter(fr_tensor *p)
{
    fr_tensor_free(p->grad);
    fr_tensor_free(p);
}

/* The sticky error, word by word. */
static inline void assert_failed(fr_tape *tape, const char *message)
{
    fr_error error;
    assert_int_equal(fr_tape_check(tape, &error), FR_WRONG_CALL);
    assert_string_equal(error.message, message);
}

#endif
