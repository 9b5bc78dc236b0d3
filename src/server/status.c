/* /healthz, /readyz and /metrics (the Prometheus text format). */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>

static void add_metric(struct buffer *out, const char *name, const char *kind, const char *help,
                       uint64_t value)
{
    buffer_printf(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\nweir_%s %" PRIu64 "\n", name, help,
                  name, kind, name, value);
}

static void add_store_metrics(struct buffer *out, const struct store_counters *c)
{
    add_metric(out, "commits_total", "counter", "group commits", c->commits);
    add_metric(out, "commit_bytes_total", "counter", "bytes committed", c->commit_bytes);
    add_metric(out, "appends_total", "counter", "appends", c->appends);
    add_metric(out, "messages_total", "counter", "messages appended", c->messages);
    add_metric(out, "streams_created_total", "counter", "streams created", c->creates);
    add_metric(out, "streams_deleted_total", "counter", "streams deleted", c->deletes);
    add_metric(out, "checkpoints_total", "counter", "finished checkpoints", c->checkpoints);
    add_metric(out, "log_bytes", "gauge", "commit log on disk", c->log_bytes);
    add_metric(out, "tail_bytes", "gauge", "recent data in memory", c->memory_bytes);
    add_metric(out, "pinned_bytes", "gauge", "of these, not checkpointed", c->pinned_bytes);
    add_metric(out, "streams", "gauge", "streams that exist", c->streams);
    add_metric(out, "streams_loaded", "gauge", "streams in memory", c->streams_loaded);
    add_metric(out, "disk_full", "gauge", "1 while writes are refused", c->is_full);
}

static void add_server_metrics(struct buffer *out, const struct server *server)
{
    const struct server_counters *c = &server->counters;
    add_metric(out, "requests_total", "counter", "requests begun", c->requests);
    buffer_add_str(out, "# HELP weir_responses_total answers by class\n"
                        "# TYPE weir_responses_total counter\n");
    for (int group = 2; group < 6; group++)
        buffer_printf(out, "weir_responses_total{class=\"%dxx\"} %" PRIu64 "\n", group,
                      c->requests_by_class[group]);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    add_metric(out, "connections", "gauge", "open connections", info->num_connections);
    add_metric(out, "connections_cut_total", "counter", "connections cut because they were slow",
               c->connections_cut);
    add_metric(out, "live_readers", "gauge", "waiting long-polls and SSE readers", c->live_readers);
    add_metric(out, "batches_total", "counter", "batches stored", c->batches);
    add_metric(out, "batch_events_total", "counter", "events of batches, per stream",
               c->batch_events);
    add_metric(out, "request_body_bytes_total", "counter", "bytes taken", c->body_bytes_in);
    add_metric(out, "response_body_bytes_total", "counter", "bytes given", c->body_bytes_out);
}

static void reply_metrics(struct request *request)
{
    struct buffer out = BUFFER_INIT;
    struct store_counters counters = store_counters(request->server->store);
    add_store_metrics(&out, &counters);
    add_server_metrics(&out, request->server);
    reply_blob(request, MHD_HTTP_OK, blob_copy(buffer_slice(&out)));
    reply_header(request, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    reply_header(request, "Cache-Control", "no-store");
    buffer_release(&out);
}

static void reply_ready(struct request *request)
{
    struct server *server = request->server;
    if (server->is_draining)
        reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping");
    else if (store_counters(server->store).is_full)
        reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "no room on the disk");
    else
        reply_text(request, MHD_HTTP_OK, "ready");
}

void route_status(struct request *request, struct slice path)
{
    bool is_read = request->method == METHOD_GET || request->method == METHOD_HEAD;
    if (slice_eq_str(path, "/healthz") && is_read)
        reply_text(request, MHD_HTTP_OK, "alive");
    else if (slice_eq_str(path, "/readyz") && is_read)
        reply_ready(request);
    else if (slice_eq_str(path, "/metrics") && is_read)
        reply_metrics(request);
    else
        reply_text(request, MHD_HTTP_NOT_FOUND, "streams are below /v1/stream/");
}
