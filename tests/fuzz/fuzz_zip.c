/* fuzz_zip.c: any bytes as a zip archive: members that lie inside and apart, or a message. */
#include "fuzz.h"

#include "../../src/formats/zip.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const fr_map map = {data, size};
    zip_archive archive;
    fr_error error = {0};
    if (zip_open(&archive, &map, "fuzz", &error) == FR_OK) {
        for (size_t i = 0; i < archive.count; i++) {
            const zip_member *m = &archive.members[i];
            MUST(m->data >= data && m->size <= size &&
                 m->data - data <= (ptrdiff_t)(size - m->size));
            MUST(zip_find(&archive, m->name) == m);
            MUST(m->name[0] != '/' && strncmp(m->name, "../", 3) != 0 && !strstr(m->name, "/../"));
        }
    } else
        MUST(strncmp(error.message, "fuzz: ", 6) == 0);
    zip_close(&archive);
    return 0;
}
