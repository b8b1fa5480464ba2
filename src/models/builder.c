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

void fr_builder_attention(fr_builder *b, struct fr_attention_layer *layer,
                          const fr_builder_heads *heads, bool bias, bool out_bias)
{
    int64_t queries = heads->heads * heads->head_dim, keys = heads->kv_heads * heads->head_dim;
    layer->query = fr_builder_linear(b, "self_attn.q_proj", queries, FR_AXIS_HEADS, heads->width,
                                     FR_AXIS_HIDDEN, bias, false);
    layer->key = fr_builder_linear(b, "self_attn.k_proj", keys, FR_AXIS_KV_HEADS, heads->width,
                                   FR_AXIS_HIDDEN, bias, false);
    layer->value = fr_builder_linear(b, "self_attn.v_proj", keys, FR_AXIS_KV_HEADS, heads->width,
                                     FR_AXIS_HIDDEN, bias, false);
    layer->out = fr_builder_linear(b, "self_attn.o_proj", heads->width, FR_AXIS_HIDDEN, queries,
                                   FR_AXIS_HEADS, out_bias, true);
    layer->heads = heads->heads;
    layer->kv_heads = heads->kv_heads;
    layer->head_dim = heads->head_dim;
}

void fr_builder_gated(fr_builder *b, struct fr_feed_forward_layer *layer, int64_t width,
                      int64_t inner, bool bias)
{
    layer->gate = fr_builder_linear(b, "mlp.gate_proj", inner, FR_AXIS_FFN, width, FR_AXIS_HIDDEN,
                                    bias, false);
    layer->up =
        fr_builder_linear(b, "mlp.up_proj", inner, FR_AXIS_FFN, width, FR_AXIS_HIDDEN, bias, false);
    layer->down = fr_builder_linear(b, "mlp.down_proj", width, FR_AXIS_HIDDEN, inner, FR_AXIS_FFN,
                                    bias, true);
}
