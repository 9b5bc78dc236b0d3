#include "server/internal.h"

#include <criterion/criterion.h>

Test(parse, offsets)
{
    uint64_t position = 7;
    char text[OFFSET_TEXT_SIZE];
    format_offset(1234567890, text);
    cr_expect_str_eq(text, "0000000000000000_0000001234567890");
    cr_expect_eq(parse_offset(slice_from_str(text), &position), OFFSET_POSITION);
    cr_expect_eq(position, 1234567890);
    cr_expect_eq(parse_offset(SLICE("-1"), &position), OFFSET_START);
    cr_expect_eq(parse_offset(SLICE("now"), &position), OFFSET_NOW);
    cr_expect_eq(parse_offset(SLICE("9999999999999999_9999999999999999"), &position),
                 OFFSET_POSITION);
    cr_expect_eq(position, UINT64_MAX);
    static const char *const bad[] = {"",
                                      "0",
                                      "-2",
                                      "NOW",
                                      "0000000000000000-0000000000000000",
                                      "0000000000000000_000000000000000",
                                      "0000000000000000_00000000000000000",
                                      "0000000000000000_000000000000000x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(parse_offset(slice_from_str(bad[i]), &position), OFFSET_INVALID, "%s", bad[i]);
}

Test(parse, whole_numbers)
{
    uint64_t number;
    cr_expect(parse_whole_number(SLICE("0"), &number) && number == 0);
    cr_expect(parse_whole_number(SLICE("9007199254740991"), &number));
    cr_expect_eq(number, 9007199254740991);
    static const char *const bad[] = {"",
                                      "00",
                                      "01",
                                      "+1",
                                      "-1",
                                      "1.0",
                                      "1e3",
                                      " 1",
                                      "1 ",
                                      "9007199254740992",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(!parse_whole_number(slice_from_str(bad[i]), &number), "%s", bad[i]);
}

Test(parse, times)
{
    static const struct {
        const char *text;
        int64_t wall_ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T20:58:21.123Z", 1795467501123},
        {"2026-11-23T20:58:21.1234567Z", 1795467501123},
        {"2026-11-23t22:58:21+02:00", 1795467501000},
        {"2026-11-23T15:28:21.5-05:30", 1795467501500},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2016-12-31T23:59:60Z", 1483228800000},
    };
    static const char *const bad[] = {"",
                                      "soon",
                                      "2026-11-23",
                                      "2026-11-23T20:58Z",
                                      "2026-11-23T20:58:21",
                                      "2026-13-01T00:00:00Z",
                                      "2026-02-30T00:00:00Z",
                                      "2026-02-30T23:59:60Z",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T20:58:21+2:00",
                                      "2026-11-23T20:58:21Zx",
                                      "26-11-23T20:58:21Z",
                                      "2026-00-10T00:00:00Z"};
    int64_t wall_ms;
    char text[TIME_TEXT_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect(parse_time(slice_from_str(good[i].text), &wall_ms), "%s", good[i].text);
        cr_expect_eq(wall_ms, good[i].wall_ms, "%s gave %ld", good[i].text, (long)wall_ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(!parse_time(slice_from_str(bad[i]), &wall_ms), "%s", bad[i]);
    format_time(1795467501123, text);
    cr_expect_str_eq(text, "2026-11-23T20:58:21.123Z");
}

static bool is_offset(const char *raw, const char *offset, bool is_repeated)
{
    struct query query;
    bool ok =
        query_parse(slice_from_str(raw), &query) && query.is_repeated == is_repeated &&
        (offset ? query.offset.data && slice_eq_str(query.offset, offset) : !query.offset.data);
    query_release(&query);
    return ok;
}

Test(parse, queries)
{
    cr_expect(is_offset("", NULL, false));
    cr_expect(is_offset("live=sse", NULL, false));
    cr_expect(is_offset("offset=-1", "-1", false));
    cr_expect(is_offset("x=1&offset=%2D1&y", "-1", false));
    cr_expect(is_offset("offset", "", false));
    cr_expect(is_offset("offset=", "", false));
    cr_expect(is_offset("offset=1&offset=2", "2", true));
    cr_expect(is_offset("offset=a=b", "a=b", false));
    struct query query;
    cr_expect(!query_parse(SLICE("offset=%zz"), &query));
    query_release(&query);
    cr_expect(!query_parse(SLICE("offset=%2"), &query));
    query_release(&query);
}

Test(parse, cursors_never_go_back)
{
    const int64_t epoch_ms = 1728432000000;
    int64_t now_ms = epoch_ms + 1000 * CURSOR_INTERVAL_S * 1000;
    cr_expect_eq(next_cursor(now_ms, 0, 0), 1000);
    cr_expect_eq(next_cursor(now_ms, 999, 0), 1000);
    cr_expect(next_cursor(0, 0, 0) <= 3600 / CURSOR_INTERVAL_S);
    cr_expect(next_cursor(0, 1000, 0) > 1000);
    cr_expect_eq(parse_cursor(SLICE("9007199254740993")), 9007199254740993);
    static const char *const others[] = {"", "abc", "-1", "1e9", "1000000000000000000"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_eq(parse_cursor(slice_from_str(others[i])), 0, "%s", others[i]);
    for (uint64_t random = 0; random < 10000; random += 7) {
        uint64_t cursor = next_cursor(now_ms, 1000, random);
        cr_expect(cursor > 1000 && cursor <= 1000 + 3600 / CURSOR_INTERVAL_S);
        cr_expect(next_cursor(now_ms, 5000, random) > 5000);
    }
}

Test(parse, targets)
{
    static const struct {
        const char *uri, *authority, *origin;
    } cases[] = {
        {"/a?b", NULL, "/a?b"},
        {"http://h:1/a?b", "h:1", "/a?b"},
        {"HTTPS://[::1]", "[::1]", ""},
        {"http://h?a=/b", "h", "?a=/b"},
        {"http:///a", "", "/a"},
        {"http:/a", NULL, "http:/a"},
        {"*", NULL, "*"},
        {"", NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct target target = parse_target(cases[i].uri);
        cr_expect_str_eq(target.origin, cases[i].origin);
        cr_expect_eq(!target.authority.data, !cases[i].authority, "%s", cases[i].uri);
        if (cases[i].authority)
            cr_expect(slice_eq_str(target.authority, cases[i].authority), "%s", cases[i].uri);
    }
}

Test(parse, tags)
{
    cr_expect(etags_name(SLICE("\"a\""), SLICE("\"a\"")));
    cr_expect(etags_name(SLICE("\"b,\", W/\"a\""), SLICE("\"a\"")));
    cr_expect(etags_name(SLICE(",,\"a\"x"), SLICE("\"a\"")));
    cr_expect(etags_name(SLICE("* \t"), SLICE("\"a\"")));
    cr_expect(!etags_name(SLICE("\"b\"*"), SLICE("\"a\"")));
    cr_expect(!etags_name(SLICE("\"b \"a\""), SLICE("\"a\"")));
    cr_expect(!etags_name(SLICE("W/a\""), SLICE("\"a\"")));
    cr_expect(!etags_name(SLICE("\"a"), SLICE("\"a\"")));
    cr_expect(!etags_name(SLICE(""), SLICE("\"a\"")));
}
