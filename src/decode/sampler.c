/* sampler.c: from logits to the next token.

   Order of operations, as in transformers (generation/logits_process.py), so that the same settings
   mean the same there:

       1. repetition penalty: the logits of ids seen so far (each once, the prompt's too) are
          divided by it when positive, multiplied when negative (CTRL, arXiv 1909.05858, 4.1)
       2. temperature: logits / temperature; at 0 the largest logit wins and nothing below matters
       3. top-k: the k largest stay (arXiv 1805.04833)
       4. top-p: of the softmax over what is left, the fewest tokens, likeliest first, that
          together reach p (arXiv 1904.09751)
       5. min-p: tokens with less than min_p times the top probability go (arXiv 2407.01082)
       6. a draw from what is left

   All three filters keep a prefix of the tokens in falling order, so they are one walk. The order
   comes from a heap: building it costs O(V), each token taken O(log V), and in practice a few dozen
   are taken out of V.

   Equal logits are ordered by id. (transformers keeps all that equal the k-th; we keep exactly k.)
   The draw compares one uniform number with the running sum of weights in that falling order, or in
   the order of ids when no filter is on. */
#include "decode/sampling_options.h"

#include <math.h>
#include <string.h>

void sampling_defaults(fr_sampling_options *options)
{
    *options = (fr_sampling_options){.temperature = 0.8,
                                     .top_k = 50,
                                     .top_p = 1,
                                     .min_p = 0,
                                     .repetition_penalty = 1,
                                     .max_tokens = 256};
}

static void defaults(void *options)
{
    sampling_defaults(options);
}

static const fr_option options[] = {SAMPLING_OPTIONS(fr_sampling_options, )};
const fr_option_table fr_sampling_option_table = {
    "sampling", options, sizeof options / sizeof *options, sizeof(fr_sampling_options), defaults};

struct fr_sampler {
    const fr_sampling_options *options;
    int64_t vocabulary;
    float *logits; /* (V): after penalty and temperature, less their maximum */
    int32_t *heap; /* (V): ids, the first of the order on top */
    int64_t heap_size;
    double *sums;   /* (V): running sums of the weights taken */
    int32_t *taken; /* (V): ids in falling order */
    uint64_t *seen; /* (V): number of the call that saw the id last */
    uint64_t calls;
};

fr_status fr_sampler_create(fr_sampler **result, int64_t vocabulary,
                            const fr_sampling_options *sampling, fr_error *error)
{
    *result = NULL;
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return fr_fail(error, FR_WRONG_CALL, "sampler: a vocabulary of %lld",
                       (long long)vocabulary);
    fr_sampler *sampler = fr_alloc(sizeof *sampler, FR_MEMORY_OTHER);
    if (!sampler)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a sampler");
    size_t count = (size_t)vocabulary;
    sampler->options = sampling;
    sampler->vocabulary = vocabulary;
    sampler->logits = fr_alloc_array(count, sizeof *sampler->logits, FR_MEMORY_OTHER);
    sampler->heap = fr_alloc_array(count, sizeof *sampler->heap, FR_MEMORY_OTHER);
    sampler->sums = fr_alloc_array(count, sizeof *sampler->sums, FR_MEMORY_OTHER);
    sampler->taken = fr_alloc_array(count, sizeof *sampler->taken, FR_MEMORY_OTHER);
    sampler->seen = fr_alloc_array(count, sizeof *sampler->seen, FR_MEMORY_OTHER);
    if (!sampler->logits || !sampler->heap || !sampler->sums || !sampler->taken || !sampler->seen) {
        fr_sampler_destroy(sampler);
        return fr_fail(error, FR_NO_MEMORY, "no memory for a sampler over %lld tokens",
                       (long long)vocabulary);
    }
    *result = sampler;
    return FR_OK;
}

void fr_sampler_destroy(fr_sampler *sampler)
{
    if (!sampler)
        return;
    fr_free(sampler->logits);
    fr_free(sampler->heap);
    fr_free(sampler->sums);
    fr_free(sampler->taken);
    fr_free(sampler->seen);
    fr_free(sampler);
}

/* ---- the order: larger logit first, then smaller id ------------------------------------------ */

static bool before(const float *logits, int32_t a, int32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift_down(fr_sampler *sampler, int64_t place)
{
    int32_t *heap = sampler->heap, id = heap[place];
    for (;;) {
        int64_t child = 2 * place + 1;
        if (child >= sampler->heap_size)
            break;
        if (child + 1 < sampler->heap_size && before(sampler->logits, heap[child + 1], heap[child]))
            child++;
        if (!before(sampler->logits, heap[child], id))
            break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = id;
}

static void build_heap(fr_sampler *sampler)
{
    sampler->heap_size = sampler->vocabulary;
    for (int64_t i = 0; i < sampler->vocabulary; i++)
        sampler->heap[i] = (int32_t)i;
    for (int64_t i = sampler->vocabulary / 2; i-- > 0;)
        sift_down(sampler, i);
}

static int32_t pop(fr_sampler *sampler)
{
    int32_t top = sampler->heap[0];
    sampler->heap[0] = sampler->heap[--sampler->heap_size];
    if (sampler->heap_size > 0)
        sift_down(sampler, 0);
    return top;
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* Copy the logits with the penalty for what `history` holds; false when they cannot be sampled
   from. */
static bool penalise(fr_sampler *sampler, const float *logits, const int32_t *history, size_t count)
{
    float penalty = (float)sampler->options->repetition_penalty;
    bool finite = false;
    for (int64_t i = 0; i < sampler->vocabulary; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return false;
        finite |= logits[i] != -INFINITY;
    }
    memcpy(sampler->logits, logits, (size_t)sampler->vocabulary * sizeof *logits);
    sampler->calls++;
    for (size_t i = 0; penalty != 1 && i < count; i++) {
        int32_t id = history[i];
        if (id < 0 || id >= sampler->vocabulary || sampler->seen[id] == sampler->calls)
            continue;
        sampler->seen[id] = sampler->calls;
        sampler->logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    }
    return finite;
}

static int32_t largest(const fr_sampler *sampler)
{
    int32_t best = 0;
    for (int64_t i = 1; i < sampler->vocabulary; i++)
        if (sampler->logits[i] > sampler->logits[best])
            best = (int32_t)i;
    return best;
}

/* Weight of a token against the likeliest one: 1 for that itself. */
static double weight(const fr_sampler *sampler, int64_t id)
{
    return exp((double)sampler->logits[id]);
}

/* Let `taken` and `sums` hold the first `count` tokens of the order, of which `have` are there
   already. */
static void take(fr_sampler *sampler, int64_t have, int64_t count)
{
    for (int64_t i = have; i < count; i++) {
        sampler->taken[i] = pop(sampler);
        sampler->sums[i] = (i ? sampler->sums[i - 1] : 0) + weight(sampler, sampler->taken[i]);
    }
}

/* How many tokens of the falling order the filters keep, at least one. */
static int64_t filter(fr_sampler *sampler)
{
    const fr_sampling_options *o = sampler->options;
    bool top_k = o->top_k > 0 && o->top_k < sampler->vocabulary;
    int64_t most = top_k ? o->top_k : sampler->vocabulary, taken = top_k ? most : 1;
    double total = 0; /* of what top-k leaves */
    build_heap(sampler);
    take(sampler, 0, taken);
    if (top_k)
        total = sampler->sums[most - 1];
    else if (o->top_p < 1)
        for (int64_t i = 0; i < sampler->vocabulary; i++)
            total += weight(sampler, i);

    int64_t kept = 1;
    for (; kept < most; kept++) {
        if (o->top_p < 1 && sampler->sums[kept - 1] >= o->top_p * total)
            break;
        if (kept == taken)
            take(sampler, taken++, kept + 1);
        double w = weight(sampler, sampler->taken[kept]);
        if (w == 0 || w < o->min_p)
            break;
    }
    return kept;
}

/* The first of `count` rising sums that lies above point * (the last). */
static int64_t draw(const double *sums, int64_t count, double point)
{
    double end = sums[count - 1], target = point * end;
    if (target >= end) /* rounded up: stay off what has no weight */
        target = nextafter(end, 0);
    int64_t low = 0, high = count - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (sums[middle] > target)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

int32_t fr_sampler_pick(fr_sampler *sampler, const float *logits, const int32_t *history,
                        size_t count, int64_t row, int64_t position)
{
    const fr_sampling_options *o = sampler->options;
    if (!penalise(sampler, logits, history, count))
        return -1;
    int32_t best = largest(sampler);
    if (o->temperature == 0)
        return best;
    float top = sampler->logits[best], temperature = (float)o->temperature;
    for (int64_t i = 0; i < sampler->vocabulary; i++)
        sampler->logits[i] = (sampler->logits[i] - top) / temperature;
    double point =
        fr_random_uniform((uint64_t)o->seed, FR_RANDOM_SAMPLE, (uint64_t)row, (uint64_t)position);
    if (o->top_k > 0 || o->top_p < 1 || o->min_p > 0) {
        int64_t kept = filter(sampler);
        return sampler->taken[draw(sampler->sums, kept, point)];
    }
    double sum = 0;
    for (int64_t i = 0; i < sampler->vocabulary; i++)
        sampler->sums[i] = sum += weight(sampler, i);
    return (int32_t)draw(sampler->sums, sampler->vocabulary, point);
}
