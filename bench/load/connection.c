/* One HTTP connection, as the client. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVE_SIZE = 256 << 10, EVENTS = 256, ENDING = EPOLLRDHUP | EPOLLHUP | EPOLLERR };

/* By edges: the kernel then looks at each socket once an event, not once more to see it empty. */
static const uint32_t EVENTS_ALWAYS = EPOLLIN | EPOLLRDHUP | EPOLLET;

static char received[RECEIVE_SIZE];

_Noreturn void load_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("weir_load: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void load_open(struct load *load, uint64_t port, uint64_t server_pid)
{
    *load = (struct load){
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .port = (uint16_t)port, .server_pid = server_pid};
    if (load->epoll_fd < 0)
        load_fail("epoll: %s", strerror(errno));
}

void load_close(struct load *load)
{
    close(load->epoll_fd);
}

void connection_open(struct connection *connection, struct load *load,
                     const struct handlers *handlers, void *owner)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(load->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        load_fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        load_fail("connect: %s", strerror(errno));
    *connection = (struct connection){
        .load = load, .handlers = handlers, .owner = owner, .fd = fd, .head = connection->head};
    struct epoll_event event = {.events = EVENTS_ALWAYS, .data.ptr = connection};
    check(epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

void connection_close(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    free(connection->head);
    connection->head = NULL;
}

static void end(struct connection *connection)
{
    connection_close(connection);
    connection->handlers->on_end(connection);
}

static void wait_to_send(struct connection *connection, bool is_waiting)
{
    struct epoll_event event = {.events = EVENTS_ALWAYS | (is_waiting ? EPOLLOUT : 0u),
                                .data.ptr = connection};
    if (connection->is_waiting_to_send == is_waiting)
        return;
    connection->is_waiting_to_send = is_waiting;
    check(epoll_ctl(connection->load->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) == 0);
}

/* A connection that is still being made, or is lost, shows as readable or writable later. */
static void send_rest(struct connection *connection)
{
    while (connection->rest.len) {
        ssize_t sent =
            send(connection->fd, connection->rest.data, connection->rest.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN && errno != ENOTCONN)
            return;
        if (sent < 0)
            break;
        connection->rest.data += sent;
        connection->rest.len -= (size_t)sent;
    }
    wait_to_send(connection, connection->rest.len > 0);
}

void connection_send(struct connection *connection, struct slice request)
{
    check(connection->stage == STAGE_IDLE);
    if (!connection->head)
        connection->head = malloc(HEAD_MAX);
    check(connection->head != NULL);
    connection->head_len = 0;
    connection->stage = STAGE_HEAD;
    connection->rest = request;
    send_rest(connection);
}

struct slice connection_header(const struct connection *connection, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strchr(connection->head, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, len) != 0 || line[len] != ':')
            continue;
        const char *value = line + len + 1 + strspn(line + len + 1, " ");
        return slice_of(value, strcspn(value, "\r"));
    }
    return SLICE_NONE;
}

static void finish(struct connection *connection)
{
    connection->stage = STAGE_IDLE;
    connection->handlers->on_answer(connection);
}

/* What comes behind the head follows from it. */
static void read_head(struct connection *connection)
{
    static const char version[] = "HTTP/1.1 ";
    if (strncmp(connection->head, version, sizeof version - 1) != 0)
        load_fail("not an answer: %.40s", connection->head);
    connection->status = atoi(connection->head + sizeof version - 1);
    connection->left = 0;
    connection->stage = STAGE_CONTENT;
    if (connection->status == 204 || connection->status == 304)
        return;
    struct slice length = connection_header(connection, "Content-Length");
    if (slice_eq_str(connection_header(connection, "Transfer-Encoding"), "chunked")) {
        connection->stage = STAGE_CHUNK_LINE;
        connection->line_len = 0;
        return;
    }
    connection->left = length.data ? strtoull(length.data, NULL, 10) : 0;
    if (!length.data)
        load_fail("an answer of unknown length, with status %d", connection->status);
}

static struct slice take(struct slice *bytes, size_t len)
{
    struct slice taken = slice_of(bytes->data, len < bytes->len ? len : bytes->len);
    *bytes = slice_of(bytes->data + taken.len, bytes->len - taken.len);
    return taken;
}

static void take_head(struct connection *connection, struct slice *bytes)
{
    size_t before = connection->head_len;
    size_t copied = bytes->len < HEAD_MAX - 1 - before ? bytes->len : HEAD_MAX - 1 - before;
    memcpy(connection->head + before, bytes->data, copied);
    connection->head[before + copied] = '\0';
    connection->head_len += copied;
    const char *found = strstr(connection->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
    if (!found && connection->head_len == HEAD_MAX - 1)
        load_fail("an answer's head is longer than %d", HEAD_MAX);
    if (!found) {
        take(bytes, copied);
        return;
    }
    connection->head_len = (size_t)(found + 4 - connection->head);
    connection->head[connection->head_len] = '\0';
    take(bytes, connection->head_len - before);
    read_head(connection);
}

static void take_content(struct connection *connection, struct slice *bytes)
{
    struct slice content = take(bytes, connection->left);
    connection->left -= content.len;
    if (content.len && connection->handlers->on_content)
        connection->handlers->on_content(connection, content);
}

/* A line that ends chunks or describes one. False: it is not whole. */
static bool take_line(struct connection *connection, struct slice *bytes)
{
    while (bytes->len) {
        char c = *take(bytes, 1).data;
        if (c == '\n')
            return true;
        if (connection->line_len == CHUNK_LINE_MAX - 1)
            load_fail("a chunk's line is longer than %d", CHUNK_LINE_MAX);
        connection->line[connection->line_len++] = c;
    }
    return false;
}

static void take_chunk_part(struct connection *connection, struct slice *bytes)
{
    if (!take_line(connection, bytes))
        return;
    connection->line[connection->line_len] = '\0';
    bool is_empty = connection->line[0] == '\r' || !connection->line_len;
    connection->line_len = 0;
    if (connection->stage == STAGE_CHUNK_END) {
        connection->stage = STAGE_CHUNK_LINE;
    } else if (connection->stage == STAGE_CHUNK_LINE) {
        connection->left = strtoull(connection->line, NULL, 16);
        connection->stage = connection->left ? STAGE_CHUNK : STAGE_TRAILER;
    } else if (is_empty) {
        finish(connection);
    }
}

static void take_bytes(struct connection *connection, struct slice *bytes)
{
    switch (connection->stage) {
    case STAGE_IDLE:
        load_fail("bytes that nobody has asked for");
    case STAGE_HEAD:
        take_head(connection, bytes);
        break;
    case STAGE_CONTENT:
        take_content(connection, bytes);
        break;
    case STAGE_CHUNK:
        take_content(connection, bytes);
        if (!connection->left)
            connection->stage = STAGE_CHUNK_END;
        break;
    case STAGE_CHUNK_LINE:
    case STAGE_CHUNK_END:
    case STAGE_TRAILER:
        take_chunk_part(connection, bytes);
        break;
    }
    if (connection->stage == STAGE_CONTENT && !connection->left)
        finish(connection);
}

/* All that there is. A short read has emptied the socket, unless its end is behind what was read.
 */
static void receive(struct connection *connection, bool is_ending)
{
    ssize_t count;
    int fd = connection->fd;
    do {
        count = recv(fd, received, sizeof received, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (count <= 0) {
            end(connection);
            return;
        }
        struct slice bytes = slice_of(received, (size_t)count);
        while (bytes.len && connection->fd >= 0)
            take_bytes(connection, &bytes);
    } while (connection->fd == fd && !connection->load->is_finished &&
             (is_ending || count == (ssize_t)sizeof received));
}

void load_run(struct load *load)
{
    struct epoll_event events[EVENTS];
    load->is_finished = false;
    while (!load->is_finished) {
        int count = epoll_wait(load->epoll_fd, events, EVENTS, 60000);
        if (count == 0)
            load_fail("the server has not answered for a minute");
        for (int i = 0; i < count && !load->is_finished; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->fd >= 0 && events[i].events & EPOLLOUT)
                send_rest(connection);
            if (connection->fd >= 0 && events[i].events & (EPOLLIN | ENDING))
                receive(connection, (events[i].events & ENDING) != 0);
        }
    }
}
