/* backward.c: going back along a tape, and the memory of gradients.

   Nodes are visited from the last to the first. When a node's turn comes, everything that used its
   result has been visited, so its gradient is complete; after the visit nothing needs it any more
   and its memory serves the next gradient. So the gradients of a whole network of activations take
   the memory of the few that are alive at once. */
#include "tensor/tape.h"

#include <string.h>

/* ---- gradients of activations ---- */

/* The smallest unused block that fits and is not twice too large, or a new one. */
fr_tensor *fr_gradient_take(fr_tape *tape, const fr_tensor *t)
{
    size_t bytes = (size_t)fr_tensor_count(t) * sizeof(float);
    fr_gradient **best = NULL;
    for (fr_gradient **g = &tape->unused; *g; g = &(*g)->next)
        if ((*g)->capacity >= bytes && (*g)->capacity / 2 <= bytes &&
            (!best || (*g)->capacity < (*best)->capacity))
            best = g;
    fr_gradient *gradient;
    if (best) {
        gradient = *best;
        *best = gradient->next;
    } else {
        void *record, *data;
        if (!fr_region_alloc(tape, &tape->gradient_records, sizeof *gradient, &record) ||
            !fr_region_alloc(tape, &tape->gradients, bytes, &data))
            return NULL;
        gradient = record;
        gradient->tensor.data = data;
        gradient->capacity = bytes;
    }
    gradient->next = NULL;
    gradient->tensor = (fr_tensor){.dtype = FR_F32, .tape = tape, .data = gradient->tensor.data};
    fr_shape_copy(&gradient->tensor, t);
    return &gradient->tensor;
}

static void give_back(fr_tape *tape, fr_tensor *grad)
{
    fr_gradient *gradient = (fr_gradient *)(void *)grad;
    gradient->next = tape->unused;
    tape->unused = gradient;
}

void fr_gradient_give_back(fr_tape *tape, fr_tensor *t)
{
    if (t->grad && t->grad->tape == tape)
        give_back(tape, t->grad);
    t->grad = NULL;
}

/* ---- one node ---- */

/* Is input i the same tensor as an earlier wanted one? Then its gradient is made apart and added:
   kernels may assume that the gradients that they write do not overlap. */
static bool is_repeated(const fr_node *n, int i)
{
    for (int j = 0; j < i; j++)
        if (n->in[j].wanted && n->in[j].tensor == n->in[i].tensor)
            return true;
    return false;
}

/* The first input that can have the upstream gradient's memory as its own gradient; -1: none. */
static int find_heir(const fr_node *n)
{
    if (n->out->keeps_grad || n->out->grad->tape != n->tape)
        return -1;
    for (int i = 0; i < n->inputs; i++) {
        const fr_tensor *t = n->in[i].tensor;
        if (n->kind->passes >> i & 1 && n->in[i].wanted && t->tape && !t->grad &&
            fr_tensor_count(t) == fr_tensor_count(n->out))
            return i;
    }
    return -1;
}

/* Find where the gradient of input i goes. A parameter's is its owner's; without one it is not
   computed. */
static bool find_gradient(fr_node *n, int i)
{
    fr_operand *in = &n->in[i];
    fr_tensor *grad = in->tensor->grad;
    in->accumulate = grad != NULL;
    if (!in->tensor->tape && !grad)
        return true;
    if (is_repeated(n, i)) {
        grad = in->apart = fr_gradient_take(n->tape, in->tensor);
        in->accumulate = false;
    } else if (!grad) {
        grad = in->tensor->grad = fr_gradient_take(n->tape, in->tensor);
    }
    if (!grad)
        return false;
    in->grad = grad->data;
    return true;
}

static bool run_backward(fr_node *n)
{
    fr_tape *tape = n->tape;
    fr_region_mark before = fr_region_get_mark(&tape->activations);
    if (n->backward_scratch_bytes &&
        !fr_region_alloc(tape, &tape->activations, n->backward_scratch_bytes, &n->scratch))
        return false;
    if (!tape->options.shape_only && n->kind->backward)
        n->kind->backward(n);
    fr_region_release(&tape->activations, before);
    return true;
}

/* Hand the upstream gradient's memory over to the input that inherits it. */
static void inherit(fr_node *n, int heir)
{
    fr_tensor *t = n->in[heir].tensor;
    t->grad = n->out->grad;
    fr_shape_copy(t->grad, t);
    n->out->grad = NULL;
}

/* Add the gradients of repeated inputs to those of their first places. */
static void add_repeated(fr_node *n)
{
    for (int i = 0; i < n->inputs; i++) {
        fr_tensor *apart = n->in[i].apart;
        if (!apart)
            continue;
        if (!n->tape->options.shape_only)
            n->kernels->axpy(n->in[i].tensor->grad->data, apart->data, 1.0F,
                             fr_tensor_count(apart));
        give_back(n->tape, apart);
    }
}

static bool step_back(fr_node *n)
{
    if (n->kind->replay)
        return n->kind->replay(n);
    int heir = find_heir(n);
    for (int i = 0; i < n->inputs; i++) {
        n->in[i].grad = NULL;
        n->in[i].apart = NULL;
        if (n->in[i].wanted && i != heir && !find_gradient(n, i))
            return false;
    }
    if (!run_backward(n))
        return false;
    if (heir >= 0)
        inherit(n, heir);
    add_repeated(n);
    return true;
}

/* ---- the whole tape ---- */

void fr_tape_backward_nodes(fr_tape *tape, fr_node *last)
{
    for (fr_node *n = last; n && tape->error.status == FR_OK; n = n->previous) {
        if (!n->out->grad)
            continue;
        if (!step_back(n))
            return;
        if (!n->out->keeps_grad)
            fr_gradient_give_back(tape, n->out);
    }
}

/* Set what `output` receives, forget what an earlier call left on results, and go. */
static fr_status go_back(fr_tape *tape, fr_tensor *output, const fr_tensor *gradient, float scale,
                         fr_error *error)
{
    FR_TRY(fr_tape_check(tape, error));
    if (!output || output->tape != tape)
        return fr_fail(error, FR_WRONG_CALL,
                       "backward: the tensor to start from is not of this tape");
    if (!output->node)
        return fr_fail(
            error, FR_WRONG_CALL,
            "backward: nothing that led to this tensor asks for a gradient on this tape");
    fr_tensor *seed = fr_gradient_take(tape, output);
    if (!seed)
        return fr_tape_check(tape, error);
    if (!tape->options.shape_only) {
        if (gradient)
            tape->kernels->copy(seed->data, gradient->data, fr_tensor_count(output));
        else
            tape->kernels->fill(seed->data, scale, 1);
    }
    for (fr_node *n = tape->last; n; n = n->previous)
        if (n->out->grad)
            fr_gradient_give_back(tape, n->out);
    output->grad = seed;
    fr_tape_backward_nodes(tape, output->node);
    return fr_tape_check(tape, error);
}

fr_status fr_tape_backward(fr_tape *tape, fr_tensor *loss, float scale, fr_error *error)
{
    if (loss && fr_tensor_count(loss) != 1) {
        char text[96];
        return fr_fail(error, FR_WRONG_CALL,
                       "backward: the loss has shape %s, one element expected",
                       fr_tensor_shape_text(loss, text, sizeof text));
    }
    return go_back(tape, loss, NULL, scale, error);
}

fr_status fr_tape_backward_from(fr_tape *tape, fr_tensor *output, const fr_tensor *gradient,
                                fr_error *error)
{
    char a[96], b[96];
    FR_TRY(fr_tape_check(tape, error));
    if (!gradient || gradient->dtype != FR_F32 ||
        (output && !fr_tensor_same_shape(output, gradient)))
        return fr_fail(error, FR_WRONG_CALL,
                       "backward: the upstream gradient is %s %s, f32 %s expected",
                       gradient ? fr_dtype_name(gradient->dtype) : "missing",
                       gradient ? fr_tensor_shape_text(gradient, a, sizeof a) : "",
                       output ? fr_tensor_shape_text(output, b, sizeof b) : "");
    if (!gradient->data && !tape->options.shape_only)
        return fr_fail(error, FR_WRONG_CALL, "backward: the upstream gradient has no numbers");
    return go_back(tape, output, gradient, 1.0F, error);
}
