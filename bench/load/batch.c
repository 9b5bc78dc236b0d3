/* The batch append of docs/protocol-extensions.md: batches of single events to many streams, one
 * after the other on one connection, as the bridge sends them. */
#include "load.h"

#include "weir/base/clock.h"
#include "weir/publish/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PRODUCER "weir_load"

struct batches {
    struct load load;
    const struct load_settings *settings;
    struct connection connection;
    struct batch *batch;
    struct buffer request, event;
    uint64_t random, epoch, lsn, done, until_us;
};

static void send_batch(struct batches *batches)
{
    const struct load_settings *settings = batches->settings;
    struct batch *batch = batches->batch;
    char path[32];
    batch_clear(batch);
    for (uint64_t i = 0; i < settings->count; i++) {
        uint64_t stream = random_next(&batches->random) % settings->streams;
        int len = snprintf(path, sizeof path, "load/%" PRIu64, stream);
        uint32_t payload = batch_add_payload(batch, buffer_slice(&batches->event));
        batch_add_reference(batch, batch_add_stream(batch, slice_of(path, (size_t)len)), payload);
        batch_end_transaction(batch);
    }
    struct progress before = {batches->lsn, 0}, after = {batches->lsn + 1, 0};
    batches->lsn++;
    struct slice body = batch_encode(batch, SLICE(PRODUCER), batches->epoch, before, after);
    buffer_clear(&batches->request);
    buffer_printf(&batches->request,
                  "POST /v1/stream/__weir/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                  "application/vnd.weir.batch\r\nContent-Length: %zu\r\n\r\n",
                  body.len);
    buffer_add_slice(&batches->request, body);
    connection_send(&batches->connection, buffer_slice(&batches->request));
}

/* {"epoch":1, …: the first run against a fresh server. */
static void on_claimed(struct connection *connection, struct slice content)
{
    struct batches *batches = connection->owner;
    struct slice start = SLICE("{\"epoch\":");
    if (batches->epoch)
        return;
    if (connection->status != 200 || content.len < start.len)
        load_fail("the claim was refused with %d", connection->status);
    batches->epoch = strtoull(content.data + start.len, NULL, 10);
}

static void on_answer(struct connection *connection)
{
    struct batches *batches = connection->owner;
    if (connection->status != 200)
        load_fail("a batch was refused with %d", connection->status);
    batches->done += batches->lsn ? batches->settings->count : 0;
    if (clock_monotonic_us() >= batches->until_us)
        batches->load.is_finished = true;
    else
        send_batch(batches);
}

static void on_end(struct connection *connection)
{
    (void)connection;
    load_fail("the server has closed the connection");
}

void run_batch(const struct load_settings *settings)
{
    static const struct handlers handlers = {on_claimed, on_answer, on_end};
    struct batches batches = {
        .settings = settings, .batch = batch_new(), .random = 88172645463325252ULL};
    load_open(&batches.load, settings->port, settings->server_pid);
    event_make(&batches.event, 1000000, settings->bytes);
    struct span span = span_begin(&batches.load);
    batches.until_us = clock_monotonic_us() + settings->ms * 1000;
    connection_open(&batches.connection, &batches.load, &handlers, &batches);
    connection_send(&batches.connection,
                    SLICE("POST /v1/stream/__weir/producers/" PRODUCER
                          " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"));
    load_run(&batches.load);
    printf("{\"done\":%" PRIu64 ",\"failed\":0,", batches.done);
    span_print(&span);
    printf("}\n");
    connection_close(&batches.connection);
    batch_free(batches.batch);
    buffer_release(&batches.request);
    buffer_release(&batches.event);
    load_close(&batches.load);
}
