/* weir doctor: prints what it finds, for people or as JSON, and tells by the exit code. */
#include "commands.h"

#include "weir/base/buffer.h"
#include "weir/base/json.h"
#include "weir/base/log.h"
#include "weir/doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    struct bridge_settings bridge;
    const char *dialect;
    bool is_json;
};

#define FIELD(name) offsetof(struct settings, name)

static const struct option_spec options[] = {
    {"db", OPTION_STRING, FIELD(bridge.db), NULL, "CONNINFO",
     "how the bridge is to reach Postgres: a libpq connection string or URL, with the bridge's role",
     true},
    {"streams", OPTION_STRING, FIELD(bridge.streams), NULL, "URL",
     "the stream server's root; left out, the stream server is not asked", false},
    {"dialect", OPTION_STRING, FIELD(dialect), "auto", "NAME",
     "the stream server's: weir, for `weir serve`; standard, for any other Durable Streams server, "
     "where a stream is made and deleted to try it; auto asks it",
     false},
    {"streams-token-file", OPTION_STRING, FIELD(bridge.token_file), NULL, "FILE",
     "whose first line is the token to write streams with", false},
    {"streams-ca-file", OPTION_STRING, FIELD(bridge.ca_file), NULL, "FILE",
     "certificates (PEM) that may vouch for an https stream server", false},
    {"state", OPTION_STRING, FIELD(bridge.state), NULL, "DIR",
     "the bridge's folder; left out, it is not looked at", false},
    {"publication", OPTION_STRING, FIELD(bridge.publication), "weir", "NAME",
     "which tables are to be followed", false},
    {"slot", OPTION_STRING, FIELD(bridge.slot), "weir", "NAME", "the replication slot", false},
    {"replica-limit", OPTION_SIZE, FIELD(bridge.replica_limit), "64G", "SIZE",
     "how large the replica may grow", false},
    {"json", OPTION_FLAG, FIELD(is_json), NULL, NULL, "one JSON object instead of text", false},
    {.name = NULL},
};

struct printer {
    bool has_colours;
    struct buffer *json; /* NULL: text */
    size_t count[FINDING_ERROR + 1];
};

static const struct {
    const char *name, *colour;
} severities[] = {
    [FINDING_OK] = {"ok", "\033[32m"},
    [FINDING_WARNING] = {"warning", "\033[33m"},
    [FINDING_ERROR] = {"error", "\033[31m"},
};

static void add_member(struct buffer *out, const char *name, const char *text)
{
    buffer_printf(out, "\"%s\":", name);
    json_add_string(out, slice_from_str(text));
}

static void add_json(struct printer *printer, const struct finding *finding)
{
    struct buffer *out = printer->json;
    buffer_add_str(out, out->len > 1 ? ",{" : "{");
    add_member(out, "check", finding->check);
    buffer_add_char(out, ',');
    add_member(out, "severity", severities[finding->severity].name);
    buffer_add_char(out, ',');
    add_member(out, "message", finding->message);
    if (finding->mend[0]) {
        buffer_add_char(out, ',');
        add_member(out, "mend", finding->mend);
    }
    buffer_add_char(out, '}');
}

static void print(void *context, const struct finding *finding)
{
    struct printer *printer = context;
    printer->count[finding->severity]++;
    if (printer->json) {
        add_json(printer, finding);
        return;
    }
    printf("%s%-8s%s %s\n", printer->has_colours ? severities[finding->severity].colour : "",
           severities[finding->severity].name, printer->has_colours ? "\033[0m" : "",
           finding->message);
    if (finding->mend[0])
        printf("         %s\n", finding->mend);
    fflush(stdout);
}

static int print_sum(const struct printer *printer)
{
    enum { EXIT_FINE, EXIT_WARNINGS, EXIT_ERRORS };
    size_t errors = printer->count[FINDING_ERROR], warnings = printer->count[FINDING_WARNING];
    if (printer->json)
        printf("{\"findings\":[%.*s],\"errors\":%zu,\"warnings\":%zu}\n",
               SLICE_ARG(slice_of(printer->json->data + 1, printer->json->len - 1)), errors,
               warnings);
    else
        printf("\n%zu error%s, %zu warning%s\n", errors, errors == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s");
    return errors ? EXIT_ERRORS : warnings ? EXIT_WARNINGS : EXIT_FINE;
}

static enum option_result read_options(int argc, char **argv, struct settings *settings)
{
    struct err err = {.message = ""};
    enum option_result outcome = option_parse(&command_doctor, argc, argv, settings, &err);
    if (outcome == OPTION_OK &&
        !publisher_dialect_parse(settings->dialect, &settings->bridge.dialect)) {
        err_set(&err, "--dialect is not auto, weir or standard");
        outcome = OPTION_INVALID;
    }
    if (outcome == OPTION_INVALID) {
        fprintf(stderr, "weir doctor: %s\n", err.message);
        if (err.hint[0])
            fprintf(stderr, "hint: %s\n", err.hint);
    }
    return outcome;
}

static int doctor_main(int argc, char **argv)
{
    enum { EXIT_OPTIONS = 64 };
    struct settings settings = {.bridge.connections = 1};
    switch (read_options(argc, argv, &settings)) {
    case OPTION_HELP:
        option_help(&command_doctor, stdout);
        return 0;
    case OPTION_INVALID:
        return EXIT_OPTIONS;
    case OPTION_OK:
        break;
    }
    struct buffer json = BUFFER_INIT;
    struct printer printer = {.has_colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
    if (settings.is_json) {
        buffer_add_char(&json, '[');
        printer.json = &json;
    }
    /* What the layers below log about what they try is in the findings. */
    log_configure(LOG_ERROR, LOG_LOGFMT);
    doctor_run(&settings.bridge, print, &printer);
    int code = print_sum(&printer);
    buffer_release(&json);
    return code;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "finds what would stop the bridge or endangers it, each with what mends it",
    .usage = "--db CONNINFO [--streams URL] [--state DIR] [--json]",
    .options = options,
    .run = doctor_main,
};
