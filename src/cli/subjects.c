/* subjects.c: the list of everything that has a name. */
#include "cli/subjects.h"

#include "frugal/operators.h"

typedef struct collection {
    cli_subject *items; /* NULL: only count */
    size_t count;
} collection;

static void add(collection *c, cli_subject subject)
{
    if (c->items)
        c->items[c->count] = subject;
    c->count++;
}

static void add_verbs(collection *c, const cli_verb *const *verbs)
{
    for (const cli_verb *const *v = verbs; *v; v++) {
        add(c, (cli_subject){"verb", "what the program does: frugal VERB ...", (*v)->name,
                             (*v)->summary, NULL, (*v)->options, *v});
        for (const cli_verb *const *own = (*v)->verbs; own && *own; own++)
            add(c, (cli_subject){"verb", "what the program does: frugal VERB ...", (*own)->name,
                                 (*own)->summary, NULL, (*own)->options, *own});
    }
}

static void collect(collection *c)
{
    add_verbs(c, cli_verbs);
    for (const fr_registry *const *r = cli_registries; *r; r++)
        for (const fr_kind *const *k = (*r)->entries; *k; k++)
            add(c, (cli_subject){(*r)->point, (*r)->summary, (*k)->name, (*k)->summary,
                                 (*k)->source, (*k)->options.count ? &(*k)->options : NULL, NULL});
    for (const cli_section *s = cli_sections; s->table; s++)
        add(c, (cli_subject){"section", "sections of recipes and other groups of options",
                             s->table->name, s->summary, NULL, s->table, NULL});
    for (const char *const *name = fr_operator_names(); *name; name++)
        add(c, (cli_subject){"operator",
                             "what can be computed on a tape; described in frugal/operators.h",
                             *name, NULL, NULL, NULL, NULL});
}

fr_status cli_subjects(cli_subject **subjects, size_t *count, fr_error *error)
{
    collection c = {0};
    collect(&c);
    *subjects = c.items = fr_alloc_array(c.count, sizeof *c.items, FR_MEMORY_OTHER);
    *count = c.count;
    if (!*subjects)
        return fr_fail(error, FR_NO_MEMORY, "no memory for the list of names");
    c.count = 0;
    collect(&c);
    return FR_OK;
}
