#include "access.h"
#include "console.h"
#include "subscription.h"

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
    reply_not_allowed(request, "GET, HEAD, PUT, POST, DELETE, OPTIONS",
                      "a stream has no such method");
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
    struct slice path;
    enum path_result result = path_find_canonical(raw, &canonical, &path);
    if (result != PATH_OK)
        reply_text(request, MHD_HTTP_BAD_REQUEST, path_explain(result));
    else if (slice_eq(path, PATH_REVOKED) && request->method == METHOD_GET)
        route_stream(request, path); /* for the bridge that reads back what it has written */
    else if (is_reserved(path, "__weir"))
        route_extension(request, path);
    else if (is_reserved(path, "__ds"))
        route_subscription(request, path);
    else
        route_stream(request, path);
    buffer_release(&canonical);
}

/* ---- What it takes ---- */

static struct need need_of_path(struct request *request, struct slice path)
{
    bool is_read = request->method == METHOD_GET || request->method == METHOD_HEAD;
    if (is_reserved(path, "__ds") && subscription_is_open(request, path)) {
        request->body_max = CONFIG_BYTES_MAX; /* of anybody's */
        return (struct need){.right = RIGHT_OPEN};
    }
    if (is_reserved(path, "__weir/overview") || is_reserved(path, "__weir/streams") ||
        is_reserved(path, "__weir/questions"))
        return (struct need){.right = RIGHT_ADMIN};
    if (is_reserved(path, "__ds") || is_reserved(path, "__weir") || !is_read)
        return (struct need){.right = RIGHT_WRITE};
    return (struct need){RIGHT_READ, path};
}

/* A path that is none gets 400 later, from whoever has a token. */
static bool admits_path(struct request *request, struct slice raw)
{
    struct buffer canonical = BUFFER_INIT;
    struct slice path;
    struct need need = {.right = RIGHT_TOKEN};
    if (path_find_canonical(raw, &canonical, &path) == PATH_OK)
        need = need_of_path(request, path);
    bool is_admitted = access_allows(request, need);
    buffer_release(&canonical);
    return is_admitted;
}

static struct slice path_of(const struct request *request)
{
    return slice_of(request->uri, strcspn(request->uri, "?"));
}

bool route_admits(struct request *request)
{
    struct slice path = path_of(request);
    struct need need = {.right = RIGHT_OPEN};
    if (!request->server->access || request->method == METHOD_OPTIONS)
        return true;
    if (starts_with(path, root))
        return admits_path(request, slice_of(path.data + root.len, path.len - root.len));
    if (console_has(request->server, path))
        return true;
    if (!slice_eq_str(path, "/healthz") && !slice_eq_str(path, "/readyz"))
        need.right = RIGHT_ADMIN;
    return access_allows(request, need);
}

/* ---- Answering ---- */

/* What a page of another origin may send: these, and whatever its libraries and the proxies before
 * us need. The star is for requests without cookies, which is all that we let pages send; it does
 * not stand for Authorization. */
static void reply_preflight(struct request *request)
{
    reply_empty(request, MHD_HTTP_NO_CONTENT);
    reply_header(request, "Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, DELETE, OPTIONS");
    reply_header(request, "Access-Control-Allow-Headers",
                 "Authorization, Content-Type, If-None-Match, Stream-Seq, Stream-TTL, "
                 "Stream-Expires-At, Stream-Closed, Stream-Forked-From, Stream-Fork-Offset, "
                 "Stream-Fork-Sub-Offset, Producer-Id, Producer-Epoch, Producer-Seq, "
                 "Cache-Control, Last-Event-ID, *");
    reply_header(request, "Access-Control-Max-Age", "86400");
}

void route(struct request *request)
{
    struct slice path = path_of(request);
    if (request->method == METHOD_OPTIONS)
        reply_preflight(request);
    else if (starts_with(path, root))
        route_path(request, slice_of(path.data + root.len, path.len - root.len));
    else if (console_has(request->server, path))
        route_console(request, path);
    else
        route_status(request, path);
}
