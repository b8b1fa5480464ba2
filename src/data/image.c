/* image.c: a picture from a file or from memory: which decoder, limits, and the orientation that a camera noted. */
#include "data/image.h"

#include <string.h>

enum { MOST_FILE = 256 << 20, MOST_SIDE = 65535, MOST_PIXELS = 64 << 20, CHANNELS = 3 };

void fr_image_free(fr_image *image)
{
    fr_free(image->pixels);
    *image = (fr_image){0};
}

fr_status fr_image_allocate(fr_image *image, int64_t width, int64_t height, const char *name,
                            fr_error *error)
{
    if (width < 1 || height < 1 || width > MOST_SIDE || height > MOST_SIDE ||
        width * height > MOST_PIXELS)
        return fr_fail_at(error, FR_BAD_INPUT, name, 0,
                          "a picture of %lld x %lld pixels; at most %d pixels are read",
                          (long long)width, (long long)height, MOST_PIXELS);
    image->width = width;
    image->height = height;
    image->pixels = fr_alloc((size_t)(width * height * CHANNELS), FR_MEMORY_DATA);
    return image->pixels ? FR_OK : fr_fail_at(error, FR_NO_MEMORY, name, 0, "no memory");
}

/* ---- orientation ---- */

static uint32_t number(const uint8_t *at, int bytes, bool little)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[little ? bytes - 1 - i : i];
    return value;
}

/* A TIFF header of 8 bytes leads to a directory: a count, then entries of 12 bytes (tag, type, count, value). */
int fr_exif_orientation(const uint8_t *data, size_t size)
{
    enum { HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112, SHORT = 3 };
    if (size < HEADER || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return 1;
    bool little = data[0] == 'I';
    size_t at = number(data + 4, 4, little);
    if (at > size - 2)
        return 1;
    size_t count = number(data + at, 2, little);
    at += 2;
    for (size_t i = 0; i < count && ENTRY <= size - at; i++, at += ENTRY)
        if (number(data + at, 2, little) == ORIENTATION &&
            number(data + at + 2, 2, little) == SHORT) {
            uint32_t value = number(data + at + HEADER, 2, little);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    return 1;
}

/* Pixel (x, y) of the turned picture lies at (from_x, from_y) of the stored one. Orientations from 5 on change the sides. */
static void source(const fr_image *stored, int orientation, int64_t x, int64_t y, int64_t *from_x,
                   int64_t *from_y)
{
    if (orientation >= 5) {
        int64_t kept = x;
        x = y;
        y = kept;
    }
    bool left = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool up = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    *from_x = left ? stored->width - 1 - x : x;
    *from_y = up ? stored->height - 1 - y : y;
}

static fr_status turn(fr_image *image, int orientation, const char *name, fr_error *error)
{
    if (orientation <= 1)
        return FR_OK;
    bool sides = orientation >= 5;
    fr_image turned = {0};
    FR_TRY(fr_image_allocate(&turned, sides ? image->height : image->width,
                             sides ? image->width : image->height, name, error));
    uint8_t *to = turned.pixels;
    for (int64_t y = 0; y < turned.height; y++)
        for (int64_t x = 0; x < turned.width; x++, to += CHANNELS) {
            int64_t from_x, from_y;
            source(image, orientation, x, y, &from_x, &from_y);
            memcpy(to, image->pixels + (from_y * image->width + from_x) * CHANNELS, CHANNELS);
        }
    fr_image_free(image);
    *image = turned;
    return FR_OK;
}

/* ---- transparency ---- */

/* v / 255 for v of up to 23 bits, as Pillow has it. */
static uint32_t divided(uint32_t v)
{
    return ((v >> 8) + v) >> 8;
}

/* Pillow's alpha_composite over opaque white: 7 bits behind the point. */
void fr_image_blend(fr_image *image, const uint8_t *pixels)
{
    enum { BITS = 7, HALF = 128 << BITS };
    int64_t count = image->width * image->height;
    for (int64_t i = 0; i < count; i++, pixels += CHANNELS + 1) {
        uint32_t alpha = pixels[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) {
            uint32_t mixed = (pixels[c] * alpha + UINT8_MAX * (UINT8_MAX - alpha)) << BITS;
            image->pixels[CHANNELS * i + c] = (uint8_t)(divided(mixed + HALF) >> BITS);
        }
    }
}

/* ---- reading ---- */

static fr_image_decoder *decoder_of(const uint8_t *data, size_t size)
{
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
        return fr_image_decode_png;
    if (size >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0)
        return fr_image_decode_jpeg;
    if (size >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0)
        return fr_image_decode_webp;
    return NULL;
}

fr_status fr_image_decode(fr_image *image, const void *data, size_t size, const char *name,
                          fr_error *error)
{
    int orientation = 1;
    *image = (fr_image){0};
    fr_image_decoder *decoder = decoder_of(data, size);
    if (!decoder)
        return fr_fail_at(error, FR_UNSUPPORTED, name, 0,
                          "not a picture that can be read (PNG, JPEG and WebP can)");
    fr_status status = decoder(image, &orientation, data, size, name, error);
    if (status == FR_OK)
        status = turn(image, orientation, name, error);
    if (status != FR_OK)
        fr_image_free(image);
    return status;
}

fr_status fr_image_load(fr_image *image, const char *path, fr_error *error)
{
    char *data;
    size_t size;
    *image = (fr_image){0};
    FR_TRY(fr_file_read(path, MOST_FILE, &data, &size, error));
    fr_status status = fr_image_decode(image, data, size, path, error);
    fr_free(data);
    return status;
}
