/* metrics.c: the hook that writes metrics.jsonl and the TensorBoard scalars.

   How many bytes of metrics.jsonl belong to a checkpoint is part of its state: a run that goes on cuts the file there, so that no
   step stands in it twice. Losses are written with every bit. */
#include "train/trainer.h"

#include "frugal/formats.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct metrics {
    char *path;
    int file; /* -1: not open */
    int64_t bytes;
    fr_events *events; /* NULL: none wanted */
    fr_buffer line;
    int64_t tokens; /* since the last line, and the time it took */
    double seconds;
} metrics;

/* ---- one line ---- */

static void put_real(fr_buffer *line, const char *name, double value)
{
    if (isfinite(value))
        fr_buffer_printf(line, ", \"%s\": %.17g", name, value);
    else
        fr_buffer_printf(line, ", \"%s\": null", name);
}

static void put_text(fr_buffer *line, const char *text)
{
    fr_buffer_text(line, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\' || *c < 32)
            fr_buffer_printf(line, "\\u%04x", *c);
        else
            fr_buffer_append(line, c, 1);
    fr_buffer_text(line, "\"");
}

static void start_line(const fr_trainer *trainer, fr_buffer *line)
{
    const fr_position *at = &trainer->position;
    const char *name = fr_trainer_phase(trainer)->name;
    fr_buffer_clear(line);
    fr_buffer_printf(line, "{\"step\": %lld, \"tokens\": %lld, \"phase\": ", (long long)at->step,
                     (long long)at->tokens);
    if (name)
        put_text(line, name);
    else
        fr_buffer_printf(line, "%lld", (long long)at->phase);
    put_real(line, "seconds", at->seconds);
    put_real(line, "flops", at->flops);
}

static fr_status end_line(metrics *m, fr_error *error)
{
    fr_buffer_text(&m->line, "}\n");
    if (m->line.failed)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a line of metrics");
    for (size_t done = 0; done < m->line.size;) {
        ssize_t written = write(m->file, m->line.data + done, m->line.size - done);
        if (written < 0 && errno != EINTR)
            return fr_fail_errno(error, "write", m->path);
        done += written > 0 ? (size_t)written : 0;
    }
    m->bytes += (int64_t)m->line.size;
    return FR_OK;
}

static fr_status scalar(const fr_trainer *trainer, const metrics *m, const char *tag, double value,
                        fr_error *error)
{
    if (!m->events || !isfinite(value))
        return FR_OK;
    return fr_events_scalar(m->events, tag, trainer->position.step, (double)time(NULL),
                            (float)value, error);
}

/* ---- events ---- */

static fr_status step_end(fr_hook *hook, fr_error *error)
{
    metrics *m = hook->own;
    fr_trainer *trainer = hook->trainer;
    const fr_step *last = &trainer->last;
    const fr_position *at = &trainer->position;
    m->tokens += trainer->last.tokens;
    m->seconds += last->seconds;
    if (at->step % trainer->options.log_every != 0 && at->step != 1)
        return FR_OK;
    double tokens_per_second = m->seconds > 0 ? (double)m->tokens / m->seconds : NAN;
    double share =
        trainer->peak_flops > 0 ? last->flops / last->seconds / trainer->peak_flops : NAN;
    start_line(trainer, &m->line);
    put_real(&m->line, "loss", last->loss);
    put_real(&m->line, "loss_smooth", at->smooth_loss / at->smooth_weight);
    put_real(&m->line, "lr", last->lr);
    put_real(&m->line, "grad_norm", last->gradient_norm);
    put_real(&m->line, "tokens_per_second", tokens_per_second);
    put_real(&m->line, "peak_share", share);
    fr_buffer_text(&m->line, ", \"memory\": {");
    for (int kind = 0; kind < FR_MEMORY_KINDS; kind++)
        fr_buffer_printf(&m->line, "%s\"%s\": %zu", kind ? ", " : "",
                         fr_memory_kind_name((fr_memory_kind)kind),
                         fr_memory_now((fr_memory_kind)kind));
    fr_buffer_text(&m->line, "}");
    m->tokens = 0;
    m->seconds = 0;
    FR_TRY(end_line(m, error));
    FR_TRY(scalar(trainer, m, "train/loss", last->loss, error));
    FR_TRY(scalar(trainer, m, "train/learning_rate", last->lr, error));
    FR_TRY(scalar(trainer, m, "train/gradient_norm", last->gradient_norm, error));
    FR_TRY(scalar(trainer, m, "train/tokens_per_second", tokens_per_second, error));
    return m->events ? fr_events_flush(m->events, error) : FR_OK;
}

static fr_status tagged(const fr_trainer *trainer, metrics *m, const fr_domain *domain,
                        const char *figure, double value, fr_error *error)
{
    char *tag = fr_format("held_out/%s%s%s", domain->name, figure ? "/" : "", figure ? figure : "");
    fr_status status = tag ? scalar(trainer, m, tag, value, error)
                           : fr_fail(error, FR_NO_MEMORY, "no memory for a line of metrics");
    fr_free(tag);
    return status;
}

static void put_number(fr_buffer *line, double value)
{
    if (isfinite(value))
        fr_buffer_printf(line, ": %.17g", value);
    else
        fr_buffer_text(line, ": null");
}

/* , "figures": {domain: {name: value}} */
static fr_status put_figures(const fr_trainer *trainer, metrics *m, fr_error *error)
{
    bool first = true;
    for (size_t i = 0; i < trainer->domain_count; i++) {
        const fr_domain *domain = &trainer->domains[i];
        if (!domain->judgement.count)
            continue;
        fr_buffer_text(&m->line, first ? ", \"figures\": {" : ", ");
        put_text(&m->line, domain->name);
        for (int k = 0; k < domain->judgement.count; k++) {
            const char *name = domain->judgement.figures[k].name;
            double value = domain->judgement.figures[k].value;
            fr_buffer_printf(&m->line, "%s\"%s\"", k ? ", " : ": {", name);
            put_number(&m->line, value);
            FR_TRY(tagged(trainer, m, domain, name, value, error));
        }
        fr_buffer_text(&m->line, "}");
        first = false;
    }
    if (!first)
        fr_buffer_text(&m->line, "}");
    return FR_OK;
}

static fr_status evaluated(fr_hook *hook, fr_error *error)
{
    metrics *m = hook->own;
    const fr_trainer *trainer = hook->trainer;
    start_line(trainer, &m->line);
    fr_buffer_text(&m->line, ", \"held_out\": {");
    for (size_t i = 0; i < trainer->domain_count; i++) {
        const fr_domain *domain = &trainer->domains[i];
        fr_buffer_text(&m->line, i ? ", " : "");
        put_text(&m->line, domain->name);
        put_number(&m->line, domain->loss);
        FR_TRY(tagged(trainer, m, domain, NULL, domain->loss, error));
    }
    fr_buffer_text(&m->line, "}");
    put_real(&m->line, "held_out_loss", trainer->position.held_out_loss);
    FR_TRY(put_figures(trainer, m, error));
    FR_TRY(end_line(m, error));
    return m->events ? fr_events_flush(m->events, error) : FR_OK;
}

/* ---- beginning and end ---- */

static fr_status init(fr_hook *hook, fr_error *error)
{
    metrics *m = fr_alloc(sizeof *m, FR_MEMORY_OTHER);
    if (!m)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a hook");
    m->file = -1;
    hook->own = m;
    m->path = fr_path_join(hook->trainer->folder, "metrics.jsonl");
    return m->path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a hook");
}

static fr_status state(fr_hook *hook, fr_state *tree, fr_error *error)
{
    return fr_state_i64(tree, &((metrics *)hook->own)->bytes, 1, error, "metrics.bytes");
}

/* Cut what a killed process wrote after its last checkpoint. */
static fr_status begin(fr_hook *hook, fr_error *error)
{
    metrics *m = hook->own;
    struct stat info;
    m->file = open(m->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (m->file < 0 || fstat(m->file, &info) != 0)
        return fr_fail_errno(error, "open", m->path);
    if (info.st_size < m->bytes) {
        fr_log(FR_LOG_WARNING, "%s is shorter than when the checkpoint was made: lines are missing",
               m->path);
        m->bytes = info.st_size;
    }
    if (ftruncate(m->file, m->bytes) != 0)
        return fr_fail_errno(error, "cut", m->path);
    if (!hook->trainer->options.tensorboard)
        return FR_OK;
    char *folder = fr_path_join(hook->trainer->folder, "tensorboard");
    fr_status status = folder ? fr_folder_create(folder, error)
                              : fr_fail(error, FR_NO_MEMORY, "no memory for a hook");
    if (status == FR_OK)
        status = fr_events_open(&m->events, folder, error);
    fr_free(folder);
    return status;
}

static void destroy(fr_hook *hook)
{
    metrics *m = hook->own;
    if (!m)
        return;
    if (m->events)
        fr_events_close(m->events);
    if (m->file >= 0)
        close(m->file);
    fr_buffer_free(&m->line);
    fr_free(m->path);
    fr_free(m);
}

fr_status fr_metrics_sync(fr_trainer *trainer, fr_error *error)
{
    for (size_t i = 0; i < trainer->hook_count; i++) {
        const metrics *m = trainer->hooks[i].own;
        if (trainer->hooks[i].kind == &fr_hook_metrics && m->file >= 0 && fdatasync(m->file) != 0)
            return fr_fail_errno(error, "make durable", m->path);
    }
    return FR_OK;
}

const fr_hook_kind fr_hook_metrics = {
    .base = {.name = "metrics",
             .summary = "Write metrics.jsonl and TensorBoard scalars.",
             .options = {.name = "hooks.metrics"}},
    .standard = true,
    .init = init,
    .state = state,
    .begin = begin,
    .step_end = step_end,
    .evaluated = evaluated,
    .destroy = destroy,
};
