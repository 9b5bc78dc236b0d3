/* Decimals against 128-bit integers: the same number in many spellings, and their order. */
#include "replica/decimal.h"
#include "tables.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { SCALE = 12, ROUNDS = 200000 };

/* A number as an integer of 10^-SCALE, and one of its spellings. */
struct number {
    __int128 value;
    char text[96];
};

static __int128 power(int exponent)
{
    __int128 result = 1;
    while (exponent-- > 0)
        result *= 10;
    return result;
}

/* mantissa * 10^exponent, written with the point somewhere, zeros around it, with or without an
 * exponent. */
static struct number any_number(uint64_t *state)
{
    struct number number;
    uint32_t digits = 1 + test_random(state, 9);
    long mantissa = (long)test_random(state, (uint32_t)power((int)digits));
    int exponent = (int)test_random(state, 2 * SCALE - 8) - SCALE;
    bool is_negative = test_random(state, 3) == 0;
    number.value = mantissa * power(exponent + SCALE) * (is_negative ? -1 : 1);
    /* The mantissa with `fraction` of its digits behind the point. */
    int fraction = (int)test_random(state, 6);
    char all[48];
    size_t len = (size_t)snprintf(all, sizeof all, "%.*s%ld", 7, "0000000", mantissa);
    size_t unneeded = test_random(state, 3) ? 7 : 0; /* zeros in front */
    while (unneeded && len - unneeded <= (size_t)fraction)
        unneeded--;
    memmove(all, all + unneeded, len - unneeded + 1);
    len -= unneeded;
    int written = exponent + fraction;
    char tail[16] = "";
    if (written || test_random(state, 2))
        snprintf(tail, sizeof tail, "%c%s%d", test_random(state, 2) ? 'e' : 'E',
                 written >= 0 && test_random(state, 2) ? "+" : "", written);
    snprintf(number.text, sizeof number.text, "%s%.*s%s%s%s%s", is_negative ? "-" : "",
             (int)(len - (size_t)fraction), all, fraction ? "." : "", all + len - fraction,
             fraction && test_random(state, 2) ? "00" : "", tail);
    return number;
}

Test(replica_decimal, equal_numbers_have_equal_bytes_and_the_order_is_theirs)
{
    uint64_t state = 20261123;
    struct arena arena = ARENA_INIT;
    for (int i = 0; i < ROUNDS; i++) {
        struct number a = any_number(&state), b = any_number(&state);
        if (test_random(&state, 3) == 0) {
            /* Neighbours, which random numbers hardly ever are. */
            __int128 wanted = a.value;
            for (int tries = 0; tries < 4 && b.value != wanted; tries++)
                b = any_number(&state);
        }
        arena_clear(&arena);
        struct slice x = decimal_canonical(slice_from_str(a.text), &arena);
        struct slice y = decimal_canonical(slice_from_str(b.text), &arena);
        int order = (a.value > b.value) - (a.value < b.value), got = decimal_cmp(x, y);
        cr_assert_eq((got > 0) - (got < 0), order, "%s and %s: %d", a.text, b.text, got);
        cr_assert_eq(slice_eq(x, y), order == 0, "%s and %s", a.text, b.text);
        struct slice again = decimal_canonical(x, &arena);
        cr_assert(slice_eq(again, x), "%s", a.text);
    }
    arena_release(&arena);
}

Test(replica_decimal, has_one_spelling)
{
    static const char *const cases[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"0.000", "0"},
        {"-0.0e5", "0"},
        {"1.50", "1.5"},
        {"007", "7"},
        {"1e3", "1000"},
        {"1.5e-3", "0.0015"},
        {"-.5", "-0.5"},
        {"5.", "5"},
        {"1e20", "100000000000000000000"},
        {"100e-2", "1"},
        {"+3", "3"},
        {"NaN", "NaN"},
        {"Infinity", "Infinity"},
        {"12e-1", "1.2"},
        {"0e400", "0"},
        {"1E+2", "100"},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice got = decimal_canonical(slice_from_str(cases[i][0]), &arena);
        cr_assert(slice_eq_str(got, cases[i][1]), "%s: %.*s", cases[i][0], SLICE_ARG(got));
    }
    arena_release(&arena);
}

/* As Postgres sorts them. */
Test(replica_decimal, orders_what_is_no_number_and_what_is_long)
{
    static const char *const in_order[] = {
        "-Infinity",
        "-100000000000000000000000000000000000000000000000000001",
        "-99999999999999999999999999999999999999999999999999999",
        "-1.000000000000000000001",
        "-1",
        "-0.99999999999999999999999999",
        "0",
        "0.00000000000000000000000000001",
        "0.1",
        "1",
        "1.00000000000000000000000001",
        "9",
        "10",
        "99999999999999999999999999999999999999999",
        "100000000000000000000000000000000000000000",
        "Infinity",
        "NaN"};
    for (size_t i = 0; i < sizeof in_order / sizeof *in_order; i++) {
        for (size_t j = 0; j < sizeof in_order / sizeof *in_order; j++) {
            int got = decimal_cmp(slice_from_str(in_order[i]), slice_from_str(in_order[j]));
            cr_assert_eq((got > 0) - (got < 0), (i > j) - (i < j), "%s and %s", in_order[i],
                         in_order[j]);
        }
    }
}
