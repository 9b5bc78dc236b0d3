#include "internal.h"

#include "weir/base/percent.h"
#include "weir/base/path.h"

#include <stdio.h>

static const struct slice root = {"/v1/stream/", 11};

static bool starts_with(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && memcmp(text.data, prefix.data, prefix.len) == 0;
}

static void route_stream(struct request *request, struct slice path)
{
    switch (request->method) {
    case METHOD_GET:
    case METHOD_HEAD:
        route_read(request, path);
        return;
    case METHOD_PUT:
    case METHOD_POST:
    case METHOD_DELETE:
        route_write(request, path);
        return;
    case METHOD_OPTIONS:
    case METHOD_OTHER:
        break;
    }
    reply_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "a stream has no such method");
    reply_header(request, "Allow", "GET, HEAD, PUT, POST, DELETE, OPTIONS");
}

static bool is_reserved(struct slice path, const char *name)
{
    size_t len = strlen(name);
    return path.len >= len && memcmp(path.data, name, len) == 0 &&
           (path.len == len || path.data[len] == '/');
}

static void route_path(struct request *request, struct slice raw)
{
    struct buffer canonical = BUFFER_INIT;
    enum path_result result = path_canonical(raw, &canonical);
    struct slice path = buffer_slice(&canonical);
    if (result != PATH_OK)
        reply_text(request, MHD_HTTP_BAD_REQUEST, path_explain(result));
    else if (is_reserved(path, "__weir"))
        route_extension(request, path);
    else if (is_reserved(path, "__ds"))
        route_subscription(request, path);
    else
        route_stream(request, path);
    buffer_release(&canonical);
}

/* What a page of another origin may send. */
static void reply_preflight(struct request *request)
{
    reply_empty(request, MHD_HTTP_NO_CONTENT);
    reply_header(request, "Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, DELETE, OPTIONS");
    reply_header(request, "Access-Control-Allow-Headers",
                 "Authorization, Content-Type, If-None-Match, Stream-Seq, Stream-TTL, "
                 "Stream-Expires-At, Stream-Closed, Stream-Forked-From, Stream-Fork-Offset, "
                 "Stream-Fork-Sub-Offset, Producer-Id, Producer-Epoch, Producer-Seq, "
                 "Cache-Control, Last-Event-ID");
    reply_header(request, "Access-Control-Max-Age", "86400");
}

void route(struct request *request)
{
    const char *question = strchr(request->uri, '?');
    struct slice path = slice_from_str(request->uri);
    if (question)
        path.len = (size_t)(question - request->uri);
    if (request->method == METHOD_OPTIONS)
        reply_preflight(request);
    else if (starts_with(path, root))
        route_path(request, slice_of(path.data + root.len, path.len - root.len));
    else
        route_status(request, path);
}
