/* metrics.h: a run's metrics.jsonl as few numbers as a plot can show. */
#ifndef FRUGAL_REPORT_METRICS_H
#define FRUGAL_REPORT_METRICS_H

#include "frugal/base.h"

/* Read the file (it may be missing, or still be written) and append one JSON object:
       {"steps": {column: [numbers or null]}, "evaluations": [the lines], "phases": [{"name",
   "step"}], "lines": n, "skipped": n} */
fr_status report_metrics(const char *path, fr_buffer *out, fr_error *error);

/* Called for each whole line that is a JSON object; false ends the reading. Other lines are counted
   in *skipped. */
struct json_t;
typedef bool report_line(void *context, struct json_t *object);
fr_status report_lines(const char *path, report_line *line, void *context, int64_t *skipped,
                       fr_error *error);

/* Append a JSON value; numbers with 7 digits, NULL as null. */
void report_json(const struct json_t *value, fr_buffer *out);

#endif
