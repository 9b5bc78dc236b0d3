/* Readers by SSE of one stream: many that wait, and how soon and how fast all of them have what is
 * appended. An event is counted by the MARK in it. */
#include "load.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPENING_MAX = 64 };

struct live;

struct reader {
    struct connection connection;
    struct live *live;
    bool is_ready; /* has had its first bytes */
};

struct live {
    struct load load;
    const struct load_settings *settings;
    struct reader *readers;
    size_t opened, ready;
    struct buffer request, append;
    uint64_t received, expected;
    struct connection writer;
    uint64_t appends_left;
};

static const struct handlers reader_handlers;

/* Opening ends when all are there, a delivery when all have all and its last append is answered. */
static void finish_when_done(struct live *live)
{
    bool has_all = live->expected ? live->received >= live->expected && !live->appends_left &&
                                        live->writer.stage == STAGE_IDLE
                                  : live->ready == live->settings->count;
    live->load.is_finished = live->load.is_finished || has_all;
}

static void open_more(struct live *live)
{
    while (live->opened < live->settings->count && live->opened - live->ready < OPENING_MAX) {
        struct reader *reader = &live->readers[live->opened++];
        reader->live = live;
        connection_open(&reader->connection, &live->load, &reader_handlers, reader);
        connection_send(&reader->connection, buffer_slice(&live->request));
    }
}

static uint64_t count_marks(struct slice content)
{
    uint64_t count = 0;
    const char *at = content.data, *until = content.data + content.len;
    while ((at = memchr(at, MARK, (size_t)(until - at)))) {
        count++;
        at++;
    }
    return count;
}

static void on_content(struct connection *connection, struct slice content)
{
    struct reader *reader = connection->owner;
    struct live *live = reader->live;
    if (!reader->is_ready) {
        if (connection->status != 200)
            load_fail("a reader was refused with %d", connection->status);
        reader->is_ready = true;
        live->ready++;
        open_more(live);
    }
    live->received += count_marks(content);
    finish_when_done(live);
}

static void on_reader_end(struct connection *connection)
{
    (void)connection;
    load_fail("the server has ended a reader");
}

static const struct handlers reader_handlers = {on_content, on_reader_end, on_reader_end};

static void on_append(struct connection *connection)
{
    struct live *live = connection->owner;
    if (connection->status < 200 || connection->status > 299)
        load_fail("an append was refused with %d", connection->status);
    if (live->appends_left) {
        live->appends_left--;
        connection_send(connection, buffer_slice(&live->append));
    }
    finish_when_done(live);
}

static const struct handlers writer_handlers = {NULL, on_append, on_reader_end};

/* Appends so many, each when the one before is answered, until all readers have all. */
static void deliver(struct live *live, uint64_t appends)
{
    live->received = 0;
    live->expected = appends * live->settings->count;
    live->appends_left = appends - 1;
    connection_send(&live->writer, buffer_slice(&live->append));
    load_run(&live->load);
    check(live->received == live->expected);
    live->expected = 0;
}

static void begin(struct live *live, const struct load_settings *settings)
{
    *live = (struct live){.settings = settings};
    load_open(&live->load, settings->port, settings->server_pid);
    live->readers = calloc(settings->count, sizeof *live->readers);
    check(live->readers != NULL);
    buffer_printf(&live->request, "GET %s?offset=now&live=sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                  settings->path);
    open_more(live);
    load_run(&live->load);
}

static void finish(struct live *live)
{
    for (size_t i = 0; i < live->opened; i++)
        connection_close(&live->readers[i].connection);
    free(live->readers);
    buffer_release(&live->request);
    buffer_release(&live->append);
    load_close(&live->load);
}

void run_fanout(const struct load_settings *settings)
{
    struct live live;
    struct latencies latencies = {0};
    struct buffer event = BUFFER_INIT;
    begin(&live, settings);
    event_make(&event, 1000000, settings->bytes);
    buffer_printf(&live.append,
                  "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\n\r\n",
                  settings->path, event.len);
    buffer_add_slice(&live.append, buffer_slice(&event));
    connection_open(&live.writer, &live.load, &writer_handlers, &live);
    deliver(&live, 1);
    for (uint64_t i = 0; i < settings->rounds; i++) {
        uint64_t sent_us = clock_monotonic_us();
        deliver(&live, 1);
        latencies_add(&latencies, clock_monotonic_us() - sent_us);
    }
    struct span span = span_begin(&live.load);
    deliver(&live, settings->rounds);
    printf("{\"delivered\":%" PRIu64 ",", settings->rounds * settings->count);
    span_print(&span);
    latencies_print(&latencies);
    printf("}\n");
    connection_close(&live.writer);
    buffer_release(&event);
    free(latencies.us);
    finish(&live);
}

/* Says that all are there, and keeps them until its input ends. */
void run_idle(const struct load_settings *settings)
{
    struct live live;
    char ignored;
    begin(&live, settings);
    printf("{\"readers\":%zu}\n", live.ready);
    fflush(stdout);
    while (read(STDIN_FILENO, &ignored, 1) > 0)
        ;
    finish(&live);
}
