/* tensor_network.c: see tensor_network.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tensor_network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_WIDTH = WIDTH / HEADS, KV_WIDTH = KV_HEADS * HEAD_WIDTH };

static fr_tensor *make(int64_t rows, int64_t columns, bool shape_only)
{
    int64_t shape[] = {rows, columns};
    int rank = columns ? 2 : 1;
    fr_tensor *t = shape_only ? fr_tensor_create_shape(FR_F32, rank, shape)
                              : fr_tensor_create(FR_F32, rank, shape, FR_MEMORY_WEIGHTS);
    assert_non_null(t);
    t->requires_grad = true;
    if (!shape_only) {
        t->grad = fr_tensor_create(FR_F32, rank, shape, FR_MEMORY_GRADIENTS);
        assert_non_null(t->grad);
    }
    return t;
}

void network_create(network *n, bool shape_only)
{
    *n = (network){0};
    for (int layer = 0; layer < LAYERS; layer++) {
        fr_tensor **w = n->weight + layer * WEIGHTS_PER_LAYER;
        w[NORM_1] = make(WIDTH, 0, shape_only);
        w[QKV] = make(WIDTH + 2 * KV_WIDTH, WIDTH, shape_only);
        w[OUT] = make(WIDTH, WIDTH, shape_only);
        w[NORM_2] = make(WIDTH, 0, shape_only);
        w[GATE] = make(HIDDEN, WIDTH, shape_only);
        w[UP] = make(HIDDEN, WIDTH, shape_only);
        w[DOWN] = make(WIDTH, HIDDEN, shape_only);
    }
    n->weight[EMBEDDING] = make(WORDS, WIDTH, shape_only);
    n->weight[FREQUENCIES] = make(HEAD_WIDTH / 2, 0, shape_only);
    n->weight[FREQUENCIES]->requires_grad = false;
    for (int i = 0; i < WEIGHTS && !shape_only; i++) {
        bool norm = i < EMBEDDING && n->weight[i]->rank == 1;
        float *numbers = fr_tensor_host(n->weight[i]);
        int64_t count = fr_tensor_count(n->weight[i]);
        fr_random_fill_normal(numbers, count, 0.2F, 1, FR_RANDOM_TEST, (uint64_t)i);
        for (int64_t j = 0; norm && j < count; j++)
            numbers[j] += 1;
    }
    for (int64_t i = 0; i < HEAD_WIDTH / 2 && !shape_only; i++)
        ((float *)fr_tensor_host(n->weight[FREQUENCIES]))[i] = powf(0.1F, (float)i);
}

void network_destroy(network *n)
{
    for (int i = 0; i < WEIGHTS; i++) {
        fr_tensor_free(n->weight[i]->grad);
        fr_tensor_free(n->weight[i]);
    }
}

void network_zero_gradients(network *n)
{
    for (int i = 0; i < WEIGHTS; i++)
        memset(n->weight[i]->grad->data, 0, fr_tensor_bytes(n->weight[i]->grad));
}

uint64_t network_gradient_hash(const network *n)
{
    uint64_t hash = 14695981039346656037U;
    for (int i = 0; i < WEIGHTS; i++) {
        const unsigned char *bytes = n->weight[i]->grad->data;
        for (size_t j = 0; j < fr_tensor_bytes(n->weight[i]->grad); j++)
            hash = (hash ^ bytes[j]) * 1099511628211U;
    }
    return hash;
}

typedef struct layer_call {
    network *net;
    int layer;
} layer_call;

static fr_tensor *attend(network *n, fr_tape *tape, fr_tensor **w, fr_tensor *x)
{
    fr_tensor *qkv = fr_linear(tape, fr_rms_norm(tape, x, w[NORM_1], 1e-5F), w[QKV], NULL);
    fr_tensor *q = fr_slice(tape, qkv, 2, 0, WIDTH);
    fr_tensor *k = fr_slice(tape, qkv, 2, WIDTH, WIDTH + KV_WIDTH);
    fr_tensor *v = fr_slice(tape, qkv, 2, WIDTH + KV_WIDTH, WIDTH + 2 * KV_WIDTH);
    q = fr_rope(tape, q, NULL, n->weight[FREQUENCIES], HEADS, 1);
    k = fr_rope(tape, k, NULL, n->weight[FREQUENCIES], KV_HEADS, 1);
    fr_attention_options o = {.heads = HEADS, .kv_heads = KV_HEADS, .causal = true};
    return fr_linear(tape, fr_attention(tape, q, k, v, &o, NULL), w[OUT], NULL);
}

static fr_tensor *run_layer(fr_tape *tape, fr_tensor *const *inputs, int count, void *context)
{
    (void)count;
    layer_call *call = context;
    network *n = call->net;
    fr_tensor **w = n->weight + call->layer * WEIGHTS_PER_LAYER;
    fr_tensor *x = inputs[0];
    x = fr_add(tape, x, fr_dropout(tape, attend(n, tape, w, x), n->dropout));
    x = fr_tap(tape, x, "layers.%d.attention.out", call->layer);
    fr_tensor *h = fr_rms_norm(tape, x, w[NORM_2], 1e-5F);
    h = fr_swiglu(tape, fr_linear(tape, h, w[GATE], NULL), fr_linear(tape, h, w[UP], NULL));
    x = fr_add(tape, x, fr_dropout(tape, fr_linear(tape, h, w[DOWN], NULL), n->dropout));
    return fr_tap(tape, x, "layers.%d.out", call->layer);
}

static fr_tensor *words(fr_tape *tape, uint64_t step, int64_t shift)
{
    int32_t ids[BATCH * POSITIONS];
    for (int64_t i = 0; i < BATCH * POSITIONS; i++)
        ids[i] =
            (int32_t)(fr_random_uniform(9, FR_RANDOM_TEST, step, (uint64_t)(i + shift)) * WORDS);
    return fr_tape_input(tape, FR_I32, 2, (int64_t[]){BATCH, POSITIONS}, ids);
}

fr_tensor *network_hidden(network *n, fr_tape *tape, uint64_t step)
{
    static layer_call calls[LAYERS];
    fr_tensor *x = fr_embedding(tape, n->weight[EMBEDDING], words(tape, step, 0));
    for (int layer = 0; layer < LAYERS; layer++) {
        calls[layer] = (layer_call){n, layer};
        x = n->recompute ? fr_recompute(tape, run_layer, &x, 1, &calls[layer])
                         : run_layer(tape, &x, 1, &calls[layer]);
    }
    return x;
}

fr_tensor *network_loss(network *n, fr_tape *tape, uint64_t step)
{
    return fr_linear_cross_entropy(tape, network_hidden(n, tape, step), n->weight[EMBEDDING], NULL,
                                   words(tape, step, 1), NULL, 1.0F / (BATCH * POSITIONS), NULL);
}

uint64_t network_step(network *n, fr_tape *tape, uint64_t number_of_step, float *loss, size_t *peak)
{
    fr_error error;
    fr_tape_reset(tape, number_of_step);
    network_zero_gradients(n);
    fr_tensor *l = network_loss(n, tape, number_of_step);
    if (fr_tape_backward(tape, l, 1, &error) != FR_OK)
        fail_msg("%s", error.message);
    if (loss)
        *loss = *(const float *)fr_tensor_host(l);
    if (peak)
        *peak = fr_tape_peak_bytes(tape);
    return network_gradient_hash(n);
}
