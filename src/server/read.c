/* GET and HEAD of a stream: metadata and pages; live.c goes on from here. Protocol 5.5 to
 * 5.7, 10. */
#include "internal.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

enum { ETAG_SIZE = 96 };

static void format_etag(const struct stream *stream, uint64_t start, uint64_t end, bool is_closed,
                        char out[ETAG_SIZE])
{
    snprintf(out, ETAG_SIZE, "\"%" PRIx64 "-%" PRIx64 ":%" PRIu64 ":%" PRIu64 "%s\"",
             stream_id(stream), (uint64_t)stream_created_ms(stream), start, end,
             is_closed ? ":c" : "");
}

struct etag_search {
    struct slice etag;
    bool is_found;
};

/* If-None-Match may be there more than once. */
static enum MHD_Result search_etag(void *context, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct etag_search *search = context;
    (void)kind;
    if (value && strcasecmp(name, "If-None-Match") == 0)
        search->is_found = search->is_found || etags_name(slice_from_str(value), search->etag);
    return MHD_YES;
}

static bool has_etag(const struct request *request, const char *etag)
{
    struct etag_search search = {.etag = slice_from_str(etag)};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, search_etag, &search);
    return search.is_found;
}

/* A page with more behind it never changes; one that ends at the tail is to be asked for again. */
static void add_cache_control(struct request *request, bool is_at_tail)
{
    bool is_public = request->server->settings->is_public;
    const char *value = is_public ? "public, max-age=60, stale-while-revalidate=300"
                                  : "private, max-age=60, stale-while-revalidate=300";
    if (is_at_tail)
        value = is_public ? "public, no-cache" : "private, no-cache";
    reply_header(request, "Cache-Control", value);
}

static void add_page_headers(struct request *request, const struct stream *stream, uint64_t start,
                             const struct encoded_page *page)
{
    char etag[ETAG_SIZE];
    format_etag(stream, start, page->end, page->is_closed, etag);
    reply_header_slice(request, "Content-Type", stream_content_type(stream));
    reply_header(request, "ETag", etag);
    reply_offset(request, page->end);
    reply_header_uint(request, "Stream-Cursor", server_cursor(request));
    if (page->is_at_tail)
        reply_header(request, "Stream-Up-To-Date", "true");
    if (page->is_closed)
        reply_header(request, "Stream-Closed", "true");
    add_cache_control(request, page->is_at_tail && request->live == LIVE_NOT);
}

static void reply_bad_offset(struct request *request)
{
    reply_text(request, MHD_HTTP_BAD_REQUEST, "the offset is not one of this stream");
}

void reply_page(struct request *request, struct stream *stream, uint64_t position)
{
    struct encoded_page page;
    char etag[ETAG_SIZE];
    enum encoding encoding = stream_is_json(stream) ? ENCODING_JSON : ENCODING_RAW;
    switch (page_encode(request->server, stream, position, encoding, &page)) {
    case PAGE_OK:
        break;
    case PAGE_BAD_OFFSET:
        reply_bad_offset(request);
        return;
    case PAGE_CROWDED_OUT:
        reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many slow readers at once");
        reply_header(request, "Retry-After", "1");
        return;
    }
    format_etag(stream, position, page.end, page.is_closed, etag);
    /* Without a body, but with the length that the page has. RFC 9110, 8.6. */
    bool is_same = request->live == LIVE_NOT && has_etag(request, etag);
    reply_blob(request, is_same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, blob_hold(page.blob));
    request_hold(request, &request->server->senders);
    add_page_headers(request, stream, position, &page);
}

/* Catch-up from "now": an empty page at the tail, not to be cached. */
static void reply_now(struct request *request, const struct stream *stream)
{
    struct slice body = stream_is_json(stream) ? SLICE("[]") : SLICE("");
    reply_blob(request, MHD_HTTP_OK, blob_copy(body));
    reply_header_slice(request, "Content-Type", stream_content_type(stream));
    reply_offset(request, stream_tail(stream));
    reply_header(request, "Stream-Up-To-Date", "true");
    reply_header(request, "Cache-Control", "no-store");
    if (stream_is_closed(stream))
        reply_header(request, "Stream-Closed", "true");
}

static void reply_metadata(struct request *request, const struct stream *stream)
{
    uint64_t ttl_s;
    int64_t expires_at_ms;
    char text[TIME_TEXT_SIZE];
    reply_empty(request, MHD_HTTP_OK);
    reply_header_slice(request, "Content-Type", stream_content_type(stream));
    reply_offset(request, stream_tail(stream));
    reply_header(request, "Cache-Control", "no-store");
    if (stream_ttl(stream, &ttl_s))
        reply_header_uint(request, "Stream-TTL", ttl_s);
    if (stream_expires_at(stream, &expires_at_ms)) {
        format_time(expires_at_ms, text);
        reply_header(request, "Stream-Expires-At", text);
    }
    if (stream_is_closed(stream))
        reply_header(request, "Stream-Closed", "true");
}

struct read_query {
    enum offset_kind kind;
    uint64_t position;
    enum live live;
    uint64_t cursor;
};

/* The text of what is wrong, or NULL. */
static const char *check_query(const struct query *query, struct read_query *read)
{
    *read = (struct read_query){.kind = OFFSET_START};
    if (query->is_repeated)
        return "a query parameter is given twice";
    if (slice_eq_str(query->live, "long-poll"))
        read->live = LIVE_LONG_POLL;
    else if (slice_eq_str(query->live, "sse"))
        read->live = LIVE_SSE;
    else if (query->live.data)
        return "live is neither long-poll nor sse";
    if (query->offset.data)
        read->kind = parse_offset(query->offset, &read->position);
    else if (read->live != LIVE_NOT)
        return "live reads need an offset";
    if (read->kind == OFFSET_INVALID)
        return "the offset is malformed";
    read->cursor = parse_cursor(query->cursor);
    return NULL;
}

static bool parse_read(struct request *request, struct read_query *read)
{
    const char *question = strchr(request->uri, '?');
    struct query query;
    const char *wrong = "the query is malformed";
    if (query_parse(slice_from_str(question ? question + 1 : ""), &query))
        wrong = check_query(&query, read);
    query_release(&query);
    if (wrong)
        reply_text(request, MHD_HTTP_BAD_REQUEST, wrong);
    return !wrong;
}

static void read_stream(struct request *request, struct stream *stream,
                        const struct read_query *read)
{
    request->cursor = read->cursor;
    request->position = read->kind == OFFSET_NOW ? stream_tail(stream) : read->position;
    store_touch(request->server->store, stream);
    if (request->position > stream_tail(stream))
        reply_bad_offset(request);
    else if (read->live != LIVE_NOT)
        live_begin(request, stream, read->live);
    else if (read->kind == OFFSET_NOW)
        reply_now(request, stream);
    else
        reply_page(request, stream, request->position);
}

void route_read(struct request *request, struct slice path)
{
    struct store *store = request->server->store;
    struct stream *stream;
    struct read_query read;
    if (request->live == LIVE_LONG_POLL) {
        live_continue(request);
        return;
    }
    if (request->method == METHOD_GET && !parse_read(request, &read))
        return;
    enum find_result found = store_find(store, path, &stream);
    if (found != FIND_OK)
        reply_missing(request, path, found);
    else if (!stream_is_durable(stream, store))
        reply_after(request, stream_ticket(stream)); /* and then again */
    else if (request->method == METHOD_HEAD)
        reply_metadata(request, stream);
    else
        read_stream(request, stream, &read);
}
