#include "weir/base/path.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void expect(const char *raw, enum path_result result, const char *canonical)
{
    struct buffer out = BUFFER_INIT;
    cr_expect_eq(path_canonical(slice_from_str(raw), &out), result, "%s", raw);
    cr_expect(slice_eq_str(buffer_slice(&out), canonical), "%s gave %s", raw, buffer_str(&out));
    if (result == PATH_OK)
        cr_expect(path_is_canonical(buffer_slice(&out)), "%s", raw);
    buffer_release(&out);
}

Test(path, spellings_of_one_path_are_one)
{
    expect("user/a%20b/data", PATH_OK, "user/a%20b/data");
    expect("user/%61%62/data", PATH_OK, "user/ab/data");
    expect("user/a%2fb", PATH_OK, "user/a%2Fb");
    expect("user/a+b@c:d", PATH_OK, "user/a%2Bb%40c%3Ad");
    expect("%C3%A9", PATH_OK, "%C3%A9");
    expect("50%25", PATH_OK, "50%25");
    expect("a/%2e%2e/b", PATH_OK, "a/%2E%2E/b");
}

Test(path, what_no_stream_may_be_called)
{
    expect("", PATH_EMPTY, "");
    expect("a//b", PATH_EMPTY, "");
    expect("a/", PATH_EMPTY, "");
    expect("a/../b", PATH_DOTS, "");
    expect(".", PATH_DOTS, "");
    expect("a%2", PATH_BAD_ESCAPE, "");
    expect("a%zz", PATH_BAD_ESCAPE, "");
    expect("a%00b", PATH_BAD_TEXT, "");
    expect("a%0Ab", PATH_BAD_TEXT, "");
    expect("a%0Db", PATH_BAD_TEXT, "");
    expect("%FF", PATH_BAD_TEXT, "");
    expect("%C0%AF", PATH_BAD_TEXT, "");
}

Test(path, has_a_bound)
{
    struct buffer raw = BUFFER_INIT, out = BUFFER_INIT;
    while (raw.len < PATH_BYTES_MAX)
        buffer_add_char(&raw, 'a');
    cr_expect_eq(path_canonical(buffer_slice(&raw), &out), PATH_OK);
    buffer_add_char(&raw, 'a');
    cr_expect_eq(path_canonical(buffer_slice(&raw), &out), PATH_TOO_LONG);
    buffer_clear(&raw);
    /* Within the bound as it is sent, over it once encoded. */
    while (raw.len < PATH_BYTES_MAX)
        buffer_add_char(&raw, '@');
    cr_expect_eq(path_canonical(buffer_slice(&raw), &out), PATH_TOO_LONG);
    buffer_release(&raw);
    buffer_release(&out);
}

Test(path, batches_name_streams_in_canonical_form_only)
{
    static const char *const bad[] = {"",    "/a",  "a/",    "a//b",   "a/%2f",        "a/./b",
                                      "..",  "a b", "a/%61", "__ds/x", "__weir/batch", "__weir",
                                      "a%0A"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(!path_is_canonical(slice_from_str(bad[i])), "%s", bad[i]);
    cr_expect(path_is_canonical(SLICE("user/%2E%2E/data")));
    cr_expect(path_is_canonical(SLICE("user/1.5/data")));
    cr_expect(path_is_canonical(SLICE("__dsx")));
}
