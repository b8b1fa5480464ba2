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
    return is_in(point, PUNCTUATION);
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
    return is_in(point, CONTROLS);
}

bool is_ideograph(uint32_t point)
{
    return (point >= 0x4E00 && point <= 0x9FFF) || (point >= 0x3400 && point <= 0x4DBF) ||
           (point >= 0x20000 && point <= 0x2A6DF) || (point >= 0x2A700 && point <= 0x2B73F) ||
           (point >= 0x2B740 && point <= 0x2B81F) || (point >= 0x2B920 && point <= 0x2CEAF) ||
           (point >= 0xF900 && point <= 0xFAFF) || (point >= 0x2F800 && point <= 0x2FA1F);
}
