/* json_score.c: numbers as the peer reads them.

   Which of two equally good ways a unigram takes hangs on the last bit of its scores. Hugging
   Face's library reads decimal numbers in a short way, which for 16 or 17 digits may miss the
   nearest double by one bit: the digits as a 64-bit integer, made a double, divided by a power of
   ten that is a double too. The same is done here with the fewest digits that stand for the
   number, which are those that its writers write. */
#include "tokenizer/json_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits and exponent of "-1.2345e-05": value = digits * 10^exponent. */
static uint64_t digits_of(const char *text, int *exponent)
{
    uint64_t digits = 0;
    bool behind_point = false;
    *exponent = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text == '.')
            behind_point = true;
        if (*text < '0' || *text > '9')
            continue;
        digits = digits * 10 + (uint64_t)(*text - '0');
        *exponent -= behind_point;
    }
    if (*text == 'e')
        *exponent += (int)strtol(text + 1, NULL, 10);
    return digits;
}

double json_score(double value)
{
    enum { SURE = 15, ALWAYS_ENOUGH = 17, LARGEST_POWER = 308 };
    char text[40];
    int exponent;
    if (value == 0 || !isfinite(value))
        return value;
    for (int digits = SURE; digits <= ALWAYS_ENOUGH; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    double read = (double)digits_of(text, &exponent);
    if (exponent < -LARGEST_POWER || exponent > LARGEST_POWER)
        return value;
    snprintf(text, sizeof text, "1e%d", abs(exponent));
    double power = strtod(text, NULL);
    read = exponent < 0 ? read / power : read * power;
    return value < 0 ? -read : read;
}
