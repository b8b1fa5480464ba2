/* Option tables, recipes and registries: what they accept, what they refuse and in which words, and that what is written reads
   back to the same bits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- a table with one option of each type ---- */

typedef struct garden {
    int64_t trees;
    double water, chosen;
    bool fence;
    char *owner, *motto;
    int soil;
    fr_strings flowers;
    fr_floats prices;
    double rest;
    int64_t shed;
} garden;

static const char *const soils[] = {"sand", "clay", "loam", NULL};

static void garden_defaults(void *options)
{
    garden *g = options;
    g->trees = 3;
    g->water = 0.1;
    g->chosen = NAN;
    g->owner = fr_string_copy("nobody");
    g->soil = 2;
    g->rest = 90;
    g->shed = 1 << 20;
}

static const fr_option garden_options[] = {
    {"trees", FR_OPTION_INT, offsetof(garden, trees), "trees", 0, 1e6, NULL,
     "How many trees stand in it."},
    {"water", FR_OPTION_FLOAT, offsetof(garden, water), "1/day", 0, 1, NULL, "Share of a tank."},
    {"chosen", FR_OPTION_FLOAT, offsetof(garden, chosen), NULL, 0, 1, NULL, "NaN: chosen."},
    {"fence", FR_OPTION_BOOL, offsetof(garden, fence), NULL, 0, 0, NULL, "Whether it has a fence."},
    {"owner", FR_OPTION_STRING, offsetof(garden, owner), NULL, 0, 0, NULL, "Whose it is."},
    {"motto", FR_OPTION_STRING, offsetof(garden, motto), NULL, 0, 0, NULL, "Above a | the gate."},
    {"soil", FR_OPTION_CHOICE, offsetof(garden, soil), NULL, 0, 0, soils, "What it stands on."},
    {"flowers", FR_OPTION_STRINGS, offsetof(garden, flowers), NULL, 0, 0, NULL, "Their names."},
    {"prices", FR_OPTION_FLOATS, offsetof(garden, prices), "EUR", 0, INFINITY, NULL,
     "Of the flowers."},
    {"rest", FR_OPTION_SECONDS, offsetof(garden, rest), "s", 1, 86400, NULL, "Between waterings."},
    {"shed", FR_OPTION_BYTES, offsetof(garden, shed), "bytes", 1, INFINITY, NULL,
     "Room for seeds."},
};
static const fr_option_table garden_table = {"garden.small", garden_options,
                                             sizeof garden_options / sizeof *garden_options,
                                             sizeof(garden), garden_defaults};

static const fr_kind english = {"english", "winding paths", NULL, {0}},
                     french = {"french", "straight paths", NULL, {0}};
static const fr_kind *const styles[] = {&english, &french, NULL};
static const fr_registry style_registry = {"style", "how paths run", styles};

/* ---- helpers ---- */

static fr_recipe *parse(const char *text)
{
    fr_recipe *recipe;
    fr_error error = {0};
    if (fr_recipe_parse(&recipe, text, strlen(text), "r.yaml", &error) != FR_OK)
        fail_msg("%s", error.message);
    return recipe;
}

static void assert_refused(const char *text, const char *message)
{
    fr_recipe *recipe;
    fr_error error = {0};
    assert_int_equal(fr_recipe_parse(&recipe, text, strlen(text), "r.yaml", &error), FR_BAD_INPUT);
    assert_null(recipe);
    assert_string_equal(error.message, message);
}

/* Reads the section `g` into a garden and expects exactly this message. */
static void assert_key_refused(const char *text, const char *message)
{
    fr_recipe *recipe = parse(text);
    garden g = {0};
    fr_error error = {0};
    assert_int_equal(
        fr_options_read(&garden_table, &g, fr_recipe_section(recipe, "g"), false, NULL, &error),
        FR_BAD_INPUT);
    assert_string_equal(error.message, message);
    assert_null(g.owner);
    fr_recipe_free(recipe);
}

static void read_garden(const char *text, garden *g)
{
    fr_recipe *recipe = parse(text);
    fr_error error = {0};
    memset(g, 0, sizeof *g);
    if (fr_options_read(&garden_table, g, fr_recipe_section(recipe, "g"), false, NULL, &error) !=
        FR_OK)
        fail_msg("%s", error.message);
    fr_recipe_free(recipe);
}

/* ---- numbers ---- */

static void test_counts_are_read_exactly(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"5", 5},
                {"-7", -7},
                {"1_000", 1000},
                {"1k", 1000},
                {"1K", 1000},
                {"1.5M", 1500000},
                {"3e6", 3000000},
                {"2B", 2000000000},
                {"2G", 2000000000},
                {"1T", 1000000000000},
                {"1.20e1", 12},
                {"120e-1", 12},
                {"0e300", 0},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN},
                {"9_007_199_254_740_993", 9007199254740993}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t value = -1;
        assert_int_equal(fr_parse_count(good[i].text, &value, NULL), FR_OK);
        assert_true(value == good[i].value);
    }
    const char *bad[] = {"",
                         "k",
                         "x",
                         "1x",
                         "1kk",
                         "1 k",
                         " 1",
                         "_1",
                         "1__0",
                         "1_",
                         "1.5",
                         "1e-1",
                         "0x10",
                         "9223372036854775808",
                         "-9223372036854775809",
                         "1e400",
                         "1e19",
                         "99999999999999999999",
                         "1e",
                         "1e+",
                         ".",
                         "-",
                         "inf",
                         "nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t value;
        fr_error error;
        if (fr_parse_count(bad[i], &value, &error) != FR_BAD_INPUT)
            fail_msg("'%s' was taken for a count", bad[i]);
    }
}

static void test_sizes_and_times_are_read_with_their_units(void **state)
{
    (void)state;
    int64_t bytes;
    double seconds;
    assert_int_equal(fr_parse_bytes("64M", &bytes, NULL), FR_OK);
    assert_int_equal(bytes, 64 << 20);
    assert_int_equal(fr_parse_bytes("1.5GiB", &bytes, NULL), FR_OK);
    assert_true(bytes == 3LL << 29);
    assert_int_equal(fr_parse_bytes("512kB", &bytes, NULL), FR_OK);
    assert_int_equal(bytes, 512 << 10);
    assert_int_equal(fr_parse_bytes("12", &bytes, NULL), FR_OK);
    assert_int_equal(bytes, 12);
    assert_int_equal(fr_parse_bytes("9P", &bytes, NULL), FR_OK);
    assert_int_equal(fr_parse_bytes("9000P", &bytes, NULL), FR_BAD_INPUT);
    assert_int_equal(fr_parse_bytes("5X", &bytes, NULL), FR_BAD_INPUT);
    const struct {
        const char *text;
        double value;
    } times[] = {{"90", 90},      {"90s", 90},    {"5m", 300},     {"5min", 300}, {"1.5h", 5400},
                 {"1h30m", 5400}, {"2d", 172800}, {"250ms", 0.25}, {"0", 0}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_int_equal(fr_parse_seconds(times[i].text, &seconds, NULL), FR_OK);
        assert_true(seconds == times[i].value);
    }
    const char *bad[] = {"",   "s",   "-5m",   "5 m", "5x",  "1h30",
                         "m5", "5mm", "1h-5m", "inf", "nan", "-0"};
    fr_error error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fr_parse_seconds(bad[i], &seconds, &error) != FR_BAD_INPUT)
            fail_msg("'%s' was taken for a time", bad[i]);
    fr_parse_seconds("soon", &seconds, &error);
    assert_string_equal(error.message, "found 'soon', expected a time such as 90s, 5m or 1.5h");
}

/* ---- names ---- */

static void test_the_nearest_name_is_what_fingers_meant(void **state)
{
    (void)state;
    const char *names[] = {"learning_rate", "lr",   "beta1", "beta2", "weight_decay",
                           "train",         "data", "adamw", "cosine"};
    const size_t count = sizeof names / sizeof *names;
    const char *cases[][2] = {{"learning_rte", "learning_rate"},
                              {"leanring_rate", "learning_rate"},
                              {"Learning-Rate", "learning_rate"},
                              {"rl", "lr"},
                              {"beta3", "beta1"},
                              {"wieght_decay", "weight_decay"},
                              {"trian", "train"},
                              {"adam", "adamw"},
                              {"consine", "cosine"},
                              {"learn", "learning_rate"},
                              {"dta", "data"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *nearest = fr_nearest_name(cases[i][0], names, count);
        assert_non_null(nearest);
        assert_string_equal(nearest, cases[i][1]);
    }
    assert_null(fr_nearest_name("zebra", names, count));
    assert_null(fr_nearest_name("", names, count));
    assert_null(fr_nearest_name("q", names, count));
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(fr_nearest_name(longest, names, count));
}

static void test_a_registry_names_what_it_knows(void **state)
{
    (void)state;
    fr_error error;
    assert_ptr_equal(fr_registry_find(&style_registry, "french"), &french);
    assert_null(fr_registry_find(&style_registry, "frenc"));
    assert_null(fr_registry_require(&style_registry, "frenhc", "r.yaml", 4, &error));
    assert_string_equal(
        error.message,
        "r.yaml:4: unknown style 'frenhc'; did you mean 'french'? (known: english, french)");
    assert_null(fr_registry_require(&style_registry, "xyzzy", NULL, 0, &error));
    assert_string_equal(error.message, "unknown style 'xyzzy' (known: english, french)");
    fr_recipe *recipe =
        parse("a: {kind: english}\nb: {x: 1}\nc: french\nd: {kind: [french]}\ne: {kind: frensh}\n");
    assert_ptr_equal(fr_section_kind(fr_recipe_section(recipe, "a"), &style_registry, NULL, &error),
                     &english);
    assert_ptr_equal(
        fr_section_kind(fr_recipe_section(recipe, "b"), &style_registry, "french", &error),
        &french);
    assert_ptr_equal(fr_section_kind(NULL, &style_registry, "french", &error), &french);
    assert_null(fr_section_kind(fr_recipe_section(recipe, "b"), &style_registry, NULL, &error));
    assert_string_equal(error.message,
                        "r.yaml:2: no kind of style is named, expected {kind: english, ...}");
    assert_null(fr_section_kind(fr_recipe_section(recipe, "c"), &style_registry, NULL, &error));
    assert_string_equal(error.message, "r.yaml:3: found 'french', expected {kind: english, ...}");
    assert_null(fr_section_kind(fr_recipe_section(recipe, "d"), &style_registry, NULL, &error));
    assert_string_equal(error.message,
                        "r.yaml:4: kind: found a list, expected the name of a style");
    assert_null(fr_section_kind(fr_recipe_section(recipe, "e"), &style_registry, NULL, &error));
    assert_string_equal(
        error.message,
        "r.yaml:5: unknown style 'frensh'; did you mean 'french'? (known: english, french)");
    fr_recipe_free(recipe);
}

/* ---- recipes ---- */

static void test_a_section_fills_its_struct(void **state)
{
    (void)state;
    garden g;
    read_garden(
        "g:\n  trees: 1_2k\n  water: 2.5e-1\n  fence: yes\n  owner: \"A: b\"\n  motto: null\n  "
        "soil: clay\n"
        "  flowers: [rose, 'null', \"\"]\n  prices: [1, 2.5]\n  rest: 2m\n  shed: 2G # big\n",
        &g);
    assert_int_equal(g.trees, 12000);
    assert_true(g.water == 0.25 && isnan(g.chosen));
    assert_true(g.fence);
    assert_string_equal(g.owner, "A: b");
    assert_null(g.motto);
    assert_int_equal(g.soil, 1);
    assert_int_equal(g.flowers.count, 3);
    assert_string_equal(g.flowers.items[1], "null");
    assert_string_equal(g.flowers.items[2], "");
    assert_int_equal(g.prices.count, 2);
    assert_true(g.prices.items[1] == 2.5 && g.rest == 120);
    assert_true(g.shed == 2LL << 30);
    fr_options_free(&garden_table, &g);
    read_garden("g: {owner: ~, flowers: rose, chosen: .nan}\n", &g);
    assert_null(g.owner);
    assert_int_equal(g.trees, 3);
    assert_int_equal(g.flowers.count, 1);
    fr_options_free(&garden_table, &g);
    read_garden("g:\n", &g);
    assert_string_equal(g.owner, "nobody");
    fr_options_free(&garden_table, &g);
    fr_options_free(&garden_table, &g);
}

static void test_a_wrong_key_type_or_range_is_told_with_its_line(void **state)
{
    (void)state;
    assert_key_refused(
        "g:\n  trees: 1\n  flowrs: [a]\n",
        "r.yaml:3: unknown key 'flowrs' in section garden.small; did you mean 'flowers'?");
    assert_key_refused("g: {zzzzzz: 1}\n",
                       "r.yaml:1: unknown key 'zzzzzz' in section garden.small");
    assert_key_refused("g:\n\n  trees: many\n", "r.yaml:3: garden.small.trees: found 'many', "
                                                "expected a whole number, 0 to 1e6, in trees");
    assert_key_refused(
        "g: {trees: 2.5}\n",
        "r.yaml:1: garden.small.trees: found '2.5' (not a whole number), expected a whole number, "
        "0 to 1e6, in trees");
    assert_key_refused("g: {trees: -1}\n", "r.yaml:1: garden.small.trees: found '-1', expected a "
                                           "whole number, 0 to 1e6, in trees");
    assert_key_refused("g: {trees: 99999999999999999999}\n",
                       "r.yaml:1: garden.small.trees: found '99999999999999999999' (too large for "
                       "64 bits), expected a whole number, 0 to "
                       "1e6, in trees");
    assert_key_refused("g: {trees: }\n", "r.yaml:1: garden.small.trees: found nothing, expected a "
                                         "whole number, 0 to 1e6, in trees");
    assert_key_refused(
        "g: {water: 1.01}\n",
        "r.yaml:1: garden.small.water: found '1.01', expected a number, 0 to 1, in 1/day");
    assert_key_refused(
        "g: {water: .nan}\n",
        "r.yaml:1: garden.small.water: found '.nan', expected a number, 0 to 1, in 1/day");
    assert_key_refused("g: {fence: 1}\n",
                       "r.yaml:1: garden.small.fence: found '1', expected true or false");
    assert_key_refused("g: {soil: laom}\n", "r.yaml:1: garden.small.soil: found 'laom', expected "
                                            "one of sand, clay, loam; did you mean 'loam'?");
    assert_key_refused("g: {owner: [a]}\n",
                       "r.yaml:1: garden.small.owner: found a list, expected a text");
    assert_key_refused("g: {owner: {a: b}}\n",
                       "r.yaml:1: garden.small.owner: found a mapping, expected a text");
    assert_key_refused("g: {prices: [1, -2]}\n", "r.yaml:1: garden.small.prices: found '-2', "
                                                 "expected a list of numbers, at least 0, in EUR");
    assert_key_refused("g: {flowers: [[a]]}\n",
                       "r.yaml:1: garden.small.flowers: found a list, expected a list of texts");
    assert_key_refused(
        "g: {rest: 2 days}\n",
        "r.yaml:1: garden.small.rest: found '2 days', expected a time (90s, 5m, 1.5h), 1 to 86400");
    assert_key_refused(
        "g: {shed: 0}\n",
        "r.yaml:1: garden.small.shed: found '0', expected a size (512K, 64M, 2G), at least 1");
    assert_key_refused("x: 1\ng: [a]\n",
                       "r.yaml:2: found a list, expected the keys of section garden.small");
    assert_key_refused("g: hello\n",
                       "r.yaml:1: found 'hello', expected the keys of section garden.small");
    assert_key_refused("g: {kind: a}\n", "r.yaml:1: unknown key 'kind' in section garden.small");
}

static void test_what_is_not_a_recipe_is_refused(void **state)
{
    (void)state;
    assert_refused("", "r.yaml: empty, expected sections such as model, data, train");
    assert_refused("# nothing\n", "r.yaml: empty, expected sections such as model, data, train");
    assert_refused("hello\n",
                   "r.yaml:1: found 'hello', expected sections such as model, data, train");
    assert_refused("- a\n", "r.yaml:1: found a list, expected sections such as model, data, train");
    assert_refused(
        "a: &x 1\n",
        "r.yaml:1: found an anchor (&name); a recipe has none, write the value where it is used");
    assert_refused("a: 1\nb: *x\n", "r.yaml:2: found an alias (*name); a recipe has none, write "
                                    "the value out or put quotes around it");
    assert_refused("a:\n  <<: {b: 1}\n",
                   "r.yaml:2: found a merge key (<<); a recipe has none, write the keys out");
    assert_refused("a: !!str 1\n",
                   "r.yaml:1: found a tag (!name); a recipe has none, types come from the options");
    assert_refused("a: !x {b: 1}\n",
                   "r.yaml:1: found a tag (!name); a recipe has none, types come from the options");
    assert_refused("a: 1\n---\nb: 1\n", "r.yaml:2: a second document begins (---), expected one");
    assert_refused("a: 1\nb: 2\na: 3\n", "r.yaml:3: key 'a' is given twice, first in line 1");
    assert_refused("? [a]\n: 1\n", "r.yaml:1: found a key that is not a word");
    assert_refused("'': 1\n", "r.yaml:1: found a key that is not a word");
    assert_refused("a: \"x\\0y\"\n", "r.yaml:1: found a zero byte inside a text");
    fr_recipe *recipe;
    fr_error error;
    const char *broken[] = {"a: [1\nb: 2\n", "a: 1\n b: 2\n", "a: \"x\n",  "\ta: 1\n",
                            "a: \xff\n",     "a: {b: 1\n",    "a\nb: 1\n", "a: \x01\n"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_int_equal(fr_recipe_parse(&recipe, broken[i], strlen(broken[i]), "r.yaml", &error),
                         FR_BAD_INPUT);
        assert_memory_equal(error.message, "r.yaml", 6);
    }
    fr_buffer deep = {0};
    fr_buffer_text(&deep, "a: ");
    for (int i = 0; i < 16; i++)
        fr_buffer_text(&deep, "[");
    assert_int_equal(fr_recipe_parse(&recipe, deep.data, deep.size, "r.yaml", &error),
                     FR_BAD_INPUT);
    assert_string_equal(error.message, "r.yaml:1: nested deeper than 16 levels");
    fr_buffer_clear(&deep);
    for (int i = 0; i < 5000; i++)
        fr_buffer_printf(&deep, "k%d: 1\n", i);
    assert_int_equal(fr_recipe_parse(&recipe, deep.data, deep.size, "r.yaml", &error),
                     FR_BAD_INPUT);
    assert_string_equal(error.message, "r.yaml:4097: more than 4096 keys in one mapping");
    fr_buffer_clear(&deep);
    fr_buffer_text(&deep, "a: [");
    for (int i = 0; i < 200000; i++)
        fr_buffer_text(&deep, "1,");
    fr_buffer_text(&deep, "]");
    assert_int_equal(fr_recipe_parse(&recipe, deep.data, deep.size, "r.yaml", &error),
                     FR_BAD_INPUT);
    assert_string_equal(error.message, "r.yaml:1: more than 100000 values, which no recipe needs");
    while (deep.size <= 4 << 20)
        fr_buffer_text(&deep,
                       "# a comment that is long enough to make the file grow to its limit soon\n");
    assert_int_equal(fr_recipe_parse(&recipe, deep.data, deep.size, "r.yaml", &error),
                     FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "expected a recipe of at most 4 MB"));
    fr_buffer_free(&deep);
    assert_int_equal(fr_recipe_load(&recipe, "no such recipe.yaml", &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "no such recipe.yaml: No such file"));
}

static void test_sections_nest_and_come_in_lists(void **state)
{
    (void)state;
    fr_error error;
    fr_recipe *recipe = parse("\xEF\xBB\xBFm:\n  trees: 5\n  inner: {trees: 7}\nphases:\n  - "
                              "{trees: 1}\n  - {trees: 2}\nalone: {trees: 9}\nnone:\n");
    garden g = {0};
    const char *nested[] = {"inner", NULL};
    const fr_section *m = fr_recipe_section(recipe, "m");
    assert_int_equal(fr_options_read(&garden_table, &g, m, false, NULL, &error), FR_BAD_INPUT);
    assert_string_equal(error.message, "r.yaml:3: unknown key 'inner' in section garden.small");
    assert_int_equal(fr_options_read(&garden_table, &g, m, false, nested, &error), FR_OK);
    assert_int_equal(g.trees, 5);
    fr_options_free(&garden_table, &g);
    assert_ptr_equal(fr_section_child(m, "inner"), fr_recipe_section(recipe, "m.inner"));
    assert_null(fr_section_child(m, "outer"));
    assert_null(fr_section_child(NULL, "outer"));
    assert_int_equal(fr_recipe_section_count(recipe, "phases"), 2);
    assert_int_equal(fr_options_read(&garden_table, &g, fr_recipe_section_at(recipe, "phases", 1),
                                     false, NULL, &error),
                     FR_OK);
    assert_int_equal(g.trees, 2);
    fr_options_free(&garden_table, &g);
    assert_null(fr_recipe_section_at(recipe, "phases", 2));
    assert_int_equal(fr_recipe_section_count(recipe, "alone"), 1);
    assert_ptr_equal(fr_recipe_section_at(recipe, "alone", 0), fr_recipe_section(recipe, "alone"));
    assert_int_equal(fr_recipe_section_count(recipe, "none"), 0);
    assert_int_equal(fr_recipe_section_count(recipe, "absent"), 0);
    const char *known[] = {"m", "phase", "alone", "none", NULL};
    assert_int_equal(fr_recipe_check_sections(recipe, known, &error), FR_BAD_INPUT);
    assert_string_equal(
        error.message,
        "r.yaml:4: unknown section 'phases'; did you mean 'phase'? (known: m, phase, alone, none)");
    known[1] = "phases";
    assert_int_equal(fr_recipe_check_sections(recipe, known, &error), FR_OK);
    fr_recipe_free(recipe);
}

static void test_the_command_line_sets_keys(void **state)
{
    (void)state;
    fr_error error;
    fr_recipe *recipe = parse("g: {trees: 5, motto: old}\nlist: [{trees: 1}]\nscalar: 3\nnone:\n");
    const char *words[] = {"g.trees=7",       "g.owner=*.b: # c", "g.flowers=[a, \"b, c\"]",
                           "g.motto=\"x=y\"", "new.deep.trees=1", "list.0.trees=4",
                           "none.trees=6",    "g.soil=sand"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_int_equal(fr_recipe_set_word(recipe, words[i], &error), FR_OK);
    garden g = {0};
    assert_int_equal(
        fr_options_read(&garden_table, &g, fr_recipe_section(recipe, "g"), false, NULL, &error),
        FR_OK);
    assert_int_equal(g.trees, 7);
    assert_string_equal(g.owner, "*.b: # c");
    assert_int_equal(g.flowers.count, 2);
    assert_string_equal(g.flowers.items[1], "b, c");
    assert_string_equal(g.motto, "x=y");
    fr_options_free(&garden_table, &g);
    assert_int_equal(fr_options_read(&garden_table, &g, fr_recipe_section(recipe, "new.deep"),
                                     false, NULL, &error),
                     FR_OK);
    assert_int_equal(g.trees, 1);
    fr_options_free(&garden_table, &g);
    assert_int_equal(fr_options_read(&garden_table, &g, fr_recipe_section_at(recipe, "list", 0),
                                     false, NULL, &error),
                     FR_OK);
    assert_int_equal(g.trees, 4);
    fr_options_free(&garden_table, &g);
    assert_int_equal(
        fr_options_read(&garden_table, &g, fr_recipe_section(recipe, "none"), false, NULL, &error),
        FR_OK);
    assert_int_equal(g.trees, 6);
    fr_options_free(&garden_table, &g);

    assert_int_equal(fr_recipe_set_word(recipe, "g.tres=7", &error), FR_OK);
    assert_int_equal(
        fr_options_read(&garden_table, &g, fr_recipe_section(recipe, "g"), false, NULL, &error),
        FR_BAD_INPUT);
    assert_string_equal(
        error.message,
        "<command line>: unknown key 'tres' in section garden.small; did you mean 'trees'?");
    const char *bad[][2] = {
        {"trees", "<command line>: trees: expected key=value, such as optimizer.lr=1e-3"},
        {"=1", "<command line>: =1: expected key=value, such as optimizer.lr=1e-3"},
        {"a..b=1", "<command line>: a..b: not a key such as optimizer.lr"},
        {"a.=1", "<command line>: a.: not a key such as optimizer.lr"},
        {".a=1", "<command line>: .a: not a key such as optimizer.lr"},
        {"scalar.x=1", "<command line>: scalar.x: a value stands where its section would be"},
        {"list.1.x=1",
         "<command line>: list.1.x: found '1', expected the number of an entry, 0 to 0"},
        {"list.x=1", "<command line>: list.x: found 'x', expected the number of an entry, 0 to 0"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fr_recipe_set_word(recipe, bad[i][0], &error), FR_BAD_INPUT);
        assert_string_equal(error.message, bad[i][1]);
    }
    assert_int_equal(fr_recipe_set_word(recipe, "g.flowers=[*a]", &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "found an alias"));
    fr_recipe_free(recipe);
    assert_int_equal(fr_recipe_create(&recipe, &error), FR_OK);
    assert_int_equal(fr_recipe_set(recipe, "g.trees", "", &error), FR_OK);
    assert_int_equal(
        fr_options_read(&garden_table, &g, fr_recipe_section(recipe, "g"), false, NULL, &error),
        FR_BAD_INPUT);
    assert_string_equal(error.message, "<command line>: garden.small.trees: found nothing, "
                                       "expected a whole number, 0 to 1e6, in trees");
    fr_recipe_free(recipe);
}

static void test_single_options_are_set_from_text(void **state)
{
    (void)state;
    fr_error error;
    garden g = {0};
    garden_defaults(&g);
    assert_int_equal(fr_options_set(&garden_table, &g, "trees", "12", &error), FR_OK);
    assert_int_equal(fr_options_set(&garden_table, &g, "owner", "null", &error), FR_OK);
    assert_int_equal(fr_options_set(&garden_table, &g, "flowers", "rose", &error), FR_OK);
    assert_int_equal(fr_options_set(&garden_table, &g, "flowers", "", &error), FR_OK);
    assert_int_equal(g.trees, 12);
    assert_string_equal(g.owner, "null");
    assert_int_equal(g.flowers.count, 2);
    assert_int_equal(fr_options_set(&garden_table, &g, "flowers", "[tulip]", &error), FR_OK);
    assert_int_equal(g.flowers.count, 1);
    assert_int_equal(fr_options_set(&garden_table, &g, "prices", "0.5", &error), FR_OK);
    assert_int_equal(fr_options_set(&garden_table, &g, "trees", "x", &error), FR_BAD_INPUT);
    assert_string_equal(error.message,
                        "trees: found 'x', expected a whole number, 0 to 1e6, in trees");
    assert_int_equal(fr_options_set(&garden_table, &g, "tres", "x", &error), FR_BAD_INPUT);
    assert_string_equal(error.message,
                        "unknown option 'tres' in section garden.small; did you mean 'trees'?");
    fr_options_free(&garden_table, &g);
}

/* ---- writing ---- */

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void assert_round_trip(const garden *g)
{
    fr_buffer yaml = {0};
    fr_buffer_text(&yaml, "g:\n");
    fr_options_write_yaml(&garden_table, g, 2, &yaml);
    garden again;
    read_garden(yaml.data, &again);
    assert_true(again.trees == g->trees && again.shed == g->shed && again.fence == g->fence &&
                again.soil == g->soil);
    assert_true(bits_of(again.water) == bits_of(g->water) &&
                bits_of(again.rest) == bits_of(g->rest));
    assert_true(isnan(g->chosen) ? isnan(again.chosen)
                                 : bits_of(again.chosen) == bits_of(g->chosen));
    if (g->owner)
        assert_string_equal(again.owner, g->owner);
    else
        assert_null(again.owner);
    assert_int_equal(again.flowers.count, g->flowers.count);
    for (size_t i = 0; i < g->flowers.count; i++)
        assert_string_equal(again.flowers.items[i], g->flowers.items[i]);
    assert_int_equal(again.prices.count, g->prices.count);
    for (size_t i = 0; i < g->prices.count; i++)
        assert_true(bits_of(again.prices.items[i]) == bits_of(g->prices.items[i]));
    fr_options_free(&garden_table, &again);
    fr_buffer_free(&yaml);
}

static void test_what_is_written_reads_back_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "null",
                                        "~",
                                        "true",
                                        "No",
                                        "1",
                                        "1e5",
                                        "0x1F",
                                        "1_000",
                                        ".nan",
                                        "-",
                                        "--- a",
                                        "...",
                                        "a: b",
                                        "a #b",
                                        "#",
                                        "'",
                                        "\"",
                                        "\\",
                                        "a\nb",
                                        "\n",
                                        " a ",
                                        "a\tb",
                                        "*x",
                                        "&x",
                                        "!x",
                                        "[a]",
                                        "{a}",
                                        "%",
                                        "@",
                                        "`",
                                        "?",
                                        "- a",
                                        "\xc3\xa9",
                                        "\xe2\x80\xa8",
                                        "\xc2\x85",
                                        "\xef\xbb\xbf",
                                        "\xf0\x9f\x8c\xb3",
                                        "\x7f",
                                        "\x01",
                                        "\r\n",
                                        "C:\\x",
                                        "layers.*.weight",
                                        "/home/a b",
                                        "a/b-c_d.e",
                                        "y",
                                        "2024-01-01",
                                        "12:30",
                                        "<<",
                                        "=",
                                        "\xe2\x80\x94"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = fr_string_copy(texts[i]);
        double prices[3] = {0.1 + 0.2, 5e-324, 1.7976931348623157e308};
        garden g = {.trees = (int64_t)i,
                    .water = 1.0 / 3,
                    .chosen = NAN,
                    .owner = text,
                    .soil = 1,
                    .flowers = {&text, 1},
                    .prices = {prices, 3},
                    .rest = 86399.99999999999,
                    .shed = INT64_MAX,
                    .fence = true};
        assert_round_trip(&g);
        fr_free(text);
    }
    garden empty = {.rest = 1, .shed = 1, .chosen = 1e-300};
    assert_round_trip(&empty);
    /* Doubles from all over their range: the pattern of bits is the number. */
    for (uint64_t i = 0; i < 3000; i++) {
        uint32_t r[4];
        double prices[2];
        fr_random_bits(1, FR_RANDOM_TEST, 0, i, r);
        uint64_t bits[2] = {((uint64_t)r[0] << 32 | r[1]) >> 1, ((uint64_t)r[2] << 32 | r[3]) >> 1};
        memcpy(prices, bits, sizeof prices);
        if (!isfinite(prices[0]) || !isfinite(prices[1]))
            continue;
        garden g = {
            .prices = {prices, 2}, .rest = 1, .shed = 1, .trees = (int64_t)(r[0] % 1000000)};
        assert_round_trip(&g);
    }
}

/* Any text of code points that YAML can hold, including those that it wants escaped. */
static void test_random_texts_survive_a_recipe(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        fr_buffer text = {0};
        uint32_t r[4];
        for (uint64_t c = 0; c < 1 + i % 20; c++) {
            fr_random_bits(2, FR_RANDOM_TEST, i, c, r);
            static const uint32_t limits[] = {0x7F, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
            uint32_t code = 1 + r[0] % limits[r[1] % 5];
            if (code >= 0xD800 && code < 0xE000)
                continue;
            char bytes[5] = {0};
            if (code < 0x80)
                bytes[0] = (char)code;
            else if (code < 0x800) {
                bytes[0] = (char)(0xC0 | code >> 6);
                bytes[1] = (char)(0x80 | (code & 63));
            } else if (code < 0x10000) {
                bytes[0] = (char)(0xE0 | code >> 12);
                bytes[1] = (char)(0x80 | (code >> 6 & 63));
                bytes[2] = (char)(0x80 | (code & 63));
            } else {
                bytes[0] = (char)(0xF0 | code >> 18);
                bytes[1] = (char)(0x80 | (code >> 12 & 63));
                bytes[2] = (char)(0x80 | (code >> 6 & 63));
                bytes[3] = (char)(0x80 | (code & 63));
            }
            fr_buffer_text(&text, bytes);
        }
        garden g = {.owner = text.data, .rest = 1, .shed = 1};
        assert_round_trip(&g);
        fr_buffer_free(&text);
    }
}

static void test_yaml_is_written_in_its_shortest_plain_form(void **state)
{
    (void)state;
    garden g = {0};
    garden_defaults(&g);
    fr_buffer out = {0};
    g.water = 1e-5;
    fr_options_write_yaml(&garden_table, &g, 2, &out);
    assert_string_equal(out.data, "  trees: 3\n  water: 1.0e-05\n  chosen: .nan\n  fence: false\n  "
                                  "owner: nobody\n  motto: null\n  soil: loam\n"
                                  "  flowers: []\n  prices: []\n  rest: 90\n  shed: 1048576\n");
    fr_buffer_free(&out);
    fr_options_free(&garden_table, &g);
}

static void test_help_writes_numbers_as_people_do(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1"},
                 {-5, "-5"},
                 {0.1, "0.1"},
                 {1e-5, "1e-5"},
                 {2.5e-8, "2.5e-8"},
                 {1e-100, "1e-100"},
                 {86400, "86400"},
                 {1048576, "1048576"},
                 {1e6, "1e6"},
                 {1.5e9, "1.5e9"},
                 {-1e15, "-1e15"},
                 {2147483647, "2147483647"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fr_option at_least = {"x", FR_OPTION_FLOAT, 0, NULL, cases[i].value, INFINITY, NULL,
                                    ""};
        const fr_option_table one = {"t", &at_least, 1, sizeof(double), NULL};
        fr_buffer out = {0}, expected = {0};
        fr_option_describe(&one, &at_least, &out);
        fr_buffer_printf(&expected, "number, at least %s; default 0", cases[i].text);
        assert_string_equal(out.data, expected.data);
        fr_buffer_free(&out);
        fr_buffer_free(&expected);
    }
}

static void test_help_tells_type_range_unit_and_default(void **state)
{
    (void)state;
    fr_buffer out = {0};
    fr_options_write_help(&garden_table, NULL, false, &out);
    assert_non_null(strstr(out.data, "  trees: whole number, 0 to 1e6, in trees; default 3\n   "
                                     "   How many trees stand in it.\n"));
    assert_non_null(strstr(out.data, "  soil: one of sand, clay, loam; default loam\n"));
    assert_non_null(strstr(out.data, "  motto: text; default none\n"));
    fr_buffer_clear(&out);
    fr_options_write_help(&garden_table, NULL, true, &out);
    assert_memory_equal(
        out.data, "| key | value | meaning |\n| --- | --- | --- |\n| `trees` | whole number", 66);
    assert_non_null(strstr(out.data, "Above a \\| the gate."));
    fr_buffer_free(&out);
    assert_string_equal(fr_option_find(&garden_table, "shed")->help, "Room for seeds.");
    assert_null(fr_option_find(&garden_table, "barn"));
}

/* ---- sections inside a table ---- */

typedef struct house {
    int64_t rooms, doors, windows;
    fr_floats sizes;
} house;

static const fr_option house_options[] = {
    {"rooms", FR_OPTION_INT, offsetof(house, rooms), NULL, 0, 99, NULL, "All of them."},
    {"wall.doors", FR_OPTION_INT, offsetof(house, doors), NULL, 0, 99, NULL, "To go through."},
    {"wall.glass.windows", FR_OPTION_INT, offsetof(house, windows), NULL, 0, 99, NULL, "To open."},
    {"wall.glass.sizes", FR_OPTION_FLOATS, offsetof(house, sizes), NULL, 0, 99, NULL, "Of each."},
};
static const fr_option_table house_table = {
    "house", house_options, sizeof house_options / sizeof *house_options, sizeof(house), NULL};

static void test_names_with_dots_are_sections_inside_a_table(void **state)
{
    (void)state;
    fr_recipe *r =
        parse("m:\n  wall: {doors: 2, glass: {windows: 5, sizes: [1, 2.5]}}\n  rooms: 3\n");
    house h = {0}, again = {0};
    fr_error error = {0};
    assert_int_equal(
        fr_options_read(&house_table, &h, fr_recipe_section(r, "m"), false, NULL, &error), FR_OK);
    assert_int_equal(h.rooms, 3);
    assert_int_equal(h.doors, 2);
    assert_int_equal(h.windows, 5);
    fr_recipe_free(r);
    fr_buffer out = {0};
    fr_buffer_text(&out, "m:\n");
    fr_options_write_yaml(&house_table, &h, 2, &out);
    assert_string_equal(out.data, "m:\n  rooms: 3\n  wall:\n    doors: 2\n    glass:\n"
                                  "      windows: 5\n      sizes: [1, 2.5]\n");
    r = parse(out.data);
    assert_int_equal(
        fr_options_read(&house_table, &again, fr_recipe_section(r, "m"), false, NULL, &error),
        FR_OK);
    assert_int_equal(again.windows, 5);
    assert_int_equal(again.sizes.count, 2);
    fr_recipe_free(r);
    fr_buffer_free(&out);
    fr_options_free(&house_table, &h);
    fr_options_free(&house_table, &again);
}

static void test_a_wrong_key_of_a_section_inside_a_table_is_told(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"m: {wall: {door: 2}}\n",
         "r.yaml:1: unknown key 'wall.door' in section house; did you mean 'wall.doors'?"},
        {"m: {wall: 2}\n", "r.yaml:1: found '2', expected the keys of section house.wall"},
        {"m: {wall: {doors: 100}}\n",
         "r.yaml:1: house.wall.doors: found '100', expected a whole number, 0 to 99"}};
    for (int i = 0; i < 3; i++) {
        fr_recipe *r = parse(texts[i][0]);
        house h = {0};
        fr_error error = {0};
        assert_int_equal(
            fr_options_read(&house_table, &h, fr_recipe_section(r, "m"), false, NULL, &error),
            FR_BAD_INPUT);
        assert_string_equal(error.message, texts[i][1]);
        fr_recipe_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_read_exactly),
        cmocka_unit_test(test_sizes_and_times_are_read_with_their_units),
        cmocka_unit_test(test_the_nearest_name_is_what_fingers_meant),
        cmocka_unit_test(test_a_registry_names_what_it_knows),
        cmocka_unit_test(test_a_section_fills_its_struct),
        cmocka_unit_test(test_a_wrong_key_type_or_range_is_told_with_its_line),
        cmocka_unit_test(test_what_is_not_a_recipe_is_refused),
        cmocka_unit_test(test_sections_nest_and_come_in_lists),
        cmocka_unit_test(test_the_command_line_sets_keys),
        cmocka_unit_test(test_single_options_are_set_from_text),
        cmocka_unit_test(test_what_is_written_reads_back_to_the_same_bits),
        cmocka_unit_test(test_random_texts_survive_a_recipe),
        cmocka_unit_test(test_yaml_is_written_in_its_shortest_plain_form),
        cmocka_unit_test(test_help_writes_numbers_as_people_do),
        cmocka_unit_test(test_help_tells_type_range_unit_and_default),
        cmocka_unit_test(test_names_with_dots_are_sections_inside_a_table),
        cmocka_unit_test(test_a_wrong_key_of_a_section_inside_a_table_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
