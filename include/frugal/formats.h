/* formats.h: files that others define: safetensors, GGUF, JSON, and TensorBoard event files. */
#ifndef FRUGAL_FORMATS_H
#define FRUGAL_FORMATS_H

#include "frugal/options.h"
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

/* ---- GGUF (ggml-org/ggml, docs/gguf.md), versions 2 and 3, little endian ------------------------------------------------------ */

/* Types of values, by the file's own numbers. */
typedef enum fr_gguf_kind {
    FR_GGUF_U8,
    FR_GGUF_I8,
    FR_GGUF_U16,
    FR_GGUF_I16,
    FR_GGUF_U32,
    FR_GGUF_I32,
    FR_GGUF_F32,
    FR_GGUF_BOOL,
    FR_GGUF_STRING,
    FR_GGUF_ARRAY,
    FR_GGUF_U64,
    FR_GGUF_I64,
    FR_GGUF_F64,
    FR_GGUF_KINDS
} fr_gguf_kind;

typedef struct fr_gguf
    fr_gguf; /* an open file: memory-mapped, all but the tensors' bytes checked */
typedef struct fr_gguf_value {
    const char *key;
    fr_gguf_kind kind;
    fr_gguf_kind element;      /* of an array */
    uint64_t count;            /* elements of an array, bytes of a string; else 1 */
    const unsigned char *data; /* in the map: the number, the first byte, the first element */
} fr_gguf_value;
typedef struct fr_gguf_entry {
    const char *name;
    fr_dtype dtype;
    int rank;
    int64_t shape
        [FR_MAX_RANK]; /* the last axis varies fastest, as everywhere here (the file says them the other way round) */
    const void
        *data; /* in the map, aligned as the file says (32 bytes unless it chooses otherwise) */
    size_t bytes;
} fr_gguf_entry;
/* Every lie is refused: counts and sizes that the file cannot hold, keys or names that come twice, offsets that overlap, leave holes
   or the file, arrays in arrays deeper than 8, unknown types (by name where they have one), ranks over FR_MAX_RANK. */
fr_status fr_gguf_open(fr_gguf **file, const char *path, fr_error *error);
void fr_gguf_close(fr_gguf *file);
const char *fr_gguf_path(const fr_gguf *file);
/* The GGUF file that a path means: itself, or the only .gguf of a folder that has no config.json. *found NULL: none, something else is
   meant. Freed with fr_free. */
fr_status fr_gguf_locate(const char *path, char **found, fr_error *error);
size_t fr_gguf_count(const fr_gguf *file); /* tensors */
const fr_gguf_entry *fr_gguf_at(const fr_gguf *file, size_t index);
const fr_gguf_entry *fr_gguf_find(const fr_gguf *file, const char *name);
size_t fr_gguf_value_count(const fr_gguf *file);
const fr_gguf_value *fr_gguf_value_at(const fr_gguf *file, size_t index);
const fr_gguf_value *fr_gguf_value_find(const fr_gguf *file, const char *key); /* NULL: none */
/* What a value says; false when it is NULL or of another type. Integers of any width that fit; numbers of any kind. */
bool fr_gguf_int(const fr_gguf_value *value, int64_t *number);
bool fr_gguf_real(const fr_gguf_value *value, double *number);
bool fr_gguf_bool(const fr_gguf_value *value, bool *flag);
bool fr_gguf_text(const fr_gguf_value *value, const char **text,
                  size_t *size); /* in the map, no zero behind */
/* The elements of an array one after the other: {value} to begin; false at the end and for other types. */
typedef struct fr_gguf_items {
    const fr_gguf_value *value;
    uint64_t index;
    size_t offset;
} fr_gguf_items;
bool fr_gguf_next_text(fr_gguf_items *items, const char **text, size_t *size);
bool fr_gguf_next_int(fr_gguf_items *items, int64_t *number);
bool fr_gguf_next_real(fr_gguf_items *items, double *number);

/* Writing: values and tensors are collected in a draft, then written whole or not at all. Failures to collect are kept; the write
   reports them. The same draft gives the same bytes. */
typedef struct fr_gguf_draft fr_gguf_draft;
fr_gguf_draft *fr_gguf_draft_create(void); /* NULL: no memory */
void fr_gguf_draft_free(fr_gguf_draft *draft);
void fr_gguf_put_u32(fr_gguf_draft *draft, const char *key, uint32_t number);
void fr_gguf_put_f32(fr_gguf_draft *draft, const char *key, float number);
void fr_gguf_put_bool(fr_gguf_draft *draft, const char *key, bool flag);
void fr_gguf_put_text(fr_gguf_draft *draft, const char *key, const char *text, size_t size);
/* An array of `count` elements, which follow at once through fr_gguf_add_... */
void fr_gguf_put_array(fr_gguf_draft *draft, const char *key, fr_gguf_kind element, uint64_t count);
void fr_gguf_add_i32(fr_gguf_draft *draft, int32_t number);
void fr_gguf_add_f32(fr_gguf_draft *draft, float number);
void fr_gguf_add_text(fr_gguf_draft *draft, const char *text, size_t size);
/* Rows [first, first + count) of a tensor as f32 into `out`; a row is the last axis. */
typedef fr_status fr_gguf_rows(const void *context, int64_t first, int64_t count, float *out,
                               fr_error *error);
/* A tensor stored as `dtype` (f32, f16, bf16 or blocks, of which the last axis is a multiple); `size` bytes at `context` are copied. */
void fr_gguf_put_tensor(fr_gguf_draft *draft, const char *name, fr_dtype dtype, int rank,
                        const int64_t *shape, fr_gguf_rows *rows, const void *context, size_t size);
/* FR_BAD_INPUT, with the tensor's name, where numbers are not finite or too large for their type. */
fr_status fr_gguf_draft_write(const fr_gguf_draft *draft, const char *path, fr_error *error);

/* ---- JSON ---- */

struct json_t; /* jansson */
/* Read a file, or a text called `name`, that holds one JSON object. A key that comes twice, more than 64 MB or 2048 levels are
   refused. */
fr_status fr_json_load(struct json_t **json, const char *path, fr_error *error);
fr_status fr_json_parse(struct json_t **json, const char *text, size_t size, const char *name,
                        fr_error *error);
/* The value under a name, whose dots lead into objects ("text_config.hidden_size"); NULL: none. */
const struct json_t *fr_json_lookup(const struct json_t *json, const char *name);
/* Set an option of a table's struct from a JSON value of its type; `path` is for messages. */
fr_status fr_json_option_read(const fr_option_table *table, const fr_option *option, void *options,
                              const struct json_t *value, const char *path, fr_error *error);
/* Put an option into the object, under its name: a string that is NULL, an empty list and -1 as null, a list of one number as a
   number. */
fr_status fr_json_option_write(const fr_option *option, const void *options, struct json_t *json,
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
