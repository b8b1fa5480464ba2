/* attention.c: softmax(q k^T * scale + masks) v without ever holding T x S scores: FlashAttention,
   arXiv 2205.14135 and 2307.08691. For backward the log of the sum of exponentials of each row is
   kept, from which the kernel makes the probabilities again; dropout's choice is a function of
   (seed, step, number of the call on this tape, element), as in dropout.c. Grouped heads: arXiv
   2305.13245; ALiBi: arXiv 2108.12409; relative bias: arXiv 1910.10683, section 2.1; soft cap:
   arXiv 2408.00118; global keys: arXiv 2004.05150. Letters: kernels.h. */
#include "tensor/tape.h"

enum { Q, K, V, BIAS, INPUTS };
enum { LOG_SUM_EXP }; /* (B, H, T), unless the caller asked for it */

typedef struct attention_options {
    fr_attention_shape shape;
    fr_tensor *log_sum_exp; /* NULL: not asked for */
} attention_options;

static void shape(fr_node *n)
{
    const attention_options *o = n->options;
    const fr_attention_shape *s = &o->shape;
    fr_shape_same_as_first(n);
    if (!o->log_sum_exp)
        n->saved_bytes[LOG_SUM_EXP] = (size_t)(s->batch * s->heads * s->queries) * sizeof(float);
    for (int i = 0; i <= V; i++) /* the kernel makes all three gradients */
        if (!n->in[i].wanted || !n->in[i].tensor->tape)
            n->backward_scratch_bytes += fr_tensor_bytes(n->in[i].tensor);
}

/* Pairs of a query and a key that masks known from the shape let meet; global keys beyond a window,
   which the numbers tell, are not counted. */
static double visible_pairs(const fr_attention_shape *s)
{
    double pairs = 0;
    for (int64_t t = 0; t < s->queries; t++) {
        int64_t position = s->keys - s->queries + t, first = 0, end = s->keys;
        if (s->window > 0 && position - s->window + 1 > 0)
            first = position - s->window + 1;
        if (s->causal && position + 1 < end)
            end = position + 1;
        else if (!s->causal && s->window > 0 && position + s->window < end)
            end = position + s->window;
        pairs += end > first ? (double)(end - first) : 0;
    }
    return pairs;
}

/* Two products forward; five backward, for the scores are made again. An exponential counts 8, a
   hyperbolic tangent 12, a random number 12. */
static fr_costs cost(const fr_node *n)
{
    const attention_options *o = n->options;
    const fr_attention_shape *s = &o->shape;
    double scores = visible_pairs(s) * (double)(s->batch * s->heads);
    double width = (double)s->head_width;
    double bytes = (double)fr_tensor_bytes(n->out);
    bool wanted = false;
    for (int i = 0; i < INPUTS; i++)
        if (n->in[i].tensor) {
            bytes += (double)fr_tensor_bytes(n->in[i].tensor);
            wanted = wanted || n->in[i].wanted;
        }
    double more = (s->cap > 0 ? 14 : 0) + (s->dropout > 0 ? 13 : 0) + (n->in[BIAS].tensor ? 1 : 0);
    fr_costs costs = {.forward = {scores * (4 * width + 12 + more), bytes}};
    if (wanted)
        costs.backward = (fr_cost){scores * (10 * width + 14 + more), 2 * bytes};
    return costs;
}

static float *log_sum_exp(const fr_node *n)
{
    const attention_options *o = n->options;
    return o->log_sum_exp ? o->log_sum_exp->data : n->saved[LOG_SUM_EXP];
}

static fr_attention_shape shape_with_bias(const fr_node *n)
{
    const attention_options *o = n->options;
    fr_attention_shape s = o->shape;
    s.bias = fr_in(n, BIAS);
    return s;
}

static void forward(fr_node *n)
{
    fr_attention_shape s = shape_with_bias(n);
    n->kernels->attention_forward(fr_out(n), log_sum_exp(n), fr_in(n, Q), fr_in(n, K), fr_in(n, V),
                                  &s);
}

static void backward(fr_node *n)
{
    fr_attention_shape s = shape_with_bias(n);
    float *grad[V + 1], *scratch = n->scratch;
    for (int i = 0; i <= V; i++) {
        grad[i] = n->in[i].grad;
        if (!grad[i]) {
            grad[i] = scratch;
            n->in[i].accumulate = false;
            scratch += fr_tensor_count(n->in[i].tensor);
        }
    }
    n->kernels->attention_backward(
        grad[Q], grad[K], grad[V], n->in[BIAS].tensor ? fr_grad_to_add(n, BIAS) : NULL,
        fr_upstream(n), fr_out(n), log_sum_exp(n), fr_in(n, Q), fr_in(n, K), fr_in(n, V), &s,
        n->in[Q].accumulate, n->in[K].accumulate, n->in[V].accumulate);
}

static const fr_operator attention = {.name = "attention",
                                      .options_size = sizeof(attention_options),
                                      .shape = shape,
                                      .cost = cost,
                                      .forward = forward,
                                      .backward = backward};

static bool expect_shapes(fr_tape *tape, const fr_tensor *q, const fr_tensor *k, const fr_tensor *v,
                          const fr_attention_options *o)
{
    if (o->heads < 1 || o->kv_heads < 1 || o->heads % o->kv_heads != 0) {
        fr_tape_fail(tape, FR_WRONG_CALL, "attention: %d heads are no multiple of %d kv_heads",
                     o->heads, o->kv_heads);
        return false;
    }
    bool fits = q->shape[2] % o->heads == 0 && fr_tensor_same_shape(k, v) &&
                q->shape[0] == k->shape[0] && k->shape[2] == q->shape[2] / o->heads * o->kv_heads;
    if (!fits) {
        char a[96], b[96], c[96];
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "attention: q %s, k %s and v %s do not fit %d heads and %d kv_heads",
                     fr_tensor_shape_text(q, a, sizeof a), fr_tensor_shape_text(k, b, sizeof b),
                     fr_tensor_shape_text(v, c, sizeof c), o->heads, o->kv_heads);
        return false;
    }
    if (o->window < 0) {
        fr_tape_fail(tape, FR_WRONG_CALL, "attention: window is %d, expected 0 or more", o->window);
        return false;
    }
    return true;
}

static bool expect_masks(fr_tape *tape, const fr_tensor *q, const fr_tensor *k,
                         const fr_attention_options *o)
{
    if (o->segments && q->shape[1] != k->shape[1]) {
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "attention: segments need as many keys as queries, found %lld and %lld",
                     (long long)k->shape[1], (long long)q->shape[1]);
        return false;
    }
    if (o->segments &&
        (!fr_expect_constant(tape, "attention", "segments", o->segments, FR_I32) ||
         !fr_expect_count(tape, "attention", "segments", o->segments, q->shape[0] * q->shape[1])))
        return false;
    if (o->lengths &&
        (!fr_expect_count(tape, "attention", "lengths", o->lengths, q->shape[0]) ||
         !fr_expect_indices(tape, "attention", "lengths", o->lengths, k->shape[1] + 1, 0)))
        return false;
    if (o->global &&
        (!fr_expect_constant(tape, "attention", "global", o->global, FR_I32) ||
         !fr_expect_count(tape, "attention", "global", o->global, k->shape[0] * k->shape[1])))
        return false;
    return !o->alibi || (fr_expect_constant(tape, "attention", "alibi", o->alibi, FR_F32) &&
                         fr_expect_count(tape, "attention", "alibi", o->alibi, o->heads));
}

static bool expect_scores(fr_tape *tape, const fr_attention_options *o)
{
    const fr_tensor *bias = o->relative_bias;
    if (!(o->cap >= 0.0F) || !(o->dropout >= 0.0F && o->dropout < 1.0F)) {
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "attention: cap %g or dropout %g, expected 0 <= cap and 0 <= dropout < 1",
                     (double)o->cap, (double)o->dropout);
        return false;
    }
    if (!bias)
        return true;
    if (!fr_expect_dtype(tape, "attention", "relative_bias", bias, FR_F32))
        return false;
    if (bias->rank != 2 || bias->shape[0] != o->heads || bias->shape[1] % 2 != 1) {
        char text[96];
        fr_tape_fail(
            tape, FR_WRONG_CALL,
            "attention: relative_bias %s, expected %d heads and an odd number of distances",
            fr_tensor_shape_text(bias, text, sizeof text), o->heads);
        return false;
    }
    return true;
}

static fr_attention_shape describe(const fr_tensor *q, const fr_tensor *k,
                                   const fr_attention_options *o)
{
    return (fr_attention_shape){.batch = q->shape[0],
                                .queries = q->shape[1],
                                .keys = k->shape[1],
                                .heads = o->heads,
                                .kv_heads = o->kv_heads,
                                .head_width = q->shape[2] / o->heads,
                                .scale = o->scale,
                                .causal = o->causal,
                                .window = o->window,
                                .segments = o->segments ? o->segments->data : NULL,
                                .lengths = o->lengths ? o->lengths->data : NULL,
                                .padded = o->padded,
                                .global = o->global && o->window ? o->global->data : NULL,
                                .alibi = o->alibi ? o->alibi->data : NULL,
                                .cap = o->cap,
                                .bias_reach =
                                    o->relative_bias ? o->relative_bias->shape[1] / 2 : 0};
}

fr_tensor *fr_attention(fr_tape *tape, fr_tensor *q, fr_tensor *k, fr_tensor *v,
                        const fr_attention_options *options, fr_tensor **log_sum_exp_out)
{
    static const char *const names[] = {"q", "k", "v"};
    fr_tensor *inputs[] = {q, k, v, options->relative_bias};
    if (!fr_expect_inputs(tape, "attention", inputs, V + 1))
        return NULL;
    for (int i = 0; i <= V; i++)
        if (!fr_expect_dtype(tape, "attention", names[i], inputs[i], FR_F32) ||
            !fr_expect_rank(tape, "attention", names[i], inputs[i], 3))
            return NULL;
    if (!expect_shapes(tape, q, k, v, options) || !expect_masks(tape, q, k, options) ||
        !expect_scores(tape, options))
        return NULL;
    attention_options o = {.shape = describe(q, k, options)};
    if (options->dropout > 0.0F && tape->options.training) {
        o.shape.dropout = options->dropout;
        o.shape.seed = tape->options.seed;
        o.shape.step = tape->step;
        o.shape.call = tape->calls++;
    }
    if (log_sum_exp_out) {
        o.log_sum_exp = *log_sum_exp_out = fr_tape_tensor(
            tape, FR_F32, 3, (int64_t[]){o.shape.batch, o.shape.heads, o.shape.queries});
        if (!o.log_sum_exp)
            return NULL;
    }
    return fr_record(tape, &attention, inputs, INPUTS, &o);
}
