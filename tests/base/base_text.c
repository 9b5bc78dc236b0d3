#include "weir/base/buffer.h"
#include "weir/base/err.h"
#include "weir/base/lsn.h"
#include "weir/base/percent.h"
#include "weir/base/utf8.h"

#include <criterion/criterion.h>
#include <errno.h>

Test(base_text, percent_encoding_of_a_segment)
{
    static const struct {
        struct slice bytes;
        const char *encoded;
    } cases[] = {
        {SLICE("AZaz09-._~"), "AZaz09-._~"},
        {SLICE("a/b"), "a%2Fb"},
        {SLICE("."), "%2E"},
        {SLICE(".."), "%2E%2E"},
        {SLICE("..."), "..."},
        {SLICE("50%"), "50%25"},
        {SLICE("é \0\n"), "%C3%A9%20%00%0A"},
        {SLICE("a.b"), "a.b"},
        {SLICE("+&=?#:@"), "%2B%26%3D%3F%23%3A%40"},
        {SLICE(""), ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer encoded = BUFFER_INIT, decoded = BUFFER_INIT;
        percent_encode_segment(&encoded, cases[i].bytes);
        cr_assert_str_eq(buffer_str(&encoded), cases[i].encoded);
        cr_assert(percent_decode(&decoded, buffer_slice(&encoded)));
        cr_assert(slice_eq(buffer_slice(&decoded), cases[i].bytes));
        buffer_release(&encoded);
        buffer_release(&decoded);
    }
}

Test(base_text, percent_decoding_takes_either_case_and_no_halves)
{
    static const char *const bad[] = {"%", "%2", "a%", "a%2", "%2g", "%g2", "%%20", "%-1", "% 1"};
    struct buffer out = BUFFER_INIT;
    cr_assert(percent_decode(&out, SLICE("%c3%A9+%25")));
    cr_assert_str_eq(buffer_str(&out), "é+%");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(percent_decode(&out, slice_from_str(bad[i])), "%s", bad[i]);
    buffer_release(&out);
}

/* The validator against encoding: every code point is valid as encoded, and nothing shorter. */
Test(base_text, utf8_of_every_code_point)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        size_t len = utf8_encode(c, bytes);
        bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
        cr_assert_eq(len, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        cr_assert_eq(utf8_is_valid(slice_of(bytes, len)), !is_surrogate, "U+%04X", c);
        for (size_t cut = 1; cut < len; cut++)
            cr_assert_not(utf8_is_valid(slice_of(bytes, cut)));
    }
}

Test(base_text, utf8_that_is_not)
{
    static const char *const bad[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xf4\x90\x80\x80",
        "\xff",         "12345678\xe2\x82", "1234567\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(utf8_is_valid(slice_from_str(bad[i])), "case %zu", i);
    cr_assert(utf8_is_valid(SLICE_NONE));
    cr_assert(utf8_is_valid(SLICE("1234567é12345678𝄞")));
}

Test(base_text, lsn_as_postgres_writes_it)
{
    static const struct {
        uint64_t lsn;
        const char *text;
    } cases[] = {{0, "0/0"},
                 {0x16B374D848, "16/B374D848"},
                 {0x100000000, "1/0"},
                 {UINT64_MAX, "FFFFFFFF/FFFFFFFF"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[LSN_TEXT_SIZE];
        uint64_t lsn;
        cr_assert_str_eq(lsn_format(cases[i].lsn, text), cases[i].text);
        cr_assert(lsn_parse(slice_from_str(cases[i].text), &lsn));
        cr_assert_eq(lsn, cases[i].lsn);
    }
    static const char *const bad[] = {"",    "/",    "0",    "0/",    "/0",          "0/0/0",
                                      "g/0", "0/ 1", "-1/0", "0x1/0", "123456789/0", "0/123456789"};
    uint64_t lsn;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(lsn_parse(slice_from_str(bad[i]), &lsn), "%s", bad[i]);
    cr_assert(lsn_parse(SLICE("a/00000bcd"), &lsn) && lsn == 0xa00000bcd);
}

Test(base_text, buffers_grow_and_keep_what_they_have)
{
    struct buffer buffer = BUFFER_INIT;
    cr_assert_str_eq(buffer_str(&buffer), "");
    for (int i = 0; i < 1000; i++)
        buffer_printf(&buffer, "%d,", i % 10);
    cr_assert_eq(buffer.len, 2000);
    cr_assert_eq(buffer.data[1998], '9');
    buffer_clear(&buffer);
    buffer_add_uint(&buffer, 0);
    buffer_add_char(&buffer, ' ');
    buffer_add_uint(&buffer, UINT64_MAX);
    buffer_add_slice(&buffer, SLICE_NONE);
    buffer_add_str(&buffer, "!");
    cr_assert_str_eq(buffer_str(&buffer), "0 18446744073709551615!");
    buffer_clear(&buffer);
    buffer_add_u16(&buffer, 0x1234);
    buffer_add_u32(&buffer, 0x56789abc);
    buffer_add_u64(&buffer, 0x1122334455667788);
    cr_assert_eq(buffer.len, 14);
    cr_assert_eq(
        memcmp(buffer.data, "\x34\x12\xbc\x9a\x78\x56\x88\x77\x66\x55\x44\x33\x22\x11", 14), 0);
    cr_assert_eq(load_u32(buffer.data + 2), 0x56789abc);
    buffer_release(&buffer);
    cr_assert_null(buffer.data);
}

Test(base_text, slices_compare_bytewise)
{
    cr_assert_lt(slice_cmp(SLICE("a"), SLICE("ab")), 0);
    cr_assert_gt(slice_cmp(SLICE("\xff"), SLICE("a")), 0);
    cr_assert_eq(slice_cmp(SLICE_NONE, SLICE("")), 0);
    cr_assert(slice_eq(SLICE_NONE, SLICE("")));
    cr_assert_not(slice_eq(SLICE("a"), SLICE("b")));
}

Test(base_text, errors_take_context_and_hints_and_stay_bounded)
{
    struct err err;
    cr_assert_not(err_set(&err, "cannot open \"%s\"", "x"));
    err_hint(&err, "create it");
    err_prefix(&err, "starting");
    cr_assert_str_eq(err.message, "starting: cannot open \"x\"");
    cr_assert_str_eq(err.hint, "create it");
    err_set_errno(&err, ENOENT, "open");
    cr_assert_str_eq(err.message, "open: No such file or directory");
    cr_assert_str_eq(err.hint, "");
    char large[4096];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    err_set_errno(&err, ENOENT, "%s", large);
    cr_assert_eq(strlen(err.message), ERR_MESSAGE_SIZE - 1);
    err_prefix(&err, "%s", large);
    cr_assert_eq(strlen(err.message), ERR_MESSAGE_SIZE - 1);
    err_hint(&err, "%s", large);
    cr_assert_eq(strlen(err.hint), ERR_HINT_SIZE - 1);
    cr_assert_not(err_set(NULL, "nobody listens"));
}
