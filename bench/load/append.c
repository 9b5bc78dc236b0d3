/* Small appends by POST to many streams, one request at a time on each connection; and creating
 * those streams. */
#include "load.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STREAM_PATH "/v1/stream/load/"

enum { STREAM_DIGITS = 7 };

struct writers;

struct writer {
    struct connection connection;
    struct writers *writers;
    struct buffer request;
    uint64_t sent_us;
};

struct writers {
    struct load load;
    const struct load_settings *settings;
    struct buffer event;
    size_t digits_at; /* in each request */
    struct latencies latencies;
    uint64_t random, next_stream, until_us, done, failed, reconnects, in_flight;
    bool is_creating;
};

/* The requests of a writer differ in the stream alone, the digits of which are written over. */
static void make_request(struct buffer *out, const char *method, struct slice body)
{
    buffer_clear(out);
    buffer_printf(out,
                  "%s " STREAM_PATH "%0*d HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                  "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                  method, STREAM_DIGITS, 0, body.len);
    buffer_add_slice(out, body);
}

static void set_stream(struct writer *writer, uint64_t stream)
{
    for (size_t i = STREAM_DIGITS; i-- > 0; stream /= 10)
        writer->request.data[writer->writers->digits_at + i] = (char)('0' + stream % 10);
}

static void send_next(struct writer *writer)
{
    struct writers *writers = writer->writers;
    const struct load_settings *settings = writers->settings;
    writer->sent_us = clock_monotonic_us();
    bool is_over = writers->is_creating ? writers->next_stream == settings->streams
                                        : writer->sent_us >= writers->until_us;
    if (is_over) {
        writers->load.is_finished = writers->in_flight == 0;
        return;
    }
    set_stream(writer, writers->is_creating ? writers->next_stream++
                                            : random_next(&writers->random) % settings->streams);
    writers->in_flight++;
    connection_send(&writer->connection, buffer_slice(&writer->request));
}

static void on_answer(struct connection *connection)
{
    struct writer *writer = connection->owner;
    struct writers *writers = writer->writers;
    writers->in_flight--;
    if (connection->status >= 200 && connection->status < 300) {
        writers->done++;
        if (!writers->is_creating)
            latencies_add(&writers->latencies, clock_monotonic_us() - writer->sent_us);
    } else {
        writers->failed++;
    }
    send_next(writer);
}

static void on_end(struct connection *connection);

static const struct handlers handlers = {.on_answer = on_answer, .on_end = on_end};

/* Whether a request that had no answer was done is not known; it counts as failed. */
static void on_end(struct connection *connection)
{
    struct writer *writer = connection->owner;
    struct writers *writers = writer->writers;
    if (connection->stage != STAGE_IDLE) {
        writers->in_flight--;
        writers->failed++;
    }
    if (++writers->reconnects > 100000)
        load_fail("the server closes every connection");
    connection_open(connection, &writers->load, &handlers, writer);
    send_next(writer);
}

static void run(const struct load_settings *settings, bool is_creating)
{
    struct writers writers = {
        .settings = settings, .random = 88172645463325252ULL, .is_creating = is_creating};
    struct writer *all = calloc(settings->connections, sizeof *all);
    check(all != NULL);
    load_open(&writers.load, settings->port, settings->server_pid);
    const char *method = is_creating ? "PUT" : "POST";
    if (!is_creating)
        event_make(&writers.event, 1000000, settings->bytes);
    writers.digits_at = strlen(method) + 1 + strlen(STREAM_PATH);
    struct span span = span_begin(&writers.load);
    writers.until_us = clock_monotonic_us() + settings->ms * 1000;
    for (size_t i = 0; i < settings->connections; i++) {
        all[i].writers = &writers;
        make_request(&all[i].request, method, buffer_slice(&writers.event));
        connection_open(&all[i].connection, &writers.load, &handlers, &all[i]);
        send_next(&all[i]);
    }
    load_run(&writers.load);
    printf("{\"done\":%" PRIu64 ",\"failed\":%" PRIu64 ",", writers.done, writers.failed);
    span_print(&span);
    latencies_print(&writers.latencies);
    printf("}\n");
    for (size_t i = 0; i < settings->connections; i++) {
        connection_close(&all[i].connection);
        buffer_release(&all[i].request);
    }
    buffer_release(&writers.event);
    free(writers.latencies.us);
    free(all);
    load_close(&writers.load);
}

void run_create(const struct load_settings *settings)
{
    run(settings, true);
}

void run_append(const struct load_settings *settings)
{
    run(settings, false);
}
