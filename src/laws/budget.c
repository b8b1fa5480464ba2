/* budget.c: how much may be spent, in the user's words. */
#include "frugal/plan.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct unit {
    const char *name;
    fr_budget_kind kind;
    double factor;
} unit;

/* Letters of size may stand before "flop" and "tok": 3 PFLOP, 10M tokens. */
static const unit units[] = {
    {"s", FR_BUDGET_SECONDS, 1},        {"sec", FR_BUDGET_SECONDS, 1},
    {"seconds", FR_BUDGET_SECONDS, 1},  {"m", FR_BUDGET_SECONDS, 60},
    {"min", FR_BUDGET_SECONDS, 60},     {"minutes", FR_BUDGET_SECONDS, 60},
    {"h", FR_BUDGET_SECONDS, 3600},     {"hours", FR_BUDGET_SECONDS, 3600},
    {"hour", FR_BUDGET_SECONDS, 3600},  {"d", FR_BUDGET_SECONDS, 86400},
    {"days", FR_BUDGET_SECONDS, 86400}, {"day", FR_BUDGET_SECONDS, 86400},
    {"flop", FR_BUDGET_FLOPS, 1},       {"flops", FR_BUDGET_FLOPS, 1},
    {"tok", FR_BUDGET_TOKENS, 1},       {"token", FR_BUDGET_TOKENS, 1},
    {"tokens", FR_BUDGET_TOKENS, 1},
};

static const unit *find_unit(const char *name)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

/* "PFLOP" -> 1e15 and "FLOP"; 1 when there is no letter of size. */
static double size_letter(const char **name)
{
    static const char letters[] = "KMGTPE"; /* in either case: no unit here is smaller than one */
    const char *at = **name ? strchr(letters, toupper((unsigned char)**name)) : NULL;
    bool before_unit =
        strncasecmp(*name + 1, "flop", 4) == 0 || strncasecmp(*name + 1, "tok", 3) == 0;
    if (!at || !before_unit)
        return 1;
    ++*name;
    return pow(1000, (double)(at - letters) + 1);
}

static bool is_currency(const char *name)
{
    static const char *const known[] = {"$", "€", "£", "EUR", "USD", "GBP", "CHF", "JPY"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(known[i], name) == 0)
            return true;
    return false;
}

static fr_status complain(const char *text, fr_error *error)
{
    return fr_fail(error, FR_BAD_INPUT,
                   "budget '%.60s' is not understood; expected a time (90s, 5m, 2h), arithmetic "
                   "(2e15flops, 3PFLOP), "
                   "tokens (10Mtokens) or money (0.50EUR, with --price-per-hour)",
                   text);
}

static fr_status from_money(double amount, double price_per_hour, fr_budget *budget,
                            fr_error *error)
{
    if (!(price_per_hour > 0))
        return fr_fail(
            error, FR_BAD_INPUT,
            "budget '%s' is money; say what an hour of this machine costs: --price-per-hour 0.08",
            budget->text);
    budget->kind = FR_BUDGET_SECONDS;
    budget->amount = amount / price_per_hour * 3600;
    return FR_OK;
}

fr_status fr_budget_parse(const char *text, double price_per_hour, fr_budget *budget,
                          fr_error *error)
{
    *budget = (fr_budget){0};
    snprintf(budget->text, sizeof budget->text, "%s", text);
    while (isspace((unsigned char)*text))
        text++;
    char name[24] = "";
    size_t used = 0;
    while (*text && !isdigit((unsigned char)*text) && !strchr("+-.", *text) &&
           used + 1 < sizeof name)
        if (!isspace((unsigned char)*text++))
            name[used++] = text[-1]; /* a currency in front: $2 */
    bool in_front = used > 0;
    char *end;
    double amount = strtod(text, &end);
    if (end == text || !isfinite(amount))
        return complain(budget->text, error);
    for (; *end && used + 1 < sizeof name; end++)
        if (!isspace((unsigned char)*end))
            name[used++] = *end;
    if (*end || used == 0)
        return complain(budget->text, error);
    if (!(amount > 0))
        return fr_fail(error, FR_BAD_INPUT, "budget '%s' must be more than nothing", budget->text);
    if (is_currency(name))
        return from_money(amount, price_per_hour, budget, error);
    const char *rest = name;
    double size = size_letter(&rest);
    const unit *found = in_front ? NULL : find_unit(rest);
    if (!found)
        return complain(budget->text, error);
    budget->kind = found->kind;
    budget->amount = amount * size * found->factor;
    return FR_OK;
}
