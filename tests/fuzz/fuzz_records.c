/* fuzz_records.c: any bytes as a file of labelled examples, JSON lines or (first byte odd) tab-separated values: records of the asked
   form with labels for a head, or a message that names the file. */
#include "fuzz.h"

#include "frugal/examples.h"

#include <string.h>
#include <unistd.h>

static char paths[2][80];

static void remove_files(void)
{
    remove(paths[0]);
    remove(paths[1]);
}

static void make_names(void)
{
    static const char *const endings[] = {"jsonl", "tsv"};
    for (int i = 0; i < 2; i++)
        snprintf(paths[i], sizeof paths[i], "%s/frugal-fuzz-%ld.%s", P_tmpdir, random(),
                 endings[i]);
    atexit(remove_files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!paths[0][0])
        make_names();
    if (size < 2)
        return 0;
    const char *path = paths[data[0] & 1];
    FILE *file = fopen(path, "wb");
    MUST(file && fwrite(data + 2, 1, size - 2, file) == size - 2);
    fclose(file);
    const fr_example_form form = (fr_example_form)(data[1] % (FR_EXAMPLES_IMAGE_TEXTS + 1));
    fr_example_options options = {.problem = data[1] / 16 % 4};
    fr_model_head head = {0};
    fr_examples *examples, *rest = NULL;
    fr_error error = {0};
    if (fr_examples_open(&examples, path, form, &options, &error) != FR_OK) {
        MUST(strstr(error.message, path));
        return 0;
    }
    MUST(fr_examples_count(examples) > 0);
    if (fr_examples_head(examples, &head, &error) != FR_OK)
        MUST(error.message[0]);
    if (fr_examples_split(examples, 0.5, 1, &rest, NULL) == FR_OK && rest)
        MUST(fr_examples_count(rest) > 0 && fr_examples_count(examples) > 0);
    fr_examples_close(rest);
    fr_examples_close(examples);
    fr_model_head_free(&head);
    return 0;
}
