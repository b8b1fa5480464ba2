/* weight.c: linear layers and the plain forms of their matrix: a parameter (out, in), `dense` in f32, or stored in fewer bits. A
   stored matrix may lie in a mapped file; it is read block by block where it is used (tensor/linear.c) and never unpacked as a
   whole. It does not train, but gradients go through it to what stands before. */
#include "nn/nn.h"

/* ---- forms ---- */

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

#define FORM(name_, summary_, source_)                                                             \
    {                                                                                              \
        .base = {name_, summary_, source_, {.name = "weight_form." name_}}, .apply = dense_apply,  \
        .dense = dense_matrix, .destroy = dense_destroy                                            \
    }
static const char ggml[] = "ggml-org/ggml, docs/gguf.md and ggml-quants.c";
static const fr_weight_kind dense = FORM("dense", "a full matrix of its own", NULL),
                            bf16 = FORM("bf16", "stored in 16 bits: f32 cut short", NULL),
                            f16 = FORM("f16", "stored in 16 bits: IEEE half precision", NULL),
                            q8_0 = FORM("q8_0", "stored in blocks of 32: 8.5 bits a weight", ggml),
                            q4_0 = FORM("q4_0", "stored in blocks of 32: 4.5 bits a weight", ggml),
                            q4_k = FORM("q4_k",
                                        "stored in blocks of 256 with 8 scales and minima: 4.5 "
                                        "bits a weight",
                                        ggml),
                            q6_k = FORM("q6_k",
                                        "stored in blocks of 256 with 16 scales: 6.6 bits a weight",
                                        ggml);

static const fr_weight_kind *form_of(fr_dtype dtype)
{
    switch (dtype) {
    case FR_BF16:
        return &bf16;
    case FR_F16:
        return &f16;
    case FR_Q8_0:
        return &q8_0;
    case FR_Q4_0:
        return &q4_0;
    case FR_Q4_K:
        return &q4_k;
    case FR_Q6_K:
        return &q6_k;
    default:
        return &dense;
    }
}

void fr_weight_refresh(fr_weight *weight)
{
    if (weight->parameter)
        weight->kind = form_of(weight->parameter->value->dtype);
}

fr_weight *fr_dense_create(fr_parameter *parameter)
{
    fr_weight *weight = fr_alloc(sizeof *weight, FR_MEMORY_OTHER);
    if (weight) {
        weight->kind = form_of(parameter->value->dtype);
        weight->out = parameter->value->shape[0];
        weight->in = parameter->value->shape[1];
        weight->parameter = parameter;
    }
    return weight;
}

static const fr_kind *const forms[] = {&dense.base, &bf16.base, &f16.base,  &q8_0.base,
                                       &q4_0.base,  &q4_k.base, &q6_k.base, NULL};
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
