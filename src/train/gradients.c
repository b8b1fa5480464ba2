/* gradients.c: the gradient of a step is the sum over its micro-batches, in one fixed tree over their numbers: neighbours are
   added, then neighbouring pairs, then fours, as a binary counter carries. Which rank computes which part will not change a bit
   of the sum, and rounding grows with the logarithm of their number.

   After micro-batch i the tree holds a partial sum for each set bit of i + 1; so n micro-batches need as many buffers as n - 1
   has bits, and one micro-batch needs none. Buffers are exchanged with the parameters' gradients, never copied. */
#include "kernels/kernels.h"
#include "train/trainer.h"

int fr_gradient_tree_levels(int64_t micro_batches)
{
    int levels = 0;
    for (int64_t n = micro_batches - 1; n > 0; n >>= 1)
        levels++;
    return levels;
}

static bool trains(const fr_parameter *parameter)
{
    return parameter->value->requires_grad && parameter->value->grad;
}

fr_status fr_gradient_tree_init(fr_gradient_tree *tree, fr_model *model, int64_t micro_batches,
                                fr_error *error)
{
    *tree = (fr_gradient_tree){.model = model, .levels = fr_gradient_tree_levels(micro_batches)};
    size_t count = model->parameter_count;
    tree->buffers =
        fr_alloc_array((size_t)tree->levels * count, sizeof *tree->buffers, FR_MEMORY_OTHER);
    bool failed = !tree->buffers;
    for (size_t i = 0; !failed && i < (size_t)tree->levels * count; i++) {
        const fr_tensor *value = model->parameters[i % count]->value;
        if (trains(model->parameters[i % count]))
            failed = !(tree->buffers[i] = fr_tensor_create(FR_F32, value->rank, value->shape,
                                                           FR_MEMORY_GRADIENTS));
    }
    if (!failed)
        return FR_OK;
    fr_gradient_tree_free(tree);
    return fr_fail(error, FR_NO_MEMORY, "no memory to add the gradients of %lld micro-batches",
                   (long long)micro_batches);
}

void fr_gradient_tree_free(fr_gradient_tree *tree)
{
    for (size_t i = 0; tree->buffers && i < (size_t)tree->levels * tree->model->parameter_count;
         i++)
        fr_tensor_free(tree->buffers[i]);
    fr_free(tree->buffers);
    *tree = (fr_gradient_tree){0};
}

/* The parameters' gradients += level's partial sum. */
static void take(fr_gradient_tree *tree, int level)
{
    const fr_kernels *kernels = fr_kernels_get();
    fr_tensor **buffers = tree->buffers + (size_t)level * tree->model->parameter_count;
    for (size_t p = 0; p < tree->model->parameter_count; p++) {
        if (!buffers[p])
            continue;
        float *gradient = fr_tensor_host(tree->model->parameters[p]->value->grad);
        int64_t count = fr_tensor_count(buffers[p]);
        kernels->add(gradient, fr_tensor_host(buffers[p]), gradient, count, count);
    }
    tree->occupied &= ~(1ULL << level);
}

/* The parameters' gradients become level's partial sum. */
static void put(fr_gradient_tree *tree, int level)
{
    fr_tensor **buffers = tree->buffers + (size_t)level * tree->model->parameter_count;
    for (size_t p = 0; p < tree->model->parameter_count; p++) {
        if (!buffers[p])
            continue;
        fr_tensor *value = tree->model->parameters[p]->value, *old = value->grad;
        value->grad = buffers[p];
        buffers[p] = old;
    }
    tree->occupied |= 1ULL << level;
}

void fr_gradient_tree_add(fr_gradient_tree *tree, int64_t number, int64_t count)
{
    int level = 0;
    while (tree->occupied >> level & 1)
        take(tree, level++);
    if (number + 1 < count) {
        put(tree, level);
        return;
    }
    for (; level < tree->levels; level++)
        if (tree->occupied >> level & 1)
            take(tree, level);
}
