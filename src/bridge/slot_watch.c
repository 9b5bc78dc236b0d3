#include "slot_watch.h"

#include "reporter.h"

#include "weir/base/log.h"
#include "weir/base/lsn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void slot_watch_release(struct slot_watch *watch)
{
    pg_close(watch->connection);
    watch->connection = NULL;
}

static void complain(struct slot_watch *watch, const struct err *err)
{
    if (strcmp(watch->complaint.message, err->message) != 0)
        log_err(LOG_WARN, "the slot cannot be watched", err);
    watch->complaint = *err;
}

struct pg_connection *slot_watch_connection(struct slot_watch *watch)
{
    struct err err;
    if (watch->connection && pg_is_broken(watch->connection))
        slot_watch_release(watch);
    if (!watch->connection && !(watch->connection = pg_connect(watch->conninfo, &err)))
        complain(watch, &err);
    return watch->connection;
}

static uint64_t bytes_of(const struct pg_rows *rows, size_t column)
{
    long long value = strtoll(pg_rows_str(rows, 0, column), NULL, 10);
    return value > 0 ? (uint64_t)value : 0;
}

static void read_state(const struct pg_rows *rows, struct slot_state *state)
{
    state->is_known = lsn_parse(pg_rows_slice(rows, 0, 0), &state->written_lsn);
    state->is_active = pg_rows_str(rows, 0, 1)[0] == 't';
    snprintf(state->wal_status, sizeof state->wal_status, "%s", pg_rows_str(rows, 0, 2));
    state->retained_bytes = bytes_of(rows, 3);
    state->unconfirmed_bytes = bytes_of(rows, 4);
    state->safe_bytes = bytes_of(rows, 5);
    state->has_limit = !pg_rows_is_null(rows, 0, 5);
    state->is_at_risk = strcmp(state->wal_status, "unreserved") == 0 ||
                        strcmp(state->wal_status, "lost") == 0 ||
                        (state->has_limit && state->safe_bytes < bytes_of(rows, 6) / 5);
}

/* While there is time to do something about it. */
static void warn(struct slot_watch *watch, const struct slot_state *state)
{
    struct err err;
    if (state->is_at_risk && !watch->was_at_risk) {
        err_set(&err,
                "replication slot %s holds %llu MB of WAL (wal_status %s), and Postgres gives it "
                "up soon",
                watch->slot, (unsigned long long)(state->retained_bytes >> 20), state->wal_status);
        err_hint(&err,
                 "find out what holds up the bridge or the stream server, or raise "
                 "max_slot_wal_keep_size; a slot that is lost is mended by comparing everything");
        log_err(LOG_WARN, "the slot is in danger", &err);
    }
    if (!state->is_at_risk && watch->was_at_risk)
        log_event(LOG_INFO, "the slot is no longer in danger", LOG_STR("slot", watch->slot));
    watch->was_at_risk = state->is_at_risk;
}

bool slot_watch_look(struct slot_watch *watch, const char *probe, struct slot_state *state)
{
    struct err err;
    struct pg_connection *connection = slot_watch_connection(watch);
    *state = (struct slot_state){.is_known = false};
    if (!connection)
        return false;
    const char *parameters[] = {watch->slot, PROBE_PREFIX, probe};
    struct pg_rows *rows =
        pg_query(connection, &err,
                 "WITH wal AS MATERIALIZED (SELECT pg_current_wal_lsn() AS lsn)"
                 " SELECT wal.lsn, slot.active, slot.wal_status,"
                 "        pg_wal_lsn_diff(wal.lsn, slot.restart_lsn)::bigint,"
                 "        pg_wal_lsn_diff(wal.lsn, slot.confirmed_flush_lsn)::bigint,"
                 "        slot.safe_wal_size,"
                 "        pg_size_bytes(current_setting('max_slot_wal_keep_size')),"
                 "        CASE WHEN $3::text IS NOT NULL"
                 "             THEN pg_logical_emit_message(false, $2, $3::text) END"
                 "   FROM wal LEFT JOIN pg_replication_slots AS slot ON slot.slot_name = $1",
                 3, parameters);
    if (!rows) {
        complain(watch, &err);
        return false;
    }
    read_state(rows, state);
    pg_rows_free(rows);
    warn(watch, state);
    watch->complaint.message[0] = '\0';
    return true;
}
