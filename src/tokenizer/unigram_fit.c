/* unigram_fit.c: probabilities of tokens from text that nobody has cut, by expectation
   maximisation; and which tokens can be spared.

   A pass asks of every segment how often each token is expected in it, over all ways to cut the
   segment, each with its probability (forward and backward sums over the places of the segment).
   The expected counts make the new probabilities; they go through the digamma function as in
   variational inference with a sparse prior, which drives rare tokens out.

   Products of many small probabilities underflow, and logarithms of sums are slow. So the sums are
   plain numbers that carry a power of 2^256 each, which changes once in some twenty tokens.

   Sums of floating point depend on their order. Segments are cut into GROUPS groups, whatever the
   number of threads; each has sums of its own, which are added in order. */
#include "tokenizer/unigram_train.h"
#include "tokenizer/vocabulary.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 16 };
static const double SMALL = 0x1p-256, LARGE = 0x1p256;

void unigram_tokens_free(unigram_tokens *self)
{
    lexicon_free(&self->list);
    fr_free(self->score);
    *self = (unigram_tokens){0};
}

/* ---- what a pass stands on ------------------------------------------------------------------- */

typedef struct trained {
    const unigram_tokens *tokens;
    token_trie trie;
    double *probability; /* of each token */
    size_t longest;      /* bytes of a token */
    size_t *group;       /* (GROUPS + 1): first segment of each */
    size_t longest_segment;
} trained;

/* Segments into groups of about the same number of bytes. */
static void cut_groups(trained *t, const segment *segments, size_t count)
{
    size_t bytes = 0, seen = 0, group = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += segments[i].size;
        if (segments[i].size > t->longest_segment)
            t->longest_segment = segments[i].size;
    }
    for (size_t i = 0; i < count; i++) {
        while (group < GROUPS && seen >= bytes / GROUPS * group)
            t->group[group++] = i;
        seen += segments[i].size;
    }
    while (group <= GROUPS)
        t->group[group++] = count;
}

static void trained_free(trained *t)
{
    token_trie_free(&t->trie);
    fr_free(t->probability);
    fr_free(t->group);
}

static fr_status prepare(trained *t, const unigram_tokens *tokens, const segment *segments,
                         size_t count, fr_error *error)
{
    const lexicon *list = &tokens->list;
    *t = (trained){.tokens = tokens};
    vocabulary texts = {list->bytes.data, list->start, list->count};
    bool *all = fr_alloc_array(list->count, sizeof *all, FR_MEMORY_DATA);
    t->probability = fr_alloc_array(list->count, sizeof *t->probability, FR_MEMORY_DATA);
    t->group = fr_alloc_array(GROUPS + 1, sizeof *t->group, FR_MEMORY_DATA);
    if (!all || !t->probability || !t->group) {
        fr_free(all);
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu tokens", list->count);
    }
    for (size_t i = 0; i < list->count; i++) {
        all[i] = true;
        size_t size = list->start[i + 1] - list->start[i];
        t->probability[i] = exp(tokens->score[i]);
        t->longest = size > t->longest ? size : t->longest;
    }
    cut_groups(t, segments, count);
    fr_status status = token_trie_build(&t->trie, &texts, all, error);
    fr_free(all);
    return status;
}

/* A token at a place of the segment. */
typedef struct edge {
    uint32_t begin, end;
    int32_t id;
} edge;

/* What a thread works in. */
typedef struct work {
    double *forward, *backward; /* (bytes + 1) */
    int32_t *forward_power, *backward_power;
    edge *edges; /* ordered by begin */
    size_t edge_count, edge_capacity, places;
    bool failed;
} work;

static void work_free(work *w)
{
    fr_free(w->forward);
    fr_free(w->backward);
    fr_free(w->forward_power);
    fr_free(w->backward_power);
    fr_free(w->edges);
}

static bool work_prepare(work *w, const trained *t)
{
    w->places = t->longest_segment + t->longest + 1;
    w->forward = fr_alloc_array(w->places, sizeof *w->forward, FR_MEMORY_DATA);
    w->backward = fr_alloc_array(w->places, sizeof *w->backward, FR_MEMORY_DATA);
    w->forward_power = fr_alloc_array(w->places, sizeof *w->forward_power, FR_MEMORY_DATA);
    w->backward_power = fr_alloc_array(w->places, sizeof *w->backward_power, FR_MEMORY_DATA);
    w->failed = !w->forward || !w->backward || !w->forward_power || !w->backward_power;
    return !w->failed;
}

static bool add_edge(work *w, size_t begin, size_t end, int32_t id)
{
    if (w->edge_count == w->edge_capacity) {
        size_t capacity = w->edge_capacity ? 2 * w->edge_capacity : 1024;
        edge *edges = fr_realloc(w->edges, capacity * sizeof *edges, FR_MEMORY_DATA);
        if (!edges) {
            w->failed = true;
            return false;
        }
        w->edges = edges;
        w->edge_capacity = capacity;
    }
    w->edges[w->edge_count++] = (edge){(uint32_t)begin, (uint32_t)end, id};
    return true;
}

/* All tokens in a text, by the place where they begin. */
static void find_edges(work *w, const trained *t, const char *text, size_t size)
{
    w->edge_count = 0;
    for (size_t begin = 0; begin < size && !w->failed; begin++) {
        if (((unsigned char)text[begin] & 0xC0) == 0x80)
            continue;
        uint32_t node = 0;
        for (size_t at = begin; at < size; at++) {
            node = token_trie_step(&t->trie, node, (unsigned char)text[at]);
            if (node == 0)
                break;
            int32_t id = t->trie.ids[node];
            if (id >= 0 && !add_edge(w, begin, at + 1, id))
                return;
        }
    }
}

/* ---- expectation ----------------------------------------------------------------------------- */

/* Bring the sum at `place` out of the small numbers, and with it the sums `from` to `to` that tokens
   join with it: as long as none of those is large, beside which it would not count. Returns how
   often they were multiplied by LARGE. */
static int32_t lift(double *sums, size_t place, size_t from, size_t to)
{
    int32_t times = 0;
    while (sums[place] > 0 && sums[place] < SMALL) {
        double most = 0;
        for (size_t i = from; i <= to; i++)
            most = sums[i] > most ? sums[i] : most;
        if (most > 1)
            break;
        for (size_t i = from; i <= to; i++)
            sums[i] *= LARGE;
        times++;
    }
    return times;
}

static size_t reach(const trained *t, size_t at, size_t size)
{
    return size - at > t->longest ? at + t->longest : size;
}

/* forward[i] x 2^(-256 forward_power[i]): the probability of all ways to cut what is before i. */
static void sum_forward(work *w, const trained *t, size_t size)
{
    memset(w->forward, 0, (size + 1) * sizeof *w->forward);
    int32_t power = 0;
    size_t e = 0;
    w->forward[0] = 1;
    for (size_t at = 0; at <= size; at++) {
        power += lift(w->forward, at, at, reach(t, at, size));
        w->forward_power[at] = power;
        for (; e < w->edge_count && w->edges[e].begin == at; e++)
            w->forward[w->edges[e].end] += w->forward[at] * t->probability[w->edges[e].id];
    }
}

/* The same for what is behind i. */
static void sum_backward(work *w, const trained *t, size_t size)
{
    memset(w->backward, 0, (size + 1) * sizeof *w->backward);
    int32_t power = 0;
    size_t e = w->edge_count;
    w->backward[size] = 1;
    w->backward_power[size] = 0;
    for (size_t at = size; at-- > 0;) {
        for (; e > 0 && w->edges[e - 1].begin == at; e--)
            w->backward[at] +=
                w->backward[w->edges[e - 1].end] * t->probability[w->edges[e - 1].id];
        int32_t times = lift(w->backward, at, at, reach(t, at, size));
        w->backward_power[at] = power += times;
        for (size_t i = at + 1; times && i <= reach(t, at, size); i++)
            w->backward_power[i] = power;
    }
}

/* Add to `expected` how often each token is expected in the segment. */
static void expect(work *w, const trained *t, const segment *s, double *expected)
{
    find_edges(w, t, s->text, s->size);
    if (w->failed)
        return;
    sum_forward(w, t, s->size);
    sum_backward(w, t, s->size);
    double all = w->forward[s->size];
    if (!(all > 0))
        return; /* so improbable that a number cannot hold it */
    int32_t all_power = w->forward_power[s->size];
    double weight = (double)s->count / all;
    for (size_t i = 0; i < w->edge_count; i++) {
        const edge *one = &w->edges[i];
        double share = w->forward[one->begin] * t->probability[one->id] * w->backward[one->end];
        int32_t power = w->forward_power[one->begin] + w->backward_power[one->end] - all_power;
        if (power)
            share = ldexp(share, -256 * power);
        expected[one->id] += share * weight;
    }
}

static fr_status expect_all(const trained *t, const segment *segments, double *expected,
                            fr_error *error)
{
    size_t tokens = t->tokens->list.count;
    double *sums = fr_alloc_array(GROUPS * tokens, sizeof *sums, FR_MEMORY_DATA);
    bool fine = sums;
#pragma omp parallel for num_threads(fr_threads()) schedule(dynamic) reduction(&& : fine)
    for (int group = 0; group < GROUPS; group++) {
        work w = {0};
        fine = fine && work_prepare(&w, t);
        for (size_t i = t->group[group]; fine && i < t->group[group + 1]; i++) {
            expect(&w, t, &segments[i], sums + (size_t)group * tokens);
            fine = !w.failed && !fr_interrupted();
        }
        work_free(&w);
    }
    for (size_t i = 0; fine && i < tokens; i++)
        for (size_t group = 0; group < GROUPS; group++)
            expected[i] += sums[group * tokens + i];
    fr_free(sums);
    if (fr_interrupted())
        return fr_fail(error, FR_INTERRUPTED, "interrupted while learning the tokenizer");
    return fine ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory to learn %zu tokens", tokens);
}

/* ---- maximisation ---------------------------------------------------------------------------- */

/* The derivative of the logarithm of the gamma function, x > 0: recurrence up to 7, then the
   asymptotic series. Abramowitz and Stegun, 6.3.5 and 6.3.18. */
static double digamma(double x)
{
    double result = 0;
    while (x < 7) {
        result -= 1 / x;
        x += 1;
    }
    x -= 0.5;
    double square = 1 / (x * x);
    return result + log(x) +
           square * (1.0 / 24 +
                     square * (-7.0 / 960 + square * (31.0 / 8064 + square * (-127.0 / 30720))));
}

/* Keep the tokens of which keep[i] is true; scores go along. */
static fr_status filter(unigram_tokens *tokens, const bool *keep, fr_error *error)
{
    lexicon kept = {0};
    bool fine = true;
    for (size_t i = 0; fine && i < tokens->list.count; i++) {
        if (!keep[i])
            continue;
        size_t size;
        const char *text = lexicon_get(&tokens->list, i, &size);
        tokens->score[kept.count] = tokens->score[i];
        fine = lexicon_add(&kept, text, size);
    }
    lexicon_free(&tokens->list);
    tokens->list = kept;
    return fine ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for %zu tokens", kept.count);
}

static fr_status maximise(unigram_tokens *tokens, double *expected, fr_error *error)
{
    size_t count = tokens->list.count;
    double sum = 0;
    bool *keep = fr_alloc_array(count + 1, sizeof *keep, FR_MEMORY_DATA);
    if (!keep)
        return fr_fail(error, FR_NO_MEMORY, "no memory for %zu tokens", count);
    for (size_t i = 0; i < count; i++) {
        if (i < tokens->alphabet && expected[i] < 0.5)
            expected[i] = 0.5;
        keep[i] = expected[i] >= 0.5;
        sum += keep[i] ? expected[i] : 0;
    }
    for (size_t i = 0; i < count; i++)
        if (keep[i])
            tokens->score[i] = digamma(expected[i]) - digamma(sum);
    fr_status status = filter(tokens, keep, error);
    fr_free(keep);
    return status;
}

fr_status unigram_fit(unigram_tokens *tokens, const segment *segments, size_t count,
                      fr_error *error)
{
    trained t;
    double *expected = fr_alloc_array(tokens->list.count + 1, sizeof *expected, FR_MEMORY_DATA);
    fr_status status = expected ? prepare(&t, tokens, segments, count, error)
                                : fr_fail(error, FR_NO_MEMORY, "no memory to learn tokens");
    if (status == FR_OK)
        status = expect_all(&t, segments, expected, error);
    if (expected)
        trained_free(&t);
    if (status == FR_OK)
        status = maximise(tokens, expected, error);
    fr_free(expected);
    return status;
}

/* ---- pruning --------------------------------------------------------------------------------- */

/* The best way to cut `text` without the token `without` (-1: with all): the tokens from the last
   to the first into `path`; returns how many. Uses forward as scores and forward_power as edges. */
static size_t best_cut(work *w, const trained *t, const char *text, size_t size, int32_t without,
                       int32_t *path)
{
    find_edges(w, t, text, size);
    if (w->failed || !w->edges)
        return 0;
    for (size_t i = 1; i <= size; i++)
        w->forward[i] = -HUGE_VAL;
    w->forward[0] = 0;
    for (size_t i = 0; i < w->edge_count; i++) {
        const edge *one = &w->edges[i];
        double score = w->forward[one->begin] + t->tokens->score[one->id];
        if (one->id != without && score > w->forward[one->end]) {
            w->forward[one->end] = score;
            w->forward_power[one->end] = (int32_t)i;
        }
    }
    size_t length = 0;
    if (w->forward[size] == -HUGE_VAL)
        return 0;
    for (size_t at = size; at > 0; at = w->edges[w->forward_power[at]].begin)
        path[length++] = w->edges[w->forward_power[at]].id;
    return length;
}

/* How often each token is in the best cuts. Whole numbers: their order does not matter. */
static bool count_best(const trained *t, const segment *segments, double *times)
{
    bool fine = true;
    size_t tokens = t->tokens->list.count;
    double *sums = fr_alloc_array(GROUPS * tokens, sizeof *sums, FR_MEMORY_DATA);
    fine = sums;
#pragma omp parallel for num_threads(fr_threads()) schedule(dynamic) reduction(&& : fine)
    for (int group = 0; group < GROUPS; group++) {
        work w = {0};
        int32_t *path = fr_alloc_array(t->longest_segment + 1, sizeof *path, FR_MEMORY_DATA);
        fine = fine && path && work_prepare(&w, t);
        for (size_t i = t->group[group]; fine && i < t->group[group + 1]; i++) {
            const segment *s = &segments[i];
            size_t length = best_cut(&w, t, s->text, s->size, -1, path);
            for (size_t k = 0; k < length; k++)
                sums[(size_t)group * tokens + (size_t)path[k]] += (double)s->count;
            fine = !w.failed;
        }
        fr_free(path);
        work_free(&w);
    }
    for (size_t i = 0; fine && i < tokens; i++)
        for (size_t group = 0; group < GROUPS; group++)
            times[i] += sums[group * tokens + i];
    fr_free(sums);
    return fine;
}

/* What the text's likelihood loses, per token of text, when a token goes and its text is cut the
   next best way; negative: the token is never used. */
static double loss_of(work *w, const trained *t, size_t id, const double *times, double sum,
                      int32_t *path)
{
    size_t size;
    const char *text = lexicon_get(&t->tokens->list, id, &size);
    if (best_cut(w, t, text, size, -1, path) != 1 || times[id] <= 0)
        return -1;
    size_t length = best_cut(w, t, text, size, (int32_t)id, path);
    if (length == 0)
        return HUGE_VAL;
    double others = log(sum + times[id] * ((double)length - 1)), alternative = 0;
    for (size_t i = 0; i < length; i++)
        alternative += log(times[path[i]] + times[id]) - others;
    return times[id] / sum * (log(times[id]) - log(sum) - alternative);
}

typedef struct ranked {
    double loss;
    size_t id;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->loss < y->loss || x->loss > y->loss)
        return x->loss > y->loss ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool rank_tokens(const trained *t, const segment *segments, ranked *list)
{
    size_t count = t->tokens->list.count;
    double *times = fr_alloc_array(count + 1, sizeof *times, FR_MEMORY_DATA), sum = 0;
    bool fine = times && count_best(t, segments, times);
    for (size_t i = 0; fine && i < count; i++)
        sum += times[i];
#pragma omp parallel num_threads(fr_threads()) reduction(&& : fine)
    {
        work w = {0};
        int32_t *path = fr_alloc_array(t->longest + 1, sizeof *path, FR_MEMORY_DATA);
        fine = fine && path && work_prepare(&w, t);
#pragma omp for schedule(dynamic, 1024)
        for (size_t i = 0; i < count; i++)
            if (fine)
                list[i] = (ranked){
                    i < t->tokens->alphabet ? HUGE_VAL : loss_of(&w, t, i, times, sum, path), i};
        fine = fine && !w.failed;
        fr_free(path);
        work_free(&w);
    }
    fr_free(times);
    return fine;
}

fr_status unigram_prune(unigram_tokens *tokens, const segment *segments, size_t count, size_t size,
                        fr_error *error)
{
    trained t;
    size_t before = tokens->list.count;
    ranked *list = fr_alloc_array(before + 1, sizeof *list, FR_MEMORY_DATA);
    bool *keep = fr_alloc_array(before + 1, sizeof *keep, FR_MEMORY_DATA);
    fr_status status = FR_OK;
    if (!list || !keep) {
        status = fr_fail(error, FR_NO_MEMORY, "no memory to prune %zu tokens", before);
    } else {
        status = prepare(&t, tokens, segments, count, error);
        if (status == FR_OK && !rank_tokens(&t, segments, list))
            status = fr_fail(error, FR_NO_MEMORY, "no memory to prune %zu tokens", before);
        trained_free(&t);
    }
    if (status == FR_OK) {
        qsort(list, before, sizeof *list, compare_ranked);
        for (size_t i = 0; i < before && i < size; i++)
            keep[list[i].id] = list[i].loss >= 0;
        status = filter(tokens, keep, error);
    }
    fr_free(list);
    fr_free(keep);
    return status;
}
