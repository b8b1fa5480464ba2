/* cli.h: what a verb of the program is, and what it gets.

   One grammar: frugal VERB [OPERANDS] [key=value ...] [--options]. Results go to standard output; progress and messages to standard
   error. A verb is one file (src/cli/make.c) that ends with its cli_verb; verbs.c lists them. */
#ifndef FRUGAL_CLI_H
#define FRUGAL_CLI_H

#include "frugal/options.h"

typedef struct cli_call {
    void *options;               /* the verb's options struct, filled from --options by its table */
    const char *const *operands; /* words that are neither options nor key=value */
    size_t operand_count;
    const char *const *words; /* key=value words, in order */
    size_t word_count;
    bool json, quiet; /* --json, --quiet: every verb has them */
} cli_call;

typedef struct cli_verb {
    const char *name;    /* of a verb's verb with it: "hub verify" */
    const char *usage;   /* "TEXT... --budget TIME --out DIR" */
    const char *summary; /* one line for `frugal help` */
    const char *
        help; /* paragraphs and examples for `frugal help NAME` and `frugal NAME --help`, may be NULL */
    const fr_option_table *
        options; /* `max_tokens` is --max-tokens (and --max-tokens=5); a bool needs no value; NULL: none */
    size_t least_operands, most_operands;                    /* SIZE_MAX: no limit */
    bool takes_words;                                        /* key=value words are allowed */
    fr_status (*run)(const cli_call *call, fr_error *error); /* NULL: it has verbs of its own */
    const struct cli_verb *const *verbs; /* frugal HUB VERIFY ...: NULL-terminated; NULL: none */
} cli_verb;
/* A verb's name without its verb's: "verify". */
const char *cli_verb_word(const cli_verb *verb);

/* The option of verbs that only read a model. Its default is FR_WEIGHTS_STORED. */
#define CLI_WEIGHTS_OPTION(type, field)                                                            \
    {                                                                                              \
        "weights", FR_OPTION_CHOICE, offsetof(type, field), NULL, 0, 0, fr_weights_names,          \
            "a GGUF file's weights: read where they are stored, or unpacked to f32 first (faster " \
            "where "                                                                               \
            "memory is plenty and many tokens are read at once)"                                   \
    }

extern const cli_verb *const cli_verbs[];         /* NULL-terminated; verbs.c */
extern const fr_registry *const cli_registries[]; /* NULL-terminated; registries.c */

/* A section of a recipe, or another table of options, that does not belong to a registry's entry. */
typedef struct cli_section {
    const fr_option_table *table;
    const char *summary; /* one line */
} cli_section;
extern const cli_section cli_sections[]; /* ended by a NULL table; registries.c */

/* ---- the progress line --------------------------------------------------------------------------------------------------

   On a terminal one line is redrawn in place (cut to the width, at most 10 times a second); elsewhere (a pipe, a log file) a whole
   line is written when a new stage begins and then at most every 15 seconds; with --quiet nothing. Messages of fr_log appear above it.
   A stage is known by the beginning of the text, up to the first digit or colon: "evaluating: 5 documents". */
void cli_progress_start(bool quiet);
/* Show `text` now or later (rate-limited). */
void cli_progress(const char *format, ...) FR_PRINTF(1, 2);
/* End the line: leave `text` (NULL: what is shown, "": nothing) as a finished line. */
void cli_progress_done(const char *format, ...) FR_PRINTF(1, 2);
/* fr_progress_function for long library work; context: NULL. */
void cli_progress_library(void *context, const char *what, double fraction);
/* A line of its own on standard error, above the progress line; also with --quiet. */
void cli_message(const char *text);
/* "1.23M", "45.6 GB" (powers of 1000), "2m 05s" into text (24 bytes); return text. */
const char *cli_count_text(double count, char text[24]);
const char *cli_bytes_text(double bytes, char text[24]);
const char *cli_seconds_text(double seconds, char text[24]);

/* ---- results ---------------------------------------------------------------------------------------------------------------- */

/* Write to standard output; a broken pipe or a full disk is an error. */
fr_status cli_print(fr_error *error, const char *format, ...) FR_PRINTF(2, 3);
fr_status cli_write(const void *data, size_t size, fr_error *error);
/* Append `text` as a shell takes it for one word: as it is, or in quotes. For commands that a person may copy. */
void cli_shell_word(const char *text, fr_buffer *out);
/* Print a jansson value and release it (--json). */
struct json_t;
fr_status cli_print_json(struct json_t *value, fr_error *error);

#endif
