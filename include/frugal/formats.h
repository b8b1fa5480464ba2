/* formats.h: files that others define: safetensors, JSON, and TensorBoard event files. */
#ifndef FRUGAL_FORMATS_H
#define FRUGAL_FORMATS_H

#include "frugal/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

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
