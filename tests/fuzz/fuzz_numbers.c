/* fuzz_numbers.c: any text as a count, a size, a time: read or refused, and a count that was read is the one that its digits say. */
#include "fuzz.h"

#include "frugal/options.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (memchr(data, 0, size))
        return 0;
    char *text = fr_string_copy_n((const char *)data, size);
    MUST(text);
    int64_t count, bytes;
    double seconds;
    fr_error error;
    if (fr_parse_count(text, &count, &error) == FR_OK) {
        char again[32];
        int64_t same;
        snprintf(again, sizeof again, "%lld", (long long)count);
        MUST(fr_parse_count(again, &same, &error) == FR_OK && same == count);
        /* Without a suffix strtod reads the same number, to its precision. */
        char *end;
        double value = strtod(text, &end);
        if (*end == 0 && !strpbrk(text, "xX_"))
            MUST(fabs(value - (double)count) <= 1e-15 * fabs(value));
    } else
        MUST(strncmp(error.message, "found '", 7) == 0);
    if (fr_parse_seconds(text, &seconds, &error) == FR_OK)
        MUST(seconds >= 0 && isfinite(seconds));
    (void)fr_parse_bytes(text, &bytes, &error);
    fr_free(text);
    return 0;
}
