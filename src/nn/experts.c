/* experts.c: a feed-forward layer of E experts, of which each token goes through K (arXiv 2101.03961,
   2401.04088). A router gives each token a probability per expert; the K largest are taken and weigh
   the results, as they are or made to sum to one.

   The N tokens are dealt to the experts as N * K rows sorted by expert, and within an expert by
   token, so each expert is one product over its rows, and the results are summed in one order:
   that of the experts. Of equal probabilities the expert with the lower number is taken. An expert
   without rows costs nothing and gets no gradient. On a shape-only tape, where nobody knows the
   probabilities, rows are dealt evenly.

   No loss keeps the experts equally busy here; what is trained on is the router's own gradient. */
#include "nn/nn.h"

/* Which rows go where: places are numbers of (token, choice), token * K + choice. */
typedef struct dealing {
    fr_tensor *chosen; /* (N * K) i32: token * E + expert, by place */
    fr_tensor *order;  /* (N * K) i32: the places sorted by expert */
    fr_tensor *tokens; /* (N * K) i32: the tokens in that order */
    fr_tensor *counts; /* (E) i32: rows of each expert */
    int64_t rows;      /* N * K */
} dealing;

/* The expert with the largest probability whose `taken` is not `mark`; NaN is taken last. */
static int64_t best_of(const float *probabilities, int64_t experts, const int32_t *taken,
                       int32_t mark)
{
    int64_t best = -1;
    for (int64_t e = 0; e < experts; e++)
        if (taken[e] != mark && (best < 0 || probabilities[e] > probabilities[best]))
            best = e;
    return best;
}

/* probabilities (N, E) -> d->chosen; `taken` (E): scratch. */
static void choose(const dealing *d, const fr_experts_layer *layer, const float *probabilities,
                   int32_t *taken)
{
    int32_t *chosen = fr_tensor_host(d->chosen);
    for (int64_t e = 0; e < layer->count; e++)
        taken[e] = -1;
    for (int64_t t = 0; t < d->rows / layer->chosen; t++)
        for (int64_t i = 0; i < layer->chosen; i++) {
            int64_t best =
                best_of(probabilities + t * layer->count, layer->count, taken, (int32_t)t);
            taken[best] = (int32_t)t;
            chosen[t * layer->chosen + i] = (int32_t)(t * layer->count + best);
        }
}

/* Sort places by expert, counting; `next` (E): scratch. */
static void sort(const dealing *d, const fr_experts_layer *layer, int32_t *next)
{
    const int32_t *chosen = fr_tensor_host(d->chosen);
    int32_t *order = fr_tensor_host(d->order), *tokens = fr_tensor_host(d->tokens);
    int32_t *counts = fr_tensor_host(d->counts);
    for (int64_t e = 0; e < layer->count; e++)
        counts[e] = 0;
    for (int64_t i = 0; i < d->rows; i++)
        counts[chosen[i] % layer->count]++;
    for (int64_t e = 0, begin = 0; e < layer->count; begin += counts[e++])
        next[e] = (int32_t)begin;
    for (int64_t i = 0; i < d->rows; i++) {
        int32_t place = next[chosen[i] % layer->count]++;
        order[place] = (int32_t)i;
        tokens[place] = (int32_t)(i / layer->chosen);
    }
}

/* False with the tape's error set. */
static bool deal(dealing *d, const fr_experts_layer *layer, fr_tape *tape,
                 const fr_tensor *probabilities)
{
    if (!probabilities)
        return false;
    d->rows = probabilities->shape[0] * layer->chosen;
    if (probabilities->shape[0] > INT32_MAX / layer->count) {
        fr_tape_fail(tape, FR_UNSUPPORTED, "%lld tokens at once for %lld experts are too many",
                     (long long)probabilities->shape[0], (long long)layer->count);
        return false;
    }
    d->chosen = fr_tape_tensor(tape, FR_I32, 1, &d->rows);
    d->order = fr_tape_tensor(tape, FR_I32, 1, &d->rows);
    d->tokens = fr_tape_tensor(tape, FR_I32, 1, &d->rows);
    d->counts = fr_tape_tensor(tape, FR_I32, 1, &layer->count);
    fr_tensor *scratch = fr_tape_tensor(tape, FR_I32, 1, &layer->count);
    if (!d->chosen || !d->order || !d->tokens || !d->counts || !scratch)
        return false;
    if (fr_tape_is_shape_only(tape))
        return true;
    choose(d, layer, fr_tensor_host(probabilities), fr_tensor_host(scratch));
    sort(d, layer, fr_tensor_host(scratch));
    return true;
}

static int64_t rows_of(const dealing *d, const fr_experts_layer *layer, int64_t expert)
{
    const int32_t *counts = fr_tensor_host(d->counts);
    return counts ? counts[expert]
                  : d->rows / layer->count + (expert < d->rows % layer->count ? 1 : 0);
}

/* What the rows' results count, sorted by expert: (N * K). The chosen probabilities divided by their
   sum are the softmax of the chosen logits. */
static fr_tensor *weigh(const dealing *d, const fr_experts_layer *layer, fr_tape *tape,
                        fr_tensor *logits, fr_tensor *probabilities)
{
    const int64_t all = -1, chosen[] = {-1, layer->chosen};
    fr_tensor *from = layer->normalize ? logits : probabilities;
    fr_tensor *weights = fr_gather(tape, fr_reshape(tape, from, 1, &all), d->chosen);
    if (layer->normalize)
        weights = fr_softmax(tape, fr_reshape(tape, weights, 2, chosen));
    return fr_gather(tape, fr_reshape(tape, weights, 1, &all), d->order);
}

/* rows (N * K, C), sorted by expert, through their experts. */
static fr_tensor *run(const dealing *d, const fr_experts_layer *layer, fr_tape *tape,
                      fr_tensor *rows)
{
    fr_tensor **parts = fr_alloc_array((size_t)layer->count, sizeof *parts, FR_MEMORY_OTHER);
    if (!parts)
        return fr_tape_fail(tape, FR_NO_MEMORY, "no memory for %lld experts",
                            (long long)layer->count);
    int count = 0;
    int64_t begin = 0;
    for (int64_t e = 0; e < layer->count; e++) {
        int64_t end = begin + rows_of(d, layer, e);
        if (end > begin)
            parts[count++] = fr_feed_forward_inner(&layer->experts[e], tape,
                                                   fr_slice(tape, rows, 0, begin, end));
        begin = end;
    }
    fr_tensor *out = fr_concat(tape, parts, count, 0);
    fr_free(parts);
    return out;
}

fr_tensor *fr_experts_apply(const fr_experts_layer *layer, fr_tape *tape, fr_tensor *x)
{
    dealing d;
    if (!x)
        return NULL;
    int64_t width = x->shape[x->rank - 1];
    fr_tensor *flat = fr_reshape(tape, x, 2, (const int64_t[]){-1, width});
    fr_tensor *logits = fr_linear_layer_apply(layer->router, tape, flat);
    logits = fr_layer_tap(tape, logits, NULL, layer->index, "feed_forward.router");
    fr_tensor *probabilities = fr_softmax(tape, logits);
    if (!deal(&d, layer, tape, probabilities))
        return NULL;
    fr_tensor *weights = weigh(&d, layer, tape, logits, probabilities);
    fr_tensor *rows = run(&d, layer, tape, fr_gather(tape, flat, d.tokens));
    rows = fr_scale_rows(tape, rows, weights);
    return fr_reshape(tape, fr_scatter(tape, rows, d.tokens, flat ? flat->shape[0] : 0), x->rank,
                      x->shape);
}
