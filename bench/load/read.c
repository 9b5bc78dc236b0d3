/* Catch-up: a stream read from its beginning to its tail, page after page; or a file of a web
 * server, which has no next page. */
#include "load.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct readers;

struct reader {
    struct connection connection;
    struct readers *readers;
    struct buffer request;
    uint64_t started_us;
    char offset[64];
};

struct readers {
    struct load load;
    const struct load_settings *settings;
    struct latencies latencies;
    uint64_t started, done, bytes, requests;
};

static void ask(struct reader *reader)
{
    const struct readers *readers = reader->readers;
    buffer_clear(&reader->request);
    buffer_printf(&reader->request, "GET %s?offset=%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                  readers->settings->path, reader->offset);
    connection_send(&reader->connection, buffer_slice(&reader->request));
}

static void begin(struct reader *reader)
{
    struct readers *readers = reader->readers;
    if (readers->started == readers->settings->count) {
        readers->load.is_finished = readers->done == readers->started;
        return;
    }
    readers->started++;
    reader->started_us = clock_monotonic_us();
    snprintf(reader->offset, sizeof reader->offset, "-1");
    ask(reader);
}

static void on_content(struct connection *connection, struct slice content)
{
    struct reader *reader = connection->owner;
    reader->readers->bytes += content.len;
}

static void on_answer(struct connection *connection)
{
    struct reader *reader = connection->owner;
    struct readers *readers = reader->readers;
    if (connection->status != 200)
        load_fail("GET %s: %d", readers->settings->path, connection->status);
    readers->requests++;
    struct slice next = connection_header(connection, "Stream-Next-Offset");
    if (next.data && !connection_header(connection, "Stream-Up-To-Date").data) {
        snprintf(reader->offset, sizeof reader->offset, "%.*s", SLICE_ARG(next));
        ask(reader);
        return;
    }
    readers->done++;
    latencies_add(&readers->latencies, clock_monotonic_us() - reader->started_us);
    begin(reader);
}

static void on_end(struct connection *connection)
{
    (void)connection;
    load_fail("the server has closed a connection");
}

void run_read(const struct load_settings *settings)
{
    static const struct handlers handlers = {on_content, on_answer, on_end};
    struct readers readers = {.settings = settings};
    struct reader *all = calloc(settings->connections, sizeof *all);
    check(all != NULL);
    load_open(&readers.load, settings->port, settings->server_pid);
    struct span span = span_begin(&readers.load);
    for (size_t i = 0; i < settings->connections; i++) {
        all[i].readers = &readers;
        connection_open(&all[i].connection, &readers.load, &handlers, &all[i]);
        begin(&all[i]);
    }
    load_run(&readers.load);
    printf("{\"done\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"bytes\":%" PRIu64 ",", readers.done,
           readers.requests, readers.bytes);
    span_print(&span);
    latencies_print(&readers.latencies);
    printf("}\n");
    for (size_t i = 0; i < settings->connections; i++) {
        connection_close(&all[i].connection);
        buffer_release(&all[i].request);
    }
    free(readers.latencies.us);
    free(all);
    load_close(&readers.load);
}
