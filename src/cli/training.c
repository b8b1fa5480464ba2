/* training.c: the progress line of a training run. */
#include "cli/training.h"

#include "cli/cli.h"

#include <math.h>
#include <stdio.h>

void cli_training_progress(void *context, const fr_train_progress *p)
{
    (void)context;
    fr_buffer line = {0};
    char text[24];
    if (p->phase)
        fr_buffer_printf(&line, "%s: ", p->phase);
    if (p->steps > 0)
        fr_buffer_printf(&line, "step %lld/%lld", (long long)p->step, (long long)p->steps);
    else
        fr_buffer_printf(&line, "step %lld", (long long)p->step);
    if (isfinite(p->loss))
        fr_buffer_printf(&line, "  loss %.3f", p->loss);
    if (isfinite(p->held_out_loss))
        fr_buffer_printf(&line, "  held-out %.3f", p->held_out_loss);
    if (p->figure)
        fr_buffer_printf(&line, "  %s %.3f", p->figure, p->figure_value);
    if (isfinite(p->tokens_per_second))
        fr_buffer_printf(&line, "  %s tok/s", cli_count_text(p->tokens_per_second, text));
    if (isfinite(p->peak_share))
        fr_buffer_printf(&line, "  %.0f %% of peak", 100 * p->peak_share);
    fr_buffer_printf(&line, "  %s", cli_bytes_text((double)p->memory, text));
    fr_buffer_printf(&line, "  %sFLOP", cli_count_text(p->flops, text));
    if (isfinite(p->seconds_left))
        fr_buffer_printf(&line, "  %s left", cli_seconds_text(p->seconds_left, text));
    cli_progress("%s", line.failed ? p->activity : line.data);
    fr_buffer_free(&line);
}
