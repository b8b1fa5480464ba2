/* image_webp.c: WebP (RFC 9649) through libwebp. */
#include "data/image.h"

#include <webp/decode.h>
#include <webp/demux.h>

static int orientation_of(const uint8_t *data, size_t size)
{
    WebPData all = {data, size};
    WebPDemuxer *parts = WebPDemux(&all);
    WebPChunkIterator chunk;
    int orientation = 1;
    if (parts && WebPDemuxGetChunk(parts, "EXIF", 1, &chunk)) {
        orientation = fr_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    WebPDemuxDelete(parts);
    return orientation;
}

static fr_status broken(const char *name, fr_error *error)
{
    return fr_fail_at(error, FR_BAD_INPUT, name, 0, "broken WebP: its picture cannot be decoded");
}

static fr_status decode(fr_image *image, const uint8_t *data, size_t size, const char *name,
                        fr_error *error)
{
    size_t room = (size_t)(image->width * image->height * 3);
    uint8_t *done = WebPDecodeRGBInto(data, size, image->pixels, room, (int)image->width * 3);
    return done ? FR_OK : broken(name, error);
}

static fr_status decode_blended(fr_image *image, const uint8_t *data, size_t size, const char *name,
                                fr_error *error)
{
    size_t room = (size_t)(image->width * image->height * 4);
    uint8_t *pixels = fr_alloc(room, FR_MEMORY_DATA);
    if (!pixels)
        return fr_fail_at(error, FR_NO_MEMORY, name, 0, "no memory");
    uint8_t *done = WebPDecodeRGBAInto(data, size, pixels, room, (int)image->width * 4);
    if (done)
        fr_image_blend(image, pixels);
    fr_free(pixels);
    return done ? FR_OK : broken(name, error);
}

fr_status fr_image_decode_webp(fr_image *image, int *orientation, const uint8_t *data, size_t size,
                               const char *name, fr_error *error)
{
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data, size, &features) != VP8_STATUS_OK)
        return fr_fail_at(error, FR_BAD_INPUT, name, 0, "broken WebP: its header cannot be read");
    if (features.has_animation)
        return fr_fail_at(error, FR_UNSUPPORTED, name, 0, "animated WebP is not supported");
    FR_TRY(fr_image_allocate(image, features.width, features.height, name, error));
    *orientation = orientation_of(data, size);
    return features.has_alpha ? decode_blended(image, data, size, name, error)
                              : decode(image, data, size, name, error);
}
