/* tape.c: the eager tape: its memory, its errors, and the one function through which every operator
   passes, fr_record.

   A tape owns four arenas. Records (nodes, tensors) and activations (their numbers) grow forward
   and are given back together by fr_tape_reset or, after a recomputed function, by a mark.
   Gradients of activations live in a third, where a used block serves the next gradient of its
   size; their records in a fourth. After the first step each arena is one block, and the steps that
   follow allocate nothing.

   On a shape-only tape records are real, numbers are only counted. */
#include "tensor/tape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- memory ---- */

enum { ALIGNMENT = 64 }; /* as arenas round */

bool fr_region_alloc(fr_tape *tape, fr_region *region, size_t bytes, void **block)
{
    *block = NULL;
    if (bytes > SIZE_MAX / 4 ||
        (region->arena && !(*block = fr_arena_alloc(region->arena, bytes)))) {
        fr_tape_fail(tape, FR_NO_MEMORY, "no memory for %zu more bytes of activations (%zu in use)",
                     bytes, tape->activations.used + tape->gradients.used);
        return false;
    }
    region->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (region->used > region->peak)
        region->peak = region->used;
    return true;
}

fr_region_mark fr_region_get_mark(const fr_region *region)
{
    fr_region_mark mark = {.used = region->used};
    if (region->arena)
        mark.arena = fr_arena_get_mark(region->arena);
    return mark;
}

void fr_region_release(fr_region *region, fr_region_mark mark)
{
    region->used = mark.used;
    if (region->arena)
        fr_arena_release(region->arena, mark.arena);
}

void *fr_tape_record_alloc(fr_tape *tape, size_t bytes)
{
    void *block = NULL;
    if (!fr_region_alloc(tape, &tape->records, bytes, &block) || !block)
        return NULL;
    memset(block, 0, bytes);
    return block;
}

static void region_reset(fr_region *region)
{
    region->used = region->peak = 0;
    if (region->arena)
        fr_arena_reset(region->arena);
}

static bool region_reserve(fr_region *region, const fr_region *planned)
{
    return !region->arena || fr_arena_reserve(region->arena, planned->peak);
}

/* ---- life ---- */

fr_tape *fr_tape_create(const fr_tape_options *options, fr_error *error)
{
    fr_tape *tape = fr_alloc(sizeof *tape, FR_MEMORY_OTHER);
    if (!tape) {
        fr_fail(error, FR_NO_MEMORY, "no memory for a tape");
        return NULL;
    }
    tape->options = *options;
    tape->kernels = fr_kernels_get();
    tape->records.arena = fr_arena_create(FR_MEMORY_ACTIVATIONS);
    tape->gradient_records.arena = fr_arena_create(FR_MEMORY_ACTIVATIONS);
    bool whole = tape->records.arena && tape->gradient_records.arena;
    if (!options->shape_only) {
        tape->activations.arena = fr_arena_create(FR_MEMORY_ACTIVATIONS);
        tape->gradients.arena = fr_arena_create(FR_MEMORY_ACTIVATIONS);
        whole = whole && tape->activations.arena && tape->gradients.arena;
    }
    if (!whole) {
        fr_tape_destroy(tape);
        fr_fail(error, FR_NO_MEMORY, "no memory for a tape");
        return NULL;
    }
    return tape;
}

void fr_tape_destroy(fr_tape *tape)
{
    if (!tape)
        return;
    fr_arena_destroy(tape->records.arena);
    fr_arena_destroy(tape->activations.arena);
    fr_arena_destroy(tape->gradients.arena);
    fr_arena_destroy(tape->gradient_records.arena);
    fr_free(tape->taps);
    fr_free(tape);
}

fr_status fr_tape_reserve(fr_tape *tape, const fr_tape *planned, fr_error *error)
{
    fr_tape_reset(tape, 0);
    if (region_reserve(&tape->records, &planned->records) &&
        region_reserve(&tape->activations, &planned->activations) &&
        region_reserve(&tape->gradients, &planned->gradients) &&
        region_reserve(&tape->gradient_records, &planned->gradient_records))
        return FR_OK;
    return fr_fail(error, FR_NO_MEMORY, "no memory for %zu bytes of activations",
                   fr_tape_peak_bytes(planned));
}

void fr_tape_reset(fr_tape *tape, uint64_t step)
{
    region_reset(&tape->records);
    region_reset(&tape->activations);
    region_reset(&tape->gradients);
    region_reset(&tape->gradient_records);
    tape->unused = NULL;
    tape->last = NULL;
    tape->suspended = tape->replaying = false;
    tape->forward_cost = tape->backward_cost = (fr_cost){0};
    tape->error.status = FR_OK;
    tape->step = step;
    tape->calls = 0;
}

fr_status fr_tape_check(const fr_tape *tape, fr_error *error)
{
    if (tape->error.status == FR_OK)
        return fr_kernels_out_of_memory() /* what they should have written is not there */
                   ? fr_fail(error, FR_NO_MEMORY, "no memory for the workspace of a kernel")
                   : FR_OK;
    return fr_fail(error, tape->error.status, "%s", tape->error.message);
}

fr_tensor *fr_tape_fail(fr_tape *tape, fr_status status, const char *format, ...)
{
    if (tape->error.status == FR_OK) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(tape->error.message, sizeof tape->error.message, format, arguments);
        va_end(arguments);
        tape->error.status = status;
    }
    return NULL;
}

bool fr_tape_is_shape_only(const fr_tape *tape)
{
    return tape->options.shape_only;
}

bool fr_tape_records(const fr_tape *tape)
{
    return tape->options.mode != FR_TAPE_NO_GRAD;
}

fr_tape_mode fr_tape_get_mode(const fr_tape *tape)
{
    return tape->options.mode;
}

bool fr_tape_is_training(const fr_tape *tape)
{
    return tape->options.training;
}

fr_cost fr_tape_forward_cost(const fr_tape *tape)
{
    return tape->forward_cost;
}

fr_cost fr_tape_backward_cost(const fr_tape *tape)
{
    return tape->backward_cost;
}

/* The arenas do not share memory, so each one's peak counts. */
size_t fr_tape_peak_bytes(const fr_tape *tape)
{
    return tape->records.peak + tape->activations.peak + tape->gradients.peak +
           tape->gradient_records.peak;
}

/* ---- tensors on the tape ---- */

fr_tensor *fr_tape_tensor(fr_tape *tape, fr_dtype dtype, int rank, const int64_t *shape)
{
    if (tape->error.status != FR_OK)
        return NULL;
    if (!fr_shape_is_possible(dtype, rank, shape))
        return fr_tape_fail(tape, FR_WRONG_CALL,
                            "a tensor of rank %d with an extent below 1 or too many elements",
                            rank);
    fr_tensor *t = fr_tape_record_alloc(tape, sizeof *t);
    if (!t)
        return NULL;
    *t = (fr_tensor){.dtype = dtype, .rank = rank, .tape = tape};
    memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
    return fr_region_alloc(tape, &tape->activations, fr_tensor_bytes(t), &t->data) ? t : NULL;
}

fr_tensor *fr_tape_input(fr_tape *tape, fr_dtype dtype, int rank, const int64_t *shape,
                         const void *numbers)
{
    fr_tensor *t = fr_tape_tensor(tape, dtype, rank, shape);
    if (t && t->data)
        memcpy(t->data, numbers, fr_tensor_bytes(t));
    return t;
}

/* ---- recording ---- */

bool fr_tape_wants(const fr_tape *tape, const fr_tensor *t)
{
    if (!t || !t->requires_grad || t->dtype != FR_F32)
        return false;
    return tape->options.mode == FR_TAPE_TRAIN ||
           (tape->options.mode == FR_TAPE_FROZEN && t->tape != NULL);
}

static void add_cost(fr_cost *sum, fr_cost cost)
{
    sum->flops += cost.flops;
    sum->bytes += cost.bytes;
}

static bool input_fits(fr_tape *tape, const fr_operator *kind, const fr_tensor *input, int i)
{
    if (input && !input->data && !tape->options.shape_only) {
        fr_tape_fail(tape, FR_WRONG_CALL,
                     "%s: input %d has a shape but no numbers, and this tape computes", kind->name,
                     i + 1);
        return false;
    }
    if (input && fr_dtype_block(input->dtype) > 1 && !kind->reads_blocks) {
        fr_tape_fail(tape, FR_WRONG_CALL, "%s: input %d is stored as %s, which it does not read",
                     kind->name, i + 1, fr_dtype_name(input->dtype));
        return false;
    }
    return true;
}

static fr_node *make_node(fr_tape *tape, const fr_operator *kind, fr_tensor *const *inputs,
                          int count, const void *options)
{
    fr_node *n = fr_tape_record_alloc(tape, sizeof *n);
    fr_tensor *out = fr_tape_record_alloc(tape, sizeof *out);
    fr_operand *in = fr_tape_record_alloc(tape, (size_t)count * sizeof *in);
    void *copy = fr_tape_record_alloc(tape, kind->options_size);
    if (!n || !out || !in || !copy)
        return NULL;
    *n = (fr_node){.kind = kind, .kernels = tape->kernels, .tape = tape, .out = out};
    *out = (fr_tensor){.dtype = FR_F32, .tape = tape};
    n->in = in;
    n->inputs = count;
    if (kind->options_size)
        n->options = memcpy(copy, options, kind->options_size);
    for (int i = 0; i < count; i++) {
        if (!input_fits(tape, kind, inputs[i], i))
            return NULL;
        in[i].tensor = inputs[i];
        in[i].wanted = kind->backward && fr_tape_wants(tape, inputs[i]);
        out->requires_grad = out->requires_grad || in[i].wanted;
    }
    n->recorded = out->requires_grad && !tape->suspended;
    return n;
}

/* Memory for the result: its own, or that of the input whose view it is. */
static bool find_result(fr_node *n)
{
    fr_tape *tape = n->tape;
    if (!n->shares)
        return fr_region_alloc(tape, &tape->activations, fr_tensor_bytes(n->out), &n->out->data);
    n->out->data = n->shares->data ? (char *)n->shares->data + n->offset : NULL;
    return true;
}

/* What is saved lies below the scratch memory, so that the latter can be given back alone. */
static bool compute(fr_node *n)
{
    fr_tape *tape = n->tape;
    fr_region_mark before = fr_region_get_mark(&tape->activations);
    for (int i = 0; i < FR_MAX_SAVED; i++)
        if (n->saved_bytes[i] &&
            !fr_region_alloc(tape, &tape->activations, n->saved_bytes[i], &n->saved[i]))
            return false;
    fr_region_mark saved = fr_region_get_mark(&tape->activations);
    if (n->scratch_bytes &&
        !fr_region_alloc(tape, &tape->activations, n->scratch_bytes, &n->scratch))
        return false;
    if (!tape->options.shape_only && n->kind->forward)
        n->kind->forward(n);
    fr_region_release(&tape->activations, n->recorded ? saved : before);
    return true;
}

fr_tensor *fr_record(fr_tape *tape, const fr_operator *kind, fr_tensor *const *inputs, int count,
                     const void *options)
{
    fr_node *n = tape->error.status == FR_OK ? make_node(tape, kind, inputs, count, options) : NULL;
    if (!n)
        return NULL;
    kind->shape(n);
    if (!find_result(n) || !compute(n))
        return NULL;
    if (!tape->replaying) {
        fr_costs costs = kind->cost(n);
        add_cost(&tape->forward_cost, costs.forward);
        add_cost(&tape->backward_cost, costs.backward);
    }
    if (n->recorded) {
        n->out->node = n;
        n->previous = tape->last;
        tape->last = n;
    }
    return n->out;
}
