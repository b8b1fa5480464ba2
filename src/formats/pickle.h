/* pickle.h: the values of a pickle that describes a PyTorch state dict. */
#ifndef FRUGAL_FORMATS_PICKLE_H
#define FRUGAL_FORMATS_PICKLE_H

#include "frugal/tensor.h"

typedef enum pickle_type {
    PICKLE_MARK, /* only on the stack */
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_BYTES,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_CLASS,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_TYPES
} pickle_type;

/* A stretch of memory that tensors share; the file that the pickle came with has its bytes under `key`. */
typedef struct pickle_storage {
    fr_dtype dtype;
    const char *key;
    int64_t count; /* of elements */
} pickle_storage;

typedef struct pickle_tensor {
    const pickle_storage *storage;
    int64_t offset; /* in elements, as the strides */
    int rank;
    int64_t shape[FR_MAX_RANK], strides[FR_MAX_RANK];
} pickle_tensor;

typedef struct pickle_value {
    pickle_type type;
    union {
        int64_t number; /* BOOL, INT; CLASS: which */
        struct {        /* TEXT, BYTES: followed by a zero byte */
            const char *text;
            size_t size;
        };
        struct { /* TUPLE, LIST; DICT: keys and values in turn */
            struct pickle_value **items;
            size_t count, room;
        };
        pickle_storage *storage;
        pickle_tensor *tensor;
    };
} pickle_value;

/* Read one pickle from `data`; *used is its length. Values live in the arena. `path` and `where` name the place in messages. Structures
   may contain themselves: who walks them bounds the depth. */
fr_status pickle_read(pickle_value **value, const unsigned char *data, size_t size, size_t *used,
                      fr_arena *arena, const char *path, const char *where, fr_error *error);
/* "a tuple", "a tensor"... */
const char *pickle_type_name(pickle_type type);

#endif
