/* fuzz_torch.c: any bytes as a file of torch.save, in either layout: tensors that can be read, or a message. */
#include "memory_file.h"
#include "weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int file = memory_file(data, size, path);
    fr_weight_file *weights;
    fr_error error = {0};
    if (fr_weight_file_open(&weights, path, &error) == FR_OK)
        check_weights(weights);
    else
        MUST(!weights && error.message[0]);
    fr_weight_file_close(weights);
    close(file);
    return 0;
}
