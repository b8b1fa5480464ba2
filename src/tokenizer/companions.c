/* companions.c: files that are kept as they came: whoever loads what frugal writes finds the same chat template and the same special
   tokens as in the model that it was made from. */
#include "tokenizer/companions.h"

const char *const companion_names[COMPANIONS] = {"special_tokens_map.json", "added_tokens.json",
                                                 "chat_template.jinja", "chat_template.json"};

enum { LARGEST = 16 << 20 };

fr_status companions_load(companion companions[COMPANIONS], const char *folder, fr_error *error)
{
    for (int i = 0; i < COMPANIONS; i++) {
        char *path = fr_path_join(folder, companion_names[i]);
        fr_status status = path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
        if (path && fr_path_exists(path))
            status = fr_file_read(path, LARGEST, &companions[i].text, &companions[i].size, error);
        fr_free(path);
        FR_TRY(status);
    }
    return FR_OK;
}

fr_status companions_save(const companion companions[COMPANIONS], const char *folder,
                          fr_error *error)
{
    for (int i = 0; i < COMPANIONS; i++) {
        if (!companions[i].text)
            continue;
        char *path = fr_path_join(folder, companion_names[i]);
        fr_status status = path ? fr_file_write(path, companions[i].text, companions[i].size, error)
                                : fr_fail(error, FR_NO_MEMORY, "no memory for a path");
        fr_free(path);
        FR_TRY(status);
    }
    return FR_OK;
}

void companions_free(companion companions[COMPANIONS])
{
    for (int i = 0; i < COMPANIONS; i++)
        fr_free(companions[i].text);
}
