/* The option table: one row an option, from which come the parser for argv and environment,
 * `--help` and docs/configuration.md.
 *
 * Order: the default, then the environment (WEIR_ and the name in upper case with '_'), then argv,
 * `--name value` or `--name=value`; a flag takes no value on argv and 1/0/true/false in the
 * environment. An unknown option or a bad value is an error that names it. */
#pragma once

#include "weir/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_STRING,   /* const char *; borrowed from argv or the environment */
    OPTION_FLAG,     /* bool */
    OPTION_UINT,     /* uint64_t */
    OPTION_SIZE,     /* uint64_t bytes: "64M", "1G", "4096" */
    OPTION_DURATION, /* uint64_t milliseconds: "500ms", "30s", "2m", "1h" */
};

struct option_spec {
    const char *name; /* without "--"; NULL ends the table */
    enum option_kind kind;
    size_t offset;             /* of the field in the command's settings */
    const char *default_value; /* NULL: none */
    const char *placeholder;   /* what --help calls the value: "DIR"; NULL for flags */
    const char *help;          /* one sentence, lower case, no full stop */
    bool required;
};

struct command {
    const char *name;
    const char *summary; /* one line for `weir --help` */
    const char *usage;   /* after "weir name"; may be empty */
    const struct option_spec *options;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
};

enum option_result { OPTION_OK, OPTION_HELP, OPTION_INVALID };

/* Fills settings. Arguments that are not options are an error. */
enum option_result option_parse(const struct command *command, int argc, char **argv,
                                void *settings, struct err *err) WEIR_MUST_CHECK;
void option_help(const struct command *command, FILE *out);

/* The command's manual page, in man(7)'s macros; for `weir` itself, options may be NULL. */
void option_manual(const struct command *command, FILE *out);
void option_manual_text(const char *text, FILE *out); /* escaped */

/* The command's section of docs/configuration.md. */
void option_markdown(const struct command *command, FILE *out);

/* For tests and for settings in SQL: the values alone. */
bool option_parse_size(const char *text, uint64_t *bytes) WEIR_MUST_CHECK;
bool option_parse_duration(const char *text, uint64_t *ms) WEIR_MUST_CHECK;
