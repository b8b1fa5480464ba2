/* number.c: "1_000", "3e6", "1.5M", "64M", "1h30m" to numbers, and doubles to their shortest text.

   Counts are read in whole numbers, never through a double, so that every int64 survives (seeds do not fit in 53 bits). */
#include "base/number.h"
#include "frugal/options.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A decimal number: digits * 10^exponent, with the sign apart. */
typedef struct decimal {
    bool negative, too_large;
    uint64_t digits;
    int exponent;
} decimal;

enum { LARGEST_EXPONENT = 400 };

/* Digits with single underscores between them; returns how many, 0 for none. */
static int read_digits(const char **text, decimal *number)
{
    int count = 0;
    for (; isdigit((unsigned char)**text) ||
           (**text == '_' && count && isdigit((unsigned char)(*text)[1]));
         (*text)++) {
        if (**text == '_')
            continue;
        count++;
        unsigned digit = (unsigned)(**text - '0');
        if (number->digits > (UINT64_MAX - digit) / 10)
            number->too_large = true;
        else
            number->digits = number->digits * 10 + digit;
    }
    return count;
}

/* [+-] digits [. digits] [e [+-] digits]; moves *text behind it. */
static bool read_decimal(const char **text, decimal *number)
{
    *number = (decimal){0};
    if (**text == '+' || **text == '-')
        number->negative = *(*text)++ == '-';
    int whole = read_digits(text, number), fraction = 0;
    if (**text == '.') {
        (*text)++;
        fraction = read_digits(text, number);
    }
    if (whole + fraction == 0 || fraction > LARGEST_EXPONENT)
        return false;
    number->exponent = -fraction;
    if (**text == 'e' || **text == 'E') {
        char *end;
        if (!isdigit((unsigned char)(*text)[1]) &&
            !(((*text)[1] == '+' || (*text)[1] == '-') && isdigit((unsigned char)(*text)[2])))
            return false;
        long exponent = strtol(*text + 1, &end, 10);
        if (exponent < -LARGEST_EXPONENT || exponent > LARGEST_EXPONENT)
            return false;
        number->exponent += (int)exponent;
        *text = end;
    }
    return true;
}

static bool multiply(uint64_t *value, uint64_t factor)
{
    if (*value > UINT64_MAX / factor)
        return false;
    *value *= factor;
    return true;
}

/* digits * 10^exponent * 1024^kilo as int64; a fraction of one is refused unless `round`, which cuts it off. */
static bool decimal_to_int(decimal number, int kilo, bool round, int64_t *value,
                           const char **problem)
{
    uint64_t v = number.digits;
    bool fits = !number.too_large, whole = true;
    for (; kilo > 0 && fits; kilo--)
        fits = multiply(&v, 1024);
    for (; number.exponent > 0 && v && fits; number.exponent--)
        fits = multiply(&v, 10);
    for (; number.exponent < 0 && v && fits; number.exponent++) {
        whole = whole && v % 10 == 0;
        v /= 10;
    }
    if (!fits || v > (uint64_t)INT64_MAX + number.negative)
        *problem = "too large for 64 bits";
    else if (!whole && !round)
        *problem = "not a whole number";
    else {
        *value = number.negative ? -(int64_t)(v - (v > 0)) - (v > 0) : (int64_t)v;
        return true;
    }
    return false;
}

bool fr_number_count(const char *text, int64_t *count, const char **problem)
{
    decimal number;
    if (!read_decimal(&text, &number))
        return false;
    static const char suffixes[] = "kKMGBT";
    static const int powers[] = {3, 3, 6, 9, 9, 12};
    const char *suffix = *text ? strchr(suffixes, *text) : NULL;
    if (suffix) {
        number.exponent += powers[suffix - suffixes];
        text++;
    }
    return *text == 0 && decimal_to_int(number, 0, false, count, problem);
}

bool fr_number_bytes(const char *text, int64_t *bytes, const char **problem)
{
    decimal number;
    if (!read_decimal(&text, &number))
        return false;
    static const char suffixes[] = "KMGTP";
    const char *suffix = *text ? strchr(suffixes, toupper((unsigned char)*text)) : NULL;
    int kilo = 0;
    if (suffix) {
        kilo = 1 + (int)(suffix - suffixes);
        text++;
        if (*text == 'i' && text[1] == 'B')
            text++;
    }
    if (*text == 'B')
        text++;
    return *text == 0 && decimal_to_int(number, kilo, true, bytes, problem);
}

bool fr_number_float(const char *text, double *value)
{
    const char *unsigned_text = text + (*text == '+' || *text == '-');
    if (strcasecmp(unsigned_text, ".inf") == 0 || strcasecmp(unsigned_text, "inf") == 0) {
        *value = *text == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (strcasecmp(text, ".nan") == 0 || strcasecmp(text, "nan") == 0) {
        *value = NAN;
        return true;
    }
    const char *end = text;
    decimal number;
    char plain[512]; /* without the underscores */
    size_t size = 0;
    if (!read_decimal(&end, &number) || *end != 0 || (size_t)(end - text) >= sizeof plain)
        return false;
    for (const char *c = text; *c; c++)
        if (*c != '_')
            plain[size++] = *c;
    plain[size] = 0;
    *value = strtod(plain, NULL);
    return isfinite(*value);
}

/* The factor of a unit of time at *text, moved behind it; 0 when there is none. */
static double time_unit(const char **text)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"min", 60}, {"m", 60}, {"s", 1}, {"h", 3600}, {"d", 86400}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t length = strlen(units[i].name);
        if (strncmp(*text, units[i].name, length) == 0 &&
            !isalpha((unsigned char)(*text)[length])) {
            *text += length;
            return units[i].seconds;
        }
    }
    return 0;
}

bool fr_number_seconds(const char *text, double *seconds)
{
    if (fr_number_float(text, seconds))
        return !signbit(*seconds);
    *seconds = 0;
    do {
        const char *start = text;
        decimal ignored;
        char part[64];
        double value;
        if (*text == '-' || *text == '+' || !read_decimal(&text, &ignored) ||
            (size_t)(text - start) >= sizeof part)
            return false;
        memcpy(part, start, (size_t)(text - start));
        part[text - start] = 0;
        double unit = time_unit(&text);
        if (unit == 0 || !fr_number_float(part, &value))
            return false;
        *seconds += value * unit;
    } while (*text);
    return true;
}

bool fr_number_bool(const char *text, bool *value)
{
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    for (int truth = 0; truth < 2; truth++)
        for (int i = 0; i < 3; i++)
            if (strcasecmp(text, words[truth][i]) == 0) {
                *value = truth == 1;
                return true;
            }
    return false;
}

/* The fewest digits that read back as the same double. */
static void shortest(double value, char text[FR_FLOAT_TEXT])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, FR_FLOAT_TEXT, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

const char *fr_float_text(double value, char text[FR_FLOAT_TEXT])
{
    if (!isfinite(value)) {
        snprintf(text, FR_FLOAT_TEXT, "%s", isnan(value) ? ".nan" : value < 0 ? "-.inf" : ".inf");
        return text;
    }
    if (value == trunc(value) && fabs(value) < 1e15) {
        snprintf(text, FR_FLOAT_TEXT, "%.0f", value);
        return text;
    }
    shortest(value, text);
    /* YAML 1.1 takes 1e-05 for text: it wants a point before the exponent. */
    char *exponent = strchr(text, 'e');
    if (exponent && !strchr(text, '.')) {
        memmove(exponent + 2, exponent, strlen(exponent) + 1);
        exponent[0] = '.';
        exponent[1] = '0';
    }
    return text;
}

const char *fr_float_short(double value, char text[FR_FLOAT_TEXT])
{
    if (!isfinite(value) || (value == trunc(value) && fabs(value) < 1e8 && fmod(value, 1e6) != 0))
        return fr_float_text(value, text);
    shortest(value, text);
    char *from = strchr(text, 'e'), *to = from;
    if (!from)
        return text;
    *to++ = *from++;
    if (*from == '-')
        *to++ = '-';
    for (from++; *from == '0'; from++) {
    }
    memmove(to, from, strlen(from) + 1);
    return text;
}

/* ---- the public forms ---- */

fr_status fr_parse_seconds(const char *text, double *seconds, fr_error *error)
{
    if (fr_number_seconds(text, seconds) && isfinite(*seconds))
        return FR_OK;
    return fr_fail(error, FR_BAD_INPUT, "found '%s', expected a time such as 90s, 5m or 1.5h",
                   text);
}

fr_status fr_parse_count(const char *text, int64_t *count, fr_error *error)
{
    const char *problem = NULL;
    if (fr_number_count(text, count, &problem))
        return FR_OK;
    return fr_fail(error, FR_BAD_INPUT,
                   "found '%s'%s%s%s, expected a whole number such as 5, 1_000, 20k or 3e6", text,
                   problem ? " (" : "", problem ? problem : "", problem ? ")" : "");
}

fr_status fr_parse_bytes(const char *text, int64_t *bytes, fr_error *error)
{
    const char *problem = NULL;
    if (fr_number_bytes(text, bytes, &problem))
        return FR_OK;
    return fr_fail(error, FR_BAD_INPUT,
                   "found '%s'%s%s%s, expected a size such as 4096, 512K, 64M or 2G", text,
                   problem ? " (" : "", problem ? problem : "", problem ? ")" : "");
}
