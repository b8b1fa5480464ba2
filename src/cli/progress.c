/* progress.c: one line that tells how far the work is, on a terminal, in a pipe and in a log file, and the messages around it.

   On a terminal the line is drawn over itself; everywhere else a line that nobody can overwrite is written only when a new stage
   begins or 15 seconds have passed. A stage is known by how its text begins: up to the first digit or colon. */
#include "cli/cli.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LONGEST = 512 };
static const double redraw_seconds = 0.1, line_seconds = 15;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
    bool quiet, terminal;
    bool drawn; /* a line stands on the terminal, the cursor behind it */
    bool shown; /* the latest text is on the terminal or in the log */
    char text[LONGEST];
    size_t stage; /* bytes of text that name the stage */
    double last;  /* when something was written */
} line;

static void put(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t done = write(STDERR_FILENO, text, size);
        if (done <= 0)
            return; /* nobody to tell */
        text += done;
        size -= (size_t)done;
    }
}

/* Bytes of `text` that fit into `columns`: one column for each code point. */
static size_t fitting(const char *text, size_t columns)
{
    size_t i = 0;
    for (; text[i]; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80 && columns-- == 0)
            break;
    return i;
}

static size_t width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1U : 79;
}

static void draw(void)
{
    char out[LONGEST + 16];
    int length =
        snprintf(out, sizeof out, "\r%.*s\x1b[K", (int)fitting(line.text, width()), line.text);
    put(out, (size_t)length);
    line.drawn = line.shown = true;
    line.last = fr_seconds();
}

static void write_line(const char *text)
{
    char out[LONGEST + 16];
    int length = snprintf(out, sizeof out, "%s%s\n", line.drawn ? "\r\x1b[K" : "", text);
    put(out, (size_t)length < sizeof out ? (size_t)length : sizeof out - 1);
    line.drawn = false;
}

void cli_progress_start(bool quiet)
{
    const char *term = getenv("TERM");
    pthread_mutex_lock(&mutex);
    memset(&line, 0, sizeof line);
    line.quiet = quiet;
    line.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    line.last = -INFINITY;
    pthread_mutex_unlock(&mutex);
}

static void update(const char *text)
{
    size_t stage = strcspn(text, "0123456789:");
    bool new_stage =
        stage != line.stage || strncmp(line.text, text, stage) != 0 || line.last == -INFINITY;
    memcpy(line.text, text, strlen(text) + 1);
    line.stage = stage;
    line.shown = false;
    double waited = fr_seconds() - line.last;
    if (line.terminal) {
        if (waited >= redraw_seconds || new_stage)
            draw();
    } else if (waited >= line_seconds || new_stage) {
        write_line(text);
        line.shown = true;
        line.last = fr_seconds();
    }
}

void cli_progress(const char *format, ...)
{
    char text[LONGEST];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&mutex);
    if (!line.quiet)
        update(text);
    pthread_mutex_unlock(&mutex);
}

void cli_progress_done(const char *format, ...)
{
    char text[LONGEST];
    va_list arguments;
    va_start(arguments, format);
    if (format)
        vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&mutex);
    if (!line.quiet && (format ? *text : *line.text)) {
        if (format || line.terminal || !line.shown)
            write_line(format ? text : line.text);
    } else if (line.drawn)
        put("\r\x1b[K", 4);
    line.drawn = false;
    line.text[0] = 0;
    line.stage = 0;
    line.last = -INFINITY;
    pthread_mutex_unlock(&mutex);
}

void cli_progress_library(void *context, const char *what, double fraction)
{
    (void)context;
    if (fraction >= 0)
        cli_progress("%s: %.0f %%", what, 100 * fmin(fraction, 1));
    else
        cli_progress("%s", what);
}

void cli_message(const char *text)
{
    pthread_mutex_lock(&mutex);
    bool redraw = line.drawn;
    if (redraw)
        put("\r\x1b[K", 4);
    put(text, strlen(text));
    put("\n", 1);
    if (redraw)
        draw();
    pthread_mutex_unlock(&mutex);
}

/* ---- numbers for people ---- */

static const char *scaled(double value, const char *const *units, double step, const char *space,
                          char text[24])
{
    size_t unit = 0;
    while (units[unit + 1] && fabs(value) >= step * 0.9995) {
        value /= step;
        unit++;
    }
    /* Three digits; none behind the point for what is counted one by one. */
    int decimals = unit == 0 ? 0 : fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0;
    snprintf(text, 24, "%.*f%s%s", decimals, value, space, units[unit]);
    return text;
}

const char *cli_count_text(double count, char text[24])
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E", NULL};
    return scaled(count, units, 1000, "", text);
}

const char *cli_bytes_text(double bytes, char text[24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", NULL};
    return scaled(bytes, units, 1000, " ", text);
}

const char *cli_seconds_text(double seconds, char text[24])
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(text, 24, "?");
        return text;
    }
    long long whole = llround(seconds);
    if (seconds < 9.95)
        snprintf(text, 24, "%.1f s", seconds);
    else if (whole < 60)
        snprintf(text, 24, "%lld s", whole);
    else if (whole < 3600)
        snprintf(text, 24, "%lldm %02llds", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(text, 24, "%lldh %02lldm", whole / 3600, whole % 3600 / 60);
    else
        snprintf(text, 24, "%lldd %02lldh", whole / 86400, whole % 86400 / 3600);
    return text;
}
