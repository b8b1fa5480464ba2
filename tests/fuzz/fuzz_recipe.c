/* fuzz_recipe.c: any bytes as a recipe: it is read or refused with a message, and what was read writes and reads back to the same
   bytes. */
#include "fuzz.h"

#include "frugal/options.h"

#include <stdbool.h>
#include <string.h>

typedef struct sample {
    int64_t whole, size;
    double number, time;
    bool truth;
    char *text;
    int choice;
    fr_strings texts;
    fr_floats numbers;
} sample;

static const char *const choices[] = {"one", "two", NULL};
static const fr_option options[] = {
    {"whole", FR_OPTION_INT, offsetof(sample, whole), NULL, -1e6, 1e6, NULL, "."},
    {"size", FR_OPTION_BYTES, offsetof(sample, size), NULL, 0, 0, NULL, "."},
    {"number", FR_OPTION_FLOAT, offsetof(sample, number), NULL, 0, 0, NULL, "."},
    {"time", FR_OPTION_SECONDS, offsetof(sample, time), NULL, 0, 0, NULL, "."},
    {"truth", FR_OPTION_BOOL, offsetof(sample, truth), NULL, 0, 0, NULL, "."},
    {"text", FR_OPTION_STRING, offsetof(sample, text), NULL, 0, 0, NULL, "."},
    {"choice", FR_OPTION_CHOICE, offsetof(sample, choice), NULL, 0, 0, choices, "."},
    {"texts", FR_OPTION_STRINGS, offsetof(sample, texts), NULL, 0, 0, NULL, "."},
    {"numbers", FR_OPTION_FLOATS, offsetof(sample, numbers), NULL, 0, 0, NULL, "."},
};
static const fr_option_table table = {"sample", options, sizeof options / sizeof *options,
                                      sizeof(sample), NULL};

static void write(const sample *s, fr_buffer *out)
{
    fr_buffer_text(out, "s:\n");
    fr_options_write_yaml(&table, s, 2, out);
    MUST(!out->failed);
}

static void check_round_trip(const sample *s)
{
    fr_buffer first = {0}, second = {0};
    write(s, &first);
    fr_recipe *recipe;
    fr_error error = {0};
    if (fr_recipe_parse(&recipe, first.data, first.size, "written", &error) != FR_OK)
        fprintf(stderr, "%s\n%s", error.message, first.data);
    MUST(recipe);
    sample again = {0};
    MUST(fr_options_read(&table, &again, fr_recipe_section(recipe, "s"), false, NULL, &error) ==
         FR_OK);
    write(&again, &second);
    MUST(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    fr_options_free(&table, &again);
    fr_recipe_free(recipe);
    fr_buffer_free(&first);
    fr_buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_recipe *recipe;
    fr_error error = {0};
    if (fr_recipe_parse(&recipe, (const char *)data, size, "fuzz", &error) != FR_OK) {
        MUST(!recipe && error.status == FR_BAD_INPUT && strncmp(error.message, "fuzz", 4) == 0);
        return 0;
    }
    static const char *const known[] = {"s", "list", NULL};
    fr_recipe_check_sections(recipe, known, &error);
    for (size_t i = 0; i < fr_recipe_section_count(recipe, "list"); i++)
        MUST(fr_recipe_section_at(recipe, "list", i));
    fr_recipe_set(recipe, "s.deep.list.0.key", "[1, 2]", &error);
    sample s = {0};
    static const char *const nested[] = {"deep", NULL};
    fr_status status =
        fr_options_read(&table, &s, fr_recipe_section(recipe, "s"), true, nested, &error);
    MUST(status == FR_OK || status == FR_BAD_INPUT);
    if (status == FR_OK)
        check_round_trip(&s);
    fr_options_free(&table, &s);
    fr_recipe_free(recipe);
    return 0;
}
