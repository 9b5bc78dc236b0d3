#include "console.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static const struct slice folder = {"/console/", 9};

/* Nothing but its own files and its own server; nobody's frame. */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                             "img-src 'self'; connect-src 'self'; base-uri 'none'; "
                             "form-action 'none'; frame-ancestors 'none'";

static bool is_loopback_socket(int listener)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t len = sizeof address;
    if (getsockname(listener, &address.any, &len) < 0)
        return false;
    if (address.any.sa_family == AF_INET)
        return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
    return address.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
}

bool console_is_wanted(const char *setting, int listener)
{
    if (strcmp(setting, "auto") == 0)
        return is_loopback_socket(listener);
    return strcmp(setting, "on") == 0;
}

bool console_has(const struct server *server, struct slice path)
{
    return server->has_console &&
           (slice_eq_str(path, "/console") || slice_starts_with(path, folder));
}

static const char *content_type(const char *name)
{
    const char *ending = strrchr(name, '.');
    if (ending && strcmp(ending, ".html") == 0)
        return "text/html; charset=utf-8";
    if (ending && strcmp(ending, ".css") == 0)
        return "text/css; charset=utf-8";
    if (ending && strcmp(ending, ".svg") == 0)
        return "image/svg+xml";
    return "text/javascript; charset=utf-8";
}

static void reply_file(struct request *request, const struct console_file *file)
{
    void *text = (void *)(uintptr_t)file->text;
    reply_response(
        request, MHD_HTTP_OK,
        MHD_create_response_from_buffer(strlen(file->text), text, MHD_RESPMEM_PERSISTENT));
    reply_header(request, "Content-Type", content_type(file->name));
    reply_header(request, "Cache-Control", "no-cache");
    reply_header(request, "Content-Security-Policy", policy);
    reply_header(request, "Referrer-Policy", "no-referrer");
}

void route_console(struct request *request, struct slice path)
{
    if (request->method != METHOD_GET && request->method != METHOD_HEAD) {
        reply_not_allowed(request, "GET, HEAD, OPTIONS", "the console has GET and HEAD");
        return;
    }
    if (!slice_starts_with(path, folder)) { /* so that its files are below, whatever is in front */
        reply_empty(request, MHD_HTTP_PERMANENT_REDIRECT);
        reply_header(request, "Location", "console/");
        return;
    }
    struct slice name = slice_after(path, folder);
    if (!name.len)
        name = SLICE("index.html");
    for (const struct console_file *file = console_files; file->name; file++) {
        if (slice_eq_str(name, file->name)) {
            reply_file(request, file);
            return;
        }
    }
    reply_text(request, MHD_HTTP_NOT_FOUND, "the console has no such file");
}
