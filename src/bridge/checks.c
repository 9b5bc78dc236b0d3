/* Whether Postgres, the state folder and the streams go together. Asked before anything is changed:
 * by a bridge that starts, and by weir doctor. */
#include "bridge_internal.h"

#include "weir/base/log.h"
#include "weir/base/lsn.h"

/* confirmed <= replica <= published, or something has been lost or restored. */
bool bridge_check_positions(struct bridge *bridge, struct err *err)
{
    struct progress replica = {bridge->replica_lsn, 0};
    char text[2][LSN_TEXT_SIZE];
    if (meta_phase(bridge->replica) != PHASE_FOLLOWING ||
        progress_cmp(replica, bridge->published) <= 0 ||
        replica_meta(bridge->replica, "outgoing").len)
        return true;
    err_set(err, "the stream server has the producer %s at %s, but this bridge had published up to "
                 "%s: the server has lost data or is another one",
            bridge->settings->slot, lsn_format(bridge->published.lsn, text[0]),
            lsn_format(bridge->replica_lsn, text[1]));
    return err_hint(err, "start the stream server with the --data folder it had");
}

bool bridge_check_fresh(struct bridge *bridge, struct err *err)
{
    if (bridge->published.lsn == 0)
        return true;
    err_set(err, "the stream server already holds streams of the producer %s, but the state folder "
                 "%s does not",
            bridge->settings->slot, bridge->settings->state);
    return err_hint(err, "use the --state folder that goes with these streams; to start over, use "
                         "another --slot and an empty stream server");
}

/* A slot that is gone, or that Postgres has given up because it held too much WAL, has left out
 * changes. The replica and a new snapshot still say exactly what the streams lack. */
static bool want_new_slot(struct bridge *bridge, const char *why, struct err *err)
{
    if (bridge->published.lsn > bridge->replica_lsn) {
        err_set(err, "%s, and the streams are ahead of the replica in %s, so what they lack cannot "
                     "be told",
                why, bridge->settings->state);
        return err_hint(err, "start over with an empty --state folder, another --slot and new "
                             "streams");
    }
    if (!bridge->needs_slot)
        log_event(LOG_WARN, "resyncing everything by difference", LOG_STR("reason", why),
                  LOG_STR("slot", bridge->settings->slot));
    bridge->needs_slot = bridge->wants_resync = true;
    return true;
}

bool bridge_identify(struct bridge *bridge, struct pg_connection *connection,
                     struct buffer *identity, struct err *err)
{
    struct pg_rows *rows =
        pg_query(connection, err,
                 "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid"
                 "  FROM pg_database WHERE datname = current_database()",
                 0, NULL);
    if (!rows)
        return false;
    buffer_printf(identity, "slot %s of %s", bridge->settings->slot, pg_rows_str(rows, 0, 0));
    pg_rows_free(rows);
    return true;
}

enum bridge_end bridge_check_identity(struct bridge *bridge, struct pg_connection *connection,
                                      struct err *err)
{
    struct buffer identity = BUFFER_INIT;
    bool ok = bridge_identify(bridge, connection, &identity, err);
    struct slice made_from = replica_meta(bridge->replica, "identity");
    bool is_same = ok && slice_eq(made_from, buffer_slice(&identity));
    if (ok && !is_same) {
        err_set(err, "the state folder %s was made from %.*s (system/database), and this is %.*s",
                bridge->settings->state, SLICE_ARG(made_from),
                SLICE_ARG(buffer_slice(&identity)));
        err_hint(err, "give each slot of each database a --state folder of its own");
    }
    buffer_release(&identity);
    if (!ok)
        return BRIDGE_RETRY;
    return is_same ? BRIDGE_DONE : BRIDGE_FAILED;
}

enum bridge_end bridge_check_slot(struct bridge *bridge, struct pg_connection *connection,
                                  struct err *err)
{
    const char *slot = bridge->settings->slot;
    struct pg_rows *rows =
        pg_query(connection, err,
                 "SELECT coalesce(confirmed_flush_lsn, '0/0'), coalesce(wal_status = 'lost', false)"
                 "  FROM pg_replication_slots WHERE slot_name = $1",
                 1, &slot);
    if (!rows)
        return BRIDGE_RETRY;
    uint64_t confirmed = 0;
    bool exists = pg_rows_count(rows) == 1 && lsn_parse(pg_rows_slice(rows, 0, 0), &confirmed);
    bool is_lost = exists && pg_rows_str(rows, 0, 1)[0] == 't';
    pg_rows_free(rows);
    /* A resync that a crash has cut off may have made the slot already; its snapshot is gone. */
    bool was_making = replica_meta(bridge->replica, "making slot").len > 0;
    if (!exists || is_lost || was_making)
        return want_new_slot(bridge,
                             !exists   ? "the replication slot is gone"
                             : is_lost ? "Postgres has given the replication slot up"
                                       : "a resync was cut off",
                             err)
                   ? BRIDGE_DONE
                   : BRIDGE_FAILED;
    if (confirmed <= bridge->replica_lsn)
        return BRIDGE_DONE;
    char text[2][LSN_TEXT_SIZE];
    err_set(err, "slot %s has been confirmed up to %s, but the replica in %s ends at %s: the folder "
                 "is an older copy",
            slot, lsn_format(confirmed, text[0]), bridge->settings->state,
            lsn_format(bridge->replica_lsn, text[1]));
    err_hint(err, "start over with an empty --state folder, another --slot and new streams");
    return BRIDGE_FAILED;
}

enum bridge_end bridge_check_no_slot(struct bridge *bridge, struct pg_connection *connection,
                                     struct err *err)
{
    const char *slot = bridge->settings->slot;
    struct pg_rows *rows = pg_query(connection, err,
                                    "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1", 1,
                                    &slot);
    if (!rows)
        return BRIDGE_RETRY;
    bool exists = pg_rows_count(rows) > 0;
    pg_rows_free(rows);
    if (!exists)
        return BRIDGE_DONE;
    err_set(err, "replication slot %s exists, but the state folder %s does not belong to it", slot,
            bridge->settings->state);
    err_hint(err, "SELECT pg_drop_replication_slot('%s'); -- to start over; or use the --state folder "
                  "that this slot was made with, or another --slot", slot);
    return BRIDGE_FAILED;
}
