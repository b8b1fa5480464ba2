/* relative.c: a learned number per head for how far a key stands from its query (T5, arXiv 1910.10683, section 2.1; MPNet): near
   distances have a row of the table each, farther ones share rows whose reach grows by a constant factor, up to a distance from
   which all are one. */
#include "nn/nn.h"

#include <math.h>

/* The row for a key that stands `distance` behind its query (negative: before it). In f32, in whose
   rounding the tables were trained. */
static int32_t bucket(const fr_relative_layer *layer, int64_t distance)
{
    int64_t buckets = layer->buckets, base = 0, steps = distance < 0 ? -distance : distance;
    if (layer->bidirectional) {
        buckets /= 2;
        base = distance > 0 ? buckets : 0;
    } else if (distance > 0) {
        steps = 0;
    }
    int64_t exact = buckets / 2;
    if (steps < exact)
        return (int32_t)(base + steps);
    float share = logf((float)steps / (float)exact) /
                  (float)log((double)layer->most_distance / (double)exact);
    int64_t row = exact + (int64_t)(share * (float)(buckets - exact));
    return (int32_t)(base + (row < buckets - 1 ? row : buckets - 1));
}

fr_tensor *fr_relative_bias(const fr_relative_layer *layer, fr_tape *tape, int64_t tokens)
{
    int64_t reach = tokens < layer->most_distance ? tokens : layer->most_distance;
    const int64_t count = 2 * reach + 1;
    fr_tensor *rows = fr_tape_tensor(tape, FR_I32, 1, &count);
    int32_t *row = rows ? fr_tensor_host(rows) : NULL;
    for (int64_t i = 0; i < count && row; i++)
        row[i] = bucket(layer, i - reach);
    return fr_transpose(tape, fr_embedding(tape, layer->table->value, rows), 0, 1);
}
