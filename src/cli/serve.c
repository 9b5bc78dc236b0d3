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
    {"insecure-no-auth", OPTION_FLAG, FIELD(server.is_insecure), NULL, NULL,
     "with --auth none: listen where other machines reach it, for everybody to do everything",
     false},
    {"auth-secret-file", OPTION_STRING, FIELD(server.auth_secret_file), NULL, "FILE",
     "a secret of 32 bytes or more that readers' tokens are signed with (HS256)", false},
    {"auth-public-key-file", OPTION_STRING, FIELD(server.auth_public_key_file), NULL, "FILE",
     "public keys (PEM) that readers' tokens are checked with (RS256, ES256, EdDSA)", false},
    {"auth-jwks-file", OPTION_STRING, FIELD(server.auth_jwks_file), NULL, "FILE",
     "a JSON Web Key Set that readers' tokens are checked with", false},
    {"auth-issuer", OPTION_STRING, FIELD(server.auth_issuer), NULL, "TEXT",
     "what a token's iss must be; by default anything", false},
    {"auth-audience", OPTION_STRING, FIELD(server.auth_audience), NULL, "TEXT",
     "what a token's aud must name; by default there must be none", false},
    {"auth-leeway", OPTION_DURATION, FIELD(server.auth_leeway_ms), "10s", "TIME",
     "by how much clocks may differ in a token's exp, nbf and iat", false},
    {"auth-streams", OPTION_STRING, FIELD(server.auth_streams), "user/{sub}/**", "PATTERNS",
     "what a token's sub may read: patterns with * and **, separated by commas", false},
    {"writer-token-file", OPTION_STRING, FIELD(server.writer_token_file), NULL, "FILE",
     "secrets, one a line, that let the bridge and other writers in", false},
    {"admin-token-file", OPTION_STRING, FIELD(server.admin_token_file), NULL, "FILE",
     "secrets, one a line, for /metrics and to read any stream", false},
    {"console", OPTION_STRING, FIELD(server.console), "auto", "auto|on|off",
     "serve the console, a page at /console/; auto: where only this machine reaches it", false},
    {"tls-cert", OPTION_STRING, FIELD(server.tls_cert_file), NULL, "FILE",
     "speak TLS (https) with this certificate (PEM), followed by those that vouch for it", false},
    {"tls-key", OPTION_STRING, FIELD(server.tls_key_file), NULL, "FILE",
     "the private key (PEM) of --tls-cert", false},
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
     "recent data kept in memory for readers; as much again for encoded pages", false},
    {"checkpoint-interval", OPTION_DURATION, FIELD(server.checkpoint_ms), "10s", "TIME",
     "how often, at most, the log is taken into the catalog while there is writing", false},
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
     "the root of streams as webhooks reach it; by default --listen and /v1/stream", false},
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

/* An option that would have no effect was given for one. */
static bool check_auth(const struct server_settings *server, struct err *err)
{
    bool is_none = strcmp(server->auth, "none") == 0;
    bool has_jwt_option = server->auth_secret_file || server->auth_public_key_file ||
                          server->auth_jwks_file || server->auth_issuer || server->auth_audience ||
                          server->writer_token_file || server->admin_token_file;
    if (!is_none && strcmp(server->auth, "jwt") != 0)
        return err_set(err, "--auth %s is not none or jwt", server->auth);
    if (is_none && has_jwt_option) {
        err_set(err, "there are keys or tokens, but --auth none asks nobody for them");
        return err_hint(err, "use --auth jwt, or leave them out");
    }
    if (!is_none && server->is_insecure)
        return err_set(err, "--insecure-no-auth goes with --auth none");
    return true;
}

static bool check_tls(const struct server_settings *server, struct err *err)
{
    if (!server->tls_cert_file == !server->tls_key_file)
        return true;
    err_set(err, "--tls-%s is there without --tls-%s", server->tls_cert_file ? "cert" : "key",
            server->tls_cert_file ? "key" : "cert");
    return err_hint(err, "TLS takes a certificate and its private key");
}

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
    if (!check_auth(server, err) || !check_tls(server, err))
        return false;
    if (strcmp(server->console, "auto") != 0 && strcmp(server->console, "on") != 0 &&
        strcmp(server->console, "off") != 0)
        return err_set(err, "--console %s is not auto, on or off", server->console);
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
    "serve", "run the stream server",
    "--data DIR --auth jwt --auth-secret-file FILE --writer-token-file FILE", options, serve_main};
