#include "weir/base/json.h"

#include "json_compare.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void expect_agreement(struct slice text)
{
    const char *difference = json_compare(text);
    cr_assert_null(difference, "%s: %.*s", difference, SLICE_ARG(text));
}

Test(base_json, valid_and_invalid_texts)
{
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"0", true},
        {"-0", true},
        {"00", false},
        {"01", false},
        {"-", false},
        {"+1", false},
        {".5", false},
        {"1.", false},
        {"1.50", true},
        {"1e5", true},
        {"1E+05", true},
        {"1e", false},
        {"1e-", false},
        {"-1.2e-3", true},
        {"0x1", false},
        {"1 2", false},
        {"NaN", false},
        {"Infinity", false},
        {"true", true},
        {"tru", false},
        {"truex", false},
        {"null", true},
        {"nul", false},
        {"", false},
        {" ", false},
        {" 1 ", true},
        {"\t\r\n1\v", false},
        {"\"", false},
        {"\"\"", true},
        {"\"a", false},
        {"\"\\\"", false},
        {"\"\\x\"", false},
        {"\"\\u12\"", false},
        {"\"\\u12g4\"", false},
        {"\"\\uD834\\uDD1E\"", true},
        {"\"\\/\"", true},
        {"\"\x1f\"", false},
        {"\"\x7f\"", true},
        {"\"\xc3\xa9\"", true},
        {"\"\xc3\"", false},
        {"\"\xc0\x80\"", false},
        {"\"\xed\xa0\x80\"", false},
        {"\"\xf4\x90\x80\x80\"", false},
        {"\"12345678\xff\"", false},
        {"[]", true},
        {"[ ]", true},
        {"[1,]", false},
        {"[,1]", false},
        {"[1 2]", false},
        {"[1}", false},
        {"[", false},
        {"]", false},
        {"{}", true},
        {"{ }", true},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{\"a\":1,}", false},
        {"{1:1}", false},
        {"{\"a\":1]", false},
        {"{\"a\" : [ ] }", true},
        {"{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":[[],{}]}", true},
        {"{,}", false},
        {"[1,[2,[3]]", false},
        {"{\"a\":1}}", false},
        {"12345678901234567890", true},
        {"\"a\" \"b\"", false},
        {"{\"a\":1,\"a\":2}", true},
        {"'a'", false},
        {"[1,2,3", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(json_is_valid(slice_from_str(cases[i].text)), cases[i].is_valid, "%s",
                     cases[i].text);
        expect_agreement(slice_from_str(cases[i].text));
    }
    cr_assert_not(json_is_valid(SLICE_NONE));
    cr_assert_not(json_is_valid(SLICE("\"a\0b\"")));
}

Test(base_json, numbers_keep_their_digits)
{
    static const char *const numbers[] = {"12345678901234567890123456789.000100", "1e400", "-0.0",
                                          "1.10"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct json_scan scan = json_scan_of(slice_from_str(numbers[i]));
        struct json_value value;
        cr_assert(json_scan_value(&scan, &value));
        cr_assert_eq(value.kind, JSON_NUMBER);
        cr_assert(slice_eq_str(value.raw, numbers[i]));
    }
}

Test(base_json, nests_as_deep_as_it_says_and_no_deeper)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    cr_assert(json_is_valid(slice_of(text + 1, 2 * JSON_DEPTH_MAX)));
    cr_assert_not(json_is_valid(slice_of(text, sizeof text)));
}

Test(base_json, lone_surrogates_become_the_replacement)
{
    struct buffer out = BUFFER_INIT;
    json_unescape(&out, SLICE("\"\\ud834x\\udd1e\\uD834\\uDD1E\\ud834\\u0041\\ud834\""));
    cr_assert_str_eq(buffer_str(&out), "\uFFFDx\uFFFD\U0001D11E\uFFFDA\uFFFD");
    buffer_release(&out);
}

Test(base_json, a_fault_is_where_the_cursor_stops)
{
    struct json_scan scan = json_scan_of(SLICE("[1, 2, x]"));
    struct json_value value;
    cr_assert_not(json_scan_value(&scan, &value));
    cr_assert_eq(*scan.at, 'x');
}

Test(base_json, walking_in_without_scanning_the_value_first)
{
    struct json_scan scan = json_scan_of(SLICE("{\"a\":[1,\"two\"],\"b\":{}}"));
    struct slice key;
    struct json_value value;
    cr_assert(json_object_begin(&scan));
    cr_assert_eq(json_object_key(&scan, true, &key), JSON_STEP_ITEM);
    cr_assert(slice_eq_str(key, "\"a\""));
    cr_assert(json_array_begin(&scan));
    cr_assert_eq(json_array_item(&scan, true), JSON_STEP_ITEM);
    cr_assert(json_scan_value(&scan, &value) && value.kind == JSON_NUMBER);
    cr_assert_eq(json_array_item(&scan, false), JSON_STEP_ITEM);
    cr_assert(json_scan_value(&scan, &value) && value.kind == JSON_STRING);
    cr_assert_eq(json_array_item(&scan, false), JSON_STEP_END);
    cr_assert_eq(json_object_key(&scan, false, &key), JSON_STEP_ITEM);
    cr_assert(json_object_begin(&scan));
    cr_assert_eq(json_object_key(&scan, true, &key), JSON_STEP_END);
    cr_assert_eq(json_object_key(&scan, false, &key), JSON_STEP_END);
    cr_assert(json_scan_end(&scan));
}

/* Random JSON, and the same with a few bytes changed: nearly right is where parsers differ. */
static uint64_t state;

static uint32_t random_below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 16) % limit);
}

static void add_random_string(struct buffer *out)
{
    static const char *const parts[] = {"a",       "key",
                                        "\\n",     "\\u00e9",
                                        "é",       "\\ud834\\udd1e",
                                        "\\\\",    "\\\"",
                                        "𝄞",       "plain text of some length",
                                        "\\u0000", " ",
                                        "\\u001f", "/"};
    buffer_add_char(out, '"');
    for (uint32_t n = random_below(4); n; n--)
        buffer_add_str(out, parts[random_below(sizeof parts / sizeof *parts)]);
    buffer_add_char(out, '"');
}

static void add_random_value(struct buffer *out, int depth)
{
    static const char *const scalars[] = {"0",    "-1",   "1.50",  "1e-3", "12345678901234567890",
                                          "true", "null", "false", "-0.0", "7E+2"};
    uint32_t what = random_below(depth > 4 ? 2 : 4);
    if (what == 0) {
        buffer_add_str(out, scalars[random_below(sizeof scalars / sizeof *scalars)]);
    } else if (what == 1) {
        add_random_string(out);
    } else {
        uint32_t count = random_below(4);
        buffer_add_char(out, what == 2 ? '[' : '{');
        for (uint32_t i = 0; i < count; i++) {
            buffer_add_str(out, i ? (random_below(2) ? "," : " ,\n") : "");
            if (what == 3) {
                add_random_string(out);
                buffer_add_str(out, random_below(2) ? ":" : " : ");
            }
            add_random_value(out, depth + 1);
        }
        buffer_add_char(out, what == 2 ? ']' : '}');
    }
}

Test(base_json, random_texts_whole_and_damaged)
{
    enum { ROUNDS = 20000 };
    static const char damage[] = "{}[]\",:\\u019eE+-. \n\x01\x80\xc3\xffnft";
    const char *given = getenv("WEIR_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261123;
    state = seed;
    struct buffer text = BUFFER_INIT;
    for (int round = 0; round < ROUNDS; round++) {
        buffer_clear(&text);
        add_random_value(&text, 0);
        cr_assert(round % 2 == 1 || json_is_valid(buffer_slice(&text)), "seed %llu: %s",
                  (unsigned long long)seed, buffer_str(&text));
        for (uint32_t n = round % 2 ? 1 + random_below(2) : 0; n; n--)
            text.data[random_below((uint32_t)text.len)] = damage[random_below(sizeof damage - 1)];
        const char *difference = json_compare(buffer_slice(&text));
        cr_assert_null(difference, "seed %llu, round %d: %s: %s", (unsigned long long)seed, round,
                       difference, buffer_str(&text));
    }
    buffer_release(&text);
}
