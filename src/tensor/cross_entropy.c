/* cross_entropy.c: the loss of a language model, from logits: -log softmax(logits[i])[targets[i]],
   weighted and summed. The gradient is weight * (softmax - onehot); softmax is made again from the
   logits, so that nothing of (N, V) is kept besides them. logits (N, V); targets, weights (N). */
#include "tensor/loss.h"

enum { LOGITS };

/* ---- shared with linear_cross_entropy.c ---- */

bool fr_loss_prepare(fr_tape *tape, const char *call, fr_loss_options *options,
                     const fr_tensor *like, int64_t vocabulary, const fr_tensor *targets,
                     const fr_tensor *weights, float scale, fr_tensor **per_row)
{
    int64_t rows = fr_tensor_rows(like);
    if (!fr_expect_count(tape, call, "targets", targets, rows) ||
        !fr_expect_indices(tape, call, "targets", targets, vocabulary, FR_IGNORE))
        return false;
    if (weights && (!fr_expect_constant(tape, call, "weights", weights, FR_F32) ||
                    !fr_expect_count(tape, call, "weights", weights, rows)))
        return false;
    fr_tensor *losses = fr_tape_tensor(tape, FR_F32, targets->rank, targets->shape);
    if (!losses)
        return false;
    if (per_row)
        *per_row = losses;
    *options = (fr_loss_options){.targets = targets->data,
                                 .weights = weights ? weights->data : NULL,
                                 .scale = scale,
                                 .per_row = losses};
    return true;
}

void fr_loss_shape(fr_node *n)
{
    n->out->rank = 1;
    n->out->shape[0] = 1;
}

float fr_loss_sum(const fr_node *n, const fr_loss_options *options)
{
    const float *losses = options->per_row->data;
    int64_t rows = fr_tensor_count(options->per_row);
    double sum = options->weights ? n->kernels->dot(losses, options->weights, rows)
                                  : n->kernels->sum(losses, rows);
    return (float)((double)options->scale * sum);
}

int64_t fr_loss_chunk(int64_t rows, int64_t vocabulary)
{
    enum { FLOATS = 2 << 20, FEWEST = 128 };
    int64_t chunk = FLOATS / vocabulary;
    if (chunk < FEWEST)
        chunk = FEWEST;
    return chunk < rows ? chunk : rows;
}

/* ---- from logits ---- */

enum { DLOGITS_FLOATS = 1 << 18 }; /* of a chunk whose gradient is made apart and added */

static int64_t apart_rows(const fr_node *n)
{
    int64_t rows = fr_tensor_rows(n->in[LOGITS].tensor);
    int64_t chunk = DLOGITS_FLOATS / fr_tensor_width(n->in[LOGITS].tensor);
    return chunk < 1 ? 1 : chunk < rows ? chunk : rows;
}

/* Scratch: losses that backward makes again, and dlogits of a chunk. */
static void shape(fr_node *n)
{
    const fr_tensor *logits = n->in[LOGITS].tensor;
    fr_loss_shape(n);
    n->backward_scratch_bytes =
        (size_t)(fr_tensor_rows(logits) + apart_rows(n) * fr_tensor_width(logits)) * sizeof(float);
}

static fr_costs cost(const fr_node *n)
{
    const fr_tensor *logits = n->in[LOGITS].tensor;
    double count = (double)fr_tensor_count(logits), bytes = (double)fr_tensor_bytes(logits);
    fr_costs costs = {.forward = {12 * count, bytes}};
    if (n->in[LOGITS].wanted)
        costs.backward = (fr_cost){14 * count, 3 * bytes};
    return costs;
}

static void forward(fr_node *n)
{
    const fr_loss_options *o = n->options;
    const fr_tensor *logits = n->in[LOGITS].tensor;
    n->kernels->cross_entropy(o->per_row->data, NULL, logits->data, o->targets, o->weights,
                              o->scale, fr_tensor_rows(logits), fr_tensor_width(logits));
    fr_out(n)[0] = fr_loss_sum(n, o);
}

static void backward(fr_node *n)
{
    const fr_loss_options *o = n->options;
    const fr_tensor *logits = n->in[LOGITS].tensor;
    int64_t rows = fr_tensor_rows(logits), width = fr_tensor_width(logits);
    float *dlogits = n->in[LOGITS].grad, *losses = n->scratch, *apart = losses + rows;
    float scale = o->scale * fr_upstream(n)[0];
    if (!dlogits)
        return;
    if (!n->in[LOGITS].accumulate) {
        n->kernels->cross_entropy(losses, dlogits, logits->data, o->targets, o->weights, scale,
                                  rows, width);
        return;
    }
    int64_t chunk = apart_rows(n);
    for (int64_t row = 0; row < rows; row += chunk) {
        int64_t count = rows - row < chunk ? rows - row : chunk;
        n->kernels->cross_entropy(losses, apart, fr_in(n, LOGITS) + row * width, o->targets + row,
                                  o->weights ? o->weights + row : NULL, scale, count, width);
        n->kernels->axpy(dlogits + row * width, apart, 1.0F, count * width);
    }
}

static const fr_operator cross_entropy = {.name = "cross_entropy",
                                          .options_size = sizeof(fr_loss_options),
                                          .shape = shape,
                                          .cost = cost,
                                          .forward = forward,
                                          .backward = backward};

fr_tensor *fr_cross_entropy(fr_tape *tape, fr_tensor *logits, fr_tensor *targets,
                            fr_tensor *weights, float scale, fr_tensor **per_row)
{
    fr_loss_options o;
    if (!fr_expect_inputs(tape, "cross_entropy", (fr_tensor *[]){logits, targets}, 2) ||
        !fr_expect_dtype(tape, "cross_entropy", "logits", logits, FR_F32) ||
        !fr_loss_prepare(tape, "cross_entropy", &o, logits, fr_tensor_width(logits), targets,
                         weights, scale, per_row))
        return NULL;
    return fr_record(tape, &cross_entropy, &logits, 1, &o);
}
