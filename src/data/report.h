/* report.h: counting what is dropped. */
#ifndef FRUGAL_DATA_REPORT_H
#define FRUGAL_DATA_REPORT_H

#include "frugal/data.h"

/* One line per rule that is on: the filters in their order, then exact and near duplicates. */
void report_begin(fr_data_report *report, const fr_data_options *options);
/* Count a document under line `index`. */
void report_drop(fr_data_report *report, size_t index, size_t bytes);
/* The lines of duplicates. */
size_t report_exact_line(void);
size_t report_near_line(void);
/* "all 12 were dropped: 11 too_short, 1 near_duplicate" */
void report_drops_text(const fr_data_report *report, char *text, size_t size);

#endif
