/* unigram_candidates.c: strings that repeat in text, the frequent and long ones.

   All ends of all segments are sorted; a string that begins n of them stands n times in the text,
   and they are neighbours. So strings are the intervals of the sorted list in which neighbours
   have so many bytes in common; of strings that occur at the same places the longest is one, and
   there are fewer of those than bytes. Segments stand for many occurrences: each counts with its
   weight, and an end that no other shares is a candidate by itself. */
#include "tokenizer/unigram_train.h"
#include "tokenizer/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The end of a segment from a character on, at most `longest` characters of it. */
typedef struct suffix {
    const char *text;
    uint32_t size;
    int64_t count;
} suffix;

typedef struct candidate {
    const char *text;
    uint32_t size;
    double count, gain; /* gain: count x characters */
} candidate;

typedef struct search {
    const suffix *list;
    size_t count;
    double min_count;
    candidate *found;
    size_t found_count, most; /* of found there is room for 2 * most */
} search;

static int compare_text(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : a_size < b_size ? -1 : a_size > b_size;
}

static int compare_suffixes(const void *a, const void *b)
{
    const suffix *x = a, *y = b;
    return compare_text(x->text, x->size, y->text, y->size);
}

static int compare_candidates(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->gain < y->gain || x->gain > y->gain)
        return x->gain > y->gain ? -1 : 1;
    return compare_text(x->text, x->size, y->text, y->size);
}

static size_t characters(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static void keep_best(search *s)
{
    qsort(s->found, s->found_count, sizeof *s->found, compare_candidates);
    if (s->found_count > s->most)
        s->found_count = s->most;
}

static void offer(search *s, const char *text, size_t size, double count)
{
    size_t length = characters(text, size);
    if (length < 2 || count < s->min_count)
        return;
    if (s->found_count == 2 * s->most)
        keep_best(s);
    s->found[s->found_count++] = (candidate){text, (uint32_t)size, count, count * (double)length};
}

/* Bytes that two ends have in common, whole characters only. */
static size_t common(const suffix *a, const suffix *b)
{
    size_t most = a->size < b->size ? a->size : b->size, size = 0;
    while (size < most && a->text[size] == b->text[size])
        size++;
    while (size > 0 && size < a->size && ((unsigned char)a->text[size] & 0xC0) == 0x80)
        size--;
    return size;
}

/* An interval that is still open: the ends from some place on have `size` bytes in common. */
typedef struct open_interval {
    size_t size;
    double count;
} open_interval;

/* Close the intervals that have more than `size` bytes in common; their weight goes to the one
   around them. */
static void close_intervals(search *s, open_interval *stack, size_t *depth, size_t size,
                            const char *text)
{
    while (stack[*depth - 1].size > size) {
        open_interval top = stack[--*depth];
        offer(s, text, top.size, top.count);
        if (stack[*depth - 1].size < size) /* an interval begins that the closed one is part of */
            stack[(*depth)++] = (open_interval){size, 0};
        stack[*depth - 1].count += top.count;
    }
}

static void find_repeats(search *s, open_interval *stack)
{
    size_t depth = 1, before = 0;
    stack[0] = (open_interval){0, 0};
    for (size_t i = 0; i < s->count; i++) {
        const suffix *here = &s->list[i];
        size_t behind = i + 1 < s->count ? common(here, here + 1) : 0;
        size_t shared = before > behind ? before : behind;
        if (here->size > shared)
            offer(s, here->text, here->size, (double)here->count);
        if (behind > stack[depth - 1].size)
            stack[depth++] = (open_interval){behind, 0};
        /* What this end shares with the one before or behind is open now. */
        stack[depth - 1].count += (double)here->count;
        close_intervals(s, stack, &depth, behind, here->text);
        before = behind;
    }
}

static size_t list_suffixes(const segment *segments, size_t count, int64_t longest, suffix *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *text = (const unsigned char *)segments[i].text;
        size_t end = 0; /* `longest` characters behind `at` */
        int64_t ahead = 0;
        for (size_t at = 0; at < segments[i].size;) {
            while (ahead < longest && end < segments[i].size) {
                end += utf8_length(text + end, segments[i].size - end);
                ahead++;
            }
            if (out)
                out[found] =
                    (suffix){segments[i].text + at, (uint32_t)(end - at), segments[i].count};
            found++;
            at += utf8_length(text + at, segments[i].size - at);
            ahead--;
        }
    }
    return found;
}

static fr_status append(unigram_tokens *tokens, const search *s, fr_error *error)
{
    size_t count = tokens->list.count + s->found_count;
    double *score = fr_realloc(tokens->score, (count + 1) * sizeof *score, FR_MEMORY_DATA);
    bool fine = score;
    if (fine)
        tokens->score = score;
    for (size_t i = 0; fine && i < s->found_count; i++) {
        score[tokens->list.count] = s->found[i].gain;
        fine = lexicon_add(&tokens->list, s->found[i].text, s->found[i].size);
    }
    return fine ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for %zu candidates", count);
}

/* The first guess: probabilities in proportion to count x characters. */
static void guess(unigram_tokens *tokens)
{
    double sum = 0;
    for (size_t i = 0; i < tokens->list.count; i++)
        sum += tokens->score[i];
    for (size_t i = 0; i < tokens->list.count; i++)
        tokens->score[i] = log(tokens->score[i] / sum);
}

static void count_alphabet(unigram_tokens *tokens, const segment *segments, size_t count)
{
    for (size_t i = 0; i < tokens->alphabet; i++)
        tokens->score[i] = 1; /* seen at least once */
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0, length; at < segments[i].size; at += length) {
            length =
                utf8_length((const unsigned char *)segments[i].text + at, segments[i].size - at);
            int64_t id = lexicon_find(&tokens->list, segments[i].text + at, length);
            if (id >= 0)
                tokens->score[id] += (double)segments[i].count;
        }
}

fr_status unigram_candidates(unigram_tokens *tokens, const segment *segments, size_t count,
                             int64_t longest, size_t most, int64_t min_count, fr_error *error)
{
    size_t ends = list_suffixes(segments, count, longest, NULL);
    suffix *list = fr_alloc_array(ends + 1, sizeof *list, FR_MEMORY_DATA);
    open_interval *stack = fr_alloc_array((size_t)longest * 4 + 4, sizeof *stack, FR_MEMORY_DATA);
    search s = {.list = list,
                .count = ends,
                .min_count = (double)min_count,
                .most = most < 2 * ends + 1 ? most : 2 * ends + 1};
    s.found = fr_alloc_array(2 * s.most + 1, sizeof *s.found, FR_MEMORY_DATA);
    fr_status status = FR_OK;
    if (!list || !stack || !s.found) {
        status =
            fr_fail(error, FR_NO_MEMORY, "no memory to look for repetitions in %zu places", ends);
    } else {
        list_suffixes(segments, count, longest, list);
        qsort(list, ends, sizeof *list, compare_suffixes);
        find_repeats(&s, stack);
        keep_best(&s);
        status = append(tokens, &s, error);
    }
    if (status == FR_OK) {
        count_alphabet(tokens, segments, count);
        guess(tokens);
    }
    fr_free(list);
    fr_free(stack);
    fr_free(s.found);
    return status;
}
