#include "access.h"
#include "connection.h"

#include "weir/base/clock.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>

enum { REQUEST_MAGIC = 0x52455155 };

/* ---- Beginning and end ---- */

static struct request *take_spare(struct server *server)
{
    struct spare_requests *spare = &server->spare_requests;
    if (!spare->count) {
        struct request *fresh = calloc(1, sizeof *fresh);
        check(fresh != NULL);
        return fresh;
    }
    struct request *request = spare->kept[--spare->count];
    *request = (struct request){.target = request->target, .body = request->body};
    return request;
}

static void free_request(struct request *request)
{
    buffer_release(&request->target);
    buffer_release(&request->body);
    free(request);
}

/* Under AddressSanitizer none is kept, so that it sees who uses one that is over. */
static void keep_spare(struct server *server, struct request *request)
{
    struct spare_requests *spare = &server->spare_requests;
    size_t limit = SPARE_REQUESTS_MAX;
#ifdef WEIR_SANITIZED
    limit = 0;
#endif
    request->magic = 0;
    if (spare->count < limit && request->target.capacity <= SPARE_BYTES_MAX)
        spare->kept[spare->count++] = request;
    else
        free_request(request);
}

void requests_release(struct server *server)
{
    struct spare_requests *spare = &server->spare_requests;
    while (spare->count)
        free_request(spare->kept[--spare->count]);
}

void *request_new(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct server *server = context;
    struct request *request = take_spare(server);
    request->magic = REQUEST_MAGIC;
    request->server = server;
    request->connection = connection;
    buffer_clear(&request->target);
    buffer_add(&request->target, uri, strlen(uri) + 1);
    struct target target = parse_target(request->target.data);
    request->authority = target.authority;
    request->uri = target.origin;
    request->peer = connection_of(connection);
    check(!request->peer->request);
    request->peer->request = request;
    request->peer->steps++;
    server->active_requests++;
    server->counters.requests++;
    return request;
}

static void leave_list(struct request *request)
{
    struct request_list *list = request->list;
    if (!list)
        return;
    request->server->asked_again -= !request->is_suspended;
    *(request->previous ? &request->previous->next : &list->first) = request->next;
    *(request->next ? &request->next->previous : &list->last) = request->previous;
    request->previous = request->next = NULL;
    request->list = NULL;
}

static void release_body(struct request *request)
{
    request->server->bodies_held -= request->body_held;
    request->body_held = 0;
    if (request->body.capacity > SPARE_BYTES_MAX)
        buffer_release(&request->body);
    else
        buffer_clear(&request->body);
}

void request_done(void *context, struct MHD_Connection *connection, void **own,
                  enum MHD_RequestTerminationCode code)
{
    struct server *server = context;
    struct request *request = *own;
    (void)connection;
    (void)code;
    if (!request)
        return;
    check(request->magic == REQUEST_MAGIC);
    *own = NULL;
    leave_list(request);
    request_unwatch(request);
    sse_end(request);
    timer_clear(&request->timer);
    timer_clear(&request->lifetime);
    timer_clear(&request->holding);
    connection_unwatch(server, request->peer);
    request->peer->request = NULL;
    request->peer->steps++;
    access_release(request);
    if (request->lent)
        reply_plain_done(request);
    else if (request->response)
        MHD_destroy_response(request->response);
    release_body(request);
    keep_spare(server, request);
    server->active_requests--;
}

struct slice request_header(const struct request *request, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(request->connection, MHD_HEADER_KIND, name, strlen(name),
                                      &value, &len) == MHD_NO ||
        !value)
        return SLICE_NONE;
    return field_trim(slice_of(value, len)); /* libmicrohttpd has left that */
}

void request_wait(struct request *request, enum waiting waiting, struct request_list *list)
{
    check(request->waiting == WAITING_NOT && !request->list);
    request->waiting = waiting;
    request->list = list;
    request->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = request;
    list->last = request;
    struct server *server = request->server;
    request->is_suspended = waiting != WAITING_COMMIT || server->asked_again == ASKED_AGAIN_MAX ||
                            request->body.len > ASKED_AGAIN_BODY_MAX;
    if (request->is_suspended) {
        MHD_suspend_connection(request->connection);
        return;
    }
    server->asked_again++;
    request->asked_since_ms = server->turn_ms;
}

/* The disk takes its time. */
static void suspend_if_long(struct request *request)
{
    if (request->server->turn_ms - request->asked_since_ms < ASKED_AGAIN_FOR_MS)
        return;
    request->is_suspended = true;
    request->server->asked_again--;
    MHD_suspend_connection(request->connection);
}

void request_wake(struct request *request)
{
    check(request->waiting != WAITING_NOT);
    leave_list(request);
    request->waiting = WAITING_NOT;
    request->server->has_woken = true;
    request->peer->steps++;
    if (request->is_suspended)
        MHD_resume_connection(request->connection);
}

void request_hold(struct request *request, struct timer_list *holders)
{
    enum { PARTS_OF_IDLE_TIMEOUT = 6 };
    uint64_t held_ms = request->server->settings->idle_timeout_ms / PARTS_OF_IDLE_TIMEOUT;
    if (!request->holding.list)
        timer_set(&request->holding, holders, request->server->turn_ms + held_ms);
}

void request_cut_slowest(struct timer_list *holders)
{
    struct timer *oldest = holders->first;
    if (!oldest)
        return;
    struct request *request =
        (struct request *)(void *)((char *)oldest - offsetof(struct request, holding));
    if (oldest->deadline_ms > request->server->turn_ms)
        return;
    timer_clear(oldest);
    request->server->counters.connections_cut++;
    connection_cut(request->peer);
}

void request_watch(struct request *request)
{
    struct request *first = stream_watchers(request->stream);
    check(!request->is_watching);
    request->is_watching = true;
    request->next_watcher = first;
    if (first)
        first->previous_watcher = request;
    stream_watch(request->stream, request);
    request->server->counters.live_readers++;
}

void request_unwatch(struct request *request)
{
    if (request->is_watching) {
        if (request->previous_watcher)
            request->previous_watcher->next_watcher = request->next_watcher;
        else
            stream_watch(request->stream, request->next_watcher);
        if (request->next_watcher)
            request->next_watcher->previous_watcher = request->previous_watcher;
        request->previous_watcher = request->next_watcher = NULL;
        request->is_watching = false;
        request->server->counters.live_readers--;
    }
    if (request->stream)
        store_drop(request->server->store, request->stream);
    request->stream = NULL;
}

static enum method method_of(const char *name)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum method)i;
    }
    return METHOD_OTHER;
}

/* A length that is none libmicrohttpd has refused. */
static bool announces_too_much(const struct request *request)
{
    struct slice header = request_header(request, "Content-Length");
    uint64_t len = 0;
    for (size_t i = 0; i < header.len && len <= request->body_max; i++)
        len = len * 10 + (uint64_t)(header.data[i] - '0');
    return len > request->body_max;
}

static bool has_body(const struct request *request)
{
    struct slice len = request_header(request, "Content-Length");
    return (len.data && !slice_eq_str(len, "0")) ||
           request_header(request, "Transfer-Encoding").data;
}

struct head {
    unsigned lengths, hosts;
    bool has_control, has_bad_name, has_bad_host;
};

static enum MHD_Result look_at_header(void *context, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    struct head *head = context;
    struct slice text = slice_of(value, value ? value_len : 0);
    (void)kind;
    if (name_len == 0 || name[name_len - 1] == ' ' || name[name_len - 1] == '\t')
        head->has_bad_name = true;
    head->has_control = head->has_control || !is_field_value(text);
    if (strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0) {
        head->lengths++;
    } else if (strcasecmp(name, "Host") == 0) {
        head->hosts++;
        head->has_bad_host = head->has_bad_host || !is_authority(field_trim(text));
    }
    return MHD_YES;
}

enum { BODIES_HELD = 2 }; /* of the largest size, at the same time */

/* Reasons to refuse a request by its head, whatever it is for. NULL: none. */
static const char *what_is_wrong(const struct request *request, const char *version)
{
    struct head head = {0};
    MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, look_at_header, &head);
    /* Two lengths, or a length and chunks: a proxy before us and we may disagree where the body
     * ends (RFC 9112, 6.3), and what one takes for a body the other takes for the next request. */
    if (head.lengths > 1)
        return "the request has more than one length";
    /* A length with a space behind its name is one to some, and none to us. RFC 9112, 5.1. */
    if (head.has_bad_name)
        return "a header's name ends with a space";
    /* libmicrohttpd ends lines at LF alone, and lets a CR in the middle through. */
    if (head.has_control)
        return "a header has a control character in it";
    if (head.hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)
        return "an HTTP/1.1 request needs a Host header";
    if (head.hosts > 1)
        return "the request has more than one Host header";
    if (head.has_bad_host || !is_authority(request->authority))
        return "the host is none";
    return NULL;
}

/* In a way that libmicrohttpd does not undo. */
static bool is_encoded(const struct request *request)
{
    const char *encoding = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                       MHD_HTTP_HEADER_TRANSFER_ENCODING);
    return encoding && strcasecmp(encoding, "chunked") != 0;
}

static bool has_room_for(struct request *request, size_t len)
{
    struct server *server = request->server;
    if (request->body.len + len > request->body_max)
        return false;
    request->is_crowded_out = server->bodies_held + len > server->settings->max_body * BODIES_HELD;
    if (request->is_crowded_out)
        request_cut_slowest(&server->receivers);
    return !request->is_crowded_out;
}

/* A body that is over the bound without having said so is read to its end and dropped, so that the
 * client gets the answer. */
static void take_body(struct request *request, const char *upload, size_t len)
{
    request->server->counters.body_bytes_in += len;
    request->server->has_moved = true;
    request->is_too_large = request->is_too_large || !has_room_for(request, len);
    if (request->is_too_large) {
        release_body(request);
        return;
    }
    request_hold(request, &request->server->receivers);
    buffer_add(&request->body, upload, len);
    request->body_held += len;
    request->server->bodies_held += len;
}

static enum MHD_Result send_answer(struct request *request)
{
    struct MHD_Response *response = request->response;
    request->response = NULL;
    request->server->has_moved = true;
    unsigned class = request->status / 100;
    request->server->counters.requests_by_class[class < 6 ? class : 0]++;
    enum MHD_Result result = MHD_queue_response(request->connection, request->status, response);
    if (!request->lent)
        MHD_destroy_response(response);
    return result;
}

static void reply_too_large(struct request *request)
{
    if (request->is_crowded_out) {
        reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many large requests at once");
        reply_header(request, "Retry-After", "1");
        return;
    }
    reply_text(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than this server accepts");
}

enum MHD_Result request_handle(void *server, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **context)
{
    struct request *request = *context;
    (void)server;
    (void)url;
    check(request && request->magic == REQUEST_MAGIC && request->connection == connection);
    if (request->waiting != WAITING_NOT) {
        suspend_if_long(request);
        return MHD_YES;
    }
    if (!request->is_begun) {
        request->is_begun = true;
        request->method = method_of(method);
        request->body_max = request->server->settings->max_body;
        /* First what makes it doubtful where the request ends, whoever sent it: the answer ends the
         * connection. */
        const char *wrong = what_is_wrong(request, version);
        if (wrong)
            reply_text(request, MHD_HTTP_BAD_REQUEST, wrong);
        else if (!route_admits(request))
            /* An answer ahead of the body costs the connection, so not where there is none. */
            return has_body(request) ? send_answer(request) : MHD_YES;
        else if (announces_too_much(request))
            reply_too_large(request);
        else if (is_encoded(request))
            reply_text(request, MHD_HTTP_NOT_IMPLEMENTED, "the only transfer coding is chunked");
        return request->response ? send_answer(request) : MHD_YES;
    }
    if (*upload_len) {
        take_body(request, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    timer_clear(&request->holding);
    if (!request->response && request->is_too_large)
        reply_too_large(request);
    else if (!request->response)
        route(request);
    if (request->response)
        release_body(request);
    if (request->waiting != WAITING_NOT)
        return MHD_YES;
    check(request->response != NULL);
    return send_answer(request);
}

uint64_t server_cursor(const struct request *request)
{
    uint64_t random = 0;
    if (request->cursor)
        check(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    return next_cursor(clock_wall_ms(), request->cursor, random);
}
