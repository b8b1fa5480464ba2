/* step.c: running one layer of a model, plainly or so that backward computes it again.

   A recomputed layer is called through a struct that must live until backward and must not differ
   between tapes; so each layer holds one per combination of the tensors that a step may have. */
#include "nn/nn.h"

enum { HAS_POSITIONS = 1, HAS_SEGMENTS = 2 };

static fr_tensor *recomputed(fr_tape *tape, fr_tensor *const *inputs, int count, void *context)
{
    const fr_layer_call *call = context;
    fr_step step = {0};
    int next = 1;
    if (call->given & HAS_POSITIONS && next < count)
        step.positions = inputs[next++];
    if (call->given & HAS_SEGMENTS && next < count)
        step.segments = inputs[next];
    return call->function(call->layer, tape, inputs[0], &step);
}

void fr_layer_calls_fill(fr_layer_call calls[FR_LAYER_CALLS], fr_layer_function *function,
                         const void *layer)
{
    for (int given = 0; given < FR_LAYER_CALLS; given++)
        calls[given] = (fr_layer_call){function, layer, given};
}

fr_tensor *fr_layer_run(fr_layer_call calls[FR_LAYER_CALLS], fr_tape *tape, fr_tensor *x,
                        const fr_step *step, bool recompute)
{
    if (!recompute || !fr_tape_records(tape))
        return calls[0].function(calls[0].layer, tape, x, step);
    fr_tensor *inputs[3] = {x};
    int count = 1, given = 0;
    if (step->positions) {
        inputs[count++] = step->positions;
        given |= HAS_POSITIONS;
    }
    if (step->segments) {
        inputs[count++] = step->segments;
        given |= HAS_SEGMENTS;
    }
    return fr_recompute(tape, recomputed, inputs, count, &calls[given]);
}
