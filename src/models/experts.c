/* experts.c: how decoder families declare layers of experts.

   mixtral names them block_sparse_moe.{gate, experts.E.{w1, w3, w2}} (gate, up, down), and Qwen's
   families mlp.{gate, experts.E.{gate_proj, up_proj, down_proj}}. */
#include "models/decoder.h"

enum { PART_SIZE = 64 };

static fr_linear_layer *expert_part(fr_builder *b, const fr_expert_names *names, int64_t expert,
                                    const char *part, int64_t out, int64_t in, bool down)
{
    char name[PART_SIZE];
    snprintf(name, sizeof name, "%s.experts.%lld.%s", names->prefix, (long long)expert, part);
    return fr_builder_linear(b, name, out, down ? FR_AXIS_HIDDEN : FR_AXIS_FFN, in,
                             down ? FR_AXIS_FFN : FR_AXIS_HIDDEN, false, down);
}

static fr_experts_layer *create(const fr_experts_options *o)
{
    fr_experts_layer *layer = fr_alloc(sizeof *layer, FR_MEMORY_OTHER);
    if (!layer)
        return NULL;
    layer->experts = fr_alloc_array((size_t)o->count, sizeof *layer->experts, FR_MEMORY_OTHER);
    if (layer->experts)
        return layer;
    fr_free(layer);
    return NULL;
}

fr_experts_layer *fr_builder_experts(fr_builder *b, const fr_expert_names *names,
                                     const fr_experts_options *o, fr_activation activation)
{
    if (b->status != FR_OK)
        return NULL;
    fr_experts_layer *layer = create(o);
    if (!layer) {
        b->status = fr_fail(b->error, FR_NO_MEMORY, "no memory for a model");
        return NULL;
    }
    int64_t width = b->model->width;
    char name[PART_SIZE];
    snprintf(name, sizeof name, "%s.gate", names->prefix);
    layer->router =
        fr_builder_linear(b, name, o->count, FR_AXIS_EXPERTS, width, FR_AXIS_HIDDEN, false, false);
    for (int64_t e = 0; e < o->count; e++) {
        fr_feed_forward_layer *expert = &layer->experts[e];
        expert->gate = expert_part(b, names, e, names->gate, o->width, width, false);
        expert->up = expert_part(b, names, e, names->up, o->width, width, false);
        expert->down = expert_part(b, names, e, names->down, width, o->width, true);
        expert->activation = activation;
    }
    layer->count = o->count;
    layer->chosen = o->chosen;
    layer->normalize = o->normalize;
    layer->index = (int)b->layer;
    return layer;
}

void fr_experts_free(fr_experts_layer *layer)
{
    if (layer)
        fr_free(layer->experts);
    fr_free(layer);
}
