/* data_help.h: what the tests of the data room share: a folder of their own, files in it, and
   reading all documents. */
#ifndef FRUGAL_TEST_DATA_HELP_H
#define FRUGAL_TEST_DATA_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char root[256];

static inline int make_root(void **state)
{
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(root, sizeof root, "%s/frugal-data-XXXXXX", base ? base : P_tmpdir);
    return mkdtemp(root) ? 0 : -1;
}

static inline int remove_root(void **state)
{
    (void)state;
    return fr_folder_remove(root, NULL) == FR_OK ? 0 : -1;
}

/* A path in the tests' folder; good until eight calls later. */
static inline const char *in_root(const char *name)
{
    static char paths[8][600];
    static int next;
    next = (next + 1) % 8;
    snprintf(paths[next], sizeof paths[next], "%s/%s", root, name);
    return paths[next];
}

static inline void put(const char *name, const void *data, size_t size)
{
    const char *path = in_root(name);
    char folder[600];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    assert_int_equal(fr_folder_create(folder, NULL), FR_OK);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* All documents of a path, each followed by a "\x1e"; the status of the reading. */
static inline fr_status read_all(const char *path, const fr_source_options *options, fr_buffer *out,
                                 int64_t *count, fr_error *error)
{
    fr_source_options defaults = {0};
    fr_source *source;
    fr_document document;
    *count = 0;
    fr_status status = fr_source_open(&source, &path, 1, options ? options : &defaults, error);
    if (status != FR_OK)
        return status;
    while ((status = fr_source_next(source, &document, error)) == FR_OK && document.text) {
        fr_buffer_append(out, document.text, document.size);
        fr_buffer_append(out, "\x1e", 1);
        ++*count;
    }
    fr_source_close(source);
    return status;
}

/* A number that follows from `at` only: the tests' random numbers. */
static inline uint32_t chance(uint64_t at)
{
    uint32_t bits[4];
    fr_random_bits(7, FR_RANDOM_TEST, 0, at, bits);
    return bits[0];
}

/* Append `words` made-up words in sentences and paragraphs; a function of `seed`. */
static inline void babble(fr_buffer *out, uint64_t seed, int words)
{
    static const char *const parts[] = {"ba", "lor", "mi", "ten", "qua",
                                        "si", "ver", "do", "nu",  "est"};
    for (int w = 0; w < words; w++) {
        uint32_t r = chance(seed << 20 | (uint64_t)w);
        for (int i = 0; i < 2 + (int)(r % 3); i++)
            fr_buffer_text(out, parts[(r >> (4 * i + 4)) % 10]);
        fr_buffer_text(out, w % 60 == 59 ? ".\n\n" : w % 12 == 11 ? ".\n" : " ");
    }
}

#endif
