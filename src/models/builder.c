/* builder.c: declaring the parts of a layer with a sticky status, so that a model's build reads as
   a list of its parts. */
#include "models/models.h"
#include "nn/nn.h"

#include <math.h>

enum { NAME_SIZE = 128 };

static const char *full_name(const fr_builder *builder, const char *name, char text[NAME_SIZE])
{
    snprintf(text, NAME_SIZE, "%s%lld.%s", builder->prefix, (long long)builder->layer, name);
    return text;
}

fr_linear_layer *fr_builder_linear(fr_builder *builder, const char *name, int64_t out,
                                   fr_axis out_axis, int64_t in, fr_axis in_axis, bool bias,
                                   bool into_residual)
{
    if (builder->status != FR_OK)
        return NULL;
    char text[NAME_SIZE];
    double shrink = into_residual ? 1 / sqrt(2.0 * (double)builder->model->layers) : 1;
    fr_linear_layer *layer =
        fr_model_add_linear(builder->model, full_name(builder, name, text), out, out_axis, in,
                            in_axis, bias, (float)(builder->std * shrink), builder->error);
    if (!layer)
        builder->status = builder->error->status;
    return layer;
}

void fr_builder_norm(fr_builder *builder, struct fr_norm_layer *layer, const char *name,
                     int64_t width, fr_axis axis)
{
    char text[NAME_SIZE];
    if (builder->status == FR_OK)
        builder->status =
            fr_norm_declare(layer, builder->model, full_name(builder, name, text), width, axis,
                            builder->norm_bias, builder->eps, builder->error);
}
