/* rope.c: tables of the rotary position embedding (arXiv 2104.09864): pair i of the R numbers of a
   head that turn goes round by position * theta^(-2i/R).

   Models that were stretched to longer contexts slow the turning down:
       linear    all frequencies by a factor (arXiv 2306.15595)
       dynamic   by a larger theta, which grows with the length of what is read
       yarn      a ramp between the fast pairs, which stay, and the slow ones, which are divided by the
                 factor; what was turned is scaled (arXiv 2309.00071)
       longrope  every pair by its own factor, one list for short texts and one for long ones; what was
                 turned is scaled (arXiv 2402.13753)
       llama3    a ramp over wave lengths against the original context (the Llama 3.1 model's rule)
   transformers' modeling_rope_utils.py writes all of them down, and the arithmetic here is in f32, step by
   step as there: at position 10^5 one last bit of a frequency is a hundredth of a radian.

   dynamic and longrope follow the length, so their frequencies are made for each call (fr_rotary_begin). Keys in a
   cache stay as they were turned when they came, as in transformers; where longrope changes its list, the text is to be
   read anew (fr_model.reread). */
#include "nn/nn.h"

#include <math.h>

const char *const fr_rope_type_names[] = {"default",  "linear", "dynamic", "yarn",
                                          "longrope", "llama3", NULL};

/* The width that the exponents 2i/R count; an odd one turns one number more. */
static int64_t exact_width(const fr_rope_options *o, int64_t head_dim)
{
    return (int64_t)((double)head_dim * o->part);
}

int64_t fr_rope_width(const fr_rope_options *o, int64_t head_dim)
{
    return (exact_width(o, head_dim) + 1) / 2 * 2;
}

static int64_t original_context(const fr_rope_options *o, int64_t context)
{
    return o->original_context ? o->original_context : context;
}

static double factor_of(const fr_rope_options *o, int64_t context)
{
    return o->factor > 0 ? o->factor : (double)context / (double)original_context(o, context);
}

/* ---- checks ---- */

static fr_status refuse(fr_error *error, const fr_rope_options *o, const char *what)
{
    return fr_fail(error, FR_BAD_INPUT, "rotary positions of type %s: %s",
                   fr_rope_type_names[o->type], what);
}

static fr_status check_longrope(const fr_rope_options *o, size_t pairs, fr_error *error)
{
    const fr_floats *const lists[] = {&o->short_factor, &o->long_factor};
    for (int i = 0; i < 2; i++) {
        if (lists[i]->count != pairs)
            return fr_fail(error, FR_BAD_INPUT,
                           "rotary positions of type longrope: %s_factor has %zu numbers, expected "
                           "%zu, one for each pair that turns",
                           i ? "long" : "short", lists[i]->count, pairs);
        for (size_t k = 0; k < pairs; k++)
            if (!(lists[i]->items[k] > 0) || !isfinite(lists[i]->items[k]))
                return refuse(error, o, "a factor is not above 0");
    }
    return FR_OK;
}

fr_status fr_rope_check(const fr_rope_options *o, int64_t head_dim, int64_t context,
                        fr_error *error)
{
    int64_t width = fr_rope_width(o, head_dim);
    bool needs_factor =
        o->type == FR_ROPE_LINEAR || o->type == FR_ROPE_DYNAMIC || o->type == FR_ROPE_LLAMA3;
    if (width > head_dim)
        return refuse(error, o, "the part of a head that turns must be even");
    if (needs_factor && !(o->factor > 0))
        return refuse(error, o, "the factor is missing");
    if (o->type == FR_ROPE_LLAMA3 && o->low_frequency >= o->high_frequency)
        return refuse(error, o, "the low frequency factor is not below the high one");
    if (o->type == FR_ROPE_DYNAMIC && exact_width(o, head_dim) <= 2)
        return refuse(error, o, "more than one pair of a head must turn");
    if (o->type == FR_ROPE_YARN && (o->theta <= 1 || width != exact_width(o, head_dim)))
        return refuse(error, o, "theta must be above 1, and the part that turns even");
    if (o->type == FR_ROPE_LONGROPE && original_context(o, context) < 2)
        return refuse(error, o, "the original context must be above 1");
    return o->type == FR_ROPE_LONGROPE ? check_longrope(o, (size_t)width / 2, error) : FR_OK;
}

/* ---- frequencies ---- */

static float plain(double theta, int64_t pair, int64_t width)
{
    return 1.0f / powf((float)theta, (float)(2 * pair) / (float)width);
}

/* Llama 3's rule for one frequency. */
static float slow_down(float frequency, const fr_rope_options *o, int64_t context)
{
    float original = (float)original_context(o, context), factor = (float)o->factor;
    float low = (float)o->low_frequency, high = (float)o->high_frequency;
    float wave = (float)(2 * M_PI) / frequency;
    if (wave > original / low)
        return frequency / factor;
    if (wave < original / high)
        return frequency;
    float smooth = (original / wave - low) / (high - low);
    return (1 - smooth) * (frequency / factor) + smooth * frequency;
}

/* YaRN's bounds of the ramp: the pair that goes round `turns` times in the original context. */
static double ramp_bound(const fr_rope_options *o, double turns, int64_t width, int64_t context)
{
    double waves = (double)original_context(o, context) / (turns * 2 * M_PI);
    return (double)width * log(waves) / (2 * log(o->theta));
}

static void fill_yarn(float *frequencies, const fr_rope_options *o, int64_t width, int64_t context)
{
    double low = ramp_bound(o, o->beta_fast > 0 ? o->beta_fast : 32, width, context);
    double high = ramp_bound(o, o->beta_slow > 0 ? o->beta_slow : 1, width, context);
    if (o->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)(width - 1));
    if (low == high)
        high += 0.001;
    for (int64_t i = 0; i < width / 2; i++) {
        float fast = plain(o->theta, i, width);
        float slow = 1.0f / ((float)factor_of(o, context) *
                             powf((float)o->theta, (float)(2 * i) / (float)width));
        float ramp = ((float)i - (float)low) / (float)(high - low);
        float keep = 1 - fminf(fmaxf(ramp, 0), 1);
        frequencies[i] = slow * (1 - keep) + fast * keep;
    }
}

/* The theta that `dynamic` takes for a text of `length` positions. */
static double stretched_theta(const fr_rope_options *o, int64_t width, int64_t context,
                              int64_t length)
{
    double by = o->factor * (double)(length > context ? length : context) / (double)context -
                (o->factor - 1);
    return o->theta * pow(by, (double)width / (double)(width - 2));
}

/* R/2 frequencies for reading `length` positions. */
static void fill(float *frequencies, const fr_rotary *rotary, int64_t length)
{
    const fr_rope_options *o = &rotary->options;
    int64_t width = exact_width(o, rotary->head_dim), context = rotary->context;
    const fr_floats *own =
        length > original_context(o, context) ? &o->long_factor : &o->short_factor;
    if (o->type == FR_ROPE_YARN) {
        fill_yarn(frequencies, o, width, context);
        return;
    }
    double theta =
        o->type == FR_ROPE_DYNAMIC ? stretched_theta(o, width, context, length) : o->theta;
    for (int64_t i = 0; i < (width + 1) / 2; i++) {
        frequencies[i] = plain(theta, i, width);
        if (o->type == FR_ROPE_LINEAR)
            frequencies[i] /= (float)o->factor;
        if (o->type == FR_ROPE_LLAMA3)
            frequencies[i] = slow_down(frequencies[i], o, context);
        if (o->type == FR_ROPE_LONGROPE)
            frequencies[i] = 1.0f / ((float)own->items[i] *
                                     powf((float)o->theta, (float)(2 * i) / (float)width));
    }
}

/* ---- scaling ---- */

/* YaRN's factor of attention for a context stretched by `factor`. */
static double stretch_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static double scaling(const fr_rope_options *o, int64_t context)
{
    double factor = factor_of(o, context);
    if (o->type != FR_ROPE_YARN && o->type != FR_ROPE_LONGROPE)
        return 1;
    if (o->attention_factor >= 0)
        return o->attention_factor;
    if (o->type == FR_ROPE_LONGROPE)
        return factor <= 1 ? 1 : sqrt(1 + log(factor) / log((double)original_context(o, context)));
    return o->mscale > 0 && o->mscale_all > 0
               ? stretch_scale(factor, o->mscale) / stretch_scale(factor, o->mscale_all)
               : stretch_scale(factor, 1);
}

/* ---- tables ---- */

fr_status fr_rotary_create(fr_rotary *rotary, const fr_rope_options *options, int64_t head_dim,
                           int64_t context, fr_error *error)
{
    FR_TRY(fr_rope_check(options, head_dim, context, error));
    int64_t pairs = fr_rope_width(options, head_dim) / 2;
    *rotary = (fr_rotary){.options = *options,
                          .head_dim = head_dim,
                          .context = context,
                          .scaling = (float)scaling(options, context),
                          .by_length = options->type == FR_ROPE_DYNAMIC ||
                                       options->type == FR_ROPE_LONGROPE};
    if (!pairs)
        return FR_OK;
    rotary->frequencies = fr_tensor_create(FR_F32, 1, &pairs, FR_MEMORY_WEIGHTS);
    if (!rotary->frequencies)
        return fr_fail(error, FR_NO_MEMORY, "no memory for rotary frequencies");
    fill(fr_tensor_host(rotary->frequencies), rotary, 1);
    return FR_OK;
}

void fr_rotary_free(fr_rotary *rotary)
{
    fr_tensor_free(rotary->frequencies);
    rotary->frequencies = NULL;
}

/* What is read without a cache is as long as its largest position says. */
static int64_t length_of(const fr_tensor *positions, int64_t columns)
{
    const int32_t *places = positions ? fr_tensor_host(positions) : NULL;
    if (!places) /* 0..T-1, or a shape-only tape */
        return columns;
    int64_t length = 1;
    for (int64_t i = 0; i < fr_tensor_count(positions); i++)
        if (places[i] >= length)
            length = (int64_t)places[i] + 1;
    return length;
}

/* Row b's text is as long as the cache then holds, or longer. */
static int64_t cached_length(const fr_cache *cache, int64_t row, int64_t whole)
{
    int64_t length = fr_cache_length(cache, row);
    return length > whole ? length : whole;
}

bool fr_rotary_begin(const fr_rotary *rotary, fr_tape *tape, fr_step *step, int64_t columns,
                     int64_t whole)
{
    step->frequencies = NULL;
    if (!rotary->by_length || !rotary->frequencies)
        return true;
    int64_t pairs = rotary->frequencies->shape[0];
    int64_t rows = step->cache ? fr_cache_rows(step->cache) : 1;
    fr_tensor *table = step->cache ? fr_tape_tensor(tape, FR_F32, 2, (int64_t[]){rows, pairs})
                                   : fr_tape_tensor(tape, FR_F32, 1, &pairs);
    if (!table)
        return false;
    float *frequencies = fr_tensor_host(table);
    for (int64_t b = 0; b < rows && frequencies; b++)
        fill(frequencies + b * pairs, rotary,
             step->cache ? cached_length(step->cache, b, whole)
                         : length_of(step->positions, columns));
    step->frequencies = table;
    return true;
}
