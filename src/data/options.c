/* options.c: the options of preparing text, and the rule for the size of the vocabulary. */
#include "frugal/data.h"

static void defaults(void *options)
{
    *(fr_data_options *)options = (fr_data_options){
        .source = {.text_key = fr_string_copy("text")},
        .clean = true,
        .filter = true,
        .min_bytes = 32,
        .max_controls = 0.05,
        .min_letters = 0.25,
        .max_word = 2000,
        .max_repeated_lines = 0.5,
        .max_repeated_words = 0.6,
        .exact = true,
        .near = true,
        .similarity = 0.8,
        .held_out = 0.05,
        .held_out_max = 256 << 10,
        .seed = 1,
    };
}

#define FIELD(name) offsetof(fr_data_options, name)
static const fr_option options[] = {
    {"text_key", FR_OPTION_STRING, FIELD(source.text_key), NULL, 0, 0, NULL,
     "Key of the text in JSON lines."},
    {"max_document", FR_OPTION_BYTES, FIELD(source.max_document), "bytes", 0, 0x1p30, NULL,
     "A longer file is cut at paragraph ends into documents of about this size; 0: 1/200 of all "
     "text, between 4 KiB and 32 KiB."},
    {"clean", FR_OPTION_BOOL, FIELD(clean), NULL, 0, 0, NULL,
     "Normalise line ends, drop control characters, spaces at line ends and runs of blank lines."},
    {"filter", FR_OPTION_BOOL, FIELD(filter), NULL, 0, 0, NULL,
     "Drop documents that the filters find wanting; without, only those under min_bytes are "
     "dropped."},
    {"min_bytes", FR_OPTION_BYTES, FIELD(min_bytes), "bytes", 0, 0x1p30, NULL,
     "Filter too_short: drop a document of fewer bytes."},
    {"max_controls", FR_OPTION_FLOAT, FIELD(max_controls), NULL, 0, 1, NULL,
     "Filter control_characters: drop a document with a larger part of its bytes being control "
     "characters."},
    {"min_letters", FR_OPTION_FLOAT, FIELD(min_letters), NULL, 0, 1, NULL,
     "Filter few_letters: drop a document in which a smaller part of the characters are letters or "
     "digits."},
    {"max_word", FR_OPTION_BYTES, FIELD(max_word), "bytes", 1, 0x1p30, NULL,
     "Filter long_word: drop a document with a longer run of ASCII bytes without a space."},
    {"max_repeated_lines", FR_OPTION_FLOAT, FIELD(max_repeated_lines), NULL, 0, 1, NULL,
     "Filter repeated_lines: drop a document with a larger part of its bytes in lines that came "
     "before in it."},
    {"max_repeated_words", FR_OPTION_FLOAT, FIELD(max_repeated_words), NULL, 0, 1, NULL,
     "Filter repeated_words: drop a document with a larger part of its runs of five words having "
     "come before in it."},
    {"exact", FR_OPTION_BOOL, FIELD(exact), NULL, 0, 0, NULL,
     "Drop exact duplicates of earlier documents."},
    {"near", FR_OPTION_BOOL, FIELD(near), NULL, 0, 0, NULL,
     "Drop near duplicates of earlier documents."},
    {"similarity", FR_OPTION_FLOAT, FIELD(similarity), NULL, 0.3, 1, NULL,
     "Jaccard similarity of runs of five words from which two documents are near duplicates."},
    {"held_out", FR_OPTION_FLOAT, FIELD(held_out), NULL, 1e-6, 0.5, NULL,
     "Part of the documents held out for evaluation, chosen by hash of (seed, content); at least "
     "one."},
    {"held_out_max", FR_OPTION_BYTES, FIELD(held_out_max), "bytes", 1, 0x1p40, NULL,
     "Held-out text at most."},
    {"seed", FR_OPTION_INT, FIELD(seed), NULL, 0, 0, NULL,
     "Seed of the split and of the tokenizer's sample."},
};

const fr_option_table fr_data_option_table = {"data", options, sizeof options / sizeof options[0],
                                              sizeof(fr_data_options), defaults};

int64_t fr_data_vocabulary(int64_t bytes)
{
    static const struct {
        int64_t below, vocabulary;
    } rule[] = {{100 << 10, 512}, {600 << 10, 1024},  {2 << 20, 2048},   {8 << 20, 4096},
                {64 << 20, 8192}, {640 << 20, 16384}, {INT64_MAX, 32768}};
    size_t i = 0;
    while (bytes >= rule[i].below && rule[i].below != INT64_MAX)
        i++;
    return rule[i].vocabulary;
}
