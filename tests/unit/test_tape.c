/* test_tape.c: what tensor.h promises of the tape: gradients, several tapes, recomputation, dry
   runs, taps. Operators one by one: tests/numeric/test_gradients.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tensor_helpers.h"
#include "tensor_network.h"

#include <math.h>
#include <stdio.h>

/* ---- gradients ---- */

static void test_backward_twice_adds_and_leaves_what_does_not_train(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *p = make_parameter(3), *fixed = make_parameter(5),
              *x = vector(tape, 1, (float[]){2});
    fixed->requires_grad = false;
    x->requires_grad = true;
    fr_tensor *y = fr_multiply(tape, fr_multiply(tape, x, p), fixed); /* x p f */
    assert_int_equal(fr_tape_backward(tape, y, 1, NULL), FR_OK);
    assert_true(number(p->grad, 0) == 10 && number(x->grad, 0) == 15);
    assert_int_equal(fr_tape_backward(tape, y, 2, NULL), FR_OK);
    assert_true(number(p->grad, 0) == 30 && number(x->grad, 0) == 45);
    assert_true(number(fixed->grad, 0) == 0);
    fr_tape_destroy(tape);
    free_parameter(p);
    free_parameter(fixed);
}

static void test_parameter_without_gradient_memory_is_passed_by(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *p = make_parameter(3), *x = vector(tape, 1, (float[]){2});
    fr_tensor *grad = p->grad;
    p->grad = NULL;
    x->requires_grad = true;
    assert_int_equal(fr_tape_backward(tape, fr_multiply(tape, x, p), 1, NULL), FR_OK);
    assert_null(p->grad);
    assert_true(number(x->grad, 0) == 3);
    p->grad = grad;
    fr_tape_destroy(tape);
    free_parameter(p);
}

static void test_frozen_tape_reaches_inputs_and_leaves_parameters_alone(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_FROZEN);
    fr_tensor *p = make_parameter(3), *x = vector(tape, 1, (float[]){2});
    x->requires_grad = true;
    assert_int_equal(fr_tape_backward(tape, fr_multiply(tape, fr_multiply(tape, x, p), p), 1, NULL),
                     FR_OK);
    assert_true(number(x->grad, 0) == 9);
    assert_true(number(p->grad, 0) == 0);
    fr_error error;
    assert_int_equal(fr_tape_backward(tape, fr_scale(tape, p, 2), 1, &error), FR_WRONG_CALL);
    fr_tape_destroy(tape);
    free_parameter(p);
}

static void test_no_grad_tape_records_nothing(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_NO_GRAD);
    fr_tensor *p = make_parameter(3);
    fr_tensor *y = fr_multiply(tape, p, p);
    assert_false(y->requires_grad);
    assert_null(y->node);
    assert_true(fr_tape_backward_cost(tape).flops == 0);
    assert_false(fr_tape_records(tape));
    fr_error error;
    assert_int_equal(fr_tape_backward(tape, y, 1, &error), FR_WRONG_CALL);
    assert_string_equal(
        error.message,
        "backward: nothing that led to this tensor asks for a gradient on this tape");
    fr_tape_destroy(tape);
    free_parameter(p);
}

static void test_no_grad_tape_holds_results_alone(void **state)
{
    (void)state;
    enum { ROWS = 10000 }; /* mean and rstd would take twice as much as a result of width 1 */
    size_t bytes[2];
    for (int count = 0; count < 2; count++) {
        fr_tape *tape = make_tape(FR_TAPE_NO_GRAD);
        fr_tensor *x = zeros(tape, ROWS, 1), *one = vector(tape, 1, (float[]){1});
        for (int i = 0; i <= count; i++)
            x = fr_layer_norm(tape, x, one, NULL, 1);
        bytes[count] = fr_tape_peak_bytes(tape);
        fr_tape_destroy(tape);
    }
    assert_in_range(bytes[1] - bytes[0], ROWS * sizeof(float), ROWS * sizeof(float) + 4096);
}

static void test_results_give_their_gradients_back_unless_kept(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = vector(tape, 2, (float[]){2, 3});
    x->requires_grad = true;
    fr_tensor *kept = fr_add(tape, x, x), *passed = fr_scale(tape, kept, 3);
    fr_tensor *loss = fr_sum(tape, fr_multiply(tape, passed, kept));
    kept->keeps_grad = true; /* loss = sum 3 kept^2 */
    assert_int_equal(fr_tape_backward(tape, loss, 1, NULL), FR_OK);
    assert_null(passed->grad);
    assert_true(number(kept->grad, 0) == 24 && number(kept->grad, 1) == 36);
    assert_true(number(x->grad, 0) == 48);
    assert_int_equal(fr_tape_backward(tape, loss, 1, NULL), FR_OK);
    assert_true(number(kept->grad, 0) == 24); /* of the latest call */
    assert_true(number(x->grad, 0) == 96);    /* added */
    fr_tape_destroy(tape);
}

static void test_the_same_tensor_twice_gets_both_gradients(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = vector(tape, 2, (float[]){2, 3});
    x->requires_grad = true;
    fr_tensor *square = fr_multiply(tape, x, x), *twice = fr_add(tape, square, square);
    fr_tensor *cat = fr_concat(tape, (fr_tensor *[]){twice, twice, x}, 3, 0);
    assert_int_equal(fr_tape_backward(tape, fr_sum(tape, cat), 1, NULL), FR_OK); /* 4 x^2 + x */
    assert_true(number(x->grad, 0) == 17 && number(x->grad, 1) == 25);
    fr_tape_destroy(tape);

    tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *p = make_parameter(3);
    fr_tensor *gate = fr_swiglu(tape, p, p); /* p^2 sigmoid(p) */
    assert_int_equal(fr_tape_backward(tape, gate, 1, NULL), FR_OK);
    double s = 1 / (1 + exp(-3.0));
    assert_true(fabs((double)number(p->grad, 0) - (6 * s + 9 * s * (1 - s))) < 1e-5);
    fr_tape_destroy(tape);
    free_parameter(p);
}

static void test_views_share_numbers_and_gradients_find_their_way(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = zeros(tape, 4, 3);
    x->requires_grad = true;
    fr_tensor *rows = fr_slice(tape, x, 0, 1, 3),
              *flat = fr_reshape(tape, rows, 1, (int64_t[]){-1});
    assert_ptr_equal(fr_tensor_host(flat), (float *)fr_tensor_host(x) + 3);
    fr_tensor *picked = fr_slice(tape, flat, 0, 5, 6);
    assert_int_equal(fr_tape_backward(tape,
                                      fr_add(tape, fr_scale(tape, picked, 7), fr_sum(tape, rows)),
                                      1, NULL),
                     FR_OK);
    static const float expected[12] = {0, 0, 0, 1, 1, 1, 1, 1, 8, 0, 0, 0};
    assert_memory_equal(fr_tensor_host(x->grad), expected, sizeof expected);
    fr_tape_destroy(tape);
}

static void test_backward_from_starts_with_the_given_gradient(void **state)
{
    (void)state;
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    fr_tensor *x = vector(tape, 2, (float[]){2, 3});
    x->requires_grad = true;
    fr_tensor *y = fr_scale(tape, x, 10), *upstream = vector(tape, 2, (float[]){1, -1});
    assert_int_equal(fr_tape_backward_from(tape, y, upstream, NULL), FR_OK);
    assert_true(number(x->grad, 0) == 10 && number(x->grad, 1) == -10);
    fr_error error;
    assert_int_equal(fr_tape_backward_from(tape, y, zeros(tape, 1, 2), &error), FR_WRONG_CALL);
    assert_string_equal(error.message,
                        "backward: the upstream gradient is f32 (1, 2), f32 (2) expected");
    assert_int_equal(fr_tape_backward(tape, y, 1, &error), FR_WRONG_CALL);
    assert_string_equal(error.message, "backward: the loss has shape (2), one element expected");
    fr_tape_destroy(tape);
}

/* ---- several tapes ---- */

static void test_student_learns_from_a_teacher_on_another_tape(void **state)
{
    (void)state;
    fr_tape *teacher = make_tape(FR_TAPE_NO_GRAD), *student = make_tape(FR_TAPE_TRAIN);
    fr_tensor *t = make_parameter(5), *s = make_parameter(3), *x = vector(student, 1, (float[]){2});
    fr_tensor *target = fr_multiply(teacher, x, t);
    fr_tensor *difference =
        fr_add(student, fr_multiply(student, x, s), fr_scale(student, target, -1));
    fr_tensor *loss = fr_multiply(student, difference, difference); /* (2 s - 10)^2 */
    assert_int_equal(fr_tape_backward(student, loss, 1, NULL), FR_OK);
    assert_true(number(s->grad, 0) == -16);
    assert_true(number(t->grad, 0) == 0);
    fr_tape_destroy(teacher);
    fr_tape_destroy(student);
    free_parameter(t);
    free_parameter(s);
}

static void test_gradient_passes_through_a_frozen_tape_into_another(void **state)
{
    (void)state;
    fr_tape *judge = make_tape(FR_TAPE_FROZEN), *student = make_tape(FR_TAPE_TRAIN);
    fr_tensor *j = make_parameter(5), *s = make_parameter(3);
    fr_tensor *y = fr_multiply(student, s, s);
    for (int pass = 1; pass <= 2; pass++) {
        fr_tape_reset(judge, 0);
        assert_int_equal(fr_tape_backward(judge, fr_multiply(judge, y, j), 1, NULL), FR_OK);
        assert_true(number(y->grad, 0) == 5);
        assert_int_equal(fr_tape_backward_from(student, y, y->grad, NULL), FR_OK);
        assert_true(number(s->grad, 0) == 30 * (float)pass); /* d 5 s^2 */
        assert_null(y->grad);
    }
    assert_true(number(j->grad, 0) == 0);
    fr_error error;
    assert_int_equal(fr_tape_backward(judge, y, 1, &error), FR_WRONG_CALL);
    assert_string_equal(error.message, "backward: the tensor to start from is not of this tape");
    fr_tape_destroy(judge);
    fr_tape_destroy(student);
    free_parameter(j);
    free_parameter(s);
}

/* ---- taps ---- */

typedef struct seen {
    int count;
    char names[16][40];
    float sum;
} seen;

static void look(void *context, const char *name, const fr_tensor *value)
{
    seen *s = context;
    snprintf(s->names[s->count++ % 16], 40, "%s", name);
    s->sum += number(value, 0);
}

static fr_tensor *negate(void *context, fr_tape *tape, const char *name, fr_tensor *value)
{
    (void)context, (void)name;
    return fr_scale(tape, value, -1);
}

static fr_tensor *shorten(void *context, fr_tape *tape, const char *name, fr_tensor *value)
{
    (void)name;
    const int64_t *length = context;
    return fr_slice(tape, value, 1, 0, *length);
}

static void test_taps_show_and_replace_what_happens_inside(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    seen all = {0}, some = {0};
    float plain = number(network_loss(&n, tape, 0), 0);
    assert_int_equal(fr_tape_observe(tape, "*", look, &all, NULL), FR_OK);
    assert_int_equal(fr_tape_observe(tape, "layers.[13].out", look, &some, NULL), FR_OK);
    fr_tape_reset(tape, 0);
    assert_true(number(network_loss(&n, tape, 0), 0) == plain);
    assert_int_equal(all.count, 2 * LAYERS);
    assert_string_equal(all.names[0], "layers.0.attention.out");
    assert_string_equal(all.names[7], "layers.3.out");
    assert_int_equal(some.count, 2);
    assert_string_equal(some.names[1], "layers.3.out");
    assert_int_equal(fr_tape_intervene(tape, "layers.2.out", negate, NULL, NULL), FR_OK);
    fr_tape_reset(tape, 0);
    assert_true(number(network_loss(&n, tape, 0), 0) != plain);
    fr_tape_clear_taps(tape);
    fr_tape_reset(tape, 0);
    assert_true(number(network_loss(&n, tape, 0), 0) == plain);
    assert_int_equal(all.count, 4 * LAYERS);
    fr_tape_destroy(tape);
    network_destroy(&n);
}

static void test_an_intervener_may_shorten_the_sequence(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    int64_t length = 7;
    assert_int_equal(fr_tape_intervene(tape, "layers.1.out", shorten, &length, NULL), FR_OK);
    fr_tensor *x = network_hidden(&n, tape, 0);
    assert_int_equal(x->shape[1], 7);
    network_zero_gradients(&n);
    assert_int_equal(fr_tape_backward(tape, fr_mean(tape, x), 1, NULL), FR_OK);
    fr_tape_destroy(tape);
    network_destroy(&n);
}

static void test_recomputation_shows_each_tap_once_and_intervenes_again(void **state)
{
    (void)state;
    network n;
    network_create(&n, false);
    fr_tape *tape = make_tape(FR_TAPE_TRAIN);
    seen s = {0};
    assert_int_equal(fr_tape_observe(tape, "*", look, &s, NULL), FR_OK);
    assert_int_equal(fr_tape_intervene(tape, "layers.*.out", negate, NULL, NULL), FR_OK);
    uint64_t kept = network_step(&n, tape, 0, NULL, NULL);
    assert_int_equal(s.count, 2 * LAYERS);
    n.recompute = true;
    assert_true(network_step(&n, tape, 0, NULL, NULL) == kept);
    assert_int_equal(s.count, 4 * LAYERS);
    fr_tape_destroy(tape);
    network_destroy(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backward_twice_adds_and_leaves_what_does_not_train),
        cmocka_unit_test(test_parameter_without_gradient_memory_is_passed_by),
        cmocka_unit_test(test_frozen_tape_reaches_inputs_and_leaves_parameters_alone),
        cmocka_unit_test(test_no_grad_tape_records_nothing),
        cmocka_unit_test(test_no_grad_tape_holds_results_alone),
        cmocka_unit_test(test_results_give_their_gradients_back_unless_kept),
        cmocka_unit_test(test_the_same_tensor_twice_gets_both_gradients),
        cmocka_unit_test(test_views_share_numbers_and_gradients_find_their_way),
        cmocka_unit_test(test_backward_from_starts_with_the_given_gradient),
        cmocka_unit_test(test_student_learns_from_a_teacher_on_another_tape),
        cmocka_unit_test(test_gradient_passes_through_a_frozen_tape_into_another),
        cmocka_unit_test(test_taps_show_and_replace_what_happens_inside),
        cmocka_unit_test(test_an_intervener_may_shorten_the_sequence),
        cmocka_unit_test(test_recomputation_shows_each_tap_once_and_intervenes_again),
    };
    return cmocka_run_group_tests_name("tape", tests, NULL, NULL);
}
