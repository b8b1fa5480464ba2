/* patch.c: an image as a row of tokens (ViT, arXiv 2010.11929, section 3.1): patches of P x Q pixels
   without overlap, each turned into a vector by one matrix, behind learned tokens, with a learned
   vector added at every place.

   Files hold the matrix as a convolution (C, channels, P, Q) with a stride of its own size. Such a
   convolution is a product with the pixels of each patch, put one after another in the order
   (channels, P, Q); what is left over at the right and at the bottom is not looked at. */
#include "nn/nn.h"

/* The image's upper left part that patches cover: (B, channels, rows * P, columns * Q). */
static fr_tensor *covered(const fr_patch_layer *layer, fr_tape *tape, fr_tensor *pixels)
{
    const int64_t *patch = layer->weight->value->shape + 2;
    pixels = fr_slice(tape, pixels, 2, 0, layer->height / patch[0] * patch[0]);
    return fr_slice(tape, pixels, 3, 0, layer->width / patch[1] * patch[1]);
}

/* (B, channels, rows * P, columns * Q) -> (B, rows * columns, channels * P * Q). */
static fr_tensor *unfold(fr_tape *tape, fr_tensor *x, int64_t height, int64_t width)
{
    if (!x)
        return NULL;
    int64_t batch = x->shape[0], channels = x->shape[1];
    int64_t rows = x->shape[2] / height, columns = x->shape[3] / width;
    x = fr_reshape(tape, x, 6, (int64_t[]){batch, channels, rows, height, columns, width});
    x = fr_transpose(tape, x, 1, 2); /* (B, rows, channels, P, columns, Q) */
    x = fr_transpose(tape, x, 2, 4); /* (B, rows, columns, P, channels, Q) */
    x = fr_transpose(tape, x, 3, 4); /* (B, rows, columns, channels, P, Q) */
    return fr_reshape(tape, x, 3, (int64_t[]){batch, rows * columns, channels * height * width});
}

/* The learned tokens, once per row: (B, S, C). */
static fr_tensor *tokens(const fr_patch_layer *layer, fr_tape *tape, int64_t batch)
{
    int64_t width = layer->weight->value->shape[0];
    fr_tensor *parts[FR_PATCH_TOKENS] = {NULL};
    int count = 0;
    for (; count < FR_PATCH_TOKENS && layer->tokens[count]; count++)
        parts[count] = fr_reshape(tape, layer->tokens[count]->value, 2, (int64_t[]){1, width});
    fr_tensor *table = count > 1 ? fr_concat(tape, parts, count, 0) : parts[0];
    fr_tensor *numbers = fr_tape_tensor(tape, FR_I32, 2, (int64_t[]){batch, count});
    int32_t *number = numbers ? fr_tensor_host(numbers) : NULL;
    for (int64_t i = 0; number && i < batch * count; i++)
        number[i] = (int32_t)(i % count);
    return fr_embedding(tape, table, numbers);
}

fr_tensor *fr_patch_apply(const fr_patch_layer *layer, fr_tape *tape, fr_tensor *pixels)
{
    const int64_t *shape = layer->weight->value->shape; /* (C, channels, P, Q) */
    if (!pixels)
        return fr_tape_fail(tape, FR_WRONG_CALL, "the model reads pixels, and there are none");
    if (pixels->shape[1] != shape[1] || pixels->shape[2] != layer->height ||
        pixels->shape[3] != layer->width)
        return fr_tape_fail(tape, FR_BAD_INPUT,
                            "pixels of %lld channels and %lld x %lld, but the model reads %lld "
                            "channels and %lld x %lld (interpolated positions are not supported)",
                            (long long)pixels->shape[1], (long long)pixels->shape[2],
                            (long long)pixels->shape[3], (long long)shape[1],
                            (long long)layer->height, (long long)layer->width);
    fr_tensor *patches = unfold(tape, covered(layer, tape, pixels), shape[2], shape[3]);
    fr_tensor *matrix = fr_reshape(tape, layer->weight->value, 2, (int64_t[]){shape[0], -1});
    fr_tensor *x = fr_linear(tape, patches, matrix, layer->bias ? layer->bias->value : NULL);
    x = fr_concat(tape, (fr_tensor *[]){tokens(layer, tape, pixels->shape[0]), x}, 2, 1);
    return fr_add(tape, x, fr_reshape(tape, layer->positions->value, 2, (int64_t[]){-1, shape[0]}));
}
