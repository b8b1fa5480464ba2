/* gguf_cuts.c: the ways of cutting byte-level text that both llama.cpp and frugal know. llama.cpp says them by names alone
   (src/llama-vocab.cpp); a tokenizer.json has the patterns. */
#include "tokenizer/gguf.h"

static const char *const as_gpt2[] = {"phi-2", "jina-es", "jina-de",     "gigachat", "olmo", "mpt",
                                      "jais",  "exaone4", "modern-bert", "trillion", NULL};
static const char *const as_smollm[] = {"starcoder", "refact",     "command-r", "codeshell",
                                        "exaone",    "minerva-7b", NULL};
static const char *const as_llama3[] = {"llama3", "llama-v3", "falcon3", "pixtral", "lfm2", NULL};
static const char *const as_dbrx[] = {"smaug-bpe", NULL};
static const char *const as_qwen2[] = {"deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", NULL};

/* The pattern of tiktoken's o200k_base, and Mistral's, which leaves the contractions out. */
#define WORDS_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define WORDS_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
static const char o200k[] =
    "[^\\r\\n\\p{L}\\p{N}]?" WORDS_UPPER "*" WORDS_LOWER "+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?" WORDS_UPPER "+" WORDS_LOWER "*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char tekken[] =
    "[^\\r\\n\\p{L}\\p{N}]?" WORDS_UPPER "*" WORDS_LOWER "+|"
    "[^\\r\\n\\p{L}\\p{N}]?" WORDS_UPPER "+" WORDS_LOWER "*|"
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const gguf_cut gguf_cuts[] = {
    {"gpt-2", NULL, false, false, false, as_gpt2},
    {"smollm", NULL, true, false, false, as_smollm},
    {"llama-bpe", split_llama3_pattern, false, true, false, as_llama3},
    {"dbrx", split_llama3_pattern, false, false, false, as_dbrx},
    {"qwen2", split_qwen2_pattern, false, false, true, as_qwen2},
    {"gpt-4o", o200k, false, false, false, NULL},
    {"tekken", tekken, false, true, false, NULL},
    {.name = NULL},
};
