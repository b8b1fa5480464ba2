/* chat_known.c: which published chat template is which of ours.

   A template is known by a hash of its whole text (FNV-1a, 64 bits), so that a changed one is not taken for the original. Line ends
   and a "\n" that is written as two characters do not count, nor does white space around the whole. The hashes are made by
   tests/fixtures/make_chat.py. */
#include "decode/chat.h"

#include <ctype.h>
#include <string.h>

static const struct {
    uint64_t hash;
    const char *name;
} known[] = {
    {0x88bf4138d5c826f0ULL, "chatml"}, /* transformers' default */
    {0x773d13e188afc917ULL, "chatml"}, /* Dolphin */
    {0x893e758f2b86d461ULL, "qwen1.5"},
    {0x8a87094e0e1e24c5ULL, "qwen2"},
    {0x45ec583d4d25bc3aULL, "smollm2"},
    {0x11d394755cef9355ULL, "qwen2.5"},
    {0xabb815b933a4981aULL, "qwen3"},
    {0x4d1512049817743dULL, "llama2"},
    {0x5edcf98a0b16ba28ULL, "llama2"}, /* transformers' default for llama */
    {0x74891e390e614ae2ULL, "llama3"}, /* as first published */
    {0x0e60067a5537498eULL, "llama3"},
    {0x53889783901b6bb4ULL, "llama3"}, /* later */
    {0x4fd30286bc0da17cULL, "llama3.1"},
    {0xc730acc029ce6ee0ULL, "mistral-v0.1"},
    {0x8c734b90b4f8d84dULL, "mistral-v0.2"},
    {0xd99e5b4469be13b3ULL, "mistral-v1"},
    {0x8845320dfda63756ULL, "mistral-v3-tekken"},
    {0x09eb1999b1fcf65fULL, "mistral-v3"},
    {0x5c10ee65212d93b3ULL, "gemma"},
    {0xecebdb26677c663dULL, "phi3"},
    {0xcf278cde387a54c8ULL, "phi3"}, /* Phi-3.5 */
    {0xcd8b49000db02c2cULL, "zephyr"},
};

static uint64_t hash(const char *text)
{
    const uint64_t first = 0xCBF29CE484222325ULL, prime = 0x100000001B3ULL;
    while (isspace((unsigned char)*text))
        text++;
    size_t size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    uint64_t value = first;
    for (size_t i = 0; i < size; i++) {
        char byte = text[i];
        if (byte == '\r' && i + 1 < size && text[i + 1] == '\n')
            continue;
        if (byte == '\\' && i + 1 < size && text[i + 1] == 'n') {
            byte = '\n';
            i++;
        }
        value = (value ^ (unsigned char)byte) * prime;
    }
    return value;
}

const fr_chat_template *chat_recognise(const char *jinja)
{
    uint64_t value = hash(jinja);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].hash == value)
            return (const fr_chat_template *)fr_registry_find(&fr_chat_templates, known[i].name);
    return NULL;
}
