/* Server-sent events. Protocol 5.8.
 *
 * A reader pulls: libmicrohttpd asks for bytes when the socket takes some, and gets the current
 * page, shared with everybody who reads the same, then its control event. When there is nothing the
 * connection is suspended until the stream changes, a heartbeat is due (which finds out readers
 * that have gone), or the connection has lived long enough. A slow reader therefore holds no more
 * than one shared page. */
#include "access.h"
#include "connection.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* The block is only used for clients that do not know chunks, and is there for every reader. */
enum { CONTROL_SIZE = 160, BLOCK_SIZE = 64 };

struct sse {
    enum encoding encoding;
    struct blob *data; /* being sent, or NULL */
    size_t data_at;
    char control[CONTROL_SIZE]; /* sent behind the data */
    size_t control_len, control_at;
    bool has_told;   /* a control event has been sent */
    bool is_ending;  /* nothing comes behind what is being sent */
    uint64_t cursor; /* the last that was sent; 0: none */
};

static bool is_text(struct slice content_type)
{
    return content_type.len >= 5 && strncasecmp(content_type.data, "text/", 5) == 0;
}

/* Behind the client's by a random step, once: each event with a step of its own would go back now
 * and then. Protocol 10.1. */
static uint64_t advance_cursor(struct request *request)
{
    struct sse *sse = request->sse;
    if (!sse->cursor) {
        sse->cursor = server_cursor(request);
        return sse->cursor;
    }
    uint64_t current = next_cursor(clock_wall_ms(), 0, 0);
    if (current > sse->cursor)
        sse->cursor = current;
    return sse->cursor;
}

static void add_control(struct request *request, uint64_t end, bool is_at_tail, bool is_closed)
{
    struct sse *sse = request->sse;
    char offset[OFFSET_TEXT_SIZE], rest[64];
    format_offset(end, offset);
    if (is_closed)
        snprintf(rest, sizeof rest, ",\"upToDate\":true,\"streamClosed\":true");
    else
        snprintf(rest, sizeof rest, ",\"streamCursor\":\"%" PRIu64 "\"%s", advance_cursor(request),
                 is_at_tail ? ",\"upToDate\":true" : "");
    int len = snprintf(sse->control, sizeof sse->control,
                       "event: control\ndata:{\"streamNextOffset\":\"%s\"%s}\n\n", offset, rest);
    check(len > 0 && (size_t)len < sizeof sse->control);
    sse->control_len = (size_t)len;
    sse->control_at = 0;
    sse->has_told = true;
    sse->is_ending = is_closed;
}

static void set_heartbeat(struct request *request)
{
    struct server *server = request->server;
    timer_set(&request->timer, &server->heartbeats,
              clock_monotonic_ms() + server->settings->heartbeat_ms);
}

/* A comment, which every client ignores. */
static void add_heartbeat(struct sse *sse)
{
    memcpy(sse->control, ":\n\n", 3);
    sse->control_len = 3;
    sse->control_at = 0;
}

static bool add_page(struct request *request)
{
    struct sse *sse = request->sse;
    struct encoded_page page;
    if (page_encode(request->server, request->stream, request->position, sse->encoding, &page) !=
        PAGE_OK) {
        sse->is_ending = true;
        return true;
    }
    bool has_data = page.end > request->position;
    if (!has_data && sse->has_told && !page.is_closed)
        return false;
    if (has_data) {
        sse->data = blob_hold(page.blob);
        request_hold(request, &request->server->senders);
    }
    sse->data_at = 0;
    request->position = page.end;
    add_control(request, page.end, page.is_at_tail, page.is_closed);
    return true;
}

/* Finds something to send, or an end. False when there is nothing to do but wait. */
static bool fill(struct request *request)
{
    struct server *server = request->server;
    struct sse *sse = request->sse;
    bool has_lived = !request->lifetime.list;
    if (sse->is_ending || stream_is_gone(request->stream) || access_is_expired(request)) {
        sse->is_ending = true;
        return true;
    }
    if (add_page(request))
        return true;
    if (has_lived || server->is_draining || request->peer->has_hung_up) {
        sse->is_ending = true;
        return true;
    }
    if (request->timer.list)
        return false;
    add_heartbeat(sse);
    set_heartbeat(request);
    return true;
}

static size_t take(char *out, size_t room, const char *data, size_t len, size_t *at)
{
    size_t count = len - *at < room ? len - *at : room;
    memcpy(out, data + *at, count);
    *at += count;
    return count;
}

static size_t take_all(struct request *request, char *out, size_t room)
{
    struct sse *sse = request->sse;
    size_t count = 0;
    if (sse->data) {
        count = take(out, room, sse->data->data, sse->data->len, &sse->data_at);
        if (sse->data_at == sse->data->len) {
            blob_drop(sse->data);
            sse->data = NULL;
            timer_clear(&request->holding);
        }
    }
    if (!sse->data)
        count += take(out + count, room - count, sse->control, sse->control_len, &sse->control_at);
    return count;
}

/* One or more pages, as much as there is room for. */
static ssize_t pull(void *context, uint64_t position, char *out, size_t room)
{
    struct request *request = context;
    struct server *server = request->server;
    struct sse *sse = request->sse;
    (void)position;
    /* In the middle of a page, too. */
    if (access_is_revoked(request))
        return sse->data ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    size_t count = take_all(request, out, room);
    while (count < room) {
        bool has_some = fill(request);
        bool has_bytes = sse->data || sse->control_at < sse->control_len;
        if (has_some && !has_bytes && count == 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!has_some || !has_bytes)
            break;
        count += take_all(request, out + count, room - count);
    }
    if (count) {
        server->counters.body_bytes_out += count;
        server->has_moved = true;
        set_heartbeat(request);
        return (ssize_t)count;
    }
    request_wait(request, WAITING_DATA, &server->waiting_data);
    return 0;
}

/* That nothing will come is in the head as well. Protocol 8, on "now". */
static void add_end_headers(struct request *request)
{
    const struct stream *stream = request->stream;
    if (!stream_is_closed(stream) || request->position < stream_tail(stream))
        return;
    reply_offset(request, stream_tail(stream));
    reply_header(request, "Stream-Up-To-Date", "true");
    reply_header(request, "Stream-Closed", "true");
}

void sse_begin(struct request *request)
{
    struct server *server = request->server;
    struct slice type = stream_content_type(request->stream);
    struct sse *sse = calloc(1, sizeof *sse);
    check(sse != NULL);
    request->sse = sse;
    sse->encoding = stream_is_json(request->stream) ? ENCODING_SSE_JSON
                    : is_text(type)                 ? ENCODING_SSE_TEXT
                                                    : ENCODING_SSE_BASE64;
    timer_set(&request->lifetime, &server->lifetimes,
              clock_monotonic_ms() + server->settings->sse_lifetime_ms);
    set_heartbeat(request);
    reply_response(
        request, MHD_HTTP_OK,
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, pull, request, NULL));
    reply_header(request, "Content-Type", "text/event-stream");
    reply_header(request, "Cache-Control", "no-cache");
    reply_header(request, "X-Accel-Buffering", "no");
    if (sse->encoding == ENCODING_SSE_BASE64)
        reply_header(request, "Stream-SSE-Data-Encoding", "base64");
    add_end_headers(request);
}

void sse_end(struct request *request)
{
    struct sse *sse = request->sse;
    if (!sse)
        return;
    blob_drop(sse->data);
    free(sse);
    request->sse = NULL;
}
