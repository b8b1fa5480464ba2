/* split.c: the held-out documents are those with the smallest hashes of (seed, content): `held_out`
   of all, rounded, at least one.

   So the choice depends on what the documents are and not on their order or names, and it hardly
   changes when some are added. It stops early before the held-out text grows over `held_out_max`
   bytes or half of all text; a document too long for that is passed over as long as nothing has
   been taken. */
#include "data/split.h"

#define XXH_INLINE_ALL
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

typedef struct ticket {
    uint64_t hash, document;
} ticket;

uint64_t document_hash(const kept_document *document, uint64_t seed, uint64_t use)
{
    uint64_t key[4] = {document->low, document->high, seed, use};
    return XXH3_64bits(key, sizeof key);
}

static int by_hash(const void *a, const void *b)
{
    const ticket *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->document < y->document ? -1 : x->document > y->document;
}

/* Tickets with a hash below `limit`, sorted. NULL: no memory. */
static ticket *draw(const kept_document *documents, size_t count, uint64_t seed, uint64_t limit,
                    size_t *drawn)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += document_hash(&documents[i], seed, FR_RANDOM_SPLIT) <= limit;
    ticket *tickets = fr_alloc_array(n + 1, sizeof *tickets, FR_MEMORY_DATA);
    *drawn = n;
    if (!tickets)
        return NULL;
    n = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = document_hash(&documents[i], seed, FR_RANDOM_SPLIT);
        if (hash <= limit)
            tickets[n++] = (ticket){hash, i};
    }
    qsort(tickets, n, sizeof *tickets, by_hash);
    return tickets;
}

/* Hold out up to `wanted` documents and `bytes` bytes; returns how many. */
static size_t choose(const kept_document *documents, const ticket *tickets, size_t count,
                     size_t wanted, uint64_t bytes, bool *held_out)
{
    size_t chosen = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < count && chosen < wanted; i++) {
        uint64_t size = documents[tickets[i].document].bytes;
        if (sum + size > bytes) {
            if (chosen)
                break;
            continue;
        }
        held_out[tickets[i].document] = true;
        sum += size;
        chosen++;
    }
    return chosen;
}

static fr_status too_small(size_t count, uint64_t total, const fr_data_options *options,
                           fr_error *error)
{
    char text[2][32];
    snprintf(text[0], sizeof text[0], "%zu document%s", count, count == 1 ? "" : "s");
    snprintf(text[1], sizeof text[1], "%llu byte%s", (unsigned long long)total,
             total == 1 ? "" : "s");
    return fr_fail(error, FR_BAD_INPUT,
                   "the text is too small to hold a part of it out for evaluation: %s of %s after "
                   "cleaning; expected at "
                   "least two documents, one of them within data.held_out_max = %lld bytes and "
                   "half of the text (one file "
                   "gives several documents from 6 KiB on, or with a smaller data.max_document)",
                   text[0], text[1], (long long)options->held_out_max);
}

fr_status split_documents(const kept_document *documents, size_t count,
                          const fr_data_options *options, bool **held_out, fr_error *error)
{
    uint64_t total = 0, seed = (uint64_t)options->seed, most = (uint64_t)options->held_out_max;
    for (size_t i = 0; i < count; i++)
        total += documents[i].bytes;
    if (most > total / 2)
        most = total / 2;
    size_t wanted = (size_t)llround(options->held_out * (double)count);
    wanted = wanted ? wanted : 1;
    /* Sorting all hashes would need 16 bytes for each document; those of four times the wanted
       number will do, as a rule. */
    double share = 4 * ((double)wanted + 16) / ((double)count + 1);
    uint64_t limit = share < 1 ? (uint64_t)(share * 0x1p64) : UINT64_MAX;
    bool *held = fr_alloc(count + 1, FR_MEMORY_DATA);
    size_t chosen = 0;
    for (bool again = count > 1 && held; again;
         again = chosen == 0 && limit != UINT64_MAX, limit = UINT64_MAX) {
        size_t drawn;
        ticket *tickets = draw(documents, count, seed, limit, &drawn);
        if (!tickets) {
            fr_free(held);
            held = NULL;
            break;
        }
        chosen = choose(documents, tickets, drawn, wanted, most, held);
        fr_free(tickets);
    }
    *held_out = held;
    if (!held)
        return fr_fail(error, FR_NO_MEMORY, "no memory to split %zu documents", count);
    if (chosen)
        return FR_OK;
    fr_free(held);
    *held_out = NULL;
    return too_small(count, total, options, error);
}
