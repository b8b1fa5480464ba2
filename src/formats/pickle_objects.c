/* pickle_objects.c: the classes that a state dict is made of, and what calling one gives.

   These are all: dicts, storages, and torch's functions that put a tensor together from a storage, an offset, a shape and strides.
   Nothing of Python or PyTorch runs: a call here fills a struct. Any other name is refused. Source: torch/_utils.py and
   torch/serialization.py, where these are written. */
#include "formats/pickle_reader.h"

#include <stdint.h>
#include <string.h>

typedef fr_status call_function(pickle_reader *r, const pickle_value *arguments,
                                pickle_value **value);
static call_function call_dict, call_size, call_tensor, call_parameter;

/* Functions have `call`, storages their dtype. */
static const struct {
    const char *module, *name;
    call_function *call;
    fr_dtype dtype;
} classes[] = {
    {"collections", "OrderedDict", call_dict, FR_DTYPES},
    {"torch", "Size", call_size, FR_DTYPES},
    {"torch._utils", "_rebuild_tensor", call_tensor, FR_DTYPES},
    {"torch._utils", "_rebuild_tensor_v2", call_tensor, FR_DTYPES},
    {"torch._utils", "_rebuild_parameter", call_parameter, FR_DTYPES},
    {"torch", "DoubleStorage", NULL, FR_F64},
    {"torch", "FloatStorage", NULL, FR_F32},
    {"torch", "HalfStorage", NULL, FR_F16},
    {"torch", "BFloat16Storage", NULL, FR_BF16},
    {"torch", "LongStorage", NULL, FR_I64},
    {"torch", "IntStorage", NULL, FR_I32},
    {"torch", "ShortStorage", NULL, FR_I16},
    {"torch", "CharStorage", NULL, FR_I8},
    {"torch", "ByteStorage", NULL, FR_U8},
    {"torch", "BoolStorage", NULL, FR_U8},
};
enum { CLASSES = sizeof classes / sizeof *classes };

fr_status pickle_class(pickle_reader *r, const char *module, const char *name, pickle_value **value)
{
    for (int i = 0; i < CLASSES; i++)
        if (strcmp(classes[i].module, module) == 0 && strcmp(classes[i].name, name) == 0) {
            FR_TRY(pickle_new(r, PICKLE_CLASS, value));
            (*value)->number = i;
            return FR_OK;
        }
    return PICKLE_FAIL(
        r, FR_UNSUPPORTED,
        "'%.100s.%.100s' is not among the classes that a state dict needs; nothing of "
        "the file is executed",
        module, name);
}

fr_status pickle_call(pickle_reader *r, const pickle_value *callee, const pickle_value *arguments,
                      pickle_value **value)
{
    if (callee->type != PICKLE_CLASS || arguments->type != PICKLE_TUPLE)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "calls %s with %s", pickle_type_name(callee->type),
                           pickle_type_name(arguments->type));
    if (!classes[callee->number].call)
        return PICKLE_FAIL(r, FR_UNSUPPORTED, "calls '%s.%s', which is only a name",
                           classes[callee->number].module, classes[callee->number].name);
    return classes[callee->number].call(r, arguments, value);
}

/* ---- dicts ---- */

fr_status pickle_append(pickle_reader *r, pickle_value *list, pickle_value *item)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 8;
        void *items;
        FR_TRY(pickle_take(r, room * sizeof *list->items, &items));
        if (list->count)
            memcpy(items, (void *)list->items, list->count * sizeof *list->items);
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
    return FR_OK;
}

/* OrderedDict(), or with one list of pairs, as Python 2 wrote it. */
static fr_status call_dict(pickle_reader *r, const pickle_value *arguments, pickle_value **value)
{
    FR_TRY(pickle_new(r, PICKLE_DICT, value));
    if (arguments->count == 0)
        return FR_OK;
    const pickle_value *pairs = arguments->items[0];
    if (arguments->count > 1 || pairs->type != PICKLE_LIST)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "OrderedDict is called with %zu values, %s",
                           arguments->count, pickle_type_name(pairs->type));
    FR_TRY(pickle_count(r, pairs->count));
    for (size_t i = 0; i < pairs->count; i++) {
        const pickle_value *pair = pairs->items[i];
        if ((pair->type != PICKLE_LIST && pair->type != PICKLE_TUPLE) || pair->count != 2)
            return PICKLE_FAIL(r, FR_BAD_INPUT,
                               "OrderedDict is called with what is no list of pairs");
        FR_TRY(pickle_append(r, *value, pair->items[0]));
        FR_TRY(pickle_append(r, *value, pair->items[1]));
    }
    return FR_OK;
}

/* A shape is a tuple. */
static fr_status call_size(pickle_reader *r, const pickle_value *arguments, pickle_value **value)
{
    if (arguments->count != 1 || arguments->items[0]->type != PICKLE_TUPLE)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "torch.Size is not called with one tuple");
    *value = arguments->items[0];
    return FR_OK;
}

/* ---- storages and tensors ---- */

/* ('storage', class, key, place, number of elements[, None]) */
fr_status pickle_persistent(pickle_reader *r, const pickle_value *id, pickle_value **value)
{
    bool fits = id->type == PICKLE_TUPLE && (id->count == 5 || id->count == 6) &&
                id->items[0]->type == PICKLE_TEXT && strcmp(id->items[0]->text, "storage") == 0 &&
                id->items[1]->type == PICKLE_CLASS && !classes[id->items[1]->number].call &&
                id->items[2]->type == PICKLE_TEXT && id->items[4]->type == PICKLE_INT &&
                id->items[4]->number >= 0;
    if (!fits)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "a persistent id is not that of a storage");
    if (id->count == 6 && id->items[5]->type != PICKLE_NONE)
        return PICKLE_FAIL(r, FR_UNSUPPORTED, "a view of a storage is not read");
    void *block;
    FR_TRY(pickle_new(r, PICKLE_STORAGE, value));
    FR_TRY(pickle_take(r, sizeof *(*value)->storage, &block));
    (*value)->storage = block;
    *(*value)->storage = (pickle_storage){.dtype = classes[id->items[1]->number].dtype,
                                          .key = id->items[2]->text,
                                          .count = id->items[4]->number};
    return FR_OK;
}

/* A tuple of counts. */
static fr_status read_counts(pickle_reader *r, const pickle_value *tuple, const char *what,
                             int *rank, int64_t *counts)
{
    if (tuple->type != PICKLE_TUPLE)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "a tensor's %s is %s", what,
                           pickle_type_name(tuple->type));
    if (tuple->count > FR_MAX_RANK)
        return PICKLE_FAIL(r, FR_UNSUPPORTED, "a tensor has %zu axes; at most %d are supported",
                           tuple->count, FR_MAX_RANK);
    *rank = (int)tuple->count;
    for (int i = 0; i < *rank; i++) {
        const pickle_value *item = tuple->items[i];
        if (item->type != PICKLE_INT || item->number < 0)
            return PICKLE_FAIL(r, FR_BAD_INPUT, "axis %d of a tensor's %s is not a count", i, what);
        counts[i] = item->number;
    }
    return FR_OK;
}

/* All elements lie in the storage. */
static fr_status check_reach(pickle_reader *r, const pickle_tensor *t)
{
    int64_t count = 1, last = t->offset, step;
    bool overflow = false;
    for (int i = 0; i < t->rank; i++)
        overflow |= __builtin_mul_overflow(count, t->shape[i], &count);
    for (int i = 0; i < t->rank && count > 0; i++)
        overflow |= __builtin_mul_overflow(t->shape[i] - 1, t->strides[i], &step) ||
                    __builtin_add_overflow(last, step, &last);
    if (overflow || count > INT64_MAX / 8)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "a tensor has an impossible shape");
    if (count > 0 ? last >= t->storage->count : t->offset > t->storage->count)
        return PICKLE_FAIL(
            r, FR_BAD_INPUT,
            "a tensor reaches to element %lld of storage '%.40s', which has %lld elements",
            (long long)last, t->storage->key, (long long)t->storage->count);
    return FR_OK;
}

/* (storage, offset, shape, strides, ...): gradients, hooks and metadata of the rest do not matter. */
static fr_status call_tensor(pickle_reader *r, const pickle_value *arguments, pickle_value **value)
{
    pickle_value *const *items = arguments->items;
    if (arguments->count < 4 || items[0]->type != PICKLE_STORAGE || items[1]->type != PICKLE_INT ||
        items[1]->number < 0)
        return PICKLE_FAIL(r, FR_BAD_INPUT,
                           "a tensor is not made from a storage, an offset, a shape and strides");
    void *block;
    FR_TRY(pickle_new(r, PICKLE_TENSOR, value));
    FR_TRY(pickle_take(r, sizeof *(*value)->tensor, &block));
    pickle_tensor *t = (*value)->tensor = block;
    int strides = 0;
    t->storage = items[0]->storage;
    t->offset = items[1]->number;
    FR_TRY(read_counts(r, items[2], "shape", &t->rank, t->shape));
    FR_TRY(read_counts(r, items[3], "strides", &strides, t->strides));
    if (strides != t->rank)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "a tensor has %d axes, but %d strides", t->rank,
                           strides);
    return check_reach(r, t);
}

/* (tensor, whether it trains, hooks) */
static fr_status call_parameter(pickle_reader *r, const pickle_value *arguments,
                                pickle_value **value)
{
    if (arguments->count < 1 || arguments->items[0]->type != PICKLE_TENSOR)
        return PICKLE_FAIL(r, FR_BAD_INPUT, "a parameter is not made from a tensor");
    *value = arguments->items[0];
    return FR_OK;
}
