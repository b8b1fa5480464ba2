/* The frame of the program: how a command line is read, and what the progress line writes on a terminal and in a log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/arguments.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* ---- two verbs ---- */

typedef struct bake_options {
    int64_t loaves;
    char *flour_kind;
    bool salt;
    fr_strings guests;
} bake_options;

static void bake_defaults(void *o)
{
    ((bake_options *)o)->loaves = 2;
}

static const fr_option bake[] = {
    {"loaves", FR_OPTION_INT, offsetof(bake_options, loaves), "loaves", 1, 100, NULL, "How many."},
    {"flour_kind", FR_OPTION_STRING, offsetof(bake_options, flour_kind), NULL, 0, 0, NULL,
     "Of what."},
    {"salt", FR_OPTION_BOOL, offsetof(bake_options, salt), NULL, 0, 0, NULL, "With salt."},
    {"guests", FR_OPTION_STRINGS, offsetof(bake_options, guests), NULL, 0, 0, NULL, "For whom."},
};
static const fr_option_table bake_table = {"bake", bake, 4, sizeof(bake_options), bake_defaults};
static const cli_verb verb_bake = {.name = "bake",
                                   .usage = "OVEN...",
                                   .options = &bake_table,
                                   .least_operands = 1,
                                   .most_operands = 2,
                                   .takes_words = true};
static const cli_verb verb_rest = {.name = "rest", .most_operands = SIZE_MAX};
const cli_verb *const cli_verbs[] = {&verb_bake, &verb_rest, NULL};

enum { MOST = 16 };
static fr_status read_line(cli_arguments *a, fr_error *error, const char *first, ...)
{
    static char texts[MOST][64];
    char *words[MOST + 1] = {texts[0]};
    int count = 1;
    va_list list;
    va_start(list, first);
    for (const char *word = first; word && count < MOST;
         word = va_arg(list, const char *), count++) {
        snprintf(texts[count], sizeof texts[count], "%s", word);
        words[count] = texts[count];
    }
    va_end(list);
    return cli_arguments_read(a, count, words, error);
}
#define LINE(...) read_line(&a, &error, __VA_ARGS__, (char *)NULL)

static void assert_refused(const char *message, const char *one, const char *two, const char *three)
{
    cli_arguments a;
    fr_error error = {0};
    assert_int_equal(read_line(&a, &error, one, two, three, (char *)NULL), FR_BAD_INPUT);
    assert_string_equal(error.message, message);
    cli_arguments_free(&a);
}

static void test_options_operands_and_words_come_in_any_order(void **state)
{
    (void)state;
    cli_arguments a;
    fr_error error;
    assert_int_equal(LINE("--quiet", "bake", "a.b=1", "--loaves", "7", "oven", "--salt",
                          "--guests=Ann", "c=x=y", "--guests", "Bob", "--flour-kind=rye=best",
                          "./d=e", "--threads=3", "--json"),
                     FR_OK);
    const bake_options *o = a.call.options;
    assert_ptr_equal(a.verb, &verb_bake);
    assert_int_equal(o->loaves, 7);
    assert_true(o->salt);
    assert_string_equal(o->flour_kind, "rye=best");
    assert_int_equal(o->guests.count, 2);
    assert_string_equal(o->guests.items[1], "Bob");
    assert_int_equal(a.call.word_count, 2);
    assert_string_equal(a.call.words[1], "c=x=y");
    assert_int_equal(a.call.operand_count, 2);
    assert_string_equal(a.call.operands[0], "oven");
    assert_string_equal(a.call.operands[1], "./d=e");
    assert_int_equal(a.threads, 3);
    assert_true(a.call.json && a.call.quiet && !a.help && !a.version);
    cli_arguments_free(&a);
}

static void test_two_dashes_end_the_options(void **state)
{
    (void)state;
    cli_arguments a;
    fr_error error;
    assert_int_equal(LINE("rest", "-", "--json", "--", "--quiet", "a=b", "--", "--help"), FR_OK);
    assert_true(a.call.json && !a.call.quiet && !a.help);
    assert_int_equal(a.call.operand_count, 5);
    assert_string_equal(a.call.operands[0], "-");
    assert_string_equal(a.call.operands[1], "--quiet");
    assert_string_equal(a.call.operands[3], "--");
    assert_int_equal(a.call.word_count, 0);
    cli_arguments_free(&a);
    assert_int_equal(LINE("bake", "oven", "--salt=no", "--flour_kind", "-5"), FR_OK);
    assert_false(((bake_options *)a.call.options)->salt);
    assert_string_equal(((bake_options *)a.call.options)->flour_kind, "-5");
    assert_int_equal(((bake_options *)a.call.options)->loaves, 2);
    cli_arguments_free(&a);
    assert_int_equal(LINE("--threads", "2", "rest"), FR_OK);
    assert_ptr_equal(a.verb, &verb_rest);
    cli_arguments_free(&a);
    assert_int_equal(LINE("--version"), FR_OK);
    assert_true(a.version && !a.verb);
    cli_arguments_free(&a);
}

static void test_mistakes_are_told_with_the_nearest_name(void **state)
{
    (void)state;
    assert_refused("unknown verb 'bkae'; did you mean 'bake'?\n`frugal help` lists the verbs",
                   "bkae", NULL, NULL);
    assert_refused("unknown option '--loafs'; did you mean '--loaves'?", "bake", "oven",
                   "--loafs=3");
    assert_refused("unknown option '--flour'; did you mean '--flour-kind'?", "bake", "oven",
                   "--flour=3");
    assert_refused("unknown option '-loaves'; did you mean '--loaves'?", "bake", "oven", "-loaves");
    assert_refused("--loaves needs a value", "bake", "oven", "--loaves");
    assert_refused("--loaves: found '0', expected a whole number, 1 to 100, in loaves", "bake",
                   "oven", "--loaves=0");
    assert_refused("--salt: found 'little', expected true or false", "bake", "oven",
                   "--salt=little");
    assert_refused("--quiet takes no value", "bake", "oven", "--quiet=yes");
    assert_refused("found 0 operands, expected at least 1\nusage: frugal bake OVEN...", "bake",
                   "a=b", NULL);
    assert_refused("unknown option '--loaves'", "rest", "--loaves", NULL);
}

static void test_help_is_given_beside_mistakes(void **state)
{
    (void)state;
    cli_arguments a;
    fr_error error;
    assert_int_equal(LINE("bake", "--nonsense", "--help"), FR_OK);
    assert_true(a.help);
    assert_ptr_equal(a.verb, &verb_bake);
    cli_arguments_free(&a);
}

/* ---- the progress line: standard error goes to `end`, what came out is read from `other` ---- */

static int before, other;
static char written[8192];

static void send_error_to(int end, int reader)
{
    fflush(stderr);
    before = dup(STDERR_FILENO);
    dup2(end, STDERR_FILENO);
    close(end);
    other = reader;
    fcntl(other, F_SETFL, O_NONBLOCK);
}

static const char *what_came(void)
{
    size_t size = 0;
    ssize_t got;
    while ((got = read(other, written + size, sizeof written - 1 - size)) > 0)
        size += (size_t)got;
    written[size] = 0;
    return written;
}

static void end_of_error(void)
{
    dup2(before, STDERR_FILENO);
    close(before);
    close(other);
}

static void send_error_to_a_terminal(unsigned short columns)
{
    int leader = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(leader >= 0 && grantpt(leader) == 0 && unlockpt(leader) == 0);
    int terminal = open(ptsname(leader), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    struct termios raw;
    tcgetattr(terminal, &raw);
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    ioctl(terminal, TIOCSWINSZ, &size);
    setenv("TERM", "xterm", 1);
    send_error_to(terminal, leader);
}

static void send_error_to_a_pipe(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    send_error_to(ends[1], ends[0]);
}

static void assert_came(const char *text)
{
    char copy[sizeof written];
    snprintf(copy, sizeof copy, "%s", what_came());
    if (strcmp(copy, text) != 0) {
        end_of_error();
        fail_msg("came: [%s]\nexpected: [%s]", copy, text);
    }
}

static void test_a_terminal_shows_one_line_redrawn_and_cut(void **state)
{
    (void)state;
    send_error_to_a_terminal(20);
    cli_progress_start(false);
    cli_progress("step %d of 9", 1);
    assert_came("\rstep 1 of 9\x1b[K");
    for (int i = 2; i < 9; i++)
        cli_progress("step %d of 9", i); /* too soon to be drawn */
    assert_came("");
    usleep(110000);
    cli_progress(
        "step 9 of 9: "
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
    assert_came("\rstep 9 of 9: \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\x1b[K");
    cli_message("a message");
    assert_came(
        "\r\x1b[Ka message\n\rstep 9 of 9: \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\x1b[K");
    cli_progress("evaluating");
    assert_came("\revaluating\x1b[K");
    cli_progress("evaluating more");
    cli_progress_done(NULL);
    assert_came("\revaluating more\x1b[K\r\x1b[Kevaluating more\n");
    cli_progress("again");
    cli_progress_done("done in %d s", 3);
    assert_came("\ragain\x1b[K\r\x1b[Kdone in 3 s\n");
    cli_progress("gone");
    cli_progress_done("%s", "");
    assert_came("\rgone\x1b[K\r\x1b[K");
    cli_progress_done(NULL);
    cli_message("end");
    assert_came("end\n");
    end_of_error();
}

static void test_a_pipe_gets_whole_lines_and_few(void **state)
{
    (void)state;
    send_error_to_a_pipe();
    cli_progress_start(false);
    for (int i = 0; i < 1000; i++)
        cli_progress("step %d", i);
    assert_came("step 0\n");
    cli_message("warning: x");
    assert_came("warning: x\n");
    cli_progress_library(NULL, "reading", 0.5);
    cli_progress_library(NULL, "reading", 0.75);
    cli_progress_library(NULL, "counting", -1);
    assert_came("reading: 50 %\ncounting\n");
    cli_progress_done(NULL);
    assert_came("");
    cli_progress("step 1");
    cli_progress("step 2");
    cli_progress_done(NULL);
    assert_came("step 1\nstep 2\n");
    end_of_error();
}

static void test_quiet_means_no_progress_but_messages(void **state)
{
    (void)state;
    send_error_to_a_terminal(80);
    cli_progress_start(true);
    cli_progress("step 1");
    cli_progress_done("done");
    cli_progress_done(NULL);
    assert_came("");
    cli_message("frugal: broken");
    assert_came("frugal: broken\n");
    end_of_error();
}

/* ---- numbers ---- */

static void test_numbers_are_written_with_three_digits(void **state)
{
    (void)state;
    char text[24];
    const struct {
        double value;
        const char *count, *bytes;
    } cases[] = {{0, "0", "0 B"},
                 {7, "7", "7 B"},
                 {999, "999", "999 B"},
                 {999.6, "1.00k", "1.00 kB"},
                 {1234, "1.23k", "1.23 kB"},
                 {45600, "45.6k", "45.6 kB"},
                 {99960, "100k", "100 kB"},
                 {999600, "1.00M", "1.00 MB"},
                 {1.23e6, "1.23M", "1.23 MB"},
                 {45.6e9, "45.6G", "45.6 GB"},
                 {3e21, "3000E", "3000000 PB"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(cli_count_text(cases[i].value, text), cases[i].count);
        assert_string_equal(cli_bytes_text(cases[i].value, text), cases[i].bytes);
    }
    const struct {
        double value;
        const char *text;
    } times[] = {{0, "0.0 s"},       {3.21, "3.2 s"}, {9.96, "10 s"},     {59.4, "59 s"},
                 {59.6, "1m 00s"},   {125, "2m 05s"}, {3599.9, "1h 00m"}, {11220, "3h 07m"},
                 {180000, "2d 02h"}, {-1, "?"},       {NAN, "?"},         {INFINITY, "?"}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        assert_string_equal(cli_seconds_text(times[i].value, text), times[i].text);
}

static void test_a_result_that_is_no_json_is_an_error(void **state)
{
    (void)state;
    fr_error error;
    assert_int_equal(cli_print_json(NULL, &error), FR_NO_MEMORY);
    assert_int_equal(cli_print_json(json_pack("{s:f}", "x", (double)NAN), &error), FR_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_operands_and_words_come_in_any_order),
        cmocka_unit_test(test_two_dashes_end_the_options),
        cmocka_unit_test(test_mistakes_are_told_with_the_nearest_name),
        cmocka_unit_test(test_help_is_given_beside_mistakes),
        cmocka_unit_test(test_a_terminal_shows_one_line_redrawn_and_cut),
        cmocka_unit_test(test_a_pipe_gets_whole_lines_and_few),
        cmocka_unit_test(test_quiet_means_no_progress_but_messages),
        cmocka_unit_test(test_numbers_are_written_with_three_digits),
        cmocka_unit_test(test_a_result_that_is_no_json_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
