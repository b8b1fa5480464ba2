/* characters.h: the classes of characters that the stages of a tokenizer ask for.

   All come from the general categories of the installed utf8proc, so that characters newer than
   its tables may be classed otherwise than by the library that wrote a tokenizer.json. Punctuation
   and controls are those of Unicode 8, which that library has not left. */
#ifndef FRUGAL_TOKENIZER_CHARACTERS_H
#define FRUGAL_TOKENIZER_CHARACTERS_H

#include <stdbool.h>
#include <stdint.h>

bool is_space(uint32_t point);           /* White_Space */
bool is_word(uint32_t point);            /* \w of Unicode's UTS 18, annex C */
bool is_letter(uint32_t point);          /* general category L */
bool is_number(uint32_t point);          /* N */
bool is_punctuation(uint32_t point);     /* P, and the signs of ASCII that are symbols */
bool is_mark(uint32_t point);            /* M */
bool is_mark_nonspacing(uint32_t point); /* Mn */
bool is_control(uint32_t point);         /* Cc, Cf, Co; not the unassigned ones */
/* The blocks that BERT takes for Chinese and puts blanks around. */
bool is_ideograph(uint32_t point);

#endif
