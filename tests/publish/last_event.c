#include "publish/last_event.h"

#include <criterion/criterion.h>

static struct hash128 identity_of(const char *event)
{
    struct hash128 identity;
    cr_assert(event_identity(slice_from_str(event), &identity), "%s", event);
    return identity;
}

static bool same(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

#define EVENT(key, value, txid) \
    "{\"type\":\"t\",\"key\":\"" key "\",\"value\":" value \
    ",\"headers\":{\"operation\":\"insert\",\"txid\":\"" txid "\"}}"

Test(last_event, an_event_is_itself_whatever_a_server_does_to_numbers_and_headers)
{
    struct hash128 own = identity_of(EVENT("1", "{\"n\":1.10}", "7"));
    cr_assert(same(own, identity_of(EVENT("1", "{\"n\":1.1}", "7"))));
    cr_assert(same(own, identity_of("{\"type\":\"t\",\"key\":\"\\u0031\",\"value\":{\"n\":1},"
                                    "\"headers\":{\"operation\":\"insert\",\"txid\":\"7\","
                                    "\"offset\":\"0_1\"}}")));
    cr_assert(!same(own, identity_of(EVENT("2", "{\"n\":1.10}", "7"))));
    cr_assert(!same(own, identity_of(EVENT("1", "{\"n\":1.10}", "8"))));
}

Test(last_event, the_last_one_is_found_in_any_tail_that_holds_it)
{
    static const char array[] = "[" EVENT("1", "{}", "7") "," EVENT(
        "2", "{\"s\":\"{\\\"type\\\":\\\"t\\\"\",\"j\":{\"type\":\"t\",\"key\":\"9\"}}",
        "8") "] \n";
    struct hash128 found,
        own = identity_of(EVENT(
            "2", "{\"s\":\"{\\\"type\\\":\\\"t\\\"\",\"j\":{\"type\":\"t\",\"key\":\"9\"}}", "8"));
    size_t begin = (size_t)(strstr(array, ",{\"type\":\"t\",\"key\":\"2\"") - array);
    for (size_t from = 0; from < sizeof array - 1; from++) {
        struct slice tail = slice_of(array + from, sizeof array - 1 - from);
        enum last_event result = last_event_of(tail, &found);
        cr_assert_eq(result, from <= begin + 1 ? LAST_EVENT_FOUND : LAST_EVENT_UNKNOWN, "%zu",
                     from);
        cr_assert(result != LAST_EVENT_FOUND || same(found, own), "%zu", from);
    }
}

Test(last_event, nothing_and_what_is_no_event)
{
    struct hash128 found;
    cr_assert_eq(last_event_of(SLICE("[]"), &found), LAST_EVENT_NONE);
    cr_assert_eq(last_event_of(SLICE(" [ ] "), &found), LAST_EVENT_NONE);
    cr_assert_eq(last_event_of(SLICE(""), &found), LAST_EVENT_UNKNOWN);
    cr_assert_eq(last_event_of(SLICE("[1,2]"), &found), LAST_EVENT_UNKNOWN);
    cr_assert_eq(last_event_of(SLICE("[{\"type\":\"t\",\"key\":1,\"headers\":{}}]"), &found),
                 LAST_EVENT_UNKNOWN);
    cr_assert_eq(last_event_of(SLICE("[{\"type\":\"t\""), &found), LAST_EVENT_UNKNOWN);
}
