/* tokenizer.c: bytes per second of CPU time for learning a vocabulary, encoding and decoding,
   and for encoding texts that are bad for tokenizers (one letter, blanks, noise), at two sizes:
   linear time shows as equal rates.

   usage: bench_tokenizer [FILE]     without a file: 16 MB of made-up words with the frequencies
   of a language (Zipf) */
#include "frugal/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 60000, MADE_BYTES = 16 << 20, BAD_BYTES = 4 << 20 };

/* Words of syllables; rank r comes with probability ~ 1 / r. */
static fr_status make_text(char **text, size_t *size, fr_error *error)
{
    static const char *const syllables[] = {
        "ba",  "con", "de", "er", "fi", "gre", "hu", "in", "ja", "ke",  "lo", "ment", "na", "or",
        "pre", "qua", "re", "st", "ti", "un",  "ve", "wa", "xy", "ing", "th", "the",  "ly", "s"};
    fr_buffer out = {0};
    for (uint64_t i = 0; out.size < MADE_BYTES && !out.failed; i++) {
        uint32_t bits[4];
        double rank = exp(fr_random_uniform(1, FR_RANDOM_TEST, 0, i) * log(WORDS));
        fr_random_bits(2, FR_RANDOM_TEST, 0, (uint64_t)rank, bits);
        fr_buffer_text(&out, i % 12 == 11 ? (i % 96 == 95 ? ".\n\n" : ", ") : " ");
        for (uint32_t k = 0; k <= bits[0] % 4 && k <= (uint32_t)rank / 20; k++)
            fr_buffer_text(&out, syllables[bits[1 + k % 3] / (k + 1) % 28]);
        if (i % 500 == 0) /* so that runs of one letter and of blanks have merges too */
            fr_buffer_text(&out, i % 1000 ? " aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                          : "\n                                x");
        if (bits[3] % 50 == 0)
            fr_buffer_printf(&out, "%u", bits[2] % 2026);
    }
    *text = out.data;
    *size = out.size;
    return out.failed ? fr_fail(error, FR_NO_MEMORY, "no memory for the text") : FR_OK;
}

typedef struct one_text {
    const char *text;
    size_t size;
} one_text;

static fr_status next_text(void *context, const char **text, size_t *size, fr_error *error)
{
    (void)error;
    one_text *one = context;
    *text = one->text;
    *size = one->size;
    one->text = NULL;
    return FR_OK;
}

static fr_status measure_encoding(const fr_tokenizer *tokenizer, const char *name, const char *text,
                                  size_t size, fr_error *error)
{
    fr_ids ids = {0};
    double best = INFINITY;
    fr_status status = FR_OK;
    for (int run = 0; run < 3 && status == FR_OK; run++) {
        fr_ids_clear(&ids);
        double start = fr_cpu_seconds();
        status = fr_tokenizer_encode(tokenizer, text, size, 0, &ids, error);
        double seconds = fr_cpu_seconds() - start;
        best = seconds < best ? seconds : best;
    }
    if (status == FR_OK)
        printf("  encode %-22s %8.1f MB/s  (%zu bytes, %.2f bytes per token)\n", name,
               1e-6 * (double)size / best, size, (double)size / (double)ids.count);
    fr_buffer back = {0};
    double start = fr_cpu_seconds();
    if (status == FR_OK)
        status = fr_tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back, error);
    if (status == FR_OK && strcmp(name, "the text") == 0)
        printf("  decode %-22s %8.1f MB/s\n", name,
               1e-6 * (double)size / (fr_cpu_seconds() - start));
    if (status == FR_OK && (back.size != size || memcmp(back.data, text, size) != 0))
        status = fr_fail(error, FR_NUMERIC, "%s does not come back", name);
    fr_buffer_free(&back);
    fr_ids_free(&ids);
    return status;
}

static fr_status measure_bad_texts(const fr_tokenizer *tokenizer, fr_error *error)
{
    static const char *const names[] = {"one letter", "blanks", "noise"};
    char *text = fr_alloc(BAD_BYTES, FR_MEMORY_OTHER);
    fr_status status = text ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for the text");
    for (int kind = 0; kind < 3 && status == FR_OK; kind++) {
        for (size_t i = 0; i < BAD_BYTES; i++) {
            uint32_t bits[4];
            fr_random_bits(3, FR_RANDOM_TEST, 0, i, bits);
            text[i] = kind == 0 ? 'a' : kind == 1 ? ' ' : (char)bits[0];
        }
        status = measure_encoding(tokenizer, names[kind], text, BAD_BYTES / 16, error);
        if (status == FR_OK)
            status = measure_encoding(tokenizer, names[kind], text, BAD_BYTES, error);
    }
    fr_free(text);
    return status;
}

static fr_status measure(int pattern, const char *text, size_t size, fr_error *error)
{
    const fr_kind *kind = fr_registry_require(&fr_tokenizers, "bpe", NULL, 0, error);
    fr_tokenizer_options options;
    memset(&options, 0, sizeof options);
    fr_tokenizer_options_defaults(&options);
    options.vocabulary = 16384;
    options.pattern = pattern;
    fr_tokenizer *tokenizer = NULL;
    one_text one = {text, size};
    double start = fr_seconds(), cpu = fr_cpu_seconds();
    fr_status status = fr_tokenizer_train(&tokenizer, &options, next_text, &one, error);
    if (status == FR_OK) {
        printf("%s\n  learn 16384 entries %26.2f s of CPU, %.2f s on %d threads\n",
               fr_tokenizer_patterns[pattern], fr_cpu_seconds() - cpu, fr_seconds() - start,
               fr_threads());
        status = measure_encoding(tokenizer, "the text", text, size, error);
    }
    if (status == FR_OK)
        status = measure_bad_texts(tokenizer, error);
    fr_tokenizer_free(tokenizer);
    fr_options_free(&kind->options, &options);
    return status;
}

int main(int count, char **words)
{
    fr_error error = {0};
    char *text = NULL;
    size_t size = 0;
    fr_status status = count > 1 ? fr_file_read(words[1], 0, &text, &size, &error)
                                 : make_text(&text, &size, &error);
    for (int pattern = 0; pattern < 2 && status == FR_OK; pattern++)
        status = measure(pattern, text, size, &error);
    if (status != FR_OK)
        fprintf(stderr, "bench_tokenizer: %s\n", error.message);
    fr_free(text);
    return fr_exit_code(status);
}
