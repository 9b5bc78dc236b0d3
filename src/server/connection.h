/* Connections, beside what libmicrohttpd knows of them: to cut those that hold a place and get
 * nowhere, and to notice when a reader that waits has hung up.
 *
 * libmicrohttpd closes a connection on which nothing moves at all for the idle time-out. Whoever
 * sends or takes a byte now and then gets by that; here, in each such time, a connection has to
 * wait for the server, to begin or end a request, or to move a thousand bytes for each second. Loop
 * thread. */
#pragma once

#include "internal.h"

struct connection {
    struct timer patience;
    struct MHD_Connection *handle;
    struct request *request; /* in hand, or NULL */
    int fd;
    uint64_t steps, seen_steps; /* requests begun, woken and ended */
    uint64_t seen_bytes;        /* in both directions */
    bool is_watched;            /* for a hang-up */
    bool has_hung_up;
};

/* libmicrohttpd's callback for new and closed connections. */
void connection_notify(void *server, struct MHD_Connection *handle, void **context,
                       enum MHD_ConnectionNotificationCode code);

struct connection *connection_of(struct MHD_Connection *handle);

/* libmicrohttpd finds it closed by the other side. */
void connection_cut(struct connection *connection);

/* From now on until its request ends, a hang-up ends its waiting for data. */
void connection_watch(struct server *server, struct connection *connection);
void connection_unwatch(struct server *server, struct connection *connection);
void connections_take_hang_ups(struct server *server);

/* Cuts those that get nowhere. */
void connections_expire(struct server *server, uint64_t now_ms);
