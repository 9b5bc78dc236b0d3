/* The bridge's own slot, where it is in the way, and who holds it. */
#include "bridge_internal.h"

#include "weir/base/log.h"

bool bridge_note_walsender(struct bridge *bridge, struct err *err)
{
    bool is_dirty = replica_is_dirty(bridge->replica);
    if (!replica_set_meta(bridge->replica, "walsender", slice_from_str(bridge->walsender), err))
        return false;
    /* With rows that are not durable yet it waits for their checkpoint. */
    return is_dirty || replica_commit(bridge->replica, err);
}

/* The state folder is locked, so who held the slot for it before is dead: a connection that was cut
 * without a word keeps its walsender until a timeout. */
void bridge_end_walsender(struct bridge *bridge)
{
    struct slice noted = replica_meta(bridge->replica, "walsender");
    struct buffer backend = BUFFER_INIT;
    struct err ignored;
    struct pg_connection *connection =
        noted.len ? pg_connect(bridge->settings->db, &ignored) : NULL;
    buffer_add_slice(&backend, noted);
    if (connection && pg_end_backend(connection, bridge->settings->slot, buffer_str(&backend)))
        log_event(LOG_INFO, "ended a walsender that this bridge had left behind",
                  LOG_STR("slot", bridge->settings->slot));
    pg_close(connection);
    buffer_release(&backend);
}

/* Nobody holds it, but perhaps this bridge. Set: it is there. */
static enum bridge_end look_at_holder(struct bridge *bridge, struct pg_connection *connection,
                                      bool *exists, struct err *err)
{
    const char *slot = bridge->settings->slot;
    struct pg_rows *rows = pg_query(connection, err,
                                    "SELECT database = current_database() AND plugin = 'wal2json',"
                                    "       coalesce(active_pid::text, '')"
                                    "  FROM pg_replication_slots WHERE slot_name = $1",
                                    1, &slot);
    if (!rows)
        return BRIDGE_RETRY;
    enum bridge_end end = BRIDGE_DONE;
    *exists = pg_rows_count(rows) == 1;
    if (*exists && pg_rows_str(rows, 0, 0)[0] != 't') {
        err_set(err, "replication slot %s is not a wal2json slot of this database", slot);
        err_hint(err, "choose another name with --slot");
        end = BRIDGE_FAILED;
    } else if (*exists && pg_rows_str(rows, 0, 1)[0]) {
        err_set(err, "replication slot %s is in use by the process with pid %s", slot,
                pg_rows_str(rows, 0, 1));
        err_hint(err,
                 "stop the other bridge; if it is gone already, its walsender ends by itself "
                 "or by SELECT pg_terminate_backend(%s);",
                 pg_rows_str(rows, 0, 1));
        end = BRIDGE_RETRY;
    }
    pg_rows_free(rows);
    return end;
}

enum bridge_end bridge_wait_for_slot(struct bridge *bridge, struct err *err)
{
    bool exists;
    struct pg_connection *connection = rule_table_connection(&bridge->rule_table, err);
    if (!connection)
        return BRIDGE_RETRY;
    bridge_end_walsender(bridge);
    return look_at_holder(bridge, connection, &exists, err);
}

enum bridge_end bridge_drop_slot(struct bridge *bridge, struct pg_connection *connection,
                                 struct err *err)
{
    const char *slot = bridge->settings->slot;
    bool exists;
    bridge_end_walsender(bridge);
    enum bridge_end end = look_at_holder(bridge, connection, &exists, err);
    if (end != BRIDGE_DONE || !exists)
        return end;
    struct pg_rows *rows =
        pg_query(connection, err, "SELECT pg_drop_replication_slot($1)", 1, &slot);
    pg_rows_free(rows);
    return rows ? BRIDGE_DONE : BRIDGE_RETRY;
}
