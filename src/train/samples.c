/* samples.c: a hook that lets the model continue a prompt at each evaluation and adds the text to samples.jsonl: how it learns to
   talk, for the report. It reads the weights alone, so a run with it is the same run. */
#include "train/trainer.h"

#include "frugal/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct samples_options {
    fr_strings prompts;
    int64_t max_tokens;
    double temperature, top_p;
} samples_options;

static void defaults(void *options)
{
    *(samples_options *)options =
        (samples_options){.max_tokens = 64, .temperature = 0.8, .top_p = 0.95};
}

static const fr_option options[] = {
    {"prompts", FR_OPTION_STRINGS, offsetof(samples_options, prompts), NULL, 0, 0, NULL,
     "Texts to continue; none: one sample from the beginning of a document."},
    {"max_tokens", FR_OPTION_INT, offsetof(samples_options, max_tokens), "tokens", 1, 1 << 20, NULL,
     "Of each sample, at most."},
    {"temperature", FR_OPTION_FLOAT, offsetof(samples_options, temperature), NULL, 0, 100, NULL,
     "0: greedy."},
    {"top_p", FR_OPTION_FLOAT, offsetof(samples_options, top_p), NULL, 0, 1, NULL,
     "Share of probability drawn from."},
};

typedef struct samples {
    char *path;
    int64_t bytes; /* of the file that belong to the checkpoint */
    const char *const *prompts;
    size_t count;
    fr_buffer *texts; /* of the prompts that are being continued */
} samples;

static const char *const nothing[] = {""};

static bool collect(void *context, int64_t row, const char *text, size_t size)
{
    fr_buffer_append(&((samples *)context)->texts[row], text, size);
    return true;
}

/* fr_generate gives whole characters; a model of bytes may still make some that are none. */
static json_t *text_json(const fr_buffer *text)
{
    json_t *value = json_stringn(text->data ? text->data : "", text->size);
    return value ? value : json_string("(not UTF-8)");
}

static fr_status append(samples *s, const char *line, fr_error *error)
{
    int file = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return fr_fail_errno(error, "open", s->path);
    size_t size = strlen(line);
    fr_status status = FR_OK;
    if (write(file, line, size) != (ssize_t)size || write(file, "\n", 1) != 1)
        status = fr_fail_errno(error, "write", s->path);
    close(file);
    s->bytes += (int64_t)size + 1;
    return status;
}

static fr_status write_samples(const fr_trainer *trainer, samples *s, fr_error *error)
{
    fr_status status = FR_OK;
    for (size_t i = 0; status == FR_OK && i < s->count; i++) {
        json_t *object = json_pack("{s:I, s:s, s:o}", "step", (json_int_t)trainer->position.step,
                                   "prompt", s->prompts[i], "text", text_json(&s->texts[i]));
        char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
        status =
            line ? append(s, line, error) : fr_fail(error, FR_NO_MEMORY, "no memory for a sample");
        free(line);
        json_decref(object);
    }
    return status;
}

static fr_status evaluated(fr_hook *hook, fr_error *error)
{
    samples *s = hook->own;
    const samples_options *o = hook->options;
    fr_trainer *trainer = hook->trainer;
    fr_sampling_options sampling = {0};
    fr_generate_result result;
    fr_status status =
        fr_options_read(&fr_sampling_option_table, &sampling, NULL, false, NULL, error);
    sampling.max_tokens = o->max_tokens;
    sampling.temperature = o->temperature;
    sampling.top_p = o->top_p;
    sampling.seed = trainer->options.seed;
    if (status == FR_OK)
        status = fr_generate(trainer->model, trainer->tokenizer, s->prompts, s->count, &sampling,
                             collect, s, NULL, &result, error);
    /* A signal ends the generation, not the run's bookkeeping: the step's own check saves and stops. */
    if (status == FR_INTERRUPTED)
        status = FR_OK;
    else if (status == FR_OK)
        status = write_samples(trainer, s, error);
    for (size_t i = 0; i < s->count; i++)
        fr_buffer_clear(&s->texts[i]);
    fr_options_free(&fr_sampling_option_table, &sampling);
    fr_trainer_tick(trainer);
    return status;
}

static fr_status init(fr_hook *hook, fr_error *error)
{
    const samples_options *o = hook->options;
    if (!hook->trainer->tokenizer)
        return fr_fail(error, FR_BAD_INPUT,
                       "the hook samples needs a tokenizer: give data.folder or data.tokenizer");
    if (!hook->trainer->domain_count)
        return fr_fail(error, FR_BAD_INPUT,
                       "the hook samples writes at evaluations: give data.held_out");
    samples *s = fr_alloc(sizeof *s, FR_MEMORY_OTHER);
    if (!s)
        return fr_fail(error, FR_NO_MEMORY, "no memory for a hook");
    hook->own = s;
    s->prompts = o->prompts.count ? (const char *const *)o->prompts.items : nothing;
    s->count = o->prompts.count ? o->prompts.count : 1;
    s->texts = fr_alloc_array(s->count, sizeof *s->texts, FR_MEMORY_OTHER);
    s->path = fr_path_join(hook->trainer->folder, "samples.jsonl");
    return s->texts && s->path ? FR_OK : fr_fail(error, FR_NO_MEMORY, "no memory for a hook");
}

static fr_status state(fr_hook *hook, fr_state *tree, fr_error *error)
{
    return fr_state_i64(tree, &((samples *)hook->own)->bytes, 1, error, "samples.bytes");
}

/* Cut what a killed process wrote after its last checkpoint. */
static fr_status begin(fr_hook *hook, fr_error *error)
{
    samples *s = hook->own;
    struct stat info;
    if (stat(s->path, &info) != 0) {
        s->bytes = 0;
        return errno == ENOENT ? FR_OK : fr_fail_errno(error, "open", s->path);
    }
    s->bytes = info.st_size < s->bytes ? info.st_size : s->bytes;
    return truncate(s->path, s->bytes) == 0 ? FR_OK : fr_fail_errno(error, "cut", s->path);
}

static void destroy(fr_hook *hook)
{
    samples *s = hook->own;
    if (!s)
        return;
    for (size_t i = 0; s->texts && i < s->count; i++)
        fr_buffer_free(&s->texts[i]);
    fr_free(s->texts);
    fr_free(s->path);
    fr_free(s);
}

const fr_hook_kind fr_hook_samples = {
    .base = {"samples",
             "Continue prompts at each evaluation, into samples.jsonl.",
             NULL,
             {"hooks.samples", options, sizeof options / sizeof *options, sizeof(samples_options),
              defaults}},
    .init = init,
    .state = state,
    .begin = begin,
    .evaluated = evaluated,
    .destroy = destroy,
};
