#include "weir/base/option.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    const char *listen;
    bool is_quiet;
    uint64_t count, size, wait_ms;
};

static const struct option_spec options[] = {
    {"listen", OPTION_STRING, offsetof(struct settings, listen), NULL, "ADDRESS", "where", true},
    {"is-quiet", OPTION_FLAG, offsetof(struct settings, is_quiet), NULL, NULL, "says less", false},
    {"count", OPTION_UINT, offsetof(struct settings, count), "3", "N", "how many", false},
    {"size", OPTION_SIZE, offsetof(struct settings, size), "64M", "BYTES", "how large", false},
    {"wait", OPTION_DURATION, offsetof(struct settings, wait_ms), "30s", "TIME", "how long", false},
    {.name = NULL},
};
static const struct command command = {"try", "tries", "", options, NULL};

static enum option_result parse(struct settings *settings, struct err *err, int argc,
                                const char *const *arguments)
{
    char *argv[8] = {(char[]){"try"}};
    for (int i = 0; i < argc; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    memset(settings, 0, sizeof *settings);
    return option_parse(&command, argc + 1, argv, settings, err);
}

#define PARSE(settings, err, ...) \
    parse(settings, err, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
          (const char *const[]){__VA_ARGS__})

Test(base_option, defaults_then_environment_then_arguments)
{
    struct settings settings;
    struct err err;
    setenv("WEIR_SIZE", "1K", 1);
    setenv("WEIR_COUNT", "5", 1);
    setenv("WEIR_IS_QUIET", "true", 1);
    cr_assert_eq(PARSE(&settings, &err, "--listen", "here", "--count=7"), OPTION_OK);
    cr_assert_str_eq(settings.listen, "here");
    cr_assert(settings.is_quiet);
    cr_assert_eq(settings.count, 7);
    cr_assert_eq(settings.size, 1024);
    cr_assert_eq(settings.wait_ms, 30000);
    cr_assert_eq(PARSE(&settings, &err, "--listen=", "--is-quiet=false", "--listen=a=b"),
                 OPTION_OK);
    cr_assert_str_eq(settings.listen, "a=b");
    cr_assert_not(settings.is_quiet);
    setenv("WEIR_LISTEN", "there", 1);
    cr_assert_eq(PARSE(&settings, &err, "--is-quiet"), OPTION_OK);
    cr_assert_str_eq(settings.listen, "there");
}

Test(base_option, what_is_wrong_is_named)
{
    static const struct {
        const char *arguments[2], *message;
    } cases[] = {
        {{"--listn", "x"}, "unknown option --listn"},
        {{"--list", "x"}, "unknown option --list"},
        {{"listen", "x"}, "unexpected argument \"listen\""},
        {{"--listen=a", "--count"}, "option --count needs a value"},
        {{"--listen=a", "--count=-1"}, "the value of --count is not a whole number"},
        {{"--listen=a", "--count=1x"}, "the value of --count is not a whole number"},
        {{"--listen=a", "--count=18446744073709551616"}, "--count is not a whole number"},
        {{"--listen=a", "--size=1Q"}, "the value of --size is not a size such as 64M"},
        {{"--listen=a", "--size=17179869184G"}, "--size is not a size"},
        {{"--listen=a", "--wait=30"}, "the value of --wait is not a duration"},
        {{"--listen=a", "--is-quiet=maybe"}, "the value of --is-quiet is not true or false"},
        {{"--count=1", "--size=1"}, "option --listen is missing"},
        {{"--listen", ""}, "option --listen is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct err err;
        cr_assert_eq(PARSE(&settings, &err, cases[i].arguments[0], cases[i].arguments[1]),
                     OPTION_INVALID, "case %zu", i);
        cr_assert(strstr(err.message, cases[i].message), "case %zu: %s", i, err.message);
    }
    struct settings settings;
    struct err err;
    setenv("WEIR_WAIT", "soon", 1);
    cr_assert_eq(PARSE(&settings, &err, "--listen=a"), OPTION_INVALID);
    cr_assert(strstr(err.message, "environment"), "%s", err.message);
}

Test(base_option, sizes_and_durations)
{
    uint64_t value;
    cr_assert(option_parse_size("0", &value) && value == 0);
    cr_assert(option_parse_size("4096", &value) && value == 4096);
    cr_assert(option_parse_size("2GiB", &value) && value == 2ULL << 30);
    cr_assert_not(option_parse_size("", &value) || option_parse_size("M", &value) ||
                  option_parse_size("1 M", &value) || option_parse_size("-1M", &value));
    cr_assert(option_parse_duration("500ms", &value) && value == 500);
    cr_assert(option_parse_duration("2m", &value) && value == 120000);
    cr_assert(option_parse_duration("1h", &value) && value == 3600000);
    cr_assert_not(option_parse_duration("", &value) || option_parse_duration("1.5s", &value) ||
                  option_parse_duration("1S", &value));
}

static char *printed_by(void (*print)(const struct command *, FILE *))
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    print(&command, out);
    fclose(out);
    return text;
}

Test(base_option, help_and_documentation_come_from_the_table)
{
    struct settings settings;
    struct err err;
    cr_assert_eq(PARSE(&settings, &err, "--nonsense", "--help"), OPTION_HELP);
    cr_assert_eq(PARSE(&settings, &err, "-h"), OPTION_HELP);
    void (*const printers[])(const struct command *, FILE *) = {option_help, option_markdown};
    for (size_t i = 0; i < 2; i++) {
        char *text = printed_by(printers[i]);
        for (const struct option_spec *option = options; option->name; option++) {
            cr_assert(strstr(text, option->name), "--%s", option->name);
            cr_assert(strstr(text, option->help), "--%s", option->name);
        }
        cr_assert(strstr(text, "64M"));
        free(text);
    }
}
