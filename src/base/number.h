/* number.h: text to numbers, for options. Each returns false when the whole text is not such a number; *problem says why when
   "not a number" would not be enough ("does not fit in 64 bits"). */
#ifndef FRUGAL_BASE_NUMBER_H
#define FRUGAL_BASE_NUMBER_H

#include "frugal/base.h"

bool fr_number_count(const char *text, int64_t *count, const char **problem);
bool fr_number_bytes(const char *text, int64_t *bytes, const char **problem);
bool fr_number_float(const char *text, double *value);
bool fr_number_seconds(const char *text, double *seconds);
bool fr_number_bool(const char *text, bool *value);
/* The shortest text that reads back as the same double, a YAML float ("1.0e-05", ".inf", ".nan"), into text. */
enum { FR_FLOAT_TEXT = 40 };
const char *fr_float_text(double value, char text[FR_FLOAT_TEXT]);
/* The same as people write it: "1e-5", "1e9", "65536". */
const char *fr_float_short(double value, char text[FR_FLOAT_TEXT]);

#endif
