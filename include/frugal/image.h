/* image.h: pictures from files, and what a model folder says is to be done with them before a model sees them.

   PNG, JPEG and WebP, told by their first bytes, whatever the file is called. Every picture becomes red, green and blue in 8 bits:
   grey is repeated, a palette looked up, what is transparent laid on white, 16 bits become the upper 8 (of grey without
   alpha: what is above 255 becomes 255, as Pillow has it), and the orientation that a camera noted (EXIF) is carried out. */
#ifndef FRUGAL_IMAGE_H
#define FRUGAL_IMAGE_H

#include "frugal/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fr_image {
    int64_t width, height;
    uint8_t *pixels; /* (height, width, 3) */
} fr_image;

/* Read a picture; freed with fr_image_free. Broken, cut short or animated ones, and those of more than 64 million pixels (which their
   headers tell, before anything is decoded) are refused. */
fr_status fr_image_load(fr_image *image, const char *path, fr_error *error);
/* The same from memory; `name` is for messages. */
fr_status fr_image_decode(fr_image *image, const void *data, size_t size, const char *name,
                          fr_error *error);
void fr_image_free(fr_image *image);

/* preprocessor_config.json of a model folder, or the part image_processor of its processor_config.json: resize, cut the
   middle out, scale, normalise. Those of ViT, DeiT and CLIP are known; what they cannot do is refused by name. */
typedef struct fr_image_processor fr_image_processor;

/* True where the folder has one of the files. */
bool fr_image_processor_exists(const char *folder);
fr_status fr_image_processor_load(fr_image_processor **processor, const char *folder,
                                  fr_error *error);
/* From JSON text of such a file; `model_type` ("vit") says whose defaults hold where it does not name its class. */
fr_status fr_image_processor_parse(fr_image_processor **processor, const char *text, size_t size,
                                   const char *model_type, const char *name, fr_error *error);
/* What is usual for the model: its family's way, to the size of its images. */
fr_status fr_image_processor_create(fr_image_processor **processor, const fr_model *model,
                                    fr_error *error);
void fr_image_processor_free(fr_image_processor *processor);
/* Write FOLDER/preprocessor_config.json. */
fr_status fr_image_processor_save(const fr_image_processor *processor, const char *folder,
                                  fr_error *error);

/* A picture as a model reads it: `shape` (3, height, width) f32 in *pixels, freed with fr_free. */
fr_status fr_image_process(const fr_image_processor *processor, const fr_image *image,
                           float **pixels, int64_t shape[3], fr_error *error);
/* Load and process a file. */
fr_status fr_image_read(const fr_image_processor *processor, const char *path, float **pixels,
                        int64_t shape[3], fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
