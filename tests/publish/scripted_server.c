#include "scripted_server.h"

#include "weir/base/buffer.h"
#include "weir/base/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 64 };

struct request {
    char *head, *body;
    size_t body_len;
};

struct scripted_server {
    const struct scripted_answer *script;
    size_t script_len, script_at;
    int listener, connection;
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping;
    size_t request_count, connection_count;
    struct request requests[REQUEST_MAX];
};

/* Reads to the end of one request; false when the peer closed. */
static bool read_request(int fd, struct buffer *in, size_t *head_len, size_t *body_len)
{
    for (;;) {
        char *blank = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
        if (blank) {
            *head_len = (size_t)(blank - in->data) + 4;
            const char *length = memmem(in->data, *head_len, "Content-Length: ", 16);
            *body_len = length ? strtoul(length + 16, NULL, 10) : 0;
            if (in->len >= *head_len + *body_len)
                return true;
        }
        ssize_t n = read(fd, buffer_reserve(in, 4096), 4096);
        if (n <= 0)
            return false;
        in->len += (size_t)n;
    }
}

static void keep_request(struct scripted_server *server, const struct buffer *in, size_t head_len,
                         size_t body_len)
{
    pthread_mutex_lock(&server->lock);
    check(server->request_count < REQUEST_MAX);
    struct request *request = &server->requests[server->request_count++];
    request->head = strndup(in->data, head_len);
    request->body = malloc(body_len + 1);
    memcpy(request->body, in->data + head_len, body_len);
    request->body_len = body_len;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

/* Answers from the script; false to close. Past its end, waits until the test stops the server. */
static bool answer(struct scripted_server *server, int fd)
{
    pthread_mutex_lock(&server->lock);
    while (server->script_at == server->script_len && !server->is_stopping)
        pthread_cond_wait(&server->changed, &server->lock);
    const struct scripted_answer *next =
        server->is_stopping ? NULL : &server->script[server->script_at++];
    pthread_mutex_unlock(&server->lock);
    if (!next || next->status == 0)
        return false;
    struct buffer out = BUFFER_INIT;
    buffer_printf(&out, "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\n\r\n%s", next->status,
                  strlen(next->body), next->body);
    bool ok = write(fd, out.data, out.len) == (ssize_t)out.len;
    buffer_release(&out);
    return ok;
}

static void serve_connection(struct scripted_server *server, int fd)
{
    struct buffer in = BUFFER_INIT;
    size_t head_len, body_len;
    while (read_request(fd, &in, &head_len, &body_len)) {
        keep_request(server, &in, head_len, body_len);
        size_t used = head_len + body_len;
        memmove(in.data, in.data + used, in.len - used);
        in.len -= used;
        if (!answer(server, fd))
            break;
    }
    buffer_release(&in);
}

static void *server_run(void *context)
{
    struct scripted_server *server = context;
    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        pthread_mutex_lock(&server->lock);
        bool is_stopping = server->is_stopping || fd < 0;
        server->connection = fd;
        server->connection_count++;
        pthread_mutex_unlock(&server->lock);
        if (!is_stopping)
            serve_connection(server, fd);
        pthread_mutex_lock(&server->lock);
        server->connection = -1;
        pthread_mutex_unlock(&server->lock);
        if (fd >= 0)
            close(fd);
        if (is_stopping)
            return NULL;
    }
}

struct scripted_server *scripted_server_start(const struct scripted_answer *script, size_t count)
{
    struct scripted_server *server = calloc(1, sizeof *server);
    check(server != NULL);
    server->script = script;
    server->script_len = count;
    server->connection = -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0);
    check(listen(server->listener, 8) == 0);
    check(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u/v1/stream",
             ntohs(address.sin_port));
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    check(pthread_create(&server->thread, NULL, server_run, server) == 0);
    return server;
}

void scripted_server_stop(struct scripted_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->is_stopping = true;
    pthread_cond_broadcast(&server->changed);
    if (server->connection >= 0)
        shutdown(server->connection, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    for (size_t i = 0; i < server->request_count; i++) {
        free(server->requests[i].head);
        free(server->requests[i].body);
    }
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *scripted_server_url(const struct scripted_server *server)
{
    return server->url;
}

size_t scripted_server_request_count(struct scripted_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->request_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

size_t scripted_server_connection_count(struct scripted_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->connection_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

const char *scripted_server_head(struct scripted_server *server, size_t index)
{
    check(index < scripted_server_request_count(server));
    return server->requests[index].head;
}

struct slice scripted_server_body(struct scripted_server *server, size_t index)
{
    check(index < scripted_server_request_count(server));
    return slice_of(server->requests[index].body, server->requests[index].body_len);
}

bool scripted_server_wait(struct scripted_server *server, size_t count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&server->lock);
    int status = 0;
    while (server->request_count < count && status == 0)
        status = pthread_cond_timedwait(&server->changed, &server->lock, &until);
    bool have_come = server->request_count >= count;
    pthread_mutex_unlock(&server->lock);
    return have_come;
}
