/* weir_load: the load generator of bench/run server.
 *
 * One thread, one epoll, plain non-blocking sockets to one port of 127.0.0.1, so that it takes a
 * small part of what the server under test takes; how much it says itself. Not a general HTTP
 * client: it knows what stream servers and nginx answer, and stops at what it does not understand.
 * Every command prints one JSON object. */
#pragma once

#include "weir/base/buffer.h"
#include "weir/base/check.h"
#include "weir/base/option.h"

struct connection;

struct load {
    int epoll_fd;
    uint16_t port;
    uint64_t server_pid; /* 0: not known */
    bool is_finished;    /* set by a handler: load_run() returns */
};

/* Told about one connection. */
struct handlers {
    /* Content without its framing; may be NULL. Borrowed for the call. */
    void (*on_content)(struct connection *connection, struct slice content);
    /* The answer is whole, and the connection takes another request. */
    void (*on_answer)(struct connection *connection);
    /* The server has closed it, in an answer or between two; it is closed here as well. */
    void (*on_end)(struct connection *connection);
};

enum { HEAD_MAX = 4096, CHUNK_LINE_MAX = 64 };

enum stage {
    STAGE_IDLE,
    STAGE_HEAD,
    STAGE_CONTENT,
    STAGE_CHUNK_LINE,
    STAGE_CHUNK,
    STAGE_CHUNK_END,
    STAGE_TRAILER
};

struct connection {
    struct load *load;
    const struct handlers *handlers;
    void *owner;
    int fd;            /* -1: closed */
    struct slice rest; /* of the request; borrowed until the answer */
    bool is_waiting_to_send;

    enum stage stage;
    int status;
    char *head; /* of the answer, terminated */
    size_t head_len;
    uint64_t left; /* of the content, or of the chunk */
    char line[CHUNK_LINE_MAX];
    size_t line_len;
};

/* Exits with a message where the system refuses. */
void load_open(struct load *load, uint64_t port, uint64_t server_pid);
void load_run(struct load *load); /* until is_finished */
void load_close(struct load *load);
_Noreturn void load_fail(const char *fmt, ...) WEIR_PRINTF(1, 2);

void connection_open(struct connection *connection, struct load *load,
                     const struct handlers *handlers, void *owner);
void connection_close(struct connection *connection);

/* Sends a request. The bytes stay until the answer is whole. */
void connection_send(struct connection *connection, struct slice request);

/* A header of the answer; data NULL: not there. Until the next request. */
struct slice connection_header(const struct connection *connection, const char *name);

/* ---- Time and processor time: clock.c ---- */

struct span {
    uint64_t server_pid, started_us, own_us, server_us;
};

struct span span_begin(const struct load *load);

/* Prints `"seconds":…,"load_cores":…,"server_cores":…`: how long, and how many cores were busy. */
double span_print(const struct span *span);

/* ---- Latencies ---- */

struct latencies {
    uint32_t *us;
    size_t count, capacity;
};

void latencies_add(struct latencies *latencies, uint64_t us);
void latencies_print(struct latencies *latencies); /* `,"p50_ms":…,"p99_ms":…,"max_ms":…` */

/* ---- Requests ---- */

uint64_t random_next(uint64_t *state);

/* One State event with len bytes or a few more, with one MARK in it. */
enum { MARK = '~' };
void event_make(struct buffer *out, uint64_t key, size_t len);

/* ---- Commands ---- */

struct load_settings {
    uint64_t port, server_pid, streams, connections, ms, count, bytes, rounds;
    const char *path;
};

void run_create(const struct load_settings *settings);
void run_append(const struct load_settings *settings);
void run_batch(const struct load_settings *settings);
void run_read(const struct load_settings *settings);
void run_fanout(const struct load_settings *settings);
void run_idle(const struct load_settings *settings);
