#include "weir/base/option.h"

#include "weir/base/slice.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

enum { ENVIRONMENT_NAME_SIZE = 80 };

static void environment_name(const char *option, char out[ENVIRONMENT_NAME_SIZE])
{
    int len = snprintf(out, ENVIRONMENT_NAME_SIZE, "WEIR_%s", option);
    check(len > 0 && len < ENVIRONMENT_NAME_SIZE);
    for (char *c = out; *c; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* A non-negative decimal number; *rest points behind it. */
static bool parse_number(const char *text, uint64_t *number, const char **rest)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno)
        return false;
    *number = value;
    *rest = end;
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *value)
{
    uint64_t number;
    const char *rest;
    if (!parse_number(text, &number, &rest))
        return false;
    for (; units->name; units++) {
        if (strcmp(rest, units->name) == 0)
            return !__builtin_mul_overflow(number, units->factor, value);
    }
    return false;
}

bool option_parse_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1},           {"K", 1u << 10},   {"k", 1u << 10},
                                        {"M", 1u << 20},   {"G", 1u << 30},   {"KiB", 1u << 10},
                                        {"MiB", 1u << 20}, {"GiB", 1u << 30}, {NULL, 0}};
    return parse_with_unit(text, units, bytes);
}

bool option_parse_duration(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return parse_with_unit(text, units, ms);
}

static bool parse_flag(const char *text, bool *value)
{
    *value = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    return *value || strcmp(text, "0") == 0 || strcmp(text, "false") == 0 || !*text;
}

static const char *expected_form(enum option_kind kind)
{
    switch (kind) {
    case OPTION_FLAG:
        return "true or false";
    case OPTION_UINT:
        return "a whole number";
    case OPTION_SIZE:
        return "a size such as 64M";
    case OPTION_DURATION:
        return "a duration such as 30s or 500ms";
    case OPTION_STRING:
        break;
    }
    return "text";
}

static bool assign(const struct option_spec *spec, const char *text, void *settings)
{
    char *field = (char *)settings + spec->offset;
    uint64_t number = 0;
    const char *rest = "";
    bool flag;
    switch (spec->kind) {
    case OPTION_STRING:
        memcpy(field, &text, sizeof text);
        return true;
    case OPTION_FLAG:
        if (!parse_flag(text, &flag))
            return false;
        memcpy(field, &flag, sizeof flag);
        return true;
    case OPTION_UINT:
        if (!parse_number(text, &number, &rest) || *rest)
            return false;
        break;
    case OPTION_SIZE:
        if (!option_parse_size(text, &number))
            return false;
        break;
    case OPTION_DURATION:
        if (!option_parse_duration(text, &number))
            return false;
        break;
    }
    memcpy(field, &number, sizeof number);
    return true;
}

static bool assign_or_explain(const struct option_spec *spec, const char *source, const char *text,
                              void *settings, struct err *err)
{
    if (assign(spec, text, settings))
        return true;
    err_set(err, "%s%s is not %s", source, spec->name, expected_form(spec->kind));
    return false;
}

static const struct option_spec *find_option(const struct command *command, struct slice name)
{
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        if (slice_eq_str(name, spec->name))
            return spec;
    }
    return NULL;
}

static bool assign_defaults(const struct command *command, void *settings, struct err *err)
{
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        char name[ENVIRONMENT_NAME_SIZE];
        environment_name(spec->name, name);
        const char *from_environment = getenv(name);
        if (spec->default_value)
            check(assign(spec, spec->default_value, settings));
        if (from_environment && !assign_or_explain(spec, "the environment's value of --",
                                                   from_environment, settings, err))
            return false;
    }
    return true;
}

static bool parse_argument(const struct command *command, int argc, char **argv, int *at,
                           void *settings, struct err *err)
{
    const char *argument = argv[*at];
    if (strncmp(argument, "--", 2) != 0) {
        err_set(err, "unexpected argument \"%s\"", argument);
        return err_hint(err, "see weir %s --help", command->name);
    }
    const char *equals = strchr(argument, '=');
    struct slice name = equals ? slice_of(argument + 2, (size_t)(equals - argument) - 2)
                               : slice_from_str(argument + 2);
    const struct option_spec *spec = find_option(command, name);
    if (!spec) {
        err_set(err, "unknown option --%.*s", SLICE_ARG(name));
        return err_hint(err, "see weir %s --help", command->name);
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!value && spec->kind == OPTION_FLAG)
        value = "true";
    if (!value) {
        if (*at + 1 >= argc)
            return err_set(err, "option --%s needs a value", spec->name);
        value = argv[++*at];
    }
    return assign_or_explain(spec, "the value of --", value, settings, err);
}

static bool check_required(const struct command *command, const void *settings, struct err *err)
{
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        const char *value = NULL;
        if (!spec->required)
            continue;
        check(spec->kind == OPTION_STRING);
        memcpy(&value, (const char *)settings + spec->offset, sizeof value);
        if (!value || !*value) {
            char name[ENVIRONMENT_NAME_SIZE];
            environment_name(spec->name, name);
            err_set(err, "option --%s is missing", spec->name);
            return err_hint(err, "weir %s --%s %s, or set %s", command->name, spec->name,
                            spec->placeholder, name);
        }
    }
    return true;
}

enum option_result option_parse(const struct command *command, int argc, char **argv,
                                void *settings, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return OPTION_HELP;
    }
    if (!assign_defaults(command, settings, err))
        return OPTION_INVALID;
    for (int i = 1; i < argc; i++) {
        if (!parse_argument(command, argc, argv, &i, settings, err))
            return OPTION_INVALID;
    }
    return check_required(command, settings, err) ? OPTION_OK : OPTION_INVALID;
}

void option_help(const struct command *command, FILE *out)
{
    fprintf(out, "weir %s: %s\n\nusage: weir %s %s\n\n", command->name, command->summary,
            command->name, command->usage);
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", spec->name,
                 spec->placeholder ? spec->placeholder : "");
        fprintf(out, "  %-28s %s", left, spec->help);
        if (spec->default_value && *spec->default_value)
            fprintf(out, " (default %s)", spec->default_value);
        if (spec->required)
            fprintf(out, " (required)");
        fputc('\n', out);
    }
    fprintf(out,
            "\nEvery option is also an environment variable: --some-name is WEIR_SOME_NAME.\n");
}

/* A bar would end the table's cell, in code spans too. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void option_markdown(const struct command *command, FILE *out)
{
    fprintf(out, "## weir %s\n\n%s.\n\n", command->name, command->summary);
    fprintf(out, "| option | environment | default | meaning |\n|---|---|---|---|\n");
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        char name[ENVIRONMENT_NAME_SIZE];
        environment_name(spec->name, name);
        fprintf(out, "| `--%s%s", spec->name, spec->placeholder ? " " : "");
        print_cell(spec->placeholder ? spec->placeholder : "", out);
        fprintf(out, "` | `%s` | %s%s%s | ", name,
                spec->default_value && *spec->default_value ? "`" : "",
                spec->default_value && *spec->default_value ? spec->default_value
                : spec->required                            ? "required"
                                                            : "",
                spec->default_value && *spec->default_value ? "`" : "");
        print_cell(spec->help, out);
        fputs(" |\n", out);
    }
    fputc('\n', out);
}

/* A backslash begins an escape, a leading dot or quote a request, and a bare - may become
 * a dash. */
void option_manual_text(const char *text, FILE *out)
{
    for (const char *c = text; *c; c++) {
        bool begins = c == text || c[-1] == '\n';
        if (begins && (*c == '.' || *c == '\''))
            fputs("\\&", out);
        if (*c == '\\')
            fputs("\\e", out);
        else if (*c == '-')
            fputs("\\-", out);
        else
            fputc(*c, out);
    }
}

static void print_manual_option(const struct option_spec *spec, FILE *out)
{
    char name[ENVIRONMENT_NAME_SIZE];
    fputs(".TP\n\\fB\\-\\-", out);
    option_manual_text(spec->name, out);
    fputs("\\fR", out);
    if (spec->placeholder) {
        fputs(" \\fI", out);
        option_manual_text(spec->placeholder, out);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    option_manual_text(spec->help, out);
    if (spec->required)
        fputs(" (required)", out);
    if (spec->default_value && *spec->default_value) {
        fputs("; by default ", out);
        option_manual_text(spec->default_value, out);
    }
    environment_name(spec->name, name);
    fprintf(out, ". Environment: \\fB%s\\fR\n", name);
}

void option_manual(const struct command *command, FILE *out)
{
    fputs(".SH NAME\nweir-", out);
    fprintf(out, "%s \\- ", command->name);
    option_manual_text(command->summary, out);
    fprintf(out, "\n.SH SYNOPSIS\n\\fBweir %s\\fR ", command->name);
    option_manual_text(command->usage, out);
    fputs(
        "\n.SH OPTIONS\nWhat is given on the command line wins over the environment, and that over "
        "the default.\n",
        out);
    for (const struct option_spec *spec = command->options; spec->name; spec++)
        print_manual_option(spec, out);
}
