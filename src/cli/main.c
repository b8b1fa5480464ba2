/* main.c: the program: signals, the command line, the verb, and the one place where an error becomes words and an exit code.

   The first SIGINT, SIGTERM or SIGHUP asks the verb to finish its step and save; a SIGINT after that stops at once, which loses
   nothing that was saved, because files appear whole or not at all. */
#include "cli/arguments.h"
#include "cli/help.h"
#include "cli/version.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_signal(int number)
{
    static const char message[] =
        "\nstopping as soon as all is saved; Ctrl-C again stops at once\n";
    if (fr_interrupted()) {
        if (number == SIGINT)
            _exit(130);
        return;
    }
    fr_interrupt_request();
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
}

/* A standard stream that the caller closed must not become the number of the next file that is opened: what is printed would go into
   it. Its place is taken by something that can be neither read nor written. */
static void hold_streams(void)
{
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++)
        if (fcntl(file, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* The handler runs on a stack of its own: oneDNN's generated matrix products keep data on the stack below where anyone may rely on it, and a
   signal's frame put there makes them write anywhere (seen as a corrupted heap once in some 30 interruptions on a busy machine; with
   a timer's signals in seconds). The kernel gives a process's signals to its first thread, which is this one. */
static void set_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    static char stack[1 << 16];
    bool apart = sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL) == 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = apart ? SA_ONSTACK : 0},
                         before;
        sigemptyset(&action.sa_mask);
        /* Who started us with a signal ignored (nohup, a script's background job) wants it so. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
    /* A closed pipe and a limit on file sizes are errors of write, not ends. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static void log_message(void *context, fr_log_level level, const char *message)
{
    const cli_arguments *a = context;
    char text[1100];
    if (level == FR_LOG_DEBUG ? !getenv("FRUGAL_DEBUG") : level == FR_LOG_INFO && a->call.quiet)
        return;
    snprintf(text, sizeof text, "%s%s", level == FR_LOG_WARNING ? "warning: " : "", message);
    cli_message(text);
}

/* FRUGAL_THREADS must be a number, as --threads must. */
static fr_status set_threads(const cli_arguments *a, fr_error *error)
{
    const char *wanted = getenv("FRUGAL_THREADS");
    int64_t threads = a->threads;
    if (!threads && wanted && *wanted &&
        (fr_parse_count(wanted, &threads, NULL) != FR_OK || threads < 1 || threads > 1024))
        return fr_fail(error, FR_BAD_INPUT,
                       "FRUGAL_THREADS: found '%s', expected a whole number, 1 to 1024", wanted);
    if (threads)
        fr_threads_set((int)threads);
    return FR_OK;
}

static fr_status print_help(const cli_verb *verb, fr_error *error)
{
    fr_buffer out = {0};
    if (verb)
        cli_help_verb(verb, &out);
    else
        cli_help_overview(&out);
    fr_status status = out.failed ? fr_fail(error, FR_NO_MEMORY, "no memory for the help")
                                  : cli_write(out.data, out.size, error);
    fr_buffer_free(&out);
    return status;
}

static fr_status perform(cli_arguments *a, int count, char **words, fr_error *error)
{
    FR_TRY(cli_arguments_read(a, count, words, error));
    if (a->help)
        return print_help(a->verb, error);
    FR_TRY(set_threads(a, error));
    if (a->version)
        return cli_print_version(a->call.json, error);
    if (!a->verb)
        return fr_fail(error, FR_BAD_INPUT,
                       "no verb\nusage: frugal VERB [OPERANDS] [key=value ...] [--options]\n"
                       "`frugal help` lists the verbs");
    cli_progress_start(a->call.quiet);
    fr_status status = a->verb->run(&a->call, error);
    if (status != FR_OK)
        cli_progress_done(NULL);
    return status;
}

/* A thread of GNU's OpenMP that waits for work spins for milliseconds before it sleeps. Where another program wants a processor too,
   that spinning uses up the time slices that the other threads wait for: with one competitor on two processors a training step took
   six times as long as with a short spin, and without one the short spin costs 1 % (bench/train_step). The runtime reads its
   settings once, before main, so the program starts itself again with them. */
static void spin_briefly(char **words)
{
    char path[4096];
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || setenv("GOMP_SPINCOUNT", "1000", 1) != 0)
        return;
    path[length] = 0;
    execv(path, words); /* comes back only when it failed; then the default must do */
}

int main(int count, char **words)
{
    fr_error error = {0};
    cli_arguments a = {0};
    spin_briefly(words);
    hold_streams();
    set_signals();
    fr_log_to(log_message, &a);
    fr_status status = perform(&a, count, words, &error);
    if (status != FR_OK) {
        char text[sizeof error.message + 64];
        const char *said = *error.message ? error.message : "failed without a message";
        snprintf(text, sizeof text, "frugal%s%s: %s", a.verb ? " " : "", a.verb ? a.verb->name : "",
                 said);
        cli_message(text);
    }
    fr_log_to(NULL, NULL);
    cli_arguments_free(&a);
    return fr_exit_code(status);
}
