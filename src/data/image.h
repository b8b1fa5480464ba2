/* image.h: what the files that read pictures share. */
#ifndef FRUGAL_DATA_IMAGE_H
#define FRUGAL_DATA_IMAGE_H

#include "frugal/image.h"

/* Give the picture its size, checked, and room for its pixels. */
fr_status fr_image_allocate(fr_image *image, int64_t width, int64_t height, const char *name,
                            fr_error *error);

/* Lay a picture with an alpha channel, (height, width, 4), on white. */
void fr_image_blend(fr_image *image, const uint8_t *pixels);

/* Decoders: all of the picture but its orientation, which *orientation (1 to 8, as EXIF counts) gets where the file tells it. On
   failure the caller frees the picture. */
typedef fr_status fr_image_decoder(fr_image *image, int *orientation, const uint8_t *data,
                                   size_t size, const char *name, fr_error *error);
fr_image_decoder fr_image_decode_png, fr_image_decode_jpeg, fr_image_decode_webp;

/* The orientation of an EXIF block (which begins with its byte order, "II" or "MM"); 1: as it is, or it does not say. */
int fr_exif_orientation(const uint8_t *data, size_t size);

/* ---- resize.c ---- */

typedef enum fr_resample { /* Pillow's numbers */
                           FR_RESAMPLE_NEAREST,
                           FR_RESAMPLE_LANCZOS,
                           FR_RESAMPLE_BILINEAR,
                           FR_RESAMPLE_BICUBIC,
                           FR_RESAMPLE_BOX,
                           FR_RESAMPLE_HAMMING
} fr_resample;

/* The picture in another size. */
fr_status fr_image_resize(fr_image *out, const fr_image *image, int64_t width, int64_t height,
                          fr_resample resample, fr_error *error);

#endif
