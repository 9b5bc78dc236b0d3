#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

void reply_header(struct request *request, const char *name, const char *value)
{
    check(MHD_add_response_header(request->response, name, value) == MHD_YES);
}

void reply_header_slice(struct request *request, const char *name, struct slice value)
{
    char *text = strndup(value.data ? value.data : "", value.len);
    check(text != NULL);
    reply_header(request, name, text);
    free(text);
}

void reply_header_uint(struct request *request, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    reply_header(request, name, text);
}

static const char offset_header[] = "Stream-Next-Offset";

void reply_offset(struct request *request, uint64_t position)
{
    char text[OFFSET_TEXT_SIZE];
    format_offset(position, text);
    reply_header(request, offset_header, text);
}

/* Protocol 12.7, and what lets a page of another origin read the answer. */
static void add_common_headers(struct request *request)
{
    reply_header(request, "X-Content-Type-Options", "nosniff");
    reply_header(request, "Cross-Origin-Resource-Policy", "cross-origin");
    reply_header(request, "Access-Control-Allow-Origin", "*");
    reply_header(request, "Access-Control-Expose-Headers",
                 "Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, Stream-Closed, Stream-TTL, "
                 "Stream-Expires-At, Stream-SSE-Data-Encoding, Producer-Epoch, Producer-Seq, "
                 "Producer-Expected-Seq, Producer-Received-Seq, ETag, Location, Content-Type, "
                 "Retry-After, WWW-Authenticate");
    if (request->server->access)
        reply_header(request, "Vary", "Authorization");
}

void reply_response(struct request *request, unsigned status, struct MHD_Response *response)
{
    check(response != NULL && !request->response);
    request->response = response;
    request->status = status;
    add_common_headers(request);
}

static void reply_bytes(struct request *request, unsigned status, struct slice body)
{
    void *data = (void *)(uintptr_t)body.data;
    reply_response(request, status,
                   MHD_create_response_from_buffer(body.len, data, MHD_RESPMEM_MUST_COPY));
}

void reply_text(struct request *request, unsigned status, const char *text)
{
    char line[512];
    int len = snprintf(line, sizeof line, "%s\n", text);
    check(len > 0 && (size_t)len < sizeof line);
    reply_bytes(request, status, slice_of(line, (size_t)len));
    reply_header(request, "Content-Type", "text/plain; charset=utf-8");
    reply_header(request, "Cache-Control", "no-store");
}

void reply_json(struct request *request, unsigned status, struct slice json)
{
    reply_bytes(request, status, json);
    reply_header(request, "Content-Type", "application/json");
    reply_header(request, "Cache-Control", "no-store");
}

void reply_empty(struct request *request, unsigned status)
{
    reply_bytes(request, status, SLICE(""));
}

/* ---- Plain answers ----
 *
 * An answer is a dozen allocations, most of them for headers that are always the same. So whole
 * answers are kept, and given another offset when they are used again; that is once libmicrohttpd
 * has told that the request is done, as it reads them until then. */

void reply_plain(struct request *request, uint64_t position)
{
    struct plain_answers *answers = &request->server->plain_answers;
    if (answers->count) {
        request->response = answers->kept[--answers->count];
        request->status = MHD_HTTP_NO_CONTENT;
    } else {
        reply_empty(request, MHD_HTTP_NO_CONTENT);
    }
    reply_offset(request, position);
    request->lent = request->response;
}

void reply_plain_done(struct request *request)
{
    struct plain_answers *answers = &request->server->plain_answers;
    struct MHD_Response *response = request->lent;
    const char *offset = MHD_get_response_header(response, offset_header);
    check(offset && MHD_del_response_header(response, offset_header, offset) == MHD_YES);
    request->lent = request->response = NULL;
    if (answers->count < PLAIN_ANSWERS_MAX)
        answers->kept[answers->count++] = response;
    else
        MHD_destroy_response(response);
}

void reply_plain_release(struct server *server)
{
    struct plain_answers *answers = &server->plain_answers;
    while (answers->count)
        MHD_destroy_response(answers->kept[--answers->count]);
}

static void drop_blob(void *blob)
{
    blob_drop(blob);
}

void reply_blob(struct request *request, unsigned status, struct blob *blob)
{
    if (status != MHD_HTTP_NOT_MODIFIED)
        request->server->counters.body_bytes_out += blob->len;
    reply_response(request, status,
                   MHD_create_response_from_buffer_with_free_callback_cls(blob->len, blob->data,
                                                                          drop_blob, blob));
}

/* RFC 9110, 15.5.6: who is refused learns what is not. */
void reply_not_allowed(struct request *request, const char *methods, const char *text)
{
    reply_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, text);
    reply_header(request, "Allow", methods);
}

void reply_no_room(struct request *request)
{
    reply_text(request, MHD_HTTP_INSUFFICIENT_STORAGE,
               "no room on the server's disk; nothing was written");
}

void reply_too_many_streams(struct request *request)
{
    reply_text(request, MHD_HTTP_INSUFFICIENT_STORAGE,
               "there are as many streams as --max-streams allows; nothing was written");
}

bool request_may_write(struct request *request)
{
    struct server *server = request->server;
    switch (store_readiness(server->store)) {
    case STORE_READY:
        return true;
    case STORE_BUSY:
        request_wait(request, WAITING_ROOM, &server->waiting_room);
        break;
    case STORE_STUCK:
        reply_no_room(request);
        break;
    }
    return false;
}

void reply_after(struct request *request, uint64_t ticket)
{
    struct server *server = request->server;
    if (ticket <= store_durable(server->store))
        return;
    request->ticket = ticket;
    request_wait(request, WAITING_COMMIT, &server->waiting_commit);
}

void reply_missing(struct request *request, struct slice path, enum find_result found)
{
    if (found == FIND_SOFT_DELETED)
        reply_text(request, MHD_HTTP_GONE, "the stream is deleted; forks still use its data");
    else
        reply_text(request, MHD_HTTP_NOT_FOUND, "there is no such stream");
    reply_after(request, store_path_ticket(request->server->store, path));
}
