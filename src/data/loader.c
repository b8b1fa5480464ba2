/* loader.c: the stream of all epochs, cut into rows (see fr_loader in data.h).

   The order of an epoch is a keyed permutation of the documents that needs no table
   (fr_random_permute); only where each document ends in the epoch's stream has to be summed up,
   once on entering the epoch: 8 bytes a document. Two epochs are remembered, since a row may lie
   across their border. What a row holds is a pure function of (shard, seed, T, row number). */
#include "frugal/data.h"
#include "frugal/operators.h"

#include <string.h>

typedef struct epoch {
    int64_t number; /* -1: none */
    int64_t *ends;  /* of each document in this epoch's stream */
} epoch;

struct fr_loader {
    const fr_shard *shard;
    fr_loader_options options;
    int64_t tokens, documents;
    int32_t end; /* the token that ends documents; -1: they end with different ones */
    epoch epochs[2];
    int32_t *window; /* (T + 1) */
};

/* A place in the stream of all epochs, and the document that it is in. */
typedef struct place {
    const epoch *epoch;
    int64_t number;     /* of the epoch */
    int64_t document;   /* rank in the epoch's order */
    int64_t begin, end; /* of the document in the epoch's stream */
    int64_t at;         /* in the epoch's stream */
} place;

/* The shard's number of the document with this rank. */
static int64_t document_of(const fr_loader *l, int64_t number, int64_t rank)
{
    return (int64_t)fr_random_permute((uint64_t)rank, (uint64_t)l->documents,
                                      (uint64_t)l->options.seed, FR_RANDOM_SHUFFLE,
                                      (uint64_t)number);
}

static int64_t document_size(const fr_loader *l, int64_t document)
{
    return fr_shard_document_begin(l->shard, document + 1) -
           fr_shard_document_begin(l->shard, document);
}

/* The documents' common last token, as far as the first ones show it. */
static int32_t find_end(const fr_shard *shard)
{
    enum { LOOK = 64 };
    int32_t end = -1;
    for (int64_t i = 0; i < fr_shard_documents(shard) && i < LOOK; i++) {
        int64_t after = fr_shard_document_begin(shard, i + 1);
        int32_t last;
        if (after == fr_shard_document_begin(shard, i))
            continue;
        fr_shard_read(shard, after - 1, 1, &last);
        if (end != -1 && last != end)
            return -1;
        end = last;
    }
    return end;
}

fr_status fr_loader_create(fr_loader **loader, const fr_shard *shard,
                           const fr_loader_options *options, fr_error *error)
{
    *loader = NULL;
    if (options->batch < 1 || options->length < 1 || options->length > INT32_MAX ||
        options->batch > INT32_MAX)
        return fr_fail(error, FR_WRONG_CALL, "a batch of %lld rows of %lld positions",
                       (long long)options->batch, (long long)options->length);
    if (fr_shard_tokens(shard) < 1)
        return fr_fail(error, FR_BAD_INPUT, "the shard has no tokens");
    fr_loader *l = fr_alloc(sizeof *l, FR_MEMORY_DATA);
    if (!l)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a loader");
    l->shard = shard;
    l->options = *options;
    l->tokens = fr_shard_tokens(shard);
    l->documents = fr_shard_documents(shard);
    l->end = find_end(shard);
    l->window = fr_alloc_array((size_t)options->length + 1, sizeof *l->window, FR_MEMORY_DATA);
    for (int i = 0; i < 2; i++) {
        l->epochs[i].number = -1;
        l->epochs[i].ends = fr_alloc_array((size_t)l->documents, sizeof(int64_t), FR_MEMORY_DATA);
    }
    if (!l->window || !l->epochs[0].ends || !l->epochs[1].ends) {
        fr_loader_destroy(l);
        return fr_fail(error, FR_NO_MEMORY, "no memory for the order of %lld documents",
                       (long long)fr_shard_documents(shard));
    }
    *loader = l;
    return FR_OK;
}

void fr_loader_destroy(fr_loader *l)
{
    if (!l)
        return;
    fr_free(l->epochs[0].ends);
    fr_free(l->epochs[1].ends);
    fr_free(l->window);
    fr_free(l);
}

int64_t fr_loader_rows_per_epoch(const fr_loader *l)
{
    int64_t rows = l->tokens / l->options.length;
    return rows ? rows : 1;
}

static const epoch *enter(fr_loader *l, int64_t number)
{
    epoch *e = &l->epochs[number & 1];
    if (e->number == number)
        return e;
#pragma omp parallel for schedule(static) num_threads(fr_threads())
    for (int64_t rank = 0; rank < l->documents; rank++)
        e->ends[rank] = document_size(l, document_of(l, number, rank));
    for (int64_t rank = 1; rank < l->documents; rank++)
        e->ends[rank] += e->ends[rank - 1];
    e->number = number;
    return e;
}

static void set_document(place *p, int64_t rank)
{
    p->document = rank;
    p->begin = rank ? p->epoch->ends[rank - 1] : 0;
    p->end = p->epoch->ends[rank];
}

/* The place of a token of the stream of all epochs. */
static place find(fr_loader *l, int64_t token)
{
    place p = {.number = token / l->tokens, .at = token % l->tokens};
    p.epoch = enter(l, p.number);
    int64_t low = 0, high = l->documents - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (p.epoch->ends[middle] > p.at)
            high = middle;
        else
            low = middle + 1;
    }
    set_document(&p, low);
    return p;
}

/* To the first token of the next document that has any, in the next epoch if need be. */
static void step(fr_loader *l, place *p)
{
    p->at = p->end;
    do {
        if (p->document + 1 == l->documents) {
            p->epoch = enter(l, ++p->number);
            p->at = 0;
            set_document(p, 0);
        } else {
            set_document(p, p->document + 1);
        }
    } while (p->begin == p->end);
}

static void read_tokens(const fr_loader *l, const place *p, int64_t count, int32_t *out)
{
    int64_t document = document_of(l, p->number, p->document);
    fr_shard_read(l->shard, fr_shard_document_begin(l->shard, document) + (p->at - p->begin), count,
                  out);
}

/* The token in front of the stream's place: the end-of-text when it is the very first. */
static int32_t token_before(fr_loader *l, int64_t token)
{
    int32_t before = l->end;
    if (token > 0) {
        place p = find(l, token - 1);
        read_tokens(l, &p, 1, &before);
    } else if (before < 0) {
        fr_shard_read(l->shard, 0, 1, &before);
    }
    return before;
}

typedef struct row {
    int32_t *ids, *targets, *segments, *positions; /* (T) each, the last two may be NULL */
} row;

typedef struct segment {
    int32_t number; /* in the row */
    int64_t begin;  /* input with which it began */
} segment;

/* Inputs [from, to) belong to the open segment. */
static void mark(const row *r, int64_t from, int64_t to, const segment *open)
{
    for (int64_t i = from; i < to; i++) {
        if (r->segments)
            r->segments[i] = open->number;
        if (r->positions)
            r->positions[i] = (int32_t)(i - open->begin);
    }
}

/* The inputs before targets [from, to), which are one document's from place `p` on. Input `from` is
   the token before the document when its first token is among them. */
static void mark_document(const fr_loader *l, const row *r, const place *p, int64_t from,
                          int64_t to, segment *open)
{
    if (!l->options.cross_documents && p->at == p->begin) {
        if (l->window[from] == l->end) {
            open->number += from > 0;
            open->begin = from;
        } else {
            mark(r, from, from + 1, open);
            r->targets[from] = FR_IGNORE;
            *open = (segment){open->number + 1, ++from};
        }
    }
    mark(r, from, to, open);
}

static void fill_row(fr_loader *l, int64_t number, const row *r)
{
    int64_t length = l->options.length, first = number * length;
    l->window[0] = token_before(l, first);
    place p = find(l, first);
    segment open = {0, 0};
    for (int64_t done = 0; done < length;) {
        int64_t left = length - done, count = p.end - p.at < left ? p.end - p.at : left;
        read_tokens(l, &p, count, l->window + done + 1);
        memcpy(r->targets + done, l->window + done + 1, (size_t)count * sizeof(int32_t));
        mark_document(l, r, &p, done, done + count, &open);
        done += count;
        if (done < length)
            step(l, &p);
    }
    memcpy(r->ids, l->window, (size_t)length * sizeof(int32_t));
}

fr_status fr_loader_get(fr_loader *l, int64_t number, int32_t *ids, int32_t *targets,
                        int32_t *segments, int32_t *positions, fr_error *error)
{
    int64_t batch = l->options.batch, length = l->options.length;
    if (number < 0 || number > (INT64_MAX / batch - 1) / length - 1)
        return fr_fail(error, FR_WRONG_CALL, "micro-batch number %lld", (long long)number);
    for (int64_t b = 0; b < batch; b++) {
        row r = {ids + b * length, targets + b * length, segments ? segments + b * length : NULL,
                 positions ? positions + b * length : NULL};
        fill_row(l, number * batch + b, &r);
    }
    return FR_OK;
}
