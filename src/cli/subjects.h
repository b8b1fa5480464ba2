/* subjects.h: everything that has a name in this program, in one list: verbs, the entries of registries, sections of recipes,
   operators. `frugal list` prints it, `frugal help` searches it. */
#ifndef FRUGAL_CLI_SUBJECTS_H
#define FRUGAL_CLI_SUBJECTS_H

#include "cli/cli.h"

typedef struct cli_subject {
    const char *point;         /* "verb", "optimizer", "section", "operator" */
    const char *point_summary; /* one line about the point */
    const char *name;
    const char *summary, *source;   /* may be NULL */
    const fr_option_table *options; /* NULL: none */
    const cli_verb *verb;           /* NULL: not a verb */
} cli_subject;

/* Freed with fr_free; subjects of one point stand together. */
fr_status cli_subjects(cli_subject **subjects, size_t *count, fr_error *error);

#endif
