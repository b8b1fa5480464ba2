/* help.c: `frugal help`: what a name means: a verb, an entry of a registry, a section of a recipe, an operator, or an option,
   wherever it occurs. All of it comes from the tables that parse; nothing is written twice. */
#include "cli/help.h"

#include "cli/arguments.h"
#include "cli/subjects.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef struct help_options {
    bool markdown;
} help_options;

/* ---- verbs ---- */

void cli_help_overview(fr_buffer *out)
{
    fr_buffer_printf(out,
                     "frugal %s: makes language models on CPUs\n\n"
                     "usage: frugal VERB [OPERANDS] [key=value ...] [--options]\n\n",
                     fr_version());
    for (const cli_verb *const *v = cli_verbs; *v; v++)
        fr_buffer_printf(out, "  %-10s %s\n", (*v)->name, (*v)->summary);
    fr_buffer_printf(out, "\nEvery verb has:\n%s\n", cli_common_options);
    fr_buffer_text(out, "`frugal help VERB` tells more, `frugal help NAME` explains any name or "
                        "option, `frugal list` shows "
                        "all names,\n`frugal --version` the libraries in use. Exit code: 0 done, 1 "
                        "failed on the way, 2 bad "
                        "input or usage,\n130 interrupted with the state saved.\n");
}

static void write_verb_option(const fr_option_table *table, const fr_option *option, fr_buffer *out)
{
    char text[CLI_OPTION_TEXT];
    fr_buffer_printf(out, "  %s: ", cli_option_text(option->name, text));
    fr_option_describe(table, option, out);
    fr_buffer_printf(out, "\n      %s\n", option->help);
}

void cli_help_verb(const cli_verb *verb, fr_buffer *out)
{
    fr_buffer_printf(out, "frugal %s: %s\n\nusage: frugal %s %s%s\n", verb->name, verb->summary,
                     verb->name, verb->usage ? verb->usage : "",
                     verb->takes_words && (!verb->usage || !strstr(verb->usage, "key=value"))
                         ? " [key=value ...]"
                         : "");
    if (verb->help)
        fr_buffer_printf(out, "\n%s%s", verb->help,
                         verb->help[strlen(verb->help) - 1] == '\n' ? "" : "\n");
    if (verb->verbs) {
        fr_buffer_text(out, "\nverbs:\n");
        for (const cli_verb *const *v = verb->verbs; *v; v++)
            fr_buffer_printf(out, "  %s %-10s %s\n", verb->name, cli_verb_word(*v), (*v)->summary);
        return;
    }
    fr_buffer_text(out, "\noptions:\n");
    for (size_t i = 0; verb->options && i < verb->options->count; i++)
        write_verb_option(verb->options, &verb->options->options[i], out);
    fr_buffer_text(out, cli_common_options);
}

/* ---- subjects as text and Markdown ---- */

static void write_subject(const cli_subject *s, fr_buffer *out)
{
    if (s->verb) {
        cli_help_verb(s->verb, out);
        return;
    }
    fr_buffer_printf(out, "%s %s%s%s\n", s->point, s->name, s->summary ? ": " : "",
                     s->summary ? s->summary : "");
    if (s->source)
        fr_buffer_printf(out, "source: %s\n", s->source);
    if (s->options) {
        fr_buffer_text(out, "\n");
        fr_options_write_help(s->options, NULL, false, out);
    }
}

static void write_markdown(const cli_subject *s, fr_buffer *out)
{
    fr_buffer_printf(out, "### %s\n\n", s->name);
    if (s->summary)
        fr_buffer_printf(out, "%s.%s%s%s\n\n", s->summary, s->source ? " Source: " : "",
                         s->source ? s->source : "", s->source ? "." : "");
    if (s->verb)
        fr_buffer_printf(out, "```\nfrugal %s %s\n```\n\n", s->name,
                         s->verb->usage ? s->verb->usage : "");
    if (s->verb && s->verb->help)
        fr_buffer_printf(out, "```\n%s\n```\n\n", s->verb->help);
    if (s->options && s->options->count) {
        fr_options_write_help(s->options, NULL, true, out);
        fr_buffer_text(out, "\n");
    }
}

static void write_all_markdown(const cli_subject *subjects, size_t count, fr_buffer *out)
{
    fr_buffer_text(
        out, "# Reference\n\nEvery name and option, as `frugal help --markdown` writes them.\n");
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(subjects[i].point, subjects[i - 1].point) != 0)
            fr_buffer_printf(out, "\n## %s\n\n%s.\n\n", subjects[i].point,
                             subjects[i].point_summary);
        if (subjects[i].summary || subjects[i].options)
            write_markdown(&subjects[i], out);
        else
            fr_buffer_printf(out, "- `%s`\n", subjects[i].name);
    }
}

/* ---- searching ---- */

/* What was asked for: the name as options spell it (--max-tokens is max_tokens). */
typedef struct question {
    const cli_subject *subjects;
    size_t count;
    char name[128];
    size_t answers;
    bool markdown;
    fr_buffer *out;
    json_t *json; /* NULL: text */
} question;

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(*a == '-' && *b == '_') && !(*a == '_' && *b == '-'))
            return false;
    return *a == *b;
}

static json_t *option_json(const fr_option_table *table, const fr_option *option)
{
    fr_buffer about = {0};
    fr_option_describe(table, option, &about);
    json_t *value = json_pack("{s:s, s:s*, s:s, s:s*}", "name", option->name, "unit", option->unit,
                              "value", about.data ? about.data : "", "help", option->help);
    fr_buffer_free(&about);
    return value;
}

static json_t *subject_json(const cli_subject *s, const fr_option *only)
{
    json_t *options = json_array();
    for (size_t i = 0; s->options && i < s->options->count; i++)
        if (!only || only == &s->options->options[i])
            json_array_append_new(options, option_json(s->options, &s->options->options[i]));
    return json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:o}", "point", s->point, "name", s->name,
                     "summary", s->summary, "source", s->source, "usage",
                     s->verb ? s->verb->usage : NULL, "help",
                     s->verb && !only ? s->verb->help : NULL, "options", options);
}

static void answer(question *q, const cli_subject *s, const fr_option *option)
{
    if (q->json) {
        json_array_append_new(q->json, subject_json(s, option));
        q->answers++;
        return;
    }
    if (q->answers++)
        fr_buffer_text(q->out, "\n");
    if (!option && q->markdown)
        write_markdown(s, q->out);
    else if (!option)
        write_subject(s, q->out);
    else {
        fr_buffer_printf(q->out, "%s %s\n", s->point, s->name);
        if (s->verb)
            write_verb_option(s->options, option, q->out);
        else
            fr_options_write_help(s->options, option, q->markdown, q->out);
    }
}

/* Is `name` this subject: its name, "point.name", or the name of its table ("optimizer.adamw")? */
static bool is_subject(const cli_subject *s, const char *name)
{
    size_t point = strlen(s->point);
    return same_name(s->name, name) || (s->options && same_name(s->options->name, name)) ||
           (strncmp(s->point, name, point) == 0 && name[point] == '.' &&
            same_name(s->name, name + point + 1));
}

/* "SUBJECT.option", or an option of any subject. */
static const fr_option *option_named(const cli_subject *s, const char *name)
{
    char owner[128];
    snprintf(owner, sizeof owner, "%s", name);
    char *dot = strrchr(owner, '.');
    if (dot)
        *dot = 0;
    for (size_t i = 0; s->options && i < s->options->count; i++) {
        const fr_option *option = &s->options->options[i];
        if (same_name(option->name, name) ||
            (dot && same_name(option->name, dot + 1) && is_subject(s, owner)))
            return option;
    }
    return NULL;
}

static void search(question *q)
{
    for (size_t i = 0; i < q->count; i++)
        if (is_subject(&q->subjects[i], q->name))
            answer(q, &q->subjects[i], NULL);
    for (size_t i = 0; i < q->count; i++)
        if (strcmp(q->subjects[i].point, q->name) == 0)
            answer(q, &q->subjects[i], NULL);
    for (size_t i = 0; i < q->count; i++) {
        const fr_option *option = option_named(&q->subjects[i], q->name);
        if (option)
            answer(q, &q->subjects[i], option);
    }
}

static fr_status unknown(const question *q, const char *asked, fr_error *error)
{
    size_t most = 0, count = 0;
    for (size_t i = 0; i < q->count; i++)
        most += 2 + (q->subjects[i].options ? q->subjects[i].options->count : 0);
    const char **names = fr_alloc_array(most + 1, sizeof *names, FR_MEMORY_OTHER);
    if (!names)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the list of names");
    for (size_t i = 0; i < q->count; i++) {
        const cli_subject *s = &q->subjects[i];
        names[count++] = s->name;
        names[count++] = s->point;
        for (size_t k = 0; s->options && k < s->options->count; k++)
            names[count++] = s->options->options[k].name;
    }
    const char *dot = strrchr(q->name, '.');
    const char *nearest = fr_nearest_name(q->name, names, count);
    if (!nearest && dot)
        nearest = fr_nearest_name(dot + 1, names, count);
    fr_fail(error, FR_BAD_INPUT, "nothing is called '%s'%s%s%s\n`frugal list` shows all names",
            asked, nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    fr_free(names);
    return FR_BAD_INPUT;
}

/* ---- the verb ---- */

static fr_status explain(const cli_call *call, question *q, fr_error *error)
{
    if (q->markdown && q->json)
        return fr_fail(error, FR_BAD_INPUT, "--markdown and --json exclude each other");
    if (call->operand_count == 0) {
        if (q->markdown)
            write_all_markdown(q->subjects, q->count, q->out);
        else if (q->json)
            for (size_t i = 0; i < q->count; i++)
                answer(q, &q->subjects[i], NULL);
        else
            cli_help_overview(q->out);
        return FR_OK;
    }
    char asked[sizeof q->name]; /* "hub verify" is one name */
    snprintf(asked, sizeof asked, "%s%s%s", call->operands[0], call->operand_count > 1 ? " " : "",
             call->operand_count > 1 ? call->operands[1] : "");
    const char *name = asked + strspn(asked, "-");
    snprintf(q->name, sizeof q->name, "%.*s", (int)strcspn(name, "="), name);
    search(q);
    return q->answers ? FR_OK : unknown(q, asked, error);
}

static fr_status run(const cli_call *call, fr_error *error)
{
    cli_subject *subjects;
    size_t count;
    FR_TRY(cli_subjects(&subjects, &count, error));
    fr_buffer out = {0};
    question q = {.subjects = subjects,
                  .count = count,
                  .out = &out,
                  .markdown = ((const help_options *)call->options)->markdown,
                  .json = call->json ? json_array() : NULL};
    fr_status status = explain(call, &q, error);
    if (status == FR_OK && out.failed)
        status = fr_fail(error, FR_NO_MEMORY, "no memory for the help");
    if (status == FR_OK && q.json)
        status = cli_print_json(q.json, error);
    else if (status == FR_OK)
        status = cli_write(out.data, out.size, error);
    else
        json_decref(q.json);
    fr_buffer_free(&out);
    fr_free(subjects);
    return status;
}

static const fr_option options[] = {
    {"markdown", FR_OPTION_BOOL, offsetof(help_options, markdown), NULL, 0, 0, NULL,
     "Write Markdown; without NAME the whole reference."},
};
static const fr_option_table table = {"help", options, sizeof options / sizeof *options,
                                      sizeof(help_options), NULL};

const cli_verb cli_help = {
    .name = "help",
    .usage = "[NAME]",
    .summary = "what a verb, a name or an option means",
    .help = "  frugal help make           a verb\n"
            "  frugal help adamw          an entry of a registry, with its options\n"
            "  frugal help train          a section of a recipe\n"
            "  frugal help lr             an option, wherever it occurs\n"
            "  frugal help -- --seed      the same, as it is written on the command line\n",
    .options = &table,
    .most_operands = 2,
    .run = run,
};
