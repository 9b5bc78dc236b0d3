/* Long-polls, and waking live readers. Protocol 5.7. */
#include "access.h"
#include "connection.h"

#include "weir/base/clock.h"

static void reply_nothing_new(struct request *request)
{
    const struct stream *stream = request->stream;
    reply_empty(request, MHD_HTTP_NO_CONTENT);
    reply_offset(request, stream_tail(stream));
    reply_header(request, "Stream-Up-To-Date", "true");
    reply_header(request, "Cache-Control", "no-store");
    if (stream_is_closed(stream))
        reply_header(request, "Stream-Closed", "true");
    else
        reply_header_uint(request, "Stream-Cursor", server_cursor(request));
}

/* Deleted, or deleted but for its forks. */
static void reply_gone(struct request *request)
{
    struct slice path = stream_path(request->stream);
    struct stream *there;
    bool is_kept = store_find(request->server->store, path, &there) == FIND_SOFT_DELETED;
    reply_missing(request, path, is_kept ? FIND_SOFT_DELETED : FIND_MISSING);
}

/* Of expired streams those that have been asked for are found to be so, and in time all others. */
static bool is_gone(struct request *request)
{
    struct stream *there, *stream = request->stream;
    return stream_is_gone(stream) ||
           store_find(request->server->store, stream_path(stream), &there) != FIND_OK;
}

static void long_poll(struct request *request)
{
    struct server *server = request->server;
    struct stream *stream = request->stream;
    if (is_gone(request)) {
        reply_gone(request);
    } else if (access_is_revoked(request)) {
        reply_revoked(request);
    } else if (request->position < stream_tail(stream)) {
        reply_page(request, stream, request->position);
    } else if (stream_is_closed(stream) || request->is_timed_out || server->is_draining ||
               request->peer->has_hung_up || access_is_expired(request)) {
        reply_nothing_new(request);
    } else {
        request_wait(request, WAITING_DATA, &server->waiting_data);
        return;
    }
    timer_clear(&request->timer);
    request_unwatch(request);
}

void live_begin(struct request *request, struct stream *stream, enum live live)
{
    struct server *server = request->server;
    uint64_t now_ms = clock_monotonic_ms();
    request->live = live;
    request->stream = stream;
    stream_hold(stream);
    request_watch(request);
    connection_watch(server, request->peer);
    access_watch(request);
    buffer_release(&request->body);
    if (live == LIVE_SSE) {
        sse_begin(request);
        return;
    }
    timer_set(&request->timer, &server->long_polls,
              now_ms + server->settings->long_poll_timeout_ms);
    long_poll(request);
}

void live_continue(struct request *request)
{
    long_poll(request);
}

void live_on_change(void *context, struct stream *stream)
{
    (void)context;
    struct request *request = stream_watchers(stream);
    for (; request; request = request->next_watcher) {
        if (request->waiting == WAITING_DATA)
            request_wake(request);
    }
}

static void expire(struct timer_list *list, size_t offset, uint64_t now_ms)
{
    while (list->first && list->first->deadline_ms <= now_ms) {
        struct timer *timer = list->first;
        struct request *request = (struct request *)(void *)((char *)timer - offset);
        timer_clear(timer);
        request->is_timed_out = true;
        if (request->waiting == WAITING_DATA)
            request_wake(request);
    }
}

void live_expire(struct server *server, uint64_t now_ms)
{
    expire(&server->long_polls, offsetof(struct request, timer), now_ms);
    expire(&server->heartbeats, offsetof(struct request, timer), now_ms);
    expire(&server->lifetimes, offsetof(struct request, lifetime), now_ms);
}

void live_drain(struct server *server)
{
    while (server->waiting_data.first)
        request_wake(server->waiting_data.first);
}
