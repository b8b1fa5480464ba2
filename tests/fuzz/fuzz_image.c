/* fuzz_image.c: any bytes as a picture; what begins with a brace as preprocessor_config.json, for every family, whose processor
   then meets a small picture and is written as JSON again. */
#include "fuzz.h"

#include "frugal/image.h"

#include <math.h>
#include <string.h>

static void check_process(const fr_image_processor *processor)
{
    enum { WIDTH = 7, HEIGHT = 5 };
    static uint8_t bytes[HEIGHT * WIDTH * 3] = {1, 2, 3, 255, 254, 253};
    const fr_image image = {WIDTH, HEIGHT, bytes};
    float *pixels;
    int64_t shape[3];
    fr_error error = {0};
    if (fr_image_process(processor, &image, &pixels, shape, &error) != FR_OK) {
        MUST(!pixels && error.message[0]);
        return;
    }
    MUST(shape[0] == 3 && shape[1] > 0 && shape[2] > 0);
    MUST(!isinf(pixels[0]) || !isnan(pixels[3 * shape[1] * shape[2] - 1])); /* the last is there */
    fr_free(pixels);
}

static void try_processor(const char *text, size_t size)
{
    static const char *const types[] = {NULL, "vit", "deit", "clip_vision_model"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        fr_image_processor *processor;
        fr_error error = {0};
        if (fr_image_processor_parse(&processor, text, size, types[i], "fuzz", &error) == FR_OK)
            check_process(processor);
        else
            MUST(!processor && error.message[0]);
        fr_image_processor_free(processor);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_image image;
    fr_error error = {0};
    if (size && data[0] == '{')
        try_processor((const char *)data, size);
    if (fr_image_decode(&image, data, size, "fuzz", &error) != FR_OK) {
        MUST(!image.pixels && strncmp(error.message, "fuzz:", 5) == 0);
        return 0;
    }
    MUST(image.width > 0 && image.height > 0);
    MUST(image.pixels[3 * image.width * image.height - 1] <= UINT8_MAX); /* the last is there */
    fr_image_free(&image);
    return 0;
}
