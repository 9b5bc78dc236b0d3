#include "producer.h"

#include "weir/base/lsn.h"

#include <jansson.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 200, STREAMS_A_PAGE = 5000 };

/* Takes json over. */
static void reply_object(struct request *request, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    check(text != NULL);
    reply_json(request, status, slice_from_str(text));
    free(text);
    json_decref(json);
}

void reply_fenced(struct request *request, uint64_t epoch)
{
    reply_object(request, MHD_HTTP_FORBIDDEN,
                 json_pack("{s:s,s:I}", "error", "fenced", "epoch", (json_int_t)epoch));
}

static void reply_producer(struct request *request, struct slice name,
                           const struct store_progress *progress)
{
    struct slice source = store_source(request->server->store, name);
    char lsn[LSN_TEXT_SIZE];
    json_t *json = json_pack("{s:I,s:s,s:I}", "epoch", (json_int_t)progress->epoch, "lsn",
                             lsn_format(progress->lsn, lsn), "step", (json_int_t)progress->step);
    if (source.len)
        json_object_set_new(json, "source", json_stringn(source.data, source.len));
    reply_object(request, MHD_HTTP_OK, json);
}

static void reply_claim(struct request *request, struct slice name, enum claim_result result,
                        const struct store_progress *progress)
{
    switch (result) {
    case CLAIM_OK:
        reply_producer(request, name, progress);
        break;
    case CLAIM_FENCED:
        reply_fenced(request, progress->epoch);
        break;
    case CLAIM_TOO_MANY:
        reply_text(request, MHD_HTTP_TOO_MANY_REQUESTS, "there are too many producers");
        break;
    case CLAIM_NO_ROOM:
        reply_no_room(request);
        break;
    }
}

static void claim(struct request *request, struct slice name)
{
    struct store_progress progress;
    enum claim_result result = store_claim(request->server->store, name, &progress);
    reply_claim(request, name, result, &progress);
}

static void set_source(struct request *request, struct slice name)
{
    struct slice body = buffer_slice(&request->body);
    struct store_progress progress;
    const char *source;
    json_int_t epoch = 0;
    int restarts = 0;
    json_t *json = json_loadb(body.data, body.len, 0, NULL);
    if (json_unpack(json, "{s:s,s:I,s?b}", "source", &source, "epoch", &epoch, "restart",
                    &restarts) != 0 ||
        strlen(source) > STORE_SOURCE_MAX) {
        reply_text(request, MHD_HTTP_BAD_REQUEST,
                   "a source is a JSON object with source, epoch and perhaps restart");
    } else {
        enum claim_result result = store_set_source(request->server->store, name, (uint64_t)epoch,
                                                    slice_from_str(source), restarts, &progress);
        reply_claim(request, name, result, &progress);
    }
    json_decref(json);
}

static void show_producer(struct request *request, struct slice name)
{
    struct store_progress progress;
    if (store_producer(request->server->store, name, &progress))
        reply_producer(request, name, &progress);
    else
        reply_text(request, MHD_HTTP_NOT_FOUND, "there is no such producer");
}

static void add_stream(void *context, struct slice path, bool is_own)
{
    json_t *streams = context;
    json_array_append_new(streams,
                          json_pack("{s:s%,s:b}", "path", path.data, path.len, "own", (int)is_own));
}

static void list_streams(struct request *request, struct slice name)
{
    const char *given =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "after");
    uint64_t after = 0;
    if (given && !parse_whole_number(slice_from_str(given), &after)) {
        reply_text(request, MHD_HTTP_BAD_REQUEST, "after is not a number");
        return;
    }
    json_t *streams = json_array();
    uint64_t last =
        store_streams_of(request->server->store, name, after, STREAMS_A_PAGE, add_stream, streams);
    json_t *json = json_pack("{s:o}", "streams", streams);
    if (last != UINT64_MAX)
        json_object_set_new(json, "next", json_integer((json_int_t)last));
    reply_object(request, MHD_HTTP_OK, json);
}

static bool takes_streams(struct slice *name)
{
    const struct slice end = SLICE("/streams");
    if (name->len < end.len || !slice_eq(slice_of(name->data + name->len - end.len, end.len), end))
        return false;
    name->len -= end.len;
    return true;
}

void route_producer(struct request *request, struct slice name)
{
    bool is_get = request->method == METHOD_GET, is_post = request->method == METHOD_POST;
    bool is_about_streams = takes_streams(&name);
    if (name.len == 0 || name.len > NAME_MAX_BYTES || memchr(name.data, '/', name.len))
        reply_text(request, MHD_HTTP_BAD_REQUEST, "the producer's name is empty or too long");
    else if (is_about_streams && is_get)
        list_streams(request, name);
    else if (!is_about_streams && is_get)
        show_producer(request, name);
    else if (!is_about_streams && is_post && request->body.len)
        set_source(request, name);
    else if (!is_about_streams && is_post)
        claim(request, name);
    else if (is_about_streams)
        reply_not_allowed(request, "GET, OPTIONS", "the streams of a producer have GET");
    else
        reply_not_allowed(request, "GET, POST, OPTIONS", "a producer has GET and POST");
    /* What has been decided on may not be durable yet, so the answer waits. */
    reply_after(request, store_staged(request->server->store));
}
