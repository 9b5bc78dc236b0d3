/* weir bridge: options, signals and the exit code. */
#include "commands.h"

#include "weir/base/log.h"
#include "weir/bridge/bridge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct settings {
    struct bridge_settings bridge;
    const char *dialect;
    const char *log_level;
    const char *log_format;
};

#define FIELD(name) offsetof(struct settings, name)

static const struct option_spec options[] = {
    {.name = "db",
     .kind = OPTION_STRING,
     .offset = FIELD(bridge.db),
     .placeholder = "CONNINFO",
     .required = true,
     .help = "how to reach Postgres: a libpq connection string or URL"},
    {.name = "streams",
     .kind = OPTION_STRING,
     .offset = FIELD(bridge.streams),
     .default_value = "http://127.0.0.1:4437/v1/stream",
     .placeholder = "URL",
     .help = "the stream server's root"},
    {.name = "dialect",
     .kind = OPTION_STRING,
     .offset = FIELD(dialect),
     .default_value = "auto",
     .placeholder = "NAME",
     .help = "the stream server's: weir, for `weir serve`; standard, for any other Durable Streams "
             "server; auto asks it"},
    {.name = "streams-connections",
     .kind = OPTION_UINT,
     .offset = FIELD(bridge.connections),
     .default_value = "64",
     .placeholder = "N",
     .help = "how many streams of a server of the standard dialect are written to side by side"},
    {.name = "state",
     .kind = OPTION_STRING,
     .offset = FIELD(bridge.state),
     .placeholder = "DIR",
     .required = true,
     .help = "the folder of the replica, made if absent; belongs to one slot"},
    {.name = "publication",
     .kind = OPTION_STRING,
     .offset = FIELD(bridge.publication),
     .default_value = "weir",
     .placeholder = "NAME",
     .help = "which tables are followed"},
    {.name = "slot",
     .kind = OPTION_STRING,
     .offset = FIELD(bridge.slot),
     .default_value = "weir",
     .placeholder = "NAME",
     .help = "the replication slot, made if absent; also the producer's name on the stream server"},
    {.name = "streams-token-file",
     .kind = OPTION_STRING,
     .offset = FIELD(bridge.token_file),
     .placeholder = "FILE",
     .help = "whose first line is the token to write streams with: the server's "
             "--writer-token-file"},
    {.name = "streams-ca-file",
     .kind = OPTION_STRING,
     .offset = FIELD(bridge.ca_file),
     .placeholder = "FILE",
     .help = "certificates (PEM) that may vouch for an https stream server; by default the "
             "system's"},
    {.name = "replica-limit",
     .kind = OPTION_SIZE,
     .offset = FIELD(bridge.replica_limit),
     .default_value = "64G",
     .placeholder = "SIZE",
     .help = "how large the replica may grow"},
    {.name = "batch-size",
     .kind = OPTION_SIZE,
     .offset = FIELD(bridge.batch_size),
     .default_value = "4M",
     .placeholder = "SIZE",
     .help = "a batch is sent when no change is waiting, or when it has this size"},
    {.name = "max-event",
     .kind = OPTION_SIZE,
     .offset = FIELD(bridge.event_max),
     .default_value = "60M",
     .placeholder = "SIZE",
     .help = "a row that is larger as JSON is shown to nobody and noted in weir.parked; less than "
             "the server's --max-body"},
    {.name = "transaction-memory",
     .kind = OPTION_SIZE,
     .offset = FIELD(bridge.transaction_memory),
     .default_value = "16M",
     .placeholder = "SIZE",
     .help = "how much a transaction's changes, what they reach, and its events may each take in "
             "memory; what is more is worked on in the state folder"},
    {.name = "checkpoint-interval",
     .kind = OPTION_DURATION,
     .offset = FIELD(bridge.checkpoint_interval),
     .default_value = "10s",
     .placeholder = "TIME",
     .help = "how often, at most, the replica is made durable and the slot confirmed under load"},
    {.name = "catalog-interval",
     .kind = OPTION_DURATION,
     .offset = FIELD(bridge.catalog_interval),
     .default_value = "5s",
     .placeholder = "TIME",
     .help = "how often to look whether tables were added to the publication, dropped or altered"},
    {.name = "probe-interval",
     .kind = OPTION_DURATION,
     .offset = FIELD(bridge.probe_interval),
     .default_value = "10s",
     .placeholder = "TIME",
     .help = "how often the lag is measured by a small message written into the WAL; 0s: never"},
    {.name = "resync",
     .kind = OPTION_FLAG,
     .offset = FIELD(bridge.resync),
     .help = "read everything again at the start, compare it with what the streams hold and send "
             "what differs, also where state folder or streams were made from another database"},
    {.name = "log-level",
     .kind = OPTION_STRING,
     .offset = FIELD(log_level),
     .default_value = "info",
     .placeholder = "LEVEL",
     .help = "debug, info, warn or error"},
    {.name = "log-format",
     .kind = OPTION_STRING,
     .offset = FIELD(log_format),
     .default_value = "logfmt",
     .placeholder = "FORMAT",
     .help = "logfmt or json"},
    {.name = NULL},
};

static volatile sig_atomic_t stop_requested;
static int stop_fd = -1;

static void request_stop(int signal_number)
{
    (void)signal_number;
    uint64_t one = 1;
    stop_requested = 1;
    ssize_t ignored = write(stop_fd, &one, sizeof one);
    (void)ignored;
}

static void install_signals(void)
{
    struct sigaction action = {.sa_handler = request_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool configure_log(const struct settings *settings, struct err *err)
{
    enum log_level level;
    enum log_format format;
    if (!log_level_parse(settings->log_level, &level))
        return err_set(err, "--log-level is not debug, info, warn or error");
    if (!log_format_parse(settings->log_format, &format))
        return err_set(err, "--log-format is not logfmt or json");
    log_configure(level, format);
    return true;
}

static bool read_dialect(struct settings *settings, struct err *err)
{
    if (settings->bridge.connections < 1 || settings->bridge.connections > 1000)
        return err_set(err, "--streams-connections is not between 1 and 1000");
    return publisher_dialect_parse(settings->dialect, &settings->bridge.dialect) ||
           err_set(err, "--dialect is not auto, weir or standard");
}

static int bridge_main(int argc, char **argv)
{
    struct settings settings = {.log_level = NULL};
    struct err err = {.message = ""};
    switch (option_parse(&command_bridge, argc, argv, &settings, &err)) {
    case OPTION_HELP:
        option_help(&command_bridge, stdout);
        return 0;
    case OPTION_INVALID:
        log_err(LOG_ERROR, "bad options", &err);
        return 2;
    case OPTION_OK:
        break;
    }
    if (!configure_log(&settings, &err) || !read_dialect(&settings, &err)) {
        log_err(LOG_ERROR, "bad options", &err);
        return 2;
    }
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    check(stop_fd >= 0);
    install_signals();
    if (!bridge_run(&settings.bridge, stop_fd, &stop_requested, &err)) {
        log_err(LOG_ERROR, "bridge stopped", &err);
        return 1;
    }
    log_event(LOG_INFO, "bridge stopped");
    return 0;
}

const struct command command_bridge = {
    .name = "bridge",
    .summary = "follows a slot and publishes to each user's stream the rows they may see",
    .usage = "--db CONNINFO --state DIR [--streams URL]",
    .options = options,
    .run = bridge_main,
};
