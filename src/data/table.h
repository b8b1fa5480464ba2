/* table.h: a hash table of 32-bit numbers of things that live in an array elsewhere.

   Open addressing with linear probing; a slot holds number + 1, 0 is free. The table knows neither
   keys nor equality: the owner walks the slots from table_first on and compares. It costs 4 bytes a
   slot, between 5 and 8 bytes an entry.

   for (size_t s = table_first(t, hash); t->slots[s]; s = table_after(t, s)) if
   (same(things[t->slots[s] - 1], wanted)) ... */
#ifndef FRUGAL_DATA_TABLE_H
#define FRUGAL_DATA_TABLE_H

#include "frugal/base.h"

typedef struct table {
    uint32_t *slots;
    size_t capacity, count;
} table;

/* The hash of thing `number`, for growing. */
typedef uint64_t table_hash(const void *context, uint32_t number);

static inline size_t table_first(const table *t, uint64_t hash)
{
    /* The high bits choose the slot for any capacity (Lemire's multiply and shift), so that growth
       need not double. */
    return (size_t)(((hash >> 32) * t->capacity) >> 32);
}

static inline size_t table_after(const table *t, size_t slot)
{
    return slot + 1 == t->capacity ? 0 : slot + 1;
}

/* Make room for one more; false: no memory. Call before walking. */
bool table_reserve(table *t, table_hash *hash, const void *context);
/* Add `number`; there must be room. */
void table_add(table *t, uint64_t hash, uint32_t number);
void table_free(table *t);

#endif
