/* option_write.c: options structs as YAML that reads back to the same bits, and their tables as help.

   The YAML is meant for other readers too (version 1.1 and 1.2): a text that any of them would take for something else than a
   text is put in quotes. */
#include "base/number.h"
#include "base/recipe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- YAML ---- */

/* Begins with a letter, a slash or a point, holds only harmless characters, and is no number, truth value or null. */
static bool is_plain(const char *text)
{
    static const char *const special[] = {"null", "~", "y", "n", "nan", "inf", ".nan", ".inf"};
    bool truth;
    double number;
    if (!isalpha((unsigned char)text[0]) && text[0] != '/' && text[0] != '.' && text[0] != '_')
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-./+", *c))
            return false;
    if (fr_number_bool(text, &truth) || fr_number_float(text, &number))
        return false;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        size_t length = strlen(special[i]);
        bool same = strlen(text) == length;
        for (size_t c = 0; same && c < length; c++)
            same = tolower((unsigned char)text[c]) == special[i][c];
        if (same)
            return false;
    }
    return true;
}

/* The code point at *text and its length in bytes; 0 for what is not UTF-8. */
static size_t code_point(const unsigned char *text, uint32_t *code)
{
    static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xC2 ? 0
                    : text[0] < 0xE0 ? 2
                    : text[0] < 0xF0 ? 3
                    : text[0] < 0xF5 ? 4
                                     : 0;
    *code = length ? text[0] & first[length] : 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        *code = *code << 6 | (text[i] & 0x3F);
    }
    return length;
}

static bool must_escape(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0x2028 || code == 0x2029 ||
           code == 0xFEFF || (code >= 0xD800 && code < 0xE000) || (code & 0xFFFE) == 0xFFFE;
}

static void write_quoted(const char *text, fr_buffer *out)
{
    fr_buffer_text(out, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        uint32_t code;
        size_t length = code_point(c, &code);
        if (length ==
            0) { /* not UTF-8: YAML has no way to say it; the replacement character shows that something was there */
            fr_buffer_text(out, "\\uFFFD");
            length = 1;
        } else if (code == '"' || code == '\\')
            fr_buffer_printf(out, "\\%c", (int)code);
        else if (code == '\n' || code == '\t')
            fr_buffer_text(out, code == '\n' ? "\\n" : "\\t");
        else if (must_escape(code))
            fr_buffer_printf(out, code > 0xFFFF ? "\\U%08X" : "\\u%04X", (unsigned)code);
        else
            fr_buffer_append(out, c, length);
        c += length;
    }
    fr_buffer_text(out, "\"");
}

static void write_text(const char *text, fr_buffer *out)
{
    if (!text)
        fr_buffer_text(out, "null");
    else if (is_plain(text))
        fr_buffer_text(out, text);
    else
        write_quoted(text, out);
}

static void write_list(const fr_option *option, const void *at, fr_buffer *out)
{
    char number[FR_FLOAT_TEXT];
    const fr_strings *strings = at;
    const fr_floats *floats = at;
    size_t count = option->type == FR_OPTION_STRINGS ? strings->count : floats->count;
    fr_buffer_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            fr_buffer_text(out, ", ");
        if (option->type == FR_OPTION_STRINGS)
            write_text(strings->items[i], out);
        else
            fr_buffer_text(out, fr_float_text(floats->items[i], number));
    }
    fr_buffer_text(out, "]");
}

void fr_option_write_value(const fr_option *option, const void *options, fr_buffer *out)
{
    const void *at = (const char *)options + option->offset;
    char number[FR_FLOAT_TEXT];
    switch (option->type) {
    case FR_OPTION_INT:
    case FR_OPTION_BYTES:
        fr_buffer_printf(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case FR_OPTION_FLOAT:
    case FR_OPTION_SECONDS:
        fr_buffer_text(out, fr_float_text(*(const double *)at, number));
        break;
    case FR_OPTION_BOOL:
        fr_buffer_text(out, *(const bool *)at ? "true" : "false");
        break;
    case FR_OPTION_CHOICE:
        write_text(option->choices[*(const int *)at], out);
        break;
    case FR_OPTION_STRING:
        write_text(*(char *const *)at, out);
        break;
    default:
        write_list(option, at, out);
    }
}

/* The options from number i on whose names share the first `prefix` characters: a section. Returns the number after them. */
static size_t write_section(const fr_option_table *table, const void *options, size_t i,
                            size_t prefix, int indent, fr_buffer *out)
{
    const char *first = table->options[i].name;
    while (i < table->count && strncmp(table->options[i].name, first, prefix) == 0) {
        const char *name = table->options[i].name + prefix, *dot = strchr(name, '.');
        if (dot) {
            size_t length = (size_t)(dot - name);
            fr_buffer_printf(out, "%*s%.*s:\n", indent, "", (int)length, name);
            i = write_section(table, options, i, prefix + length + 1, indent + 2, out);
            continue;
        }
        fr_buffer_printf(out, "%*s%s: ", indent, "", name);
        fr_option_write_value(&table->options[i++], options, out);
        fr_buffer_text(out, "\n");
    }
    return i;
}

void fr_options_write_yaml(const fr_option_table *table, const void *options, int indent,
                           fr_buffer *out)
{
    if (table->count)
        write_section(table, options, 0, 0, indent, out);
}

/* ---- help ---- */

static void write_cell(const char *text, fr_buffer *out)
{
    for (const char *c = text; *c; c++)
        fr_buffer_printf(out, *c == '|' ? "\\%c" : "%c", *c);
}

void fr_options_write_help(const fr_option_table *table, const fr_option *only, bool markdown,
                           fr_buffer *out)
{
    if (markdown)
        fr_buffer_text(out, "| key | value | meaning |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < table->count; i++) {
        const fr_option *option = &table->options[i];
        if (only && option != only)
            continue;
        fr_buffer about = {0};
        fr_option_describe(table, option, &about);
        const char *description = about.data ? about.data : "";
        if (markdown) {
            fr_buffer_printf(out, "| `%s` | ", option->name);
            write_cell(description, out);
            fr_buffer_text(out, " | ");
            write_cell(option->help, out);
            fr_buffer_text(out, " |\n");
        } else
            fr_buffer_printf(out, "  %s: %s\n      %s\n", option->name, description, option->help);
        fr_buffer_free(&about);
    }
}
