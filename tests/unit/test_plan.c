/* test_plan.c: budgets in the user's words, and the sizes that they pay for. */
#include "frugal/plan.h"
#include "frugal/train.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect_budget(const char *text, fr_budget_kind kind, double amount)
{
    fr_budget budget;
    fr_error error = {0};
    if (fr_budget_parse(text, 0.5, &budget, &error) != FR_OK)
        fail_msg("%s: %s", text, error.message);
    assert_int_equal(budget.kind, kind);
    assert_true(budget.amount > amount * (1 - 1e-12) && budget.amount < amount * (1 + 1e-12));
    assert_string_equal(budget.text, text);
}

static void test_budgets_are_read_in_the_users_words(void **state)
{
    (void)state;
    expect_budget("90s", FR_BUDGET_SECONDS, 90);
    expect_budget("5m", FR_BUDGET_SECONDS, 300);
    expect_budget("1.5 h", FR_BUDGET_SECONDS, 5400);
    expect_budget("2 days", FR_BUDGET_SECONDS, 172800);
    expect_budget("2e15flops", FR_BUDGET_FLOPS, 2e15);
    expect_budget("3 PFLOP", FR_BUDGET_FLOPS, 3e15);
    expect_budget("3pflop", FR_BUDGET_FLOPS, 3e15);
    expect_budget("10M tokens", FR_BUDGET_TOKENS, 1e7);
    expect_budget("700ktok", FR_BUDGET_TOKENS, 7e5);
    expect_budget("$2", FR_BUDGET_SECONDS, 14400); /* at 0.5 an hour */
    expect_budget("0.25 EUR", FR_BUDGET_SECONDS, 1800);
    expect_budget("€0.25", FR_BUDGET_SECONDS, 1800);
}

static void test_other_words_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",      "5",  "m",      "5x",           "5m5",
                                        "-5m",   "0s", "nan s",  "inf h",        "$",
                                        "2 $ $", "s5", "1e999s", "5mtokensflops"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fr_budget budget;
        fr_error error = {0};
        if (fr_budget_parse(wrong[i], 0.5, &budget, &error) != FR_BAD_INPUT)
            fail_msg("'%s' was taken for a budget", wrong[i]);
        assert_non_null(strstr(error.message, "budget"));
    }
}

static void test_money_needs_a_price(void **state)
{
    (void)state;
    fr_budget budget;
    fr_error error = {0};
    assert_int_equal(fr_budget_parse("2 EUR", 0, &budget, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "--price-per-hour"));
}

static const fr_machine machine = {
    .threads = 2, .isa = "v3", .gemm_flops = 2e11, .stream_bytes = 3e10};

static fr_sizing choose(fr_budget_kind kind, double amount, int64_t text_tokens, size_t memory)
{
    fr_sizing_request request = {{kind, amount, "test"}, &machine, text_tokens, 4096, memory};
    fr_sizing sizing;
    fr_error error = {0};
    if (fr_sizing_choose(&request, &sizing, &error) != FR_OK)
        fail_msg("%s", error.message);
    return sizing;
}

static void test_more_budget_never_buys_a_smaller_model(void **state)
{
    (void)state;
    int64_t last = 0, first = 0;
    for (double seconds = 10; seconds < 1e6; seconds *= 2) {
        fr_sizing s = choose(FR_BUDGET_SECONDS, seconds, 1000000000, (size_t)1 << 40);
        assert_true(s.parameters >= last);
        assert_true(s.tokens > 0 && s.steps > 0 && s.reason[0]);
        last = s.parameters;
        first = first ? first : last;
    }
    assert_true(last > 20 * first);
}

static void test_memory_bounds_the_size(void **state)
{
    (void)state;
    fr_sizing large = choose(FR_BUDGET_SECONDS, 1e6, 1000000000, (size_t)1 << 40);
    fr_sizing small = choose(FR_BUDGET_SECONDS, 1e6, 1000000000, (size_t)1 << 30);
    assert_true(small.parameters < large.parameters);
    assert_true(16 * small.parameters < (int64_t)1 << 30);
    assert_non_null(strstr(small.reason, "memory"));
}

static void test_arithmetic_and_tokens_are_budgets_too(void **state)
{
    (void)state;
    fr_sizing flops = choose(FR_BUDGET_FLOPS, 1e13, 1000000000, (size_t)1 << 40);
    assert_true(flops.flops == 1e13);
    fr_sizing tokens = choose(FR_BUDGET_TOKENS, 5e6, 1000000000, (size_t)1 << 40);
    assert_true(tokens.tokens > 4.999e6 && tokens.tokens < 5.001e6);
}

static void test_a_budget_for_nothing_is_refused(void **state)
{
    (void)state;
    fr_sizing_request request = {
        {FR_BUDGET_SECONDS, 1e-3, "1ms"}, &machine, 1000000, 4096, 1 << 30};
    fr_sizing sizing;
    fr_error error = {0};
    assert_int_equal(fr_sizing_choose(&request, &sizing, &error), FR_BAD_INPUT);
    assert_non_null(strstr(error.message, "1ms is too small"));
}

/* What is promised about a recipe: `frugal train` takes it, and its model is the one that was counted. */
static void test_the_recipe_describes_the_model_that_was_counted(void **state)
{
    (void)state;
    for (double seconds = 20; seconds < 2e4; seconds *= 5) {
        fr_sizing s = choose(FR_BUDGET_SECONDS, seconds, 1000000000, (size_t)1 << 40);
        fr_budget training = {FR_BUDGET_SECONDS, seconds, "test"};
        fr_buffer text = {0};
        fr_recipe *recipe = NULL;
        fr_train_plan plan;
        fr_error error = {0};
        fr_sizing_write_recipe(&s, &training, NULL, 1, &text);
        assert_int_equal(fr_recipe_parse(&recipe, text.data, text.size, "chosen", &error), FR_OK);
        assert_int_equal(fr_recipe_set(recipe, "model.vocab_size", "4096", &error), FR_OK);
        if (fr_train_plan_make(recipe, s.flops_per_second, &plan, &error) != FR_OK)
            fail_msg("%s", error.message);
        assert_int_equal(plan.parameters, s.parameters);
        assert_int_equal(plan.tokens_per_step, s.length * s.micro_batch * s.accumulation);
        double flops_per_token = plan.flops_per_step / (double)plan.tokens_per_step;
        assert_true(flops_per_token > 0.95 * s.flops_per_token &&
                    flops_per_token < 1.05 * s.flops_per_token);
        fr_recipe_free(recipe);
        fr_buffer_free(&text);
    }
}

static void test_a_folder_with_odd_letters_survives_the_recipe(void **state)
{
    (void)state;
    fr_sizing s = choose(FR_BUDGET_SECONDS, 60, 1000000, (size_t)1 << 40);
    fr_budget training = {FR_BUDGET_SECONDS, 60, "test"};
    fr_buffer text = {0};
    fr_recipe *recipe = NULL;
    fr_train_data_options data = {0};
    fr_error error = {0};
    const char *folder = "a \"b\" \\c: #d/é";
    fr_sizing_write_recipe(&s, &training, folder, 1, &text);
    assert_int_equal(fr_recipe_parse(&recipe, text.data, text.size, "chosen", &error), FR_OK);
    assert_int_equal(fr_options_read(&fr_train_data_option_table, &data,
                                     fr_recipe_section(recipe, "data"), false, NULL, &error),
                     FR_OK);
    assert_string_equal(data.folder, folder);
    fr_options_free(&fr_train_data_option_table, &data);
    fr_recipe_free(recipe);
    fr_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budgets_are_read_in_the_users_words),
        cmocka_unit_test(test_other_words_are_refused),
        cmocka_unit_test(test_money_needs_a_price),
        cmocka_unit_test(test_more_budget_never_buys_a_smaller_model),
        cmocka_unit_test(test_memory_bounds_the_size),
        cmocka_unit_test(test_arithmetic_and_tokens_are_budgets_too),
        cmocka_unit_test(test_a_budget_for_nothing_is_refused),
        cmocka_unit_test(test_the_recipe_describes_the_model_that_was_counted),
        cmocka_unit_test(test_a_folder_with_odd_letters_survives_the_recipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
