/* test_fault.c: attacks on a run: killed at random instants, two processes in one folder, a disk without space, a signal.

   The program starts itself as the process that is attacked: test_fault worker DATA RUN FILE_LIMIT [section.key=value ...].
   FRUGAL_KILLS sets how many kills (5 unless told; by hand 50 and more). A checkpoint is written after every step, so most of the time
   goes into writing them and most kills fall there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static const char *const words[] = {"train.steps=30", "train.checkpoint_every=1",
                                    "train.keep_last=3", "train.eval_every=7", NULL};

/* ---- the process that is attacked ---- */

static void on_signal(int number)
{
    (void)number;
    fr_interrupt_request();
}

static void say(void *context, fr_log_level level, const char *message)
{
    (void)context;
    (void)level;
    fprintf(stderr, "%s\n", message);
}

static int worker(char **arguments)
{
    fr_error error = {0};
    rlim_t limit = (rlim_t)atoll(arguments[2]);
    signal(SIGINT, on_signal);
    signal(SIGXFSZ, SIG_IGN);
    if (limit && setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit}) != 0)
        return 99;
    fr_threads_set(1);
    fr_log_to(say, NULL);
    fr_recipe *recipe = fixture_recipe(arguments[0], (const char *const *)arguments + 3);
    fr_run_options run = {.folder = arguments[1], .resume = true};
    fr_status status = fr_train(recipe, &run, NULL, &error);
    fr_recipe_free(recipe);
    if (status != FR_OK)
        fprintf(stderr, "%s\n", error.message);
    return fr_exit_code(status);
}

/* ---- starting and watching it ---- */

static char *data; /* folder with the shards; run folders are made in it */

static void pause_seconds(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static char *path_of(const char *name)
{
    char *path = fr_path_join(data, name);
    assert_non_null(path);
    return path;
}

/* What the process says goes to the file `stderr` in the data folder. */
static pid_t start(const char *run, const char *limit)
{
    char *said = path_of("stderr");
    const char *arguments[16] = {"/proc/self/exe", "worker", data, run, limit};
    for (int i = 0; words[i]; i++)
        arguments[5 + i] = words[i];
    pid_t child = fork();
    if (child == 0) {
        int file = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(file, STDERR_FILENO);
        execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(98);
    }
    assert_true(child > 0);
    fr_free(said);
    return child;
}

/* Exit code, or -1 when it was killed. */
static int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_said(const char *text)
{
    size_t size;
    char *said = fixture_read(data, "stderr", &size);
    if (!strstr(said, text))
        fail_msg("expected '%s' in: %s", text, said);
    fr_free(said);
}

static void run_to_the_end(const char *run)
{
    int code = wait_for(start(run, "0"));
    if (code != 0) {
        size_t size;
        fail_msg("exit code %d: %s", code, fixture_read(data, "stderr", &size));
    }
}

/* Entries of a folder whose names begin with `begin`. */
static int count_entries(const char *run, const char *name, const char *begin)
{
    char *path = fr_path_join(run, name);
    DIR *directory = opendir(path);
    int count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += strncmp(entry->d_name, begin, strlen(begin)) == 0;
    if (directory)
        closedir(directory);
    fr_free(path);
    return count;
}

static bool is_done(const char *run)
{
    return count_entries(run, "", "summary.json") == 1;
}

/* Wait until at least `count` whole checkpoints have been made, 30 seconds at most. */
static void wait_for_checkpoints(const char *run, int count)
{
    for (int i = 0; i < 3000 && count_entries(run, "checkpoints", "step-") < count; i++)
        pause_seconds(0.01);
    assert_true(count_entries(run, "checkpoints", "step-") >= count);
}

static char *whole; /* the run that nobody attacked, and how long it took */
static double whole_seconds;

static void assert_same_as_whole(const char *run)
{
    static const char *const files[] = {"model/model.safetensors", "model/config.json"};
    for (int i = 0; i < 2; i++) {
        size_t a, b;
        char *expected = fixture_read(whole, files[i], &a),
             *found = fixture_read(run, files[i], &b);
        assert_int_equal(a, b);
        assert_memory_equal(expected, found, a);
        fr_free(expected);
        fr_free(found);
    }
    char *expected = fixture_losses(whole), *found = fixture_losses(run);
    assert_string_equal(expected, found);
    fr_free(expected);
    fr_free(found);
}

static int setup(void **state)
{
    (void)state;
    data = fixture_folder();
    whole = path_of("whole");
    double begin = fr_seconds();
    run_to_the_end(whole);
    whole_seconds = fr_seconds() - begin;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fr_folder_remove(data, NULL);
    fr_free(whole);
    fr_free(data);
    return 0;
}

/* ---- the attacks ---- */

static void test_a_run_killed_at_random_instants_ends_with_the_same_bits(void **state)
{
    (void)state;
    const char *wanted = getenv("FRUGAL_KILLS");
    int kills = wanted && *wanted ? atoi(wanted) : 5, done = 0, in_checkpoint = 0, runs = 0;
    char *run = path_of("killed");
    for (uint64_t i = 0; done < kills; i++) {
        pid_t child = start(run, "0");
        pause_seconds(whole_seconds * 0.7 * fr_random_uniform(17, FR_RANDOM_TEST, 0, i));
        kill(child, SIGKILL);
        if (wait_for(child) == -1)
            done++;
        in_checkpoint += count_entries(run, "checkpoints", ".step-") > 0;
        if (is_done(run)) {
            assert_same_as_whole(run);
            assert_int_equal(fr_folder_remove(run, NULL), FR_OK);
            runs++;
        }
    }
    run_to_the_end(run);
    assert_same_as_whole(run);
    assert_int_equal(count_entries(run, "checkpoints", ".step-"), 0);
    print_message("%d kills over %d runs, %d of them while a checkpoint was written\n", kills,
                  runs + 1, in_checkpoint);
    fr_free(run);
}

static void test_a_second_process_in_the_folder_is_refused(void **state)
{
    (void)state;
    char *run = path_of("shared");
    pid_t first = start(run, "0");
    wait_for_checkpoints(run, 1);
    kill(first, SIGSTOP);
    bool busy = !is_done(run);
    int code = wait_for(start(run, "0"));
    kill(first, SIGCONT);
    assert_true(busy);
    assert_int_equal(code, 2);
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)first);
    assert_said(pid);
    assert_int_equal(wait_for(first), 0);
    assert_same_as_whole(run);
    fr_free(run);
}

static void test_a_signal_saves_and_says_how_to_go_on(void **state)
{
    (void)state;
    char *run = path_of("interrupted");
    pid_t child = start(run, "0");
    wait_for_checkpoints(run, 2);
    kill(child, SIGINT);
    assert_int_equal(wait_for(child), 130);
    assert_said("--resume");
    assert_false(is_done(run));
    run_to_the_end(run);
    assert_same_as_whole(run);
    fr_free(run);
}

static void test_a_full_disk_ends_clearly_and_spares_the_last_checkpoint(void **state)
{
    (void)state;
    char *run = path_of("full");
    pid_t child = start(run, "0");
    wait_for_checkpoints(run, 2);
    kill(child, SIGINT);
    assert_int_equal(wait_for(child), 130);
    int before = count_entries(run, "checkpoints", "step-");
    assert_int_equal(wait_for(start(run, "65536")), 1);
    assert_said("state.safetensors");
    assert_said("the last good checkpoint is");
    assert_int_equal(count_entries(run, "checkpoints", "step-"), before);
    assert_int_equal(count_entries(run, "checkpoints", ".step-"), 0);
    run_to_the_end(run);
    assert_same_as_whole(run);
    fr_free(run);
}

int main(int count, char **arguments)
{
    if (count >= 5 && strcmp(arguments[1], "worker") == 0)
        return worker(arguments + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_killed_at_random_instants_ends_with_the_same_bits),
        cmocka_unit_test(test_a_second_process_in_the_folder_is_refused),
        cmocka_unit_test(test_a_signal_saves_and_says_how_to_go_on),
        cmocka_unit_test(test_a_full_disk_ends_clearly_and_spares_the_last_checkpoint),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
