#include "overview.h"

#include "history.h"
#include "report.h"

#include "weir/base/clock.h"
#include "weir/base/json.h"
#include "weir/base/percent.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- Overview ---- */

static void add_server(struct buffer *out, const struct server *server)
{
    const struct server_counters *c = &server->counters;
    struct store_counters store = store_counters(server->store);
    buffer_printf(out,
                  "\"server\":{\"version\":\"" WEIR_VERSION "\",\"started_ms\":%" PRId64
                  ",\"connections\":%zu,\"readers\":%" PRIu64 ",\"requests\":%" PRIu64
                  ",\"appends\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"commits\":%" PRIu64
                  ",\"commit_us\":%" PRIu64 ",\"log_bytes\":%" PRIu64
                  ",\"streams_in_memory\":%" PRIu64 ",\"disk_full\":%s}",
                  server->started_ms, server->open_connections, c->live_readers, c->requests,
                  store.appends, store.messages, store.commits, store.commit_us, store.log_bytes,
                  store.streams_loaded, store.is_full ? "true" : "false");
}

/* ---- The streams that are read by most ---- */

struct readers {
    const struct stream *stream;
    uint64_t count;
};

enum { BUSY_STREAMS = 10, BUSY_SAMPLE = 4096 };

static int by_stream(const void *a, const void *b)
{
    const struct readers *one = a, *other = b;
    return (one->stream > other->stream) - (one->stream < other->stream);
}

static int by_count(const void *a, const void *b)
{
    const struct readers *one = a, *other = b;
    return (one->count < other->count) - (one->count > other->count);
}

/* Of the readers that wait at the moment, the longest waiting ones: enough to tell. */
static size_t sample_readers(const struct server *server, struct readers readers[BUSY_SAMPLE])
{
    size_t count = 0, kept = 0;
    const struct request *request = server->waiting_data.first;
    while (request && count < BUSY_SAMPLE) {
        readers[count++] = (struct readers){request->stream, 1};
        request = request == server->waiting_data.last ? NULL : request->next;
    }
    qsort(readers, count, sizeof *readers, by_stream);
    for (size_t i = 0; i < count; i++) {
        if (kept && readers[kept - 1].stream == readers[i].stream)
            readers[kept - 1].count++;
        else
            readers[kept++] = readers[i];
    }
    qsort(readers, kept, sizeof *readers, by_count);
    return kept;
}

static void add_busy(struct buffer *out, const struct server *server)
{
    static struct readers readers[BUSY_SAMPLE];
    size_t count = sample_readers(server, readers);
    buffer_add_str(out, "\"busy\":[");
    for (size_t i = 0; i < count && i < BUSY_STREAMS; i++) {
        buffer_add_str(out, i ? ",{\"path\":" : "{\"path\":");
        json_add_string(out, stream_path(readers[i].stream));
        buffer_printf(out, ",\"readers\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", readers[i].count,
                      stream_tail(readers[i].stream));
    }
    buffer_add_char(out, ']');
}

static void reply_built_json(struct request *request, struct buffer *json)
{
    reply_json(request, MHD_HTTP_OK, buffer_slice(json));
    buffer_release(json);
}

void route_overview(struct request *request)
{
    struct server *server = request->server;
    struct buffer out = BUFFER_INIT;
    buffer_printf(&out, "{\"now_ms\":%" PRId64 ",", clock_wall_ms());
    add_server(&out, server);
    buffer_add_char(&out, ',');
    buffer_add_str(&out, "\"bridges\":");
    reports_write(server->reports, clock_monotonic_ms(), &out);
    buffer_add_char(&out, ',');
    add_busy(&out, server);
    buffer_add_str(&out, ",\"history\":");
    history_write(server->history, &out);
    buffer_add_char(&out, '}');
    reply_built_json(request, &out);
}

/* ---- Streams ---- */

enum { STREAMS_SHOWN = 200 };

struct search {
    struct slice text;
    struct buffer out;
    size_t found;
};

static void visit_stream(void *context, struct slice path, uint64_t tail)
{
    struct search *search = context;
    if (search->text.len && (path.len < search->text.len ||
                             !memmem(path.data, path.len, search->text.data, search->text.len)))
        return;
    if (++search->found > STREAMS_SHOWN)
        return;
    buffer_add_str(&search->out, search->found > 1 ? ",{\"path\":" : "{\"path\":");
    json_add_string(&search->out, path);
    buffer_printf(&search->out, ",\"bytes\":%" PRIu64 "}", tail);
}

void route_streams(struct request *request)
{
    const char *given =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "search");
    struct buffer text = BUFFER_INIT;
    struct search search = {.out = BUFFER_INIT};
    if (given && !percent_decode(&text, slice_from_str(given))) {
        reply_text(request, MHD_HTTP_BAD_REQUEST, "search is not decodable");
    } else {
        search.text = buffer_slice(&text);
        buffer_add_str(&search.out, "{\"streams\":[");
        store_each_stream(request->server->store, visit_stream, &search);
        buffer_printf(&search.out, "],\"found\":%zu}", search.found);
        reply_built_json(request, &search.out);
    }
    buffer_release(&text);
}
