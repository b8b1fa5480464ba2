/* report.c: `frugal report`: write a run's page anew. */
#include "cli/cli.h"

#include "frugal/report.h"

#include <jansson.h>

static fr_status run(const cli_call *call, fr_error *error)
{
    const char *folder = call->operands[0];
    FR_TRY(fr_report_write(folder, error));
    char *path = fr_path_join(folder, "report.html");
    if (!path)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a path");
    fr_status status = call->json ? cli_print_json(json_pack("{s:s}", "report", path), error)
                                  : cli_print(error, "%s\n", path);
    fr_free(path);
    return status;
}

static const char help[] =
    "Writes RUN/report.html from what is in a run folder, also while the run goes on: losses, "
    "learning rate, speed, memory, cost,\n"
    "samples, the recipe and the machine, as one file that works without a network.\n"
    "\n"
    "  frugal report out/run";

const cli_verb cli_report = {
    .name = "report",
    .usage = "RUN",
    .summary = "write a run's report.html",
    .help = help,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};
