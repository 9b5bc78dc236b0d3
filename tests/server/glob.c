#include "server/subscription.h"

#include <criterion/criterion.h>

static bool matches(const char *pattern, const char *path)
{
    return glob_match(slice_from_str(pattern), slice_from_str(path));
}

Test(glob, stars)
{
    static const struct {
        const char *pattern, *path;
        bool is_match;
    } cases[] = {
        {"a/b", "a/b", true},       {"a/b", "a/c", false},
        {"a/b", "a", false},        {"a", "a/b", false},
        {"*", "a", true},           {"*", "a/b", false},
        {"a/*", "a/b", true},       {"a/*", "a", false},
        {"a/*", "a/b/c", false},    {"*/b", "a/b", true},
        {"**", "a", true},          {"**", "a/b/c", true},
        {"a/**", "a", true},        {"a/**", "a/b/c", true},
        {"a/**", "b/a", false},     {"**/c", "c", true},
        {"**/c", "a/b/c", true},    {"**/c", "a/c/b", false},
        {"a/**/c", "a/c", true},    {"a/**/c", "a/b/b/c", true},
        {"a/**/c", "a/b/b", false}, {"**/b/**", "a/b/c", true},
        {"**/b/**", "b", true},     {"**/b/**", "a/c", false},
        {"**/a/*", "a/a/b", true},  {"**/a/*", "b/a", false},
        {"a/%2A", "a/b", false},    {"**/a/**/b", "a/x/a/b", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(matches(cases[i].pattern, cases[i].path), cases[i].is_match, "%s %s",
                     cases[i].pattern, cases[i].path);
}

Test(glob, patterns_are_paths_but_for_stars)
{
    struct buffer out = BUFFER_INIT;
    cr_expect(glob_canonical(SLICE("user/*/d%61ta/**/x y"), &out));
    cr_expect_str_eq(buffer_str(&out), "user/*/data/**/x%20y");
    cr_expect(!glob_canonical(SLICE("a//b"), &out));
    cr_expect(!glob_canonical(SLICE(""), &out));
    cr_expect(!glob_canonical(SLICE("a/.."), &out));
    cr_expect(!glob_canonical(SLICE("a%2"), &out));
    buffer_release(&out);
}
