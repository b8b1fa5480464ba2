/* make_result.c: what a job of `frugal make` leaves: figures for people (model card, report, terminal) and for programs
   (result.json, --json). */
#include "cli/make_job.h"

#include "cli/model_card.h"
#include "frugal/formats.h"
#include "frugal/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of all sittings: before training, training, and what came after it. */
static double seconds_so_far(const make_job *j)
{
    return j->asked.spent + j->trained.seconds + fr_seconds() - j->trained_at;
}

/* 0 for a job of several sittings: what the others used is not known. */
static double cpu_seconds_so_far(const make_job *j)
{
    return j->options->resume ? 0 : fr_cpu_seconds() - j->cpu_start;
}

/* 0 when the machine does not tell, and for a job of several sittings. */
static double joules_so_far(const make_job *j)
{
    return j->options->resume ? 0 : fmax(0, fr_energy_joules() - j->joules_start);
}

static fr_status write_card(const make_job *j, fr_error *error)
{
    const char *samples[MAKE_SAMPLES];
    for (int i = 0; i < MAKE_SAMPLES; i++)
        samples[i] = j->samples[i].data ? j->samples[i].data : "";
    char *absolute = realpath(j->out, NULL); /* "." has a name, too */
    const char *slash = absolute ? strrchr(absolute, '/') : NULL;
    cli_card card = {.name = slash && slash[1] ? slash + 1 : j->out,
                     .budget = j->asked.budget,
                     .reason = j->asked.reason,
                     .model = j->model,
                     .data = &j->report,
                     .train = &j->trained,
                     .held_out = &j->held_out,
                     .before = j->before.tokens ? &j->before : NULL,
                     .from = j->asked.from,
                     .machine = &j->machine,
                     .samples = samples,
                     .sample_count = MAKE_SAMPLES,
                     .seconds = seconds_so_far(j),
                     .cpu_seconds = cpu_seconds_so_far(j),
                     .price_per_hour = j->asked.price_per_hour,
                     .joules = joules_so_far(j)};
    fr_status status = cli_card_write(&card, j->out, error);
    free(absolute);
    return status;
}

/* What --json prints and the report reads (keys: report.h). */
static json_t *result_json(const make_job *j)
{
    json_t *samples = json_array();
    for (int i = 0; i < MAKE_SAMPLES; i++)
        json_array_append_new(samples, json_string(j->samples[i].data ? j->samples[i].data : ""));
    const fr_evaluation *e = &j->held_out;
    json_t *held_out = json_pack("{s:f, s:f, s:f, s:I, s:I}", "loss", e->loss, "perplexity",
                                 e->perplexity, "bits_per_byte", e->bits_per_byte, "tokens",
                                 (json_int_t)e->tokens, "bytes", (json_int_t)e->bytes);
    json_t *model = json_string(j->out);
    json_t *json = json_pack("{s:o, s:o, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:s, s:o}", "model",
                             model ? model : json_string("(not UTF-8)"), "held_out", held_out,
                             "parameters", (json_int_t)fr_model_parameter_total(j->model), "tokens",
                             (json_int_t)j->trained.tokens, "flops", j->trained.flops, "seconds",
                             seconds_so_far(j), "cpu_seconds", cpu_seconds_so_far(j), "joules",
                             joules_so_far(j), "price_per_hour", j->asked.price_per_hour, "reason",
                             j->asked.reason, "samples", samples);
    if (j->before.tokens) {
        json_object_set_new(json, "from", json_string(j->asked.from));
        json_object_set_new(json, "before",
                            json_pack("{s:f, s:f, s:f}", "loss", j->before.loss, "perplexity",
                                      j->before.perplexity, "bits_per_byte",
                                      j->before.bits_per_byte));
    }
    return json;
}

fr_status make_result_print(const make_job *j, fr_error *error)
{
    if (j->call->json)
        return cli_print_json(result_json(j), error);
    char a[24], b[24];
    for (int i = 0; i < MAKE_SAMPLES; i++)
        FR_TRY(cli_print(error, "--- sample %d ---\n%s\n\n", i + 1,
                         j->samples[i].data ? j->samples[i].data : ""));
    if (j->before.tokens)
        FR_TRY(cli_print(
            error, "%s before: held-out loss %.4f, perplexity %.2f, %.4f bits per byte\n",
            j->asked.from, j->before.loss, j->before.perplexity, j->before.bits_per_byte));
    return cli_print(
        error,
        "%s: %s parameters; held-out loss %.4f, perplexity %.2f, %.4f bits per byte; made in %s\n",
        j->out, cli_count_text((double)fr_model_parameter_total(j->model), a), j->held_out.loss,
        j->held_out.perplexity, j->held_out.bits_per_byte, cli_seconds_text(seconds_so_far(j), b));
}

fr_status make_result_write(const make_job *j, fr_error *error)
{
    FR_TRY(fr_json_write(j->run, "result.json", result_json(j), error));
    FR_TRY(fr_report_write(j->run, error));
    return write_card(j, error);
}
