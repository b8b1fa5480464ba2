/* data.c: `frugal data`: text -> a folder with a tokenizer and packed shards, and a report of what
   was dropped and why. */
#include "cli/cli.h"
#include "cli/data_options.h"

#include <stddef.h>
#include <string.h>

typedef struct data_call_options {
    char *out;
    char *tokenizer;
} data_call_options;

static const fr_option options[] = {
    {"out", FR_OPTION_STRING, offsetof(data_call_options, out),
     .help = "the folder to make; it must not exist, or be empty"},
    {"tokenizer", FR_OPTION_STRING, offsetof(data_call_options, tokenizer),
     .help = "use this tokenizer.json (or the one in this model folder) instead of learning one"},
};

static const fr_option_table table = {"data", options, sizeof options / sizeof *options,
                                      sizeof(data_call_options), NULL};

/* A misspelt key of the section `data`: the table's own error names the nearest. */
static fr_status wrong_key(const char *word, fr_error *error)
{
    fr_data_options unused = {0};
    const char *equals = strchr(word, '=');
    char *key = equals ? fr_string_copy_n(word + 5, (size_t)(equals - word) - 5) : NULL;
    fr_data_option_table.defaults(&unused);
    fr_status status = key ? fr_options_set(&fr_data_option_table, &unused, key, equals + 1, error)
                           : fr_fail(error, FR_NO_MEMORY, "no memory");
    fr_options_free(&fr_data_option_table, &unused);
    fr_free(key);
    return status;
}

static fr_status check_words(const cli_call *call, fr_error *error)
{
    for (size_t i = 0; i < call->word_count; i++) {
        const char *word = call->words[i];
        if (cli_data_options_has_word(word))
            continue;
        if (strncmp(word, "data.", 5) == 0)
            FR_TRY(wrong_key(word, error));
        return fr_fail(error, FR_BAD_INPUT,
                       "'%s' is no option of preparing text: expected data.KEY=VALUE or "
                       "tokenizer.KEY=VALUE (see `frugal help data`)",
                       word);
    }
    return FR_OK;
}

static fr_status prepare(const cli_call *call, cli_data_options *data, fr_data_report *report,
                         fr_error *error)
{
    const data_call_options *o = call->options;
    if (o->tokenizer) {
        fr_tokenizer_free(data->ready);
        data->ready = NULL;
        FR_TRY(fr_tokenizer_load(&data->ready, o->tokenizer, error));
    }
    cli_progress_start(call->quiet);
    FR_TRY(fr_data_prepare(call->operands, call->operand_count, o->out, &data->data, data->ready,
                           &data->tokenizer, cli_progress_library, NULL, report, error));
    cli_progress_done("prepared %s", o->out);
    return FR_OK;
}

static fr_status run(const cli_call *call, fr_error *error)
{
    const data_call_options *o = call->options;
    cli_data_options data;
    fr_data_report report;
    fr_buffer text = {0};
    if (!o->out)
        return fr_fail(error, FR_BAD_INPUT,
                       "--out DIR is missing: where should the prepared text go?");
    FR_TRY(check_words(call, error));
    FR_TRY(cli_data_options_read(&data, 1, call->words, call->word_count, error));
    fr_status status = prepare(call, &data, &report, error);
    cli_data_options_free(&data);
    FR_TRY(status);
    fr_data_report_write(&report, call->json, &text);
    status = text.failed ? fr_fail(error, FR_NO_MEMORY, "no memory for the report")
                         : cli_write(text.data, text.size, error);
    fr_buffer_free(&text);
    return status;
}

const cli_verb cli_data = {
    .name = "data",
    .usage = "TEXT... --out DIR [data.KEY=VALUE ...] [tokenizer.KEY=VALUE ...]",
    .summary = "text -> documents -> tokenizer -> packed shards, with a report",
    .help = "TEXT is files or folders: plain text and source code, Markdown, HTML, JSON lines, "
            "each also .gz, .zst, "
            ".xz.\n"
            "The text is cleaned, filtered, rid of exact and near duplicates, split by document, "
            "and tokenized.\n"
            "DIR holds tokenizer.json, train.bin/.idx and held_out.bin/.idx (Megatron's layout), "
            "held_out.jsonl and "
            "report.json.\n\n"
            "  frugal data books/ --out prepared\n"
            "  frugal data notes.md pages.jsonl.zst --out prepared data.near=false "
            "tokenizer.vocabulary=8k\n",
    .options = &table,
    .least_operands = 1,
    .most_operands = SIZE_MAX,
    .takes_words = true,
    .run = run,
};
