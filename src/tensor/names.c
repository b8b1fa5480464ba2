/* names.c: the operators by name. tests/numeric/test_gradients.c has an oracle for each, and fails
   where one is missing. */
#include "frugal/operators.h"

const char *const *fr_operator_names(void)
{
    static const char *const names[] = {"linear",        "matmul",
                                        "embedding",     "gather",
                                        "scatter",       "add",
                                        "multiply",      "scale",
                                        "scale_rows",    "gelu",
                                        "gelu_tanh",     "quick_gelu",
                                        "silu",          "relu",
                                        "tanh",          "exp",
                                        "swiglu",        "dropout",
                                        "layer_norm",    "rms_norm",
                                        "softmax",       "log_softmax",
                                        "rope",          "attention",
                                        "cross_entropy", "linear_cross_entropy",
                                        "reshape",       "slice",
                                        "concat",        "transpose",
                                        "sum",           "mean",
                                        "sum_axis",      "mean_axis",
                                        "cast",          NULL};
    return names;
}
