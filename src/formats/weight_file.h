/* weight_file.h: a container of weights: what fr_weight_file_open asks each one for. A new container is one file that fills this, and
   a line in weight_file.c. */
#ifndef FRUGAL_FORMATS_WEIGHT_FILE_H
#define FRUGAL_FORMATS_WEIGHT_FILE_H

#include "frugal/formats.h"

typedef struct weight_container {
    const char *name;
    /* By the first bytes. NULL for the last one, which takes every file that no other takes. */
    bool (*recognises)(const fr_map *map);
    /* Fill `tensors` and `count` of the file, whose path and map are there; `own` is the container's. After a failure `close` is called
       as well. */
    fr_status (*open)(fr_weight_file *file, fr_error *error);
    void (*close)(fr_weight_file *file);
} weight_container;

struct fr_weight_file {
    const weight_container *container;
    char *path;
    fr_map map;
    fr_stored_tensor *tensors;        /* fr_alloc; freed by the door */
    const fr_stored_tensor **by_name; /* sorted; made by the door */
    size_t count;
    void *own;
};

extern const weight_container weight_container_safetensors, weight_container_torch;

/* `read` of plain numbers of tensor->dtype (f32, f16, bf16, f64) with strides. */
void stored_tensor_read_plain(const fr_stored_tensor *tensor, int64_t begin, int64_t count,
                              float *out);
/* Set dtype, type, read and, when `strides` is NULL, row-major strides; the shape is there. */
void stored_tensor_set_plain(fr_stored_tensor *tensor, fr_dtype dtype, const int64_t *strides);

#endif
