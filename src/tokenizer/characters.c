/* characters.c: classes of characters, by general category. */
#include "tokenizer/characters.h"

#include <utf8proc.h>

#define BIT(category) (UINT32_C(1) << UTF8PROC_CATEGORY_##category)

enum {
    LETTERS = BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO),
    MARKS = BIT(MN) | BIT(MC) | BIT(ME),
    NUMBERS = BIT(ND) | BIT(NL) | BIT(NO),
    PUNCTUATION = BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO),
    CONTROLS = BIT(CC) | BIT(CF) | BIT(CO)
};

/* What the Unicode 8 tables of Hugging Face's tokenizers (and so the models trained with it) do
   not take for punctuation or a control, because it came later or was another thing then. */
typedef struct range {
    uint32_t first, last;
} range;
static const range newer_punctuation[] = {
    {0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},
    {0xC84, 0xC84},     {0x1B7D, 0x1B7E},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},
    {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59}, {0x10F86, 0x10F89}, {0x1144B, 0x1144F},
    {0x1145A, 0x1145B}, {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9},
    {0x1183B, 0x1183B}, {0x11944, 0x11946}, {0x119E2, 0x119E2}, {0x11A3F, 0x11A46},
    {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11C41, 0x11C45},
    {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F}, {0x11FFF, 0x11FFF},
    {0x12FF1, 0x12FF2}, {0x16E97, 0x16E9A}, {0x16FE2, 0x16FE2}, {0x1E95E, 0x1E95F}};
static const range newer_controls[] = {
    {0x890, 0x891}, {0x8E2, 0x8E2}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}};

static bool is_among(uint32_t point, const range *ranges, size_t count)
{
    for (size_t i = 0; i < count && ranges[i].first <= point; i++)
        if (point <= ranges[i].last)
            return true;
    return false;
}
#define AMONG(point, ranges) is_among(point, ranges, sizeof(ranges) / sizeof *(ranges))

static bool is_in(uint32_t point, uint32_t categories)
{
    return categories >> utf8proc_category((utf8proc_int32_t)point) & 1;
}

bool is_space(uint32_t point)
{
    if (point < 0x80)
        return (point >= 9 && point <= 13) || point == 32;
    return point == 0x85 || point == 0xA0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
           point == 0x202F || point == 0x205F || point == 0x3000;
}

/* Alphabetic, mark, decimal digit, connector, joiner. Circled and squared Latin letters are
   symbols, yet alphabetic. */
bool is_word(uint32_t point)
{
    return is_in(point, LETTERS | MARKS | BIT(ND) | BIT(NL) | BIT(PC)) ||
           (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) ||
           (point >= 0x1F150 && point <= 0x1F169) || (point >= 0x1F170 && point <= 0x1F189) ||
           point == 0x200C || point == 0x200D;
}

bool is_letter(uint32_t point)
{
    return is_in(point, LETTERS);
}

bool is_number(uint32_t point)
{
    return is_in(point, NUMBERS);
}

bool is_punctuation(uint32_t point)
{
    if (point < 0x80)
        return (point >= '!' && point <= '/') || (point >= ':' && point <= '@') ||
               (point >= '[' && point <= '`') || (point >= '{' && point <= '~');
    if (point == 0x166D || point == 0x111C9) /* punctuation until Unicode 8 */
        return true;
    return is_in(point, PUNCTUATION) && !AMONG(point, newer_punctuation);
}

bool is_mark(uint32_t point)
{
    return is_in(point, MARKS);
}

bool is_mark_nonspacing(uint32_t point)
{
    return is_in(point, BIT(MN));
}

bool is_control(uint32_t point)
{
    return is_in(point, CONTROLS) && !AMONG(point, newer_controls);
}

bool is_ideograph(uint32_t point)
{
    return (point >= 0x4E00 && point <= 0x9FFF) || (point >= 0x3400 && point <= 0x4DBF) ||
           (point >= 0x20000 && point <= 0x2A6DF) || (point >= 0x2A700 && point <= 0x2B73F) ||
           (point >= 0x2B740 && point <= 0x2B81F) || (point >= 0x2B920 && point <= 0x2CEAF) ||
           (point >= 0xF900 && point <= 0xFAFF) || (point >= 0x2F800 && point <= 0x2FA1F);
}
