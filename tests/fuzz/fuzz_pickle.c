/* fuzz_pickle.c: any bytes as a pickle: a value whose tensors lie in their storages, or a message. */
#include "fuzz.h"

#include "../../src/formats/pickle.h"

#include <string.h>

/* Structures may contain themselves: a walk has a depth. */
static void walk(const pickle_value *value, int depth, size_t *left)
{
    if (depth == 0 || *left == 0)
        return;
    --*left;
    if (value->type == PICKLE_TENSOR) {
        const pickle_tensor *t = value->tensor;
        int64_t last = t->offset;
        bool empty = false;
        for (int i = 0; i < t->rank; i++) {
            empty |= t->shape[i] == 0;
            last += (t->shape[i] - 1) * t->strides[i];
        }
        MUST(empty || (last >= 0 && last < t->storage->count));
    }
    if (value->type == PICKLE_TEXT)
        MUST(strlen(value->text) == value->size);
    if (value->type == PICKLE_TUPLE || value->type == PICKLE_LIST || value->type == PICKLE_DICT)
        for (size_t i = 0; i < value->count; i++)
            walk(value->items[i], depth - 1, left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { DEPTH = 8, MOST = 10000 };
    fr_arena *arena = fr_arena_create(FR_MEMORY_OTHER);
    MUST(arena);
    pickle_value *value;
    size_t used = 0, left = MOST;
    fr_error error = {0};
    if (pickle_read(&value, data, size, &used, arena, "fuzz", "here", &error) == FR_OK) {
        MUST(used <= size);
        walk(value, DEPTH, &left);
    } else
        MUST(!value && strncmp(error.message, "fuzz: here, byte ", 17) == 0);
    fr_arena_destroy(arena);
    return 0;
}
