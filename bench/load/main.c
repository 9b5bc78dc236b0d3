/* weir_load: finds the command and runs it. */
#include "load.h"

#include <stdio.h>

#define FIELD(name) offsetof(struct load_settings, name)
#define WHERE \
    {"port", OPTION_UINT, FIELD(port), "4437", "N", "of the server on 127.0.0.1", false}, \
    { \
        "server-pid", OPTION_UINT, FIELD(server_pid), "0", "PID", \
            "process whose processor time is told", false \
    }
#define STREAMS \
    {"streams", OPTION_UINT, FIELD(streams), "1", "N", "streams load/0 to load/N-1", false}
#define CONNECTIONS \
    {"connections", OPTION_UINT, FIELD(connections), "64", "N", "connections", false}
#define EVENT_SIZE {"bytes", OPTION_SIZE, FIELD(bytes), "200", "SIZE", "size of an event", false}
#define TIME       {"time", OPTION_DURATION, FIELD(ms), "2s", "TIME", "how long", false}
#define PATH       {"path", OPTION_STRING, FIELD(path), NULL, "PATH", "of the stream", true}
#define LAST       {0}

static const struct option_spec create_options[] = {WHERE, STREAMS, CONNECTIONS, LAST};
static const struct option_spec append_options[] = {WHERE,      STREAMS, CONNECTIONS,
                                                    EVENT_SIZE, TIME,    LAST};
static const struct option_spec batch_options[] = {
    WHERE,
    STREAMS,
    EVENT_SIZE,
    TIME,
    {"events", OPTION_UINT, FIELD(count), "1000", "N", "events in a batch", false},
    LAST};
static const struct option_spec read_options[] = {
    WHERE,
    CONNECTIONS,
    PATH,
    {"count", OPTION_UINT, FIELD(count), "1", "N", "how often, in all", false},
    LAST};
static const struct option_spec fanout_options[] = {
    WHERE,
    PATH,
    EVENT_SIZE,
    {"readers", OPTION_UINT, FIELD(count), "1000", "N", "readers by SSE", false},
    {"rounds", OPTION_UINT, FIELD(rounds), "20", "N", "appends one by one, then in a row", false},
    LAST};
static const struct option_spec idle_options[] = {
    WHERE,
    PATH,
    {"readers", OPTION_UINT, FIELD(count), "1000", "N", "readers by SSE", false},
    LAST};

static const struct {
    struct command command;
    void (*run)(const struct load_settings *settings);
} commands[] = {
    {{"create", "creates the streams", "", create_options, NULL}, run_create},
    {{"append", "small appends to random streams", "", append_options, NULL}, run_append},
    {{"batch", "batches of small appends", "", batch_options, NULL}, run_batch},
    {{"read", "reads a stream to its tail", "", read_options, NULL}, run_read},
    {{"fanout", "appends to a stream with readers by SSE", "", fanout_options, NULL}, run_fanout},
    {{"idle", "readers by SSE until the input ends", "", idle_options, NULL}, run_idle},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands, EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
    struct load_settings settings = {0};
    struct err err;
    for (size_t i = 0; i < COMMAND_COUNT && argc > 1; i++) {
        if (strcmp(argv[1], commands[i].command.name) != 0)
            continue;
        if (option_parse(&commands[i].command, argc - 1, argv + 1, &settings, &err) != OPTION_OK) {
            option_help(&commands[i].command, stderr);
            return EXIT_USAGE;
        }
        commands[i].run(&settings);
        return 0;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stderr, "weir_load %-8s %s\n", commands[i].command.name,
                commands[i].command.summary);
    return EXIT_USAGE;
}
