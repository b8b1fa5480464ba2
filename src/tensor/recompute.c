/* recompute.c: activation checkpointing. Chen, Xu, Zhang, Guestrin: Training deep nets with
   sublinear memory cost, arXiv 1604.06174.

   The first run records nothing: its result is moved down to where the run began, and all else is
   given back. Backward runs the function again on stand-ins of its inputs, recording this time,
   goes back through these nodes, and gives them back. Random numbers follow the number of the call,
   which the second run starts from where the first did. */
#include "tensor/tape.h"

#include <string.h>

typedef struct recompute_options {
    fr_tape_function *function;
    void *context;
    uint64_t calls; /* the tape's counter when the first run began */
} recompute_options;

/* Run again, recording; NULL with the sticky error when the result is not new. */
static fr_tensor *run_again(fr_node *n, fr_tensor *const *inputs)
{
    fr_tape *tape = n->tape;
    const recompute_options *o = n->options;
    uint64_t calls = tape->calls;
    bool replaying = tape->replaying;
    tape->calls = o->calls;
    tape->replaying = true;
    tape->last = NULL;
    fr_tensor *result = o->function(tape, inputs, n->inputs, o->context);
    tape->calls = calls;
    tape->replaying = replaying;
    if (!result)
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "recompute: the function returned NULL when run again");
    const fr_node *made = tape->last;
    while (made && made != result->node)
        made = made->previous;
    if (!made || !fr_tensor_same_shape(result, n->out))
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "recompute: the function did something else when run again");
    return result;
}

/* Stand-ins share the numbers and the gradient of the inputs, but nothing leads back from them. */
static fr_tensor **make_stand_ins(fr_node *n)
{
    fr_tape *tape = n->tape;
    fr_tensor **stand_ins = fr_tape_record_alloc(tape, (size_t)n->inputs * sizeof *stand_ins);
    for (int i = 0; stand_ins && i < n->inputs; i++) {
        if (!(stand_ins[i] = fr_tape_record_alloc(tape, sizeof **stand_ins)))
            return NULL;
        *stand_ins[i] = *n->in[i].tensor;
        stand_ins[i]->node = NULL;
        for (int j = 0; j < i; j++)
            if (n->in[j].tensor == n->in[i].tensor)
                stand_ins[i] = stand_ins[j];
    }
    return stand_ins;
}

static bool replay(fr_node *n)
{
    fr_tape *tape = n->tape;
    fr_region_mark records = fr_region_get_mark(&tape->records);
    fr_region_mark activations = fr_region_get_mark(&tape->activations);
    fr_node *last = tape->last;
    fr_tensor **stand_ins = make_stand_ins(n);
    fr_tensor *result = stand_ins ? run_again(n, stand_ins) : NULL;
    if (result) {
        result->grad = n->out->grad;
        n->out->grad = NULL;
        fr_tape_backward_nodes(tape, tape->last);
        for (int i = 0; i < n->inputs; i++)
            n->in[i].tensor->grad = stand_ins[i]->grad;
    }
    tape->last = last;
    fr_region_release(&tape->records, records);
    fr_region_release(&tape->activations, activations);
    return tape->error.status == FR_OK;
}

/* The shape rule and the cost are those of the first run, which has been made and counted when the
   node is. */
static const fr_operator recompute = {.name = "recompute", .replay = replay};

/* The result of the first run becomes the only thing that it leaves. */
static fr_tensor *keep_only(fr_tape *tape, const fr_tensor *result, fr_region_mark records,
                            fr_region_mark activations)
{
    fr_tensor old = *result;
    fr_region_release(&tape->records, records);
    fr_region_release(&tape->activations, activations);
    fr_tensor *kept = fr_tape_tensor(tape, old.dtype, old.rank, old.shape);
    if (!kept)
        return NULL;
    kept->requires_grad = old.requires_grad;
    if (kept->data)
        memmove(kept->data, old.data, fr_tensor_bytes(kept));
    return kept;
}

static fr_tensor *record(fr_tape *tape, fr_tensor *out, fr_tensor *const *inputs, int count,
                         const recompute_options *options)
{
    fr_node *n = fr_tape_record_alloc(tape, sizeof *n);
    fr_operand *in = fr_tape_record_alloc(tape, (size_t)count * sizeof *in);
    recompute_options *copy = fr_tape_record_alloc(tape, sizeof *copy);
    if (!n || !in || !copy)
        return NULL;
    *copy = *options;
    for (int i = 0; i < count; i++)
        in[i].tensor = inputs[i];
    *n = (fr_node){.kind = &recompute,
                   .kernels = tape->kernels,
                   .tape = tape,
                   .out = out,
                   .in = in,
                   .inputs = count,
                   .recorded = true,
                   .options = copy,
                   .previous = tape->last};
    out->node = n;
    tape->last = n;
    return out;
}

fr_tensor *fr_recompute(fr_tape *tape, fr_tape_function *function, fr_tensor *const *inputs,
                        int count, void *context)
{
    if (!fr_expect_inputs(tape, "recompute", inputs, count))
        return NULL;
    recompute_options options = {function, context, tape->calls};
    fr_region_mark records = fr_region_get_mark(&tape->records);
    fr_region_mark activations = fr_region_get_mark(&tape->activations);
    fr_cost before = tape->forward_cost;
    bool suspended = tape->suspended;
    tape->suspended = true;
    fr_tensor *result = function(tape, inputs, count, context);
    tape->suspended = suspended;
    if (!result || tape->error.status != FR_OK)
        return fr_tape_fail(tape, FR_WRONG_CALL, "recompute: the function returned NULL");
    if (result->tape != tape)
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "recompute: the function returned a tensor from outside the tape");
    for (int i = 0; i < count; i++)
        if (result == inputs[i])
            return result;
    fr_tensor *out = keep_only(tape, result, records, activations);
    if (!out || !out->requires_grad)
        return out;
    if (!tape->replaying) {
        tape->backward_cost.flops += tape->forward_cost.flops - before.flops;
        tape->backward_cost.bytes += tape->forward_cost.bytes - before.bytes;
    }
    return suspended ? out : record(tape, out, inputs, count, &options);
}
