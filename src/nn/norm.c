/* norm.c: a norm as a layer: layer norm (arXiv 1607.06450) when it has a bias, else root mean
   square norm (arXiv 1910.07467). */
#include "nn/nn.h"

fr_status fr_norm_declare(fr_norm_layer *layer, fr_model *model, const char *name, int64_t width,
                          fr_axis axis, bool bias, double eps, fr_error *error)
{
    layer->eps = (float)eps;
    const char *suffixes[] = {".weight", ".bias"};
    fr_parameter **places[] = {&layer->weight, &layer->bias};
    for (int i = 0; i < (bias ? 2 : 1); i++) {
        char *full = fr_format("%s%s", name, suffixes[i]);
        if (!full)
            return fr_fail(error, FR_NO_MEMORY, "no memory for the name of a parameter");
        *places[i] = fr_model_add_parameter(model, full, 1, &width, &axis, false,
                                            i == 0 ? -1.0f : 0.0f, error);
        fr_free(full);
        if (!*places[i])
            return error ? error->status : FR_NO_MEMORY;
    }
    return FR_OK;
}

void fr_norm_count_from_one(fr_norm_layer *layer)
{
    layer->from_one = true;
    layer->weight->init_std = 0;
}

fr_tensor *fr_norm_apply(const fr_norm_layer *layer, fr_tape *tape, fr_tensor *x)
{
    if (layer->bias || layer->centred)
        return fr_layer_norm(tape, x, layer->weight->value, layer->bias ? layer->bias->value : NULL,
                             layer->eps);
    fr_tensor *weight = layer->weight->value;
    if (layer->from_one)
        weight = fr_add(tape, weight,
                        fr_tape_input(tape, FR_F32, 1, (const int64_t[]){1}, (const float[]){1}));
    return fr_rms_norm(tape, x, weight, layer->eps);
}
