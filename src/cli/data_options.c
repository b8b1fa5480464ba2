/* data_options.c: key=value words -> options of preparing text. */
#include "cli/data_options.h"

#include <stdio.h>
#include <string.h>

static bool table_has(const fr_option_table *table, const char *name, size_t length)
{
    for (size_t i = 0; i < table->count; i++)
        if (strncmp(table->options[i].name, name, length) == 0 &&
            table->options[i].name[length] == 0)
            return true;
    return false;
}

bool cli_data_options_has_word(const char *word)
{
    size_t key = strcspn(word, "=");
    if (strncmp(word, "tokenizer.", 10) == 0)
        return true;
    return strncmp(word, "data.", 5) == 0 && key > 5 &&
           table_has(&fr_data_option_table, word + 5, key - 5);
}

static fr_status fill(cli_data_options *options, const fr_recipe *recipe, fr_error *error)
{
    const fr_section *tokenizer = fr_recipe_section(recipe, "tokenizer");
    FR_TRY(fr_options_read(&fr_data_option_table, &options->data, fr_recipe_section(recipe, "data"),
                           false, NULL, error));
    options->tokenizer_kind = fr_section_kind(tokenizer, &fr_tokenizers, "bpe", error);
    if (!options->tokenizer_kind)
        return error ? error->status : FR_BAD_INPUT;
    if (strcmp(options->tokenizer_kind->name, "byte") == 0)
        return fr_tokenizer_create_bytes(&options->ready, error);
    return fr_options_read(&options->tokenizer_kind->options, &options->tokenizer, tokenizer, true,
                           NULL, error);
}

fr_status cli_data_options_read(cli_data_options *options, int64_t seed, const char *const *words,
                                size_t count, fr_error *error)
{
    *options = (cli_data_options){0};
    fr_recipe *recipe = NULL;
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)seed);
    FR_TRY(fr_recipe_create(&recipe, error));
    fr_status status = fr_recipe_set(recipe, "data.seed", number, error);
    for (size_t i = 0; status == FR_OK && i < count; i++)
        if (cli_data_options_has_word(words[i]))
            status = fr_recipe_set_word(recipe, words[i], error);
    if (status == FR_OK)
        status = fill(options, recipe, error);
    fr_recipe_free(recipe);
    if (status != FR_OK)
        cli_data_options_free(options);
    return status;
}

void cli_data_options_free(cli_data_options *options)
{
    fr_options_free(&fr_data_option_table, &options->data);
    if (options->tokenizer_kind && !options->ready)
        fr_options_free(&options->tokenizer_kind->options, &options->tokenizer);
    fr_tokenizer_free(options->ready);
    *options = (cli_data_options){0};
}
