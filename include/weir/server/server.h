/* The stream server: HTTP over a store, until a signal says stop. Protocol sections 5 and 10, and
 * docs/protocol-extensions.md. */
#pragma once

#include "weir/base/err.h"

#include <stdint.h>

struct server_settings {
    const char *listen; /* "127.0.0.1:4437" or "[::1]:4437" */
    const char *data;   /* folder of the store */
    const char *auth;   /* "none" or "jwt"; the settings of jwt: docs/access.md */
    bool is_insecure;   /* "none" may listen on what other machines reach */
    const char *auth_secret_file, *auth_public_key_file, *auth_jwks_file; /* NULL: not given */
    const char *auth_issuer, *auth_audience;                              /* NULL: not given */
    const char *auth_streams; /* patterns of what a token's subject may read */
    uint64_t auth_leeway_ms;
    const char *writer_token_file, *admin_token_file;
    const char *console; /* "on", "off", or "auto": where only this machine reaches it */
    const char *tls_cert_file, *tls_key_file; /* both or neither */
    bool is_public;                           /* Cache-Control: public instead of private */
    bool has_webhooks;
    bool has_webhook_loopback;        /* they may go to http://localhost and http://127.0.0.x */
    uint64_t webhook_key_lifetime_ms; /* 0: for ever */
    bool wants_new_webhook_key;       /* forget those there are */
    const char *public_url;           /* of /v1/stream, without '/' at its end; NULL: from listen */
    uint64_t long_poll_timeout_ms;
    uint64_t sse_lifetime_ms;
    uint64_t heartbeat_ms;
    uint64_t idle_timeout_ms; /* of connections that neither send nor take anything */
    uint64_t drain_timeout_ms;
    uint64_t max_body;
    uint64_t page_bytes;    /* a page ends at the first append boundary behind so many */
    uint64_t cache_bytes;   /* of recent data in memory */
    uint64_t checkpoint_ms; /* between two checkpoints of the store, at most */
    uint64_t
        connection_bytes; /* memory of one connection, for its request's head and the answer's */
    uint64_t max_streams; /* 0: no limit */
    uint64_t max_connections;
    uint64_t max_connections_per_address;
    uint64_t ready_lag_ms; /* of a bridge, above which /readyz is red */
};

/* Blocks until SIGTERM or SIGINT, then finishes the work in hand. False with err when it could not
 * start. */
bool server_run(const struct server_settings *settings, struct err *err) WEIR_MUST_CHECK;
