/* duplicates.c: exact duplicates by a 128-bit hash, near duplicates by MinHash and banded
   locality-sensitive hashing.

   MinHash (Broder, On the resemblance and containment of documents, 1997): under a random order of
   all shingles, two documents have the same smallest one with a probability that is the Jaccard
   similarity of their shingle sets. 48 orders give an estimate. Of each minimum only 8 bits are
   kept (b-bit minwise hashing, Li and Koenig, arXiv 0910.3349): two different minima agree by
   chance once in 256, which the estimate takes out.

   The 48 bytes are cut into bands of `rows` bytes, and a document is a candidate when it shares a
   whole band with a kept one (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section
   3.4). rows is the largest number up to 5 for which a pair exactly at the wanted similarity is
   found with at least 95 %: 9 bands of 5 for 0.8, which find 97 %. The estimate decides about
   candidates. At most 8 kept documents per band value are remembered, so that a shared letterhead
   cannot make this quadratic.

   Memory of a kept document: 24 bytes, 4 to 8 for the exact table, 48 for the minima, 4 to 8 per
   band: about 130 bytes. */
#include "data/duplicates.h"
#include "data/table.h"

#define XXH_INLINE_ALL
#include <math.h>
#include <string.h>
#include <xxhash.h>

enum { ROWS_MOST = 5, SAME_BAND = 8 };

/* ---- fingerprints ---- */

typedef struct orders {
    uint32_t flip[MINIMA], factor[MINIMA];
} orders;

/* The 48 orders: x -> (x ^ flip) * factor modulo 2^32, a bijection. */
static orders make_orders(void)
{
    orders o;
    for (uint64_t i = 0; i < MINIMA; i++) {
        uint32_t bits[4];
        fr_random_bits(0, FR_RANDOM_HASH, 0, i, bits);
        o.flip[i] = bits[0];
        o.factor[i] = bits[1] | 1;
    }
    return o;
}

static uint8_t low_byte(uint32_t minimum)
{
    minimum = (minimum ^ minimum >> 16) * 0x85EBCA6BU;
    minimum = (minimum ^ minimum >> 13) * 0xC2B2AE35U;
    return (uint8_t)(minimum >> 24);
}

void fingerprint_of(const scratch *shingles, const char *text, size_t size, fingerprint *f)
{
    XXH128_hash_t hash = XXH3_128bits(text, size);
    orders o = make_orders();
    uint32_t minima[MINIMA];
    memset(minima, 0xFF, sizeof minima);
    for (size_t s = 0; s < shingles->count; s++) {
        uint32_t x = (uint32_t)(shingles->shingles[s] >> 32);
        for (int i = 0; i < MINIMA; i++) {
            uint32_t y = (x ^ o.flip[i]) * o.factor[i];
            minima[i] = y < minima[i] ? y : minima[i];
        }
    }
    *f = (fingerprint){.low = hash.low64, .high = hash.high64, .comparable = shingles->count > 0};
    for (int i = 0; i < MINIMA; i++)
        f->minima[i] = low_byte(minima[i]);
}

static double similarity_of(const uint8_t *a, const uint8_t *b)
{
    int same = 0;
    for (int i = 0; i < MINIMA; i++)
        same += a[i] == b[i];
    double agree = (double)same / MINIMA, chance = 1.0 / 256;
    return agree <= chance ? 0 : (agree - chance) / (1 - chance);
}

double fingerprint_similarity(const fingerprint *a, const fingerprint *b)
{
    return a->comparable && b->comparable ? similarity_of(a->minima, b->minima) : 0;
}

/* ---- the kept documents ---- */

typedef uint8_t minima_bytes[MINIMA];

struct duplicates {
    bool exact, near;
    double similarity;
    size_t rows, bands;
    kept_document *kept;
    minima_bytes *minima;
    size_t count, room;
    table exact_table;
    table band_tables[MINIMA];
    size_t band; /* that band_hash looks at while its table grows */
};

/* The probability that two documents of this similarity share a band. */
static double found(double similarity, size_t rows)
{
    size_t bands = MINIMA / rows;
    return 1 - pow(1 - pow(similarity, (double)rows), (double)bands);
}

static size_t choose_rows(double similarity)
{
    size_t rows = ROWS_MOST;
    while (rows > 1 && found(similarity, rows) < 0.95)
        rows--;
    return rows;
}

fr_status duplicates_create(duplicates **out, bool exact, bool near, double similarity,
                            fr_error *error)
{
    duplicates *d = *out = fr_alloc(sizeof *d, FR_MEMORY_DATA);
    if (!d)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the search for duplicates");
    d->exact = exact;
    d->near = near;
    d->similarity = similarity;
    d->rows = choose_rows(similarity);
    d->bands = MINIMA / d->rows;
    return FR_OK;
}

void duplicates_finish(duplicates *d)
{
    table_free(&d->exact_table);
    for (size_t b = 0; b < d->bands; b++)
        table_free(&d->band_tables[b]);
    fr_free(d->minima);
    d->minima = NULL;
}

void duplicates_destroy(duplicates *d)
{
    if (!d)
        return;
    duplicates_finish(d);
    fr_free(d->kept);
    fr_free(d);
}

size_t duplicates_kept(const duplicates *d, const kept_document **documents)
{
    *documents = d->kept;
    return d->count;
}

static uint64_t exact_hash(const void *context, uint32_t number)
{
    return ((const duplicates *)context)->kept[number].high;
}

static uint64_t hash_band(const duplicates *d, const uint8_t *minima, size_t band)
{
    return XXH3_64bits(minima + band * d->rows, d->rows);
}

static uint64_t band_hash(const void *context, uint32_t number)
{
    const duplicates *d = context;
    return hash_band(d, d->minima[number], d->band);
}

/* Room for one more document everywhere. */
static bool reserve(duplicates *d)
{
    if (d->count == d->room) {
        size_t room = d->room ? d->room + d->room / 2 : 1024;
        kept_document *kept = fr_realloc(d->kept, room * sizeof *kept, FR_MEMORY_DATA);
        if (!kept)
            return false;
        d->kept = kept;
        if (d->near) {
            minima_bytes *minima = fr_realloc(d->minima, room * sizeof *minima, FR_MEMORY_DATA);
            if (!minima)
                return false;
            d->minima = minima;
        }
        d->room = room;
    }
    bool room = !d->exact || table_reserve(&d->exact_table, exact_hash, d);
    for (size_t b = 0; room && d->near && b < d->bands; b++) {
        d->band = b;
        room = table_reserve(&d->band_tables[b], band_hash, d);
    }
    return room;
}

static bool is_exact(const duplicates *d, const fingerprint *f)
{
    const table *t = &d->exact_table;
    for (size_t s = table_first(t, f->high); t->slots[s]; s = table_after(t, s)) {
        const kept_document *k = &d->kept[t->slots[s] - 1];
        if (k->low == f->low && k->high == f->high)
            return true;
    }
    return false;
}

/* True when a kept document shares band `b` and is similar enough; *sharing counts those that share
   it. */
static bool is_near_by_band(const duplicates *d, const fingerprint *f, size_t b, int *sharing)
{
    const table *t = &d->band_tables[b];
    size_t from = b * d->rows, length = d->rows;
    *sharing = 0;
    for (size_t s = table_first(t, hash_band(d, f->minima, b)); t->slots[s];
         s = table_after(t, s)) {
        const uint8_t *other = d->minima[t->slots[s] - 1];
        if (memcmp(other + from, f->minima + from, length) != 0)
            continue;
        ++*sharing;
        if (similarity_of(other, f->minima) >= d->similarity)
            return true;
    }
    return false;
}

static void keep(duplicates *d, const fingerprint *f, size_t bytes, const int *sharing)
{
    uint32_t number = (uint32_t)d->count++;
    d->kept[number] = (kept_document){f->low, f->high, bytes};
    if (d->exact)
        table_add(&d->exact_table, f->high, number);
    if (!d->near)
        return;
    memcpy(d->minima[number], f->minima, MINIMA);
    for (size_t b = 0; f->comparable && b < d->bands; b++)
        if (sharing[b] < SAME_BAND)
            table_add(&d->band_tables[b], hash_band(d, f->minima, b), number);
}

fr_status duplicates_add(duplicates *d, const fingerprint *f, size_t bytes, verdict *result,
                         fr_error *error)
{
    int sharing[MINIMA] = {0};
    if (d->count >= UINT32_MAX - 1)
        return fr_fail(error, FR_UNSUPPORTED, "more than %u documents", UINT32_MAX - 1);
    if (!reserve(d))
        return fr_fail(error, FR_NO_MEMORY,
                       "no memory for the search for duplicates among %zu documents", d->count);
    *result = VERDICT_EXACT;
    if (d->exact && is_exact(d, f))
        return FR_OK;
    *result = VERDICT_NEAR;
    for (size_t b = 0; d->near && f->comparable && b < d->bands; b++)
        if (is_near_by_band(d, f, b, &sharing[b]))
            return FR_OK;
    *result = VERDICT_NEW;
    keep(d, f, bytes, sharing);
    return FR_OK;
}
