/* weir serve: the stream server's options and how it ends. */
#include "commands.h"

#include "weir/base/log.h"
#include "weir/server/server.h"

#include <malloc.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

struct serve_settings {
    struct server_settings server;
    const char *log_level, *log_format;
};

#define FIELD(name) offsetof(struct serve_settings, name)

static const struct option_spec options[] = {
    {"listen", OPTION_STRING, FIELD(server.listen), "127.0.0.1:4437", "ADDRESS:PORT",
     "where to listen; only loopback with --auth none", false},
    {"data", OPTION_STRING, FIELD(server.data), NULL, "DIR", "folder of the streams", true},
    {"auth", OPTION_STRING, FIELD(server.auth), NULL, "none|jwt",
     "who may do what; none: everybody everything", true},
    {"long-poll-timeout", OPTION_DURATION, FIELD(server.long_poll_timeout_ms), "30s", "TIME",
     "how long a long-poll waits for data", false},
    {"sse-lifetime", OPTION_DURATION, FIELD(server.sse_lifetime_ms), "60s", "TIME",
     "when an SSE connection is ended, for the reader to come back by its offset", false},
    {"heartbeat", OPTION_DURATION, FIELD(server.heartbeat_ms), "15s", "TIME",
     "how often a quiet SSE connection is tried out", false},
    {"idle-timeout", OPTION_DURATION, FIELD(server.idle_timeout_ms), "60s", "TIME",
     "when a connection is closed on which nothing moves, or less than 1000 bytes a second", false},
    {"drain-timeout", OPTION_DURATION, FIELD(server.drain_timeout_ms), "10s", "TIME",
     "how long requests in hand may take after SIGTERM", false},
    {"max-body", OPTION_SIZE, FIELD(server.max_body), "64M", "SIZE",
     "largest request body, above it 413", false},
    {"page-size", OPTION_SIZE, FIELD(server.page_bytes), "1M", "SIZE",
     "a page of data ends at the first append boundary behind so many bytes", false},
    {"cache-size", OPTION_SIZE, FIELD(server.cache_bytes), "128M", "SIZE",
     "recent data kept in memory for readers; as much again may be on its way to slow ones", false},
    {"max-streams", OPTION_UINT, FIELD(server.max_streams), "10000000", "N",
     "streams there may be, above it 507; 0: no limit", false},
    {"connection-memory", OPTION_SIZE, FIELD(server.connection_bytes), "5K", "SIZE",
     "memory of a connection: the heads of a request and its answer must fit, else 431", false},
    {"max-connections", OPTION_UINT, FIELD(server.max_connections), "18000", "N",
     "open connections, also bounded by the limit of open files", false},
    {"max-connections-per-address", OPTION_UINT, FIELD(server.max_connections_per_address), "0",
     "N", "open connections of one address; 0: no limit", false},
    {"ready-lag", OPTION_DURATION, FIELD(server.ready_lag_ms), "30s", "TIME",
     "/readyz is red while a bridge is further behind than this, or is not heard of", false},
    {"public", OPTION_FLAG, FIELD(server.is_public), NULL, NULL,
     "let shared caches keep pages (Cache-Control: public)", false},
    {"webhooks", OPTION_FLAG, FIELD(server.has_webhooks), NULL, NULL,
     "allow webhook subscriptions: the server then sends requests to https URLs of its clients",
     false},
    {"webhook-loopback", OPTION_FLAG, FIELD(server.has_webhook_loopback), NULL, NULL,
     "for development: webhooks may also go to http://localhost and http://127.0.0.x", false},
    {"webhook-key-lifetime", OPTION_DURATION, FIELD(server.webhook_key_lifetime_ms), "90d", "TIME",
     "when the key that signs webhooks is followed by another; 0s: never", false},
    {"webhook-new-key", OPTION_FLAG, FIELD(server.wants_new_webhook_key), NULL, NULL,
     "at the start, forget the keys of webhooks and make a new one, as after a leak", false},
    {"public-url", OPTION_STRING, FIELD(server.public_url), NULL, "URL",
     "the root of streams as webhooks reach it; by default http, --listen and /v1/stream", false},
    {"log-level", OPTION_STRING, FIELD(log_level), "info", "LEVEL", "debug, info, warn or error",
     false},
    {"log-format", OPTION_STRING, FIELD(log_format), "logfmt", "FORMAT", "logfmt or json", false},
    {.name = NULL},
};

/* Every connection is a file; some are kept for the store and the rest. */
static void bound_connections(struct server_settings *settings)
{
    enum { OWN_FILES = 64 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur > OWN_FILES &&
        settings->max_connections > limit.rlim_cur - OWN_FILES)
        settings->max_connections = limit.rlim_cur - OWN_FILES;
}

enum { KEY_LIFETIME_MIN_MS = 86400000 };

static bool check_settings(struct serve_settings *settings, struct err *err)
{
    enum log_level level;
    enum log_format format;
    struct server_settings *server = &settings->server;
    if (!log_level_parse(settings->log_level, &level))
        return err_set(err, "--log-level %s is not debug, info, warn or error",
                       settings->log_level);
    if (!log_format_parse(settings->log_format, &format))
        return err_set(err, "--log-format %s is not logfmt or json", settings->log_format);
    log_configure(level, format);
    if (strcmp(server->auth, "none") != 0) {
        err_set(err, "--auth %s is not built into this version", server->auth);
        return err_hint(err, "use --auth none on a loopback address, behind a proxy that checks "
                             "users");
    }
    if (server->max_body == 0 || server->max_body > (uint64_t)1 << 30 || server->page_bytes == 0 ||
        server->max_connections == 0 || server->long_poll_timeout_ms == 0 ||
        server->sse_lifetime_ms == 0 || server->heartbeat_ms == 0)
        return err_set(err, "a size or a time is zero, or --max-body is over 1G");
    if (server->connection_bytes < 4096 || server->connection_bytes > 1 << 20)
        return err_set(err, "--connection-memory is not between 4K and 1M");
    if (server->webhook_key_lifetime_ms && server->webhook_key_lifetime_ms < KEY_LIFETIME_MIN_MS)
        return err_set(err, "--webhook-key-lifetime is shorter than a day");
    bound_connections(server);
    return true;
}

static int serve_main(int argc, char **argv)
{
    enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };
    struct serve_settings settings = {0};
    struct err err = {0};
    switch (option_parse(&command_serve, argc, argv, &settings, &err)) {
    case OPTION_HELP:
        option_help(&command_serve, stdout);
        return 0;
    case OPTION_INVALID:
        break;
    case OPTION_OK:
        if (!check_settings(&settings, &err))
            break;
        /* Pages of data come and go and are worth keeping; greater frames and bodies go back to the
         * system at once. */
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, 32 << 20);
        if (server_run(&settings.server, &err))
            return 0;
        log_err(LOG_ERROR, "weir serve", &err);
        return EXIT_FAILED;
    }
    fprintf(stderr, "weir serve: %s\n", err.message);
    if (err.hint[0])
        fprintf(stderr, "hint: %s\n", err.hint);
    return EXIT_USAGE;
}

const struct command command_serve = {
    "serve", "run the stream server", "--data DIR --auth none [--listen 127.0.0.1:4437]", options,
    serve_main};
