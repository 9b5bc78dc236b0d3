#include "metrics.h"

#include "report.h"

#include "weir/base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

static void add_head(struct buffer *out, const char *name, const char *kind, const char *help)
{
    buffer_printf(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\n", name, help, name, kind);
}

static void add_metric(struct buffer *out, const char *name, const char *kind, const char *help,
                       uint64_t value)
{
    add_head(out, name, kind, help);
    buffer_printf(out, "weir_%s %" PRIu64 "\n", name, value);
}

/* ---- The store ---- */

static void add_commit_times(struct buffer *out, const struct store_counters *c)
{
    static const char name[] = "commit_duration_seconds";
    uint64_t count = 0;
    add_head(out, name, "histogram", "writing and syncing one group commit");
    for (size_t i = 0; i < COMMIT_CLASSES; i++) {
        count += c->commits_by_class[i];
        buffer_printf(out, "weir_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                      (double)store_commit_class_us[i] / 1e6, count);
    }
    buffer_printf(out,
                  "weir_%s_bucket{le=\"+Inf\"} %" PRIu64 "\nweir_%s_sum %.6f\n"
                  "weir_%s_count %" PRIu64 "\n",
                  name, c->commits, name, (double)c->commit_us / 1e6, name, c->commits);
}

static void add_store_metrics(struct buffer *out, const struct store_counters *c)
{
    add_metric(out, "commits_total", "counter", "group commits", c->commits);
    add_commit_times(out, c);
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

/* ---- The server ---- */

static void add_server_metrics(struct buffer *out, const struct server *server)
{
    const struct server_counters *c = &server->counters;
    add_metric(out, "requests_total", "counter", "requests begun", c->requests);
    add_head(out, "responses_total", "counter", "answers by class");
    for (int group = 2; group < 6; group++)
        buffer_printf(out, "weir_responses_total{class=\"%dxx\"} %" PRIu64 "\n", group,
                      c->requests_by_class[group]);
    add_metric(out, "connections", "gauge", "open connections", server->open_connections);
    add_metric(out, "requests_active", "gauge", "requests begun and not over",
               server->active_requests);
    add_metric(out, "connections_cut_total", "counter", "connections cut because they were slow",
               c->connections_cut);
    add_metric(out, "live_readers", "gauge", "waiting long-polls and SSE readers", c->live_readers);
    add_metric(out, "batches_total", "counter", "batches stored", c->batches);
    add_metric(out, "batch_events_total", "counter", "events of batches, per stream",
               c->batch_events);
    add_metric(out, "pages_encoded_total", "counter", "pages that were not encoded yet when read",
               c->pages_encoded);
    add_metric(out, "request_body_bytes_total", "counter", "bytes taken", c->body_bytes_in);
    add_metric(out, "response_body_bytes_total", "counter", "bytes given", c->body_bytes_out);
}

/* ---- Bridges ---- */

static const struct {
    const char *field; /* of the report */
    const char *name, *kind, *help;
} bridge_metrics[] = {
    {"lag_seconds", "bridge_lag_seconds", "gauge", "from commit to stream, by a probe"},
    {"lag_bytes", "bridge_lag_bytes", "gauge", "WAL not read yet"},
    {"retained_wal_bytes", "bridge_retained_wal_bytes", "gauge", "WAL kept for the slot"},
    {"safe_wal_bytes", "bridge_safe_wal_bytes", "gauge",
     "WAL that may be written before Postgres gives the slot up"},
    {"wal_at_risk", "bridge_wal_at_risk", "gauge",
     "1 while Postgres may soon give the slot up, or has"},
    {"slot_active", "bridge_slot_active", "gauge", "1 while the slot is in use"},
    {"transactions", "bridge_transactions_total", "counter", "transactions with changed rows"},
    {"row_changes", "bridge_row_changes_total", "counter", "changed rows of followed tables"},
    {"events", "bridge_events_total", "counter", "events made"},
    {"deliveries", "bridge_deliveries_total", "counter", "events times the streams they go to"},
    {"checkpoints", "bridge_checkpoints_total", "counter", "checkpoints of the replica"},
    {"checkpoint_seconds", "bridge_checkpoint_seconds_total", "counter", "time spent in them"},
    {"difference_seconds", "bridge_difference_seconds_total", "counter",
     "time spent finding audiences and differences"},
    {"resyncs", "bridge_resyncs_total", "counter", "resyncs by difference"},
    {"replica_bytes", "bridge_replica_bytes", "gauge", "size of the replica"},
    {"tables", "bridge_tables", "gauge", "tables followed"},
    {"rules_active", "bridge_rules_active", "gauge", "rules in force"},
    {"rules_refused", "bridge_rules_refused", "gauge", "rules that show nothing"},
    {"parked", "bridge_parked_total", "counter", "rows that were too large to be shown"},
};

/* A label's value: a producer's name has no line ends, but may have the rest. */
static void add_label(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_add_char(out, '\\');
        buffer_add_char(out, *text == '\n' ? ' ' : *text);
    }
}

static void add_sample(struct buffer *out, const char *name, const char *producer, double value)
{
    buffer_printf(out, "weir_%s{producer=\"", name);
    add_label(out, producer);
    buffer_printf(out, "\"} %.15g\n", value);
}

static bool number_of(const json_t *field, double *number)
{
    *number = json_is_boolean(field) ? json_is_true(field) : json_number_value(field);
    return json_is_boolean(field) || json_is_number(field);
}

static void add_bridge_metric(struct buffer *out, const struct reports *reports, size_t metric)
{
    bool has_head = false;
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        const struct bridge_report *report = &reports->reports[i];
        double number;
        if (!report->producer ||
            !number_of(json_object_get(report->report, bridge_metrics[metric].field), &number))
            continue;
        if (!has_head)
            add_head(out, bridge_metrics[metric].name, bridge_metrics[metric].kind,
                     bridge_metrics[metric].help);
        has_head = true;
        add_sample(out, bridge_metrics[metric].name, report->producer, number);
    }
}

static bool is_following(const struct bridge_report *report)
{
    const char *phase = json_string_value(json_object_get(report->report, "phase"));
    return phase && strcmp(phase, "following") == 0;
}

static void add_states(struct buffer *out, const struct reports *reports, uint64_t now_ms)
{
    bool is_any = false;
    for (size_t i = 0; i < REPORTS_MAX; i++)
        is_any = is_any || reports->reports[i].producer;
    if (!is_any)
        return;
    add_head(out, "bridge_following", "gauge", "1 while the slot is followed");
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        if (reports->reports[i].producer)
            add_sample(out, "bridge_following", reports->reports[i].producer,
                       is_following(&reports->reports[i]));
    }
    add_head(out, "bridge_report_age_seconds", "gauge", "since the bridge was last heard of");
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        if (reports->reports[i].producer)
            add_sample(out, "bridge_report_age_seconds", reports->reports[i].producer,
                       (double)(now_ms - reports->reports[i].arrived_ms) / 1000);
    }
}

static void add_bridge_metrics(struct buffer *out, const struct reports *reports)
{
    add_states(out, reports, clock_monotonic_ms());
    for (size_t i = 0; i < sizeof bridge_metrics / sizeof *bridge_metrics; i++)
        add_bridge_metric(out, reports, i);
}

void reply_metrics(struct request *request)
{
    struct buffer out = BUFFER_INIT;
    struct store_counters counters = store_counters(request->server->store);
    add_head(&out, "build_info", "gauge", "the version");
    buffer_add_str(&out, "weir_build_info{version=\"" WEIR_VERSION "\"} 1\n");
    add_store_metrics(&out, &counters);
    add_server_metrics(&out, request->server);
    add_bridge_metrics(&out, request->server->reports);
    reply_blob(request, MHD_HTTP_OK, blob_copy(buffer_slice(&out)));
    reply_header(request, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    reply_header(request, "Cache-Control", "no-store");
    buffer_release(&out);
}
