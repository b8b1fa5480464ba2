/* memory.c: counted, aligned blocks and arenas.

   Every block carries a 64-byte header with its size and kind, so that the bytes in use and their peak are known by kind at any
   time: what the plan predicts is compared with what was used. */
#include "frugal/base.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

typedef struct header {
    size_t bytes;
    fr_memory_kind kind;
} header;
_Static_assert(sizeof(header) <= ALIGNMENT, "the header fits before the block");

static _Atomic size_t now[FR_MEMORY_KINDS], peak[FR_MEMORY_KINDS];
static _Atomic uint64_t allocations;

static header *header_of(void *block)
{
    return (header *)(void *)((char *)block - ALIGNMENT);
}

static void count(fr_memory_kind kind, size_t added, size_t removed)
{
    atomic_fetch_sub(&now[kind], removed);
    size_t value = atomic_fetch_add(&now[kind], added) + added;
    size_t seen = atomic_load(&peak[kind]);
    while (seen < value && !atomic_compare_exchange_weak(&peak[kind], &seen, value)) {
    }
}

/* More than any machine has: a size that was computed from something wrong. */
static bool is_absurd(size_t bytes)
{
    return bytes > SIZE_MAX / 2 || (uint64_t)bytes >> 46 != 0;
}

void *fr_alloc(size_t bytes, fr_memory_kind kind)
{
    if (is_absurd(bytes))
        return NULL;
    size_t whole = (bytes + (size_t)ALIGNMENT * 2 - 1) / ALIGNMENT * ALIGNMENT;
    char *block = aligned_alloc(ALIGNMENT, whole);
    if (!block)
        return NULL;
    memset(block, 0, whole);
    *(header *)(void *)block = (header){bytes, kind};
    count(kind, bytes, 0);
    atomic_fetch_add(&allocations, 1);
    return block + ALIGNMENT;
}

void *fr_alloc_array(size_t elements, size_t size, fr_memory_kind kind)
{
    if (size && elements > SIZE_MAX / 2 / size)
        return NULL;
    return fr_alloc(elements * size, kind);
}

void *fr_realloc(void *block, size_t bytes, fr_memory_kind kind)
{
    if (!block)
        return fr_alloc(bytes, kind);
    void *bigger = fr_alloc(bytes, kind);
    if (!bigger)
        return NULL;
    size_t old = header_of(block)->bytes;
    memcpy(bigger, block, old < bytes ? old : bytes);
    fr_free(block);
    return bigger;
}

void fr_free(void *block)
{
    if (!block)
        return;
    header *h = header_of(block);
    count(h->kind, 0, h->bytes);
    free(h);
}

bool fr_string_ends(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

char *fr_string_copy_n(const char *text, size_t length)
{
    char *copy = fr_alloc(length + 1, FR_MEMORY_OTHER);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

char *fr_string_copy(const char *text)
{
    return text ? fr_string_copy_n(text, strlen(text)) : NULL;
}

char *fr_format(const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : fr_alloc((size_t)length + 1, FR_MEMORY_OTHER);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

size_t fr_memory_now(fr_memory_kind kind)
{
    return atomic_load(&now[kind]);
}

size_t fr_memory_peak(fr_memory_kind kind)
{
    return atomic_load(&peak[kind]);
}

void fr_memory_reset_peaks(void)
{
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        atomic_store(&peak[kind], atomic_load(&now[kind]));
}

const char *fr_memory_kind_name(fr_memory_kind kind)
{
    static const char *const names[FR_MEMORY_KINDS] = {
        "other", "weights", "gradients", "optimizer", "activations", "cache", "data"};
    return (unsigned)kind < FR_MEMORY_KINDS ? names[kind] : "?";
}

uint64_t fr_allocation_count(void)
{
    return atomic_load(&allocations);
}

/* ---- arenas ---- */

enum { CHUNKS = 48, FIRST_CHUNK = 1 << 20 };

/* Chunks double in size; a reset makes one of the peak's size. */
struct fr_arena {
    fr_memory_kind kind;
    char *chunk[CHUNKS];
    size_t size[CHUNKS];
    size_t filled[CHUNKS]; /* bytes in use of the chunks before `current` */
    size_t chunks;         /* made */
    size_t current, used;
    size_t before;     /* the sum of filled[0..current) */
    size_t peak, high; /* since creation; since reset */
};

fr_arena *fr_arena_create(fr_memory_kind kind)
{
    fr_arena *arena = fr_alloc(sizeof *arena, FR_MEMORY_OTHER);
    if (arena)
        arena->kind = kind;
    return arena;
}

void fr_arena_destroy(fr_arena *arena)
{
    if (!arena)
        return;
    for (size_t i = 0; i < arena->chunks; i++)
        fr_free(arena->chunk[i]);
    fr_free(arena);
}

static bool add_chunk(fr_arena *arena, size_t bytes)
{
    size_t size = arena->chunks ? arena->size[arena->chunks - 1] * 2 : FIRST_CHUNK;
    while (size < bytes)
        size *= 2;
    if (arena->chunks == CHUNKS || !(arena->chunk[arena->chunks] = fr_alloc(size, arena->kind)))
        return false;
    arena->size[arena->chunks++] = size;
    return true;
}

void *fr_arena_alloc(fr_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    while (arena->current >= arena->chunks || arena->size[arena->current] - arena->used < bytes) {
        if (arena->current < arena->chunks) {
            arena->before += arena->filled[arena->current++] = arena->used;
            arena->used = 0;
        }
        if (arena->current >= arena->chunks && !add_chunk(arena, bytes))
            return NULL;
    }
    void *block = arena->chunk[arena->current] + arena->used;
    arena->used += bytes;
    if (arena->before + arena->used > arena->high)
        arena->high = arena->before + arena->used;
    if (arena->high > arena->peak)
        arena->peak = arena->high;
    return block;
}

bool fr_arena_reserve(fr_arena *arena, size_t bytes)
{
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (arena->peak < bytes)
        arena->peak = bytes;
    fr_arena_reset(arena);
    if (arena->chunks == 0 && bytes > 0) {
        if (!(arena->chunk[0] = fr_alloc(bytes, arena->kind)))
            return false;
        arena->size[0] = bytes;
        arena->chunks = 1;
    }
    return arena->chunks == 0 || arena->size[0] >= bytes;
}

void fr_arena_reset(fr_arena *arena)
{
    if (arena->chunks > 1 || (arena->chunks == 1 && arena->size[0] != arena->peak)) {
        for (size_t i = 0; i < arena->chunks; i++)
            fr_free(arena->chunk[i]);
        arena->chunks = 0;
        char *whole = fr_alloc(arena->peak, arena->kind);
        if (whole) {
            arena->chunk[0] = whole;
            arena->size[0] = arena->peak;
            arena->chunks = 1;
        }
    }
    arena->current = arena->used = arena->before = arena->high = 0;
}

fr_arena_mark fr_arena_get_mark(const fr_arena *arena)
{
    return (fr_arena_mark){arena->current, arena->used};
}

void fr_arena_release(fr_arena *arena, fr_arena_mark mark)
{
    while (arena->current > mark.chunk)
        arena->before -= arena->filled[--arena->current];
    arena->used = mark.used;
}

size_t fr_arena_peak(const fr_arena *arena)
{
    return arena->peak;
}
