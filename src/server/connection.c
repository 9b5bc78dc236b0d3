#include "connection.h"

#include "weir/base/clock.h"
#include "weir/base/log.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BYTES_PER_SECOND = 1000 };

/* What the other side has sent, and what it has taken. */
static uint64_t moved_bytes(const struct connection *connection)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return 0;
    return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

static void set_patience(struct server *server, struct connection *connection)
{
    timer_set(&connection->patience, &server->patience,
              clock_monotonic_ms() + server->settings->idle_timeout_ms);
}

static struct connection *connection_new(struct server *server, struct MHD_Connection *handle)
{
    struct connection *connection = calloc(1, sizeof *connection);
    check(connection != NULL);
    connection->handle = handle;
    connection->fd = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    set_patience(server, connection);
    return connection;
}

/* libmicrohttpd does not tell of every request's end. It is silent where it gives one up for a
 * second reason while it answers the first (no room in its memory for the parameters, nor then for
 * the headers), and where the connection cannot be put back into its epoll set. */
static void end_request(struct server *server, struct connection *connection)
{
    void *left = connection->request;
    request_done(server, connection->handle, &left, MHD_REQUEST_TERMINATED_WITH_ERROR);
}

void connection_notify(void *context, struct MHD_Connection *handle, void **own,
                       enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    struct connection *connection = *own;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *own = connection_new(server, handle);
        server->open_connections++;
        return;
    }
    *own = NULL;
    end_request(server, connection);
    server->open_connections--;
    check(server->active_requests <= server->open_connections);
    timer_clear(&connection->patience);
    free(connection);
}

struct connection *connection_of(struct MHD_Connection *handle)
{
    struct connection *connection =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    check(connection != NULL);
    return connection;
}

void connection_cut(struct connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
}

/* ---- Hang-ups ---- */

void connection_watch(struct server *server, struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    check(!connection->is_watched);
    connection->is_watched =
        epoll_ctl(server->hang_ups_fd, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

void connection_unwatch(struct server *server, struct connection *connection)
{
    if (connection->is_watched)
        epoll_ctl(server->hang_ups_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->is_watched = false;
}

void connections_take_hang_ups(struct server *server)
{
    struct epoll_event events[64];
    int count;
    while ((count = epoll_wait(server->hang_ups_fd, events, 64, 0)) > 0) {
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            struct request *request = connection->request;
            connection->has_hung_up = true;
            if (request && request->waiting == WAITING_DATA)
                request_wake(request);
        }
    }
}

/* ---- Patience ---- */

static bool gets_somewhere(const struct server *server, struct connection *connection)
{
    const struct request *request = connection->request;
    uint64_t bytes = moved_bytes(connection), moved = bytes - connection->seen_bytes;
    bool has_stepped = connection->steps != connection->seen_steps;
    connection->seen_bytes = bytes;
    connection->seen_steps = connection->steps;
    return has_stepped || (request && request->waiting != WAITING_NOT) ||
           moved >= server->settings->idle_timeout_ms * BYTES_PER_SECOND / 1000;
}

void connections_expire(struct server *server, uint64_t now_ms)
{
    struct timer_list *list = &server->patience;
    while (list->first && list->first->deadline_ms <= now_ms) {
        struct connection *connection = (struct connection *)(void *)list->first;
        if (gets_somewhere(server, connection)) {
            set_patience(server, connection);
            continue;
        }
        timer_clear(&connection->patience);
        server->counters.connections_cut++;
        log_event(LOG_DEBUG, "a connection that gets nowhere is cut");
        connection_cut(connection);
    }
}
