/* weight.c: linear layers and the plainest form of their matrix, `dense`: a parameter (out, in). */
#include "nn/nn.h"

/* ---- dense ---- */

static fr_tensor *dense_apply(fr_weight *weight, fr_tape *tape, fr_tensor *x, fr_tensor *bias)
{
    return fr_linear(tape, x, weight->parameter->value, bias);
}

static fr_status dense_matrix(const fr_weight *weight, float *out, fr_error *error)
{
    const fr_tensor *value = weight->parameter->value;
    const void *numbers = fr_tensor_host(value);
    if (!numbers)
        return fr_fail(error, FR_WRONG_CALL, "%s has a shape only", weight->parameter->name);
    fr_convert(out, FR_F32, numbers, value->dtype, fr_tensor_count(value));
    return FR_OK;
}

static void dense_destroy(fr_weight *weight)
{
    fr_free(weight); /* the model owns the parameter */
}

static const fr_weight_kind dense = {
    .base = {"dense", "a full matrix of its own", NULL, {.name = "weight_form.dense"}},
    .apply = dense_apply,
    .dense = dense_matrix,
    .destroy = dense_destroy,
};

fr_weight *fr_dense_create(fr_parameter *parameter)
{
    fr_weight *weight = fr_alloc(sizeof *weight, FR_MEMORY_OTHER);
    if (weight) {
        weight->kind = &dense;
        weight->out = parameter->value->shape[0];
        weight->in = parameter->value->shape[1];
        weight->parameter = parameter;
    }
    return weight;
}

static const fr_kind *const forms[] = {&dense.base, NULL};
const fr_registry fr_weight_forms = {
    "weight_form", "how the matrix of a linear layer is stored, applied and differentiated", forms};

/* ---- linear layers ---- */

fr_tensor *fr_linear_layer_apply(fr_linear_layer *layer, fr_tape *tape, fr_tensor *x)
{
    fr_tensor *bias = layer->bias ? layer->bias->value : NULL;
    return layer->weight->kind->apply(layer->weight, tape, x, bias);
}

void fr_linear_layer_destroy(fr_linear_layer *layer)
{
    if (!layer)
        return;
    if (layer->weight)
        layer->weight->kind->destroy(layer->weight);
    fr_free(layer->name);
    fr_free(layer);
}
