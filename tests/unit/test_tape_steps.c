/* test_tape_steps.c: whole steps of a small transformer: recomputation, memory, threads, and the
   dry run that must count the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tensor_helpers.h"
#include "tensor_network.h"

#include <math.h>

/* ---- whole steps ---- */

static void test_recomputation_gives_the_same_bits_with_less_memory(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    n.dropout = 0.1F;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    float kept_loss, again_loss;
    size_t kept_peak, again_peak;
    uint64_t kept = network_step(&n, tape, 5, &kept_loss, &kept_peak);
    n.recompute = true;
    assert_true(network_step(&n, tape, 5, &again_loss, &again_peak) == kept);
    assert_true(again_loss == kept_loss);
    assert_true(again_peak < kept_peak * 2 / 3);
    fr_tape_destroy(tape);
    network_destroy(&n);
}

static fr_tensor *cube_of(fr_tape *tape, fr_tensor *const *in, int count, void *context)
{
    (void)count;
    fr_tensor *p = context;
    return fr_multiply(tape, fr_multiply(tape, fr_multiply(tape, in[0], in[0]), in[0]), p);
}

/* f(f(x)) with f recomputed inside of what is recomputed; p is captured, not an input. */
static fr_tensor *cube_of_cube(fr_tape *tape, fr_tensor *const *in, int count, void *context)
{
    fr_tensor *once = fr_recompute(tape, cube_of, in, count, context);
    return fr_recompute(tape, cube_of, &once, 1, context);
}

static void test_recomputation_nests_and_reaches_captured_tensors(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = vector(tape, 1, (float[]){1.5F}), *source = make_parameter(2);
    x->requires_grad = true;
    fr_tensor *p = fr_scale(tape, source, 1);
    fr_tensor *y = fr_recompute(tape, cube_of_cube, &x, 1, p); /* p (p x^3)^3 = p^4 x^9 */
    assert_true(fabsf(number(y, 0) - 16 * powf(1.5F, 9)) < 1e-3F);
    assert_int_equal(fr_tape_backward(tape, y, 1, NULL), FR_OK);
    assert_true(fabsf(number(x->grad, 0) - 144 * powf(1.5F, 8)) < 1e-2F);
    assert_true(fabsf(number(source->grad, 0) - 32 * powf(1.5F, 9)) < 1e-2F);
    fr_tape_destroy(tape);
    free_parameter(source);
}

static fr_tensor *gives_its_input(fr_tape *tape, fr_tensor *const *in, int count, void *context)
{
    (void)tape, (void)count, (void)context;
    return in[0];
}

static fr_tensor *fails(fr_tape *tape, fr_tensor *const *in, int count, void *context)
{
    (void)count, (void)context;
    return fr_reshape(tape, in[0], 1, (int64_t[]){7});
}

/* The second time it is asked it does something else. */
static fr_tensor *changes_its_mind(fr_tape *tape, fr_tensor *const *in, int count, void *context)
{
    int *calls = context;
    (void)count;
    fr_tensor *y = fr_scale(tape, in[0], 2);
    return (*calls)++ ? fr_concat(tape, (fr_tensor *[]){y, y}, 2, 0) : y;
}

static void test_recomputation_of_odd_functions(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = vector(tape, 1, (float[]){1});
    x->requires_grad = true;
    assert_ptr_equal(fr_recompute(tape, gives_its_input, &x, 1, NULL), x);
    assert_null(fr_recompute(tape, fails, &x, 1, NULL));
    assert_failed(tape, "reshape: (1) cannot become (7)");
    fr_tape_reset(tape, 0);
    x = vector(tape, 1, (float[]){1});
    x->requires_grad = true;
    int calls = 0;
    fr_tensor *y = fr_recompute(tape, changes_its_mind, &x, 1, &calls);
    fr_error error;
    assert_int_equal(fr_tape_backward(tape, y, 1, &error), FR_WRONG_CALL);
    assert_string_equal(error.message, "recompute: the function did something else when run again");
    fr_tape_destroy(tape);
}

static void test_recomputation_frees_memory_without_gradients_too(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    fr_tape *tape = make_tape(FR_TAPE_NO_GRAD);
    float kept = number(network_loss(&n, tape, 1), 0);
    size_t kept_peak = fr_tape_peak_bytes(tape);
    fr_tape_reset(tape, 0);
    n.recompute = true;
    assert_true(number(network_loss(&n, tape, 1), 0) == kept);
    assert_true(fr_tape_peak_bytes(tape) < kept_peak / 2);
    fr_tape_destroy(tape);
    network_destroy(&n);
}

static void test_steady_steps_allocate_nothing(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    n.dropout = 0.1F;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    for (int recompute = 0; recompute < 2; recompute++) {
        n.recompute = recompute;
        network_step(&n, tape, 0, NULL, NULL);
        network_step(&n, tape, 1, NULL, NULL);
        uint64_t before = fr_allocation_count();
        for (uint64_t i = 2; i < 6; i++)
            network_step(&n, tape, i, NULL, NULL);
        assert_int_equal(fr_allocation_count() - before, 0);
    }
    fr_tape_destroy(tape);
    network_destroy(&n);
}

static void test_gradients_do_not_depend_on_threads(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    n.dropout = 0.1F;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    int threads = fr_threads();
    uint64_t hash[3];
    for (int count = 1; count <= 3; count++) {
        fr_threads_set(count);
        hash[count - 1] = network_step(&n, tape, 0, NULL, NULL);
    }
    fr_threads_set(threads);
    assert_true(hash[0] == hash[1] && hash[1] == hash[2]);
    fr_tape_destroy(tape);
    network_destroy(&n);
}

static void test_a_long_chain_needs_two_gradients_at_once(void **state)
{
    (void)state;
    enum { LINKS = 50, SIZE = 300000 };
    size_t forward = 0;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    for (int repeat = 0; repeat < 3; repeat++) {
        fr_tape_reset(tape, 0);
        fr_tensor *x = zeros(tape, 1, SIZE);
        x->requires_grad = true;
        for (int i = 0; i < LINKS; i++)
            x = fr_scale(tape, x, 1);
        x = fr_sum(tape, x);
        forward = fr_tape_peak_bytes(tape);
        assert_int_equal(fr_tape_backward(tape, x, 1, NULL), FR_OK);
        assert_in_range(fr_tape_peak_bytes(tape) - forward, 2 * SIZE * sizeof(float),
                        2 * SIZE * sizeof(float) + 4096);
    }
    fr_tape_destroy(tape);
}

/* ---- dry runs ---- */

static void test_dry_run_counts_what_the_real_run_takes(void **state)
{
    (void)state;
    for (int recompute = 0; recompute < 2; recompute++) {
        network real, dry;
        network_create(&real, false);
        network_create(&dry, true);
        real.recompute = dry.recompute = recompute;
        fr_tape *a = make_tape(FR_TAPE_TRAIN);
        fr_tape *b = fr_tape_create(&(fr_tape_options){.shape_only = true, .training = true}, NULL);
        network_step(&real, a, 0, NULL, NULL);
        fr_tensor *loss = network_loss(&dry, b, 0);
        assert_non_null(loss);
        assert_null(fr_tensor_host(loss));
        assert_int_equal(fr_tape_backward(b, loss, 1, NULL), FR_OK);
        assert_true(fr_tape_forward_cost(a).flops == fr_tape_forward_cost(b).flops);
        assert_true(fr_tape_forward_cost(a).bytes == fr_tape_forward_cost(b).bytes);
        assert_true(fr_tape_backward_cost(a).flops == fr_tape_backward_cost(b).flops);
        assert_true(fr_tape_backward_cost(a).bytes == fr_tape_backward_cost(b).bytes);
        assert_int_equal(fr_tape_peak_bytes(a), fr_tape_peak_bytes(b));
        fr_tape_destroy(a);
        fr_tape_destroy(b);
        network_destroy(&real);
        network_destroy(&dry);
    }
}

static void test_peak_is_what_a_steady_tape_holds(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    size_t before = fr_memory_now(FR_MEMORY_ACTIVATIONS), peak;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    network_step(&n, tape, 0, NULL, NULL);
    network_step(&n, tape, 1, NULL, &peak);
    size_t held = fr_memory_now(FR_MEMORY_ACTIVATIONS) - before;
    assert_in_range(held, peak, peak + 4 * (1 << 20)); /* an arena starts with 1 MiB */
    fr_tape_destroy(tape);
    assert_int_equal(fr_memory_now(FR_MEMORY_ACTIVATIONS), before);
    network_destroy(&n);
}

static void test_dry_run_of_the_enormous_takes_nothing(void **state)
{
    (void)state;
    int64_t w_shape[] = {1 << 20, 1 << 14};
    fr_tensor *w = fr_tensor_create_shape(FR_F32, 2, w_shape);
    w->requires_grad = true;
    fr_tape *tape = fr_tape_create(&(fr_tape_options){.shape_only = true}, NULL);
    size_t before = fr_memory_peak(FR_MEMORY_ACTIVATIONS);
    fr_tensor *x = fr_tape_tensor(tape, FR_F32, 3, (int64_t[]){64, 1 << 13, 1 << 14});
    fr_tensor *y = fr_sum(tape, fr_linear(tape, x, w, NULL));
    assert_int_equal(fr_tape_backward(tape, y, 1, NULL), FR_OK);
    double product = 2.0 * 64 * (1 << 13) * (1 << 14) * (1 << 20);
    assert_true(fr_tape_backward_cost(tape).flops >= product);
    assert_true(fr_tape_backward_cost(tape).flops < 1.001 * product); /* of the weight alone */
    assert_true(fr_tape_peak_bytes(tape) > 4ULL * 64 * (1 << 13) * ((1 << 20) + (1 << 14)));
    assert_true(fr_memory_peak(FR_MEMORY_ACTIVATIONS) - before <= 4 << 20);
    fr_tape_destroy(tape);
    fr_tensor_free(w);
}

static void test_numbers_are_asked_for_on_a_tape_that_computes(void **state)
{
    (void)state;
    int64_t shape[] = {4, 3};
    fr_tensor *w = fr_tensor_create_shape(FR_F32, 2, shape);
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    assert_null(fr_linear(tape, zeros(tape, 2, 3), w, NULL));
    assert_failed(tape, "linear: input 2 has a shape but no numbers, and this tape computes");
    fr_tape_destroy(tape);
    fr_tensor_free(w);
}

static void test_linear_costs_two_flops_per_multiply_and_add(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = zeros(tape, 7, 5), *w = zeros(tape, 3, 5);
    fr_linear(tape, x, w, NULL);
    assert_true(fr_tape_forward_cost(tape).flops == 210);
    assert_true(fr_tape_backward_cost(tape).flops == 0);
    x->requires_grad = true;
    fr_linear(tape, x, w, NULL);
    assert_true(fr_tape_backward_cost(tape).flops == 210);
    w->requires_grad = true;
    fr_linear(tape, x, w, NULL);
    assert_true(fr_tape_backward_cost(tape).flops == 630);
    fr_tape_reset(tape, 1);
    assert_true(fr_tape_forward_cost(tape).flops == 0);
    fr_tape_destroy(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recomputation_gives_the_same_bits_with_less_memory),
        cmocka_unit_test(test_recomputation_nests_and_reaches_captured_tensors),
        cmocka_unit_test(test_recomputation_of_odd_functions),
        cmocka_unit_test(test_recomputation_frees_memory_without_gradients_too),
        cmocka_unit_test(test_steady_steps_allocate_nothing),
        cmocka_unit_test(test_gradients_do_not_depend_on_threads),
        cmocka_unit_test(test_a_long_chain_needs_two_gradients_at_once),
        cmocka_unit_test(test_dry_run_counts_what_the_real_run_takes),
        cmocka_unit_test(test_peak_is_what_a_steady_tape_holds),
        cmocka_unit_test(test_dry_run_of_the_enormous_takes_nothing),
        cmocka_unit_test(test_numbers_are_asked_for_on_a_tape_that_computes),
        cmocka_unit_test(test_linear_costs_two_flops_per_multiply_and_add),
    };
    return cmocka_run_group_tests_name("steps on a tape", tests, NULL, NULL);
}
