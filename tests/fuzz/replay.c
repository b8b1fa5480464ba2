/* replay.c: runs a fuzz target over the files of a folder, and over each of them cut short and with one byte changed, so that
   seeds are tests also where there is no fuzzer. usage: replay_NAME FOLDER */
#include "fuzz.h"

#include "frugal/base.h"

#include <dirent.h>
#include <string.h>

enum { VARIANTS = 400 };

/* Copies have exactly their size, so that a sanitizer sees one byte read too many. */
static void run(const char *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    MUST(copy);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_variants(char *data, size_t size)
{
    run(data, size);
    for (uint64_t i = 0; i < VARIANTS && size > 0; i++) {
        uint32_t r[4];
        fr_random_bits(1, FR_RANDOM_TEST, size, i, r);
        size_t place = r[0] % size;
        char old = data[place];
        data[place] = (char)r[1];
        run(data, size);
        data[place] = old;
        run(data, place);
    }
}

int main(int count, char **words)
{
    MUST(count == 2);
    DIR *folder = opendir(words[1]);
    MUST(folder);
    int files = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = fr_path_join(words[1], entry->d_name), *data;
        size_t size;
        MUST(path && fr_file_read(path, 0, &data, &size, NULL) == FR_OK);
        run_variants(data, size);
        fr_free(data);
        fr_free(path);
        files++;
    }
    closedir(folder);
    printf("%d files\n", files);
    MUST(files > 0);
    return 0;
}
