/* report.h: a run as one page that needs nothing else. */
#ifndef FRUGAL_REPORT_H
#define FRUGAL_REPORT_H

#include "frugal/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Write RUN/report.html from what is in the run folder: recipe.yaml, machine.json, metrics.jsonl,
   samples.jsonl and summary.json (train.h), and what a job around the training wrote:
     make.json          "budget", "reason" (why the sizes were chosen), "price_per_hour"
     data/report.json   of the prepared text
     result.json        figures of the finished model: "held_out": {"loss", "perplexity",
                        "bits_per_byte"}, "parameters", "seconds", "cpu_seconds", "joules",
                        "price_per_hour", "samples": [texts]
   Any of them, and anything in them, may be missing or still growing; a torn last line is left out.
   The page is one file: plots, styles and data are inside, nothing is loaded. It appears whole or
   not at all. FR_BAD_INPUT when `run_folder` is no folder. */
fr_status fr_report_write(const char *run_folder, fr_error *error);

#ifdef __cplusplus
}
#endif
#endif
