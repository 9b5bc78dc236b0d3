#include "report.h"

#include "weir/base/json.h"
#include "weir/base/lsn.h"

#include <inttypes.h>

static void add_text(struct buffer *out, const char *name, const char *text)
{
    buffer_printf(out, "\"%s\":", name);
    json_add_string(out, slice_from_str(text));
    buffer_add_char(out, ',');
}

static void add_number(struct buffer *out, const char *name, uint64_t number)
{
    buffer_printf(out, "\"%s\":%" PRIu64 ",", name, number);
}

static void add_seconds(struct buffer *out, const char *name, uint64_t us)
{
    buffer_printf(out, "\"%s\":%" PRIu64 ".%06" PRIu64 ",", name, us / 1000000, us % 1000000);
}

static void add_lsn(struct buffer *out, const char *name, uint64_t lsn)
{
    char text[LSN_TEXT_SIZE];
    add_text(out, name, lsn_format(lsn, text));
}

static void add_slot(struct buffer *out, const struct report *report)
{
    const struct slot_state *slot = report->slot;
    const struct bridge_figures *figures = &report->figures;
    if (!slot->is_known)
        return;
    add_text(out, "wal_status", slot->wal_status);
    buffer_printf(out, "\"slot_active\":%s,", slot->is_active ? "true" : "false");
    add_lsn(out, "written_lsn", slot->written_lsn);
    add_number(out, "retained_wal_bytes", slot->retained_bytes);
    if (slot->has_limit)
        add_number(out, "safe_wal_bytes", slot->safe_bytes);
    buffer_printf(out, "\"wal_at_risk\":%s,", slot->is_at_risk ? "true" : "false");
    add_number(out, "lag_bytes",
               slot->written_lsn > figures->received_lsn ? slot->written_lsn - figures->received_lsn
                                                         : 0);
}

void report_write(const struct report *report, struct buffer *out)
{
    const struct bridge_figures *figures = &report->figures;
    buffer_add_char(out, '{');
    add_text(out, "version", WEIR_VERSION);
    add_text(out, "slot", report->slot_name);
    add_text(out, "publication", report->publication);
    add_text(out, "phase", figures->phase);
    add_text(out, "waiting", figures->waiting);
    if (report->is_lag_known)
        add_seconds(out, "lag_seconds", report->lag_us);
    add_slot(out, report);
    add_lsn(out, "received_lsn", figures->received_lsn);
    add_lsn(out, "applied_lsn", figures->applied_lsn);
    add_lsn(out, "stored_lsn", figures->stored_lsn);
    add_lsn(out, "confirmed_lsn", figures->confirmed_lsn);
    add_number(out, "transactions", figures->transactions);
    add_number(out, "row_changes", figures->row_changes);
    add_number(out, "events", figures->events);
    add_number(out, "deliveries", figures->deliveries);
    add_number(out, "checkpoints", figures->checkpoints);
    add_seconds(out, "checkpoint_seconds", figures->checkpoint_us);
    add_seconds(out, "difference_seconds", figures->difference_us);
    add_number(out, "resyncs", figures->resyncs);
    add_number(out, "replica_bytes", figures->replica_bytes);
    add_number(out, "tables", figures->tables);
    add_number(out, "rules_active", figures->rules_active);
    add_number(out, "rules_refused", figures->rules_refused);
    add_number(out, "parked", figures->parked);
    buffer_add_str(out, "\"answers\":[");
    buffer_add_slice(out, report->answers);
    buffer_printf(out, "],\"started_ms\":%" PRId64 "}", report->started_ms);
}
