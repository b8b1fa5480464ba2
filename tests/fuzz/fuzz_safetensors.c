/* fuzz_safetensors.c: any bytes as a safetensors file: opened with tensors that can be read, or refused with a message. */
#include "memory_file.h"
#include "weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int file = memory_file(data, size, path);
    fr_safetensors *opened;
    fr_error error = {0};
    if (fr_safetensors_open(&opened, path, &error) == FR_OK) {
        size_t bytes = 0;
        for (size_t i = 0; i < fr_safetensors_count(opened); i++)
            bytes += fr_safetensors_at(opened, i)->bytes;
        MUST(bytes <= size);
        fr_safetensors_close(opened);
        fr_weight_file *weights;
        MUST(fr_weight_file_open(&weights, path, &error) == FR_OK || error.message[0]);
        if (weights)
            check_weights(weights);
        fr_weight_file_close(weights);
    } else
        MUST(!opened && error.message[0]);
    close(file);
    return 0;
}
