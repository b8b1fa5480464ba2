/* test_optim.c: optimizers against their formulas in double, schedules against their definitions, groups, clipping. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frugal/train.h"

#include <math.h>
#include <string.h>

/* ---- a model of a few parameters, without an architecture ---- */

enum { PARAMETERS = 4 };
typedef struct toy {
    fr_model model;
    fr_parameter parameters[PARAMETERS];
    fr_parameter *list[PARAMETERS];
} toy;

static void add(toy *t, int i, const char *name, int rank, int64_t rows, int64_t columns,
                bool matrix, fr_axis first)
{
    int64_t shape[2] = {rank == 2 ? rows : columns, columns};
    t->parameters[i] =
        (fr_parameter){.name = fr_string_copy(name),
                       .value = fr_tensor_create(FR_F32, rank, shape, FR_MEMORY_WEIGHTS),
                       .axes = {first},
                       .matrix = matrix};
    t->parameters[i].value->requires_grad = true;
    t->parameters[i].value->grad = fr_tensor_create(FR_F32, rank, shape, FR_MEMORY_GRADIENTS);
    fr_random_fill_normal(fr_tensor_host(t->parameters[i].value),
                          fr_tensor_count(t->parameters[i].value), 1, 5, FR_RANDOM_TEST,
                          (uint64_t)i);
    t->list[i] = &t->parameters[i];
}

static toy *toy_create(int64_t rows, int64_t columns)
{
    toy *t = fr_alloc(sizeof *t, FR_MEMORY_OTHER);
    add(t, 0, "embedding.weight", 2, 7, 3, false, FR_AXIS_VOCAB);
    add(t, 1, "layers.0.proj.weight", 2, rows, columns, true, FR_AXIS_HIDDEN);
    add(t, 2, "layers.0.proj.bias", 1, 0, columns, false, FR_AXIS_HIDDEN);
    add(t, 3, "lm_head.weight", 2, 7, 3, true, FR_AXIS_VOCAB);
    t->model.parameters = t->list;
    t->model.parameter_count = PARAMETERS;
    return t;
}

static void toy_free(toy *t)
{
    for (int i = 0; i < PARAMETERS; i++) {
        fr_tensor_free(t->parameters[i].value->grad);
        t->parameters[i].value->grad = NULL;
        fr_tensor_free(t->parameters[i].value);
        fr_free(t->parameters[i].name);
    }
    fr_free(t);
}

static void draw_gradients(toy *t, uint64_t step)
{
    for (int i = 0; i < PARAMETERS; i++)
        fr_random_fill_normal(fr_tensor_host(t->parameters[i].value->grad),
                              fr_tensor_count(t->parameters[i].value), 1, 9 + step, FR_RANDOM_TEST,
                              (uint64_t)i);
}

/* The options of a kind, its defaults changed by words name, value, ..., NULL. */
static void *options_of(const char *kind_name, const fr_optimizer_kind **kind,
                        const char *const *changes)
{
    fr_error error = {0};
    *kind = (const fr_optimizer_kind *)fr_registry_find(&fr_optimizers, kind_name);
    assert_non_null(*kind);
    const fr_option_table *table = &(*kind)->base.options;
    void *options = fr_alloc(table->size, FR_MEMORY_OTHER);
    assert_int_equal(fr_options_read(table, options, NULL, false, NULL, &error), FR_OK);
    for (; changes && *changes; changes += 2)
        assert_int_equal(fr_options_set(table, options, changes[0], changes[1], &error), FR_OK);
    return options;
}

static fr_optimizer *make(toy *t, const char *kind_name, const char *const *changes,
                          const fr_group_options *groups, size_t count)
{
    fr_error error = {0};
    const fr_optimizer_kind *kind;
    fr_optimizer *optimizer = NULL;
    void *options = options_of(kind_name, &kind, changes);
    if (fr_optimizer_create(&optimizer, kind, options, &t->model, groups, count, &error) != FR_OK)
        fail_msg("%s", error.message);
    return optimizer;
}

static float *numbers(toy *t, int i)
{
    return fr_tensor_host(t->parameters[i].value);
}

static float *gradient(toy *t, int i)
{
    return fr_tensor_host(t->parameters[i].value->grad);
}

static void update(fr_optimizer *optimizer, double factor, double scale, int64_t step)
{
    fr_error error = {0};
    if (fr_optimizer_step(optimizer, factor, scale, step, &error) != FR_OK)
        fail_msg("%s", error.message);
}

/* ---- AdamW, SGD ---- */

static void test_adamw_follows_its_formula_in_double(void **state)
{
    (void)state;
    const char *const changes[] = {"lr", "0.01", "weight_decay", "0.1", "beta2", "0.99", NULL};
    toy *t = toy_create(33, 18);
    fr_optimizer *optimizer = make(t, "adamw", changes, NULL, 0);
    enum { MOST = 33 * 18, STEPS = 20 };
    static double w[PARAMETERS][MOST], m[PARAMETERS][MOST], v[PARAMETERS][MOST];
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
    for (int p = 0; p < PARAMETERS; p++)
        for (int64_t i = 0; i < fr_tensor_count(t->parameters[p].value); i++)
            w[p][i] = numbers(t, p)[i];
    for (int step = 1; step <= STEPS; step++) {
        double factor = 1.0 / step, scale = 0.5;
        draw_gradients(t, (uint64_t)step);
        for (int p = 0; p < PARAMETERS; p++)
            for (int64_t i = 0; i < fr_tensor_count(t->parameters[p].value); i++) {
                double g = gradient(t, p)[i] * scale,
                       decay = t->parameters[p].value->rank >= 2 ? 0.1 : 0;
                m[p][i] = 0.9 * m[p][i] + 0.1 * g;
                v[p][i] = 0.99 * v[p][i] + 0.01 * g * g;
                double mhat = m[p][i] / (1 - pow(0.9, step)),
                       vhat = v[p][i] / (1 - pow(0.99, step));
                w[p][i] -= 0.01 * factor * (mhat / (sqrt(vhat) + 1e-8) + decay * w[p][i]);
            }
        update(optimizer, factor, scale, step);
    }
    for (int p = 0; p < PARAMETERS; p++)
        for (int64_t i = 0; i < fr_tensor_count(t->parameters[p].value); i++)
            assert_true(fabs(numbers(t, p)[i] - w[p][i]) < 2e-6 * (1 + fabs(w[p][i])));
    fr_optimizer_destroy(optimizer);
    toy_free(t);
}

static void check_sgd(bool nesterov)
{
    const char *const changes[] = {"lr",       "0.05", "weight_decay", "0.01",
                                   "momentum", "0.9",  "nesterov",     nesterov ? "true" : "false",
                                   NULL};
    toy *t = toy_create(5, 4);
    fr_optimizer *optimizer = make(t, "sgd", changes, NULL, 0);
    double w[20], buffer[20] = {0};
    for (int i = 0; i < 20; i++)
        w[i] = numbers(t, 1)[i];
    for (int step = 1; step <= 5; step++) {
        draw_gradients(t, (uint64_t)step);
        for (int i = 0; i < 20; i++) {
            double g = gradient(t, 1)[i] + 0.01 * w[i];
            buffer[i] = 0.9 * buffer[i] + g;
            w[i] -= 0.05 * (nesterov ? g + 0.9 * buffer[i] : buffer[i]);
        }
        update(optimizer, 1, 1, step);
    }
    for (int i = 0; i < 20; i++)
        assert_true(fabs(numbers(t, 1)[i] - w[i]) < 1e-5);
    fr_optimizer_destroy(optimizer);
    toy_free(t);
}

static void test_sgd_follows_its_formula_with_and_without_nesterov(void **state)
{
    (void)state;
    check_sgd(false);
    check_sgd(true);
}

/* ---- Muon ---- */

/* Singular values of the update of the matrix: eigenvalues of its Gram matrix by Jacobi rotations, in double. */
static void singular_values(const double *x, int rows, int columns, double *values)
{
    static double a[64][64];
    bool tall = rows > columns;
    int n = tall ? columns : rows, other = tall ? rows : columns;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i][j] = 0;
            for (int k = 0; k < other; k++)
                a[i][j] += tall ? x[k * columns + i] * x[k * columns + j]
                                : x[i * columns + k] * x[j * columns + k];
        }
    for (int sweep = 0; sweep < 60; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                if (fabs(a[p][q]) < 1e-14)
                    continue;
                double theta = 0.5 * atan2(2 * a[p][q], a[q][q] - a[p][p]), c = cos(theta),
                       s = sin(theta);
                for (int k = 0; k < n; k++) {
                    double kp = a[k][p], kq = a[k][q];
                    a[k][p] = c * kp - s * kq;
                    a[k][q] = s * kp + c * kq;
                }
                for (int k = 0; k < n; k++) {
                    double pk = a[p][k], qk = a[q][k];
                    a[p][k] = c * pk - s * qk;
                    a[q][k] = s * pk + c * qk;
                }
            }
    for (int i = 0; i < n; i++)
        values[i] = sqrt(fmax(0, a[i][i]));
}

/* One step from zero momentum: the update must be close to orthogonal, times the scale. */
static void check_muon(int rows, int columns, const char *scale_name, double scale)
{
    const char *const changes[] = {"lr", "0.1", "weight_decay", "0", "scale", scale_name, NULL};
    toy *t = toy_create(rows, columns);
    fr_optimizer *optimizer = make(t, "muon", changes, NULL, 0);
    double *direction =
               fr_alloc_array((size_t)(rows * columns), sizeof *direction, FR_MEMORY_OTHER),
           values[64];
    for (int i = 0; i < rows * columns; i++)
        direction[i] = numbers(t, 1)[i];
    draw_gradients(t, 1);
    update(optimizer, 1, 1, 1);
    for (int i = 0; i < rows * columns; i++)
        direction[i] = (direction[i] - (double)numbers(t, 1)[i]) / 0.1 / scale;
    singular_values(direction, rows, columns, values);
    for (int i = 0; i < (rows < columns ? rows : columns); i++)
        assert_true(values[i] > 0.6 && values[i] < 1.3);
    fr_free(direction);
    fr_optimizer_destroy(optimizer);
    toy_free(t);
}

static void test_muon_moves_all_singular_values_of_the_update_near_one(void **state)
{
    (void)state;
    check_muon(24, 48, "rms", 0.2 * sqrt(48));
    check_muon(48, 24, "rms", 0.2 * sqrt(48));
    check_muon(48, 24, "original", sqrt(2));
    check_muon(24, 48, "original", 1);
}

static void test_muon_gives_embeddings_heads_and_biases_to_adamw(void **state)
{
    (void)state;
    const char *const muon[] = {"lr", "0.02", "adamw_lr", "0.003", "weight_decay", "0.1", NULL};
    const char *const adamw[] = {"lr", "0.003", "weight_decay", "0.1", NULL};
    toy *a = toy_create(6, 5), *b = toy_create(6, 5);
    fr_optimizer *with_muon = make(a, "muon", muon, NULL, 0),
                 *with_adamw = make(b, "adamw", adamw, NULL, 0);
    assert_int_equal(with_muon->slot_count, 1);
    assert_int_equal(with_muon->fallback->slot_count, 3);
    for (int step = 1; step <= 3; step++) {
        draw_gradients(a, (uint64_t)step);
        draw_gradients(b, (uint64_t)step);
        update(with_muon, 0.5, 1, step);
        update(with_adamw, 0.5, 1, step);
    }
    for (int p = 0; p < PARAMETERS; p++) {
        bool same =
            memcmp(numbers(a, p), numbers(b, p), fr_tensor_bytes(a->parameters[p].value)) == 0;
        assert_int_equal(same, p != 1);
    }
    fr_optimizer_destroy(with_muon);
    fr_optimizer_destroy(with_adamw);
    toy_free(a);
    toy_free(b);
}

/* ---- what all share ---- */

static void test_state_bytes_are_those_that_are_allocated(void **state)
{
    (void)state;
    for (const fr_kind *const *entry = fr_optimizers.entries; *entry; entry++) {
        toy *t = toy_create(16, 24);
        const fr_optimizer_kind *kind;
        void *options = options_of((*entry)->name, &kind, NULL);
        size_t before = fr_memory_now(FR_MEMORY_OPTIMIZER);
        size_t planned = fr_optimizer_state_bytes(kind, options, &t->model) +
                         fr_optimizer_scratch_bytes(kind, options, &t->model);
        fr_optimizer *optimizer = NULL;
        assert_int_equal(fr_optimizer_create(&optimizer, kind, options, &t->model, NULL, 0, NULL),
                         FR_OK);
        assert_int_equal(fr_memory_now(FR_MEMORY_OPTIMIZER) - before, planned);
        assert_true(planned > 0);
        fr_optimizer_destroy(optimizer);
        toy_free(t);
    }
}

static void test_an_update_allocates_nothing(void **state)
{
    (void)state;
    for (const fr_kind *const *entry = fr_optimizers.entries; *entry; entry++) {
        toy *t = toy_create(16, 24);
        fr_optimizer *optimizer = make(t, (*entry)->name, NULL, NULL, 0);
        draw_gradients(t, 1);
        update(optimizer, 1, 1, 1);
        uint64_t before = fr_allocation_count();
        update(optimizer, 1, 1, 2);
        assert_int_equal(fr_allocation_count(), before);
        fr_optimizer_destroy(optimizer);
        toy_free(t);
    }
}

static void test_groups_freeze_and_scale_by_pattern(void **state)
{
    (void)state;
    char embedding[] = "embedding.*", bias[] = "*.bias";
    fr_group_options groups[] = {
        {.match = embedding, .lr_multiplier = 1, .weight_decay = -1, .frozen = true},
        {.match = bias, .lr_multiplier = 0.25, .weight_decay = 0.5}};
    fr_error error = {0};
    toy *t = toy_create(5, 4);
    assert_int_equal(fr_groups_apply(groups, 2, &t->model, &error), FR_OK);
    assert_false(t->parameters[0].value->requires_grad);
    fr_optimizer *optimizer = make(t, "adamw", NULL, groups, 2);
    assert_int_equal(optimizer->slot_count, 3);
    assert_string_equal(optimizer->slots[1].parameter->name, "layers.0.proj.bias");
    assert_true(optimizer->slots[1].lr_multiplier == 0.25 &&
                optimizer->slots[1].weight_decay == 0.5);
    assert_true(optimizer->slots[0].lr_multiplier == 1 && optimizer->slots[0].weight_decay == 0.1);
    fr_optimizer_destroy(optimizer);
    toy_free(t);
}

static void test_a_group_that_matches_nothing_is_refused(void **state)
{
    (void)state;
    char typo[] = "layer.*";
    fr_group_options group = {.match = typo, .lr_multiplier = 1, .weight_decay = -1};
    fr_error error = {0};
    toy *t = toy_create(5, 4);
    assert_int_equal(fr_groups_apply(&group, 1, &t->model, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "layer.*"));
    toy_free(t);
}

static void
test_the_gradient_norm_is_that_of_all_gradients_and_shows_what_is_not_finite(void **state)
{
    (void)state;
    toy *t = toy_create(50, 40);
    draw_gradients(t, 3);
    double sum = 0;
    for (int p = 0; p < PARAMETERS; p++)
        for (int64_t i = 0; i < fr_tensor_count(t->parameters[p].value); i++)
            sum += (double)gradient(t, p)[i] * gradient(t, p)[i];
    double norm = fr_gradient_norm(&t->model);
    assert_true(fabs(norm - sqrt(sum)) < 1e-9 * norm);
    fr_threads_set(1);
    assert_true(norm == fr_gradient_norm(&t->model));
    fr_threads_set(2);
    assert_true(norm == fr_gradient_norm(&t->model));
    gradient(t, 2)[1] = NAN;
    assert_true(!isfinite(fr_gradient_norm(&t->model)));
    toy_free(t);
}

/* ---- schedules ---- */

typedef struct schedule {
    const fr_schedule_kind *kind;
    void *options;
} schedule;

static schedule schedule_of(const char *name, const char *const *changes)
{
    schedule s = {.kind = (const fr_schedule_kind *)fr_registry_find(&fr_schedules, name)};
    assert_non_null(s.kind);
    const fr_option_table *table = &s.kind->base.options;
    s.options = fr_alloc(table->size, FR_MEMORY_OTHER);
    assert_int_equal(fr_options_read(table, s.options, NULL, false, NULL, NULL), FR_OK);
    for (; changes && *changes; changes += 2)
        assert_int_equal(fr_options_set(table, s.options, changes[0], changes[1], NULL), FR_OK);
    return s;
}

static double at(const schedule *s, int64_t step, int64_t steps)
{
    return s->kind->value(s->options, (double)step / (double)steps, step, steps);
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) < 1e-12))
        fail_msg("%.15g is not %.15g", a, b);
}

static void test_every_schedule_warms_up_linearly_from_the_first_step(void **state)
{
    (void)state;
    const char *const by_steps[] = {"warmup_steps", "10", NULL}, *const by_share[] = {"warmup",
                                                                                      "0.1", NULL};
    for (const fr_kind *const *entry = fr_schedules.entries; *entry; entry++) {
        schedule a = schedule_of((*entry)->name, by_steps),
                 b = schedule_of((*entry)->name, by_share);
        for (int step = 0; step < 10; step++) {
            assert_near(at(&a, step, 100), (step + 1) / 10.0);
            assert_near(at(&b, step, 100), (step + 1) / 10.0);
        }
        assert_near(at(&a, 10, 100), 1);
        fr_free(a.options);
        fr_free(b.options);
    }
}

static void test_schedules_follow_their_definitions(void **state)
{
    (void)state;
    const char *const none[] = {"warmup", "0", "final", "0.2", NULL};
    const char *const wsd[] = {"warmup", "0",     "final",  "0.2", "decay",
                               "0.25",   "shape", "linear", NULL};
    const char *const constant[] = {"warmup", "0", NULL};
    schedule l = schedule_of("linear", none), c = schedule_of("cosine", none),
             w = schedule_of("wsd", wsd), k = schedule_of("constant", constant);
    for (int step = 0; step <= 100; step++) {
        double q = step / 100.0;
        assert_near(at(&k, step, 100), 1);
        assert_near(at(&l, step, 100), 1 - 0.8 * q);
        assert_near(at(&c, step, 100), 0.2 + 0.8 * (1 + cos(acos(-1.0) * q)) / 2);
        assert_near(at(&w, step, 100), q <= 0.75 ? 1 : 1 - 0.8 * (q - 0.75) / 0.25);
    }
    fr_free(l.options);
    fr_free(c.options);
    fr_free(w.options);
    fr_free(k.options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw_follows_its_formula_in_double),
        cmocka_unit_test(test_sgd_follows_its_formula_with_and_without_nesterov),
        cmocka_unit_test(test_muon_moves_all_singular_values_of_the_update_near_one),
        cmocka_unit_test(test_muon_gives_embeddings_heads_and_biases_to_adamw),
        cmocka_unit_test(test_state_bytes_are_those_that_are_allocated),
        cmocka_unit_test(test_an_update_allocates_nothing),
        cmocka_unit_test(test_groups_freeze_and_scale_by_pattern),
        cmocka_unit_test(test_a_group_that_matches_nothing_is_refused),
        cmocka_unit_test(
            test_the_gradient_norm_is_that_of_all_gradients_and_shows_what_is_not_finite),
        cmocka_unit_test(test_every_schedule_warms_up_linearly_from_the_first_step),
        cmocka_unit_test(test_schedules_follow_their_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
