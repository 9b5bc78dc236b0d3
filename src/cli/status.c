/* weir status: what both daemons and Postgres say now; on a terminal again and again,
 * until Ctrl-C. */
#include "status.h"

#include "commands.h"

#include "weir/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FIELD(name) offsetof(struct status_settings, name)

static const struct option_spec options[] = {
    {"streams", OPTION_STRING, FIELD(streams), "http://127.0.0.1:4437/v1/stream", "URL",
     "the stream server's root", false},
    {"admin-token-file", OPTION_STRING, FIELD(token_file), NULL, "FILE",
     "whose first line is the admin's token", false},
    {"streams-ca-file", OPTION_STRING, FIELD(ca_file), NULL, "FILE",
     "certificates (PEM) that may vouch for an https stream server", false},
    {"db", OPTION_STRING, FIELD(db), NULL, "CONNINFO",
     "ask Postgres as well, for the slot, the tables and the rules", false},
    {"publication", OPTION_STRING, FIELD(publication), "weir", "NAME", "whose tables to show",
     false},
    {"slot", OPTION_STRING, FIELD(slot), "weir", "NAME", "the replication slot", false},
    {"interval", OPTION_DURATION, FIELD(interval_ms), "2s", "TIME",
     "how often to look, on a terminal", false},
    {"once", OPTION_FLAG, FIELD(is_once), NULL, NULL,
     "look once, as where the output is no terminal", false},
    {"json", OPTION_FLAG, FIELD(is_json), NULL, NULL, "once, as one JSON object", false},
    {.name = NULL},
};

static struct status_size size_of_terminal(bool is_live)
{
    struct winsize window = {0};
    bool is_terminal = isatty(STDOUT_FILENO);
    if (!is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0)
        window = (struct winsize){0};
    return (struct status_size){.columns = window.ws_col,
                                .lines = is_live ? window.ws_row : 0,
                                .has_colours = is_terminal && !getenv("NO_COLOR")};
}

static void print_json(const json_t *status)
{
    json_dumpf(status, stdout, JSON_COMPACT);
    putchar('\n');
}

/* From the top, over what was there, and the rest of it away: that does not flicker. */
static void print_text(const json_t *status, bool is_live)
{
    struct buffer page = BUFFER_INIT, shown = BUFFER_INIT;
    status_write(status, size_of_terminal(is_live), &page);
    if (is_live)
        buffer_add_str(&shown, "\033[H");
    for (size_t i = 0; i < page.len; i++) {
        if (is_live && page.data[i] == '\n')
            buffer_add_str(&shown, "\033[K");
        buffer_add_char(&shown, page.data[i]);
    }
    if (is_live)
        buffer_add_str(&shown, "\033[J");
    fwrite(shown.data, 1, shown.len, stdout);
    fflush(stdout);
    buffer_release(&shown);
    buffer_release(&page);
}

static bool show(struct status_source *source, const struct status_settings *settings, bool is_live)
{
    json_t *status = status_look(source);
    bool is_whole = status_is_whole(status);
    if (settings->is_json)
        print_json(status);
    else
        print_text(status, is_live);
    json_decref(status);
    return is_whole;
}

static int run(const struct status_settings *settings, struct err *err)
{
    enum { EXIT_NO_ANSWER = 1, EXIT_USAGE = 2 };
    struct status_source *source = status_source_open(settings, err);
    bool is_live = isatty(STDOUT_FILENO) && !settings->is_once && !settings->is_json;
    if (!source)
        return EXIT_USAGE;
    uint64_t interval_ms = settings->interval_ms > 100 ? settings->interval_ms : 100;
    if (is_live)
        fputs("\033[2J", stdout);
    bool is_whole = show(source, settings, is_live);
    while (is_live) {
        struct timespec pause = {(time_t)(interval_ms / 1000),
                                 (long)(interval_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
        is_whole = show(source, settings, is_live);
    }
    status_source_close(source);
    return is_whole ? 0 : EXIT_NO_ANSWER;
}

static int status_main(int argc, char **argv)
{
    enum { EXIT_USAGE = 2 };
    struct status_settings settings = {.is_once = false};
    struct err err = {.message = ""};
    enum option_result parsed = option_parse(&command_status, argc, argv, &settings, &err);
    if (parsed == OPTION_HELP) {
        option_help(&command_status, stdout);
        return 0;
    }
    log_configure(LOG_ERROR, LOG_LOGFMT);
    int code = parsed == OPTION_OK ? run(&settings, &err) : EXIT_USAGE;
    if (err.message[0])
        fprintf(stderr, "weir status: %s\n", err.message);
    if (err.hint[0])
        fprintf(stderr, "hint: %s\n", err.hint);
    return code;
}

const struct command command_status = {
    .name = "status",
    .summary = "shows the slot, the lag, rates, tables, rules and the streams that are read most",
    .usage = "[--streams URL] [--admin-token-file FILE] [--db CONNINFO] [--once] [--json]",
    .options = options,
    .run = status_main,
};
