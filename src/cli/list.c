/* list.c: `frugal list`: every registered name, by extension point. */
#include "cli/subjects.h"

#include <jansson.h>
#include <string.h>

static fr_status unknown_point(const char *point, const cli_subject *subjects, size_t count,
                               fr_error *error)
{
    enum { MOST = 64 };
    const char *points[MOST];
    size_t points_count = 0;
    fr_buffer known = {0};
    for (size_t i = 0; i < count; i++)
        if ((i == 0 || strcmp(subjects[i].point, subjects[i - 1].point) != 0) &&
            points_count < MOST) {
            points[points_count++] = subjects[i].point;
            fr_buffer_printf(&known, "%s%s", i ? ", " : "", subjects[i].point);
        }
    const char *nearest = fr_nearest_name(point, points, points_count);
    fr_fail(error, FR_BAD_INPUT, "unknown point '%s'%s%s%s (known: %s)", point,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
            known.data ? known.data : "none");
    fr_buffer_free(&known);
    return FR_BAD_INPUT;
}

static json_t *as_json(const cli_subject *subjects, size_t count, const char *point)
{
    json_t *points = json_array(), *entries = NULL;
    for (size_t i = 0; i < count; i++) {
        const cli_subject *s = &subjects[i];
        if (point && strcmp(s->point, point) != 0)
            continue;
        if (i == 0 || strcmp(s->point, subjects[i - 1].point) != 0) {
            entries = json_array();
            json_array_append_new(points, json_pack("{s:s, s:s, s:o}", "point", s->point, "summary",
                                                    s->point_summary, "entries", entries));
        }
        json_array_append_new(entries, json_pack("{s:s, s:s*, s:s*}", "name", s->name, "summary",
                                                 s->summary, "source", s->source));
    }
    return points;
}

/* Names without a summary share lines, others have one each. */
static void write_text(const cli_subject *subjects, size_t count, const char *point, fr_buffer *out)
{
    size_t column = 0;
    for (size_t i = 0; i < count; i++) {
        const cli_subject *s = &subjects[i];
        if (point && strcmp(s->point, point) != 0)
            continue;
        if (i == 0 || strcmp(s->point, subjects[i - 1].point) != 0) {
            fr_buffer_printf(out, "%s%s%s: %s\n", column ? "\n" : "", out->size ? "\n" : "",
                             s->point, s->point_summary);
            column = 0;
        }
        if (s->summary) {
            fr_buffer_printf(out, "  %-20s %s\n", s->name, s->summary);
            continue;
        }
        if (column + strlen(s->name) > 76) {
            fr_buffer_text(out, "\n");
            column = 0;
        }
        fr_buffer_printf(out, "%s%s", "  ", s->name);
        column += strlen(s->name) + 2;
    }
    if (column)
        fr_buffer_text(out, "\n");
}

static fr_status list(const cli_call *call, const cli_subject *subjects, size_t count,
                      fr_error *error)
{
    const char *point = call->operand_count ? call->operands[0] : NULL;
    bool found = !point;
    for (size_t i = 0; i < count && !found; i++)
        found = strcmp(subjects[i].point, point) == 0;
    if (!found)
        return unknown_point(point, subjects, count, error);
    if (call->json)
        return cli_print_json(as_json(subjects, count, point), error);
    fr_buffer out = {0};
    write_text(subjects, count, point, &out);
    fr_status status = out.failed ? fr_fail(error, FR_NO_MEMORY, "no memory for the list")
                                  : cli_write(out.data, out.size, error);
    fr_buffer_free(&out);
    return status;
}

static fr_status run(const cli_call *call, fr_error *error)
{
    cli_subject *subjects;
    size_t count;
    FR_TRY(cli_subjects(&subjects, &count, error));
    fr_status status = list(call, subjects, count, error);
    fr_free(subjects);
    return status;
}

const cli_verb cli_list = {
    .name = "list",
    .usage = "[POINT]",
    .summary = "every registered name, by extension point",
    .help = "  frugal list               everything\n"
            "  frugal list optimizer     the optimizers\n"
            "  frugal help NAME          what a name means and which options it has\n",
    .most_operands = 1,
    .run = run,
};
