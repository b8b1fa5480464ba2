/* formats.h: files that others define: safetensors, JSON, and TensorBoard event files. */
#ifndef FRUGAL_FORMATS_H
#define FRUGAL_FORMATS_H

#include "frugal/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- weights in files: one door, whatever the container ---------------------------------------------------------------------- */

typedef struct fr_stored_tensor fr_stored_tensor;
struct fr_stored_tensor {
    const char *name;
    const char *type; /* how its container calls the numbers: "f32", "bf16", "q4_k" */
    int rank;
    int64_t shape[FR_MAX_RANK];
    size_t bytes; /* in the file */
    /* Numbers [begin, begin + count) in row-major order as f32. NULL: they are integers, no weights. */
    void (*read)(const fr_stored_tensor *tensor, int64_t begin, int64_t count, float *out);
    /* for `read`: */
    fr_dtype dtype;
    int64_t strides[FR_MAX_RANK]; /* in elements */
    const void *data;             /* in the map; alignment is not promised */
    const void *own;
};

/* A file of weights: safetensors, or a PyTorch state dict (a zip archive or the older layout; its pickle is read, never executed), by
   its first bytes. It is memory-mapped and checked as a whole when it is opened; numbers are read when they are asked for. */
typedef struct fr_weight_file fr_weight_file;
fr_status fr_weight_file_open(fr_weight_file **file, const char *path, fr_error *error);
void fr_weight_file_close(fr_weight_file *file);
size_t fr_weight_file_count(const fr_weight_file *file);
const fr_stored_tensor *fr_weight_file_at(const fr_weight_file *file, size_t index);
const fr_stored_tensor *fr_weight_file_find(const fr_weight_file *file, const char *name);
const char *fr_weight_file_path(const fr_weight_file *file);
const char *fr_weight_file_format(const fr_weight_file *file); /* "safetensors", "torch" */

/* The files of weights of a model folder: model.safetensors, else the shards that model.safetensors.index.json lists, else the same of
   pytorch_model.bin, else model.pt or model.pth. Shards must be files of the folder, and hold what the index says. */
typedef struct fr_weight_folder {
    fr_weight_file **files;
    size_t count;
    char *index;        /* path of the index; NULL: one file */
    int64_t total_size; /* bytes of all tensors, as the index says; -1: it does not */
} fr_weight_folder;
/* After a failure there is nothing to close. */
fr_status fr_weight_folder_open(fr_weight_folder *weights, const char *folder, fr_error *error);
void fr_weight_folder_close(fr_weight_folder *weights);
/* Is `name` a plain name that does not lead out of the folder, also not through a link? (Links of the hub's download cache, from
   snapshots/ to blobs/, may.) */
bool fr_folder_holds(const char *folder, const char *name);

/* ---- safetensors (huggingface/safetensors): 8 bytes header length, JSON header, data --------------------------------------- */

typedef struct fr_safetensors fr_safetensors; /* an open file: memory-mapped, header checked */
typedef struct fr_safetensors_entry {
    const char *name;
    fr_dtype dtype;
    int rank;
    int64_t shape[FR_MAX_RANK];
    const void *data; /* in the map; alignment is not promised */
    size_t bytes;
} fr_safetensors_entry;
/* Every lie is refused: offsets that overlap, leave holes or the file, sizes that do not fit the shape, duplicate names, a header
   over 100 MB, unknown dtypes, ranks over FR_MAX_RANK. */
fr_status fr_safetensors_open(fr_safetensors **file, const char *path, fr_error *error);
void fr_safetensors_close(fr_safetensors *file);
size_t fr_safetensors_count(const fr_safetensors *file);
const fr_safetensors_entry *fr_safetensors_at(const fr_safetensors *file, size_t index);
const fr_safetensors_entry *fr_safetensors_find(const fr_safetensors *file, const char *name);
const char *fr_safetensors_metadata(const fr_safetensors *file,
                                    const char *key); /* of __metadata__, NULL: none */

/* Writing: `count` tensors in order, those of larger elements first; metadata as NULL-terminated pairs key, value (may be NULL).
   Numbers are converted in chunks; the same tensors give the same bytes. */
typedef struct fr_safetensors_item {
    const char *name;
    const fr_tensor *tensor;
    fr_dtype stored_as; /* f32, bf16, f16 for f32 tensors; others are stored as they are */
    bool transposed;    /* an f32 matrix (a, b) is stored as (b, a) */
} fr_safetensors_item;
/* hash (may be NULL) receives XXH3 of the whole file. */
fr_status fr_safetensors_write(const char *path, const fr_safetensors_item *items, size_t count,
                               const char *const *metadata, uint64_t *hash, fr_error *error);

/* ---- JSON ---- */

struct json_t; /* jansson */
/* Read a file, or a text called `name`, that holds one JSON object. A key that comes twice, more than 64 MB or 2048 levels are
   refused. */
fr_status fr_json_load(struct json_t **json, const char *path, fr_error *error);
fr_status fr_json_parse(struct json_t **json, const char *text, size_t size, const char *name,
                        fr_error *error);
/* A number, or null when it is not finite. */
struct json_t *fr_json_real(double value);
/* Write FOLDER/NAME, whole or not at all, and release `document`; NULL (it could not be made) is FR_NO_MEMORY. */
fr_status fr_json_write(const char *folder, const char *name, struct json_t *document,
                        fr_error *error);

/* ---- TensorBoard event files ------------------------------------------------------------------------------------------------- */

typedef struct fr_events fr_events;
/* Appends to FOLDER/events.out.tfevents.TIME.HOST... ; a new file per process, as TensorBoard expects. Nothing is buffered past
   fr_events_flush. */
fr_status fr_events_open(fr_events **events, const char *folder, fr_error *error);
fr_status fr_events_scalar(fr_events *events, const char *tag, int64_t step, double wall_time,
                           float value, fr_error *error);
fr_status fr_events_text(fr_events *events, const char *tag, int64_t step, double wall_time,
                         const char *text, fr_error *error);
fr_status fr_events_flush(fr_events *events, fr_error *error);
void fr_events_close(fr_events *events);

#ifdef __cplusplus
}
#endif
#endif
