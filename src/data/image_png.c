/* image_png.c: PNG (ISO 15948) through libpng: every kind becomes rows of red, green and blue.

   libpng leaves through longjmp; what must outlive that is in a struct that the caller owns. */
#include "data/image.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHUNK = 8 << 20, DEEP = 16 };

typedef struct png_state {
    const uint8_t *data;
    size_t size, place;
    const char *name;
    fr_error *error;
    png_structp png;
    png_infop info;
    uint8_t *rows; /* of 16-bit grey, or with alpha, before they become the picture's */
    jmp_buf leave;
} png_state;

static void failed(png_structp png, png_const_charp why)
{
    png_state *s = png_get_error_ptr(png);
    fr_fail_at(s->error, FR_BAD_INPUT, s->name, 0, "broken PNG: %s", why);
    longjmp(s->leave, 1);
}

/* Notes about harmless oddities, which others read as well. */
static void warned(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

static void read_bytes(png_structp png, png_bytep to, size_t count)
{
    png_state *s = png_get_io_ptr(png);
    if (count > s->size - s->place)
        png_error(png, "it ends too early");
    memcpy(to, s->data + s->place, count);
    s->place += count;
}

static bool is_deep_grey(const png_state *s)
{
    return png_get_color_type(s->png, s->info) == PNG_COLOR_TYPE_GRAY &&
           png_get_bit_depth(s->png, s->info) == DEEP;
}

/* Ask for 8 bits of red, green, blue and perhaps alpha; 16-bit grey alone stays, for it is not cut but limited. Returns the passes. */
static int choose_format(const png_state *s)
{
    png_set_expand(s->png); /* palettes, few bits, transparency as alpha */
    if (is_deep_grey(s)) {
        png_set_strip_alpha(s->png);
    } else {
        png_set_strip_16(s->png);
        png_set_gray_to_rgb(s->png);
    }
    int passes = png_set_interlace_handling(s->png);
    png_read_update_info(s->png, s->info);
    return passes;
}

static void read_rows(const png_state *s, uint8_t *pixels, int64_t height, int passes)
{
    size_t stride = png_get_rowbytes(s->png, s->info);
    for (int pass = 0; pass < passes; pass++)
        for (int64_t y = 0; y < height; y++)
            png_read_row(s->png, pixels + (size_t)y * stride, NULL);
    png_read_end(s->png, NULL); /* the checksums of the rest, too */
}

/* Two bytes a pixel, the greater first, to three equal ones. */
static void limit_grey(const png_state *s, const fr_image *image)
{
    for (int64_t i = 0; s->rows && i < image->width * image->height; i++) {
        uint8_t grey = s->rows[2 * i] ? UINT8_MAX : s->rows[2 * i + 1];
        memset(image->pixels + 3 * i, grey, 3);
    }
}

static fr_status decode(png_state *s, fr_image *image, int *orientation)
{
    if (setjmp(s->leave))
        return s->error->status;
    png_set_read_fn(s->png, s, read_bytes);
    png_set_chunk_malloc_max(s->png, MOST_CHUNK);
    png_read_info(s->png, s->info);
    int64_t width = png_get_image_width(s->png, s->info),
            height = png_get_image_height(s->png, s->info);
    FR_TRY(fr_image_allocate(image, width, height, s->name, s->error));
    bool deep = is_deep_grey(s);
    int passes = choose_format(s);
    size_t stride = png_get_rowbytes(s->png, s->info);
    if (stride != (size_t)width * 3 &&
        !(s->rows = fr_alloc_array((size_t)height, stride, FR_MEMORY_DATA)))
        return fr_fail_at(s->error, FR_NO_MEMORY, s->name, 0, "no memory");
    read_rows(s, s->rows ? s->rows : image->pixels, height, passes);
    if (deep)
        limit_grey(s, image);
    else if (s->rows)
        fr_image_blend(image, s->rows);
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif;
    png_uint_32 length;
    if (png_get_eXIf_1(s->png, s->info, &length, &exif))
        *orientation = fr_exif_orientation(exif, length);
#endif
    return FR_OK;
}

fr_status fr_image_decode_png(fr_image *image, int *orientation, const uint8_t *data, size_t size,
                              const char *name, fr_error *error)
{
    fr_error own = {0};
    png_state s = {.data = data, .size = size, .name = name, .error = error ? error : &own};
    s.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, failed, warned);
    s.info = s.png ? png_create_info_struct(s.png) : NULL;
    fr_status status = s.info ? decode(&s, image, orientation)
                              : fr_fail_at(error, FR_NO_MEMORY, name, 0, "no memory");
    png_destroy_read_struct(&s.png, &s.info, NULL);
    fr_free(s.rows);
    return status;
}
