/* table.c: see table.h. The table grows by half at 80 % load. */
#include "data/table.h"

void table_add(table *t, uint64_t hash, uint32_t number)
{
    size_t slot = table_first(t, hash);
    while (t->slots[slot])
        slot = table_after(t, slot);
    t->slots[slot] = number + 1;
    t->count++;
}

bool table_reserve(table *t, table_hash *hash, const void *context)
{
    if (t->count + 1 <= t->capacity / 5 * 4)
        return true;
    table larger = {.capacity = t->capacity ? t->capacity + t->capacity / 2 : 40};
    larger.slots = fr_alloc_array(larger.capacity, sizeof *larger.slots, FR_MEMORY_DATA);
    if (!larger.slots)
        return false;
    for (size_t s = 0; s < t->capacity; s++)
        if (t->slots[s])
            table_add(&larger, hash(context, t->slots[s] - 1), t->slots[s] - 1);
    fr_free(t->slots);
    *t = larger;
    return true;
}

void table_free(table *t)
{
    fr_free(t->slots);
    *t = (table){0};
}
