/* arguments.c: the command line: frugal VERB [OPERANDS] [key=value ...] [--options], in any order; "--" ends the options.

   Options are looked up in the verb's table and set through it, so that they have the types, ranges and messages of recipes. */
#include "cli/arguments.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char cli_common_options[] = "  --threads N: whole number, 1 to 1024; default FRUGAL_THREADS, "
                                  "else the CPUs this process may use\n"
                                  "  --json: the result as one JSON document\n"
                                  "  --quiet: no progress and no messages but warnings and errors\n"
                                  "  --help: this text\n";

static const char *const common[] = {"--threads", "--json", "--quiet", "--help", "--version"};
enum { COMMON = sizeof common / sizeof *common, MOST_OPTIONS = 128 };

const char *cli_option_text(const char *name, char text[CLI_OPTION_TEXT])
{
    size_t length = 2;
    text[0] = text[1] = '-';
    for (const char *c = name; *c && length < CLI_OPTION_TEXT - 1; c++)
        text[length++] = *c == '_' ? '-' : *c;
    text[length] = 0;
    return text;
}

/* ---- the verb ---- */

const char *cli_verb_word(const cli_verb *verb)
{
    const char *space = strrchr(verb->name, ' ');
    return space ? space + 1 : verb->name;
}

/* The verb called `name` of a list; `above` is the verb that has the list, NULL: none. */
static fr_status find_verb(cli_arguments *a, const cli_verb *const *verbs, const cli_verb *above,
                           const char *name, fr_error *error)
{
    const char *names[MOST_OPTIONS];
    size_t count = 0;
    for (const cli_verb *const *verb = verbs; *verb; verb++) {
        if (strcmp(cli_verb_word(*verb), name) == 0) {
            a->verb = *verb;
            return FR_OK;
        }
        if (count < MOST_OPTIONS)
            names[count++] = cli_verb_word(*verb);
    }
    const char *nearest = fr_nearest_name(name, names, count);
    return fr_fail(error, FR_BAD_INPUT,
                   "unknown verb '%s'%s%s%s\n`frugal help%s%s` lists the verbs", name,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
                   above ? " " : "", above ? above->name : "");
}

/* The first word behind `last` that is not an option (nor the value of --threads). */
static int verb_position(int count, char **words, int last)
{
    for (int i = last + 1; i < count; i++) {
        if (words[i][0] != '-')
            return i;
        if (strcmp(words[i], "--threads") == 0)
            i++;
    }
    return 0;
}

/* The verb, and the verb's verb; where they stand. */
static fr_status find_verbs(cli_arguments *a, int count, char **words, int at[2], fr_error *error)
{
    at[0] = verb_position(count, words, 0);
    if (at[0])
        FR_TRY(find_verb(a, cli_verbs, NULL, words[at[0]], error));
    const cli_verb *verb = a->verb;
    at[1] = verb && verb->verbs ? verb_position(count, words, at[0]) : 0;
    return at[1] ? find_verb(a, verb->verbs, verb, words[at[1]], error) : FR_OK;
}

/* ---- options ---- */

typedef struct cursor {
    int next, count;
    char **words;
} cursor;

/* The value of an option: behind its '=', else the next word unless that is an option too. */
static fr_status option_value(cursor *c, const char *name, const char *equals, const char **value,
                              fr_error *error)
{
    *value = equals ? equals + 1 : NULL;
    if (!equals && c->next < c->count && strncmp(c->words[c->next], "--", 2) != 0)
        *value = c->words[c->next++];
    if (!*value)
        return fr_fail(error, FR_BAD_INPUT, "%s needs a value", name);
    return FR_OK;
}

static fr_status unknown_option(const cli_arguments *a, const char *word, fr_error *error)
{
    const char *names[MOST_OPTIONS];
    static char texts[MOST_OPTIONS][CLI_OPTION_TEXT];
    size_t count = 0;
    for (; count < COMMON; count++)
        names[count] = common[count];
    const fr_option_table *table = a->verb ? a->verb->options : NULL;
    for (size_t i = 0; table && i < table->count && count < MOST_OPTIONS; i++, count++)
        names[count] = cli_option_text(table->options[i].name, texts[count]);
    const char *nearest = fr_nearest_name(word, names, count);
    if (!nearest && a->verb && a->verb->takes_words && strchr(word, '.'))
        return fr_fail(error, FR_BAD_INPUT,
                       "unknown option '%s'; keys of a recipe are written without dashes: %s=...",
                       word, word + strspn(word, "-"));
    return fr_fail(error, FR_BAD_INPUT, "unknown option '%s'%s%s%s", word,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* --help, --json and so on; *taken says whether it was one of them. */
static fr_status common_option(cli_arguments *a, cursor *c, const char *name, const char *equals,
                               bool *taken, fr_error *error)
{
    bool *const flags[COMMON] = {NULL, &a->call.json, &a->call.quiet, &a->help, &a->version};
    size_t which = 0;
    while (which < COMMON && strcmp(common[which], name) != 0)
        which++;
    *taken = which < COMMON || strcmp(name, "-h") == 0;
    if (!*taken)
        return FR_OK;
    if (which > 0) {
        if (equals)
            return fr_fail(error, FR_BAD_INPUT, "%s takes no value", name);
        *(which < COMMON ? flags[which] : &a->help) = true;
        return FR_OK;
    }
    const char *value;
    int64_t threads;
    FR_TRY(option_value(c, name, equals, &value, error));
    if (fr_parse_count(value, &threads, NULL) != FR_OK || threads < 1 || threads > 1024)
        return fr_fail(error, FR_BAD_INPUT,
                       "--threads: found '%s', expected a whole number, 1 to 1024", value);
    a->threads = (int)threads;
    return FR_OK;
}

static fr_status verb_option(cli_arguments *a, cursor *c, const char *name, const char *equals,
                             fr_error *error)
{
    const fr_option_table *table = a->verb ? a->verb->options : NULL;
    char key[CLI_OPTION_TEXT], text[CLI_OPTION_TEXT];
    snprintf(key, sizeof key, "%s", name[0] == '-' && name[1] == '-' ? name + 2 : name);
    for (char *k = key; *k; k++)
        if (*k == '-')
            *k = '_';
    const fr_option *option = table && name[1] == '-' ? fr_option_find(table, key) : NULL;
    if (!option)
        return unknown_option(a, name, error);
    const char *value = "true";
    if (option->type != FR_OPTION_BOOL || equals)
        FR_TRY(option_value(c, cli_option_text(key, text), equals, &value, error));
    fr_status status = fr_options_set(table, a->call.options, key, value, error);
    /* The message begins with the key; on the command line it is known with its dashes. */
    if (status != FR_OK && error && strncmp(error->message, key, strlen(key)) == 0)
        fr_fail(error, status, "%s%s", cli_option_text(key, text), error->message + strlen(key));
    return status;
}

static fr_status read_option(cli_arguments *a, cursor *c, const char *word, fr_error *error)
{
    const char *equals = strchr(word, '=');
    char name[CLI_OPTION_TEXT];
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    if (length >= sizeof name)
        return fr_fail(error, FR_BAD_INPUT, "unknown option '%.40s...'", word);
    memcpy(name, word, length);
    name[length] = 0;
    bool taken;
    FR_TRY(common_option(a, c, name, equals, &taken, error));
    return taken ? FR_OK : verb_option(a, c, name, equals, error);
}

/* ---- operands and words ---- */

/* key=value: a letter, then letters, digits, '_', '.', up to '='. Anything else, such as ./a=b, is an operand. */
static bool is_word(const char *text)
{
    size_t i = 0;
    if (!isalpha((unsigned char)text[0]) && text[0] != '_')
        return false;
    while (isalnum((unsigned char)text[i]) || text[i] == '_' || text[i] == '.')
        i++;
    return text[i] == '=';
}

/* budget=5m where --budget=5m was meant. */
static fr_status check_operand(const cli_verb *verb, const char *word, fr_error *error)
{
    char key[CLI_OPTION_TEXT], text[CLI_OPTION_TEXT];
    size_t length = strcspn(word, "=");
    if (!verb->options || !is_word(word) || length >= sizeof key)
        return FR_OK;
    memcpy(key, word, length);
    key[length] = 0;
    if (!fr_option_find(verb->options, key))
        return FR_OK;
    return fr_fail(error, FR_BAD_INPUT, "%s: options are written with dashes: %s%s", word,
                   cli_option_text(key, text), word + length);
}

static fr_status check_operand_count(const cli_arguments *a, fr_error *error)
{
    const cli_verb *verb = a->verb;
    size_t count = a->call.operand_count, least = verb->least_operands, most = verb->most_operands;
    if (count >= least && count <= most)
        return FR_OK;
    const char *quantity = least == most ? "" : count < least ? "at least " : "at most ";
    size_t limit = count < least ? least : most;
    char found[160] = "";
    if (count > most)
        snprintf(found, sizeof found, " ('%.120s' is one too many)", a->call.operands[most]);
    return fr_fail(
        error, FR_BAD_INPUT, "found %zu operand%s%s, expected %s%zu\nusage: frugal %s %s", count,
        count == 1 ? "" : "s", found, quantity, limit, verb->name, verb->usage ? verb->usage : "");
}

static fr_status read_words(cli_arguments *a, cursor *c, const int verbs_at[2], fr_error *error)
{
    size_t operands = 0, words = 0, room = (size_t)c->count;
    bool ended = false;
    while (c->next < c->count) {
        int at = c->next++;
        const char *word = c->words[at];
        if (at == verbs_at[0] || at == verbs_at[1])
            continue;
        if (!ended && strcmp(word, "--") == 0)
            ended = true;
        else if (!ended && word[0] == '-' && word[1])
            FR_TRY(read_option(a, c, word, error));
        else if (!ended && a->verb && a->verb->takes_words && is_word(word))
            a->list[room + words++] = word;
        else {
            if (!ended && a->verb)
                FR_TRY(check_operand(a->verb, word, error));
            a->list[operands++] = word;
        }
    }
    a->call.operands = a->list;
    a->call.operand_count = operands;
    a->call.words = a->list + room;
    a->call.word_count = words;
    return FR_OK;
}

/* --help is heeded wherever it stands, also beside mistakes. */
static bool asks_for_help(int count, char **words)
{
    for (int i = 1; i < count && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0)
            return true;
    return false;
}

fr_status cli_arguments_read(cli_arguments *a, int count, char **words, fr_error *error)
{
    *a = (cli_arguments){0};
    int verbs_at[2];
    FR_TRY(find_verbs(a, count, words, verbs_at, error));
    if (asks_for_help(count, words)) {
        a->help = true;
        return FR_OK;
    }
    const fr_option_table *table = a->verb ? a->verb->options : NULL;
    a->list = fr_alloc_array(2 * (size_t)count + 1, sizeof *a->list, FR_MEMORY_OTHER);
    a->call.options = table ? fr_alloc(table->size, FR_MEMORY_OTHER) : NULL;
    if (!a->list || (table && !a->call.options))
        return fr_fail(error, FR_NO_MEMORY, "no memory for the command line");
    if (table && table->defaults)
        table->defaults(a->call.options);
    cursor c = {.next = 1, .count = count, .words = words};
    FR_TRY(read_words(a, &c, verbs_at, error));
    if (a->verb && a->verb->verbs)
        return fr_fail(error, FR_BAD_INPUT,
                       "no verb of %s\nusage: frugal %s %s\n`frugal help %s` lists the verbs",
                       a->verb->name, a->verb->name, a->verb->usage, a->verb->name);
    return a->verb ? check_operand_count(a, error) : FR_OK;
}

void cli_arguments_free(cli_arguments *a)
{
    if (a->call.options) {
        fr_options_free(a->verb->options, a->call.options);
        fr_free(a->call.options);
    }
    fr_free(a->list);
    *a = (cli_arguments){0};
}
