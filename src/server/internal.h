/* struct server and struct request: what the parts of the server share. One thread, the loop's.
 *
 * A request goes: received whole -> routed -> answered, or waiting for something (a commit, room in
 * the store, new data); request_wake() makes it go on. Mostly, waiting means that its connection is
 * suspended in libmicrohttpd, which then neither times out nor notices a disconnect. That takes it
 * out of an epoll set and puts it back again, which costs more than all that is done with a small
 * append. So some of those who wait for a commit, which is soon over, are not suspended: they have
 * no answer yet, and libmicrohttpd asks again in each run. */
#pragma once

#include "timer.h"
#include "weir/base/blob.h"
#include "weir/base/buffer.h"
#include "weir/server/server.h"
#include "weir/store/store.h"

#include <microhttpd.h>

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_PUT,
    METHOD_POST,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_OTHER
};

enum waiting {
    WAITING_NOT,
    WAITING_COMMIT, /* for the ticket; then the answer goes out, or it is routed again */
    WAITING_ROOM,   /* for the store to accept writes; then it is routed again */
    WAITING_DATA,   /* for the stream to change, or a timer */
};

enum live { LIVE_NOT, LIVE_LONG_POLL, LIVE_SSE };

struct request_list {
    struct request *first, *last;
};

struct request {
    uint32_t magic;
    struct server *server;
    struct MHD_Connection *connection;
    struct connection *peer; /* connection.h */
    struct buffer target;    /* as it was sent; it ends with a NUL */
    struct slice authority;  /* in it; data NULL: none */
    const char *uri;         /* in it, from the path on */
    enum method method;
    bool is_begun;
    bool is_too_large;
    bool is_crowded_out; /* together with the others it is */
    size_t body_held;
    struct buffer body;

    enum waiting waiting;
    bool is_suspended;         /* while it waits */
    uint64_t asked_since_ms;   /* when it is not */
    struct request_list *list; /* that it waits in */
    struct request *previous, *next;
    uint64_t ticket;
    struct MHD_Response *response; /* decided on, not sent */
    struct MHD_Response *lent;     /* of the server's plain answers */
    unsigned status;

    enum live live;
    struct stream *stream; /* held, for live reads */
    struct request *previous_watcher, *next_watcher;
    bool is_watching;
    bool is_timed_out;
    uint64_t position;
    uint64_t cursor; /* the client's, 0: none */
    struct timer timer, lifetime;
    struct timer holding; /* set while a body arrives or a page leaves */
    struct sse *sse;
    struct grant *grant; /* what a reader's token gave; NULL: nothing that ends */
    size_t body_max;
};

struct page_cache;
struct reports;
struct history;

enum { PLAIN_ANSWERS_MAX = 256 };

/* Answers that differ in their offset alone, kept to be used again: reply.c. */
struct plain_answers {
    struct MHD_Response *kept[PLAIN_ANSWERS_MAX];
    size_t count;
};

enum { SPARE_REQUESTS_MAX = 256, SPARE_BYTES_MAX = 4096 };

/* Requests that are over, with their small buffers, for those that come: request.c. */
struct spare_requests {
    struct request *kept[SPARE_REQUESTS_MAX];
    size_t count;
};

struct server_counters {
    uint64_t requests, requests_by_class[6], live_readers, batches, batch_events;
    uint64_t body_bytes_in, body_bytes_out;
    uint64_t connections_cut;
    uint64_t pages_encoded;
};

struct server {
    const struct server_settings *settings;
    struct store *store;
    struct MHD_Daemon *daemon;
    struct request_list waiting_commit, waiting_room, waiting_data;
    struct timer_list long_polls, heartbeats, lifetimes;
    struct timer_list patience;           /* connections */
    struct timer_list receivers, senders; /* requests, by when they began */
    int hang_ups_fd;                      /* epoll of connections whose request waits for data */
    struct page_cache *pages;
    struct plain_answers plain_answers;
    struct spare_requests spare_requests;
    struct subscriptions *subscriptions;
    struct access *access; /* NULL: everybody may do everything */
    struct tls *tls;       /* NULL: plain HTTP */
    /* Counted here, as MHD_get_daemon_info() frees what is closed before it counts: within a
     * request that takes connections from under the run of libmicrohttpd that goes through them. */
    size_t open_connections;
    size_t active_requests; /* at most one for each of them */
    size_t bodies_held;     /* bytes, of all requests */
    size_t asked_again;     /* requests that wait without being suspended */
    bool has_woken;         /* somebody must run before the loop sleeps */
    bool has_moved;         /* libmicrohttpd may have more to do at once */
    bool is_draining;
    bool has_console; /* console.h */
    uint64_t
        turn_ms; /* monotonic: when the loop's turn began, near enough for what lasts for long */
    uint64_t drain_deadline_ms;
    struct server_counters counters;
    struct reports *reports;
    struct history *history;
    int64_t started_ms; /* wall clock */
};

/* ---- request.c ---- */

/* libmicrohttpd's callbacks. */
void *request_new(void *server, const char *uri, struct MHD_Connection *connection);
enum MHD_Result request_handle(void *server, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **context);
void request_done(void *server, struct MHD_Connection *connection, void **context,
                  enum MHD_RequestTerminationCode code);
void requests_release(struct server *server);

/* A header's value; data NULL when it is not there. Borrowed from the request. */
struct slice request_header(const struct request *request, const char *name);

/* Each of those not suspended costs something in each run, and libmicrohttpd cuts it after the idle
 * time-out: so not too many, not for long, and none that is large. */
enum { ASKED_AGAIN_MAX = 256, ASKED_AGAIN_FOR_MS = 20, ASKED_AGAIN_BODY_MAX = 64 << 10 };

/* The request is routed again when woken, unless it has an answer. */
void request_wait(struct request *request, enum waiting waiting, struct request_list *list);
void request_wake(struct request *request);

/* From now on the request holds memory at the pace of the other side: server's
 * receivers, senders. */
void request_hold(struct request *request, struct timer_list *holders);
/* Cuts the one who has held some for longest, unless that is short. */
void request_cut_slowest(struct timer_list *holders);

/* Ends the request's watching of its stream, and lets go of the stream. */
void request_unwatch(struct request *request);
void request_watch(struct request *request);

/* ---- Answers: reply.c ---- */

/* The answer gets the headers that every answer has. body is copied; or the blob is taken over. */
void reply_text(struct request *request, unsigned status, const char *text);
void reply_json(struct request *request, unsigned status, struct slice json);
void reply_empty(struct request *request, unsigned status);
void reply_blob(struct request *request, unsigned status, struct blob *blob);
void reply_response(struct request *request, unsigned status, struct MHD_Response *response);
void reply_header(struct request *request, const char *name, const char *value);
void reply_header_slice(struct request *request, const char *name, struct slice value);
void reply_header_uint(struct request *request, const char *name, uint64_t value);
void reply_offset(struct request *request, uint64_t position);

/* 204 with an offset and the common headers: what nearly every append gets. Nothing may
 * be added. */
void reply_plain(struct request *request, uint64_t position);
void reply_plain_done(struct request *request);
void reply_plain_release(struct server *server);

/* True when a write may be decided on; otherwise the request waits, or is told that there is no
 * room. */
bool request_may_write(struct request *request) WEIR_MUST_CHECK;
void reply_no_room(struct request *request);
void reply_not_allowed(struct request *request, const char *methods, const char *text);
void reply_too_many_streams(struct request *request);

/* The answer, if decided on, goes out when everything up to the ticket is durable. */
void reply_after(struct request *request, uint64_t ticket);

/* ---- Routes ---- */

/* By its head alone. False: the request has its answer, and its body is not for us. */
bool route_admits(struct request *request) WEIR_MUST_CHECK;
void route(struct request *request);
void route_write(struct request *request, struct slice path);
void route_read(struct request *request, struct slice path);
void route_extension(struct request *request, struct slice path);
void route_status(struct request *request, struct slice path);

/* 404 or 410 for what store_find() did not find; not before that is durable. */
void reply_missing(struct request *request, struct slice path, enum find_result found);

/* ---- Live reads ---- */

void live_begin(struct request *request, struct stream *stream, enum live live);
void live_continue(struct request *request); /* a long-poll that was woken */
void live_on_change(void *server, struct stream *stream);
void live_expire(struct server *server, uint64_t now_ms);
void live_drain(struct server *server);
void sse_begin(struct request *request);
void sse_end(struct request *request);
void reply_page(struct request *request, struct stream *stream, uint64_t position);

/* ---- Subscriptions: subscription.h ---- */

void route_subscription(struct request *request, struct slice path);

/* Whether anybody may send it: what shows the token of a claim (protocol 7.3), and the
 * public keys. */
bool subscription_is_open(const struct request *request, struct slice path);
void subscriptions_on_append(void *server, struct stream *stream, uint64_t previous_tail);

/* Looks at what has been appended, and at leases; after each store_turn(). */
void subscriptions_run(struct server *server);

/* ---- Pages ---- */

enum encoding {
    ENCODING_RAW,
    ENCODING_JSON,
    ENCODING_SSE_TEXT,
    ENCODING_SSE_JSON,
    ENCODING_SSE_BASE64
};

struct encoded_page {
    struct blob *blob; /* borrowed from the cache until the next call; may be empty */
    uint64_t end;
    bool is_at_tail, is_closed;
};

struct page_cache *page_cache_new(void);
void page_cache_free(struct page_cache *cache);

enum page_result {
    PAGE_OK,
    PAGE_BAD_OFFSET,
    PAGE_CROWDED_OUT, /* too many pages are on their way to slow readers */
};

/* A page as it goes out. The same page is encoded once for all who read it at the moment. */
enum page_result page_encode(struct server *server, struct stream *stream, uint64_t position,
                             enum encoding encoding, struct encoded_page *page);

/* ---- Headers and parameters: parse.c. Pure. ---- */

enum { OFFSET_TEXT_SIZE = 34, TIME_TEXT_SIZE = 32, CURSOR_INTERVAL_S = 20 };

enum offset_kind { OFFSET_INVALID, OFFSET_POSITION, OFFSET_START, OFFSET_NOW };

enum offset_kind parse_offset(struct slice text, uint64_t *position);
void format_offset(uint64_t position, char out[OFFSET_TEXT_SIZE]);

/* Digits only, without leading zeros, at most 2^53 - 1. */
bool parse_whole_number(struct slice text, uint64_t *number) WEIR_MUST_CHECK;
bool parse_time(struct slice text, int64_t *wall_ms) WEIR_MUST_CHECK; /* RFC 3339 */
void format_time(int64_t wall_ms, char out[TIME_TEXT_SIZE]);
bool is_true(struct slice text); /* "true" in any case */

/* A target may come with scheme and host before it, as a proxy is asked; then that is the host, and
 * not what the header says. RFC 9112, 3.2.2. */
struct target {
    struct slice authority; /* data NULL: not there */
    const char *origin;     /* path and query; both point into what was parsed */
};

struct target parse_target(const char *uri);

/* Without the space that may stand behind it. RFC 9110, 5.5. */
struct slice field_trim(struct slice value);

/* Nothing but what RFC 9110, 5.5 lets into a header: no CR, no NUL. */
bool is_field_value(struct slice value) WEIR_MUST_CHECK;

/* Host and port, or nothing, by their characters. RFC 3986, 3.2. */
bool is_authority(struct slice text) WEIR_MUST_CHECK;

/* Whether If-None-Match has the tag in its list, or is a star. RFC 9110, 13.1.2. */
bool etags_name(struct slice list, struct slice etag) WEIR_MUST_CHECK;

struct query {
    struct slice offset, live, cursor; /* decoded; data NULL: not given */
    bool is_repeated;                  /* one of them was given twice */
    struct buffer text;
};

/* False when it is not decodable. query_release() in any case. */
bool query_parse(struct slice raw, struct query *query) WEIR_MUST_CHECK;
void query_release(struct query *query);

/* The client's cursor; 0 when there is none, or it is another server's and none of ours. */
uint64_t parse_cursor(struct slice text);

/* The cursor of an answer: the number of the interval, or behind the client's. Protocol 10.1. */
uint64_t next_cursor(int64_t now_ms, uint64_t client_cursor, uint64_t random);
uint64_t server_cursor(const struct request *request);
