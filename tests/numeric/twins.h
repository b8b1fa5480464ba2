/* twins.h: the definitions of the operators, naive and in f64. */
#ifndef FRUGAL_TWINS_H
#define FRUGAL_TWINS_H

#include "gradient_check.h"

typedef void twin_function(const gradient_case *c, const double *const *in, double *out);

twin_function twin_linear, twin_matmul, twin_gather, twin_scatter;
twin_function twin_add, twin_multiply, twin_scale, twin_scale_rows;
twin_function twin_gelu, twin_gelu_tanh, twin_quick_gelu, twin_exp, twin_silu, twin_relu, twin_tanh,
    twin_swiglu, twin_dropout;
twin_function twin_layer_norm, twin_rms_norm, twin_softmax, twin_log_softmax;
twin_function twin_rope, twin_attention, twin_cross_entropy, twin_linear_cross_entropy;
twin_function twin_reshape, twin_slice, twin_concat, twin_transpose;
twin_function twin_sum, twin_mean, twin_sum_axis, twin_mean_axis;

#endif
