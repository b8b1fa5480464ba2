/* filters.c: the quality heuristics.

   They follow the repetition and symbol rules of Gopher (Rae et al., arXiv 2112.11446, table A1)
   and the line rules of C4 (Raffel et al., arXiv 1910.10683, section 2.2), made language-neutral
   and gentle: no stop-word lists, no word-length bounds, no punctuation rules, because those drop
   source code, poetry, tables and most languages. Gopher drops a document when 30 % of its lines
   are repeats; here bytes count instead of lines (a "}" alone weighs little) and the limit is half.
   */
#include "data/filters.h"

#define XXH_INLINE_ALL
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { LINES_LEAST = 10, SHINGLES_LEAST = 50 }; /* fewer say nothing about repetition */

static bool count_lines(scratch *s, const char *text, size_t size, features *f)
{
    size_t lines = 1;
    for (const char *at = text; (at = memchr(at, '\n', size - (size_t)(at - text))); at++)
        lines++;
    if (!distinct_begin(s, lines))
        return false;
    for (size_t from = 0; from < size;) {
        const char *feed = memchr(text + from, '\n', size - from);
        size_t length = feed ? (size_t)(feed - text) - from : size - from;
        if (length) {
            f->lines++;
            f->line_bytes += length;
            if (!distinct_add(s, XXH3_64bits(text + from, length)))
                f->repeated_lines += length;
        }
        from += length + 1;
    }
    return true;
}

static bool count_shingles(scratch *s, features *f)
{
    f->shingles = s->count;
    if (!distinct_begin(s, s->count))
        return false;
    for (size_t i = 0; i < s->count; i++)
        f->repeated_shingles += !distinct_add(s, s->shingles[i]);
    return true;
}

bool features_of(scratch *s, const char *text, size_t size, size_t controls, features *f)
{
    *f = (features){.bytes = size, .controls = controls};
    return words_scan(s, text, size, &f->words) && count_lines(s, text, size, f) &&
           count_shingles(s, f);
}

/* ---- one filter after the other ---- */

static bool over(size_t part, size_t whole, double limit)
{
    return whole && (double)part > limit * (double)whole;
}

static bool too_short(const fr_data_options *o, const features *f)
{
    return f->bytes == 0 || (int64_t)f->bytes < o->min_bytes;
}

static void too_short_rule(const fr_data_options *o, char *text, size_t size)
{
    snprintf(text, size, "fewer than %lld bytes", (long long)(o->min_bytes > 1 ? o->min_bytes : 1));
}

static bool control_characters(const fr_data_options *o, const features *f)
{
    return over(f->controls, f->bytes + f->controls, o->max_controls);
}

static void control_characters_rule(const fr_data_options *o, char *text, size_t size)
{
    snprintf(text, size, "more than %.3g of the bytes are control characters", o->max_controls);
}

static bool few_letters(const fr_data_options *o, const features *f)
{
    return (double)f->words.letters < o->min_letters * (double)f->words.characters;
}

static void few_letters_rule(const fr_data_options *o, char *text, size_t size)
{
    snprintf(text, size, "less than %.3g of the characters are letters or digits", o->min_letters);
}

static bool long_word(const fr_data_options *o, const features *f)
{
    return (int64_t)f->words.longest > o->max_word;
}

static void long_word_rule(const fr_data_options *o, char *text, size_t size)
{
    snprintf(text, size, "more than %lld ASCII bytes without a space", (long long)o->max_word);
}

static bool repeated_lines(const fr_data_options *o, const features *f)
{
    return f->lines >= LINES_LEAST && over(f->repeated_lines, f->line_bytes, o->max_repeated_lines);
}

static void repeated_lines_rule(const fr_data_options *o, char *text, size_t size)
{
    snprintf(text, size, "more than %.3g of the bytes are in repeated lines",
             o->max_repeated_lines);
}

static bool repeated_words(const fr_data_options *o, const features *f)
{
    return f->shingles >= SHINGLES_LEAST &&
           over(f->repeated_shingles, f->shingles, o->max_repeated_words);
}

static void repeated_words_rule(const fr_data_options *o, char *text, size_t size)
{
    snprintf(text, size, "more than %.3g of the runs of %d words are repeats",
             o->max_repeated_words, SHINGLE);
}

static const char gopher[] = "arXiv 2112.11446, table A1";

static const filter filters[] = {
    {{.name = "too_short", .summary = "documents with hardly any text (data.min_bytes)"},
     true,
     too_short,
     too_short_rule},
    {{.name = "control_characters",
      .summary = "binary data that passed as text (data.max_controls)"},
     false,
     control_characters,
     control_characters_rule},
    {{.name = "few_letters",
      .summary = "rulers, drawings, dumps of symbols (data.min_letters)",
      .source = gopher},
     false,
     few_letters,
     few_letters_rule},
    {{.name = "long_word",
      .summary = "encoded data, minified scripts (data.max_word)",
      .source = gopher},
     false,
     long_word,
     long_word_rule},
    {{.name = "repeated_lines",
      .summary = "the same lines again and again (data.max_repeated_lines)",
      .source = gopher},
     false,
     repeated_lines,
     repeated_lines_rule},
    {{.name = "repeated_words",
      .summary = "the same runs of words again and again (data.max_repeated_words)",
      .source = gopher},
     false,
     repeated_words,
     repeated_words_rule},
};

static const fr_kind *const entries[] = {&filters[0].base,
                                         &filters[1].base,
                                         &filters[2].base,
                                         &filters[3].base,
                                         &filters[4].base,
                                         &filters[5].base,
                                         NULL};

const fr_registry fr_filters = {
    "filter", "signs that a document teaches nothing; each drops it, and is counted", entries};

size_t filter_count(void)
{
    return sizeof filters / sizeof filters[0];
}

const filter *filter_at(size_t index)
{
    return &filters[index];
}

int filters_apply(const fr_data_options *options, const features *f)
{
    for (size_t i = 0; i < filter_count(); i++)
        if ((options->filter || filters[i].always) && filters[i].drops(options, f))
            return (int)i;
    return -1;
}
