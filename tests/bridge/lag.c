#include "bridge/lag.h"

#include <criterion/criterion.h>

Test(lag, nothing_is_known_before_the_first_probe)
{
    struct lag lag = {.sent = 0};
    cr_assert_eq(lag_us(&lag, 1000), 0);
    lag_store(&lag, 1, 1000); /* of nobody */
    cr_assert_eq(lag_us(&lag, 5000), 0);
}

Test(lag, is_what_the_last_probe_took_and_grows_while_one_is_late)
{
    struct lag lag = {.sent = 0};
    uint64_t first = lag_send(&lag, 1000);
    cr_assert_eq(lag_us(&lag, 1700), 700);
    lag_store(&lag, first, 1900);
    cr_assert_eq(lag_us(&lag, 100000), 900);
    uint64_t second = lag_send(&lag, 10000);
    cr_assert_eq(lag_us(&lag, 10500), 900, "it is not late yet");
    cr_assert_eq(lag_us(&lag, 12000), 2000);
    uint64_t third = lag_send(&lag, 20000);
    cr_assert_eq(lag_us(&lag, 21000), 11000, "the oldest counts");
    lag_store(&lag, third, 22000); /* whatever became of the second, this one was behind it */
    cr_assert_eq(lag_us(&lag, 30000), 2000);
    lag_store(&lag, second, 31000);
    cr_assert_eq(lag_us(&lag, 30000), 2000);
}

Test(lag, a_probe_that_was_not_sent_is_not_waited_for)
{
    struct lag lag = {.sent = 0};
    lag_send(&lag, 1000);
    lag_unsend(&lag);
    cr_assert_eq(lag_us(&lag, 900000), 0);
}

Test(lag, many_may_be_under_way)
{
    struct lag lag = {.sent = 0};
    for (uint64_t i = 1; i <= 1000; i++)
        cr_assert_eq(lag_send(&lag, i * 10), i);
    cr_assert_eq(lag_us(&lag, 10000), 10000 - (1000 - LAG_PROBES + 1) * 10);
    lag_store(&lag, 1, 10000); /* nobody knows any more when it was sent */
    lag_store(&lag, 1000, 10100);
    cr_assert_eq(lag_us(&lag, 20000), 100);
}
