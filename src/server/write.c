/* PUT, POST and DELETE of a stream. Protocol 5.1 to 5.4. */
#include "internal.h"

#include "weir/base/clock.h"
#include "weir/base/path.h"

#include <strings.h>

static void bad_request(struct request *request, const char *text)
{
    reply_text(request, MHD_HTTP_BAD_REQUEST, text);
}

static void add_closed(struct request *request, bool is_closed)
{
    if (is_closed)
        reply_header(request, "Stream-Closed", "true");
}

/* ---- PUT ---- */

static bool parse_expiry(struct request *request, struct create_request *create)
{
    struct slice ttl = request_header(request, "Stream-TTL");
    struct slice expires_at = request_header(request, "Stream-Expires-At");
    create->has_ttl = ttl.data != NULL;
    create->has_expires_at = expires_at.data != NULL;
    if (ttl.data && expires_at.data)
        bad_request(request, "Stream-TTL and Stream-Expires-At exclude each other");
    else if (ttl.data && !parse_whole_number(ttl, &create->ttl_s))
        bad_request(request, "Stream-TTL is not a whole number of seconds");
    else if (expires_at.data && !parse_time(expires_at, &create->expires_at_ms))
        bad_request(request, "Stream-Expires-At is not an RFC 3339 time");
    else
        return true;
    return false;
}

/* The source is named by the path of its URL, or by the path below the root. */
static bool parse_source(struct request *request, struct slice source, struct buffer *canonical)
{
    struct slice prefix = SLICE("/v1/stream/");
    if (source.len > prefix.len && memcmp(source.data, prefix.data, prefix.len) == 0)
        source = slice_of(source.data + prefix.len, source.len - prefix.len);
    else if (source.len && source.data[0] == '/')
        source = slice_of(source.data + 1, source.len - 1);
    enum path_result result = path_canonical(source, canonical);
    if (result == PATH_OK)
        return true;
    bad_request(request, path_explain(result));
    return false;
}

static bool parse_fork(struct request *request, struct fork_request *fork,
                       struct buffer *source_path)
{
    struct slice source = request_header(request, "Stream-Forked-From");
    struct slice offset = request_header(request, "Stream-Fork-Offset");
    struct slice sub_offset = request_header(request, "Stream-Fork-Sub-Offset");
    if (!source.data) {
        if (!offset.data && !sub_offset.data)
            return true;
        bad_request(request, "Stream-Fork-Offset and Stream-Fork-Sub-Offset need "
                             "Stream-Forked-From");
        return false;
    }
    if (!parse_source(request, source, source_path))
        return false;
    fork->source = buffer_slice(source_path);
    fork->has_offset = offset.data != NULL;
    enum offset_kind kind = offset.data ? parse_offset(offset, &fork->offset) : OFFSET_NOW;
    if (kind == OFFSET_INVALID || (offset.data && kind == OFFSET_NOW)) {
        bad_request(request, "Stream-Fork-Offset is not an offset");
        return false;
    }
    if (sub_offset.data && !parse_whole_number(sub_offset, &fork->sub_offset)) {
        bad_request(request, "Stream-Fork-Sub-Offset is not a whole number");
        return false;
    }
    return true;
}

static void add_location(struct request *request)
{
    struct buffer location = BUFFER_INIT;
    struct slice host = request->authority;
    if (!host.data)
        host = request_header(request, "Host");
    const char *question = strchr(request->uri, '?');
    if (host.len) {
        buffer_add_str(&location, request->server->tls ? "https://" : "http://");
        buffer_add_slice(&location, host);
    }
    buffer_add(&location, request->uri,
               question ? (size_t)(question - request->uri) : strlen(request->uri));
    reply_header(request, "Location", buffer_str(&location));
    buffer_release(&location);
}

/* What the store has decided is not durable yet; it is what the answer says and waits for. */
static void reply_created(struct request *request, struct stream *stream, bool is_new,
                          bool is_closed)
{
    reply_empty(request, is_new ? MHD_HTTP_CREATED : MHD_HTTP_OK);
    if (is_new)
        add_location(request);
    reply_header_slice(request, "Content-Type", stream_content_type(stream));
    reply_offset(request, stream_staged_tail(stream));
    add_closed(request, is_closed);
    reply_after(request, stream_ticket(stream));
}

static void create(struct request *request, const struct create_request *create)
{
    struct store *store = request->server->store;
    struct stream *stream;
    enum create_result result = store_create(store, create, &stream);
    switch (result) {
    case CREATE_NEW:
    case CREATE_SAME:
        reply_created(request, stream, result == CREATE_NEW, create->is_closed);
        return;
    case CREATE_CONFLICT:
        reply_text(request, MHD_HTTP_CONFLICT, "the stream exists with another configuration");
        break;
    case CREATE_SOFT_DELETED:
        reply_text(request, MHD_HTTP_CONFLICT, "the stream is deleted; forks still use its data");
        break;
    case CREATE_SOURCE_MISSING:
        reply_text(request, MHD_HTTP_NOT_FOUND, "there is no stream to fork from");
        break;
    case CREATE_SOURCE_SOFT_DELETED:
        reply_text(request, MHD_HTTP_CONFLICT, "the stream to fork from is deleted");
        break;
    case CREATE_TYPE_MISMATCH:
        reply_text(request, MHD_HTTP_CONFLICT, "a fork has the content type of its source");
        break;
    case CREATE_TOO_DEEP:
        bad_request(request, "the stream is a fork of a fork, and so on, a hundred times already");
        break;
    case CREATE_BAD_OFFSET:
        bad_request(request, "Stream-Fork-Offset is not an offset of the source");
        break;
    case CREATE_BAD_SUB_OFFSET:
        bad_request(request, "Stream-Fork-Sub-Offset lies behind the append at the fork offset");
        break;
    case CREATE_BAD_JSON:
        bad_request(request, "the body is not valid JSON");
        break;
    case CREATE_NO_ROOM:
        reply_no_room(request);
        break;
    case CREATE_TOO_MANY:
        reply_too_many_streams(request);
        break;
    }
    reply_after(request, store_staged(store));
}

static void put(struct request *request, struct slice path)
{
    struct buffer source_path = BUFFER_INIT;
    struct create_request wanted = {
        .path = path,
        .content_type = request_header(request, "Content-Type"),
        .is_closed = is_true(request_header(request, "Stream-Closed")),
        .body = buffer_slice(&request->body),
    };
    if (wanted.content_type.len > UINT8_MAX)
        bad_request(request, "the content type is too long");
    else if (parse_expiry(request, &wanted) && parse_fork(request, &wanted.fork, &source_path))
        create(request, &wanted);
    buffer_release(&source_path);
}

/* ---- POST ---- */

enum { PRODUCER_NAME_MAX = 256, SEQ_MAX = 1024 };

static bool parse_producer(struct request *request, struct append_request *append)
{
    struct slice name = request_header(request, "Producer-Id");
    struct slice epoch = request_header(request, "Producer-Epoch");
    struct slice seq = request_header(request, "Producer-Seq");
    if (!name.data && !epoch.data && !seq.data)
        return true;
    append->has_producer = true;
    append->producer = name;
    if (!name.data || !epoch.data || !seq.data)
        bad_request(request, "Producer-Id, Producer-Epoch and Producer-Seq belong together");
    else if (name.len == 0 || name.len > PRODUCER_NAME_MAX)
        bad_request(request, "Producer-Id is empty or too long");
    else if (!parse_whole_number(epoch, &append->epoch) ||
             !parse_whole_number(seq, &append->producer_seq))
        bad_request(request, "Producer-Epoch and Producer-Seq are whole numbers up to 2^53 - 1");
    else
        return true;
    return false;
}

static bool parse_append(struct request *request, struct append_request *append)
{
    *append = (struct append_request){
        .body = buffer_slice(&request->body),
        .content_type = request_header(request, "Content-Type"),
        .seq = request_header(request, "Stream-Seq"),
        .closes = is_true(request_header(request, "Stream-Closed")),
    };
    if (!append->body.len && !append->closes)
        bad_request(request, "the body is empty; only Stream-Closed: true may have no body");
    else if (append->body.len && !append->content_type.len)
        bad_request(request, "Content-Type is missing");
    else if (append->seq.len > SEQ_MAX)
        bad_request(request, "Stream-Seq is too long");
    else
        return parse_producer(request, append);
    return false;
}

static void reply_append(struct request *request, const struct append_request *append,
                         enum append_result result, const struct append_answer *answer)
{
    bool is_producers_data = result == APPEND_OK && append->has_producer && append->body.len;
    if (!append->has_producer && !answer->is_closed) {
        reply_plain(request, answer->tail);
        return;
    }
    reply_empty(request, is_producers_data ? MHD_HTTP_OK : MHD_HTTP_NO_CONTENT);
    reply_offset(request, answer->tail);
    add_closed(request, answer->is_closed);
    if (append->has_producer) {
        reply_header_uint(request, "Producer-Epoch", answer->epoch);
        reply_header_uint(request, "Producer-Seq", answer->producer_seq);
    }
}

static void reply_refusal(struct request *request, const struct append_request *append,
                          enum append_result result, const struct append_answer *answer)
{
    switch (result) {
    case APPEND_OK:
    case APPEND_DUPLICATE:
    case APPEND_ALREADY_CLOSED:
        break;
    case APPEND_CLOSED:
        reply_text(request, MHD_HTTP_CONFLICT, "the stream is closed");
        reply_offset(request, answer->tail);
        add_closed(request, true);
        break;
    case APPEND_TYPE_MISMATCH:
        reply_text(request, MHD_HTTP_CONFLICT, "the stream has another content type");
        break;
    case APPEND_SEQ_REGRESSION:
        /* By the word "sequence" official clients tell it from other conflicts. */
        reply_text(request, MHD_HTTP_CONFLICT,
                   "sequence conflict: Stream-Seq is not greater than the last one");
        break;
    case APPEND_STALE_EPOCH:
        reply_text(request, MHD_HTTP_FORBIDDEN, "the producer has a newer epoch");
        reply_header_uint(request, "Producer-Epoch", answer->epoch);
        break;
    case APPEND_SEQ_GAP:
        reply_text(request, MHD_HTTP_CONFLICT, "a Producer-Seq is missing before this one");
        reply_header_uint(request, "Producer-Expected-Seq", answer->producer_seq);
        reply_header_uint(request, "Producer-Received-Seq", append->producer_seq);
        break;
    case APPEND_EPOCH_START:
        bad_request(request, "a new Producer-Epoch begins with Producer-Seq 0");
        break;
    case APPEND_BAD_JSON:
        bad_request(request, "the body is not valid JSON");
        break;
    case APPEND_EMPTY:
        bad_request(request, "an empty JSON array has no message to append");
        break;
    case APPEND_TOO_MANY_PRODUCERS:
        reply_text(request, MHD_HTTP_TOO_MANY_REQUESTS, "the stream has too many producers");
        break;
    case APPEND_NO_ROOM:
        reply_no_room(request);
        break;
    }
}

static void post(struct request *request, struct slice path)
{
    struct server *server = request->server;
    struct append_request append;
    struct append_answer answer;
    struct stream *stream;
    if (!parse_append(request, &append))
        return;
    enum find_result found = store_find(server->store, path, &stream);
    if (found != FIND_OK) {
        reply_missing(request, path, found);
        return;
    }
    enum append_result result = store_append(server->store, stream, &append, &answer);
    if (result == APPEND_OK || result == APPEND_DUPLICATE || result == APPEND_ALREADY_CLOSED)
        reply_append(request, &append, result, &answer);
    else
        reply_refusal(request, &append, result, &answer);
    if (result == APPEND_DUPLICATE || result == APPEND_ALREADY_CLOSED)
        store_touch(server->store, stream);
    reply_after(request, stream_ticket(stream));
}

/* ---- DELETE ---- */

static void delete(struct request *request, struct slice path)
{
    struct store *store = request->server->store;
    struct stream *stream;
    enum find_result found = store_find(store, path, &stream);
    if (found != FIND_OK) {
        reply_missing(request, path, found);
        return;
    }
    if (store_delete(store, stream))
        reply_empty(request, MHD_HTTP_NO_CONTENT);
    else
        reply_no_room(request);
    reply_after(request, store_staged(store));
}

/* What arrives is what readers get, and they are not told that it was compressed. */
static bool is_compressed(struct request *request)
{
    struct slice coding = request_header(request, "Content-Encoding");
    if (!coding.len || (coding.len == 8 && strncasecmp(coding.data, "identity", 8) == 0))
        return false;
    reply_text(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
               "the body has a Content-Encoding; send it without");
    reply_header(request, "Accept-Encoding", "identity");
    return true;
}

void route_write(struct request *request, struct slice path)
{
    if (is_compressed(request) || !request_may_write(request))
        return;
    if (request->method == METHOD_PUT)
        put(request, path);
    else if (request->method == METHOD_POST)
        post(request, path);
    else
        delete (request, path);
    /* The disk works while the loop goes on to the next request. */
    store_hand_over(request->server->store);
}
