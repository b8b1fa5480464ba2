/* schedules.c: the learning rate over a phase, as a factor of its peak: a warm-up, then one of four shapes.

   Warm-up rises linearly: step i of n warm-up steps gets (i + 1) / n, so that the first step does something; given as a fraction of
   the run it does the same by progress, which for a timed run is elapsed time. After it, q goes from 0 to 1 through what is left:

     constant   1
     linear     1 - (1 - final) q
     cosine     final + (1 - final) (1 + cos(pi q)) / 2                       Loshchilov and Hutter, arXiv 1608.03983
     wsd        1 until the last `decay` of the run, then down to final       Hu et al., arXiv 2404.06395 (warm-up, stable, decay);
                in the chosen shape; `sqrt` is 1 - sqrt(q)                    Haegele et al., arXiv 2405.18392 */
#include "optim/optim.h"

#include <math.h>

typedef struct warm_up {
    int64_t steps;
    double fraction;
} warm_up;

typedef struct schedule_options {
    warm_up warm_up;
    double final;
    double decay;
    int shape;
} schedule_options;

enum { SHAPE_LINEAR, SHAPE_COSINE, SHAPE_SQRT };
static const char *const shapes[] = {"linear", "cosine", "sqrt", NULL};

static void defaults(void *options)
{
    *(schedule_options *)options = (schedule_options){
        .warm_up = {.fraction = 0.02}, .final = 0.1, .decay = 0.2, .shape = SHAPE_SQRT};
}

#define WARM_UP_OPTIONS                                                                            \
    {"warmup_steps", FR_OPTION_INT, offsetof(schedule_options, warm_up.steps), "steps", 0,         \
     1e15,           NULL,          "Steps of linear warm-up; 0: by warmup."},                     \
    {                                                                                              \
        "warmup", FR_OPTION_FLOAT, offsetof(schedule_options, warm_up.fraction), "of the phase",   \
            0, 1, NULL, "Fraction of the phase that is warm-up."                                   \
    }

#define FINAL_OPTION                                                                               \
    {                                                                                              \
        "final", FR_OPTION_FLOAT, offsetof(schedule_options, final), "of the peak", 0, 1, NULL,    \
            "Factor at the end."                                                                   \
    }

static const fr_option constant_options[] = {WARM_UP_OPTIONS};
static const fr_option ending_options[] = {WARM_UP_OPTIONS, FINAL_OPTION};
static const fr_option wsd_options[] = {
    WARM_UP_OPTIONS,
    FINAL_OPTION,
    {"decay", FR_OPTION_FLOAT, offsetof(schedule_options, decay), "of the phase", 0, 1, NULL,
     "Fraction of the phase, at its end, in which the rate falls."},
    {"shape", FR_OPTION_CHOICE, offsetof(schedule_options, shape), NULL, 0, 0, shapes,
     "How it falls."},
};

/* The factor while warming up, or -1 and *q in 0..1 through what follows. */
static double warming(const warm_up *w, double progress, int64_t step, int64_t steps, double *q)
{
    *q = 0;
    double share = w->fraction, one = steps > 0 ? 1 / (double)steps : 0;
    if (w->steps > 0) {
        share = fmin(1, (double)w->steps * one);
        if (step < w->steps)
            return (double)(step + 1) / (double)w->steps;
    } else if (progress < share) {
        return fmin(1, (progress + one) / share);
    }
    *q = share < 1 ? fmin(1, fmax(0, (progress - share) / (1 - share))) : 1;
    return -1;
}

static double fall(int shape, double final, double q)
{
    static const double pi = 3.14159265358979323846;
    double left = shape == SHAPE_COSINE ? (1 + cos(pi * q)) / 2
                  : shape == SHAPE_SQRT ? 1 - sqrt(q)
                                        : 1 - q;
    return final + (1 - final) * left;
}

static double constant(const void *options, double progress, int64_t step, int64_t steps)
{
    const schedule_options *o = options;
    double q, factor = warming(&o->warm_up, progress, step, steps, &q);
    return factor >= 0 ? factor : 1;
}

static double linear(const void *options, double progress, int64_t step, int64_t steps)
{
    const schedule_options *o = options;
    double q, factor = warming(&o->warm_up, progress, step, steps, &q);
    return factor >= 0 ? factor : fall(SHAPE_LINEAR, o->final, q);
}

static double cosine(const void *options, double progress, int64_t step, int64_t steps)
{
    const schedule_options *o = options;
    double q, factor = warming(&o->warm_up, progress, step, steps, &q);
    return factor >= 0 ? factor : fall(SHAPE_COSINE, o->final, q);
}

static double wsd(const void *options, double progress, int64_t step, int64_t steps)
{
    const schedule_options *o = options;
    double q, factor = warming(&o->warm_up, progress, step, steps, &q);
    if (factor >= 0)
        return factor;
    double begin = 1 - o->decay;
    return progress <= begin || o->decay <= 0
               ? 1
               : fall(o->shape, o->final, fmin(1, (progress - begin) / o->decay));
}

#define TABLE(name, options)                                                                       \
    {                                                                                              \
        name, options, sizeof(options) / sizeof *(options), sizeof(schedule_options), defaults     \
    }

const fr_schedule_kind fr_schedule_constant = {
    {"constant", "The peak rate throughout.", NULL, TABLE("schedule.constant", constant_options)},
    constant};
const fr_schedule_kind fr_schedule_linear = {{"linear", "A straight line down to the final factor.",
                                              NULL, TABLE("schedule.linear", ending_options)},
                                             linear};
const fr_schedule_kind fr_schedule_cosine = {{"cosine", "Half a cosine down to the final factor.",
                                              "arXiv 1608.03983",
                                              TABLE("schedule.cosine", ending_options)},
                                             cosine};
const fr_schedule_kind fr_schedule_wsd = {
    {"wsd", "Warm-up, a stable plateau, and a decay at the end.", "arXiv 2404.06395, 2405.18392",
     TABLE("schedule.wsd", wsd_options)},
    wsd};
